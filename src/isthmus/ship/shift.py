"""Calibration rows of one population for rows of another: each weighs as much as its kind has become more frequent.

Split-conformal p-values take calibration rows and new normal rows to be drawn alike. Where new rows are drawn otherwise
(more old people, another mix of machines) and a row of given columns is as odd as ever, p-values are valid again with
weights that are the density of new rows over that of calibration rows (Tibshirani, Barber, Candes and Ramdas 2019,
Conformal prediction under covariate shift, NeurIPS; there, as here, the weights are odds of a probabilistic classifier
that tells the two apart). Where the ratio is known, rows bring it along and the promise is exact; where it is
estimated, what is promised holds as far as the estimate does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.blocks import some
from isthmus.errors import BadInput
from isthmus.rivals.rival import Rival
from isthmus.seeds import seed
from isthmus.ship import calibrate
from isthmus.ship.deployed import RATE, Calibration, Deployed, Scores, tied

WIDE = 64
"""Elements of a row above which the classifier sees its code instead, where there is one."""
ROWS = 20_000
"""Rows of each population that it is fitted on, at most."""
LEAST = 20
"""Rows of each population that it needs."""


def seen(model: Deployed, rows: ArrayLike) -> NDArray[np.float64]:
    """What the classifier sees of rows (N, *D): their elements as the model takes them, of wide rows their codes."""
    laid = model.scaled(rows)
    flat = laid.reshape(len(laid), -1)
    if flat.shape[1] > WIDE and not isinstance(model.model, Rival):
        flat = model.encode_scaled(laid).reshape(len(laid), -1)
    return flat.astype(np.float64)


@dataclass(frozen=True, eq=False)
class Ratio:
    """How much more frequent rows are in a new population than in an old one: odds of a logistic regression.

    It sees each element and its square, which is the ratio of two normal laws of any means and variances. Beyond what
    either population holds, it is that at the edge.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> ratio = Ratio.of(random.normal(size=(4000, 1)), random.normal(1.0, 1.0, size=(4000, 1)))
    >>> at = ratio.at(np.array([[0.0], [1.0]]))
    >>> bool(2 < at[1] / at[0] < 3.5)  # exp(1) of normal laws one apart
    True
    """

    low: Scores
    """(F,), the least of each element in both populations."""
    high: Scores
    mean: Scores
    scale: Scores
    coefficients: Scores
    """(2 F,), of elements and of their squares."""
    intercept: float

    @classmethod
    def of(cls, before: ArrayLike, after: ArrayLike) -> Self:
        """From elements of rows of the old population (n, F) and of the new one (m, F)."""
        from sklearn.linear_model import LogisticRegression

        old, new = np.asarray(before, np.float64), np.asarray(after, np.float64)
        if min(len(old), len(new)) < LEAST:
            raise BadInput(
                f"weights under a shift need {LEAST} rows of each population or more; got {len(old):,} and {len(new):,}"
            )
        both = np.vstack([old, new])
        deviation = both.std(axis=0)
        found = {
            "low": both.min(axis=0),
            "high": both.max(axis=0),
            "mean": both.mean(axis=0),
            "scale": np.where(deviation > 0, deviation, 1.0),
        }
        bare = cls(**found, coefficients=np.zeros(2 * both.shape[1]), intercept=0.0)
        fitted = LogisticRegression(max_iter=1000).fit(bare._terms(both), np.r_[np.zeros(len(old)), np.ones(len(new))])
        return cls(
            **found, coefficients=fitted.coef_[0], intercept=float(np.log(len(old) / len(new)) + fitted.intercept_[0])
        )

    def at(self, rows: ArrayLike) -> Scores:
        """The ratio at elements of rows (N, F): (N,), above 0."""
        logits: Scores = self._terms(np.asarray(rows, np.float64)) @ self.coefficients + self.intercept
        return np.exp(np.clip(logits, -50, 50))

    def _terms(self, rows: Scores) -> Scores:
        found = (np.clip(rows, self.low, self.high) - self.mean) / self.scale
        return np.hstack([found, found**2])


@dataclass(frozen=True, eq=False)
class Shift:
    """Calibration rows that are weighted for another population.

    Weights are a ratio that is told by what rows hold, or are given with each row.

    Examples
    --------
    >>> import isthmus
    >>> random = np.random.default_rng(0)
    >>> rows = lambda n, mean: (at := random.normal(mean, 1.0, (n, 1))) * [[1.0, 0.5]] + random.normal(size=(n, 2))
    >>> fitted = isthmus.fit(isthmus.named("pca").set_params(latents=1), rows(500, 0.0))
    >>> model, normal = Deployed.of(fitted), rows(500, 0.0)
    >>> shift = Shift.of(model, normal, model.scores(normal), rows(500, 1.0))
    >>> new = rows(5, 1.0)
    >>> shift.p_values(model.scores(new), shift.ratio.at(seen(model, new))).shape, 100 < shift.rows < 500
    ((5,), True)
    >>> given = Shift(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 2.0]))
    >>> given.p_values([2.5], [1.0]).tolist()
    [0.6]
    """

    scores: Scores
    """(n,), of calibration rows."""
    weights: Scores
    """(n,)"""
    ratio: Ratio | None = None
    """Tells the weight of a new row; None where each brings its own."""

    @classmethod
    def of(cls, model: Deployed, normal: ArrayLike, scores: ArrayLike, other: ArrayLike) -> Self:
        """From calibration rows (n, *D) with their scores (n,), and rows of the new population (m, *D)."""
        before, after = seen(model, normal), seen(model, other)
        ratio = Ratio.of(some([before], ROWS), some([after], ROWS))
        return cls(np.asarray(scores, np.float64), ratio.at(before), ratio)

    @property
    def rows(self) -> int:
        """How many rows of the new population the calibration rows are worth."""
        return calibrate.worth(self.weights)

    def p_values(self, scores: ArrayLike, weights: ArrayLike) -> Scores:
        """How rare so high scores (N,) of rows of such weights (N,) are in the new population."""
        return calibrate.weighted_p_values(self.scores, tied(scores), self.weights, weights)

    def discoveries(self, scores: ArrayLike, weights: ArrayLike, level: float) -> NDArray[np.bool_]:
        """Which rows of a batch to flag so that a share ``level`` of the flags is false, on average; both (N,)."""
        drawn = seed(len(self.scores), len(np.asarray(scores)), level)
        return calibrate.weighted_discoveries(self.scores, tied(scores), self.weights, weights, level, seed=drawn)

    def calibration(self, about: str) -> Calibration:
        """The scores as they are, with the rate of a threshold that they can tell of the new population."""
        return Calibration.of(self.scores, about, max(RATE, 1 / (self.rows + 1)))
