"""``POST /v1/score``: the caller names a day and instruments, the server looks the features up.

Without ``instruments`` every instrument of the day is scored, the highest score first (equal
scores by name); with them, exactly those, in the order asked for. Without ``date`` it is the newest
day that has rows.
"""

import contextlib
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from qlops_assets.core.errors import BadRequestError, DatasetMissingError, UnknownInstrumentsError
from qlops_assets.core.prediction import FeatureLookup, FeatureRows, Predictor
from qlops_assets.serving.protocol import check_fields, json_scores, read_json_object, text_field
from qlops_assets.serving.slots import Slot
from qlops_assets.serving.tensors import shown

_FIELDS = ("date", "instruments", "unit_id")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A request to score that was understood."""

    day: date | None
    instruments: list[str] | None
    unit_id: str | None


def read_score(body: bytes) -> ScoreRequest:
    """Return the request of ``/v1/score``; an empty body asks for everything of the newest day.

    Raises:
        BadRequestError: a field is unknown or of the wrong type.
    """
    request = read_json_object(body) if body.strip() else {}
    check_fields(request, _FIELDS)
    return ScoreRequest(
        _day(request.get("date")),
        _instruments(request.get("instruments")),
        text_field(request, "unit_id"),
    )


def find_rows(features: FeatureLookup, model: Predictor, request: ScoreRequest) -> FeatureRows:
    """Return the feature rows that a request asks a model to score.

    Raises:
        DatasetMissingError: there are no rows for that day, or none at all.
        FeatureDefinitionError: they are not of the definitions that the model was trained on.
        UnknownInstrumentsError: instruments have no row on that day.
    """
    day, asked = request.day or features.last_date(), request.instruments
    if day is None:
        raise DatasetMissingError("feature rows", [], "materialize the factors first")
    try:
        rows = features.rows(
            day, model.features, asked, expressions=model.expressions, window=model.window
        )
    except DatasetMissingError:
        if asked is None:
            raise
        features.rows(day, model.features)  # raises where the day has no rows at all
        raise UnknownInstrumentsError(day, asked) from None
    missing = set(asked or ()) - set(rows.instruments)
    if missing:
        raise UnknownInstrumentsError(day, [name for name in asked or () if name in missing])
    return rows


def score_answer(
    slot: Slot, rows: FeatureRows, request: ScoreRequest, *, model: str
) -> dict[str, Any]:
    """Return the answer to a score request."""
    scores = json_scores(slot.scores(rows.values))
    pairs = list(zip(rows.instruments, scores, strict=True))
    if request.instruments is None:
        pairs.sort(key=lambda pair: (pair[1] is None, -(pair[1] or 0.0), pair[0]))
    return {
        "model_name": model,
        "model_version": slot.version,
        "date": rows.date.isoformat(),
        **({"simulated": True} if slot.is_simulated else {}),
        **({"unit_id": request.unit_id} if request.unit_id is not None else {}),
        "count": len(pairs),
        "scores": [{"instrument": name, "score": score} for name, score in pairs],
    }


def _day(value: Any) -> date | None:
    if value is None:
        return None
    with contextlib.suppress(ValueError):
        if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
    raise BadRequestError("date", f"was {shown(value)}", "must be a day as YYYY-MM-DD")


def _instruments(value: Any) -> list[str] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise BadRequestError(
            "instruments", f"was {shown(value)}", "must be a list of at least one instrument"
        )
    seen: set[str] = set()
    for index, name in enumerate(value):
        place = f"instruments[{index}]"
        if not isinstance(name, str) or not name:
            raise BadRequestError(place, f"was {shown(name)}", "must be an instrument's name")
        if name in seen:
            raise BadRequestError(place, f"was {shown(name)} again", "name each instrument once")
        seen.add(name)
    return value
