"""A mixture of normal distributions with full covariances, by expectation and maximisation.

Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm. Begin, rounds and end
are those of scikit-learn's ``GaussianMixture``, and so is the result, up to rounding (a test holds it). All components
are asked at once, which takes half the time where there are few rows: a study fits one to the code of every model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Wide = NDArray[np.float64]

ROUNDS, SETTLED = 100, 1e-3
"""At most so many rounds; it has settled where the mean log-likelihood moves by less."""
TINY = 10 * float(np.finfo(np.float64).eps)
"""Rows that each component is said to have besides its own, so that none is empty."""


@dataclass(frozen=True)
class Mixture:
    """What was fitted."""

    weights: Wide
    """(K,), summing to 1."""
    means: Wide
    """(K, L)."""
    covariances: Wide
    """(K, L, L)."""

    def score(self, x: Wide) -> float:
        """Mean log-likelihood of rows (n, L), in nats.

        Examples
        --------
        >>> round(Mixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1, 1))).score(np.zeros((5, 1))), 3)
        -0.919
        """
        return float(_shared(self._each(x))[1].mean())

    def _each(self, x: Wide) -> Wide:
        """Log of weight times density, of each component: (n, L) -> (K, n)."""
        count, width = self.means.shape
        roots = np.linalg.cholesky(self.covariances)
        inverse = np.linalg.solve(roots, np.broadcast_to(np.eye(width), roots.shape))
        spread = x @ inverse.reshape(count * width, width).T
        spread -= np.einsum("kij,kj->ki", inverse, self.means).ravel()
        gaps = (np.square(spread, out=spread).reshape(-1, width) @ np.ones(width)).reshape(len(x), count).T
        sizes = np.log(np.diagonal(roots, axis1=1, axis2=2)).sum(axis=1)
        with np.errstate(divide="ignore"):
            heights = np.log(self.weights) - sizes - 0.5 * width * math.log(2 * math.pi)
        found: Wide = heights[:, None] - 0.5 * gaps
        return found


def fit(x: Wide, count: int, floor: float, seed: int) -> Mixture:
    """A mixture of ``count`` components that makes rows (n, L) likely.

    Parameters
    ----------
    x : array (n, L)
    count : int
        At most n.
    floor : float
        What is added to each variance.
    seed : int
        Of k-means, with whose groups it begins.

    Examples
    --------
    >>> found = fit(np.array([[0.0], [0.0], [8.0], [8.0]]), 2, 1e-3, seed=0)
    >>> np.abs(np.sort(found.means.ravel()).round(6)).tolist(), found.weights.round(6).tolist()
    ([0.0, 8.0], [0.5, 0.5])
    """
    from sklearn.cluster import KMeans

    groups = KMeans(count, n_init=1, random_state=seed).fit(x).labels_
    shares = (groups == np.arange(count)[:, None]).astype(np.float64)
    found, likely = _moments(x, shares, floor), -math.inf
    for _ in range(ROUNDS):
        shares, whole = _shared(found._each(x))
        found = _moments(x, shares, floor)
        before, likely = likely, float(whole.mean())
        if abs(likely - before) < SETTLED:
            break
    return found


def _moments(x: Wide, shares: Wide, floor: float) -> Mixture:
    """The likeliest components for rows (n, L) that belong to each by shares (K, n)."""
    width = x.shape[1]
    counts = shares.sum(axis=1) + TINY
    middle = x.mean(axis=0)  # far from 0 squares would lose digits
    about = x - middle
    means = shares @ about / counts[:, None]
    squares = (about.T * shares[:, None, :]) @ about
    covariances = squares / counts[:, None, None] - means[:, :, None] * means[:, None, :]
    covariances[:, range(width), range(width)] += floor
    return Mixture(counts / counts.sum(), means + middle, covariances)


def _shared(each: Wide) -> tuple[Wide, Wide]:
    """How much of each row belongs to each component, and the log of the sum over them: (K, n) -> (K, n), (n,)."""
    most = each.max(axis=0)
    shares = np.exp(each - most)
    whole = shares.sum(axis=0)
    shares /= whole
    return shares, most + np.log(whole)
