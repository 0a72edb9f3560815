"""The dataset that we train on against the one that Qlib's own handler makes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from qlops_assets.core.errors import TrainingError
from qlops_assets.core.progress import Unreported
from qlops_assets.core.settings import Settings, UniverseSettings
from qlops_assets.factors.agreement import ABSOLUTE, RELATIVE
from qlops_assets.factors.alpha158_names import ALPHA158_NAMES
from qlops_assets.features.current import current_version
from qlops_assets.features.store import FeatureStore
from qlops_assets.features.version import FeatureVersion
from qlops_assets.lake.datasets import bars_dataset
from qlops_assets.lake.qlib_bin import build_provider
from qlops_assets.lake.scan import scan
from qlops_assets.models.qlib_session import qlib_session
from qlops_assets.models.trainer import TREE_PROCESSORS
from qlops_assets.training.fit import prepare_training_set
from qlops_assets.training.frame import (
    compute_labels,
    qlib_dataset,
    require_label,
    require_rows,
    training_frame,
    training_rows,
)
from qlops_assets.training.segments import Segments
from qlops_assets.training.spec import training_spec
from qlops_assets_tests.support.market import elsewhere, market_days, universe_spans
from qlops_assets_tests.support.plain_provider import write_plain_provider
from qlops_assets_tests.support.qlib_data import plain_frame, plain_rows

DAYS = market_days()
SEGMENTS = ("train", "valid", "test")


def table(settings: Settings) -> FeatureVersion:
    version = FeatureStore(settings).latest()
    assert version is not None
    return version


@pytest.fixture(scope="module")
def labels(market: Settings) -> pl.DataFrame:
    return compute_labels(market, market.training.label, Unreported())


@pytest.fixture(scope="module")
def rows(market: Settings, labels: pl.DataFrame) -> pl.DataFrame:
    return plain_rows(market, table(market), labels, ALPHA158_NAMES)


@pytest.fixture(scope="module")
def segments(market: Settings) -> Segments:
    return training_spec(market).segments


@pytest.fixture(scope="module")
def datasets(
    market: Settings,
    labels: pl.DataFrame,
    segments: Segments,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Any, Any]:
    """Return our dataset, and Qlib's own over a provider that a second writer wrote."""
    plain = tmp_path_factory.mktemp("plain") / "provider"
    write_plain_provider(plain, bars_dataset(market).read(), universe=universe_spans())
    with qlib_session(build_provider(market)):
        frame, _ = training_frame(market, table(market), labels, ALPHA158_NAMES)
        ours = qlib_dataset(frame, segments, TREE_PROCESSORS)
    with qlib_session(plain):
        from qlib.contrib.data.handler import Alpha158
        from qlib.data.dataset import DatasetH

        cut = {name: getattr(segments, name) for name in SEGMENTS}
        return ours, DatasetH(Alpha158(instruments="core"), segments=cut)


@pytest.mark.parametrize("segment", SEGMENTS)
@pytest.mark.parametrize("data_key", ["learn", "infer", "raw"])
def test_dataset_equals_qlibs_own_handler(
    datasets: tuple[Any, Any], segment: str, data_key: str
) -> None:
    ours, theirs = (
        dataset.prepare(segment, col_set=["feature", "label"], data_key=data_key)
        for dataset in datasets
    )
    assert ours.index.tolist() == theirs.index.tolist()
    assert ours.columns.tolist() == theirs.columns.tolist()
    # The factors' engine and Qlib agree by a rule; rows, columns and missing cells are the same.
    np.testing.assert_allclose(
        ours.to_numpy(np.float32), theirs.to_numpy(np.float32), rtol=RELATIVE, atol=ABSOLUTE
    )
    assert len(ours) > 1000


def test_rows_are_those_of_members_as_of_each_day(
    market: Settings, rows: pl.DataFrame, labels: pl.DataFrame
) -> None:
    """The oracle walks the spans day by day; a row that Qlib has is a day between two bars."""
    bars = bars_dataset(market).read()
    expected = set()
    for code, start, end in universe_spans():
        own = bars.filter(pl.col("instrument") == code)["date"].to_list()
        expected |= {
            (code, day) for day in DAYS if own and own[0] <= day <= own[-1] and start <= day <= end
        }
    found = set(rows.select("instrument", "date").iter_rows())
    assert found == expected
    assert rows.height == len(expected)
    assert labels.height > rows.height


def test_label_is_the_return_from_the_next_close_to_the_one_after(
    market: Settings, labels: pl.DataFrame
) -> None:
    closes = dict(
        bars_dataset(market)
        .read(columns=["close"])
        .filter(pl.col("instrument") == "SH600000")
        .select("date", "close")
        .iter_rows()
    )
    own = labels.filter(pl.col("instrument") == "SH600000").select("date", "LABEL0")
    for place, (day, label) in enumerate(own.iter_rows()):
        assert day == DAYS[place]
        ahead = [closes[d] for d in DAYS[place + 1 : place + 3]]
        if len(ahead) < 2 or None in ahead:
            assert np.isnan(label)
        else:
            assert label == pytest.approx(ahead[1] / ahead[0] - 1, abs=2e-7)


def test_rows_are_sorted_by_date_and_carry_every_factor(rows: pl.DataFrame) -> None:
    assert rows.equals(rows.sort("date", "instrument"), null_equal=True)
    assert rows.columns == ["instrument", "date", *ALPHA158_NAMES, "LABEL0"]


def test_training_frame_is_float32_in_qlibs_shape(market: Settings, labels: pl.DataFrame) -> None:
    frame, _ = training_frame(market, table(market), labels, ALPHA158_NAMES)
    assert frame.shape[1] == 159
    assert set(frame.dtypes) == {np.dtype("float32")}
    assert frame.index.names == ["datetime", "instrument"]
    assert isinstance(frame.index.levels[0], pd.DatetimeIndex)
    assert frame.columns[-1] == ("label", "LABEL0")
    assert frame.columns[0] == ("feature", "KMID")


def test_frame_filled_from_the_table_is_that_of_its_rows(
    market: Settings, rows: pl.DataFrame, labels: pl.DataFrame
) -> None:
    """The table holds other instruments too, and its years are filled by two threads."""
    features = ALPHA158_NAMES[::3]
    version = current_version(market, features)
    asked = rows.select("instrument", "date", *features, "LABEL0")
    for days in (None, (DAYS[3], DAYS[-9]), (DAYS[40], DAYS[40])):
        frame, keys = training_frame(market, version, labels, features, days)
        inside = asked.filter(pl.col("date").is_between(*days)) if days else asked
        pd.testing.assert_frame_equal(frame, plain_frame(inside), check_exact=True)
        assert keys.equals(inside.select("instrument", "date", "LABEL0"))
        assert np.isnan(frame.to_numpy()).any() or days is not None


def test_rows_with_a_label_are_counted_by_segment(rows: pl.DataFrame, segments: Segments) -> None:
    counts = require_rows(rows, segments)
    for name in SEGMENTS:
        first, last = getattr(segments, name)
        own = rows.filter((pl.col("date") >= first) & (pl.col("date") <= last))
        labelled = [x for x in own["LABEL0"].to_list() if x is not None and not np.isnan(x)]
        assert counts[name] == len(labelled)
    last_days = rows.filter(pl.col("date") >= DAYS[-2])["LABEL0"]
    assert last_days.is_nan().all()


def test_segment_without_a_label_is_refused(rows: pl.DataFrame, segments: Segments) -> None:
    days = (DAYS[-2], DAYS[-1])
    with pytest.raises(TrainingError, match=f"segment 'test' .{days[0]} to {days[1]}.: no row"):
        require_rows(rows, replace(segments, test=days))


def test_universe_without_rows_is_refused(market: Settings, tmp_path: Path) -> None:
    """Its only member's span is before the first bar."""
    copy = replace(elsewhere(market, tmp_path), universe=UniverseSettings(name="past"))
    (copy.source_folder / "past.txt").write_text("SH600000\t2001-01-01\t2002-01-01\n")
    scan(copy)
    empty = pl.DataFrame(schema={"instrument": pl.String, "date": pl.Date, "LABEL0": pl.Float32})
    with pytest.raises(TrainingError, match="universe 'past': no feature row belongs to it"):
        training_rows(copy, table(copy), empty)


@pytest.mark.parametrize(
    ("label", "horizon", "message"),
    [
        ("Ref($close,-6)/Ref($close,-1)-1", 2, "label_horizon_days: was 2, must be at least 6"),
        ("Mean(Ref($close,-3),5)/$close", 2, "must be at least 3"),
        ("Ref($close,-2", 2, r"label: expression, character 1: .*\n.*Ref\(\$close,-2\n *\^"),
        ("Reff($close,-2)", 2, "label: expression, character 1: .*did you mean 'Ref'"),
        ("Ref($clsoe,-2)/$close", 2, "unknown field '.clsoe'; did you mean 'close'"),
        ("__import__('os').getpid()", 2, "label: expression, character"),
        ("1", 2, "label: expression, character 1"),
    ],
)
def test_label_that_cannot_be_trained_on_is_refused(
    market: Settings, label: str, horizon: int, message: str
) -> None:
    training = replace(
        market.training, label=label, label_horizon_days=horizon, embargo_days=horizon
    )
    with pytest.raises(TrainingError, match=message):
        require_label(training)


def test_label_within_its_horizon_is_taken(market: Settings) -> None:
    far = "Ref($close,-6)/Ref($close,-1)-1"
    require_label(market.training)
    require_label(replace(market.training, label=far, label_horizon_days=6, embargo_days=6))


def test_training_set_of_a_label_that_sees_too_far_is_not_written(own_market: Settings) -> None:
    settings = replace(
        own_market, training=replace(own_market.training, label="Ref($close,-9)/$close-1")
    )
    version = training_spec(settings).version
    with pytest.raises(TrainingError, match="must be at least 9"):
        prepare_training_set(settings, version, Unreported())
    assert not settings.models.exists()


def test_training_set_of_another_version_is_refused(market: Settings) -> None:
    found = training_spec(market).version
    with pytest.raises(TrainingError, match=f"'other' was named after other data .* is '{found}'"):
        prepare_training_set(market, "other", Unreported())
