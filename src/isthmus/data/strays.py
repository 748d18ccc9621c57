"""Texts that stand where people mean numbers, and cannot be read as them: which one, and what to do about it."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.numbers import spelled
from isthmus.data.wording import option, shown
from isthmus.data.written import looks, other_than_text, signs

FEW = 0.2
"""Largest share of rows whose texts are strays in a column of numbers; more make it a column of texts, some of which
are digits."""
LEVELS = 50
"""Most different numbers that a column can have to be read as categories without loss."""
LOOKED_AT = 1000
"""Different texts by which a column is told."""


def stray(texts: Any, counts: NDArray[np.int64], column: str) -> tuple[int, str] | None:
    """Which text is no number in a column that people mean as numbers, and what is to be said of it; None if none is.

    Parameters
    ----------
    texts : Arrow array of strings
        The different texts of a column, in the order in which they first stand.
    counts : array
        In how many rows each stands.
    column : str
        Its name.

    Examples
    --------
    >>> import pyarrow as pa
    >>> stray(pa.array(["1", "2", "old"]), np.array([5, 5, 1]), "age")[0]
    2
    >>> stray(pa.array(["Oslo", "Rome"]), np.array([5, 5]), "city") is None
    True
    """
    kept = f"read the column as categories ({option(column, 'category')})"
    head = texts[:LOOKED_AT].to_pylist()
    if (pair := signs(texts)) is not None:
        at = texts.to_pylist().index(pair[1])
        return at, f"carries another sign than {shown(pair[0])}, or none; write all in one unit, or {kept}"
    foreign = {i: plain for i, text in enumerate(head) if (plain := _foreign(text)) is not None}
    if foreign and all(i in foreign or spelled(text) is not None for i, text in enumerate(head)):
        at, plain = next(iter(foreign.items()))
        return at, f"is no number as tables have them; write {plain} if it is one, or {kept}"
    good = looks(texts)
    if (good[: len(head)].sum() * 2 > len(head) or len(good) == 2) and 0 < counts[~good].sum() <= FEW * counts.sum():
        at = int(np.flatnonzero(~good)[0])
        text = texts[at].as_py()
        if at == 0 and counts[0] == 1:
            return at, "is not a number, and all below are; correct it, or take the line away if it holds units"
        remedy = other_than_text(text, [text])
        remedy = remedy or "is not a number; correct it, or drop the row or the column"
        return at, f"{remedy}, or {kept}" if good.sum() <= LEVELS else f"{remedy}; an empty cell is a gap"
    if head and (remedy := other_than_text(head[0], head)):
        return 0, f"{remedy}, or {kept}" if len(texts) <= LEVELS else remedy
    return None


def _foreign(text: str) -> str | None:
    """The number, in plain digits, that digits of other scripts or with underscores spell; None if they spell none."""
    digits = (str(unicodedata.decimal(c)) if unicodedata.decimal(c, None) is not None else c for c in text)
    plain = "".join(digits).replace("_", "")
    return plain if plain != text and spelled(plain) is not None and spelled(text) is None else None
