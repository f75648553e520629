"""K-means selection of n diverse rows (paper, Table 4: 500 rows chosen by K-means over embeddings)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from parammem.errors import DataError


def select_diverse(vectors: NDArray[np.floating], n: int, seed: int) -> list[int]:
    """Return row numbers, ascending, of n rows: for each of n K-means centroids the nearest row that is not taken yet.

    vectors is (N, D). All rows if N <= n. The same vectors and seed give the same rows.

    Raises:
        DataError: n is not positive.
    """
    if n <= 0:
        raise DataError(
            f"{n} is no number of rows to select; set train.select to a positive number, or to 0 to keep all rows"
        )
    if len(vectors) <= n:
        return list(range(len(vectors)))
    centroids = _centroids(vectors, n, seed)
    taken: set[int] = set()
    for centroid in centroids:
        distance = ((vectors - centroid) ** 2).sum(axis=1)
        # Equal rows make equal centroids: the next nearest row keeps the count at n.
        taken.add(next(int(row) for row in np.argsort(distance, kind="stable") if int(row) not in taken))
    return sorted(taken)


def _centroids(vectors: NDArray[np.floating], n: int, seed: int) -> NDArray[np.floating]:
    """Return the centroids, (n, D). With fewer distinct rows than n, K-means gives the distinct ones and the rest
    repeats them."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Says that there are fewer distinct rows than clusters, which the caller's fallback handles.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(n_clusters=n, n_init="auto", random_state=seed).fit(vectors).cluster_centers_
