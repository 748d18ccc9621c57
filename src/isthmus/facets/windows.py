"""What stands against autoencoders where rows are windows of a series, (n, T, C), each channel on its own scale.

On public benchmarks of series simple methods win (Liu and Paparrizos 2024, The elephant in the room: towards a reliable
time-series anomaly detection benchmark, NeurIPS): principal components and clusters of windows, and polynomials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Splits, some
from isthmus.facets.kin import Kin
from isthmus.metrics.probes import nearest
from isthmus.rivals.residual import Persistence, PolynomialResidual, SubPCA
from isthmus.rivals.rival import Network
from isthmus.seeds import seed as hashed

Rows = NDArray[np.float32]
Scores = NDArray[np.float64]
Score = Callable[[Rows], Scores]

CLUSTERS, MOST = 20, 10_000
"""Of windows, and training windows that they are found among, at most."""
DEGREE = 3
"""Of the polynomial that a window is compared with."""
LEAST = 1e-6
"""Of the mean variance: directions of windows that vary less are left out."""


def components(splits: Splits) -> Score:
    """Squared parts of a window along the principal axes of training windows, each over its variance, summed.

    Shyu, Chen, Sarinnapakorn and Chang (2003), A novel anomaly detection scheme based on principal component
    classifier; of windows it is Sub-PCA.
    """
    mean, whiten = _whitening(splits)
    return lambda x: np.square((_flat(x) - mean) @ whiten).sum(axis=1)


def _whitening(splits: Splits) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean training window, and its principal axes over their deviations, (D,) and (D, K)."""
    known = _flat(splits.train.x)
    sizes, axes = np.linalg.eigh(np.atleast_2d(np.cov(known.T)))
    kept = sizes > LEAST * max(float(sizes.mean()), float(np.finfo(np.float32).tiny))
    return known.mean(axis=0), axes[:, kept] / np.sqrt(sizes[kept])


def clusters(splits: Splits) -> Score:
    """Distance of a window to the nearest of 20 centres of training windows (k-means)."""
    from sklearn.cluster import KMeans

    known = _flat(some(splits.train, MOST, hashed(splits.seed, "clusters of windows")).x)
    count = min(CLUSTERS, len(np.unique(known, axis=0)))
    centres = KMeans(count, n_init=1, random_state=splits.seed % 2**32).fit(known).cluster_centers_
    return lambda x: nearest(centres, _flat(x), 1)[0][:, 0]


def polynomial(splits: Splits) -> Score:
    """What a polynomial of degree 3 in time, fitted to each channel of a window, leaves of it: the mean square.

    Nothing is learnt; a window as smooth as that is no anomaly, whatever its level.
    """
    return lambda x: np.square(_left(_series(x))).mean(axis=(1, 2))


def persistence(splits: Splits) -> Score:
    """How wrong it is to say that a step is as the one before: the mean squared change within a window."""
    return lambda x: np.square(np.diff(_series(x), axis=1)).sum(axis=(1, 2)) / max(1, x.shape[1] - 1)


def held(x: Rows, latents: int) -> Rows:
    """Windows (n, T[, C]) as so many of their values as a code has elements tell them: each stands until the next.

    Values are those of evenly spaced steps of each channel; where a code has fewer elements than there are channels,
    the further channels are at their mean, 0.
    """
    windows = _series(x)
    time, channels = windows.shape[1:]
    each = np.full(channels, latents // channels)
    each[: latents % channels] += 1
    out = np.zeros(windows.shape)
    for channel, count in enumerate(np.minimum(each, time)):
        if count:
            kept = np.arange(count) * time // count
            place = np.searchsorted(kept, np.arange(time), side="right") - 1
            out[:, :, channel] = windows[:, kept[place], channel]
    return out.astype(np.float32).reshape(x.shape)


def _flat(x: Rows) -> NDArray[np.float64]:
    return x.reshape(len(x), -1).astype(np.float64)


def _series(x: Rows) -> NDArray[np.float64]:
    """Windows (n, T, C); rows of one axis are windows of one channel."""
    return x.reshape(len(x), x.shape[1], -1).astype(np.float64)


def _left(windows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Windows (n, T, C) without their polynomials in time."""
    time = windows.shape[1]
    basis, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, time), min(DEGREE + 1, time)))
    fitted: Any = np.einsum("ts,us,nuc->ntc", basis, basis, windows, optimize=True)
    return windows - fitted


SCORERS: dict[str, Callable[[Splits], Score]] = {
    "sub-pca": components,
    "k-means on windows": clusters,
    "polynomial residual": polynomial,
    "persistence": persistence,
}
"""Rival of the facet anomaly -> its scorer."""


def _map(left: Callable[[NDArray[np.float64]], NDArray[np.float64]], splits: Splits) -> NDArray[np.float64]:
    """A linear function of windows (n, T, C), as the map that it is of flat ones, (D, K)."""
    shape = splits.train.x.shape[1:]
    width = int(np.prod(shape))
    return left(_series(np.eye(width, dtype=np.float32).reshape(width, *shape))).reshape(width, -1)


def _polynomial(splits: Splits) -> Network:
    return PolynomialResidual.of(_map(_left, splits) / np.sqrt(np.prod(splits.train.x.shape[1:])))


def _persistence(splits: Splits) -> Network:
    changes = _map(lambda windows: np.diff(windows, axis=1), splits)
    return Persistence.of(changes / np.sqrt(max(1, splits.train.x.shape[1] - 1)))


def _components(splits: Splits) -> Network:
    mean, whiten = _whitening(splits)
    return SubPCA.of(whiten, mean)


NETWORKS: dict[str, Callable[[Splits], Network]] = {
    "sub-pca": _components,
    "polynomial residual": _polynomial,
    "persistence": _persistence,
}
"""What ships of them."""

KIN: dict[str, Callable[[Splits], Kin]] = {
    "k-means on windows": lambda _: Kin.of("distance", "sklearn.cluster.KMeans", n_clusters=CLUSTERS, n_init=1)
}
