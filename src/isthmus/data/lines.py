"""Lines of text, one document a line, as a table of one column."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pyarrow as pa

from isthmus.data import text_pieces
from isthmus.data.fields.text import Text
from isthmus.data.files import LARGEST_TEXT, content, fits, stranger
from isthmus.data.numbers import spelled
from isthmus.data.table import table
from isthmus.data.text_table import BYTE_ORDER_MARK, encoded, utf8
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import place
from isthmus.errors import BadInput

COLUMN = "text"
"""The name of the one column."""
LINES, LEAST, MANY = 50, 3, 10
"""Lines that are looked at to tell a table; how many there must be, and how many if most cells are no numbers."""


def lines(path: Path) -> Unchecked:
    """A ``.txt`` file, plain or ``.gz``: each line is a text, an empty one a gap.

    Raises
    ------
    BadInput
        If it is no text, or a table: then each line would be one text, and its numbers words.
    """
    where = place(path)
    if what := stranger(path):
        raise BadInput(f"{where}: no text, but {what}")
    data, told = written(where, content(path, LARGEST_TEXT))
    fits(where, 2 * len(data))
    found = parted(data)
    if not data.strip():
        raise BadInput(f"{where}: no text in the file; check where it came from")
    no_table(where, path.name, found)
    made = table(where, [COLUMN], [found], lambda i: f"line {i + 1}", None, {COLUMN: Text.kind})
    return made._replace(told=told)


def pieces(where: str, stream: IO[bytes]) -> Iterator[pa.Table]:
    """The lines of a text of any length, some at a time; one table without rows if there are none."""
    data = stream.read(text_pieces.PIECE)
    encoding, _ = encoded(where, data)
    held, began = b"", 0
    while True:
        last = not data
        held += encoding(data, final=last)
        at = len(held) if last else held.rfind(b"\n") + 1
        if at or (last and not began):
            found = parted(written(where, held[:at], began)[0]) if at else pa.array([], pa.string())
            yield pa.table({COLUMN: found})
            began, held = began + len(found), held[at:]
        elif len(held) > text_pieces.LONGEST:
            raise BadInput(f"{where}: a line of more than {text_pieces.LONGEST:,} bytes; is it text?")
        if last:
            return
        data = stream.read(text_pieces.PIECE)


def no_table(where: str, name: str, found: pa.Array) -> None:
    """Refuse lines that are the rows of a table, by the first of them; ``name`` is that of the file."""
    if what := _table(name, [line for line in found[:LINES].to_pylist() if line.strip()]):
        raise BadInput(f"{where}: {what}")


def _table(name: str, some: list[str]) -> str:
    """What a table is whose first lines these are, and what to do; empty where they are texts."""
    bare = name.rpartition(".txt")[0] or name
    some = [line for line in some if not line.startswith("#")]
    for mark in (",", ";", "\t", "|", None):
        rows = [line.split(mark) for line in some]
        width = len(rows[0]) if rows else 0
        if len(rows) < LEAST or any(len(row) != width for row in rows):
            continue
        numbers = [[spelled(cell.strip()) is not None for cell in row] for row in rows]
        if all(map(all, numbers)):
            parted = "" if mark is None else f", delimiter={mark!r}"
            return (
                f"each line holds {width} number{'s' * (width > 1)} and no text; "
                f"numpy.save({bare + '.npy'!r}, numpy.loadtxt({name!r}{parted}, ndmin=2)) makes rows of them"
            )
        count = sum(map(sum, numbers))
        regular = 2 * count >= width * len(rows[1:]) or (len(rows) >= MANY and (count > 0 or width > 2))
        if mark is not None and width > 1 and not any(numbers[0]) and regular:
            end = ".tsv" if mark == "\t" else ".csv"
            return f"a table whose first line names its columns, not a text in each line; rename it to {bare}{end}"
    return ""


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
