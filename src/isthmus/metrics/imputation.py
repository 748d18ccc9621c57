"""How well cells that were hidden are filled in: an error for each column, on one scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.said import Said


def number_error(truth: NDArray[np.floating], made: NDArray[np.floating]) -> float:
    """Root of the mean squared error of hidden numbers, laid out: (n, width) both; 1 is what the mean has.

    The variances of a column's elements sum to 1 on the training rows, so it is in standard deviations of the column.
    NaN without rows, or if something is not finite.

    Examples
    --------
    >>> number_error(np.array([[1.0], [-1.0]]), np.array([[0.5], [-0.5]]))
    0.5
    """
    if not len(truth):
        return math.nan
    with np.errstate(all="ignore"):
        error = float(np.sqrt(np.square(np.asarray(truth, np.float64) - made).sum(axis=1).mean()))
    return error if math.isfinite(error) else math.nan


def category_error(truth: NDArray[np.integer], made: NDArray[np.integer], commonest: float) -> float:
    """Share of hidden categories that are filled in wrongly, over that of always naming the commonest, (n,) both.

    ``commonest`` is the share of the commonest one among training rows. NaN without rows, or if all have one value.

    Examples
    --------
    >>> category_error(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0]), commonest=0.5)
    0.5
    """
    if not len(truth) or commonest >= 1:
        return math.nan
    return float(np.mean(truth != made)) / (1 - commonest)


def imputation_error(errors: Sequence[float]) -> float:
    """The mean over columns, each weighing the same, of those that have one.

    Examples
    --------
    >>> imputation_error([0.5, 1.0, math.nan])
    0.75
    """
    known = [error for error in errors if not math.isnan(error)]
    return float(np.mean(known)) if known else math.nan


TABLE = [
    Metric(
        name,
        imputation_error,
        False,
        "of the error of mean or mode",
        title,
        0.01,
        "docs/facets/imputation.md",
        bounds=(0.0, math.inf),
    )
    for name, title in (
        ("imputation_error", Said("error of what is filled in", "填补误差")),
        ("imputation_numbers", Said("error of numbers that are filled in", "填补误差（数值）")),
        ("imputation_categories", Said("error of categories that are filled in", "填补误差（类别）")),
    )
]
"""What the numbers of this file mean."""
