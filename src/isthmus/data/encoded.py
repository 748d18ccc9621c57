"""Encoded pictures in a column of a Parquet or Arrow file: bytes, or a struct of bytes and path, as the hub of Hugging
Face has."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from isthmus.data.arrow_file import ENDS as ARROW
from isthmus.data.arrow_file import arrow_table, known
from isthmus.data.dataset import element_names
from isthmus.data.files import parsing
from isthmus.data.images import Source, Wanted, draw, listed, sources_in, text
from isthmus.data.table import named, parquet_table
from isthmus.data.unchecked import LONGEST_NAME, Unchecked, row_words
from isthmus.data.wording import place, shown, some
from isthmus.errors import BadInput

SIGNS = (b"\x89PNG", b"\xff\xd8\xff", b"BM", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"P4", b"P5", b"P6")
"""First bytes of encoded pictures."""
LABELS = ("label", "labels", "y", "target")
"""Columns that hold the classes of pictures, where nobody names one."""
BYTES, PATH = "bytes", "path"


def pictures_in(path: Path) -> str | None:
    """The column of a Parquet or Arrow file that holds encoded pictures; None if there is none.

    Raises
    ------
    BadInput
        If several do.
    """
    if _in_arrow(path):
        schema = known(path).schema
    else:
        with parsing(place(path), "a Parquet file"), pq.ParquetFile(path) as file:
            schema = file.schema_arrow
    likely = [field.name for field in schema if _is_bytes(field.type) or _is_struct(field.type)]
    if not likely:
        return None
    content = _content(path)  # which looks at its size first
    found = [name for name in likely if content.column_names.count(name) == 1 and _begins(content.column(name))]
    if len(found) > 1:
        raise BadInput(f"{place(path)}: several columns hold pictures ({some(found)}); save the file with one of them")
    return found[0] if found else None


def _in_arrow(path: Path) -> bool:
    return path.name.lower().endswith(ARROW)


def _content(path: Path, label: str | None = None) -> pa.Table:
    return arrow_table(path, label) if _in_arrow(path) else parquet_table(path, label)


class Gallery(NamedTuple):
    """Encoded pictures, before they are drawn."""

    sources: list[Source]
    table: pa.Table
    """What is known of each besides: its file, or the other columns of its row."""
    told: tuple[str, ...] = ()


def gallery(path: Path) -> Gallery | None:
    """The encoded pictures of a folder, or of a Parquet or Arrow file; None if it is none of these.

    Raises
    ------
    BadInput
        If there are no pictures in a folder, or a file is damaged.
    """
    if os.path.isdir(path):
        found = listed(path)
        return Gallery(sources_in(path, found), pa.table({"file": [text(name) for name in found.pictures]}), found.told)
    if not path.name.lower().endswith((".parquet", *ARROW)) or not path.is_file():
        return None
    if (column := pictures_in(path)) is None:
        return None
    content = _content(path)
    cells = content.column(column)
    beside = content.drop_columns([column])
    if _is_struct(cells.type, PATH) and "file" not in beside.column_names:
        beside = beside.add_column(0, "file", pc.struct_field(cells, PATH))
    return Gallery(sources(place(path), cells), beside)


def encoded(path: Path, column: str, label: str | None, wanted: Wanted) -> Unchecked:
    """The pictures in a column of a Parquet or Arrow file, and their labels: the column ``label``, or one of that name.

    Raises
    ------
    BadInput
        As :func:`isthmus.data.images.folder`, and if there is no such label.
    """
    where = place(path)
    content = _content(path, label)
    names = list(content.column_names)
    named(where, names, label)
    if label == column:
        raise BadInput(f"{where}: column {shown(column)} holds the pictures; name another one as the label")
    drawn = draw(where, sources(where, content.column(column)), wanted)
    labels = label or next((name for name in LABELS if name in names), None)
    y = None if labels is None else _classes(content, labels).take(pa.array(drawn.kept, pa.int64()))
    told = [f"column {shown(column)} holds the pictures" + (f", {shown(labels)} their labels" if labels else "")]
    if left := [name for name in names if name not in (column, labels)]:
        told.append(f"{some(left, 3)} left out")
    columns = element_names(drawn.canvas.shape)
    words = row_words(columns, lambda i: f"row {drawn.kept[i] + 1}")
    told = [*drawn.told, *told]
    return Unchecked(where, drawn.x, y, columns, words, told=tuple(told), images=True, canvas=drawn.canvas)


def sources(where: str, column: Any) -> list[Source]:
    """The pictures of a column, to be opened."""
    path = pc.struct_field(column, PATH) if _is_struct(column.type, PATH) else None
    cells = (pc.struct_field(column, BYTES) if _is_struct(column.type) else column).combine_chunks()
    found = []
    for i in range(len(cells)):
        name = path[i].as_py() if path is not None else None
        row = f"row {i + 1}" + (f" ({shown(name)})" if isinstance(name, str) and name else "")
        found.append(Source(row, f"{where}, {row}", lambda cell=cells[i]: _opened(cell)))  # type: ignore[misc]
    return found


def _opened(cell: Any) -> IO[bytes]:
    """The bytes of one cell; none of a missing one, which is then found to be empty."""
    return io.BytesIO(cell.as_py() or b"")


def _begins(column: Any) -> bool:
    """Whether the first cell that is there begins as a picture does."""
    cells = pc.struct_field(column, BYTES) if _is_struct(column.type) else column
    there = cells.drop_null()
    return len(there) > 0 and there[0].as_py().startswith(SIGNS)


def _is_bytes(kind: pa.DataType) -> bool:
    tests = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def _is_struct(kind: pa.DataType, name: str = BYTES) -> bool:
    """Whether a type is a struct with this field, which holds bytes if it is that of the picture."""
    if not pa.types.is_struct(kind) or kind.get_field_index(name) < 0:
        return False
    return name != BYTES or _is_bytes(kind.field(name).type)


def _classes(content: pa.Table, name: str) -> Any:
    """The cells of a column of labels: as names where the Hugging Face hub tells those of its codes."""
    cells = content.column(name).combine_chunks()
    with suppress(KeyError, TypeError, ValueError, pa.ArrowInvalid):
        about = json.loads((content.schema.metadata or {})[b"huggingface"])
        names = about["info"]["features"][name]["names"]
        codes = cells.to_numpy(zero_copy_only=False)
        plain = isinstance(names, list) and all(isinstance(text, str) and len(text) <= LONGEST_NAME for text in names)
        whole = pa.types.is_integer(cells.type) and len(codes) and codes.min() >= 0 and codes.max() < len(names)
        if plain and whole and len(set(names)) == len(names):
            return pa.array(np.asarray(names, dtype=object)[codes.astype(np.int64)], pa.string())
    return cells
