"""Files of columns that are read some rows at a time: Parquet by row groups, Arrow IPC (Feather) by record batches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.data import arrow_file, pages
from isthmus.data.files import honest, parsing
from isthmus.data.metadata import IN_ORDER, no_column
from isthmus.data.table import index_told, indices, is_number, is_text, kinds_stated, named
from isthmus.data.unchecked import enough
from isthmus.data.wording import place

TILE = 1 << 18
"""Numbers that are laid out by rows at once, so that they stay near the processor."""
COLUMNS = 4 << 20
"""Bytes of columns of a Parquet file that are unpacked at once."""
EXACT = (np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.float16, np.float32)
"""Types all of whose numbers are 32-bit floats."""


@dataclass(frozen=True)
class Asked:
    """What was asked of the columns of rows that stay in their file, as of rows that are read into memory."""

    kinds: Mapping[str, str] = field(default_factory=dict)
    """``drop`` sets a column aside."""
    missing: tuple[float, ...] = ()
    label: str | None = None
    terms: int | None = None
    """Most terms that are kept of each column of free text."""
    beside: Mapping[str, str] = field(default_factory=dict)
    """Of ``group``, ``time`` and ``weights`` those that were asked for, with the column of each; of ``time`` maybe
    ``rows``, which stand in order."""

    def found(self, where: str, names: Sequence[str]) -> tuple[str, ...]:
        """Which columns of ``names`` say groups, times and weights; refused where one of these is not there."""
        for what, name in self.beside.items():
            if name not in names and (what, name) != ("time", IN_ORDER):
                raise no_column(where, what, name, names)
        return tuple(dict.fromkeys(name for name in self.beside.values() if name in names))

    @property
    def plain(self) -> bool:
        """Whether rows can still be plain numbers."""
        return not self.missing and self.terms is None and all(kind == "drop" for kind in self.kinds.values())


class Columnar:
    """A file of columns; its rows as plain numbers are those of all columns but the label and those that are dropped.

    A kind of file says how rows are counted (``counts``), how a block is read (:meth:`table`), and what that takes.
    """

    form = ""
    """What it is, in words."""
    habits: Mapping[str, str] = MappingProxyType({})
    """See :class:`isthmus.data.source.Source`."""

    def __init__(self, path: Path, where: str, schema: pa.Schema, counts: Sequence[int], asked: Asked) -> None:
        self.path, self.place, self.schema, self.asked = path, where, schema, asked
        self.name = path.name.rpartition(".")[0] or "data"
        named(self.place, schema.names, asked.label)
        self._groups = [g for g, rows in enumerate(counts) if rows]
        self.starts = np.cumsum([0, *(counts[g] for g in self._groups)], dtype=np.int64)
        dropped = {name for name, kind in asked.kinds.items() if kind == "drop"}
        names = [name for name in schema.names if name not in indices(schema.names)]
        self.beside = asked.found(where, [name for name in names if name != asked.label])
        self._names = [name for name in names if name not in self.beside]
        self.columns = tuple(name for name in self._names if name != asked.label and name not in dropped)
        enough(self.place, int(self.starts[-1]), len(self.columns))
        self.bytes = path.stat().st_size
        self.fields: tuple[()] = ()
        self.told = index_told(schema.names)
        # Columns as they come, and the rows.
        self.most = self.largest * len(self.columns) * 12

    @property
    def largest(self) -> int:
        """The rows of the largest block."""
        return int(np.diff(self.starts).max())

    @property
    def plain(self) -> bool:
        """Whether rows may be plain numbers, as far as types and what is asked tell."""
        kinds = [self.schema.field(name).type for name in self.columns]
        return self.asked.plain and all(is_number(kind) and not pa.types.is_null(kind) for kind in kinds)

    @property
    def stated(self) -> dict[str, str]:
        """Of which columns the file says that they are categories, or ordered ones."""
        return {name: kind for name, kind in kinds_stated(self.schema).items() if name in self._names}

    def table(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        """The rows of a block with all their columns but an index and those beside the rows, or some of them."""
        raise NotImplementedError

    def block(self, number: int, error: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
        """See :class:`isthmus.data.source.Source`."""
        rows, width = int(self.starts[number + 1] - self.starts[number]), len(self.columns)
        out = np.empty((rows, width), np.float32)
        step = max(1, COLUMNS // (8 * rows))
        for begin in range(0, width, step):
            content = self.table(number, self.columns[begin : begin + step])
            with parsing(self.place, self.form):
                if content.num_rows != rows:
                    raise ValueError(f"block {number} holds {content.num_rows} rows, and {rows} are declared")
                columns = [_column(cells) for cells in content.columns]
                _put(columns, out[:, begin : begin + step])
                if error is not None:
                    for j, cells in enumerate(columns, begin):
                        error[j] = max(error[j], rounding(cells))
        return out


class Parquet(Columnar):
    """A Parquet file; a block is a row group."""

    form = "a Parquet file"

    def __init__(self, path: Path, asked: Asked | None = None, where: str = "") -> None:
        where = where or place(path)
        with parsing(where, self.form), pq.ParquetFile(path) as file:
            self._footer, schema = file.metadata, file.schema_arrow
        counts = [self._footer.row_group(g).num_rows for g in range(self._footer.num_row_groups)]
        super().__init__(path, where, schema, counts, asked or Asked())
        found = pages.columns(path, self._footer)
        honest(self.place, self.bytes, sum(one.unpacked for one in found), "write it again without compression")
        delta = {one.name for one in found if one.delta}
        self._texts = [one.name for one in schema if is_text(one.type) and one.name not in delta]
        # some columns packed and unpacked, and the rows
        self.most = 4 * max(COLUMNS, 8 * self.largest) + self.largest * len(self.columns) * 4
        self._own = _Own()

    def table(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        wanted = list(self._names if names is None else names)
        with parsing(self.place, self.form):
            if self._own.file is None:  # a reader is no matter of two threads
                self._own.file = pq.ParquetFile(
                    self.path, metadata=self._footer, read_dictionary=self._texts, page_checksum_verification=True
                )
            content = self._own.file.read_row_group(self._groups[number], wanted, use_threads=False)
            for column in content.columns:
                if pa.types.is_dictionary(column.type):  # places in it may be anything in a damaged file
                    column.validate(full=True)
            return content


class Arrow(Columnar):
    """An Arrow IPC file, which Feather files are too; a block is a record batch."""

    form = arrow_file.FORM

    def __init__(self, path: Path, asked: Asked | None = None) -> None:
        self._file = arrow_file.known(path)
        found, shared = self._file.batches, self._file.shared
        super().__init__(path, self._file.where, self._file.schema, [one.rows for one in found], asked or Asked())
        # a batch as it comes, with all dictionaries, and the rows
        largest = max(one.unpacked for one in found) + sum(one.unpacked for one in shared)
        self.most = 2 * largest + self.largest * len(self.columns) * 12

    def table(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        return self._file.read(self._groups[number], self._names if names is None else names)


class _Own(threading.local):
    """What each thread has for itself."""

    file: pq.ParquetFile | None = None


def _column(cells: pa.ChunkedArray) -> NDArray[Any]:
    """A column of numbers (n,), as they are if none is missing."""
    whole = cells.combine_chunks() if cells.num_chunks != 1 else cells.chunk(0)
    if pa.types.is_boolean(whole.type):
        whole = whole.cast(pa.uint8())
    if whole.null_count or pa.types.is_decimal(whole.type):
        whole = whole.cast(pa.float64(), safe=False)
    found: NDArray[Any] = whole.to_numpy(zero_copy_only=False)
    return found


def _put(columns: Sequence[NDArray[Any]], out: NDArray[Any]) -> None:
    """Columns (n,) side by side into (n, D); some rows at a time, which is several times as fast."""
    step = max(1, TILE // len(columns))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for begin in range(0, len(out), step):
            tile = out[begin : begin + step]
            for j, column in enumerate(columns):
                tile[:, j] = column[begin : begin + step]


def short(rows: NDArray[Any], error: NDArray[np.float64] | None) -> NDArray[np.float32]:
    """Rows (n, D) as 32-bit floats."""
    if error is not None:
        np.maximum(error, [rounding(rows[:, j]) for j in range(rows.shape[1])], out=error)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return rows.astype(np.float32)


def rounding(cells: NDArray[Any]) -> float:
    """By how much cells (n,) differ at most from the 32-bit floats next to them; those that are not finite apart."""
    if cells.dtype.type in EXACT or not len(cells):
        return 0.0
    largest, step = 0.0, TILE
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        for begin in range(0, len(cells), step):
            some = cells[begin : begin + step].astype(np.float64)
            gap = np.abs(some - some.astype(np.float32))
            largest = max(largest, float(np.where(np.isfinite(gap), gap, 0.0).max()))
    return largest
