"""What finds anomalies without an autoencoder: the rivals of the facet anomaly, each a scorer fitted on training rows.

Neighbours and the machine compare rows with rows, so those that they are fitted on are bounded: a seeded draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Splits, some
from isthmus.facets.kin import Kin
from isthmus.facets.rivals import known_bound
from isthmus.metrics.probes import nearest
from isthmus.scorer import Crowd, blended, drawn, steps
from isthmus.seeds import seed as hashed

Scores = NDArray[np.float64]
Score = Callable[[NDArray[np.float32]], Scores]
"""Scaled rows (n, *D) -> how anomalous each is, (n,)."""

TREES = 100
NEIGHBOURS = 20
"""Of the local outlier factor: the middle of the range that its authors advise."""
MOST = 10_000
"""Training rows that the local outlier factor is fitted on, at most."""
MOST_OF_MACHINE = 3000
"""The same of the one-class machine, whose work grows faster than the square of its rows."""
AXES = (1, 2, 5, 10, 20, 50, 100)
"""Principal components that may be tried, besides all but one; as many are taken as make validation rows likeliest."""
FLOOR = 1e-6
"""Of the mean variance of a column: the least noise that principal components leave."""


def forest(train: NDArray[np.float32], seed: int) -> Any:
    """scikit-learn's isolation forest of scaled training rows (n, *D)."""
    from sklearn.ensemble import IsolationForest

    return IsolationForest(n_estimators=TREES, random_state=seed % 2**32, n_jobs=1).fit(_flat(train))


def isolation_forest(splits: Splits) -> Score:
    """How few random cuts isolate a row from the training rows (Liu, Ting and Zhou 2008); 100 trees."""
    trees = forest(splits.train.x, splits.seed)
    return lambda x: -trees.score_samples(_flat(x))


def neighbours(splits: Splits) -> NDArray[np.float32]:
    """The training rows among which neighbours are looked for, flat: all, or a seeded draw of many."""
    most = known_bound(len(splits.train.x), len(splits.test.x), math.prod(splits.train.x.shape[1:]))
    return _flat(some(splits.train, most, hashed(splits.seed, "neighbours")).x)


def knn_distance(splits: Splits) -> Score:
    """Distance to the fifth nearest training row (Ramaswamy, Rastogi, Shim 2000), or that of a seeded draw of many."""
    known = neighbours(splits)
    return lambda x: nearest(known, _flat(x))[0][:, -1]


def local_outlier_factor(splits: Splits) -> Score:
    """How much sparser a row lies than its 20 nearest training rows do (Breunig, Kriegel, Ng and Sander 2000)."""
    from sklearn.neighbors import LocalOutlierFactor

    known = _flat(some(splits.train, MOST, hashed(splits.seed, "lof")).x)
    finder = LocalOutlierFactor(n_neighbors=min(NEIGHBOURS, max(1, len(known) - 1)), novelty=True).fit(known)
    return lambda x: -finder.score_samples(_flat(x))


def crowd(splits: Splits, *, between: bool = False) -> tuple[Crowd, Scores]:
    """Where the scaled training rows lie, in units of their columns, and these units, (D,).

    With ``between`` places between neighbours stand for the rows (:func:`isthmus.scorer.blended`).
    """
    units = steps(splits.train.x)
    known, held = (
        _flat(rows).astype(np.float64) / units for rows in (drawn(splits.train.x, splits.seed), splits.valid.x)
    )
    held = held if len(held) else known
    found = Crowd.fit(blended(known, hashed(splits.seed, "raw columns")) if between else known, held)
    if splits.odd is not None:
        found = found.told(held, _flat(splits.odd).astype(np.float64) / units)
    return found, units


def raw_columns(splits: Splits) -> Score:
    """The score that models get, of the scaled columns themselves: what it is worth without any model."""
    found, units = crowd(splits)
    return lambda x: found.scores(_flat(x).astype(np.float64) / units)


class Tails(NamedTuple):
    """Empirical distributions of columns, and to which side each is skewed."""

    ordered: Scores
    """Values of each column, sorted, (n, D)."""
    left_skewed: NDArray[np.bool_]
    """(D,)."""

    @classmethod
    def of(cls, known: NDArray[np.float64], places: int | None = None) -> Tails:
        """Of rows (n, D); with ``places`` of so many values in the middle between two neighbours of a column, at most.

        What stands in one row only is then in none of them.
        """
        centred = known - known.mean(axis=0)
        ordered = np.sort(known, axis=0)
        if places is not None:
            between = (ordered[:-1] + ordered[1:]) / 2
            ordered = between[np.linspace(0, len(between) - 1, min(places, len(between))).round().astype(int)]
        return cls(ordered, (centred**3).mean(axis=0) < 0)

    def score(self, x: NDArray[np.float32]) -> Scores:
        """How far out in the tails rows (n, *D) lie: (n,)."""
        rows, count = _flat(x).astype(np.float64), len(self.ordered)
        left, right = np.empty_like(rows), np.empty_like(rows)
        for j, column in enumerate(self.ordered.T):
            left[:, j] = np.searchsorted(column, rows[:, j], side="right") + 1
            right[:, j] = count - np.searchsorted(column, rows[:, j], side="left") + 1
        left, right = (-np.log(tail / (count + 1)) for tail in (left, right))
        skewed = np.where(self.left_skewed, left, right)
        found: Scores = np.max([left.sum(axis=1), right.sum(axis=1), skewed.sum(axis=1)], axis=0)
        return found


def tails(splits: Splits, places: int | None = None) -> Tails:
    """Those of the training rows, as :meth:`Tails.of`."""
    return Tails.of(_flat(splits.train.x).astype(np.float64), places)


def ecod(splits: Splits) -> Score:
    """How far out in the tails of the columns' empirical distributions a row lies, column by column.

    Li, Zhao, Hu, Botta, Ionescu and Chen (2022), ECOD, IEEE TKDE, algorithm 1: minus the logarithm of the product of
    tail probabilities, of the left tails, of the right ones, and of those to which columns are skewed; the largest of
    the three counts. A row that is asked counts as one row more than the training rows, alone, so that no tail is empty
    and its score does not depend on the company it is in.
    """
    return tails(splits).score


def one_class_machine(splits: Splits) -> Score:
    """How far outside the smallest smooth region around half of the training rows (Schoelkopf et al. 2001) a row lies.

    A radial kernel of the width that scikit-learn takes from the variance of the rows.
    """
    from sklearn.svm import OneClassSVM

    known = _flat(some(splits.train, MOST_OF_MACHINE, hashed(splits.seed, "one-class svm")).x).astype(np.float64)
    machine = OneClassSVM(kernel="rbf", gamma="scale", nu=0.5).fit(known)
    return lambda x: -machine.score_samples(_flat(x).astype(np.float64))


class Principal(NamedTuple):
    """Principal components with equal noise in all other directions (Tipping and Bishop 1999)."""

    mean: Scores
    """(D,)."""
    axes: Scores
    """As columns, (D, K)."""
    variances: Scores
    """Along them, (K,)."""
    noise: float
    """The variance in each other direction."""

    def score(self, x: NDArray[np.float32]) -> Scores:
        """Minus the log-likelihood of rows (n, *D), without the constant of the dimension: (n,)."""
        centred = _flat(x).astype(np.float64) - self.mean
        parts = np.square(centred @ self.axes)
        rest = np.square(centred).sum(axis=1) - parts.sum(axis=1)
        width, count = self.axes.shape
        constant = width * np.log(2 * np.pi) + np.log(self.variances).sum() + (width - count) * np.log(self.noise)
        found: Scores = (constant + (parts / self.variances).sum(axis=1) + rest.clip(0) / self.noise) / 2
        return found


def principal(splits: Splits) -> Principal:
    """Of the training rows, with as many components as make validation rows, without labels, likeliest."""
    known, held = _flat(splits.train.x).astype(np.float64), splits.valid.x if len(splits.valid.x) else splits.train.x
    mean: Scores = known.mean(axis=0)
    width = known.shape[1]
    sizes, axes = np.linalg.eigh(np.atleast_2d(np.cov(known.T)))
    sizes, axes = sizes[::-1].clip(0), axes[:, ::-1]
    least = max(FLOOR * float(sizes.mean()), float(np.finfo(np.float32).tiny))

    def fitted(count: int) -> Principal:
        noise = max(float(sizes[count:].mean()), least)
        return Principal(mean, axes[:, :count], np.maximum(sizes[:count], noise), noise)

    counts = {count for count in (*AXES, width - 1) if 0 < count < width} or {0}
    return min((fitted(count) for count in sorted(counts)), key=lambda one: float(one.score(held).mean()))


def probabilistic_pca(splits: Splits) -> Score:
    """Minus the log-likelihood of principal components with equal noise in all other directions (Tipping, Bishop 1999).

    The number of components is its own: validation rows, without labels, are made likeliest.
    """
    return principal(splits).score


SCORERS: dict[str, Callable[[Splits], Score]] = {
    "isolation forest": isolation_forest,
    "knn": knn_distance,
    "lof": local_outlier_factor,
    "ecod": ecod,
    "one-class svm": one_class_machine,
    "probabilistic pca": probabilistic_pca,
    "raw columns": raw_columns,
}
"""Rival -> its scorer, fitted on the training rows."""

KIN: dict[str, Callable[[Splits], Kin]] = {
    "lof": lambda _: Kin.of("score", "sklearn.neighbors.LocalOutlierFactor", n_neighbors=NEIGHBOURS, novelty=True),
    "one-class svm": lambda _: Kin.of("score", "sklearn.svm.OneClassSVM", kernel="rbf", gamma="scale", nu=0.5),
}
"""Those that are one object of scikit-learn, and are not saved as models."""


def _flat(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x.reshape(len(x), -1)
