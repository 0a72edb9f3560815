"""Which columns of the bars an indicator is computed from."""

from collections.abc import Mapping

from qlops_assets.core.columns import FIELDS
from qlops_assets.indicators.families.inputs import COLUMNS, Inputs
from qlops_assets.indicators.names import column
from qlops_assets.indicators.own import OwnIndicator


def bar_columns(name: str, own: Mapping[str, OwnIndicator]) -> tuple[str, ...]:
    """Return the columns of the bars that an indicator reads, by itself or through others.

    A function of the user's own is given all of them.

    Raises:
        IndicatorError: there is no such indicator.
    """
    if name not in own:
        return _of_ours(name)
    one = own[name]
    if one.is_function:
        return FIELDS
    through = {field for read in one.reads for field in bar_columns(read, own)}
    return tuple(sorted(through.union(one.fields)))


def _of_ours(name: str) -> tuple[str, ...]:
    one, inputs = column(name), Inputs()
    output = one.indicator.build(inputs, one.parameters)[one.output]
    before = {**inputs.prepared, **inputs.series}
    waiting, seen = set(output.meta.root_names()), set()
    while waiting:
        root = waiting.pop()
        if root not in seen and root in before:
            waiting.update(before[root].meta.root_names())
        seen.add(root)
    return tuple(sorted(seen.intersection(COLUMNS)))
