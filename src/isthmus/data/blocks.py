"""Files of any length, some rows at a time: text tables, Parquet, Arrow, ``.npy`` and shards, in constant memory.

A text table is cut at the ends of lines into pieces of a few megabytes, and each is read as a whole table is
(:mod:`isthmus.data.text_table`), with the separator, the encoding and the decimal mark of the first.
"""

from __future__ import annotations

import math
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.data import arrow_file, text_pieces
from isthmus.data.arrays import npz_file, real
from isthmus.data.arrow_file import ENDS as ARROW
from isthmus.data.batches import MAGIC
from isthmus.data.documents import documents
from isthmus.data.encoded import Gallery, gallery
from isthmus.data.features import Network
from isthmus.data.fields import TEXTS, Field
from isthmus.data.files import Unpacked, check, parsing, stranger
from isthmus.data.h5ad import h5ad
from isthmus.data.images import redraw
from isthmus.data.kinds import settle
from isthmus.data.lines import COLUMN
from isthmus.data.lines import pieces as pieces_of_lines
from isthmus.data.picture import Canvas
from isthmus.data.read import table as read_table
from isthmus.data.records import ENDS as JSON
from isthmus.data.records import begins
from isthmus.data.records import pieces as pieces_of_records
from isthmus.data.shards import blocks_of_shards, shards_in
from isthmus.data.table import indices, named, table
from isthmus.data.text_pieces import pieces
from isthmus.data.text_table import Marks, changed, exact, opened_piece
from isthmus.data.wording import place, shown
from isthmus.errors import BadInput, NoSuchColumn

STDIN = "-"
PARQUET = b"PAR1"
"""First bytes of a Parquet file."""
TABLES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", *JSON, ".parquet", *ARROW)
"""Ends of names of tables that are read in pieces."""
BATCH = 1 << 14
"""Rows of a table that are handed on at a time, at most."""
ELEMENTS = 1 << 22
"""Numbers that are in memory at a time, about."""
NUMBERS = 1 << 19
"""Numbers of an array that are read at a time, about: few enough that somebody has the next ones soon."""


class Block(NamedTuple):
    """Some rows of a file."""

    rows: NDArray[Any]
    """Cells (n, F) of the wanted columns, NaN where one is missing; or rows (n, *D) of an array."""
    table: pa.Table | None
    """The columns as they are in the file; None of an array. Of pictures, what is known of them besides."""
    told: tuple[str, ...] = ()
    """What was made of pictures, a sentence each; a row of NaN is one that cannot be read, and is told."""
    weights: NDArray[np.float64] | None = None
    """How much each row weighs (n,), where that was asked for."""
    drawn: bool = False
    """Whether its rows are pictures that were decoded."""


def blocks(
    source: Path,
    fields: Sequence[Field],
    canvas: Canvas | None = None,
    network: Network | None = None,
    *,
    lenient: bool = False,
) -> Iterator[Block]:
    """The rows of a file, block by block, at least one block, which may be empty.

    Parameters
    ----------
    source : Path
        ``.csv``, ``.tsv``, ``.jsonl``, ``.json``, ``.txt`` (also ``.gz``), ``.parquet``, ``.arrow``, ``.npy``,
        ``.npz``, ``.h5ad``, ``.safetensors``, a folder of shards, or ``-``, which is told by its first bytes.
    fields : sequence of Field
        The columns that are wanted, in this order; where they stand in a table is free, and others are not looked at.
    canvas : Canvas, optional
        Of a model of pictures, which a folder or a Parquet file may hold encoded.
    lenient : bool, default False
        Take a column that is not there as one of gaps, where at least one is there.
    network : Network, optional
        Whose features of these pictures the rows are.

    Raises
    ------
    BadInput
        If a column is not there, a cell is not of its kind, or the file is none of these.
    """
    if canvas is not None and (pictures := gallery(source)) is not None:
        yield from _drawn(pictures, canvas, network)
        return
    if len(fields) == 1 and fields[0].kind in TEXTS and os.path.isdir(source):
        found = documents(source)
        if found is not None:
            yield _settled(
                place(source), pa.table({"file": found.names, fields[0].name: found.texts}), fields, 0, False
            )
            return
    if os.path.isdir(source) and (shards := shards_in(source)):
        yield from (Block(rows, None) for rows in blocks_of_shards(shards, NUMBERS))
        return
    if source.name.lower().endswith((".npz", ".h5ad")) and source != Path(STDIN):
        yield from _matrix(source, fields)
        return
    with ExitStack() as stack:
        where, stream = _opened(source, stack)
        if source.name.lower().endswith(".safetensors"):
            yield from (Block(rows, None) for rows in blocks_of_shards([source], NUMBERS))
            return
        first = stream.peek(8)[:8]  # type: ignore[attr-defined]
        path = None if source == Path(STDIN) else source
        if first.startswith(b"\x1f\x8b"):
            path, unpacked = None, Unpacked(where, stream)
            stream = cast(IO[bytes], unpacked)
            first = stream.peek(8)[:8]  # type: ignore[attr-defined]
        if first.startswith(b"\x93NUMPY"):
            yield from _array(where, path or _seekable(stream, stack))
        elif first.startswith((PARQUET, MAGIC)):
            yield from _columnar(_batches(where, path or _seekable(stream, stack)), where, fields, lenient)
        else:
            yield from _written(where, source, stream, first, fields, lenient)


def _written(
    where: str, source: Path, stream: IO[bytes], first: bytes, fields: Sequence[Field], lenient: bool
) -> Iterator[Block]:
    """The rows of a text: records in JSON, lines, or a table."""
    if _recorded(source, first):
        yield from _columnar(pieces_of_records(where, stream), where, fields, lenient)
    elif source.name.lower().endswith((".txt", ".txt.gz")) or _only_lines(source, stream, fields):
        yield from _lines(where, stream, fields)
    else:
        if source != Path(STDIN) and (what := stranger(source)):
            raise BadInput(f"{where}: no table, but {what}")
        yield from _text(where, source, stream, fields, lenient)


def _recorded(source: Path, first: bytes) -> bool:
    """Whether a file, or what a pipe brings first, is one of records in JSON."""
    return source.name.lower().endswith(JSON) or (source == Path(STDIN) and begins(first))


def _matrix(source: Path, fields: Sequence[Field]) -> Iterator[Block]:
    """The rows of a file that is read as a whole, made dense some at a time; columns that have names go by them."""
    check(source)
    raw = (h5ad if source.name.lower().endswith(".h5ad") else npz_file)(source, None)
    x, names = raw.x, [field.name for field in fields]
    if raw.columns != tuple(names) and set(names) <= set(raw.columns):
        place_of = {name: j for j, name in enumerate(raw.columns)}
        x = x[:, [place_of[name] for name in names]]
    step = max(1, ELEMENTS // max(1, math.prod(x.shape[1:])))
    yield from (Block(np.asarray(x[i : i + step]), None) for i in range(0, len(x), step))


def _drawn(pictures: Gallery, canvas: Canvas, network: Network | None) -> Iterator[Block]:
    step, began = max(1, ELEMENTS // math.prod(canvas.shape)), 0
    for drawn in redraw(pictures.sources, canvas, step):
        rows = drawn.rows if network is None else network(drawn.rows)
        if drawn.damaged:
            rows = rows.astype(np.float32)
            rows[drawn.damaged] = np.nan
        said = drawn.told if began else (*drawn.told, *pictures.told)
        yield Block(rows, pictures.table.slice(began, len(rows)), said, drawn=True)
        began += len(rows)


class Columns:
    """A table in a file of any length, whose columns have the types that they have as a whole.

    A piece of a text table may hold whole numbers where another one does not, or gaps alone. So such a file is read
    once before it is read in pieces.

    Parameters
    ----------
    source : Path
        ``.csv``, ``.tsv``, ``.jsonl``, ``.json`` (also ``.gz``), ``.parquet``, ``.arrow``, a bundled name, or ``-``,
        which is put on the disk first.
    known : sequence of Field, optional
        Columns that a model was trained on, whose numbers are meant as they were there.

    Attributes
    ----------
    types : dict of str to pyarrow.DataType
        The columns, in their order.

    Raises
    ------
    BadInput
        If it is no table with named columns.
    """

    def __init__(self, source: Path, known: Sequence[Field] = ()) -> None:
        self._stack, self._held = ExitStack(), None
        self._marks = Marks.of(known)
        if source != Path(STDIN) and not os.path.lexists(source):
            self._held = read_table(source)  # a bundled name, or nothing
        elif source != Path(STDIN) and (source.is_dir() or not source.name.lower().endswith(TABLES)):
            self._held = read_table(source)
        self.source = source
        self.path = source if source != Path(STDIN) else _seekable(sys.stdin.buffer, self._stack)
        self.where = "stdin" if source == Path(STDIN) else place(source)
        self.types: dict[str, pa.DataType] = {}
        for content in self._tables(changed(known)):
            for name, column in zip(content.column_names, content.columns, strict=True):
                self.types[name] = _joined(self.types.get(name, pa.null()), column.type)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def blocks(self, fields: Sequence[Field]) -> Iterator[Block]:
        """The rows, block by block, with the cells of the columns ``fields``."""
        texts, began = [name for name, kind in self.types.items() if pa.types.is_string(kind)], 0
        schema = pa.schema(list(self.types.items()))
        for content in self._tables(texts):
            yield from _parts(_settled(self.where, content.cast(schema), fields, began, False))
            began += content.num_rows

    def _tables(self, texts: Sequence[str]) -> Iterator[pa.Table]:
        """Pieces of the table, of a text table with columns ``texts`` as they are spelled."""
        if self._held is not None:
            yield self._held
            return
        with self.path.open("rb") as file:
            stream: Any = file
            if stream.peek(2)[:2] == b"\x1f\x8b":
                stream = Unpacked(self.where, file)
            if stream.peek(8).startswith((PARQUET, MAGIC)):
                yield from _batches(self.where, self.path)
                return
            if _recorded(self.source, stream.peek(8)):
                yield from pieces_of_records(self.where, stream)
                return
            for found in pieces(self.where, self.path, stream):
                content, self._marks = opened_piece(found, texts, self._marks)
                yield content


def _joined(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """The type of a column that has these types in two pieces."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    numbers = all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in (one, other))
    return pa.float64() if numbers else pa.string()


def some(parts: Iterable[NDArray[Any]], most: int) -> NDArray[Any]:
    """At most so many rows of arrays (n_i, ...), drawn by a fixed seed, in the memory of as many.

    Which rows they are depends on all rows alone, not on where the arrays are cut; they keep their order.

    Examples
    --------
    >>> some(iter([np.arange(3)[:, None], np.arange(3, 5)[:, None]]), 9).ravel().tolist()
    [0, 1, 2, 3, 4]
    """
    random, kept, keys = np.random.default_rng(0), None, np.empty(0)
    for part in parts:
        kept = part if kept is None else np.concatenate([kept, part])
        keys = np.r_[keys, random.random(len(part))]
        if len(keys) > most:
            first = np.sort(np.argpartition(keys, most)[:most])
            kept, keys = kept[first], keys[first]
    return np.empty((0, 0)) if kept is None else kept


def table_block(where: str, content: pa.Table, fields: Sequence[Field]) -> Block:
    """A table that is in memory already, as one block.

    Raises
    ------
    BadInput
        As for :func:`blocks`.
    """
    named(where, content.column_names, None)
    return _settled(where, content, fields, 0, False)


def text_blocks(where: str, stream: IO[bytes], fields: Sequence[Field]) -> Iterator[Block]:
    """A text table that is no file, block by block, as :func:`blocks` reads one."""
    yield from _text(where, Path(STDIN), stream, fields, False)


def _opened(source: Path, stack: ExitStack) -> tuple[str, IO[bytes]]:
    if source == Path(STDIN):
        return "stdin", sys.stdin.buffer
    if not os.path.lexists(source):
        raise BadInput(f"{place(source)}: no such file; give a .csv, .parquet or .npy file, or - for stdin")
    check(source)
    return place(source), stack.enter_context(source.open("rb"))


def _seekable(stream: IO[bytes], stack: ExitStack) -> Path:
    """The same bytes as a plain file: what comes through a pipe is put on the disk first."""
    held = stack.enter_context(tempfile.NamedTemporaryFile(prefix="isthmus-"))  # noqa: SIM115
    shutil.copyfileobj(stream, held)
    held.flush()
    return Path(held.name)


def _array(where: str, path: Path) -> Iterator[Block]:
    with parsing(where, "a .npy file"):
        held = np.load(path, mmap_mode="r", allow_pickle=False)
    real(where, held.dtype)
    if held.ndim < 2:
        raise BadInput(f"{where}: shape {held.shape}; expected rows x columns: save X.reshape(-1, 1) or X[None]")
    step = max(1, NUMBERS // max(1, int(np.prod(held.shape[1:]))))
    for start in range(0, max(len(held), 1), step):
        yield Block(np.array(held[start : start + step]), None)


def _columnar(parts: Iterable[pa.Table], where: str, fields: Sequence[Field], lenient: bool) -> Iterator[Block]:
    begun = 0
    for content in parts:
        yield from _parts(_settled(where, content, fields, begun, lenient))
        begun += content.num_rows


def _batches(where: str, path: Path) -> Iterator[pa.Table]:
    """The rows of a file of columns, some at a time; one table without rows if there are none."""
    with path.open("rb") as begin:
        if begin.read(len(MAGIC)) == MAGIC:
            yield from arrow_file.pieces(where, path, BATCH, ELEMENTS)
            return
    with parsing(where, "a Parquet file"):
        file = pq.ParquetFile(path)
    with file:
        schema = file.schema_arrow
        named(where, list(schema.names), None)
        step = min(BATCH, max(1, ELEMENTS // max(1, len(schema.names))))
        begun = 0
        with parsing(where, "a Parquet file"):
            batches = file.iter_batches(batch_size=step)
        while True:
            with parsing(where, "a Parquet file"):
                batch = next(batches, None)
            if batch is None:
                break
            yield pa.Table.from_batches([batch])
            begun += len(batch)
        if not begun:
            yield schema.empty_table()


def _text(where: str, source: Path, stream: IO[bytes], fields: Sequence[Field], lenient: bool) -> Iterator[Block]:
    kept, wanted = exact(fields), {field.name for field in fields}
    marks, began = Marks.of(fields), 0
    for found in pieces(where, source, stream):
        texts = [name for name in found.names if name in kept or name not in wanted]
        content, marks = opened_piece(found, texts, marks)
        yield from _parts(_settled(where, content, fields, began, lenient))
        began += content.num_rows


def _parts(block: Block) -> Iterator[Block]:
    """A block of a table as several, in order, each of so few rows that somebody has the first ones soon.

    What a piece of text means is told by all of it, so it is cut when its cells are known.
    """
    if block.table is None or len(block.rows) <= BATCH:
        yield block
        return
    for at in range(0, len(block.rows), BATCH):
        yield Block(block.rows[at : at + BATCH], block.table.slice(at, BATCH))


def _only_lines(source: Path, stream: IO[bytes], fields: Sequence[Field]) -> bool:
    """Whether a pipe brings lines of text: a model of one column of text reads it, whose name does not stand above."""
    if source != Path(STDIN) or len(fields) != 1 or fields[0].kind not in TEXTS:
        return False
    first = stream.peek(text_pieces.PIECE).split(b"\n")[0].decode("utf-8", errors="replace")  # type: ignore[attr-defined]
    return fields[0].name not in re.split(r'[\s",;|\ufeff]+', first)


def _lines(where: str, stream: IO[bytes], fields: Sequence[Field]) -> Iterator[Block]:
    """Lines of text, each a row of one column."""
    name = fields[0].name if len(fields) == 1 and fields[0].kind in TEXTS else COLUMN
    yield from _columnar((one.rename_columns([name]) for one in pieces_of_lines(where, stream)), where, fields, False)


def _settled(where: str, content: pa.Table, fields: Sequence[Field], began: int, lenient: bool) -> Block:
    """A block with the cells of the wanted columns."""
    there = [j for j, field in enumerate(fields) if field.name in content.column_names]
    if lenient and 0 < len(there) < len(fields):
        some = _settled(where, content, [fields[j] for j in there], began, False)
        rows = np.full((len(some.rows), len(fields)), np.nan, some.rows.dtype)
        rows[:, there] = some.rows
        return Block(rows, content)
    known = content.drop_columns(list(indices(content.column_names)))  # an index is carried along, whatever it holds
    raw = table(where, known.column_names, known.columns, lambda i: f"row {began + i + 1}", None)
    if not content.num_rows:
        missing = next((field.name for field in fields if field.name not in raw.columns), None)
        if missing is not None:
            said = f"{where}: no column {shown(missing)}, which the model was trained on"
            raise NoSuchColumn(said, missing, "fields")
        textual = any(field.kind in TEXTS for field in fields)
        return Block(np.empty((0, len(fields)), object if textual else np.float64), content)
    content = _spread(content, dict(zip(raw.columns, raw.cells or (), strict=True)), {field.name for field in fields})
    return Block(settle(raw, known=fields).x if fields else np.empty((content.num_rows, 0)), content)


def _spread(content: pa.Table, cells: Mapping[str, Any], wanted: set[str]) -> pa.Table:
    """The columns of a table, in which a column of lists whose elements are wanted is as many columns."""
    if wanted <= set(content.column_names):
        return content
    found: dict[str, Any] = {}
    for name, column in zip(content.column_names, content.columns, strict=True):
        own = {one: part for one, part in cells.items() if re.fullmatch(rf"{re.escape(name)}_\d+", one)}
        found |= own if name not in cells and own.keys() & wanted else {name: column}
    return pa.table(found)
