"""A few rows, a few cells or one column that are most of the variance: what is learnt is then learnt of them.

Explained variance says how much of the whole is rebuilt. Where five rows of a hundred times the usual norm are the
whole, one component that points to them explains nearly all, and the number says nothing of the other rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields import Field
from isthmus.data.layout import Layout, laid_out

MOST = 0.5
"""Share of the variance from which it is most of it."""
FEW = 0.01
"""Largest share of the rows that are a few; one row always is."""
FARTHER = 10.0
"""Rows lie so many times as far out as the usual row."""
BEYOND = 100.0
"""Cells lie outside by so many times what all others of their column span."""
UNEVEN = 10.0
"""One column is most of the variance if it is also so many times its even part of it."""
DRAWN = 1000
"""Rows from which components are found, besides the few."""
BLOCK = 1 << 22


class Dominant(NamedTuple):
    """What is most of the variance, and what principal components explain with it and without."""

    what: Literal["rows", "cells", "column"]
    """``rows``, ``cells`` or ``column``."""
    column: str
    """Of cells, or the column; else empty."""
    rows: tuple[int, ...]
    """Numbers of the rows, or of those of the cells, counted from 0; empty for a column."""
    share: float
    """Of the variance of all rows, or of the cells' column."""
    size: float
    """Of rows: how many times as far out they lie as the usual row, at least. Of cells: the value farthest out."""
    components: int
    """How many are taken."""
    explained: float
    """Share of the variance that they explain."""
    without: float
    """The same without these rows, or without the column."""


def dominant(
    x: NDArray[Any],
    columns: Sequence[str],
    components: int,
    *,
    fields: Sequence[Field] = (),
    images: bool = False,
) -> list[Dominant]:
    """What is most of the variance of rows as models see them.

    Parameters
    ----------
    x : array (N, *D)
        Rows in the units of the data; cells of a table with ``fields``.
    columns : sequence of str
        Names of the D elements.
    components : int
        Of the code that is asked for.
    fields, images
        As in :func:`isthmus.data.layout.laid_out`.

    Returns
    -------
    list of Dominant
        Rows first, then cells by columns, then one column. What several columns would say of the same rows, rows say.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(1000, 20))
    >>> rows[:3] *= 100
    >>> (found,) = dominant(rows, [f"x{j}" for j in range(20)], 3)
    >>> found.what, found.rows, found.share > 0.9, found.explained > 0.9, found.without < 0.3
    ('rows', (0, 1, 2), True, True, True)
    """
    layout = laid_out(x, fields, images=images)
    rows, share, size = _rows(x, layout)

    def told(
        what: Literal["rows", "cells"], column: str, few: NDArray[np.int64], share: float, size: float
    ) -> Dominant:
        others = np.setdiff1d(np.arange(len(x)), few)
        some = others[:: max(1, len(others) // DRAWN)]
        weight = np.append(np.ones(len(few)), np.full(len(some), len(others) / len(some)))
        least = laid_out(x[some], fields, images=images)
        whole = explained(_laid(layout, x[np.append(few, some)]), components, weight)
        left = explained(_laid(least, x[some]), components)
        return Dominant(what, column, tuple(few.tolist()), share, size, components, whole, left)

    found = [told("rows", "", rows, share, size)] if len(rows) else []
    for name, few, part, value in _cells(x, columns, fields):
        if not np.isin(few, rows).all():
            found.append(told("cells", name, few, part, value))
    return found + ([] if fields or x.ndim > 2 else _column(x, layout, columns, components))


def explained(z: NDArray[np.float64], components: int, weight: NDArray[np.float64] | None = None) -> float:
    """Share of the variance of rows (n, E) that so many principal components explain; rows count by ``weight`` (n,).

    Examples
    --------
    >>> z = np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(explained(z, 1), 3), round(explained(z, 1, np.array([1.0, 1.0, 9.0, 9.0])), 3)
    (0.9, 0.5)
    """
    share = np.full(len(z), 1.0) if weight is None else weight
    centred = (z - np.average(z, axis=0, weights=share)) * np.sqrt(share)[:, None]
    centred /= max(float(np.abs(centred).max()), np.finfo(float).tiny)
    parts = np.linalg.svd(centred, compute_uv=False) ** 2
    return float(parts[:components].sum() / parts.sum()) if parts.sum() > 0 else 1.0


def _laid(layout: Layout, x: NDArray[Any]) -> NDArray[np.float64]:
    """Rows as models see them, (n, E)."""
    return layout.apply(x).reshape(len(x), -1).astype(np.float64)


def _rows(x: NDArray[Any], layout: Layout) -> tuple[NDArray[np.int64], float, float]:
    """Numbers of a few rows that are most of the squared distance from the usual row; their share; how far out."""
    centre = np.median(_laid(layout, x[:: max(1, len(x) // DRAWN)]), axis=0)
    step = max(1, BLOCK // len(centre))
    blocks = (x[i : i + step] for i in range(0, len(x), step))
    far = np.concatenate([((_laid(layout, block) - centre) ** 2).sum(axis=1) for block in blocks])
    usual = float(np.median(far))
    out = np.flatnonzero(far >= FARTHER**2 * usual)
    share = float(far[out].sum() / max(far.sum(), np.finfo(float).tiny))
    if usual <= 0 or not 0 < len(out) <= max(1, FEW * len(x)) or share < MOST:
        return out[:0], 0.0, 0.0
    return out, share, float(np.sqrt(far[out].min() / usual))


def _cells(
    x: NDArray[Any], columns: Sequence[str], fields: Sequence[Field]
) -> Iterator[tuple[str, NDArray[np.int64], float, float]]:
    """Columns with a few cells that lie beyond all others and are most of its variance: name, rows, share, value.

    The elements of pictures and series are one column without a name: they share one scale.
    """
    if x.ndim > 2:
        flat = x.reshape(-1)
        if (few := _beyond(flat)) is not None:
            yield "", np.unique(few[0] // (flat.size // len(x))), few[1], few[2]
        return
    for j, name in enumerate(columns):
        if fields and fields[j].kind not in ("number", "amount"):
            continue
        if (few := _beyond(x[:, j])) is not None:
            yield name, few[0], few[1], few[2]


def _beyond(cells: NDArray[Any]) -> tuple[NDArray[np.int64], float, float] | None:
    """Numbers of a few cells far beyond all others, their share of the variance, and the value farthest out."""
    there = cells[~np.isnan(cells)] if cells.dtype.kind == "f" else cells
    most = max(1, int(FEW / 10 * len(there)))
    if len(there) < 2 * most + 2:
        return None
    ends = np.partition(there, (most, len(there) // 2, len(there) - 1 - most)).astype(np.float64)
    low, usual, high = ends[most], ends[len(ends) // 2], ends[-1 - most]
    with np.errstate(invalid="ignore"):
        out = np.flatnonzero(np.abs(cells - usual) > BEYOND * (high - low))
    if not (low < high and 0 < len(out) <= most):
        return None
    far = (there.astype(np.float64) - usual) ** 2
    share = float(((cells[out].astype(np.float64) - usual) ** 2).sum() / far.sum())
    value = float(cells[out][np.argmax(np.abs(cells[out] - usual))])
    return (out, share, value) if share >= MOST else None


def _column(x: NDArray[Any], layout: Layout, columns: Sequence[str], components: int) -> list[Dominant]:
    """One column that is most of the variance, where columns keep their scales."""
    some = x[:: max(1, len(x) // DRAWN)]
    laid = _laid(layout, some)
    spread = laid.var(axis=0)
    j = int(np.argmax(spread))
    share = float(spread[j] / max(spread.sum(), np.finfo(float).tiny))
    if share < MOST or share * len(spread) < UNEVEN:
        return []
    left = np.delete(some, j, axis=1)
    without = explained(_laid(laid_out(left), left), components)
    return [Dominant("column", columns[j], (), share, 0.0, components, explained(laid, components), without)]
