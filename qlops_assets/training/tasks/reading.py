"""Qlib's task as settings of a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final

from qlops_assets.core.errors import TrainingError, nearest
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.training.tasks.known import DATASETS, HANDLERS, IGNORED, MODELS, KnownModel

_MOST_CHARACTERS: Final = 200_000
_FIT_DAYS: Final = ("fit_start_time", "fit_end_time")
_HANDLER_IGNORED: Final = {
    "start_time": "all bars of the source are used",
    "end_time": "all bars of the source are used",
    "instruments": "the universe is that of [universe] name",
}
_SEGMENTS: Final = ("train", "valid", "test")


@dataclass
class ImportedTask:
    """A task as sections of a recipe, and what of it was not taken over, each with its reason."""

    sections: dict[str, dict[str, Any]] = field(default_factory=lambda: {"training": {}})
    notes: list[str] = field(default_factory=list)

    @property
    def training(self) -> dict[str, Any]:
        """The section ``[training]``."""
        return self.sections["training"]


def read_task(text: str, where: str) -> ImportedTask:
    """Return a task of Qlib's as settings.

    Args:
        text: YAML as ``qrun`` takes it.
        where: What messages call it.

    Raises:
        TrainingError: it is not YAML, names a class that is not known, or lacks what a training
            needs.
    """
    return _Reader(where).read(_document(text, where))


def _document(text: str, where: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > _MOST_CHARACTERS:
        raise TrainingError(f"{where}: had {len(text)} characters, at most {_MOST_CHARACTERS}")
    try:
        # Qlib's own reader (to others 1e-3 is a text); ``safe`` makes no objects but plain ones.
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise TrainingError(f"{where}: not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(document, Mapping):
        raise TrainingError(f"{where}: was {type(document).__name__}, must be a task of Qlib's")
    return document


class _Reader:
    def __init__(self, where: str) -> None:
        self._where, self._found = where, ImportedTask()

    def read(self, document: Mapping[str, Any]) -> ImportedTask:
        task = _table(document, "task", self._where)
        model = _table(task, "model", f"{self._where}: task")
        self._model(model)
        self._dataset(_table(task, "dataset", f"{self._where}: task"))
        self._session(document.get("qlib_init"))
        self._backtest(document.get("port_analysis_config"))
        if "record" in task:
            self._note("task.record", "metrics, backtest and report are always made")
        for key in document:
            if key in IGNORED:
                self._note(str(key), IGNORED[key])
            elif key not in ("task", "qlib_init", "port_analysis_config"):
                self._note(str(key), "it is not known here")
        return self._found

    def _note(self, what: str, why: str) -> None:
        self._found.notes.append(f"{what}: left out, {why}")

    def _fault(self, place: str, found: Any, accepted: str) -> TrainingError:
        return TrainingError(f"{self._where}: {place}: was {found!r}, must be {accepted}")

    def _model(self, model: Mapping[str, Any]) -> None:
        name = str(model.get("class"))
        known = MODELS.get(name)
        if known is None or model.get("module_path", known.module) != known.module:
            listed = ", ".join(f"{one.module}.{key}" for key, one in MODELS.items())
            asked = f"{model.get('module_path')}.{name}"
            raise TrainingError(
                f"{self._where}: task.model: unknown class {asked!r}{nearest(name, list(MODELS))} "
                f"Known: {listed}"
            )
        training = self._found.training
        training["model"], training["parameters"] = known.name, {}
        for key, value in dict(model.get("kwargs") or {}).items():
            self._argument(known, str(key), value)

    def _argument(self, known: KnownModel, key: str, value: Any) -> None:
        training = self._found.training
        if key in known.settings:
            if value is not None:
                training[known.settings[key]] = value
        elif key in known.ignored:
            self._note(f"task.model {key}", known.ignored[key])
        elif key == "GPU":
            cpu = value == "cpu" or (isinstance(value, int) and value < 0)
            if not cpu:
                self._note("task.model GPU", "set device = 'cuda' under [training.parameters]")
        elif key == "pt_model_kwargs":
            shape = {k: v for k, v in dict(value).items() if k in ("layers", "act")}
            training["parameters"] |= {k: list(v) if k == "layers" else v for k, v in shape.items()}
        else:
            training["parameters"][key] = value

    def _dataset(self, dataset: Mapping[str, Any]) -> None:
        if dataset.get("class") not in DATASETS:
            raise self._fault("task.dataset class", dataset.get("class"), " or ".join(DATASETS))
        kwargs = dict(dataset.get("kwargs") or {})
        if "step_len" in kwargs:
            self._found.training["parameters"]["step_len"] = kwargs.pop("step_len")
        handler = _table(kwargs, "handler", f"{self._where}: task.dataset")
        self._segments(_table(kwargs, "segments", f"{self._where}: task.dataset"))
        name = handler.get("class")
        if name not in HANDLERS or handler.get("module_path", HANDLERS[name]) != HANDLERS[name]:
            raise self._fault("task.dataset handler", name, " or ".join(HANDLERS))
        self._handler(dict(handler.get("kwargs") or {}))

    def _segments(self, given: Mapping[str, Any]) -> None:
        segments = {}
        for name in _SEGMENTS:
            ends = given.get(name)
            if not isinstance(ends, Sequence) or len(ends) != 2:
                raise self._fault(f"task.dataset segments {name}", ends, "a first and a last day")
            segments[name] = [self._day(f"segments {name}", one) for one in ends]
        self._found.training["segments"] = segments
        # Qlib's examples leave no day between segments; labels of the last days would see the next.
        self._found.training["purge"] = True

    def _day(self, place: str, value: Any) -> str:
        if isinstance(value, datetime):
            return value.date().isoformat()
        if isinstance(value, date):
            return value.isoformat()
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError as error:
            raise self._fault(place, value, "a day YYYY-MM-DD") from error

    def _handler(self, kwargs: dict[str, Any]) -> None:
        training, ends = self._found.training, self._found.training["segments"]["train"]
        for key, value in kwargs.items():
            if key in _FIT_DAYS:
                day, train = self._day(key, value), ends[_FIT_DAYS.index(key)]
                if day != train:
                    raise self._fault(key, day, f"{train}, as of train")
            elif key in _HANDLER_IGNORED:
                self._note(f"handler {key} {value}", _HANDLER_IGNORED[key])
            elif key == "label":
                training["label"] = self._label(value)
            elif key in ("infer_processors", "learn_processors"):
                stage = key.removesuffix("_processors")
                training.setdefault("processors", {})[stage] = self._processors(value or [])
            else:
                raise self._fault(f"handler {key}", value, "left out: it is not known here")

    def _label(self, label: Any) -> str:
        texts = label if isinstance(label, list) else [label]
        if len(texts) != 1 or not isinstance(texts[0], str):
            raise self._fault("handler label", label, "one expression")
        return texts[0]

    def _processors(self, listed: Any) -> list[dict[str, Any]]:
        """Return processors; those that only choose columns become the list of features."""
        kept = []
        for one in listed:
            given = dict(one) if isinstance(one, Mapping) else {"class": one}
            given.pop("module_path", None)
            if given.get("class") in ("FilterCol", "DropCol"):
                self._columns(given["class"], dict(given.get("kwargs") or {}))
                continue
            kwargs = dict(given.get("kwargs") or {})
            for key in ("fit_start_time", "fit_end_time"):
                kwargs.pop(key, None)
            if given.get("class") == "Fillna" and "fields_group" not in kwargs:
                kwargs["fields_group"] = "feature"
            kept.append({"class": given.get("class"), **({"kwargs": kwargs} if kwargs else {})})
        return kept

    def _columns(self, name: str, kwargs: Mapping[str, Any]) -> None:
        listed = list(kwargs.get("col_list", []))
        unknown = [one for one in listed if one not in ALPHA158_NAMES]
        if unknown:
            raise self._fault(f"{name} col_list", unknown[0], "a factor of Alpha158")
        if name == "DropCol":
            listed = [one for one in ALPHA158_NAMES if one not in set(listed)]
        self._found.training["features"] = listed

    def _session(self, session: Any) -> None:
        if not isinstance(session, Mapping):
            return
        for key, value in session.items():
            if key == "region":
                self._found.training["region"] = str(value).lower()
            else:
                self._note(f"qlib_init {key}", "the data is that of [source]")

    def _backtest(self, config: Any) -> None:
        if not isinstance(config, Mapping):
            return
        strategy = config.get("strategy") or {}
        if strategy and strategy.get("class") != "TopkDropoutStrategy":
            raise self._fault("strategy", strategy.get("class"), "TopkDropoutStrategy")
        training = self._found.training
        for key, value in dict(strategy.get("kwargs") or {}).items():
            if key in ("topk", "n_drop"):
                training[key] = value
        backtest = dict(config.get("backtest") or {})
        if "account" in backtest:
            training["account"] = float(backtest["account"])
        if backtest.get("exchange_kwargs"):
            self._note("backtest exchange_kwargs", "costs and limits are those of [backtest]")


def _table(document: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    found = document.get(key)
    if not isinstance(found, Mapping):
        raise TrainingError(f"{where}: {key}: was {found!r}, must be a table")
    return found
