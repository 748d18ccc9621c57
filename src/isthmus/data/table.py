"""Tables: named columns of any source, as Arrow arrays, into one array of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from isthmus.data import pages
from isthmus.data.files import SUSPECT, fits, honest, parsing
from isthmus.data.numbers import WHOLE, spelled, too_fine
from isthmus.data.unchecked import LONGEST_NAME, Unchecked, enough, row_words
from isthmus.data.wording import meant, place, shown, some
from isthmus.data.written import MISSING, advice, other_than_text, seen
from isthmus.errors import BadInput, NoSuchColumn

INDEX = "__index_level_0__"
BATCH = 1 << 16
"""Most rows that are read at a time."""
Cells = Any
"""An Arrow array, chunked or not."""
Row = Callable[[int], str]


def table(where: str, names: Sequence[str], cells: Sequence[Cells], row: Row, label: str | None) -> Unchecked:
    """The columns of a table, without the label column.

    Parameters
    ----------
    where : str
        Head of every message.
    names : sequence of str
        One for each column, checked by :func:`named`.
    cells : sequence of Arrow arrays
    row : callable
        Words for row i, counted from 0: ``line 4``.
    label : str or None
        Name of the label column.
    """
    label_at = named(where, names, label)
    names, cells, told = _unpacked(where, names, cells, label_at)
    if told:
        label_at = named(where, names, label)
    kept = [i for i in range(len(names)) if i != label_at]
    columns = tuple(names[i] for i in kept)
    rows = len(cells[0]) if cells else 0
    y = None if label_at is None else cells[label_at]
    found = tuple(cells[i] for i in kept)
    return Unchecked(where, np.empty((rows, 0)), y, columns, row_words(columns, row), told=told, cells=found)


def _unpacked(
    where: str, names: Sequence[str], cells: Sequence[Cells], label_at: int | None
) -> tuple[list[str], list[Cells], tuple[str, ...]]:
    """The table with each column of lists of equal length as so many columns, and what was done, in words."""
    found: list[str] = []
    parts: list[Cells] = []
    told = []
    for i, (name, column) in enumerate(zip(names, cells, strict=True)):
        if i == label_at or not _is_list(column.type):
            found.append(name)
            parts.append(column)
            continue
        elements, width = _elements(where, name, column)
        enough(where, len(column), width)
        fits(where, 8 * len(elements))
        found += [f"{name}_{k}" for k in range(width)]
        parts += [elements.take(pa.array(np.arange(k, len(elements), width))) for k in range(width)]
        told.append(f"column {shown(name)} holds lists of {width} numbers and is read as {width} columns")
    return found, parts, tuple(told)


def _is_list(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _elements(where: str, name: str, column: Cells) -> tuple[Cells, int]:
    """All elements of a column of lists, row by row, and how many a row has."""
    width = 1
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    while _is_list(column.type):
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        lengths = pc.list_value_length(column)
        least, most = pc.min_max(lengths).as_py().values()
        if column.null_count or least != most or not most:
            if column.null_count:
                i = pc.index(column.is_null(), pa.scalar(True)).as_py()
                raise BadInput(
                    f"{where}: row {i // width + 1}, column {shown(name)}: the value is missing; drop the row"
                )
            raise BadInput(
                f"{where}: column {shown(name)} holds lists of {least} to {most} values, not numbers; only lists of "
                "equal length can be read as columns: drop or unpack it"
            )
        width *= most
        column = column.flatten()
    return column, width


def named(where: str, names: Sequence[str], label: str | None) -> int | None:
    """Refuse names that nobody could mean; the position of the label column."""
    if "" in names:
        at = list(names).index("") + 1
        why = {1: " if it only counts the rows (pandas: index=False)", len(names): "; does a separator end the lines?"}
        raise BadInput(f"{where}: column {at} of {len(names)} has no name; name it, or leave it out{why.get(at, '')}")
    if (length := max(map(len, names), default=0)) > LONGEST_NAME:
        name = next(name for name in names if len(name) == length)
        raise BadInput(
            f"{where}: a column name has {length:,} characters ({shown(name)}); give names of at most {LONGEST_NAME:,}"
        )
    if INDEX in names:
        raise BadInput(f"{where}: column {shown(INDEX)} is the row index of a pandas frame; save it with index=False")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"{where}: several columns have the same name ({some(twice)}); rename or drop them")
    if label is None:
        return None
    if label not in names:
        raise NoSuchColumn(
            f"{where}: no label column {shown(label)}{meant(label, names)}; the columns are {some(names)}"
        )
    return list(names).index(label)


def frame(source: nw.DataFrame[Any], label: str | None) -> Unchecked:
    """A pandas, polars or pyarrow frame."""
    names = [str(name) for name in source.columns]
    fits("X", 8 * len(source) * len(names))
    cells = []
    for name, series in zip(names, source.iter_columns(), strict=True):
        try:
            cells.append(_dense(series).to_arrow())
        except Exception:  # a column of Python objects that no one type holds: the first that is no number is named
            strays = ((i, v) for i, v in enumerate(series.to_list()) if not isinstance(v, int | float | None))
            i, value = next(strays, (0, None))
            raise BadInput(
                f"X: {_frame_row(i)}, column {shown(name)}: {shown(value)} is not a number; drop or encode this column"
            ) from None
    return table("X", names, cells, _frame_row, label)


def _dense(series: nw.Series[Any]) -> nw.Series[Any]:
    """A sparse column of pandas with all its values."""
    native = series.to_native()
    sparse = hasattr(getattr(native, "dtype", None), "fill_value") and hasattr(native, "sparse")
    return nw.from_native(native.sparse.to_dense(), series_only=True) if sparse else series


def _frame_row(i: int) -> str:
    return f"row {i + 1} (position {i})"


def parquet(path: Path, label: str | None) -> Unchecked:
    """A Parquet file."""
    content = parquet_table(path, label, coded=True)
    return table(place(path), content.column_names, content.columns, lambda i: f"row {i + 1}", label)


def parquet_table(path: Path, label: str | None = None, *, coded: bool = False, beside: int = 0) -> pa.Table:
    """All columns of a Parquet file; what its pages unpack to is checked before memory is taken.

    Parameters
    ----------
    path : Path
    label : str, optional
        A column that must be there.
    coded : bool, default False
        Whether the table is only to be learnt from: texts then come as codes into a dictionary, and columns that hold
        neither numbers nor texts are refused.
    beside : int, default 0
        Bytes of other columns of the same rows, which are at hand: what is honest is judged by all together.
    """
    where, packed = place(path), path.stat().st_size + beside
    with parsing(where, "a Parquet file"), pq.ParquetFile(path) as file:
        schema, footer = file.schema_arrow, file.metadata
        rows, names = footer.num_rows, list(schema.names)
        named(where, names, label)
        if coded:
            _learnable(where, schema)
        found = pages.columns(path, footer)
        size = max(8 * rows * len(names), 8 * sum(c.values for c in found), sum(c.unpacked for c in found))
        fits(where, size)
        honest(where, packed, size, "save it as .npy")
        shared = {column.name: column.shared for column in found if column.shared}
        delta = {column.name for column in found if column.delta}
        texts = [field.name for field in schema if is_text(field.type) and field.name not in delta]
    with (
        parsing(where, "a Parquet file"),
        pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file,
    ):
        content = _batches(where, packed, file, shared) if shared else file.read()
        content.validate(full=True)
        return content if coded else _decoded(where, packed, content, schema)


def _learnable(where: str, schema: pa.Schema) -> None:
    """Refuse, before it is read, a column that could not be learnt from."""
    for field in schema:
        kind = field.type
        while _is_list(kind):
            kind = (kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind).value_type
        if not (is_number(kind) or pa.types.is_temporal(kind) or (kind == field.type and is_text(kind))):
            raise BadInput(
                f"{where}: column {shown(field.name)} holds values of type {field.type}, not numbers; drop or unpack it"
            )


def _batches(where: str, packed: int, file: pq.ParquetFile, shared: dict[str, int]) -> pa.Table:
    """A file whose texts share their beginnings and so unpack to more than its pages do: few rows at a time."""
    read, size = [], 0
    for batch in file.iter_batches(batch_size=min(BATCH, max(1, SUSPECT // max(shared.values())))):
        read.append(batch)
        size += batch.nbytes
        fits(where, size)
        honest(where, packed, size, "save it as .npy")
    return pa.Table.from_batches(read, schema=read[0].schema if read else file.schema_arrow)


def _decoded(where: str, packed: int, content: pa.Table, schema: pa.Schema) -> pa.Table:
    """Texts as they are instead of as codes, if there is room."""
    for i, field in enumerate(schema):
        cells = content.column(i)
        if pa.types.is_dictionary(cells.type) and cells.type != field.type:
            whole = sum(pc.sum(pc.binary_length(c.dictionary).take(c.indices)).as_py() or 0 for c in cells.chunks)
            fits(where, whole)
            honest(where, packed, whole, "save it without this column")
            content = content.set_column(i, field.name, cells.cast(field.type))
    return content


def is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
            pa.types.is_fixed_size_binary,
        )
    )


def not_text(raw: Unchecked, j: int, cells: Cells) -> str | None:
    """Why a column of bytes is no text, or None if it is."""
    strays = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid)
    first, value = next(((i, v) for i, v in strays if isinstance(v, bytes)), (0, ""))
    if not isinstance(value, bytes):
        return None
    bad = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid and not _is_utf8(cell.as_py()))
    first, value = next(bad, (first, value))
    readable = shown(value.decode("utf-8", errors="replace"))
    return (
        f"{raw.place}: {raw.where(first, j)}: {readable} is not UTF-8 text; save the file as UTF-8, or drop this column"
    )


def unreadable(cells: Cells, j: int, columns: tuple[str, ...], words: Any) -> str | None:
    """Why a column of texts that mean numbers cannot be read as them, or None if they are mere texts or dates."""
    if (column := seen(_short(cells))) is not None:
        return f"column {shown(columns[j])} holds numbers written as text; {advice(column, columns[j])}"
    if (stray := _stray(cells)) is not None:
        first, value = stray
        return f"{words(first, j)}: {shown(value)} is not a number; correct it, or drop the row or the column"
    filled = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid)
    first, value = next(filled, (0, ""))
    if remedy := other_than_text(value, _short(cells[:1000]).to_pylist()):
        return f"{words(first, j)}: {shown(value.strip())} {remedy}"
    return None


def _stray(cells: Cells) -> tuple[int, Any] | None:
    """The first cell that is no number in a column most of whose cells are."""
    head = [cell for cell in pc.unique(_short(cells[:1000])).to_pylist() if cell is not None]
    if sum(spelled(cell) is not None for cell in head) * 2 <= len(head):
        return None
    values = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid)
    return next(((i, v) for i, v in values if spelled(v) is None and v.strip() not in MISSING), None)


def text_message(cells: Cells, j: int, columns: tuple[str, ...], words: Any) -> str:
    """Why a column of texts holds no numbers."""
    values = ((i, cell.as_py()) for i, cell in enumerate(cells) if cell.is_valid)
    first, value = next(((i, v) for i, v in values if spelled(v) is None and v.strip() not in MISSING), (0, ""))
    return f"{words(first, j)}: {shown(value.strip())} is not a number; mend it, or give the column another kind"


def _short(texts: Any) -> Any:
    """Texts of which no more is kept than tells whether they are numbers."""
    whole = pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)
    return pc.utf8_slice_codeunits(texts, 0, 100) if whole else texts


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def numbers(where: str, name: str, cells: Cells) -> NDArray[np.float64]:
    """One column as float64, missing cells as NaN."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = cells.type
    if not is_number(kind):
        raise BadInput(f"{where}: column {shown(name)} holds values of type {kind}, not numbers; drop or unpack it")
    if pa.types.is_boolean(kind):
        cells = cells.cast(pa.uint8())
    found: NDArray[np.float64] = cells.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if not pa.types.is_floating(kind) and abs(found[0]) >= WHOLE and (found == found[0]).all():
        low, high = pc.min_max(cells).as_py().values()
        if low != high:
            raise BadInput(too_fine(where, name, low, high))
    return found


def dates(cells: Cells) -> NDArray[np.float64]:
    """Dates and times as seconds since 1970, UTC where a zone is known; missing ones as NaN."""
    moments = cells.cast(pa.timestamp("us", getattr(cells.type, "tz", None)), safe=False)
    micro: NDArray[np.float64] = moments.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return micro / 1e6


def is_number(kind: pa.DataType) -> bool:
    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)
