"""Cells back into the columns that people know: texts, dates and numbers, in a frame of the kind that came in."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data import dates
from isthmus.data.fields import TEXTS, Field, missing
from isthmus.data.table import dense, named
from isthmus.data.wording import meant, shown, some
from isthmus.data.words import whole
from isthmus.data.written import MISSING, decimal, seen
from isthmus.errors import NoSuchColumn

MICRO = 1e6
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def column(field: Field, cells: NDArray[Any], wanted: pa.DataType | None = None) -> pa.Array:
    """The cells of one column as an Arrow array, of the type ``wanted`` where they fit it.

    Examples
    --------
    >>> column(Field("city", "category", ("Bergen", "Oslo")), np.array([1.0, -1.0, np.nan])).to_pylist()
    ['Oslo', None, None]
    >>> column(Field("age", "number"), np.array([30.2, np.nan]), pa.int64()).to_pylist()
    [30, None]
    """
    gone = missing(cells)
    if field.kind in TEXTS:
        made = pa.array(cells, pa.string(), mask=gone)
        return made if wanted is None else _cast(made, wanted)
    cells = np.asarray(cells, np.float64)
    if field.values:
        new = gone | (cells < 0)
        made = pa.array(field.values, pa.string()).take(pa.array(np.where(new, 0, cells).astype(np.int64), mask=new))
    elif field.kind == "date":
        made = pa.array(np.where(gone, 0, np.rint(cells * MICRO)).astype(np.int64), pa.int64(), mask=gone)
        made = made.cast(pa.timestamp("us"))
    else:
        made = pa.array(cells, pa.float64(), mask=gone)
    return made if wanted is None else _cast(made, wanted)


def _cast(made: pa.Array, wanted: pa.DataType) -> pa.Array:
    """The same in another type, numbers rounded where it holds whole ones; as it is where that type cannot hold it."""
    if pa.types.is_dictionary(wanted):
        wanted = wanted.value_type
    if pa.types.is_floating(made.type) and (pa.types.is_integer(wanted) or pa.types.is_boolean(wanted)):
        return _rounded(made, wanted)
    if pa.types.is_floating(made.type) and (pa.types.is_duration(wanted) or pa.types.is_time(wanted)):
        return _elapsed(made, wanted)
    try:
        if pa.types.is_date(wanted):
            made = pc.floor_temporal(made, unit="day") if pa.types.is_timestamp(made.type) else made
        if pa.types.is_timestamp(wanted) and wanted.tz is not None:
            return made.cast(pa.timestamp("us", "UTC")).cast(wanted, safe=False)
        return made.cast(wanted, safe=not pa.types.is_temporal(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return made


def _rounded(made: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Numbers as whole ones, in a wider type where some are beyond the one that is wanted; or as no and yes."""
    numbers = np.rint(made.to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(wanted):
        return pa.array(np.clip(numbers, 0, 1), from_pandas=True).cast(pa.uint8()).cast(wanted)
    whole_numbers = pa.array(numbers, from_pandas=True)
    for kind in (wanted, pa.int64()):
        with contextlib.suppress(pa.ArrowInvalid):
            return whole_numbers.cast(kind)
    return whole_numbers


def worded(field: Field, kind: pa.DataType | None) -> bool:
    """Whether a column of moments or of numbers holds them as texts."""
    textual = kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind))
    return textual and not field.values and field.kind not in TEXTS


def spelled(field: Field, cells: NDArray[Any], like: Any) -> pa.Array:
    """The cells of a column of moments or of numbers as the texts of ``like`` are written: dates in their form, times
    and spans with colons, numbers with their decimal mark and the sign that all carry."""
    texts = pc.utf8_trim_whitespace(whole(like).cast(pa.string())).drop_null()
    texts = pc.unique(texts.filter(pc.invert(pc.is_in(texts, pa.array(MISSING)))))
    cells = np.asarray(cells, np.float64)
    if field.kind == "date":
        return dates.spelled(cells, texts, field.habit)
    if dates.clock(texts) is not None:
        return pa.array(dates.spans(cells), pa.string())
    made, numbers = column(field, cells, pa.string()), seen(texts)
    mark = field.habit or (decimal({field.name: numbers}, str)[0] if numbers is not None else ".")
    made = pc.replace_substring(made, ".", mark)
    if numbers is None:
        return made
    pattern = (
        rf"\1{numbers.unit}\2" if texts[0].as_py().lstrip("+-").startswith(numbers.unit) else rf"\1\2{numbers.unit}"
    )
    return pc.replace_substring_regex(made, r"^(-?)(.*)$", pattern) if numbers.unit else made


def in_text(table: pa.Table, commas: Collection[str]) -> pa.Table:
    """A table as it is written as text: numbers of the columns in ``commas`` with a decimal comma, as they are read.

    Examples
    --------
    >>> in_text(pa.table({"a": [1.234], "b": [0.5]}), ["a"]).to_pylist()
    [{'a': '1,234', 'b': 0.5}]
    """
    for j, one in enumerate(table.schema):
        if one.name in commas and pa.types.is_floating(one.type):
            texts = pc.replace_substring(table.column(j).cast(pa.string()), ".", ",")
            table = table.set_column(j, one.name, texts)
    return table


def _elapsed(made: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Seconds as time spans or, no earlier and no later than a day holds them, as times of the day; rounded to the unit
    of the type."""
    unit, gone = UNITS[wanted.unit], made.is_null()
    seconds = pc.fill_null(made, 0.0).to_numpy(zero_copy_only=False)
    whole = np.rint(seconds * unit).astype(np.int64)
    if pa.types.is_time(wanted):
        whole = np.clip(whole, 0, 86400 * unit - 1).astype(np.int32 if unit <= UNITS["ms"] else np.int64)
    return pa.array(whole, mask=gone.to_numpy(zero_copy_only=False)).cast(wanted)


def _categories(field: Field, made: pa.Array, wanted: pa.DataType | None) -> pa.Array:
    """Texts as codes into those that a column may hold, where it was of such a type."""
    if wanted is None or not pa.types.is_dictionary(wanted) or not field.values:
        return made
    values = pa.array(field.values, made.type)
    codes = pc.index_in(made, values)
    if len(values) <= np.iinfo(wanted.index_type.to_pandas_dtype()).max:
        codes = codes.cast(wanted.index_type)
    return pa.DictionaryArray.from_arrays(codes, values, ordered=wanted.ordered)


def opened(rows: Any, label: str | None = None) -> Any:
    """A frame as narwhals has it, and what is none as it is.

    Raises
    ------
    BadInput
        If several columns have the same name.
    """
    try:
        return nw.from_native(rows, pass_through=True)
    except nw.exceptions.DuplicateError:
        named("X", [str(name) for name in getattr(rows, "column_names", rows.columns)], label)
        raise


def by_name(rows: Any, columns: Sequence[str]) -> Any:
    """The columns of a frame in this order, without others; what is no frame, or has none of them, as it is.

    Raises
    ------
    BadInput
        If it has some of them and not all, or one twice.

    Examples
    --------
    >>> by_name(pa.table({"b": [2], "c": [3], "a": [1]}), ["a", "b"]).to_pylist()
    [{'a': 1, 'b': 2}]
    """
    if isinstance(rows, np.ndarray):  # which asks nobody
        return rows
    frame = opened(rows)
    if not isinstance(frame, nw.DataFrame) or not {*columns} & {*frame.columns} or [*columns] == frame.columns:
        return rows
    names = [*map(str, frame.columns)]
    if absent := [name for name in columns if name not in frame.columns]:
        raise NoSuchColumn(
            f"X: no column {shown(absent[0])}, which the model was trained on{meant(absent[0], names)}; the columns "
            f"are {some(names)}",
            absent[0],
            "fields",
        )
    return frame.select(columns).to_native()


def framed(fields: Sequence[Field], cells: NDArray[Any], like: Any, there: NDArray[np.bool_] | None = None) -> Any:
    """Cells (N, F) as a frame of the kind of ``like``, with the types of its columns, its categories and its index.

    Parameters
    ----------
    fields : sequence of Field
    cells : array (N, F)
    like : pandas, polars or pyarrow frame
        Only its types are looked at, and its index if it has as many rows. Its further columns are not in the result.
    there : array of bool (N, F), optional
        Cells that are those of ``like``, as they stand in it.
    """
    native = nw.from_native(like)
    own = {str(name): series for name, series in zip(native.columns, native.iter_columns(), strict=True)}
    types = {f.name: _type(own[f.name]) if f.name in own else None for f in fields}
    made = pa.table(
        {
            f.name: spelled(f, cells[:, j], dense(own[f.name]).to_arrow())
            if worded(f, types[f.name])
            else column(f, cells[:, j], types[f.name])
            for j, f in enumerate(fields)
        }
    )
    wide = {f.name for f in fields if _wide(made[f.name].type, types[f.name])}
    kept = {} if there is None else {f.name: there[:, j] for j, f in enumerate(fields) if f.name in {*own} - wide}
    if native.implementation.is_pyarrow():
        columns = {f.name: _categories(f, made[f.name].combine_chunks(), types[f.name]) for f in fields}
        return pa.table(columns | {name: _joined(kept[name], like[name], columns[name]) for name in kept})
    if native.implementation.is_polars():
        import polars

        frame = polars.DataFrame(made)
        frame = frame.with_columns(
            frame[name].cast(like.schema[name], strict=False) for name in {*own} & {*types} - wide
        )
        return frame.with_columns(like[name].zip_with(polars.Series(kept[name]), frame[name]) for name in kept)
    frame = made.to_pandas()
    if len(like) == len(frame):
        frame.index = like.index
    for name in frame.columns:
        if name not in own or name in wide:  # not own: an element of a list
            continue
        given = own[name].to_native()
        with contextlib.suppress(TypeError, ValueError):  # gaps in a column of whole numbers
            frame[name] = frame[name].astype(given.dtype)
        if name in kept:
            frame[name] = given if kept[name].all() else frame[name].where(~kept[name], given)
    place = {name: j for j, name in enumerate(own)}
    if all(name in place for name in frame.columns):
        frame.columns = like.columns[[place[name] for name in frame.columns]]
    return frame


def _wide(made: pa.DataType, wanted: pa.DataType | None) -> bool:
    """Whether numbers are beyond the type of whole numbers of their column."""
    return wanted is not None and pa.types.is_integer(wanted) and made != wanted


def _type(series: nw.Series[Any]) -> pa.DataType:
    """The type of a column; of Python objects, that of what they are."""
    found = dense(series.head(0)).to_arrow().type
    return dense(series).to_arrow().type if pa.types.is_null(found) else found


def _joined(kept: NDArray[np.bool_], own: Any, made: pa.Array) -> Any:
    """What a column of Arrow's holds, and elsewhere what was made."""
    if kept.all():
        return own
    if pa.types.is_dictionary(own.type):
        kind = own.type
        whole = pc.if_else(pa.array(kept), own.cast(kind.value_type), made.cast(kind.value_type))
        return whole.combine_chunks().dictionary_encode().cast(kind)
    return pc.if_else(pa.array(kept), own, made) if own.type == made.type else made
