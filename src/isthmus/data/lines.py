"""Lines of text, one document a line, as a table of one column."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from isthmus.data.fields.text import Text
from isthmus.data.files import LARGEST_TEXT, content, fits, stranger
from isthmus.data.table import table
from isthmus.data.text_table import BYTE_ORDER_MARK, utf8
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import place
from isthmus.errors import BadInput

COLUMN = "text"
"""The name of the one column."""


def lines(path: Path) -> Unchecked:
    """A ``.txt`` file, plain or ``.gz``: each line is a text, an empty one a gap.

    Raises
    ------
    BadInput
        If it is no text.
    """
    where = place(path)
    if what := stranger(path):
        raise BadInput(f"{where}: no text, but {what}")
    data, told = written(where, content(path, LARGEST_TEXT))
    fits(where, 2 * len(data))
    found = parted(data)
    if not data.strip():
        raise BadInput(f"{where}: no text in the file; check where it came from")
    made = table(where, [COLUMN], [found], lambda i: f"line {i + 1}", None, {COLUMN: Text.kind})
    return made._replace(told=told)


def written(where: str, data: bytes, above: int = 0) -> tuple[bytes, tuple[str, ...]]:
    """Bytes of a text in UTF-8, and how they were read, in words; what is no text is refused. ``above`` it are so many
    lines."""
    found, how = utf8(where, data)
    try:
        found.decode("utf-8")
    except UnicodeDecodeError as error:
        line = above + 1 + found.count(b"\n", 0, error.start)
        raise BadInput(
            f"{where}: line {line}: is neither UTF-8 nor Windows-1252 text; save the file as UTF-8"
        ) from None
    if b"\0" in found:
        raise BadInput(f"{where}: holds binary data, not text; check what the file is")
    told = tuple(f"read as {one}" for one in how)
    return found.removeprefix(BYTE_ORDER_MARK), told


def parted(data: bytes) -> pa.Array:
    """The lines of a text in UTF-8; what ends the last one begins no other."""
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n")
    return pa.array(text.decode().split("\n"), pa.large_string()).cast(pa.string())
