"""Imputation: how well are hidden cells filled in from the rest of each row?

Cells of test rows that are known are hidden, and filled in. Rivals: the mean or the commonest value, the nearest rows,
and trees that predict each column from the others, round after round. No labels are seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.layout import Layout, Table
from isthmus.facets.facet import Coder, Contender, Facet, Splits, known, some
from isthmus.facets.kin import Kin, Lines
from isthmus.facets.purpose import NEEDED
from isthmus.facets.rivals import PASSES, TREES, trees_bound
from isthmus.metrics.imputation import category_error, imputation_error, number_error
from isthmus.said import Said
from isthmus.seeds import seed as hashed

Array = NDArray[np.float32]
Hidden = NDArray[np.bool_]
Fill = Callable[[Array], Array]
"""Rows (n, E) with a guess in each hidden cell -> what each cell is then made of, (n, E)."""

SHARE = 0.2
"""Of the cells that are known, those that are hidden."""
MOST, JUDGED, KNOWN = 1000, 500, 5000
"""Test rows, validation rows, and training rows of rivals, at most."""
ROUNDS = 2
"""Times that rows go through a model until their gaps are filled in, as in ``Inference.impute``."""
FARTHEST = 1e6
"""No guess goes back into a model further than this from the mean, in standard deviations."""
NEIGHBOURS = (5, 20, 50)
"""Of the nearest rows; as many are taken as fill validation rows in best."""
LEAST_ROWS = 3
"""Training rows in a leaf of iterated trees."""
WIDEST = 256
"""Columns up to which trees are grown for each."""


class Cell(NamedTuple):
    """A column among the elements of a laid out row."""

    start: int
    stop: int
    shares: tuple[float, ...]
    """Of its values among the training rows; empty of a number."""
    gap: int | None
    absent: float


class Planted(NamedTuple):
    """Rows whose cells were hidden."""

    truth: Array
    """(n, E)."""
    hidden: Hidden
    """(n, C), cells that were hidden, and are asked."""
    gone: Hidden
    """(n, C), cells that are to be filled in: those, and gaps of the data."""


def cells(splits: Splits) -> list[Cell]:
    """The columns of the rows; where a number is a number, its elements."""
    return parted(splits.layout, math.prod(splits.train.x.shape[1:]))


def parted(layout: Layout | None, width: int) -> list[Cell]:
    """The columns of laid out rows of so many elements."""
    if layout is None or not layout.parts:
        return [Cell(i, i + 1, (), None, 0.0) for i in range(width)]
    found = []
    for part in layout.parts:
        shares = () if part.column.outcome == "order" else tuple(part.column.shares)  # far off is worse: as a number
        both = (1 - shares[0], shares[0]) if part.column.outcome == "bit" else shares
        found.append(Cell(part.start, part.stop, both, part.gap, part.absent))
    return found


def planted(rows: Array, columns: list[Cell], seed: int) -> Planted:
    """Rows (n, *D) of which a share of the known cells is hidden; one that is known is left in each."""
    flat = rows.reshape(len(rows), -1)
    gaps = np.zeros((len(flat), len(columns)), bool)
    for j, cell in enumerate(columns):
        if cell.gap is not None:
            gaps[:, j] = flat[:, cell.gap] > 0.5 - cell.absent
    chance = np.random.default_rng(seed).random(gaps.shape)
    hidden = (chance < SHARE) & ~gaps
    if len(columns) > 1:
        hidden[np.arange(len(flat)), np.where(gaps, -1.0, chance).argmax(axis=1)] = False
    return Planted(flat, hidden, hidden | gaps)


def filled(fill: Fill, one: Planted, columns: list[Cell], splits: Splits, rounds: int = ROUNDS) -> Array:
    """Planted rows with their cells filled in, (n, E): the mean at first, then what ``fill`` makes of them."""
    whole, out = spread(one.gone, columns, one.truth.shape[1]), one.truth.copy()
    for cell in columns:
        if cell.gap is not None:
            out[:, cell.gap] = -cell.absent  # no cell says that it is missing: see Table.unsaid
    usual = np.zeros(out.shape[1]) if isinstance(splits.layout, Table) else _middle(splits)
    out = np.where(whole, usual.astype(np.float32), out)
    for _ in range(rounds):
        made = fill(out)
        if not np.isfinite(made).all():
            return np.full_like(out, np.nan)
        out = np.where(whole, settled(np.clip(made, -FARTHEST, FARTHEST), splits.layout), out)
    return out


def settled(made: Array, layout: Layout | None) -> Array:
    """What was made (n, E) as the likeliest cells, none of them missing."""
    return layout.settled(layout.unsaid(made)) if isinstance(layout, Table) else made


def spread(which: Hidden, columns: list[Cell], width: int) -> Hidden:
    """Cells (n, C) as elements (n, E)."""
    out = np.zeros((len(which), width), bool)
    for j, cell in enumerate(columns):
        out[:, cell.start : cell.stop] = which[:, [j]]
    return out


def graded(made: Array, one: Planted, columns: list[Cell]) -> dict[str, float]:
    """The facet's numbers of rows (n, E) in which hidden cells are filled in."""
    numbers, categories = [], []
    for j, cell in enumerate(columns):
        where = one.hidden[:, j]
        truth, guess = (rows[where, cell.start : cell.stop] for rows in (one.truth, made))
        if not cell.shares:
            numbers.append(number_error(truth, guess))
        elif np.isfinite(guess).all():
            right, named = (np.hstack([-x, x]) if x.shape[1] == 1 else x for x in (truth, guess))
            categories.append(category_error(right.argmax(axis=1), named.argmax(axis=1), max(cell.shares)))
    if not np.isfinite(made).all():
        numbers, categories = [math.nan], []
    found = {"imputation_error": imputation_error([*numbers, *categories])}
    if numbers:
        found["imputation_numbers"] = imputation_error(numbers)
    if categories:
        found["imputation_categories"] = imputation_error(categories)
    return known(found)


def through(coder: Coder, splits: Splits) -> Fill:
    """What a model makes of rows."""
    shape = splits.train.x.shape[1:]
    return lambda rows: coder.decode_scaled(coder.encode_scaled(rows.reshape(-1, *shape))).reshape(len(rows), -1)


def criterion(coder: Coder, splits: Splits) -> float:
    """The error of cells of validation rows that were hidden; without labels."""
    columns = cells(splits)
    one = planted(_some(splits, "valid", JUDGED), columns, _seed(splits, "valid"))
    return graded(filled(through(coder, splits), one, columns, splits), one, columns)["imputation_error"]


def measure(contender: Contender, splits: Splits) -> dict[str, float]:
    """The error of cells of test rows that were hidden, the same for every contender."""
    columns, one = asked(splits)
    return graded(filled(through(contender, splits), one, columns, splits), one, columns)


def asked(splits: Splits) -> tuple[list[Cell], Planted]:
    """The columns, and the test rows with cells that everybody is asked."""
    columns = cells(splits)
    return columns, planted(_some(splits, "test", MOST), columns, _seed(splits, "test"))


def usual(splits: Splits) -> dict[str, float]:
    """The same of the mean of each column, or its commonest value, among the training rows."""
    columns, one = asked(splits)
    middle = np.zeros(one.truth.shape[1]) if isinstance(splits.layout, Table) else _middle(splits)
    made = filled(lambda rows: np.tile(middle.astype(np.float32), (len(rows), 1)), one, columns, splits, rounds=1)
    return graded(made, one, columns)


def nearest_rows(splits: Splits) -> dict[str, float]:
    """The same of the mean over the nearest training rows, by what is known of both; of categories the commonest.

    Troyanskaya et al. (2001), Missing value estimation methods for DNA microarrays, Bioinformatics 17.
    """
    columns, one = asked(splits)
    return graded(_by_nearest(splits, one, columns, best_count(splits)), one, columns)


def best_count(splits: Splits) -> int:
    """The number of neighbours that fills hidden cells of validation rows in best."""
    columns = cells(splits)
    judged = planted(_some(splits, "valid", JUDGED), columns, _seed(splits, "valid"))
    counts = [k for k in NEIGHBOURS if k <= min(len(splits.train.x), KNOWN)] or [1]
    if len(counts) == 1:
        return counts[0]
    errors = [graded(_by_nearest(splits, judged, columns, k), judged, columns)["imputation_error"] for k in counts]
    return counts[int(np.nanargmin([*errors, np.inf]))]


def _by_nearest(splits: Splits, part: Planted, columns: list[Cell], count: int) -> Array:
    train = _gappy(_some(splits, "train", KNOWN), columns)
    return filled(lambda _: _neighbours(train, part, columns, count), part, columns, splits, rounds=1)


def iterated_trees(splits: Splits) -> dict[str, float]:
    """The same of trees that tell each column from the others, in rounds that begin with the mean or commonest value.

    Stekhoven and Bühlmann (2012), MissForest: non-parametric missing value imputation for mixed-type data,
    Bioinformatics 28; with extremely randomised trees. They grow on training rows, whose own gaps they fill in too.
    """
    columns, one = asked(splits)
    if len(columns) > WIDEST:
        return {}
    rows = _some(splits, "train", KNOWN)
    own = planted(rows, columns, 0)
    own = own._replace(gone=own.gone & ~own.hidden)  # the gaps of the data alone
    seed = _seed(splits, "trees") % 2**32
    return graded(by_trees(_open(own, columns), _open(one, columns), splits.layout, seed), one, columns)


def by_trees(known: Array, gappy: Array, layout: Layout | None, seed: int = 0) -> Array:
    """Laid out rows (m, E) with their NaN filled in, by trees that grow on others (n, E), which may have gaps too.

    Examples
    --------
    >>> rows = np.random.default_rng(0).normal(size=(300, 1)).astype(np.float32) * np.ones(3, np.float32)
    >>> made = by_trees(rows, np.array([[1, np.nan, 1]], np.float32), None)
    >>> bool(made[0, 1] > 0.5)  # the mean is 0
    True
    """
    from sklearn.ensemble import ExtraTreesRegressor

    columns = parted(layout, known.shape[1])
    known = known[: trees_bound(len(known), len(columns), known.shape[1])]
    usual = np.zeros(known.shape[1]) if isinstance(layout, Table) else np.nanmean(known, axis=0, dtype=np.float64)
    gone, blank = (np.isnan(rows[:, [cell.start for cell in columns]]) for rows in (known, gappy))
    train, made = (np.where(np.isnan(rows), usual, rows).astype(np.float32) for rows in (known, gappy))
    for _ in range(PASSES):
        for j in np.argsort(gone.mean(axis=0) + blank.mean(axis=0), kind="stable"):
            cell, there = columns[j], ~gone[:, j]
            others = np.setdiff1d(np.arange(train.shape[1]), np.arange(cell.start, cell.stop))
            if not there.any() or not blank[:, j].any() or not len(others):
                continue
            trees = ExtraTreesRegressor(TREES, min_samples_leaf=LEAST_ROWS, max_features=0.5, random_state=seed)
            aim = known[there, cell.start : cell.stop]
            trees.fit(train[there][:, others], aim[:, 0] if aim.shape[1] == 1 else aim)
            for which, laid in ((gone[:, j], train), (blank[:, j], made)):
                if which.any():
                    guess = laid[which]
                    guess[:, cell.start : cell.stop] = trees.predict(guess[:, others]).reshape(len(guess), -1)
                    laid[which, cell.start : cell.stop] = settled(guess, layout)[:, cell.start : cell.stop]
    return made


def _open(part: Planted, columns: list[Cell]) -> Array:
    """Rows (n, E) with NaN where a cell is to be filled in, none of which says so."""
    out = np.where(spread(part.gone, columns, part.truth.shape[1]), np.float32(np.nan), part.truth)
    for cell in columns:
        if cell.gap is not None:
            out[:, cell.gap] = -cell.absent
    return out


def _neighbours(train: NDArray[np.float64], part: Planted, columns: list[Cell], count: int) -> Array:
    """The mean of each cell over the nearest of the training rows that have it, by distances over shared cells."""
    width = part.truth.shape[1]
    there = ~spread(part.gone, columns, width)
    says = [cell.gap for cell in columns if cell.gap is not None]
    there[:, says] = False
    have = ~np.isnan(train)
    a, b = np.where(there, part.truth, 0.0).astype(np.float64), np.where(have, train, 0.0)
    shared = there.astype(np.float64) @ have.T
    gaps = np.square(a) @ have.T + there @ np.square(b).T - 2 * a @ b.T
    near = np.where(shared > 0, gaps / np.maximum(shared, 1), np.inf)
    order = np.argsort(near, axis=1, kind="stable")
    out = part.truth.copy()
    for j, cell in enumerate(columns):
        known_of, rows = have[:, cell.start], np.flatnonzero(part.gone[:, j])
        if not len(rows) or not known_of.any():
            continue
        ranked = order[rows]
        able = known_of[ranked]
        first = np.cumsum(able, axis=1)
        taken = able & (first <= count)
        total = np.maximum(taken.sum(axis=1, keepdims=True), 1)
        weight = np.zeros((len(rows), len(train)))
        np.put_along_axis(weight, ranked, taken / total, axis=1)
        out[rows, cell.start : cell.stop] = weight @ b[:, cell.start : cell.stop]
    return out


def _gappy(rows: Array, columns: list[Cell]) -> NDArray[np.float64]:
    """Rows (n, E) with NaN where a cell is missing, and in the elements that say so."""
    out = rows.reshape(len(rows), -1).astype(np.float64)
    for cell in columns:
        if cell.gap is not None:
            out[out[:, cell.gap] > 0.5 - cell.absent, cell.start : cell.stop] = np.nan
            out[:, cell.gap] = np.nan
    return out


def _middle(splits: Splits) -> NDArray[np.float64]:
    """The mean training row, (E,)."""
    middle: NDArray[np.float64] = splits.train.x.reshape(len(splits.train.x), -1).mean(axis=0, dtype=np.float64)
    return middle


def _some(splits: Splits, part: str, most: int) -> Array:
    return some(getattr(splits, part), most, _seed(splits, "rows")).x


def _seed(splits: Splits, use: str) -> int:
    return hashed(splits.seed, "imputation", use)


def _trees(splits: Splits) -> Lines:
    return Lines(
        "from isthmus.facets.imputation import by_trees\n\n"
        "# trees grow on the first rows, and fill in the gaps of the second\n"
        f"layout.filled(by_trees(X, X, layout, seed={_seed(splits, 'trees') % 2**32}))",
        takes="gaps",
    )


def _imputer(name: str, **settings: object) -> Kin:
    return Kin.of("fill", f"sklearn.impute.{name}", **settings)._replace(takes="gaps")


IMPUTATION = Facet(
    name="imputation",
    title=Said("Imputation", "填补"),
    question=Said("How well are missing cells filled in?", "缺失的单元格填补得有多好？"),
    purposes={"fill_gaps": NEEDED},
    primary="imputation_error",
    view="all",
    labels=False,
    tables=True,
    sees=Said(
        "training and validation rows, without labels; of validation rows some cells are hidden",
        "训练集和验证集，不使用标签；验证集中隐藏部分单元格",
    ),
    criterion=criterion,
    free=criterion,
    measure=measure,
    metrics=("imputation_error", "imputation_numbers", "imputation_categories"),
    floor="mean or mode",
    floor_title=Said("the mean or commonest value of each column", "每列的均值或众数"),
    simplest="mean or mode",
    spoiled_by=("constant output",),
    rivals={"mean or mode": usual, "nearest known rows": nearest_rows, "iterated trees": iterated_trees},
    kin={
        "mean or mode": lambda _: _imputer("SimpleImputer"),
        "nearest known rows": lambda splits: _imputer("KNNImputer", n_neighbors=best_count(splits)),
        "iterated trees": _trees,
    },
)
