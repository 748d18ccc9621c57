"""Tables: named columns of any source, as Arrow arrays, into one array of numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
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
from isthmus.data.unchecked import LEAST_ROWS, LONGEST_NAME, Unchecked, enough, row_words
from isthmus.data.wording import meant, place, shown, some
from isthmus.errors import BadInput, NoSuchColumn
from isthmus.said import Said

INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name in Parquet; in text its name is empty."""
BATCH = 1 << 16
"""Most rows that are read at a time."""
NO_VALUE = Said("holds no value", "没有任何值")
Cells = Any
"""An Arrow array, chunked or not."""
Row = Callable[[int], str]


def table(
    where: str,
    names: Sequence[str],
    cells: Sequence[Cells],
    row: Row,
    label: str | None,
    stated: Mapping[str, str] | None = None,
) -> Unchecked:
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
    stated : mapping of names to kinds, optional
        Of which columns the source says that they are of kind ``category`` or ``ordered``.
    """
    named(where, names, label)
    rows = len(cells[0]) if cells else 0
    said = index_told(names)
    if beside := indices(names):
        cells = [column for name, column in zip(names, cells, strict=True) if name not in beside]
        names = [name for name in names if name not in beside]
    label_at = named(where, names, label)
    names, cells, told, aside, lists = _unpacked(where, names, cells, label_at)
    label_at = named(where, names, label)
    kept = [i for i in range(len(names)) if i != label_at]
    columns = tuple(names[i] for i in kept)
    y = None if label_at is None else cells[label_at]
    found = tuple(cells[i] for i in kept)
    return Unchecked(
        where,
        np.empty((rows, 0)),
        y,
        columns,
        row_words(columns, row),
        told=(*said, *told),
        cells=found,
        stated={name: kind for name, kind in (stated or {}).items() if name != label},
        aside=aside,
        lists=lists,
    )


def _unpacked(
    where: str, names: Sequence[str], cells: Sequence[Cells], label_at: int | None
) -> tuple[list[str], list[Cells], tuple[str, ...], dict[str, str], dict[str, tuple[str, ...]]]:
    """The table with each column of lists of equal length as so many columns, what was done, in words, which columns
    hold what cannot be learnt from, and as which columns lists are read."""
    found: list[str] = []
    parts: list[Cells] = []
    told, aside, lists = [], {}, {}
    for i, (name, column) in enumerate(zip(names, cells, strict=True)):
        if i != label_at and (why := unlearnable(column.type)):
            aside[name] = why
            continue
        if i == label_at or not _is_list(column.type):
            found.append(name)
            parts.append(column)
            continue
        elements, width, why = _elements(column)
        if why:
            aside[name] = why
            continue
        enough(where, max(len(column), LEAST_ROWS), width)
        fits(where, 8 * len(elements))
        lists[name] = tuple(f"{name}_{k}" for k in range(width))
        found += lists[name]
        parts += [elements.take(pa.array(np.arange(k, len(elements), width))) for k in range(width)]
        told.append(f"column {shown(name)} holds lists of {width} numbers and is read as {width} columns")
    return found, parts, tuple(told), aside, lists


def unlearnable(kind: pa.DataType) -> str:
    """Why nothing can be learnt from a column of this type, to stand behind "it"; empty if something can."""
    inner = _plainest(kind)
    simple = is_number(inner) or pa.types.is_temporal(inner) or (inner == kind and is_text(kind))
    if pa.types.is_dictionary(kind):
        simple = is_number(kind.value_type) or is_text(kind) or pa.types.is_temporal(kind.value_type)
    if simple:
        return ""
    if isinstance(kind.value_type if pa.types.is_dictionary(kind) else kind, pa.BaseExtensionType):
        return Said(
            f"holds values of type {kind}, not numbers or texts; turn them into texts or numbers",
            f"的值属于类型 {kind}，既不是数字也不是文本；请转换成文本或数字",
        )
    return Said(
        f"holds values of type {kind}, not numbers or texts; unpack them into columns of their own",
        f"的值属于类型 {kind}，既不是数字也不是文本；请拆成单独的列",
    )


def _plainest(kind: pa.DataType) -> pa.DataType:
    """The type of what lies in lists, of lists or not."""
    while _is_list(kind):
        kind = (kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind).value_type
    return kind


def _is_list(kind: pa.DataType) -> bool:
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list))


def _elements(column: Cells) -> tuple[Cells, int, str]:
    """All elements of a column of lists, row by row, those of a missing list as missing; how many a row has; and why
    they cannot be columns, if so."""
    width = 1
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    while _is_list(column.type):
        if isinstance(column.type, pa.BaseExtensionType):
            column = column.storage
        least, most = pc.min_max(pc.list_value_length(column)).as_py().values()
        if least is None:
            return column, width, NO_VALUE
        if least != most or not most:
            why = Said(
                f"holds lists of {least} to {most} values, and only lists of equal length can be read as columns",
                f"是长度为 {least} 到 {most} 的列表，只有等长的列表才能读成列",
            )
            return column, width, why
        width *= most
        there = column.is_valid().to_numpy(zero_copy_only=False)
        column = column.flatten()
        if not there.all():
            at = np.repeat(np.cumsum(there) - 1, most) * most + np.tile(np.arange(most), len(there))
            column = column.take(pa.array(at, mask=np.repeat(~there, most)))
    return column, width, ""


def named(where: str, names: Sequence[str], label: str | None) -> int | None:
    """Refuse names that nobody could mean; the position of the label column. A first column may have none
    (:func:`indices`)."""
    if "" in names[1:] or list(names) == [""]:
        at = len(names) - list(reversed(names)).index("")
        if sum(map(bool, names)) == 1 < len(names) - 1:
            name = next(filter(None, names))
            raise BadInput(
                f"{where}: the first line holds {shown(name)} and nothing else, where {len(names)} columns need names; "
                "take lines of title above the names away"
            )
        raise _nameless(where, at, len(names))
    if (length := max(map(len, names), default=0)) > LONGEST_NAME:
        name = next(name for name in names if len(name) == length)
        raise BadInput(
            f"{where}: a column name has {length:,} characters ({shown(name)}); give names of at most {LONGEST_NAME:,}"
        )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise BadInput(f"{where}: several columns have the same name ({some(twice)}); rename or drop them")
    if label is None:
        return None
    if label not in names:
        raise NoSuchColumn(
            f"{where}: no label column {shown(label)}{meant(label, names)}; the columns are {some(names)}",
            label,
            "label",
        )
    return list(names).index(label)


def _nameless(where: str, at: int, width: int) -> BadInput:
    why = "; does a separator end the lines?" if at == width > 1 else ""
    return BadInput(f"{where}: column {at} of {width} has no name; name it, or leave it out{why}")


def indices(names: Sequence[str]) -> tuple[str, ...]:
    """The columns that are no part of the rows but the index of a frame: a first one without a name, as pandas and R
    write it in text, and those that pandas writes in Parquet.

    Examples
    --------
    >>> indices(["", "age"]), indices(["age", "__index_level_0__"]), indices(["age"])
    (('',), ('__index_level_0__',), ())
    """
    return tuple(name for j, name in enumerate(names) if (j == 0 and not name) or INDEX.fullmatch(name))


def index_told(names: Sequence[str]) -> tuple[str, ...]:
    """What is said of the columns that :func:`indices` names, a sentence each."""
    return tuple(
        f"column {shown(name)} is the index of a frame, and nothing is learnt from it"
        if name
        else "the first column has no name, as the index of a frame: nothing is learnt from it unless you name it"
        for name in indices(names)
    )


def frame(source: nw.DataFrame[Any], label: str | None) -> Unchecked:
    """A pandas, polars or pyarrow frame."""
    names = [str(name) for name in source.columns]
    named("X", names, label)  # before any cell is looked at: a wide frame takes its time
    fits("X", 8 * len(source) * len(names))
    cells, stated = [], {}
    for name, series in zip(names, source.iter_columns(), strict=True):
        try:
            cells.append(dense(series).to_arrow())
            if kind := _stated(cells[-1].type, polars=source.implementation.is_polars()):
                stated[name] = kind
        except Exception:  # a column of Python objects that no one type holds
            raise BadInput(several_types("X", _frame_row, name, series.to_list())) from None
    return table("X", names, cells, _frame_row, label, stated)


def several_types(where: str, row: Row, name: str, values: Sequence[Any]) -> str:
    """Why a column of Python objects is refused: the first of those that are fewer, texts or others."""
    there = [(i, value) for i, value in enumerate(values) if value is not None and str(value) != "nan"]
    strays = [(i, v) for i, v in there if not isinstance(v, int | float)]
    if not strays:
        i, value = max(there, key=lambda one: abs(one[1]))
        return (
            f"{where}: {row(i)}, column {shown(name)}: {shown(value)} is a whole number that 64 bits do not hold; make "
            "all numbers floats (pandas: x.astype(float)), or texts if they are names, or drop this column"
        )
    if len(strays) <= len(there) / 2 or not any(isinstance(v, str) for _, v in there):
        i, value = strays[0]
        if isinstance(value, str) and spelled(value) is not None:
            return (
                f"{where}: {row(i)}, column {shown(name)}: the text {shown(value)} stands among numbers; make all "
                "numbers (pandas: pandas.to_numeric(x)), or all texts, or drop this column"
            )
        return (
            f"{where}: {row(i)}, column {shown(name)}: {shown(value)} is not a number; correct it, or drop this column"
        )
    i, value = next(((i, v) for i, v in there if not isinstance(v, str)), (0, None))
    return (
        f"{where}: {row(i)}, column {shown(name)}: {shown(value)} of type {type(value).__name__} stands among texts; "
        "make all texts (pandas: x.astype(str)), or drop this column"
    )


def kinds_stated(schema: pa.Schema) -> dict[str, str]:
    """Of which columns the types say that they are of kind ``category`` or ``ordered``."""
    found = {
        one.name: _stated(one.type, polars=any(key.startswith(b"_PL_") for key in one.metadata or ())) for one in schema
    }
    return {name: kind for name, kind in found.items() if kind}


def _stated(kind: pa.DataType, *, polars: bool) -> str:
    """Which kind a type says that a column has; empty if none."""
    if not pa.types.is_dictionary(kind):
        return ""
    # the values of an Enum of polars stand in the order in which they were named, which need mean nothing
    return "ordered" if kind.ordered and not polars else "category"


def dense(series: nw.Series[Any]) -> nw.Series[Any]:
    """A sparse column of pandas with all its values."""
    native = series.to_native()
    sparse = hasattr(getattr(native, "dtype", None), "fill_value") and hasattr(native, "sparse")
    return nw.from_native(native.sparse.to_dense(), series_only=True) if sparse else series


def _frame_row(i: int) -> str:
    return f"row {i + 1} (position {i})"


def parquet(path: Path, label: str | None) -> Unchecked:
    """A Parquet file."""
    content = parquet_table(path, label, coded=True)
    with parsing(place(path), "a Parquet file"):
        schema = pq.read_schema(path)
    stated = kinds_stated(schema)
    read_in = table(place(path), content.column_names, content.columns, lambda i: f"row {i + 1}", label, stated)
    barred = {field.name: why for field in schema if field.name != label and (why := unlearnable(field.type))}
    return read_in._replace(aside=barred | dict(read_in.aside))


def parquet_table(path: Path, label: str | None = None, *, coded: bool = False, beside: int = 0) -> pa.Table:
    """All columns of a Parquet file; what its pages unpack to is checked before memory is taken.

    Parameters
    ----------
    path : Path
    label : str, optional
        A column that must be there.
    coded : bool, default False
        Whether the table is only to be learnt from: texts then come as codes into a dictionary, and columns that hold
        neither numbers nor texts are left out.
    beside : int, default 0
        Bytes of other columns of the same rows, which are at hand: what is honest is judged by all together.
    """
    where, packed = place(path), path.stat().st_size + beside
    with parsing(where, "a Parquet file"), pq.ParquetFile(path) as file:
        schema, footer = file.schema_arrow, file.metadata
        rows, names = footer.num_rows, list(schema.names)
        named(where, names, label)
        good = [field.name for field in schema if not coded or field.name == label or not unlearnable(field.type)]
        read_in = good if len(good) < len(names) else None
        found = [one for one in pages.columns(path, footer) if read_in is None or one.name in read_in]
        size = max(8 * rows * len(names), 8 * sum(c.values for c in found), sum(c.unpacked for c in found))
        fits(where, size)
        honest(where, packed, size, "save it as .npy")
        shared = {column.name: column.shared for column in found if column.shared}
        delta = {column.name for column in found if column.delta}
        texts = [
            field.name
            for field in schema
            if is_text(field.type) and field.name not in delta and not (coded and pa.types.is_dictionary(field.type))
        ]
    with (
        parsing(where, "a Parquet file"),
        pq.ParquetFile(path, read_dictionary=texts, page_checksum_verification=True) as file,
    ):
        content = _batches(where, packed, file, shared, read_in) if shared else file.read(columns=read_in)
        content.validate(full=True)
        content = content if read_in is None else content.select(read_in)
        return content if coded else _decoded(where, packed, content, schema)


def _batches(
    where: str, packed: int, file: pq.ParquetFile, shared: dict[str, int], names: list[str] | None
) -> pa.Table:
    """A file whose texts share their beginnings and so unpack to more than its pages do: few rows at a time."""
    read, size = [], 0
    size_of_batch = min(BATCH, max(1, SUSPECT // max(shared.values())))
    for batch in file.iter_batches(batch_size=size_of_batch, columns=names):
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
    """Whether an Arrow type holds texts or bytes, as they are or as codes into a dictionary."""
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


def is_number(kind: pa.DataType) -> bool:
    """Whether cells of an Arrow type are numbers as they stand: bits and a column of gaps are."""
    tests = (pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    return any(test(kind) for test in tests)
