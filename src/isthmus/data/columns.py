"""Laid out rows as columns that trees, and a mixture of columns, take: a number, or a category, with gaps as gaps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields import TEXTS
from isthmus.data.layout import Layout, Part


class Columns(NamedTuple):
    """Rows of a table, a column for each of its own."""

    cells: NDArray[np.float64]
    """(n, C): numbers and dates in their own units, flags as 0 and 1, a category as the number of its value; NaN is a
    gap."""
    categories: NDArray[np.bool_]
    """(C,), which are categories or flags."""
    sizes: tuple[int, ...]
    """How many values each of these may have; 0 of a number."""
    owners: tuple[int, ...]
    """Which column of the table each belongs to: free text has several, the weights of its terms."""


def columns(x: NDArray[np.float32], layout: Layout | None) -> Columns:
    """Rows (n, E) as columns; plain numbers as they are."""
    laid = np.asarray(x, np.float64).reshape(len(x), -1)
    if layout is None or not layout.parts:
        return Columns(laid, np.zeros(laid.shape[1], bool), (0,) * laid.shape[1], tuple(range(laid.shape[1])))
    found, sizes, owners = [], [], []
    for number, part in enumerate(layout.parts):
        cells = _cells(part, laid[:, part.start : part.stop])
        if part.gap is not None:
            cells = np.where(laid[:, [part.gap]] > 0.5 - part.absent, np.nan, cells)
        found.append(cells)
        sizes += cells.shape[1] * [{"choice": part.column.width, "bit": 2}.get(part.column.outcome, 0)]
        owners += cells.shape[1] * [number]
    return Columns(np.hstack(found), np.array(sizes) > 0, tuple(sizes), tuple(owners))


def rows(cells: NDArray[np.float64], layout: Layout | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The inverse: columns (n, C) as rows (n, *shape)."""
    if layout is None or not layout.parts:
        return cells.astype(np.float32).reshape(len(cells), *shape)
    out, at = np.zeros((len(cells), *shape), np.float64), 0
    for part in layout.parts:
        wide = part.stop - part.start if part.field.kind in TEXTS else 1
        own = cells[:, at : at + wide]
        at += wide
        gone = np.asarray(np.isnan(own).any(axis=1))
        laid = _laid(part, np.where(gone[:, None], 0.0, own))
        out[:, part.start : part.stop] = np.where(gone[:, None], 0.0, laid)
        if part.gap is not None:
            out[:, part.gap] = gone - part.absent
    return out.astype(np.float32)


def _cells(part: Part, laid: NDArray[np.float64]) -> NDArray[np.float64]:
    column = part.column
    if part.field.kind in TEXTS:
        return laid
    if column.outcome == "choice":
        return (laid * column.scale + np.asarray(column.shares)).argmax(axis=1)[:, None].astype(np.float64)
    return column.decode(laid)[:, None].astype(np.float64)


def _laid(part: Part, cells: NDArray[np.float64]) -> NDArray[np.float64]:
    column = part.column
    if part.field.kind in TEXTS:
        return cells
    if column.outcome == "choice":
        return (np.eye(column.width)[cells[:, 0].astype(int)] - np.asarray(column.shares)) / column.scale
    return column.encode(cells[:, 0])
