"""From a table of steps, one row for each, to a data set of windows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import Dataset
from isthmus.data.fields.field import MEASURED
from isthmus.data.files import fits
from isthmus.data.kinds import settle
from isthmus.data.metadata import IN_ORDER, Metadata, known
from isthmus.data.numbers import numbers
from isthmus.data.series import LONGEST, Series
from isthmus.data.unchecked import LEAST_ROWS, Unchecked
from isthmus.data.windows import Numbers, Order, Windows, begun, order, seen
from isthmus.data.wording import number_of, shown
from isthmus.errors import BadInput

REMEDIES = {
    "date": "if it says when a row was taken name it (--time), else leave it out (--drop)",
    "category": "leave it out (--drop), or name it as what tells series apart (--group)",
    "ordered": "leave it out (--drop)",
    "flag": "write it as 0 and 1, or leave it out (--drop)",
}


def asked(where: str, window: Any, stride: Any, time: Any, weights: Any, factors: Any) -> tuple[int, int]:
    """Length and stride of windows, checked.

    Raises
    ------
    BadInput
        If a number makes no sense, rows have no order, or something was asked that windows have not.
    """
    if window is None:
        raise BadInput(f"{where}: a stride is of windows; say how many steps one has (--window)")
    stride = 1 if stride is None else stride
    for name, value in (("window", window), ("stride", stride)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or not 1 <= value <= LONGEST:
            raise BadInput(f"{name} must be a whole number of steps, at least 1; got {value!r:.60}")
    if window < 2:
        raise BadInput(f"a window of {window} step is a row; give at least 2 (--window), or leave it out")
    if time is None:
        raise BadInput(
            f"{where}: a window needs an order of rows: name the column of the time (--time COLUMN), or say that rows "
            f"stand in order (--time {IN_ORDER})"
        )
    for name, value in (("weights", weights), ("factors", factors)):
        if value is not None:
            raise BadInput(f"{where}: windows have no {name}, for each holds several rows; leave {name} out")
    return int(window), int(stride)


def windowed(data: Dataset, window: int, stride: int, where: Callable[[int, int | None], str]) -> Dataset:
    """The windows of a data set whose rows are steps.

    Parameters
    ----------
    data : Dataset
        Rows (S, C), with times.
    window, stride : int
        As :func:`asked` gives them.
    where : callable
        Words for row i and column j of the source.

    Raises
    ------
    BadInput
        If a channel is no number, times make no series, or there are too few windows.
    """
    if data.x.ndim != 2:
        raise BadInput(
            f"{data.name}: rows of shape {data.shape} are windows or pictures already; leave window out (--window), or "
            "give one row for each step"
        )
    for field in data.fields:
        if field.kind not in MEASURED or field.values:
            raise BadInput(
                f"{data.name}: column {shown(field.name)} is of kind {field.kind}, and a channel is a number; "
                f"{REMEDIES[field.kind]}"
            )
    meta, asks = data.metadata, data.asked
    group = None if meta.group is None else asks.get("group")
    gone, habit = tuple(asks.get("missing", ())), data.habit
    series = Series(window, stride, data.columns, asks.get("time", IN_ORDER), group, gone, habit)
    whole = ~np.isnan(data.x).any(axis=1)
    found = order(data.name, np.asarray(meta.time), meta.group, whole)
    first = begun(found.stretches, window, stride)
    if len(first) < LEAST_ROWS:
        longest = int(np.diff(found.stretches, axis=1).max(initial=0))
        raise BadInput(
            f"{data.name}: {len(first)} windows of {window} steps, and at least {LEAST_ROWS} are needed; the longest "
            f"run of steps with nothing missing has {longest:,}: give a shorter window (--window), a smaller stride "
            "(--stride), or drop a column with gaps (--drop)"
        )
    try:
        fits(data.name, 4 * len(first) * math.prod(series.shape))
    except BadInput as error:
        raise BadInput(f"{error}, a larger stride (--stride) or a shorter window (--window)") from None
    steps = np.zeros(data.x.shape, np.float32)
    good = np.flatnonzero(whole)
    raw = Unchecked(data.name, data.x[good], None, data.columns, lambda i, j: where(int(good[i]), j))
    steps[good] = numbers(raw)
    steps = steps[found.rows]
    of = np.zeros(len(first), np.int64) if meta.group is None else meta.group[found.rows][first]
    label = None if data.y is None else data.y[found.rows]
    codes, classes, label = _labels(data, label, first, window)
    told = _told(data, whole, found, first, window, codes is not None)
    if meta.group is not None:
        told.append(_several(len(np.unique(meta.group)), len(np.unique(of)), window))
    return replace(
        data,
        x=seen(steps, first, window),
        y=codes,
        classes=classes,
        columns=series.elements,
        fields=(),
        said=False,
        told=(*data.cautions, *told),
        asked={**asks, "window": window, "stride": stride},
        metadata=Metadata(time=first.astype(np.float64)),
        windows=Windows(series, first, of, len(steps), label),
    )


def laid(raw: Unchecked, series: Series) -> tuple[NDArray[np.float64], Order]:
    """The channels of steps that are new to a model of windows, (S, C), NaN where a value is missing, and their order.

    Columns go by their names; others are left out.

    Raises
    ------
    BadInput
        If a channel, the time or the group is not there or not of its kind, or times make no series.
    """
    rows = len(raw.x) if raw.cells is None else len(raw.cells[0])
    if rows < LEAST_ROWS:
        raise BadInput(
            f"{raw.place}: {number_of(rows, 'step')} cannot tell order and distance; give {LEAST_ROWS} or more"
        )
    raw, meta = known(None, raw, group=series.group, time=series.time, series=True)
    cells = np.asarray(settle(raw, known=series.fields).x, np.float64)
    whole = np.logical_and.reduce(np.isfinite(cells), axis=1)
    return cells, order(raw.place, np.asarray(meta.time), meta.group, whole, learnt=True)


def _labels(
    data: Dataset, label: Numbers | None, first: Numbers, window: int
) -> tuple[Numbers | None, tuple[str, ...], Numbers | None]:
    """The codes of windows, the names of their classes, and the codes of steps.

    A window with an anomalous step is an anomaly; another one is of the class that most of its steps have. Classes that
    no window has are no classes, and their steps count as normal ones.
    """
    if label is None:
        return None, (), None
    ends = first[:, None] + np.array([0, window])
    sums = (np.append(0, np.cumsum(label == code))[ends] for code in range(len(data.classes)))
    held = np.stack([found[:, 1] - found[:, 0] for found in sums])
    codes = held.argmax(axis=0)
    if data.anomaly is not None:
        odd = data.classes.index(data.anomaly)
        codes = np.where(held[odd] > 0, odd, codes)
    there = np.unique(codes)
    place = np.full(len(data.classes), -1)
    place[there] = np.arange(len(there))
    classes = tuple(data.classes[code] for code in there)
    if data.anomaly is not None and data.anomaly not in classes:
        raise BadInput(
            f"{data.name}: no window of {window} steps with nothing missing holds class {shown(data.anomaly)}"
        )
    if len(classes) < 2:
        if data.anomaly is not None:
            raise BadInput(
                f"{data.name}: every window of {window} steps holds a step of class {shown(data.anomaly)}; give a "
                "shorter window (--window)"
            )
        return None, (), None
    return place[codes], classes, place[label]


def _several(count: int, used: int, window: int) -> str:
    """What becomes of several series, in a line."""
    short = f"; {count - used:,} of them are too short for a window of {window} steps" if used < count else ""
    return f"{count:,} series, each cut into past and future by itself; no window lies across two{short}"


def _told(
    data: Dataset, whole: NDArray[np.bool_], found: Order, first: Numbers, window: int, labelled: bool
) -> list[str]:
    """What was done to make windows of the rows, a line each."""
    told = [f"{len(first):,} windows of {window} steps of {len(data.columns)} channel{'s' * (len(data.columns) > 1)}"]
    if found.moved:
        told.append("rows stood out of the order of time and were sorted by it")
    if found.breaks:
        places = f"{found.breaks:,} place{'s' * (found.breaks > 1)}"
        told.append(f"steps are missing in {places}: no window lies across one")
    if gone := int((~whole).sum()):
        told.append(f"{gone:,} step{'s lack' if gone > 1 else ' lacks'} a value: no window holds one")
    if data.y is not None and data.anomaly is not None:
        told.append("a window is an anomaly if one of its steps is")
    elif labelled:
        told.append("a window has the class of most of its steps")
    elif data.y is not None:
        told.append("all windows have one class, that of most of their steps, so the label is set aside")
    return told
