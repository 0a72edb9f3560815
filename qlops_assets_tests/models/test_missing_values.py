"""Missing values against a second implementation of LightGBM's rule, walked tree by tree.

The rule (LightGBM's ``Tree::NumericalDecision``): where the node's missing type is None, NaN is
taken as 0; where it is Zero, NaN and |x| <= 1e-35 go the default way; where it is NaN, NaN does.
Else left if x <= threshold.
"""

import math
from collections.abc import Iterator
from typing import Any

import lightgbm
import numpy as np
import pytest

from qlops_assets.models.lightgbm_predictor import load_text

_ZERO = 1e-35
_WIDTH = 4


def goes_left(node: dict[str, Any], value: float) -> bool:
    kind = node["missing_type"]
    if kind != "NaN" and math.isnan(value):
        value = 0.0
    is_missing = math.isnan(value) if kind == "NaN" else (kind == "Zero" and abs(value) <= _ZERO)
    return bool(node["default_left"]) if is_missing else value <= node["threshold"]


def leaf(node: dict[str, Any], row: np.ndarray) -> float:
    while "split_index" in node:
        left = goes_left(node, float(row[node["split_feature"]]))
        node = node["left_child" if left else "right_child"]
    return float(node["leaf_value"])


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "split_index" in node:
        yield node
        yield from nodes(node["left_child"])
        yield from nodes(node["right_child"])


def trained(has_missing: bool, **parameters: Any) -> lightgbm.Booster:
    rng = np.random.default_rng(11)
    values = rng.normal(size=(500, _WIDTH)).astype(np.float32)
    label = values[:, 0] + np.abs(values[:, 1])
    values[rng.random(values.shape) < 0.2] = np.nan if has_missing else 0.0
    settings = {"num_leaves": 8, "verbose": -1, "num_threads": 1, **parameters}
    return lightgbm.train(settings, lightgbm.Dataset(values, label=label), num_boost_round=10)


def hard_rows() -> np.ndarray:
    rows = np.random.default_rng(12).normal(size=(200, _WIDTH)).astype(np.float32)
    special = np.float32([np.nan, 0.0, -0.0, 1e-36, -1e-36, 1e-34, 3e38, -3e38])
    pick = np.random.default_rng(13).integers(0, 2 * len(special), size=rows.shape)
    return np.where(pick < len(special), special[pick % len(special)], rows)


@pytest.mark.parametrize(
    ("booster", "kind"),
    [
        pytest.param(trained(has_missing=True), "NaN", id="missing seen in training"),
        pytest.param(trained(has_missing=False), "None", id="missing never seen"),
        pytest.param(trained(has_missing=True, zero_as_missing=True), "Zero", id="zero is missing"),
        pytest.param(
            trained(has_missing=True, use_missing=False), "None", id="missing switched off"
        ),
    ],
)
def test_missing_values_go_the_way_the_model_says(booster: lightgbm.Booster, kind: str) -> None:
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    assert {node["missing_type"] for tree in trees for node in nodes(tree)} == {kind}
    predictor = load_text(booster.model_to_string().encode(), [f"f{i}" for i in range(_WIDTH)])
    rows = hard_rows()
    walked = [math.fsum(leaf(tree, row) for tree in trees) for row in rows]
    np.testing.assert_allclose(predictor.predict(rows), walked, rtol=1e-12, atol=1e-14)
