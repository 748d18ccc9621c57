"""Dates and times as people write them, as seconds since 1970."""

from __future__ import annotations

import datetime
import re
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from isthmus.said import Said

Texts = Any
"""An Arrow array of strings."""
DAYS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y", "%m-%d-%y"),
    *("%d %b %Y", "%d. %b %Y", "%d-%b-%Y", "%d-%b-%y", "%b %d, %Y", "%b %d %Y"),
)
HOURS = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
FORMS = tuple(day + hour for day in DAYS for hour in HOURS)
FIRST = {
    form: "day" if form.index("%d") < form.index("%m") else "month"
    for form in FORMS
    if "%m" in form and form.replace("%d", "?").replace("%m", "%d").replace("?", "%m") in FORMS
}
"""What comes first in forms in which another one may be meant."""
TRIED = 100
"""Texts on which each way of writing is tried before all are."""
LOOKED_AT, MOST = 1000, 0.8
"""Texts that are looked at to tell a column of dates, and the share that must look like one."""
FIRST_YEAR = -30_000_000_000.0
"""Seconds from 1970 to about the year 1000: an earlier one is a year of two digits, read as one of four."""
LIKE = re.compile(
    r"^(\d{1,4}([./-])\d{1,2}\2\d{1,4}|\d{1,2}[ -]\.?[^\W\d]{3,9}\.?[ -]\d{2,4}|\d{1,2}\. [^\W\d]{3,9} \d{4}"
    r"|[^\W\d]{3,9}\.? \d{1,2},? \d{4})(\b|T)"
)
MONTH = r"^(1[89]|20)\d\d-(0[1-9]|1[0-2])$"
LATE = r"(^|\D)(29|30|31)(\D|$)"
"""A day that not all months have, or minutes that look like one."""
SHORT_YEAR = r"[./-]\d{2}([ T]|$)"
CLOCK = r"^([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?$"
SPAN = r"^-?(\d+ days?,? \+?)?\d+:[0-5]\d:[0-5]\d(\.\d+)?$"
"""Time spans: hours, which may be many, minutes and seconds; with days before them as Python and pandas write them."""
ZONE = r" +(?:UTC|GMT|Z)? *([+-]\d\d):?(\d\d)$"
"""A distance from UTC behind a blank, which the ISO form does without."""

FORMS_DIFFER = Said(
    "holds dates that are not written in one form that is understood; write all as 2024-01-31 or 2024-01-31 13:05",
    "其中的日期没有统一成可以识别的写法；请都写成 2024-01-31 或 2024-01-31 13:05",
)
"""Why a column of dates is set aside, to stand behind its name and "it"."""


class Moments(NamedTuple):
    """Texts read as dates."""

    seconds: NDArray[np.float64]
    """Since 1970, UTC where a zone is written; NaN where a text is no date of the form that most are written in."""
    twofold: bool
    """Whether another form, which gives other dates, fits all texts too."""
    first: str = ""
    """What comes first in them, ``day`` or ``month``, where that is known and could be otherwise."""

    @property
    def most(self) -> bool:
        """Whether more than half of the texts are dates."""
        return 2 * int(np.isnan(self.seconds).sum()) < len(self.seconds)


def alike(texts: Texts) -> bool:
    """Whether texts look like dates, most of them.

    Examples
    --------
    >>> alike(pa.array(["31.1.2024", "1.2.2024"])), alike(pa.array(["Oslo", "1.2.2024"]))
    (True, False)
    """
    if pc.all(pc.match_substring_regex(texts, MONTH)).as_py():
        return True
    head = texts[:LOOKED_AT].to_pylist()
    return bool(head) and sum(LIKE.match(text) is not None for text in head) > MOST * len(head)


def moments(texts: Texts, first: str = "") -> Moments:
    """Different texts as dates, in the one form that fits all of them, or most.

    Parameters
    ----------
    texts : Arrow array of strings
    first : {"", "day", "month"}
        What comes first where either could; where nothing is said, the texts tell.

    Examples
    --------
    >>> moments(pa.array(["1.2.1970", "31.1.1970"])).seconds / 86400
    array([31., 30.])
    >>> moments(pa.array(["1/2/2024", "3/4/2024"])).twofold
    True
    >>> moments(pa.array(["1/2/1970"]), "month").seconds / 86400
    array([1.])
    >>> moments(pa.array(["30.2.1970 10:00", "31.1.1970 10:00", "2.2.1970 10:30"])).seconds / 3600
    array([  nan, 730. , 778.5])
    """
    if pc.all(pc.match_substring_regex(texts, MONTH)).as_py():
        texts = pc.binary_join_element_wise(texts, "-01", "")
    texts = pc.replace_substring_regex(texts, r" +(UTC|GMT|Z)$", "Z")
    texts = pc.replace_substring_regex(texts, ZONE, r"\1\2")
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):  # the ISO forms, without and with a zone
        try:
            return Moments(seconds(texts.cast(kind)), False)
        except pa.ArrowInvalid:
            continue
    tried = {form: np.isnan(_parsed(texts[:TRIED], form)).sum() for form in _forms(first)}
    least = min(tried.values())
    read = {form: _parsed(texts, form) for form, count in tried.items() if count == least}
    fewest = min(int(np.isnan(found).sum()) for found in read.values())
    read = {form: found for form, found in read.items() if np.isnan(found).sum() == fewest}
    best, *others = read.values()
    orders = {FIRST.get(form, "") for form in read}
    twofold = any(not np.array_equal(best, other, equal_nan=True) for other in others)
    return Moments(best, twofold, orders.pop() if len(orders) == 1 else "")


def _forms(first: str) -> tuple[str, ...]:
    """The forms that dates may have where ``first`` comes first."""
    return tuple(form for form in FORMS if not first or FIRST.get(form, first) == first)


def spelled(seconds: NDArray[np.float64], texts: Texts, first: str = "") -> pa.Array:
    """Moments, in seconds since 1970, in the form in which dates are written, ``first`` the day or the month where
    either could be; missing ones stay so.

    Examples
    --------
    >>> spelled(np.array([86400.0, np.nan]), pa.array(["31.12.2024", "1.2.2024"])).to_pylist()
    ['02.01.1970', None]
    >>> spelled(np.array([86400.0]), pa.array(["3/4/2024"]), "month").to_pylist()
    ['01/02/1970']
    >>> spelled(np.array([90.0]), pa.array(["2024-01-31"])).to_pylist()
    ['1970-01-01 00:01:30']
    """
    form = next((form for form in _forms(first) if len(texts) and not np.isnan(_parsed(texts, form)).any()), None)
    if form is None or form.startswith("%Y-%m-%d"):
        return pa.array([None if np.isnan(one) else written(one) for one in seconds.tolist()], pa.string())
    gone = np.isnan(seconds)
    whole = np.rint(np.where(gone, 0, seconds)).astype(np.int64)
    return pc.strftime(pa.array(whole, pa.timestamp("s"), mask=gone), form)


def _parsed(texts: Texts, form: str) -> NDArray[np.float64]:
    read = pc.strptime(texts, form, "us", error_is_null=True)
    found = seconds(read)
    early = pc.fill_null(pc.less_equal(pc.day(read), 3), False)  # to Arrow the 30th of February is the 2nd of March
    for at in np.flatnonzero(pc.and_(early, pc.match_substring_regex(texts, LATE)).to_numpy(zero_copy_only=False)):
        try:
            datetime.datetime.strptime(texts[int(at)].as_py(), form)
        except ValueError:
            found[at] = np.nan
    if "%y" in form:
        short = pc.match_substring_regex(texts, SHORT_YEAR).to_numpy(zero_copy_only=False)
        return np.where(short, found, np.nan)
    return np.where(found > FIRST_YEAR, found, np.nan)


def stamps(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Whole numbers that spell moments of 1900 to 2099, 20240131 or with hours, minutes and seconds behind, as seconds
    since 1970; None if some number does not, or if all are one or two.

    Examples
    --------
    >>> stamps(np.array([197001020000, 197001030100, 197001030200])) / 3600
    array([24., 49., 50.])
    >>> stamps(np.array([20240131, 20240132, 20240133]))
    """
    if not len(values) or not np.isfinite(values).all() or (values != np.rint(values)).any():
        return None
    behind = len(f"{values.min():.0f}") - 8
    if behind not in (0, 2, 4, 6) or len(f"{values.max():.0f}") != behind + 8 or len(np.unique(values[:LOOKED_AT])) < 3:
        return None
    whole = values.astype(np.int64)
    parts = [whole // 10**k % 100 for k in range(0, behind, 2)][::-1]  # hours, minutes, seconds
    year, month, day = whole // 10 ** (behind + 4), whole // 10 ** (behind + 2) % 100, whole // 10**behind % 100
    good = (year >= 1900) & (year < 2100) & (month >= 1) & (month <= 12) & (day >= 1)
    if not (good.all() and all((part < most).all() for part, most in zip(parts, (24, 60, 60), strict=False))):
        return None
    months = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    if (days.astype("datetime64[M]") != months).any():  # the 31st of a month of 30 days
        return None
    found: NDArray[np.float64] = 86400.0 * days.astype(np.int64)
    return found + sum(part * float(unit) for part, unit in zip(parts, (3600, 60, 1), strict=False))


def clock(texts: Texts) -> NDArray[np.float64] | None:
    """Times of the day, or time spans, as seconds since midnight; None if some text is none.

    Examples
    --------
    >>> clock(pa.array(["10:30", "23:59:59.5"]))
    array([37800. , 86399.5])
    >>> clock(pa.array(["01:00:01", "36:00:00", "1 days 02:00:00"]))
    array([  3601., 129600.,  93600.])
    """
    if not any(pc.all(pc.match_substring_regex(texts, form)).as_py() for form in (CLOCK, SPAN)):
        return None
    return np.array([_span(text) for text in texts.to_pylist()])


def _span(text: str) -> float:
    """Seconds of a time, or of a span of days and a time: of ``-1 days +23:00:00``, the days alone are negative."""
    *days, time = re.split(r" days?,? \+?", text)
    hour, minute, second, *_ = (*map(float, time.lstrip("-").split(":")), 0.0)
    length = 3600 * hour + 60 * minute + second
    return 86400 * float(days[0]) + length if days else -length if time.startswith("-") else length


def spans(seconds: NDArray[np.float64]) -> list[str | None]:
    """Seconds as hours, minutes and seconds; None where one is missing.

    Examples
    --------
    >>> spans(np.array([5025.4, 129600.0, -1.0, np.nan]))
    ['01:23:45', '36:00:00', '-00:00:01', None]
    """

    def spelled(one: float) -> str:
        minutes, second = divmod(abs(round(one)), 60)
        return f"{'-' * (round(one) < 0)}{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"

    return [None if np.isnan(one) else spelled(one) for one in seconds.tolist()]


def seconds(cells: Any) -> NDArray[np.float64]:
    """Dates and times of Arrow's as seconds since 1970, UTC where a zone is known; missing ones as NaN."""
    moments = cells.cast(pa.timestamp("us", getattr(cells.type, "tz", None)), safe=False)
    micro: NDArray[np.float64] = moments.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return micro / 1e6


def elapsed(cells: Any) -> NDArray[np.float64]:
    """Times of the day and time spans of Arrow's as seconds; missing ones as NaN."""
    micro = cells.cast(pa.time64("us") if pa.types.is_time(cells.type) else pa.duration("us"), safe=False)
    whole: NDArray[np.float64] = micro.cast(pa.int64()).cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return whole / 1e6


def written(moment: float) -> str:
    """A moment as ISO text, without a time where it is midnight.

    Examples
    --------
    >>> written(0.0), written(90.0)
    ('1970-01-01', '1970-01-01 00:01:30')
    """
    text = str(np.datetime64(round(moment), "s")).replace("T", " ")
    return text.removesuffix(" 00:00:00")
