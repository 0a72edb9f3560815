"""Tasks of Qlib's: its own benchmark files are read, and what we write Qlib trains to the same."""

from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from ruamel.yaml import YAML

from qlops_assets.core.errors import SettingsError, TrainingError
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.training.fit import fit_model, predictions_path, prepare_training_set
from qlops_assets.training.recipes import as_toml, keep_recipe, read_spec, recipe_of, with_recipe
from qlops_assets.training.spec import training_spec
from qlops_assets.training.tasks.reading import read_task
from qlops_assets.training.tasks.writing import qlib_task, task_yaml
from qlops_assets_tests.support.market import copied

# As examples/benchmarks/LightGBM/workflow_config_lightgbm_Alpha158.yaml of Qlib 0.9.7 has it.
LIGHTGBM = """
qlib_init:
    provider_uri: "~/.qlib/qlib_data/cn_data"
    region: cn
market: &market csi300
benchmark: &benchmark SH000300
data_handler_config: &data_handler_config
    start_time: 2008-01-01
    end_time: 2020-08-01
    fit_start_time: 2008-01-01
    fit_end_time: 2014-12-31
    instruments: *market
port_analysis_config: &port_analysis_config
    strategy:
        class: TopkDropoutStrategy
        module_path: qlib.contrib.strategy
        kwargs:
            signal: <PRED>
            topk: 50
            n_drop: 5
    backtest:
        start_time: 2017-01-01
        end_time: 2020-08-01
        account: 100000000
        benchmark: *benchmark
        exchange_kwargs:
            limit_threshold: 0.095
            deal_price: close
            open_cost: 0.0005
            close_cost: 0.0015
            min_cost: 5
task:
    model:
        class: LGBModel
        module_path: qlib.contrib.model.gbdt
        kwargs:
            loss: mse
            colsample_bytree: 0.8879
            learning_rate: 0.2
            subsample: 0.8789
            lambda_l1: 205.6999
            lambda_l2: 580.9768
            max_depth: 8
            num_leaves: 210
            num_threads: 20
    dataset:
        class: DatasetH
        module_path: qlib.data.dataset
        kwargs:
            handler:
                class: Alpha158
                module_path: qlib.contrib.data.handler
                kwargs: *data_handler_config
            segments:
                train: [2008-01-01, 2014-12-31]
                valid: [2015-01-01, 2016-12-31]
                test: [2017-01-01, 2020-08-01]
    record:
        - class: SignalRecord
          module_path: qlib.workflow.record_temp
"""
# As workflow_config_lstm_Alpha158.yaml, its list of columns shortened.
LSTM_TASK = """
model:
    class: LSTM
    module_path: qlib.contrib.model.pytorch_lstm_ts
    kwargs: {d_feat: 3, hidden_size: 64, num_layers: 2, dropout: 0.0, n_epochs: 200, lr: 1e-3,
             early_stop: 10, batch_size: 800, metric: loss, loss: mse, n_jobs: 20, GPU: 0}
dataset:
    class: TSDatasetH
    module_path: qlib.data.dataset
    kwargs:
        handler:
            class: Alpha158
            module_path: qlib.contrib.data.handler
            kwargs:
                infer_processors:
                    - class: FilterCol
                      kwargs: {fields_group: feature, col_list: ["RESI5", "WVMA5", "RSQR5"]}
                    - class: RobustZScoreNorm
                      kwargs: {fields_group: feature, clip_outlier: true}
                    - {class: Fillna, kwargs: {fields_group: feature}}
                learn_processors:
                    - class: DropnaLabel
                    - {class: CSRankNorm, kwargs: {fields_group: label}}
                label: ["Ref($close, -2) / Ref($close, -1) - 1"]
        segments:
            train: [2008-01-01, 2014-12-31]
            valid: [2015-01-01, 2016-12-31]
            test: [2017-01-01, 2020-08-01]
        step_len: 20
"""


READER = YAML(typ="safe", pure=True)


def written(document: Any) -> str:
    out = StringIO()
    READER.dump(document, out)
    return out.getvalue()


def changed(**changes: Any) -> str:
    document = READER.load(LIGHTGBM)
    for path, value in changes.items():
        table = document
        *names, last = path.split("__")
        for name in names:
            table = table[name]
        table[last] = value
    return written(document)


def test_qlibs_lightgbm_benchmark_is_read() -> None:
    found = read_task(LIGHTGBM, "task.yaml")
    assert found.training == {
        "model": "lightgbm",
        "parameters": {
            "loss": "mse",
            "colsample_bytree": 0.8879,
            "learning_rate": 0.2,
            "subsample": 0.8789,
            "lambda_l1": 205.6999,
            "lambda_l2": 580.9768,
            "max_depth": 8,
            "num_leaves": 210,
        },
        "threads": 20,
        "segments": {
            "train": ["2008-01-01", "2014-12-31"],
            "valid": ["2015-01-01", "2016-12-31"],
            "test": ["2017-01-01", "2020-08-01"],
        },
        "purge": True,
        "region": "cn",
        "topk": 50,
        "n_drop": 5,
        "account": 1e8,
    }
    said = " ".join(found.notes)
    for what in ("record", "provider_uri", "csi300", "exchange_kwargs", "start_time"):
        assert what in said


def test_qlibs_lstm_benchmark_is_read() -> None:
    found = read_task(f"task:\n{_indented(LSTM_TASK)}", "task.yaml").training
    assert (found["model"], found["rounds"], found["early_stopping_rounds"]) == ("lstm", 200, 10)
    assert found["features"] == ["RESI5", "WVMA5", "RSQR5"]
    assert found["parameters"]["step_len"] == 20
    assert found["parameters"]["lr"] == 1e-3
    assert [one["class"] for one in found["processors"]["infer"]] == ["RobustZScoreNorm", "Fillna"]
    assert found["label"] == "Ref($close, -2) / Ref($close, -1) - 1"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "must be a task of Qlib's"),
        ("{", "not YAML"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("x: 1", "task: was None, must be a table"),
        ("# " + "x" * 300_000, "at most 200000"),
        (changed(task__model__class="LGBMModel"), "did you mean 'LGBModel'"),
        (changed(task__model__module_path="os"), r"unknown class 'os\.LGBModel'"),
        (changed(task__dataset__class="System"), "DatasetH or TSDatasetH"),
        (changed(task__dataset__kwargs__handler__class="Alpha360"), "must be Alpha158"),
        (changed(task__dataset__kwargs__handler__module_path="os"), "must be Alpha158"),
        (changed(task__dataset__kwargs__segments__valid="2015"), "a first and a last day"),
        (changed(task__dataset__kwargs__segments__valid=["2015", "x"]), "YYYY-MM-DD"),
        (
            changed(task__dataset__kwargs__handler__kwargs__fit_end_time="2016-01-01"),
            "2014-12-31, as of train",
        ),
        (changed(port_analysis_config__strategy__class="Mine"), "TopkDropoutStrategy"),
    ],
)
def test_task_that_cannot_be_taken_over_is_refused(text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        read_task(text, "task.yaml")


def small(market: Settings, home: Path, **changes: Any) -> Settings:
    own = copied(market, home)
    training = replace(own.training, rounds=12, early_stopping_rounds=4, **changes)
    return replace(own, training=training)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("lightgbm", {"num_leaves": 6, "lambda_l1": 0.1, "lambda_l2": 1.0}),
        ("linear", {}),
        ("gru", {"hidden_size": 8, "step_len": 5, "num_layers": 1, "batch_size": 100}),
    ],
)
def test_written_task_is_trained_by_qlib_to_the_same_scores(
    market: Settings, tmp_path: Path, model: str, parameters: dict[str, Any]
) -> None:
    """Qlib's own expressions, handler, dataset and model, from the file alone."""
    settings = small(
        market,
        tmp_path / "home",
        model=model,
        parameters=parameters,
        features=("KMID", "ROC5", "STD5", "CORR10"),
    )
    spec = training_spec(settings)
    prepare_training_set(settings, spec.version, Unreported())
    fit_model(settings, spec.version, Unreported())
    ours = pl.read_parquet(predictions_path(settings, spec.version)).filter(segment="test")
    provider = build_provider(settings)
    task = READER.load(task_yaml(settings, spec, provider))["task"]
    with qlib_session(provider, region="cn"), pytest.MonkeyPatch.context() as patch:
        from qlib.contrib.model import gbdt
        from qlib.utils import init_instance_by_config

        patch.setattr(gbdt, "R", _Silent())
        with pd.option_context("mode.chained_assignment", None):
            dataset = init_instance_by_config(task["dataset"])
        fitted = init_instance_by_config(task["model"])
        fitted.fit(dataset)
        theirs = fitted.predict(dataset)
    theirs = theirs[theirs.index.get_level_values("instrument").isin(ours["instrument"].unique())]
    table = pl.DataFrame(
        {
            "date": theirs.index.get_level_values("datetime").to_numpy().astype("datetime64[D]"),
            "instrument": theirs.index.get_level_values("instrument").to_list(),
            "theirs": theirs.to_numpy().astype(np.float64),
        }
    ).cast({"date": pl.Date})
    both = ours.join(table, on=["date", "instrument"], how="inner")
    assert both.height == ours.height > 500
    agreement = float(both.select(pl.corr("score", "theirs")).item())
    # Qlib's gru leaves out the rows of valid that do not fill a batch, and may stop elsewhere.
    assert agreement > (0.9 if model == "gru" else 0.9999)


class _Silent:
    def log_metrics(self, **_: Any) -> None:
        pass


def test_indicator_is_refused_as_it_is_no_expression_of_qlibs(
    market: Settings, tmp_path: Path
) -> None:
    settings = small(market, tmp_path / "home", features=("KMID", "ROC5"))
    spec = replace(training_spec(settings), feature_names=("KMID", "rsi_14"))
    with pytest.raises(TrainingError, match="'rsi_14' is no expression"):
        qlib_task(settings, spec, tmp_path)


def test_recipe_as_toml_is_read_back(market: Settings, tmp_path: Path) -> None:
    processors = {"learn": [{"class": "DropnaLabel"}]}
    settings = replace(
        market, training=replace(market.training, model="xgboost", processors=processors)
    )
    file = tmp_path / "recipe.toml"
    file.write_text(as_toml(recipe_of(settings)))
    found, notes = read_spec(market, file)
    assert found.training == settings.training
    assert found.backtest == settings.backtest
    assert not notes


def test_version_keeps_the_recipe_that_it_was_asked_for_with(tmp_path: Path) -> None:
    first = Settings(home=tmp_path)
    asked = replace(first, training=replace(first.training, rounds=17, features=("KMID",)))
    (tmp_path / "models" / "v").mkdir(parents=True)
    keep_recipe(asked, "v")
    keep_recipe(first, "v")  # once and for all
    assert with_recipe(first, "v") == asked
    assert with_recipe(first, "other") == first


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("x.toml", "[training]\nround = 3", "did you mean 'rounds'"),
        ("x.toml", "[trainings]\nrounds = 3", "unknown section 'trainings'"),
        ("x.toml", "[training", "not TOML"),
        ("x.json", "{}", r"must end in \.toml"),
    ],
)
def test_recipe_that_cannot_be_read_is_refused(
    tmp_path: Path, name: str, text: str, error: str
) -> None:
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises((TrainingError, SettingsError), match=error):
        read_spec(Settings(home=tmp_path), file)


def test_recipe_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read_spec(Settings(home=tmp_path), tmp_path / "none.toml")
