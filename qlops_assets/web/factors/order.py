"""The map of correlations: which factors stand beside each other, and the values between them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qlops_assets.web.factors.view import ReportView


def correlation_map(view: "ReportView") -> dict[str, Any]:
    """Return the factors in the order of the map, and their correlations in hundredths.

    ``values`` holds the upper triangle row by row, without the diagonal; null where a pair was
    never comparable.
    """
    import numpy as np

    analysis = view.record.analysis
    matrix = analysis.correlation.drop("factor").to_numpy().astype(np.float64)
    order = leaf_order(matrix)
    names = [analysis.factors[place] for place in order]
    upper = matrix[np.ix_(order, order)][np.triu_indices(len(order), k=1)]
    return {
        "factors": names,
        "clusters": [view.by_name[name]["cluster"] for name in names],
        "cluster_correlation": analysis.rules.cluster_correlation,
        "days": analysis.rules.correlation_days,
        "values": [None if np.isnan(v) else round(100 * v) for v in upper.tolist()],
    }


def leaf_order(matrix: Any) -> Sequence[int]:
    """Return the factors as leaves of the tree by which clusters are cut, alike beside alike.

    Average linkage on ``1 - |correlation|`` (``factors.analysis.clusters``), so that every cluster
    is one stretch; branches are turned so that neighbours are as near as the tree allows.
    """
    import numpy as np
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    if len(matrix) < 3:
        return list(range(len(matrix)))
    distance = 1.0 - np.abs(np.nan_to_num(matrix, nan=0.0))
    np.fill_diagonal(distance, 0.0)
    near = np.clip(squareform(distance, checks=False), 0.0, None)
    tree = linkage(near, method="average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]
