"""Which steps the windows of a series hold: in what order, where breaks are, what may be learnt from, what is tested.

Windows overlap, so rows that differ may hold the same steps. Parts are therefore cut in the steps, and a window that
lies across a cut is in no part: no step is both learnt from and tested.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.series import Series
from isthmus.data.split import FRACTIONS, Split, corput
from isthmus.errors import BadInput

Numbers = NDArray[np.int64]

WIDE = 1.5
"""Times the usual distance between two steps from which on steps are missing between them."""
UNEVEN = 0.1
"""Share of distances that may be less than half of the usual one, before there is no usual one."""
ORIGINS = 64
"""Origins of a forecast that are looked at for anomalies after them."""


class Order(NamedTuple):
    """Steps in the order of series and time."""

    rows: Numbers
    """(S,), which row of the source each step is."""
    stretches: Numbers
    """(K, 2): first step, and the one after the last, of each run of steps in which nothing is missing."""
    breaks: int
    """Times that steps are missing within a series."""
    moved: bool
    """Whether steps of a series stood in another order."""


def order(
    where: str, time: NDArray[np.float64], series: Numbers | None, whole: NDArray[np.bool_], *, learnt: bool = False
) -> Order:
    """Sort steps by series and time, and find what is missing between them.

    Parameters
    ----------
    where : str
        Head of messages.
    time : array (S,)
        Finite.
    series : array (S,), optional
        Codes; by default there is one series.
    whole : array (S,)
        Steps of which every channel has a value.
    learnt : bool, default False
        Whether a model has learnt which columns are the time and the series, so that no option can say it.

    Raises
    ------
    BadInput
        If two steps of a series have one time, or times follow no even distance.

    Examples
    --------
    >>> order("X", np.array([3.0, 1.0, 2.0, 9.0]), None, np.ones(4, bool)).stretches.tolist()
    [[0, 3], [3, 4]]
    """
    of = np.zeros(len(time), np.int64) if series is None else series
    rows = np.lexsort((time, of))
    t, s = time[rows], of[rows]
    same, apart = s[1:] == s[:-1], np.diff(t)
    stand = "" if learnt else ", or take rows as they stand (--time rows)"
    if (twice := same & (apart == 0)).any():
        if series is not None:
            remedy = "keep one row for each time of a series"
        elif learnt:
            remedy = "keep one row for each time; if there are several series, give each by itself"
        else:
            remedy = (
                "if the file holds several series, name the column that tells them apart (--group); else keep one row "
                "for each time"
            )
        raise BadInput(f"{where}: {int(twice.sum()):,} rows have the time of another row; {remedy}{stand}")
    usual = _usual(apart, same, s)
    if (same & (apart < usual / 2)).sum() > UNEVEN * max(1, same.sum()):
        low, high = float(apart[same].min()), float(apart[same].max())
        raise BadInput(
            f"{where}: times are uneven, {low:g} to {high:g} apart, so that steps of a window would not be alike; "
            f"resample to even times{stand}"
        )
    gap = same & (apart > WIDE * usual)
    good = whole[rows]
    joined = np.append(False, same & ~gap) & good & np.append(False, good[:-1])
    begins = np.flatnonzero(good & ~joined)
    ends = np.flatnonzero(good & ~np.append(joined[1:], False)) + 1
    moved = not np.array_equal(rows, np.argsort(of, kind="stable"))
    return Order(rows, np.stack([begins, ends], axis=1), int(gap.sum()), moved)


def _usual(apart: NDArray[np.float64], same: NDArray[np.bool_], series: Numbers) -> NDArray[np.float64]:
    """The median distance between steps of the series that each distance is in, (S - 1,)."""
    found = np.ones(len(apart))
    for part in np.split(np.arange(len(apart)), np.flatnonzero(~same)):
        inner = part[same[part]]
        if len(inner):
            found[inner] = float(np.median(apart[inner]))
    return found


def begun(stretches: Numbers, length: int, stride: int, *, ends: bool = False) -> Numbers:
    """The first step of each window within stretches (K, 2): (N,).

    With ``ends``, the last window of a stretch that a stride would step over is one more, so that every step of a
    stretch that is long enough lies in a window.

    Examples
    --------
    >>> stretches = np.array([[0, 6], [7, 9]])
    >>> begun(stretches, 3, 2).tolist(), begun(stretches, 3, 2, ends=True).tolist()
    ([0, 2], [0, 2, 3])
    """
    found = [np.arange(start, stop - length + 1, stride) for start, stop in stretches.tolist()]
    if ends:
        lasts = (stretches[:, 1] - length).tolist()
        found = [np.union1d(one, [last]) if len(one) else one for one, last in zip(found, lasts, strict=True)]
    return np.concatenate([np.zeros(0, np.int64), *found])


def seen(steps: NDArray[np.float32], first: Numbers, length: int) -> NDArray[np.float32]:
    """Windows (N, T, C) of steps (S, C) that begin at ``first`` (N,)."""
    view = np.lib.stride_tricks.sliding_window_view(steps, length, axis=0)
    return np.ascontiguousarray(view[first].transpose(0, 2, 1))


def per_step(scores: NDArray[np.float64], first: Numbers, length: int, steps: int) -> NDArray[np.float64]:
    """The mean of the scores of the windows that hold a step, for each step; NaN where none does.

    Parameters
    ----------
    scores, first : arrays (N,)
        Of windows of ``length`` steps, which begin at ``first``.
    length, steps : int

    Returns
    -------
    array (steps,)

    Examples
    --------
    >>> per_step(np.array([1.0, 3.0]), np.array([0, 1]), 2, 4).tolist()
    [1.0, 2.0, 3.0, nan]
    """
    total, count = np.zeros(steps), np.zeros(steps, np.int64)
    for step in range(length):  # no two windows begin at one step
        total[first + step] += scores
        count[first + step] += 1
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, eq=False)
class Windows:
    """Which steps the rows of a data set hold.

    Examples
    --------
    >>> windows = Windows(Series(3, 1, ("a",)), np.arange(38), np.zeros(38, np.int64), 40)
    >>> [(int(part[0]), int(part[-1]) + 2) for part in windows.split()]
    [(0, 23), (24, 31), (32, 39)]
    """

    series: Series
    first: Numbers
    """(N,), rising: the first step of each window, among the steps in the order of series and time."""
    of: Numbers
    """(N,), the series of each window."""
    steps: int
    """S, how many there are."""
    label: Numbers | None = None
    """(S,), the class code of each step, or None."""

    @property
    def sizes(self) -> dict[str, int]:
        """What a study keeps of them."""
        return {"steps": self.steps, "window": self.series.length, "stride": self.series.stride}

    def split(self, origin: int = 0, *, fractions: Sequence[float] = FRACTIONS) -> Split:
        """The windows of past, present and future; each series is cut by itself, in its steps.

        Origins are those of :func:`isthmus.data.split.ordered`. A window that a cut would divide is in no part.

        Raises
        ------
        BadInput
            If a part holds no window.
        """
        length = self.series.length
        parts: list[list[Numbers]] = [[], [], []]
        for rows in np.split(np.arange(len(self.first)), np.flatnonzero(np.diff(self.of)) + 1):
            start, stop = self.first[rows[0]], self.first[rows[-1]] + length
            whole = round((stop - start) * (1 - corput(origin) / 2))
            cuts = [start + round(whole * share) for share in (0, fractions[0], fractions[0] + fractions[1], 1)]
            for part, low, high in zip(parts, cuts[:-1], cuts[1:], strict=True):
                part.append(rows[(self.first[rows] >= low) & (self.first[rows] + length <= high)])
        found = Split(*(np.concatenate(part) for part in parts))
        if not all(map(len, found)):
            raise BadInput(
                f"{self.steps:,} steps hold no windows of {length} steps for training, validation and test that share "
                f"no step; give a shorter window (--window), at most {max(1, self.steps // 20)}, or a longer series"
            )
        return found

    def usable(self, odd: NDArray[np.bool_]) -> list[int]:
        """Origins with both kinds of windows to test, and normal ones to learn from; ``odd`` (N,) are the anomalies.

        Those before the first that leaves a part without windows, and no more than 64 are looked at.
        """
        found = []
        for origin in range(ORIGINS):
            try:
                train, valid, test = self.split(origin)
            except BadInput:
                if origin:
                    break
                raise
            if not odd[train].all() and not odd[valid].all() and 0 < odd[test].sum() < len(test):
                found.append(origin)
        return found

    def halves(self, rows: Numbers) -> tuple[Numbers, Numbers]:
        """Some windows in two halves that share no step, the earlier ones first, each series by itself."""
        early, late = [], []
        for one in np.split(rows, np.flatnonzero(np.diff(self.of[rows])) + 1) if len(rows) else ():
            middle = (self.first[one[0]] + self.first[one[-1]] + self.series.length) // 2
            early.append(one[self.first[one] + self.series.length <= middle])
            late.append(one[self.first[one] >= middle])
        none = np.zeros(0, np.int64)
        return np.concatenate([none, *early]), np.concatenate([none, *late])

    def holding(self, code: int) -> NDArray[np.bool_]:
        """Which windows hold a step of a class, (N,); none where steps have no labels."""
        if self.label is None:
            return np.zeros(len(self.first), bool)
        before = np.append(0, np.cumsum(self.label == code))
        return before[self.first + self.series.length] > before[self.first]

    def into(self, digest: Any) -> None:
        """Add what tells these windows from others to a hash."""
        digest.update(json.dumps([self.series.to_json(), self.steps]).encode())
        for part in (self.first, self.of, self.label):
            if part is not None:
                digest.update(np.ascontiguousarray(part, "<i8").data)

    @cached_property
    def before(self) -> Numbers | None:
        """The class of the step before each window, (N,); -1 where the window is the first of its series."""
        if self.label is None:
            return None
        begins = np.append(True, np.diff(self.of) > 0)
        return np.where(begins, -1, self.label[np.maximum(self.first - 1, 0)])
