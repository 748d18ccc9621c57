"""Texts as files of columns: a ``.csv`` that does not fit into memory is put into a temporary Parquet file once, and so
are records in JSON and lines of text.

A text tells what its columns are at its end only: a decimal comma, a zero in front, a word among numbers. So it is
read twice, some lines at a time, by the rules of :mod:`isthmus.data.text_table` and :mod:`isthmus.data.records`: first
to see how all cells are written, then to write columns as that reader gives them. Rows are read from there in any
order.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.data import lines, records, text_pieces
from isthmus.data.columnar import Asked, Parquet
from isthmus.data.fields.text import Text
from isthmus.data.files import Unpacked, honest, stranger, told
from isthmus.data.numbers import WHOLE, too_fine
from isthmus.data.text_pieces import pieces
from isthmus.data.text_table import Opened, encoded, parsed, parted, zeros_in_front
from isthmus.data.unchecked import LEAST_ROWS
from isthmus.data.wording import place, shown
from isthmus.data.written import VALID, Column, Spot, blank, decimal, marked, numbers, proofs, seen, units
from isthmus.errors import BadInput

GROUP, NUMBERS = 1 << 14, 1 << 20
"""Most rows of a block of the temporary file, and cells of it."""
DIFFERENT = 1 << 12
"""Different cells of a column that are kept to tell how its numbers are written, besides those that prove something."""
SPARE = 256 << 20
"""Bytes of the disk that are left free."""
LINES = (".txt", ".txt.gz")
ENDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", *records.ENDS, *LINES)
LIST = 1 << 22
"""Bytes of one list of records, all of which is in memory as Python's own at once."""
NARROW = (pa.null(), pa.int64(), pa.bool_(), pa.date32(), pa.time32("s"), pa.timestamp("s"), pa.timestamp("ns"))
"""Types that Arrow tries before it takes cells for 64-bit floats, and then for texts."""


class Spooled(Parquet):
    """A text table, records in JSON or lines of text, as a temporary file of columns that is removed when nobody holds
    it any more."""

    def __init__(self, path: Path, asked: Asked | None = None) -> None:
        if what := stranger(path):
            raise BadInput(f"{place(path)}: no text, but {what}")
        folder = tempfile.mkdtemp(prefix="isthmus-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        asked, copy, lower = asked or Asked(), Path(folder, "columns.parquet"), path.name.lower()
        self._lines = lower.endswith(LINES)
        free = self._lines or lower.endswith(records.ENDS)
        form = _Records(path, lines=self._lines) if free else _Form(path, asked.label)
        said = form.write(copy)
        super().__init__(copy, asked, place(path))
        self.habits = form.habits
        self.name = path.name[: -len(next(end for end in ENDS[::-1] if lower.endswith(end)))] or "data"
        room = f"read once into a temporary file of columns, {told(copy.stat().st_size)} in {folder}"
        self.told, self.bytes = (*said, *self.told, room), path.stat().st_size

    @property
    def stated(self) -> dict[str, str]:
        """A line is a text, however short."""
        return {lines.COLUMN: Text.kind} if self._lines else super().stated


class _Spelling:
    """How the cells of a column are written."""

    def __init__(self) -> None:
        self.kinds: set[pa.DataType] = set()
        self.people = True
        """Whether all look like numbers as people write them."""
        self.units: set[str] = set()
        self.valid = dict.fromkeys(VALID, True)
        self.zeros, self.digits = False, True
        self.low, self.high = np.inf, -np.inf
        self.some: Any = pa.array([], pa.string())
        """Cells that tell: some different ones, and the first one of each way of writing."""

    def add(self, cells: pa.ChunkedArray, spelled: pa.ChunkedArray) -> None:
        """Some cells, as Arrow reads them and as they are spelled."""
        self.kinds.add(cells.type)
        if pa.types.is_floating(cells.type) and (ends := pc.min_max(cells).as_py())["min"] is not None:
            self.low, self.high = min(self.low, ends["min"]), max(self.high, ends["max"])
        zero, digits = zeros_in_front(spelled)
        self.zeros, self.digits = self.zeros or zero, self.digits and digits
        texts = spelled.unique()
        if not self.people or blank(texts):
            return
        if (column := seen(texts)) is None:
            self.people = False
            return
        self.units.add(column.unit)
        for mark, pattern in VALID.items():
            self.valid[mark] &= pc.all(pc.match_substring_regex(column.core, pattern)).as_py() is not False
        room = max(0, DIFFERENT - len(self.some))
        self.some = pa.concat_arrays(
            [self.some, texts[:room], texts.take(pa.array(proofs(column), pa.int64()))]
        ).unique()

    @property
    def kind(self) -> pa.DataType:
        """The type of all cells, as Arrow tells it of a whole file."""
        found = self.kinds - {pa.null()} or {pa.null()}
        if len(found) == 1:
            return next(iter(found))
        if found <= {pa.int64(), pa.float64()}:
            return pa.float64()
        moments = [kind for kind in NARROW if pa.types.is_date(kind) or pa.types.is_timestamp(kind)]
        return max(found, key=moments.index) if found <= set(moments) else pa.string()

    @property
    def column(self) -> Column | None:
        """The cells that tell, where all are numbers with one sign or none."""
        return seen(self.some) if self.people and len(self.units) == 1 else None


class _Form:
    """What the columns of a text table are, of all its lines.

    Parameters
    ----------
    path : Path
    label : str, optional
        A column whose cells are kept as they are spelled.
    """

    def __init__(self, path: Path, label: str | None) -> None:
        self.path, self.label, self.place = path, label, place(path)
        found: dict[str, _Spelling] = {}
        self.rows = self.comments = 0
        for number, piece in enumerate(_pieces(path)):
            cells, comments = parsed(piece, [])
            spelled, _ = parsed(piece, piece.names)
            found = found or {name: _Spelling() for name in piece.names}
            for one, column, texts in zip(found.values(), cells, spelled, strict=True):
                one.add(column, texts)
            if not number:
                parted(piece, cells)
                self.comments, self.head = piece.comments, piece.told
            self.comments += comments - piece.comments
            self.rows += len(cells[0]) if cells else 0
        if not self.rows:
            raise BadInput(f"{self.place}: no rows below the header line; give a file with rows")
        self.columns = found
        self.mark, self.read, self.said, self.habits = self._people()
        whole = (pa.types.is_integer, pa.types.is_floating)
        codes = [n for n, one in found.items() if one.zeros and one.digits and any(test(one.kind) for test in whole)]
        texts = [name for name, one in found.items() if pa.types.is_string(one.kind)]
        self.texts = {*codes, *texts, *self.read, *([label] if label in found else [])}
        for name, one in found.items():
            if name not in self.texts and one.low == one.high and WHOLE <= abs(one.low) < np.inf and self.rows > 1:
                raise BadInput(too_fine(self.place, name, one.low, one.high))

    def _people(self) -> tuple[str, list[str], tuple[str, ...], dict[str, str]]:
        """The decimal mark, the columns whose numbers only people can read, what is said of that, and what is to be
        remembered of columns."""
        every = {name: one.column for name, one in self.columns.items() if name != self.label}
        kinds = {name: one.kind for name, one in self.columns.items()}
        odd = {n: column for n, column in every.items() if column is not None and pa.types.is_string(kinds[n])}
        if not odd:
            return ".", [], (), {}
        plain = {n: column for n, column in every.items() if column is not None and pa.types.is_floating(kinds[n])}
        mark, told = decimal(odd | plain, self._spot)
        read = [n for n in (odd | (plain if mark == "," else {})) if self.columns[n].valid[mark]]
        return mark, read, (*told, *units(odd)), dict.fromkeys(every, mark) if marked(odd | plain, mark) else {}

    def _spot(self, spot: Spot) -> str:
        return f"{self.place}: column {shown(spot.column)}"

    def write(self, copy: Path) -> tuple[str, ...]:
        """Put the columns into a file; what was inferred to read them, a sentence each."""
        kinds = {name: one.kind for name, one in self.columns.items() if name not in self.texts}
        _put(self.place, copy, (self._table(piece, kinds) for piece in _pieces(self.path)))
        comments = [f"{self.comments} line{'s' * (self.comments > 1)} of comment (#) left out"] if self.comments else []
        said = [*self.head, *comments, *self.said]
        return (f"read with {'; '.join(said)}",) if said else ()

    def _table(self, piece: Opened, kinds: Mapping[str, pa.DataType]) -> pa.Table:
        """A piece as it is written."""
        cells, _ = parsed(piece, sorted(self.texts), kinds)
        return pa.table([self._column(*one) for one in zip(piece.names, cells, strict=True)], piece.names)

    def _column(self, name: str, cells: pa.ChunkedArray) -> Any:
        """A column as it is written."""
        if name not in self.read:
            return cells
        texts = cells.combine_chunks()
        column = None if blank(texts) else seen(texts)
        values = np.full(len(texts), np.nan) if column is None else numbers(column, self.mark)
        return pa.array(values, pa.float64(), from_pandas=True)


class _Records:
    """What the columns of records in JSON, or of lines of text, are, of all of them.

    Parameters
    ----------
    path : Path
    lines : bool
        Whether each line is a text.
    """

    habits: Mapping[str, str] = MappingProxyType({})
    """Of numbers as texts each column tells its own (:mod:`isthmus.data.inferred`)."""

    def __init__(self, path: Path, *, lines: bool) -> None:
        self.path, self.place, self.lines = path, place(path), lines
        self.types = records.Types(self.place)
        for number, part in enumerate(self._parts()):
            if lines and not number:
                self._texts(part)
            self.types.add(part)
        records.whole_columns(self.place, self.types.rows, self.types.schema)

    def _parts(self) -> Iterator[pa.Table]:
        """The rows, some at a time, of a packed file no more than it may hold."""
        packed = self.path.stat().st_size
        with _text(self.path) as stream:
            found = lines.pieces(self.place, stream) if self.lines else records.pieces(self.place, stream, LIST)
            for part in found:
                honest(self.place, packed, stream.tell(), "unpack it")
                yield part

    def _texts(self, first: pa.Table) -> None:
        """Refuse a file that holds no text, or a table."""
        found = first.column(0).combine_chunks()
        if pc.all(pc.equal(pc.utf8_trim_whitespace(found), "")).as_py() is not False:
            raise BadInput(f"{self.place}: no text in the file; check where it came from")
        lines.no_table(self.place, self.path.name, found)

    def write(self, copy: Path) -> tuple[str, ...]:
        """Put the rows into a file; what was inferred to read them, a sentence each."""
        _put(self.place, copy, (_full(self.types.put(part)) for part in self._parts()))
        with _text(self.path) as stream:
            _, how = encoded(self.place, stream.read(text_pieces.PIECE))
        return tuple(f"read as {one}" for one in how) if self.lines else how


def _full(part: pa.Table) -> pa.Table:
    """Records without those columns of records within records of which none has a key, which no file holds."""
    for j, one in enumerate(part.schema):
        if _hollow(one.type):
            part = part.set_column(j, one.name, pa.nulls(part.num_rows))
    return part


def _hollow(kind: pa.DataType) -> bool:
    inner = [kind.field(i).type for i in range(kind.num_fields)]
    return (pa.types.is_struct(kind) and not inner) or any(map(_hollow, inner))


def _put(where: str, copy: Path, parts: Iterable[pa.Table]) -> None:
    """Write tables of one schema into a file, one below the other, while there is room."""
    writer: pq.ParquetWriter | None = None
    try:
        for part in parts:
            if writer is None:
                writer = pq.ParquetWriter(copy, part.schema)
            cells = max(part.num_columns, part.nbytes // 8 // max(1, part.num_rows))
            writer.write_table(part, row_group_size=max(LEAST_ROWS, min(GROUP, NUMBERS // max(1, cells))))
            if (free := shutil.disk_usage(copy.parent).free) < SPARE:
                raise BadInput(
                    f"{where}: its columns do not fit beside what is in {copy.parent.parent} ({told(free)} are free); "
                    "name another folder (TMPDIR), or convert the file to Parquet"
                )
    finally:
        if writer is not None:
            writer.close()


def _pieces(path: Path) -> Iterator[Opened]:
    """The lines of a text table, some at a time, of a packed one no more than it may hold."""
    size, packed = 0, path.stat().st_size
    with _text(path) as stream:
        for piece in pieces(place(path), path, stream):
            size += len(piece.data)
            honest(place(path), packed, size, "unpack it")
            if piece.data[piece.head :].strip():
                yield piece


@contextmanager
def _text(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as stream:
        yield cast(IO[bytes], Unpacked(place(path), stream)) if path.name.lower().endswith(".gz") else stream
