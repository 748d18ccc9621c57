"""Cells back into the columns that people know: texts, dates and numbers, in a frame of the kind that came in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data.fields import TEXTS, Field, missing

MICRO = 1e6


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
        whole = pa.array(np.rint(made.to_numpy(zero_copy_only=False)), pa.float64(), from_pandas=True)
        made = whole.cast(pa.int64(), safe=False)
    try:
        if pa.types.is_timestamp(wanted) and wanted.tz is not None:
            return made.cast(pa.timestamp("us", "UTC")).cast(wanted, safe=False)
        return made.cast(wanted, safe=not pa.types.is_temporal(wanted))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return made


def _categories(field: Field, made: pa.Array, wanted: pa.DataType | None) -> pa.Array:
    """Texts as codes into those that a column may hold, where it was of such a type."""
    if wanted is None or not pa.types.is_dictionary(wanted) or not field.values:
        return made
    values = pa.array(field.values, made.type)
    codes = pc.index_in(made, values)
    if len(values) <= np.iinfo(wanted.index_type.to_pandas_dtype()).max:
        codes = codes.cast(wanted.index_type)
    return pa.DictionaryArray.from_arrays(codes, values, ordered=wanted.ordered)


def framed(fields: Sequence[Field], cells: NDArray[Any], like: Any) -> Any:
    """Cells (N, F) as a frame of the kind of ``like``, with the types of its columns, its categories and its index.

    Parameters
    ----------
    fields : sequence of Field
    cells : array (N, F)
    like : pandas, polars or pyarrow frame
        Only its types are looked at, and its index if it has as many rows. Its further columns are not in the result.
    """
    native = nw.from_native(like)
    types = {series.name: series.to_arrow().type for series in native.head(0).iter_columns()}
    made = pa.table({f.name: column(f, cells[:, j], types.get(f.name)) for j, f in enumerate(fields)})
    if native.implementation.is_pyarrow():
        return pa.table({f.name: _categories(f, made[f.name].combine_chunks(), types.get(f.name)) for f in fields})
    if native.implementation.is_polars():
        import polars

        frame = polars.DataFrame(made)
        return frame.with_columns(frame[name].cast(like.schema[name], strict=False) for name in made.column_names)
    frame = made.to_pandas()
    for name in frame.columns:
        try:
            frame[name] = frame[name].astype(like[name].dtype)
        except (TypeError, ValueError):  # gaps in a column of whole numbers
            continue
    if len(like) == len(frame):
        frame.index = like.index
    return frame
