"""From labels of any type to class codes and names."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data import blanks
from isthmus.data.numbers import spelled
from isthmus.data.unchecked import LONGEST_NAME, Unchecked
from isthmus.data.wording import brief, shown, some
from isthmus.errors import BadInput

MANY, ENOUGH = 20, 10
"""So many numbers as classes, and so few rows of one, that they may be a measurement."""


def classes(raw: Unchecked, labels: Any) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes (N,) and the names of the classes, numbers in numeric and texts in alphabetic order.

    Parameters
    ----------
    raw : Unchecked
        The rows that the labels belong to.
    labels : array-like (N,)
        Texts, whole numbers (of any type) or booleans. Texts are told apart as they are written: ``007`` is not ``7``.
        Blanks around them are trimmed, unless they alone tell two classes apart.

    Raises
    ------
    BadInput
        If a label is missing or not a class, or if all rows or hardly any two rows share one.
    """
    if raw.classes and labels is raw.y:
        return raw.y, raw.classes
    cells = arrow(raw.place, labels)
    if len(cells) != len(raw.x):
        raise BadInput(f"{raw.place}: {len(cells)} labels for {len(raw.x)} rows; give one label for each row")
    # Only the distinct labels are ever looked at: a file may hold few of them, very long and very often.
    coded = cells if pa.types.is_dictionary(cells.type) else cells.dictionary_encode()
    distinct = coded.dictionary
    if pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        none = pc.is_in(pc.utf8_trim_whitespace(distinct), pa.array(["", "nan", "NaN"], distinct.type))
        used = pc.is_in(pa.array(range(len(distinct))), pc.unique(coded.indices).cast(pa.int64()))
        distinct = blanks.trimmed(pc.if_else(pc.and_(used, pc.invert(none)), distinct, None))
    elif pa.types.is_floating(distinct.type):
        distinct = pc.if_else(pc.is_finite(distinct), distinct, None)
    codes = coded.indices.cast(pa.int64())
    present = pc.fill_null(distinct.is_valid().take(codes), False)
    missing = len(cells) - (pc.sum(present).as_py() or 0)
    if missing:
        where = raw.where(pc.index(present, pa.scalar(False)).as_py(), None)
        raise BadInput(
            f"{raw.place}: {where}: the label is missing; {missing} of {len(cells)} rows have none; "
            "fill them in or drop these rows"
        )
    used = pc.unique(codes).to_pylist()
    names = _names(raw.place, distinct.take(pa.array(used, pa.int64())))
    order = sorted(set(names), key=_place if all(spelled(name) is not None for name in names) else str)
    if len(order) == 1:
        raise BadInput(
            f"{raw.place}: all {len(cells)} rows have the label {shown(order[0])}; at least two classes are needed: "
            "give a label with two or more classes, or none"
        )
    if len(order) > len(cells) / 2:
        raise BadInput(
            f"{raw.place}: {len(order)} different labels on {len(cells)} rows ({some(order, 3)}): that looks like an "
            "identifier or a measured number, not like classes; give another label, or none"
        )
    position = {name: code for code, name in enumerate(order)}
    lookup = np.zeros(len(distinct), np.int64)
    lookup[used] = [position[name] for name in names]
    return lookup[codes.to_numpy()], tuple(order)


def alike(names: Sequence[str]) -> str | None:
    """A sentence about classes that are one number or one text, written in two ways; None if there are none.

    Examples
    --------
    >>> alike(["007", "7", "8"])
    "classes '007' and '7' are the same number and are kept apart; if they are one class, write it one way"
    """
    known: dict[Decimal, str] = {}
    for name in names:
        if spelled(name) is not None and (first := known.setdefault(Decimal(name), name)) != name:
            return (
                f"classes {shown(first)} and {shown(name)} are the same number and are kept apart; if they are one "
                "class, write it one way"
            )
    return blanks.alike("classes", names)


def measured(codes: NDArray[np.int64], names: Sequence[str]) -> str | None:
    """A sentence about classes that are many numbers of few rows each, perhaps a measurement; None if they are not.

    Examples
    --------
    >>> measured(np.arange(300) % 100, [str(k) for k in range(100)])[:44]
    'the label is 100 different numbers, half of '
    >>> measured(np.arange(300) % 10, [str(k) for k in range(10)])
    """
    if len(names) < MANY or any(spelled(name) is None for name in names):
        return None
    usual = int(np.median(np.bincount(codes)))
    if usual >= ENOUGH:
        return None
    rows = f"{usual} row{'s' * (usual > 1)}"
    return (
        f"the label is {len(names):,} different numbers, half of them with {rows} or fewer, and each is taken for "
        "a class; if it is a measured number, leave the label out, or bin the numbers into classes first"
    )


def alone(codes: NDArray[np.int64], names: Sequence[str]) -> str | None:
    """A sentence about classes of one row; None if there are none.

    Examples
    --------
    >>> alone(np.array([0, 0, 1]), ["a", "b"])
    "class 'b' has one row, which is never both learnt and tested; put it into another class, or leave it out"
    """
    once = np.flatnonzero(np.bincount(codes, minlength=len(names)) == 1)
    found = [names[code] for code in once.tolist()]
    if not found:
        return None
    if len(found) == 1:
        return (
            f"class {shown(found[0])} has one row, which is never both learnt and tested; put it into another class, "
            "or leave it out"
        )
    return (
        f"{len(found):,} classes have one row each ({some(found, 3)}), which is never both learnt and tested; put them "
        "into other classes, or leave them out"
    )


def aligned(source: Any, other: Any, what: str) -> tuple[Any, str | None]:
    """Labels or factors of a pandas frame in the order of its rows, and a sentence if they stood in another order.

    Raises
    ------
    BadInput
        If both have an index of their own, and rows cannot be told from each other by it.
    """
    rows: Any = getattr(source, "index", None)
    own: Any = getattr(other, "index", None)
    if not (hasattr(rows, "get_indexer") and hasattr(own, "get_indexer")) or rows.equals(own):
        return other, None
    found = own.get_indexer(rows) if own.is_unique and rows.is_unique else np.array([-1])
    if len(found) != len(rows) or (found < 0).any():
        raise BadInput(
            f"X: the {what} have an index that differs from that of the rows; give them the same index, or pass "
            f"{what}.to_numpy() if they are in the order of the rows"
        )
    return other.iloc[found], f"the {what} were put in the order of the rows, by their index"


def arrow(place: str, labels: Any) -> pa.Array:
    """Labels of any container as one Arrow array of booleans, integers, floats or strings."""
    try:
        if isinstance(labels, pa.ChunkedArray | pa.Array):
            cells = labels
        elif isinstance(series := nw.from_native(labels, series_only=True, pass_through=True), nw.Series):
            cells = series.to_arrow()
        else:
            _one_type(place, labels)
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
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    if pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return cells
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return cells
    if pa.types.is_string_view(kind):
        return (cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells).cast(pa.large_string())
    raise BadInput(f"{place}: labels of type {kind} are not classes; give texts, whole numbers or booleans")


def _one_type(place: str, labels: Any) -> None:
    """Refuse a list in which numpy would turn numbers into texts, or booleans into numbers, and merge what differs."""
    if not isinstance(labels, list | tuple):
        return
    kinds = {
        "text" if isinstance(v, str) else "boolean" if isinstance(v, bool | np.bool_) else "number"
        for v in labels
        if isinstance(v, str | bool | np.bool_ | int | float | np.number)
    }
    if len(kinds) > 1:
        raise BadInput(f"{place}: the labels are of several types ({', '.join(sorted(kinds))}); give all as texts")


def _names(place: str, values: pa.Array) -> list[str]:
    """Class names: texts as they are written, numbers as Python writes them, whole ones without a decimal point."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        longest = values.filter(pc.greater(pc.utf8_length(values), LONGEST_NAME))
        if len(longest):
            length, text = len(longest[0].as_py()), shown(longest[0].as_py()[:100])
            raise BadInput(
                f"{place}: a label has {length:,} characters ({text}); give labels of at most {LONGEST_NAME:,}"
            )
    found = values.to_pylist()
    numbers = [number for value in found if (number := spelled(value)) is not None]
    for value, number in zip(found, numbers, strict=False):
        if len(numbers) == len(found) and number != int(number):
            raise BadInput(
                f"{place}: the label holds fractions such as {shown(value)}: a measured number, not a class; "
                "leave the label out, or bin the numbers into classes first"
            )
    return [str(int(value)) if type(value) is float else str(value) for value in found]


def _place(name: str) -> tuple[Decimal, str]:
    """Numbers in numeric order, and one number written in two ways as texts."""
    return Decimal(name), name
