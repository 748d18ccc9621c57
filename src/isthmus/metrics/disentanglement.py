"""Whether one unit of a code stands for one factor that made the rows, and one factor for one unit."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import SHARE, Metric
from isthmus.said import Said
from isthmus.seeds import seed as hashed

Codes = NDArray[np.floating]
Factors = NDArray[np.floating]

BINS = 20
"""A column of more distinct values is cut into parts of equal width, at most so many (Locatello et al. 2019)."""
FULL = 5
"""Rows in a cell of two columns' bins, on average, at least: emptier cells tell by chance."""
TREES = 20
LEAF = 5
"""Rows in a leaf of a tree, at least."""


def mutual_information_gap(codes: Codes, factors: Factors) -> float:
    """MIG (Chen, Li, Grosse and Duvenaud 2018): how far ahead the best unit of each factor is of the second best.

    The mean over factors of (I(best; factor) - I(second; factor)) / H(factor), with codes and factors of more than 20
    values cut into bins of equal width: 20 from 2,000 rows on, fewer below. 1: each factor is told by one unit alone.
    0: by two alike, or by none.

    Parameters
    ----------
    codes, factors : arrays (n, L), (n, F)
        A code of one unit has a second best that tells nothing.

    Returns
    -------
    float
        0 to 1; NaN without rows, or if something is not finite.

    Examples
    --------
    >>> factors = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    >>> round(mutual_information_gap(factors[:, ::-1] * -3.0, factors), 6)
    1.0
    >>> mutual_information_gap(np.repeat(factors, 2, axis=1), factors)
    0.0
    """
    if not _usable(codes, factors):
        return math.nan
    table = informations(codes, factors)
    gaps = _gaps(table)
    whole = np.array([_entropy(np.bincount(binned(column))) for column in factors.T])
    return float(np.mean(np.divide(gaps, whole, out=np.zeros_like(gaps), where=whole > 0)))


def separated_attributes(codes: Codes, factors: Factors) -> float:
    """SAP (Kumar, Sattigeri and Balakrishnan 2018): the same gap in the share of a factor that a line explains.

    mean over factors of the largest minus the second largest squared correlation with a unit. Factors are read as
    numbers: one whose values have no order (a kind) may score low for no fault of the code.

    Parameters
    ----------
    codes, factors : arrays (n, L), (n, F)

    Returns
    -------
    float
        0 to 1; NaN without rows, or if something is not finite.
    """
    if not _usable(codes, factors):
        return math.nan
    z, v = (_standard(one) for one in (codes, factors))
    return float(np.mean(_gaps(np.square(z.T @ v / len(v)))))


class Importances(NamedTuple):
    """DCI (Eastwood and Williams 2018)."""

    disentanglement: float
    """1 if each unit matters for one factor only; units count as much as they matter. NaN for a single factor."""
    completeness: float
    """1 if each factor hangs on one unit only. NaN for a single unit."""
    informativeness: float
    """Share of the factors' variance that is told on test rows, mean over factors, none below 0."""


def importances(train: Codes, train_factors: Factors, test: Codes, test_factors: Factors, *, seed: int) -> Importances:
    """How much each unit matters to a regressor that reads the factors from the codes, and how well that reads.

    The regressor of each factor is a random forest of 20 trees with 5 rows in a leaf, fitted on the training rows; what
    a unit matters is the share of the variance that splits on it take away.

    Parameters
    ----------
    train, train_factors : arrays (n, L), (n, F)
    test, test_factors : arrays (m, L), (m, F)
    seed : int
        Grows the same trees for the same codes.

    Returns
    -------
    Importances
        All NaN without rows, or if something is not finite.
    """
    from sklearn.ensemble import RandomForestRegressor

    if not (_usable(train, train_factors) and _usable(test, test_factors)):
        return Importances(math.nan, math.nan, math.nan)
    table, told = np.zeros((train.shape[1], train_factors.shape[1])), []
    for k, (known, asked) in enumerate(zip(train_factors.T, test_factors.T, strict=True)):
        state = hashed(seed, "forest", k) % 2**32
        forest = RandomForestRegressor(TREES, min_samples_leaf=LEAF, random_state=state, n_jobs=1).fit(train, known)
        table[:, k] = forest.feature_importances_
        spread = float(np.square(asked - known.mean()).sum())
        left = float(np.square(asked - forest.predict(test)).sum())
        told.append(max(0.0, 1 - left / spread) if spread > 0 else 0.0)
    return Importances(*concentrations(table), float(np.mean(told)))


def concentrations(table: NDArray[np.float64]) -> tuple[float, float]:
    """Disentanglement and completeness of a table of importances (L, F), none below 0.

    1 minus the entropy of a row (of a column) in units of its largest possible one; rows are averaged by their sums,
    columns evenly.

    Examples
    --------
    >>> concentrations(np.eye(3)), bool(max(concentrations(np.ones((3, 3)))) < 1e-12)
    ((1.0, 1.0), True)
    """
    units, factors = table.shape
    weights = table.sum(axis=1)
    if not weights.sum():
        return (math.nan if factors < 2 else 0.0), (math.nan if units < 2 else 0.0)
    rows = math.nan
    if factors > 1:
        rows = float(weights @ [1 - _entropy(row) / math.log(factors) for row in table]) / float(weights.sum())
    columns = math.nan
    if units > 1:
        columns = float(np.mean([1 - _entropy(one) / math.log(units) if one.sum() else 0.0 for one in table.T]))
    return rows, columns


def informations(codes: Codes, factors: Factors) -> NDArray[np.float64]:
    """Mutual information in nats of each unit with each factor, (L, F), from their binned values."""
    told = [binned(column) for column in np.asarray(factors).T]
    found = np.zeros((codes.shape[1], len(told)))
    for i, unit in enumerate(binned(column) for column in np.asarray(codes).T):
        for j, factor in enumerate(told):
            cells = np.bincount(unit * (factor.max() + 1) + factor, minlength=(unit.max() + 1) * (factor.max() + 1))
            alone = _entropy(np.bincount(unit)) + _entropy(np.bincount(factor))
            found[i, j] = max(0.0, alone - _entropy(cells))
    return found


def binned(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """The number of each value's bin, (n,): its own up to 20 distinct values, else one of several of equal width.

    There are 20 bins, or as many as leave 5 rows on average for each pair of bins of two columns.

    Examples
    --------
    >>> binned(np.array([5.0, 7.0, 5.0])).tolist(), int(binned(np.linspace(0, 1, 80)).max())
    ([0, 1, 0], 3)
    """
    wide = np.asarray(values, dtype=np.float64)
    distinct, numbers = np.unique(wide, return_inverse=True)
    if len(distinct) <= BINS:
        return numbers.astype(np.int64)
    share = (wide - distinct[0]) / (distinct[-1] - distinct[0])
    bins = max(2, min(BINS, int(math.sqrt(len(wide) / FULL))))
    return np.minimum((share * bins).astype(np.int64), bins - 1)


def _entropy(counts: NDArray[np.number]) -> float:
    """Of shares in proportion to ``counts``, in nats; 0 if all are 0."""
    share = counts[counts > 0] / max(counts.sum(), np.finfo(np.float64).tiny)
    return float(-np.sum(share * np.log(share)))


def _gaps(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest minus the second largest entry of each column, (F,)."""
    ordered = np.sort(np.vstack([np.zeros(table.shape[1]), table]), axis=0)
    return ordered[-1] - ordered[-2]


def _standard(columns: NDArray[np.floating]) -> NDArray[np.float64]:
    """Columns of mean 0 and variance 1; those that do not move (beyond rounding) become 0."""
    wide = np.asarray(columns, dtype=np.float64)
    centred, size = wide - wide.mean(axis=0), np.abs(wide).max(axis=0)
    spread = np.sqrt(np.square(centred / np.where(size > 0, size, 1)).mean(axis=0)) * size
    return centred / np.where(spread > 1e-7 * size, spread, math.inf)


def _usable(codes: Codes, factors: Factors) -> bool:
    return bool(len(codes) and np.isfinite(codes).all() and np.isfinite(factors).all())


TABLE = [
    Metric(
        "mig",
        mutual_information_gap,
        True,
        "share of a factor's entropy",
        Said("mutual information gap (MIG)", "互信息差距（MIG）"),
        0.02,
        "Chen et al. 2018",
        bounds=SHARE,
    ),
    Metric(
        "dci_disentanglement",
        importances,
        True,
        "1 for one factor to a unit",
        Said("DCI disentanglement", "DCI 解缠度"),
        0.02,
        "Eastwood and Williams 2018",
        bounds=SHARE,
    ),
    Metric(
        "dci_completeness",
        importances,
        True,
        "1 for one unit to a factor",
        Said("DCI completeness", "DCI 完整度"),
        0.02,
        "Eastwood and Williams 2018",
        bounds=SHARE,
    ),
    Metric(
        "dci_informativeness",
        importances,
        True,
        "share of the factors' variance",
        Said("DCI informativeness", "DCI 信息量"),
        0.02,
        "Eastwood and Williams 2018",
        bounds=SHARE,
    ),
    Metric(
        "sap",
        separated_attributes,
        True,
        "share of a factor's variance",
        Said("separated attribute predictability (SAP)", "属性可分预测度（SAP）"),
        0.02,
        "Kumar et al. 2018",
        bounds=SHARE,
    ),
]
"""What the numbers of this file mean."""
