"""Names and values from foreign files, made fit for one line of an error message."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Iterable

WEIGHED = 200
"""Choices among which a name is looked for, letter by letter."""
LONGEST = 200
"""Characters of a name that are compared."""


def shown(value: object, width: int = 40) -> str:
    """A foreign value in quotes, on one line, without control characters, shortened.

    Examples
    --------
    >>> shown("two\\nlines"), shown("x" * 50, 8)
    ("'two\\\\nlines'", "'xxxxxxx…'")
    """
    text = value if isinstance(value, str) else str(value)
    return repr(text if len(text) <= width else text[: width - 1] + "…")


def option(name: str, kind: str) -> str:
    """What to type to say of which kind a column is.

    Examples
    --------
    >>> option("zip code", "category"), option("x" * 99, "category")
    ("--kind 'zip code=category'", '--kind COLUMN=category')
    >>> option("it's", "category")
    '--kind "it\\'s=category"'
    """
    quote = '"' if "'" in name else "'"
    short = len(name) <= 30 and name.isprintable() and not ("'" in name and set('"$`\\!') & set(name))
    return f"--kind {quote}{name}={kind}{quote}" if short else f"--kind COLUMN={kind}"


def place(path: object) -> str:
    """A path at the head of a message: as it is if it can be printed on one line; its end if it is very long."""
    text = str(path)
    text = text if len(text) <= 300 else f"…{text[-299:]}"
    return text if text.isprintable() else repr(text)


def some(names: Iterable[object], limit: int = 6) -> str:
    """A list of names, cut where it grows long.

    Examples
    --------
    >>> some(["a", "b", "c"], limit=2)
    "'a', 'b' and 1 more"
    """
    names = list(names)
    text = ", ".join(shown(name) for name in names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"


def meant(name: str, choices: Iterable[str]) -> str:
    """`` (did you mean 'digits'?)``, or nothing if no choice is close.

    Of very many choices only those are weighed that begin and end most alike.
    """
    choices, name = list(choices), name[:LONGEST]
    if len(choices) > WEIGHED:
        choices = heapq.nlargest(WEIGHED, choices, key=lambda other: _ends(name, other))
    close = difflib.get_close_matches(name, [other[:LONGEST] for other in choices], n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(map(shown, close))}?)" if close else ""


def _ends(a: str, b: str) -> int:
    """How many characters two names share at their beginnings and ends."""
    return sum(
        next((i for i, (p, q) in enumerate(zip(*pair, strict=False)) if p != q), min(len(a), len(b)))
        for pair in ((a, b), (a[::-1], b[::-1]))
    )


def number_of(count: int, one: str, more: str = "") -> str:
    """A number with its noun, in the singular for 1.

    Examples
    --------
    >>> number_of(1, "row"), number_of(3, "row"), number_of(2, "family", "families")
    ('1 row', '3 rows', '2 families')
    """
    return f"{count} {one if count == 1 else more or one + 's'}"


def brief(error: BaseException) -> str:
    """What another library's error says, on one short line."""
    text = "".join(c if c.isprintable() else " " for c in str(error))
    return " ".join(text.split())[:100] or type(error).__name__
