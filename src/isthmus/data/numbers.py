"""From any real numbers to finite float32, or one line that says which cell stands in the way."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import option, shown
from isthmus.errors import BadInput

BLOCK = 1 << 20
WHOLE = 2.0**53
"""Whole numbers beyond this are not all 64-bit floats."""
COARSE = 0.01
"""Largest rounding error that float32 may make, as a share of a column's range."""
DIGITS = 40
"""Of a whole number that is shown as it is, at most."""

NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def numbers(raw: Unchecked) -> NDArray[np.float32]:
    """The rows of ``raw`` as float32 (N, *D).

    Raises
    ------
    BadInput
        If a cell is missing, infinite or beyond the range of float32, or if a column varies too finely for float32.
    """
    rows = raw.x.reshape(len(raw.x), len(raw.columns))
    out = np.empty(rows.shape, np.float32)
    exact = np.can_cast(rows.dtype, np.float32, "safe")
    low, high = np.full(rows.shape[1], np.inf), np.full(rows.shape[1], -np.inf)
    error = np.zeros(rows.shape[1])
    bad: list[tuple[int, int]] = []
    count = 0
    step = max(1, BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        block, cast = rows[start : start + step], out[start : start + step]
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):  # what is not finite is named below
            cast[...] = block
        wrong = ~np.isfinite(cast)
        if wrong.any():
            i, j = np.argwhere(wrong)[0].tolist()
            bad, count = bad or [(start + i, j)], count + int(wrong.sum())
        elif not exact and not bad:
            wide = block.astype(np.float64)
            np.minimum(low, wide.min(axis=0), out=low)
            np.maximum(high, wide.max(axis=0), out=high)
            np.maximum(error, np.abs(wide - cast).max(axis=0), out=error)
    if bad:
        raise BadInput(unusable(raw, *bad[0], float(rows[bad[0]]), count))
    for j in [] if exact else np.flatnonzero((low == high) & (np.abs(low) >= WHOLE)):
        if rows[:, j].min() != rows[:, j].max():
            raise BadInput(too_fine(raw.place, raw.columns[j], rows[:, j].min(), rows[:, j].max()))
    fine = np.flatnonzero((low < high) & (error / COARSE > high - low))
    if len(fine):
        j = int(fine[0])
        digits = ".12g" if abs(high[j]) < 1e12 else ".0f" if abs(high[j]) < 1e20 else ".17g"
        ends = f"{low[j]:{digits}}", f"{high[j]:{digits}}"
        raise BadInput(too_fine(raw.place, raw.columns[j], *ends, known=raw.x.ndim == 2))
    out += 0.0  # one zero: -0 and 0 are equal numbers and should be equal bytes
    return out.reshape(raw.x.shape)


def too_fine(place: str, column: str, low: object, high: object, *, known: bool = False) -> str:
    """Why a column is refused whose values would fall together; ``known`` says that 64-bit floats tell them apart,
    which a column has whose kind is said."""
    mend = f"read it on its own scale ({option(column, 'number')})" if known else "subtract its minimum"
    ends = (str(end) if len(str(end)) <= DIGITS else f"{float(str(end)):.17g}" for end in (low, high))
    return (
        f"{place}: column {shown(column)} runs from {' to '.join(ends)}, steps too fine for 32-bit floats; "
        f"{mend} or give it another unit, or drop it if it is an id"
    )


def unusable(raw: Unchecked, i: int, j: int, value: float, count: int = 1) -> str:
    """Why the number in row i and column j, the first of ``count``, cannot be used."""
    where = f"{raw.place}: {raw.where(i, j)}"
    more = "" if count == 1 else f", the first of {count} cells without a usable number"
    if np.isfinite(value):
        return f"{where}: {value:.6g} is beyond 32-bit floats (3.4e38){more}; give the column another unit"
    what = "missing" if np.isnan(value) else "infinite"
    remedy = "fill it in or drop the row" if count == 1 else "fill them in or drop these rows"
    return f"{where}: the value is {what}{more}; {remedy}"


def spelled(value: object) -> float | None:
    """The number that a label or a cell is or spells; None for text, booleans, NaN and infinity.

    A text is a number in the digits 0 to 9 only: what Python takes for one besides (``1_1``, digits of other scripts)
    is text to all who write tables.

    Examples
    --------
    >>> spelled(" 1.5"), spelled("one"), spelled("1_1"), spelled(True)
    (1.5, None, None, None)
    """
    if isinstance(value, bool | bytes) or (isinstance(value, str) and not NUMBER.fullmatch(value.strip())):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if np.isfinite(number) else None
