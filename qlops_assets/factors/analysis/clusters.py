"""Which factors say the same: clusters by rank correlation, each with its best member."""

import numpy as np
from numpy.typing import NDArray


def clusters_of(correlation: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Return the cluster of each factor, numbered from 1 in order of appearance.

    Average linkage on ``1 - |correlation|``, cut at ``1 - least``. A pair that could not be
    compared counts as unrelated.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(correlation) < 2:
        return np.ones(len(correlation), dtype=np.int64)
    distance = 1.0 - np.abs(np.nan_to_num(correlation, nan=0.0))
    np.fill_diagonal(distance, 0.0)
    tree = linkage(squareform(distance, checks=False), method="average")
    found = fcluster(tree, t=1.0 - least, criterion="distance")
    _, first, inverse = np.unique(found, return_index=True, return_inverse=True)
    numbers = np.empty(first.size, dtype=np.int64)
    numbers[np.argsort(first)] = np.arange(1, first.size + 1)
    return numbers[inverse]


def representatives(
    clusters: NDArray[np.int64], strength: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return whether each factor is the strongest of its cluster, the first of equals.

    Args:
        clusters: Of each factor.
        strength: Of each factor; one without (NaN) is the weakest.
    """
    chosen = np.zeros(clusters.size, dtype=bool)
    known = np.where(np.isnan(strength), -np.inf, strength)
    for cluster in np.unique(clusters):
        inside = np.flatnonzero(clusters == cluster)
        chosen[inside[np.argmax(known[inside])]] = True
    return chosen
