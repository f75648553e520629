"""How unlike each other the draws of a reflector are, and whether that goes with success.

Sentence embeddings hardly tell opposite advice apart, so diversity is counted twice: in distinct parsed hypotheses
and their entropy, and (as the paper does) in cosine distances and clusters of embeddings.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from parammem.core.record import Record
from parammem.core.words import count
from parammem.evaluation.runs import AdviceDraws, Slice
from parammem.evaluation.statistics import resamples

TIES = 5
"""Decimals of a value beyond which ranks take it for noise."""
CLUSTERED = 4000
"""Draws that are clustered; of more, so many are taken by the seed: distances of all pairs grow with the square."""


class TaskDiversity(Record):
    """Diversity of one reflector's draws on one task."""

    domain: str
    reflector: str
    temperature: float
    task_id: str
    slice: Slice = "eval"
    world: int = 0
    draws: int
    distinct: int
    """Distinct sets of claims among the draws that claim something."""
    entropy: float
    """Of these sets, in bits; at most log2(draws)."""
    distance: float | None = None
    """Mean pairwise cosine distance of the draws' embeddings (0 to 2); None if none were given."""


class DiversityMean(Record):
    """Means over tasks."""

    distinct: float
    entropy: float
    distance: float | None
    tasks: int


class Clusters(Record):
    """K-means over all draws of a reflector (paper, Figure 4)."""

    domain: str = ""
    reflector: str = ""
    temperature: float = 1.0
    k_star: int
    """Number of clusters at the elbow of the inertia curve."""
    silhouette: float | None
    """Mean silhouette at k_star; None for one cluster."""
    inertia: dict[int, float]
    silhouettes: dict[int, float]


class Correlation(Record):
    """Pearson's and Spearman's coefficient with 95% bootstrap intervals over tasks. None where one side is constant."""

    pearson: float | None
    pearson_low: float | None
    pearson_high: float | None
    spearman: float | None
    spearman_low: float | None
    spearman_high: float | None
    n: int


def measure(draws: AdviceDraws, embeddings: np.ndarray | None = None) -> TaskDiversity:
    """Return diversity of one task's draws; `embeddings` has shape (draws, dimensions)."""
    sets = [tuple(sorted(claims)) for claims in draws.claims if claims]
    return TaskDiversity(
        domain=draws.domain,
        reflector=draws.reflector,
        temperature=draws.temperature,
        task_id=draws.task_id,
        slice=draws.slice,
        world=draws.world,
        draws=len(draws.texts),
        distinct=len(set(sets)),
        entropy=entropy(sets),
        distance=None if embeddings is None else cosine_distance(embeddings),
    )


def summarise(rows: Iterable[TaskDiversity]) -> DiversityMean | None:
    """Return means over tasks; None without rows."""
    rows = list(rows)
    if not rows:
        return None
    distances = [row.distance for row in rows if row.distance is not None]
    return DiversityMean(
        distinct=float(np.mean([row.distinct for row in rows])),
        entropy=float(np.mean([row.entropy for row in rows])),
        distance=float(np.mean(distances)) if distances else None,
        tasks=len(rows),
    )


def entropy(items: Sequence[object]) -> float:
    """Return entropy in bits of the empirical distribution of items; 0 for none."""
    counts = Counter(items).values()
    total = sum(counts)
    return abs(-sum(c / total * math.log2(c / total) for c in counts)) if total else 0.0


def cosine_distance(embeddings: np.ndarray) -> float:
    """Return mean pairwise cosine distance of rows, shape (n, dimensions); 0 for fewer than two rows.

    A row of zeros is at distance 1 from every other.
    """
    n = len(embeddings)
    if n < 2:
        return 0.0
    unit = _unit(embeddings)
    similarity = unit @ unit.T
    off = float(similarity.sum() - np.trace(similarity)) / (n * (n - 1))
    return float(min(2.0, max(0.0, 1 - off)))


def clusters(embeddings: np.ndarray, k_max: int = 60, seed: int = 0) -> Clusters:
    """Return k* by the elbow: the k whose inertia lies farthest below the straight line from k = 1 to the largest k
    tried.

    Rows of shape (n, dimensions) are scaled to unit length; of more than CLUSTERED, so many are drawn. Tries about
    fifteen values of k up to min(k_max, distinct rows); seconds for a thousand rows. Deterministic for a seed. Small
    and degenerate inputs give one cluster.

    Raises:
        ValueError: no rows.
    """
    if len(embeddings) == 0:
        raise ValueError("no embeddings to cluster; draw some advice first")
    if len(embeddings) > CLUSTERED:
        places = np.random.default_rng(seed).choice(len(embeddings), size=CLUSTERED, replace=False)
        embeddings = np.asarray(embeddings)[np.sort(places)]
    points = _unit(embeddings)
    top = min(k_max, len(np.unique(points.round(6), axis=0)))
    if top < 3:
        return Clusters(k_star=top, silhouette=None, inertia={}, silhouettes={})
    inertia, silhouettes = _sweep(points, sorted({int(k) for k in np.linspace(1, top, min(top, 15)).round()}), seed)
    k_star = elbow(inertia)
    return Clusters(k_star=k_star, silhouette=silhouettes.get(k_star), inertia=inertia, silhouettes=silhouettes)


def elbow(inertia: dict[int, float]) -> int:
    """Return the k at which a falling curve lies farthest below its chord, both axes scaled to 0..1 (Satopää et al.
    2011)."""
    ks = sorted(inertia)
    values = np.array([inertia[k] for k in ks])
    span = values[0] - values[-1]
    if len(ks) < 3 or span <= 0:
        return ks[0]
    across = (np.array(ks) - ks[0]) / (ks[-1] - ks[0])
    drop = 1 - (values - values[-1]) / span
    return int(ks[int(np.argmax(drop - across))])


def correlate(x: Sequence[float], y: Sequence[float], draws: int = 2000, seed: int = 0) -> Correlation:
    """Return correlation over tasks with bootstrap intervals (resamples in which a side is constant are left out).

    Ranks are those of rounded values: distances of float32 embeddings that are equal but for noise must share a rank.

    Raises:
        ValueError: the two sides differ in length.
    """
    if len(x) != len(y):
        raise ValueError(f"{count(len(x), 'value')} against {len(y)}: one of each per task")
    a, b = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return _no_correlation(len(a))
    from scipy.stats import rankdata

    pearson = _pearson(a[None], b[None])[0]
    plain_a, plain_b = a.round(TIES), b.round(TIES)
    spearman = _pearson(rankdata(plain_a)[None], rankdata(plain_b)[None])[0]
    drawn = [
        (_pearson(a[picks], b[picks]), _pearson(rankdata(plain_a[picks], axis=1), rankdata(plain_b[picks], axis=1)))
        for picks in resamples(len(a), draws, seed)
    ]
    p_low, p_high = _quantiles(np.concatenate([part for part, _ in drawn]))
    s_low, s_high = _quantiles(np.concatenate([part for _, part in drawn]))
    return Correlation(
        pearson=float(pearson),
        pearson_low=p_low,
        pearson_high=p_high,
        spearman=float(spearman),
        spearman_low=s_low,
        spearman_high=s_high,
        n=len(a),
    )


def _no_correlation(n: int) -> Correlation:
    return Correlation(
        pearson=None, pearson_low=None, pearson_high=None, spearman=None, spearman_low=None, spearman_high=None, n=n
    )


def _pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return Pearson's coefficient row by row; nan where a side is constant."""
    a = a - a.mean(axis=1, keepdims=True)
    b = b - b.mean(axis=1, keepdims=True)
    scale = np.sqrt((a * a).sum(axis=1) * (b * b).sum(axis=1))
    safe = np.where(scale > 1e-12, scale, 1.0)
    return np.where(scale > 1e-12, np.clip((a * b).sum(axis=1) / safe, -1, 1), np.nan)


def _quantiles(values: np.ndarray) -> tuple[float | None, float | None]:
    kept = values[~np.isnan(values)]
    if len(kept) == 0:
        return None, None
    low, high = np.quantile(kept, [0.025, 0.975])
    return float(low), float(high)


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, dtype=float)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1.0)


def _sweep(points: np.ndarray, ks: Sequence[int], seed: int) -> tuple[dict[int, float], dict[int, float]]:
    """Return inertia, and mean silhouette where it is defined, for each k."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import pairwise_distances, silhouette_score

    distances = pairwise_distances(points)
    inertia: dict[int, float] = {}
    silhouettes: dict[int, float] = {}
    for k in ks:
        # The stub of n_init allows "auto" only.
        model = KMeans(n_clusters=k, n_init=3, random_state=seed)  # pyright: ignore[reportArgumentType]
        labels = model.fit_predict(points)
        inertia[k] = round(-float(model.score(points)), 9)
        if 2 <= len(set(labels)) < len(points):
            silhouettes[k] = round(float(silhouette_score(distances, labels, metric="precomputed")), 9)
    return inertia, silhouettes
