"""Arrow IPC files (Feather): what they unpack to is known before a batch is read, from the file's own tables.

Texts whose letters several cells share (``string_view``, which polars writes) become texts of their own, if what they
come to is honest: else one long text could stand for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import ipc

from isthmus.data.batches import Batch, batches
from isthmus.data.files import fits, honest, parsing
from isthmus.data.table import Cells, is_text, kinds_stated, named, table
from isthmus.data.unchecked import Unchecked
from isthmus.data.wording import place

ENDS = (".arrow", ".feather")
"""Ends of names of such files."""
FORM = "an Arrow IPC file"
REMEDY = "write it again without compression"
VIEWS = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}


class Known(NamedTuple):
    """A file that was looked at, and of which nothing is unpacked."""

    where: str
    """Head of every message."""
    path: Path
    schema: pa.Schema
    batches: list[Batch]
    shared: list[Batch]
    """Its dictionaries."""

    def read(self, number: int, names: Sequence[str] | None = None) -> pa.Table:
        """A batch: all its columns, or some."""
        wanted = None if names is None else [self.schema.get_field_index(name) for name in names]
        options = ipc.IpcReadOptions(included_fields=wanted, use_threads=False)
        # Read, not mapped: pages of a map count as memory of this process for as long as the system likes.
        with parsing(self.where, FORM), pa.OSFile(str(self.path)) as held:
            batch = ipc.open_file(held, options=options).get_batch(number)
            batch.validate(full=True)
            packed = self.path.stat().st_size
            columns = [_own(self.where, packed, cells) for cells in batch.columns]
            return _as(batch.schema, columns)


def known(path: Path, where: str = "") -> Known:
    """The columns of a file, and its batches.

    Raises
    ------
    BadInput
        If it is no such file, or unpacks to far more than honest data do.
    """
    where = where or place(path)
    found, shared = batches(path)
    honest(where, path.stat().st_size, sum(one.unpacked for one in (*found, *shared)), REMEDY)
    with parsing(where, FORM), pa.OSFile(str(path)) as held, ipc.open_file(held) as file:
        return Known(where, path, file.schema, found, shared)


def pieces(where: str, path: Path, rows: int, numbers: int) -> Iterator[pa.Table]:
    """The rows of a file, at most so many rows and about so many cells at a time, with texts as they are instead of as
    codes; one table without rows if there are none."""
    found, begun = known(path, where), False
    named(where, found.schema.names, None)
    most = min(rows, max(1, numbers // max(1, len(found.schema.names))))
    for number in range(len(found.batches)):
        content = found.read(number)
        for begin in range(0, content.num_rows, most):
            begun = True
            yield _spelled(where, path.stat().st_size, content.slice(begin, most))
    if not begun:
        yield _spelled(where, 0, _whole(found, []))


def arrow_table(path: Path, label: str | None = None) -> pa.Table:
    """All columns of a file; what its batches unpack to is checked before memory is taken.

    Parameters
    ----------
    path : Path
    label : str, optional
        A column that must be there.
    """
    found = known(path)
    named(found.where, found.schema.names, label)
    rows = sum(one.rows for one in found.batches)
    size = max(8 * rows * len(found.schema.names), sum(one.unpacked for one in (*found.batches, *found.shared)))
    fits(found.where, size)
    honest(found.where, path.stat().st_size, size, REMEDY)
    return _whole(found, [found.read(k) for k, one in enumerate(found.batches) if one.rows])


def arrow(path: Path, label: str | None) -> Unchecked:
    """The table in an Arrow IPC file."""
    content = arrow_table(path, label)
    stated = kinds_stated(content.schema)
    return table(place(path), content.column_names, content.columns, lambda i: f"row {i + 1}", label, stated)


def _whole(found: Known, parts: Sequence[pa.Table]) -> pa.Table:
    """Batches in one; the codes of all go into one dictionary."""
    if parts:
        return pa.concat_tables(parts).unify_dictionaries()
    return _as(found.schema, [_own(found.where, 0, pa.array([], one.type)) for one in found.schema])


def _as(schema: pa.Schema, columns: Sequence[Cells]) -> pa.Table:
    """Columns with what a schema says of them, some of which are of another type now."""
    kinds = [one.with_type(cells.type) for one, cells in zip(schema, columns, strict=True)]
    return pa.table(list(columns), schema=pa.schema(kinds, schema.metadata))


def _own(where: str, packed: int, cells: Cells) -> Cells:
    """A column whose texts are each their own."""
    if pa.types.is_dictionary(cells.type) and cells.type.value_type in VIEWS:
        texts = _own(where, packed, cells.dictionary)
        return pa.DictionaryArray.from_arrays(cells.indices, texts, ordered=cells.type.ordered)
    if cells.type not in VIEWS:
        return cells
    if len(cells):
        lengths = np.frombuffer(cells.buffers()[1], np.int32)[4 * cells.offset :: 4][: len(cells)]
        there = np.asarray(cells.is_valid())
        _bearable(where, packed, int(lengths[there].sum(dtype=np.int64)))
    return cells.cast(VIEWS[cells.type])


def _spelled(where: str, packed: int, content: pa.Table) -> pa.Table:
    """Columns of codes as the values that these stand for."""
    for i, one in enumerate(content.schema):
        if pa.types.is_dictionary(one.type):
            cells = content.column(i)
            if is_text(one.type):
                sizes = [pc.binary_length(part.dictionary).take(part.indices) for part in cells.chunks]
                _bearable(where, packed, sum(pc.sum(part).as_py() or 0 for part in sizes))
            content = content.set_column(i, one.name, cells.cast(one.type.value_type))
    return content


def _bearable(where: str, packed: int, size: int) -> None:
    fits(where, size)
    honest(where, packed, size, "write its texts as strings of their own (large_string)")
