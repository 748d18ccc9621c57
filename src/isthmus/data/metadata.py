"""What is known of rows besides their columns: the group they belong to, when they were taken, how much they count.

Models never see it. Groups and times say which rows may stand on both sides of a split; weights say how much a row
counts in training and in scores.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.data import dates
from isthmus.data.kinds import settle
from isthmus.data.labels import aligned, arrow
from isthmus.data.unchecked import Unchecked, enough
from isthmus.data.wording import brief, meant, shown, some
from isthmus.errors import BadInput, NoSuchColumn

IN_ORDER = "rows"
"""What ``time`` takes besides a column: rows stand in the order of time already."""
FEW_GROUPS = 10
"""Groups below which replicates share so much that intervals mean little."""
FINE, MOST = 4, 20_000
"""How many times as many rows stand for weighted ones, at most, and up to how many rows."""


class Metadata(NamedTuple):
    """What is known of rows besides their columns; None where it was not asked for."""

    group: NDArray[np.int64] | None = None
    """(N,), equal for rows that belong together."""
    time: NDArray[np.float64] | None = None
    """(N,), finite; rises with time."""
    weight: NDArray[np.float64] | None = None
    """(N,), positive; only ratios count. None where all are equal."""

    @property
    def sizes(self) -> dict[str, float]:
        """What a study keeps of it: how many groups and times there are, and rows of equal weight that are worth as
        much (Kish 1965)."""
        found: dict[str, float] = {}
        for name, part in (("groups", self.group), ("times", self.time)):
            found |= {} if part is None else {name: len(np.unique(part))}
        if self.weight is not None:
            share = self.weight / self.weight.max()
            found["worth"] = float(share.sum() ** 2 / np.square(share).sum())
        return found

    def into(self, digest: Any) -> None:
        """Add it to a digest of rows."""
        for name, part in self._asdict().items():
            if part is not None:
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(part, "<i8" if name == "group" else "<f8").data)

    def take(self, rows: NDArray[Any] | slice) -> Metadata:
        """That of some rows."""
        time, weight = (None if part is None else part[rows] for part in (self.time, self.weight))
        return Metadata(None if self.group is None else self.group[rows], time, weight)


NONE = Metadata()


def known(
    source: Any, raw: Unchecked, *, group: Any = None, time: Any = None, weights: Any = None, series: bool = False
) -> tuple[Unchecked, Metadata]:
    """The rows without the columns that are no part of them, and what these say.

    Parameters
    ----------
    source : any
        What was given to read: an index of its own says in which order further arrays stand.
    raw : Unchecked
        Before its columns are settled.
    group, time, weights : str or array-like (N,), optional
        A column, or one value for each row; for ``time`` also ``"rows"``, if no column is called so. A group is of any
        type, a time a number or a date, a weight a number of at least 0.
    series : bool, default False
        Whether groups are series, each of which has times of its own.

    Raises
    ------
    BadInput
        If a column is not there, a value is missing, or a weight is no weight.
    """
    if group is not None and time is not None and not series:
        raise BadInput(
            "group and time exclude each other: rows are kept together by one of them; give the other up, or cut the "
            "data into one file for each group; of several series take windows (--window)"
        )
    rows = len(raw.cells[0]) if raw.cells else len(raw.x)
    asked = {"group": group, "time": time, "weights": weights}
    held: dict[str, Any] = {}
    for what, value in asked.items():
        if value is None:
            continue
        if what == "time" and isinstance(value, str) and value == IN_ORDER and IN_ORDER not in raw.columns:
            held[what] = pa.array(np.arange(rows, dtype=np.float64))
        elif isinstance(value, str):
            held[what] = _column(raw, what, value)
        else:
            held[what] = _given(raw, what, aligned(source, value, what)[0])
        if len(held[what]) != rows:
            raise BadInput(f"{raw.place}: {len(held[what])} values of {what} for {rows} rows; give one for each row")
    given = _numbers(raw, "weights", held["weights"])[0] if "weights" in held else None
    names = {value for value in asked.values() if isinstance(value, str) and value in raw.columns}
    when, told = _times(raw, time, held["time"]) if "time" in held else (None, ())
    found = Metadata(
        _groups(raw, held["group"]) if "group" in held else None,
        when,
        None if given is None else _weights(raw, given),
    )
    return _without(raw._replace(told=(*raw.told, *told)), names), found


def _column(raw: Unchecked, what: str, name: str) -> Any:
    """A column of a table as an Arrow array."""
    if name not in raw.columns and name in raw.beside:
        return raw.beside[name]()
    if name not in raw.columns:
        names = (*raw.beside,) or raw.columns
        if raw.cells is None and raw.x.ndim != 2:
            raise NoSuchColumn(
                f"{raw.place}: {what} {shown(name)} names a column of a table, and these rows have the shape "
                f"{raw.x.shape[1:]}; give one value for each row",
                name,
                what,
            )
        raise no_column(raw.place, what, name, names)
    j = raw.columns.index(name)
    cells = pa.array(raw.x[:, j]) if raw.cells is None else raw.cells[j]
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def no_column(where: str, what: str, name: str, names: Sequence[str]) -> NoSuchColumn:
    """What is said of a column that is not there."""
    also = f", or {IN_ORDER} where they stand in order" if what == "time" else ""
    said = f"{where}: no {what} column {shown(name)}{meant(name, names)}; the columns are {some(names)}{also}"
    return NoSuchColumn(said, name, what)


def _given(raw: Unchecked, what: str, values: Any) -> Any:
    """One value for each row, as an Arrow array."""
    try:
        found = values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(_flat(values), from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise BadInput(
            f"{raw.place}: {what} can't be read as one value for each row ({brief(error)}); give a column's name, or "
            "an array of as many values as there are rows"
        ) from None
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _flat(values: Any) -> Any:
    found = np.asarray(values)
    if found.ndim != 1:
        raise ValueError(f"shape {found.shape}")
    return found if found.dtype.kind != "f" or found.dtype.itemsize > 2 else found.astype(np.float32)


def _without(raw: Unchecked, names: set[str]) -> Unchecked:
    """The rows without some columns, and the words for places in what is left."""
    if not names:
        return raw
    kept = [j for j, name in enumerate(raw.columns) if name not in names]
    before = raw.where

    def where(i: int, j: int | None) -> str:
        return before(i, None if j is None else kept[j])

    columns = tuple(raw.columns[j] for j in kept)
    if raw.cells is None:
        return raw._replace(x=raw.x[:, kept], columns=columns, where=where)
    return raw._replace(cells=tuple(raw.cells[j] for j in kept), columns=columns, where=where)


def _groups(raw: Unchecked, cells: Any) -> NDArray[np.int64]:
    """Codes of the groups; equal values are one group."""
    coded = cells if pa.types.is_dictionary(cells.type) else pc.dictionary_encode(cells)
    distinct = coded.dictionary
    if pa.types.is_floating(distinct.type):
        distinct = pc.if_else(pc.is_nan(distinct), None, distinct)
    elif pa.types.is_string(distinct.type) or pa.types.is_large_string(distinct.type):
        distinct = pc.utf8_trim_whitespace(distinct)
        distinct = pc.if_else(pc.equal(distinct, ""), None, distinct)
    again = pc.dictionary_encode(distinct)  # values that differed in blanks only are one
    place = np.append(np.asarray(pc.fill_null(again.indices.cast(pa.int64()), -1)), -1)
    codes = place[np.asarray(pc.fill_null(coded.indices.cast(pa.int64()), len(distinct)))]
    _present(raw, "group", codes < 0)
    return codes.astype(np.int64)


def _times(raw: Unchecked, name: Any, cells: Any) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Times as numbers, and how they are read, where they could be read otherwise."""
    name = name if isinstance(name, str) else "time"
    values, told = _numbers(raw, "time", cells, name)
    if (moments := dates.stamps(values)) is None:
        return values, told
    first = dates.written(float(moments[0]))
    return moments, (f"column {shown(name)}: {shown(f'{values[0]:.0f}')} is read as {first}",)


def _numbers(raw: Unchecked, what: str, cells: Any, name: str = "") -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Numbers, or dates as numbers; and how these are written."""
    takes = ("number", "amount", "flag", *(("date",) if what == "time" else ()))
    name = name or what
    alone = raw._replace(cells=(cells,), columns=(name,), told=(), aside={}, stated={}, x=raw.x[:, :0])
    try:
        found = settle(alone._replace(where=lambda i, _: raw.where(i, None)))
    except NoSuchColumn:
        raise
    except BadInput as error:
        if "no column is left to learn from" not in str(error):
            raise
        found = None
    if found is None or (found.fields and found.fields[0].kind not in takes):
        said = "numbers or dates" if what == "time" else "numbers"
        raise BadInput(f"{raw.place}: {what} must be {said}, one for each row; it holds texts; give another column")
    values = np.asarray(found.x, np.float64)[:, 0]
    _present(raw, what, ~np.isfinite(values))
    return values, tuple(one for one in found.told if one.startswith(f"column {shown(name)}: "))


def _present(raw: Unchecked, what: str, missing: NDArray[np.bool_]) -> None:
    if missing.any():
        raise BadInput(
            f"{raw.place}: {raw.where(int(np.argmax(missing)), None)}: {what} is missing or not finite in "
            f"{int(missing.sum())} of {len(missing)} rows; fill it in or drop these rows"
        )


def _weights(raw: Unchecked, values: NDArray[np.float64]) -> NDArray[np.float64]:
    if (values < 0).any():
        at = int(np.argmax(values < 0))
        raise BadInput(
            f"{raw.place}: {raw.where(at, None)}: a weight of {values[at]:g}; weights are at least 0, and 0 leaves a "
            "row out"
        )
    if not values.any():
        raise BadInput(f"{raw.place}: all weights are 0, so no row counts; give other weights, or none")
    return values


def in_proportion(weight: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Row numbers, sorted, in which each row stands as often as its weight says.

    Weights that are small whole numbers, up to a common factor, are counts: a row of weight 3 stands three times. Of
    others a systematic draw is taken, of as many rows as there are or of a few times as many where they are few: each
    row stands there as often as its share of them says, up to one, and exactly so on average.

    Parameters
    ----------
    weight : array (n,)
        Positive.
    seed : int

    Examples
    --------
    >>> in_proportion(np.array([2.0, 6.0, 2.0]), 0).tolist()
    [0, 1, 1, 1, 2]
    >>> len(in_proportion(np.random.default_rng(0).random(50), 0))
    200
    """
    n = len(weight)
    if not n:
        return np.zeros(0, np.int64)
    count = max(n, min(FINE * n, MOST))
    whole = np.rint(weight)
    if np.array_equal(whole, weight) and weight.max() < 2**53:
        unit = math.gcd(*(int(value) for value in np.unique(whole)))
        if (times := (whole / unit).astype(np.int64)).sum() <= FINE * n:
            return np.repeat(np.arange(n), times)
    ends = np.cumsum(weight) / weight.sum()
    places = (np.arange(count) + np.random.default_rng(seed).random()) / count
    return np.minimum(np.searchsorted(ends, places, side="right"), n - 1)


def counted(raw: Unchecked, found: Metadata) -> tuple[Unchecked, Metadata, NDArray[np.int64] | None]:
    """The rows whose weight is more than 0, and their numbers; None where all are. Equal weights are none."""
    if found.weight is None:
        return raw, found, None
    kept = np.flatnonzero(found.weight)
    left = found.take(kept)
    left = left._replace(weight=None) if (found.weight[kept] == found.weight[kept[0]]).all() else left
    if len(kept) == len(found.weight):
        return raw, left, None
    enough(f"{raw.place}, without rows of weight 0", len(kept), 1)
    before, rows = raw.where, pa.array(kept)
    cells = None if raw.cells is None else tuple(cell.take(rows) for cell in raw.cells)
    raw = raw._replace(
        x=raw.x[kept] if raw.cells is None else raw.x[:0],
        y=labels_of(raw, raw.y, kept, len(found.weight)),
        cells=cells,
        factors=factors_of(raw.factors, kept),
        where=lambda i, j: before(int(kept[i]), j),
    )
    return raw, left, kept


def labels_of(raw: Unchecked, labels: Any, kept: NDArray[np.int64], rows: int) -> Any:
    """The labels of some rows; codes of classes that the source names stay codes."""
    if labels is None or (raw.classes and labels is raw.y):
        return None if labels is None else labels[kept]
    cells = arrow(raw.place, labels)
    if len(cells) != rows:
        raise BadInput(f"{raw.place}: {len(cells)} labels for {rows} rows; give one label for each row")
    return cells.take(pa.array(kept))


def factors_of(factors: Any, kept: NDArray[np.int64]) -> Any:
    """The factors of some rows, unless columns are named."""
    if factors is None or isinstance(factors, str) or all(isinstance(name, str) for name in factors):
        return factors
    return np.asarray(factors)[kept]


def sentences(found: Metadata, dropped: int) -> list[str]:
    """What follows from it, a line each."""
    told = []
    sizes = found.sizes
    if found.group is not None:
        count = int(sizes["groups"])
        groups = f"{count:,} group{'s' * (count > 1)}"
        told.append(f"{groups}: no group stands on both sides of a split")
        if count < FEW_GROUPS:
            told.append(f"with {groups} only, replicates share most of them: intervals say little about groups to come")
    if found.time is not None:
        told.append("rows are split in the order of time: a replicate is a forecast from another day on")
    if dropped:
        told.append(f"{dropped:,} row{'s' * (dropped > 1)} of weight 0 {'are' if dropped > 1 else 'is'} left out")
    if found.weight is not None:
        told.append(
            f"rows count by their weights: {len(found.weight):,} rows are worth {sizes['worth']:,.0f} of equal weight"
        )
    return told
