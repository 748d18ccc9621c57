"""Known factors: what made each row, set aside from what is learnt, so that codes can be judged by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.arrays import real
from isthmus.data.unchecked import Unchecked, enough
from isthmus.data.wording import brief, meant, shown, some
from isthmus.errors import BadInput

Factors = tuple[NDArray[np.float64], tuple[str, ...]]


def aside(raw: Unchecked, factors: Any) -> tuple[Unchecked, Factors | None]:
    """The rows without their factors, and the factors (N, F) with their names.

    Parameters
    ----------
    raw : Unchecked
    factors : str, sequence of str, array-like (N, F), or None
        Names of columns (as one text, with commas), or the numbers themselves. None: what the source brings.

    Raises
    ------
    BadInput
        If a column is not there, no column is left, or a factor is no number, not finite, or the same in all rows.
    """
    if isinstance(factors, str):
        factors = [name.strip() for name in factors.split(",") if name.strip()]
    if isinstance(factors, Sequence) and factors and all(isinstance(name, str) for name in factors):
        raw, found, names = _columns(raw, list(dict.fromkeys(factors)))
    else:
        found, names = (raw.factors, raw.factor_names) if factors is None else (factors, ())
        if found is None:
            return raw, None
    return raw, _checked(raw, found, names)


def _columns(raw: Unchecked, names: list[str]) -> tuple[Unchecked, NDArray[Any], tuple[str, ...]]:
    """Columns taken out of a table, and the words for places in what is left."""
    if raw.x.ndim != 2:
        raise BadInput(f"{raw.place}: factors name columns of a table, and rows here are {raw.x.shape[1:]} arrays")
    for name in names:
        if name not in raw.columns:
            near = meant(name, raw.columns)
            raise BadInput(f"{raw.place}: no factor column {shown(name)}{near}; the columns are {some(raw.columns)}")
    taken = [raw.columns.index(name) for name in names]
    kept = [j for j in range(len(raw.columns)) if j not in taken]
    enough(raw.place, len(raw.x), len(kept))

    def where(i: int, j: int | None) -> str:
        return raw.where(i, None if j is None else kept[j])

    fields = tuple(raw.fields[j] for j in kept) if raw.fields else ()
    left = raw._replace(x=raw.x[:, kept], columns=tuple(raw.columns[j] for j in kept), where=where, fields=fields)
    return left, raw.x[:, taken], tuple(names)


def _checked(raw: Unchecked, factors: Any, names: tuple[str, ...]) -> Factors:
    try:
        found = np.asarray(factors)
    except Exception as error:
        raise BadInput(f"{raw.place}: the factors can't be read as an array ({brief(error)}); give numbers") from None
    real(f"{raw.place}, factors", found.dtype)
    if found.ndim == 1:
        found = found[:, None]
    if found.ndim != 2 or len(found) != len(raw.x) or not found.shape[1]:
        raise BadInput(f"{raw.place}: factors must have shape ({len(raw.x)}, F), one row each; got {found.shape}")
    found = found.astype(np.float64)
    names = names or tuple(f"factor {k}" for k in range(found.shape[1]))
    for k, name in enumerate(names):
        column = found[:, k]
        if not np.isfinite(column).all():
            where = raw.where(int(np.flatnonzero(~np.isfinite(column))[0]), None)
            raise BadInput(
                f"{raw.place}: {where}: factor {shown(name)} is missing or not finite; fill it in, or drop the row"
            )
        if math.isclose(column.min(), column.max()):
            raise BadInput(f"{raw.place}: factor {shown(name)} is the same in all rows; leave it out")
    return found, names
