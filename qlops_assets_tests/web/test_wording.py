"""How numbers and times are written."""

from typing import Any

import pytest

from qlops_assets.web.wording import FILTERS

NAN = float("nan")


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        ("count", 2503114, "2,503,114"),
        ("count", None, "–"),
        ("count", "many", "–"),
        ("decimal", 0.04821, "0.0482"),
        ("decimal", -0.5, "−0.5000"),
        ("decimal", NAN, "–"),
        ("decimal", True, "–"),
        ("compact", 0.0392187, "0.0392"),
        ("compact", 250.196, "250"),
        ("compact", 1234.6, "1235"),
        ("compact", -0.5, "−0.5"),
        ("compact", 0.00001, "1.00e−5"),
        ("compact", 0.0, "0"),
        ("compact", 2503, "2503"),
        ("compact", "relu", "relu"),
        ("compact", [64, 32], "[64, 32]"),
        ("compact", True, "true"),
        ("compact", None, "–"),
        ("percent", 0.1142, "+11.42\N{NO-BREAK SPACE}%"),
        ("percent", -0.0614, "−6.14\N{NO-BREAK SPACE}%"),
        ("percent", float("inf"), "–"),
        ("duration", 0.0854, "85 ms"),
        ("duration", 12.34, "12.3 s"),
        ("duration", 59.97, "1 min 00 s"),
        ("duration", 125, "2 min 05 s"),
        ("duration", 3725, "1 h 02 min"),
        ("megabytes", 812.4, "812 MB"),
        ("megabytes", 1940, "1.9 GB"),
        ("megabytes", 999.7, "1.0 GB"),
        ("short", "0123456789abcdef", "0123456789ab"),
        ("short", None, "–"),
        ("when", None, "–"),
    ],
)
def test_value_is_written(form: str, value: Any, text: str) -> None:
    assert FILTERS[form](value) == text


def test_time_is_written_in_utc_for_people_and_exactly_for_programs() -> None:
    assert FILTERS["when"]("2025-01-02T08:00:00.123456+08:00") == (
        '<time datetime="2025-01-02T00:00:00.123+00:00">2025-01-02 00:00:00</time>'
    )
