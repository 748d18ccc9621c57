"""Blanks around names: they are trimmed, unless they alone tell two names apart; and names that look alike."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any

import pyarrow.compute as pc

from isthmus.data.wording import shown


def trimmed(texts: Any) -> Any:
    """Names (n,), an Arrow array of strings, without the blanks around them, where they stay as many as they were.

    Examples
    --------
    >>> import pyarrow as pa
    >>> trimmed(pa.array(["a ", "a", " b"])).to_pylist()
    ['a ', 'a', 'b']
    """
    bare = pc.utf8_trim_whitespace(texts)
    counted = pc.value_counts(pc.utf8_trim_whitespace(pc.unique(texts)))
    twice = counted.field("values").filter(pc.greater(counted.field("counts"), 1))
    return pc.if_else(pc.is_in(bare, twice), texts, bare)


def alike(what: str, names: Iterable[str]) -> str | None:
    """A sentence about names that differ in the blanks around them, in case, or in how the same letters are encoded,
    and in nothing else; None if there are none.

    Examples
    --------
    >>> alike("classes", ["a", "b", "a "])
    "classes 'a' and 'a ' differ in blanks only and are kept apart; if they are one, write it one way"
    >>> alike("classes", ["Yes", "no", "yes"])
    "classes 'Yes' and 'yes' differ in case only and are kept apart; if they are one, write it one way"
    """
    names = list(names)
    for how, plain in (("blanks", str.strip), ("case", _folded), ("how letters are encoded", _composed)):
        known: dict[str, str] = {}
        for name in names:
            if (first := known.setdefault(plain(name), name)) != name:
                return (
                    f"{what} {shown(first)} and {shown(name)} differ in {how} only and are kept apart; if they are "
                    "one, write it one way"
                )
    return None


def _folded(name: str) -> str:
    return name.strip().casefold()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFKC", name).strip().casefold()
