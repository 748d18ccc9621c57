"""From labels of any type to class codes and names."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data.numbers import spelled
from isthmus.data.raw import Raw
from isthmus.data.wording import brief, shown, some
from isthmus.errors import BadInput


def classes(raw: Raw, labels: Any) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes (N,) and the names of the classes, numbers in numeric and texts in alphabetic order.

    Parameters
    ----------
    raw : Raw
        The rows that the labels belong to.
    labels : array-like (N,)
        Texts, whole numbers (of any type) or booleans.

    Raises
    ------
    BadInput
        If a label is missing or not a class, or if all rows or hardly any two rows share one.
    """
    if raw.classes and labels is raw.y:
        return raw.y, raw.classes
    cells = _arrow(raw.place, labels)
    if len(cells) != len(raw.x):
        raise BadInput(f"{raw.place}: {len(cells)} labels for {len(raw.x)} rows; give one label for each row")
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        cells = pc.utf8_trim_whitespace(cells)
        cells = pc.if_else(pc.is_in(cells, pa.array(["", "nan", "NaN"], cells.type)), None, cells)
    elif pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_finite(cells), cells, None)
    if cells.null_count:
        where = raw.where(int(np.flatnonzero(cells.is_null().to_numpy(zero_copy_only=False))[0]), None)
        raise BadInput(
            f"{raw.place}: {where}: the label is missing; {cells.null_count} of {len(cells)} rows have none; "
            "fill them in or drop these rows"
        )
    coded = cells.dictionary_encode()
    names = _names(raw.place, coded.dictionary.to_pylist())
    order = sorted(set(names), key=int if all(map(_is_whole, names)) else str)
    if len(order) == 1:
        raise BadInput(
            f"{raw.place}: all {len(cells)} rows have the label {shown(order[0])}; one class tells nothing: "
            "give a label with two or more classes, or none"
        )
    if len(order) > len(cells) / 2:
        raise BadInput(
            f"{raw.place}: {len(order)} different labels on {len(cells)} rows ({some(order, 3)}): that looks like an "
            "identifier or a measured number, not like classes; give another label, or none"
        )
    position = {name: code for code, name in enumerate(order)}
    return np.array([position[name] for name in names], np.int64)[coded.indices.to_numpy()], tuple(order)


def _arrow(place: str, labels: Any) -> pa.Array:
    """Labels of any container as one Arrow array of booleans, integers, floats or strings."""
    try:
        if isinstance(labels, pa.ChunkedArray | pa.Array):
            cells = labels
        elif isinstance(series := nw.from_native(labels, series_only=True, pass_through=True), nw.Series):
            cells = series.to_arrow()
        else:
            array = np.ma.asarray(labels) if isinstance(labels, np.ma.MaskedArray) else np.asarray(labels)
            if array.ndim == 2 and array.shape[1] == 1:
                array = array[:, 0]
            if array.ndim != 1:
                raise BadInput(f"{place}: labels must be one column, one label for each row; got shape {array.shape}")
            cells = pa.array(array.astype(array.dtype.newbyteorder("=")), from_pandas=True)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"{place}: the labels can't be read as classes ({brief(error)}); give texts, whole numbers or booleans"
        ) from None
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    kind = cells.type
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return cells
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return cells
    if pa.types.is_string_view(kind):
        return cells.cast(pa.large_string())
    raise BadInput(f"{place}: labels of type {kind} are not classes; give texts, whole numbers or booleans")


def _names(place: str, values: list[Any]) -> list[str]:
    """Class names: whole numbers without a decimal point, all else as written."""
    numbers = [number for value in values if (number := spelled(value)) is not None]
    if len(numbers) < len(values):
        return [str(value) for value in values]
    for value, number in zip(values, numbers, strict=True):
        if number != int(number):
            raise BadInput(
                f"{place}: the label holds fractions such as {shown(value)}: a measured number, not a class; "
                "leave the label out, or put the numbers into classes first"
            )
    return [str(v) if type(v) is int else str(int(number)) for v, number in zip(values, numbers, strict=True)]


def _is_whole(name: str) -> bool:
    return name.removeprefix("-").isdecimal()
