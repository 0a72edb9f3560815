"""Rows as Qlib's handler would fetch them, for every way that Qlib asks."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.models.trainer import DENSE_PROCESSORS, TREE_PROCESSORS
from qlops_assets.training.processors import by_day, fitted_on
from qlops_assets.training.storage import processed
from qlops_assets_tests.support.qlib_data import CODES, DAYS, frame_of, provider_of

TRAIN = (DAYS[0], DAYS[49])
OF_FEATURES = {"infer": [], "learn": [{"class": "DropnaLabel"}, {"class": "CSZFillna"}]}
KINDS: dict[str, Any] = {
    "trees": TREE_PROCESSORS,
    "dense": DENSE_PROCESSORS,
    "of all columns": OF_FEATURES,
    "none": {"infer": [], "learn": []},
}
DAY = pd.Timestamp(DAYS[20])
SELECTORS: dict[str, Any] = {
    "all": slice(None),
    "between": slice(DAYS[10], DAYS[30]),
    "from a text": slice("2020-02-01", None),
    "until a day without rows": slice(None, pd.Timestamp("2020-03-01")),
    "nothing": slice(pd.Timestamp("2031-01-01"), None),
    "a pair": (DAYS[3], DAYS[5]),
    "a day": DAY,
}


@pytest.fixture(scope="module")
def handlers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Any]]:
    """Ours and Qlib's of the same frame, by the kind of processors."""
    from qlib.data.dataset.handler import DataHandlerLP
    from qlib.data.dataset.loader import StaticDataLoader
    from qlib.utils import init_instance_by_config

    frame = frame_of(DAYS)
    frame.iloc[::13, -1] = np.nan
    found = {}
    with qlib_session(provider_of(tmp_path_factory.mktemp("store") / "ones", 1.0)):
        for name, processors in KINDS.items():
            configured = {
                stage: [fitted_on(TRAIN, one) for one in processors[stage]]
                for stage in ("infer", "learn")
            }
            made = {
                stage: [init_instance_by_config(one) for one in ones]
                for stage, ones in configured.items()
            }
            with pd.option_context("mode.chained_assignment", None):
                theirs = DataHandlerLP(
                    data_loader=StaticDataLoader(frame.copy()),
                    infer_processors=configured["infer"],
                    learn_processors=configured["learn"],
                )
            found[name] = processed(frame.copy(), **made), theirs
    return found


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data_key", ["raw", "infer", "learn"])
def test_rows_are_those_of_qlibs_handler(
    handlers: dict[str, tuple[Any, Any]], kind: str, data_key: str, selector: str
) -> None:
    ours, theirs = handlers[kind]
    for columns in ("__all", "__raw", "feature", "label", ["feature", "label"], ["label"]):
        asked = {"col_set": columns, "data_key": data_key}
        mine = ours.fetch(SELECTORS[selector], **asked)
        expected = theirs.fetch(SELECTORS[selector], **asked)
        pd.testing.assert_frame_equal(mine, expected, check_exact=True)


@given(
    days=st.lists(st.integers(1, 6), min_size=1, max_size=30),
    seed=st.integers(0, 2**32 - 1),
    of_type=st.sampled_from([np.float32, np.float64]),
)
def test_scores_by_day_are_those_of_qlibs_processor(
    days: list[int], seed: int, of_type: Any
) -> None:
    """To the last bit; days of one row, of equal labels and of none that is known included."""
    from qlib.data.dataset.processor import CSZScoreNorm

    rng = np.random.default_rng(seed)
    dates = np.repeat(pd.bdate_range("2020-01-01", periods=len(days)).to_numpy(), days)
    codes = [f"S{place}" for place in range(len(dates))]
    index = pd.MultiIndex.from_arrays([dates, codes], names=["datetime", "instrument"])
    label = rng.choice([np.nan, 0.0, 0.01, -0.5, 1e-20, 1.0], len(dates)).astype(of_type)
    label += rng.normal(size=len(label)).astype(of_type) * rng.integers(0, 2)
    columns = pd.MultiIndex.from_tuples([("label", "LABEL0"), ("row", "place")])
    frame = pd.DataFrame({0: label, 1: np.arange(len(label))}, index=index)
    frame.columns = columns
    expected = CSZScoreNorm("label")(frame.copy())
    found = by_day(CSZScoreNorm("label"))(frame.copy())
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


@pytest.mark.parametrize("kind", KINDS)
def test_columns_and_other_selections_are_those_of_qlibs_handler(
    handlers: dict[str, tuple[Any, Any]], kind: str
) -> None:
    ours, theirs = handlers[kind]
    for columns in ("feature", "label", "__all", "__raw"):
        assert ours.get_cols(columns) == theirs.get_cols(columns)
    for data_key in ("infer", "learn"):
        by_code = {"level": "instrument", "col_set": "feature", "data_key": data_key}
        code = slice(CODES[3], CODES[5])
        pd.testing.assert_frame_equal(ours.fetch(code, **by_code), theirs.fetch(code, **by_code))
        first = {"col_set": "feature", "data_key": data_key, "proc_func": pd.DataFrame.abs}
        pd.testing.assert_frame_equal(ours.fetch(**first), theirs.fetch(**first))
        label = {"col_set": "label", "data_key": data_key, "squeeze": True}
        pd.testing.assert_series_equal(ours.fetch(**label), theirs.fetch(**label))


def test_features_of_a_segment_are_not_copied(handlers: dict[str, tuple[Any, Any]]) -> None:
    ours, _ = handlers["trees"]
    first = ours.fetch(slice(DAYS[0], DAYS[9]), col_set="feature", data_key="infer")
    again = ours.fetch(slice(DAYS[5], DAYS[9]), col_set="feature", data_key="infer")
    assert np.shares_memory(first.to_numpy(), again.to_numpy())
