"""A mixture of rows of several kinds of columns, independent within a component, by expectation and maximisation.

Dempster, Laird and Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm; Hunt and Jorgensen
(2003), Mixture model clustering for mixed data with missing information.

A number is normal in each component, a choice has a share for each of its values (a flag is a choice of two). A cell
that is missing is integrated out: it adds nothing to the likelihood of its row. All components and columns are asked by
one matrix product, for the density of a component is one of an exponential family.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Wide = NDArray[np.float64]

ROUNDS, SETTLED = 200, 1e-4
"""At most so many rounds; it has settled where the mean log-likelihood moves by less."""
TINY = 10 * float(np.finfo(np.float64).eps)
"""Rows that each component is said to have besides its own, so that none is empty."""
BLOCK = 1 << 22
"""Most shares of rows in components that are held at a time."""


class Mixed(NamedTuple):
    """Rows of several kinds of columns."""

    numbers: Wide
    """(n, G), NaN where one is missing."""
    choices: NDArray[np.int64]
    """(n, C), which value each holds, -1 where it is missing."""
    sizes: tuple[int, ...]
    """How many values there are, for each of the C columns."""

    def take(self, which: NDArray[np.int64] | slice) -> Mixed:
        """Some of the rows."""
        return Mixed(self.numbers[which], self.choices[which], self.sizes)

    def statistics(self) -> Wide:
        """What the likelihood of a row hangs on, (n, 3 G + E): squares, numbers, whether there; one of the E values."""
        there = ~np.isnan(self.numbers)
        x = np.where(there, self.numbers, 0.0)
        starts = np.cumsum([0, *self.sizes])
        hot = np.zeros((len(x), int(starts[-1])))
        row, column = np.nonzero(self.choices >= 0)
        hot[row, starts[:-1][column] + self.choices[row, column]] = 1.0
        return np.hstack([np.square(x), x, there, hot])


@dataclass(frozen=True)
class MixedMixture:
    """What was fitted."""

    weights: Wide
    """(K,), summing to 1."""
    means: Wide
    """(K, G)."""
    variances: Wide
    """(K, G)."""
    shares: Wide
    """(K, E), those of the values of each choice, summing to 1 for each."""
    sizes: tuple[int, ...]

    def score(self, rows: Mixed) -> float:
        """Mean log-likelihood of rows, in nats.

        Examples
        --------
        >>> one = MixedMixture(np.ones(1), np.zeros((1, 1)), np.ones((1, 1)), np.array([[0.25, 0.75]]), (2,))
        >>> round(one.score(Mixed(np.array([[0.0]]), np.array([[-1]]), (2,))), 3)
        -0.919
        >>> round(one.score(Mixed(np.array([[np.nan]]), np.array([[1]]), (2,))), 3)  # log 0.75
        -0.288
        """
        seen, natural = rows.statistics(), self._natural()
        blocks = (_whole(seen[part] @ natural[0].T + natural[1]) for part in _parts(len(seen), len(self.weights)))
        return float(np.concatenate([*blocks]).mean())

    def draw(self, n: int, seed: int) -> Mixed:
        """``n`` rows, without gaps; the same for the same seed."""
        random = np.random.default_rng(seed)
        which = random.choice(len(self.weights), size=n, p=self.weights)
        numbers = self.means[which] + np.sqrt(self.variances[which]) * random.normal(size=(n, self.means.shape[1]))
        choices = np.empty((n, len(self.sizes)), np.int64)
        start = 0
        for j, size in enumerate(self.sizes):
            bounds = np.cumsum(self.shares[:, start : start + size], axis=1)[which]
            choices[:, j] = np.minimum((bounds < random.random((n, 1))).sum(axis=1), size - 1)
            start += size
        return Mixed(numbers, choices, self.sizes)

    def _natural(self) -> tuple[Wide, Wide]:
        """Weights (K, 3 G + E) and constants (K,) that make a row's statistics its log of weight times density."""
        constant = -0.5 * (np.square(self.means) / self.variances + np.log(2 * math.pi * self.variances))
        with np.errstate(divide="ignore"):
            values = np.maximum(np.log(self.shares), -1e6)  # a product with 0 of what never happens stays 0
            return np.hstack([-0.5 / self.variances, self.means / self.variances, constant, values]), np.log(
                self.weights
            )


def fit(
    rows: Mixed,
    count: int,
    *,
    floor: float,
    prior: float,
    seed: int,
    judge: Callable[[MixedMixture], float] | None = None,
) -> MixedMixture:
    """A mixture of ``count`` components that makes rows likely. It begins around as many rows, drawn at random.

    Parameters
    ----------
    rows : Mixed
    count : int
        At most n.
    floor : float
        What is added to each variance.
    prior : float
        How many rows that are as the whole each component is said to hold besides its own.
    seed : int
        Of the rows with which it begins.
    judge : callable, optional
        Of two mixtures, the better has the higher value: it ends where a round has not made it better. Else it ends
        where the likelihood of the rows has settled.

    Examples
    --------
    >>> rows = Mixed(np.array([[0.0], [0.1], [8.0], [8.1]]), np.array([[0], [0], [1], [1]]), (2,))
    >>> found = fit(rows, 2, floor=1e-3, prior=0.0, seed=1)
    >>> np.sort(found.means.ravel()).round(3).tolist(), np.sort(found.shares[:, 0]).round(3).tolist()
    ([0.05, 8.05], [0.0, 1.0])
    """
    seen = rows.statistics()
    whole = _of(seen.sum(axis=0)[None], np.array([len(seen)]), rows, floor)
    first = np.random.default_rng(seed).choice(len(seen), size=count, replace=False)
    sums, sizes = seen[first] + _expected(whole), np.full(count, 2.0)  # half the row, half all of them
    return improved(_of(sums, sizes, rows, floor), rows, floor=floor, prior=prior, judge=judge)


def improved(
    start: MixedMixture,
    rows: Mixed,
    *,
    floor: float,
    prior: float = 0.0,
    judge: Callable[[MixedMixture], float] | None = None,
) -> MixedMixture:
    """The same mixture after rounds of expectation and maximisation; see :func:`fit`."""
    seen = rows.statistics()
    whole = _of(seen.sum(axis=0)[None], np.array([len(seen)]), rows, floor)
    usual = prior * _expected(whole)
    found, likely, best = start, -math.inf, -math.inf
    for _ in range(ROUNDS):
        sums, counts, level = _expectation(found, seen)
        after = _of(sums + usual, counts + prior, rows, floor, counts)
        if judge is not None:
            value = judge(after)
            if not value > best:
                return found
            best = value
        found, before, likely = after, likely, level
        if judge is None and abs(likely - before) < SETTLED:
            break
    return found


def _expectation(mixture: MixedMixture, seen: Wide) -> tuple[Wide, Wide, float]:
    """Statistics summed over the share of each row in each component (K, P), the shares alone (K,), the likelihood."""
    weights, heights = mixture._natural()
    sums, counts, level = np.zeros(weights.shape), np.zeros(len(heights)), 0.0
    for part in _parts(len(seen), len(heights)):
        each = seen[part] @ weights.T
        each += heights
        most = each.max(axis=1, keepdims=True)
        np.exp(np.subtract(each, most, out=each), out=each)
        total = each.sum(axis=1, keepdims=True)
        each /= total
        sums += each.T @ seen[part]
        counts += each.sum(axis=0)
        level += float((most + np.log(total)).sum())
    return sums, counts, level / len(seen)


def _of(sums: Wide, counts: Wide, rows: Mixed, floor: float, weights: Wide | None = None) -> MixedMixture:
    """The likeliest components for summed statistics (K, P) of so many rows (K,)."""
    g = rows.numbers.shape[1]
    there = sums[:, 2 * g : 3 * g] + TINY
    means = sums[:, g : 2 * g] / there
    variances = np.maximum(sums[:, :g] / there - np.square(means), 0.0) + floor
    shares, start = np.empty((len(sums), sum(rows.sizes))), 0
    for size in rows.sizes:
        part = sums[:, 3 * g + start : 3 * g + start + size] + TINY
        shares[:, start : start + size] = part / part.sum(axis=1, keepdims=True)
        start += size
    weights = (counts if weights is None else weights) + TINY
    return MixedMixture(weights / weights.sum(), means, variances, shares, rows.sizes)


def _expected(one: MixedMixture) -> Wide:
    """The statistics of a row that is as a mixture of one component expects it, (1, P)."""
    return np.hstack([np.square(one.means) + one.variances, one.means, np.ones_like(one.means), one.shares])


def _whole(each: Wide) -> Wide:
    """The log of the sum over components, (n, K) -> (n,)."""
    most = each.max(axis=1, keepdims=True)
    found: Wide = (most + np.log(np.exp(each - most).sum(axis=1, keepdims=True)))[:, 0]
    return found


def _parts(rows: int, components: int) -> list[slice]:
    """Blocks of rows whose shares fit into memory."""
    step = max(1, BLOCK // components)
    return [slice(start, start + step) for start in range(0, rows, step)]
