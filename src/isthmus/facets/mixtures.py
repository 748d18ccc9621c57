"""The rival of generators on tables of several kinds of columns: a mixture of columns that are independent within it.

Numbers become normal by their rank, so that their marginal is the data's whatever its form; those that take few
values, and values that stand out, such as the 0 of a column that is mostly 0, are choices. A gap is a choice of its
own, and its value is integrated out.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.columns import Columns, columns, rows
from isthmus.facets.facet import Rows, Splits, some
from isthmus.mixed import Mixed, MixedMixture, fit
from isthmus.rivals.mixture import REPEATED, Coding, decoded
from isthmus.seeds import seed as hashed

Cells = NDArray[np.float64]

COMPONENTS = (1, 3, 10, 30, 100, 300, 1000, 2000)
"""As many are taken as make validation rows most likely; a mixture of fewer than ten rows each is not tried."""
LEAST_ROWS = 10
PRIOR, FLOOR = 0.3, 0.003
"""Rows that are as all are, which each component is said to hold besides its own; what is added to variances of ranks
that are standard normal. On adult the likelihood of validation rows asks for more of both, and trees for less."""
KNOWN = 10_000
"""Training rows that it is fitted to."""
WORK = 4e9
"""Multiplications of a round that it may take: rows times components times what the likelihood of a row hangs on. There
are some twenty rounds of two products; of more, there are fewer components."""
FEW = 50
"""A number with no more values than this is a choice of them."""
OFTEN, SHARE = 10, 0.02
"""A value that stands out is this many times as common as the mean one, and holds this share of the cells."""


def coding(cells: Cells, size: int, gap: bool) -> Coding:
    """How training cells (n,) with NaN for gaps, of ``size`` values or 0 for a number, are coded."""
    there = np.sort(cells[~np.isnan(cells)])
    if size or not len(there):
        return Coding.of(max(size, 1), np.empty(0), np.empty(0), gap)
    values, counts = np.unique(there, return_counts=True)
    if len(values) <= FEW and len(values) < REPEATED * len(there):
        return Coding.of(len(values), values, np.empty(0), gap)
    common = values[(counts > OFTEN * counts.mean()) & (counts > SHARE * len(there))]
    ranked = there[~np.isin(there, common)]
    return Coding.of(len(common) + 1 if len(common) else 0, common, ranked, gap)


def encoded(cells: Cells, codings: list[Coding], seed: int, classes: NDArray[np.int64] | None, count: int) -> Mixed:
    """Columns (n, C), and classes (n,) of so many where they are known, as what a mixture takes."""
    from scipy.special import ndtri

    random, sizes = np.random.default_rng(seed), []
    numbers, choices = [np.empty((len(cells), 0))], [np.empty((len(cells), 0), np.int64)]
    for own, code in zip(cells.T, codings, strict=True):
        gone = np.isnan(own)
        plain = ~gone & ~np.isin(own, code.values)
        if code.gap:
            choices.append(gone[:, None].astype(np.int64))
            sizes.append(2)
        if code.size:
            held = np.where(gone, 0.0, own) if not len(code.values) else _nearest(code.values, own)
            held = np.where(plain, code.size - 1, held) if len(code.ranked) else held
            choices.append(np.where(gone, -1, held).astype(np.int64)[:, None])
            sizes.append(code.size)
        if len(code.ranked):
            low, high = (np.searchsorted(code.ranked, own, side) for side in ("left", "right"))
            place = (low + random.random(len(own)) * (high - low + 1)) / (len(code.ranked) + 1)
            at = ndtri(np.clip(place, 0.5 / len(code.ranked), 1 - 0.5 / len(code.ranked)))
            numbers.append(np.where(plain, at, np.nan)[:, None])
    if classes is not None:
        choices.append(classes[:, None])
        sizes.append(count)
    return Mixed(np.hstack(numbers), np.hstack(choices), tuple(sizes))


class Generator(NamedTuple):
    """A mixture of rows, ready to be drawn from."""

    mixture: MixedMixture
    codings: list[Coding]
    table: Columns
    splits: Splits
    labelled: bool

    def draw(self, n: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
        """``n`` rows (n, *D) in scaled units, and their classes where it was fitted with them."""
        made = self.mixture.draw(n, seed)
        cells = decoded(made, self.codings, self.table.owners)
        found = rows(cells, self.splits.layout, self.splits.train.x.shape[1:])
        return found, made.choices[:, -1] if self.labelled else None


def generator(splits: Splits, labelled: bool = False) -> Generator:
    """A mixture fitted to at most :data:`KNOWN` training rows, with as many components as validation rows want.

    With ``labelled`` the class of a row is one more column.
    """
    seed = hashed(splits.seed, "mixed-type mixture")
    known, valid = some(splits.train, KNOWN, seed), some(splits.valid, KNOWN, seed)
    table = columns(known.x, splits.layout)
    first = [j == 0 or owner != table.owners[j - 1] for j, owner in enumerate(table.owners)]
    gaps = np.isnan(table.cells).any(axis=0) & np.array(first)
    codings = [coding(table.cells[:, j], size, bool(gaps[j])) for j, size in enumerate(table.sizes)]
    count = 0 if not labelled or known.y is None else int(known.y.max()) + 1

    def taken(part: Rows, use: str) -> Mixed:
        cells = columns(part.x, splits.layout).cells
        return encoded(cells, codings, hashed(seed, use), part.y if count else None, count)

    inner, outer = taken(known, "train"), taken(valid, "valid")
    tried: list[tuple[float, MixedMixture]] = []
    most = min(len(known.x) / LEAST_ROWS, WORK / inner.statistics().size)
    for number in [k for k in COMPONENTS if k == 1 or k <= most]:
        made = fit(inner, number, floor=FLOOR, prior=PRIOR, seed=seed % 2**32, judge=partial(_score, rows=outer))
        tried.append((made.score(outer), made))
        if len(tried) > 2 and tried[-1][0] < tried[-2][0] < tried[-3][0]:
            break
    return Generator(max(tried, key=lambda one: one[0])[1], codings, table, splits, bool(count))


def _score(mixture: MixedMixture, rows: Mixed) -> float:
    return mixture.score(rows)


def _nearest(values: Cells, asked: Cells) -> NDArray[np.int64]:
    """The number of the nearest of some values in order, for each that is asked (n,); that of a gap is any."""
    right = np.clip(np.searchsorted(values, asked), 1, max(len(values) - 1, 1))
    if len(values) == 1:
        return np.zeros(len(asked), np.int64)
    nearer = np.abs(asked - values[right - 1]) <= np.abs(asked - values[right])
    return np.where(nearer, right - 1, right)
