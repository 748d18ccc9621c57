"""The page of a watch: what to do, what was raised, and each column as it was and as it is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isthmus.answers.words import Words
from isthmus.monitor.advice import advice, sentence
from isthmus.monitor.watch import Watch, Window
from isthmus.report.figures import plain
from isthmus.report.html import filled, put_page
from isthmus.ship.reference import GAP, OTHER, Channel


class Line(NamedTuple):
    """What the page shows of one column, code or the score."""

    name: str
    changed: bool
    said: str
    bars: list[tuple[float, float]]
    """Share of the rows in each bin before and now, of 1."""


def write(watch: Watch, name: str, path: str | os.PathLike[str], lang: str = "en") -> Path:
    """Write the page of a watch: one HTML file that opens offline and asks for nothing.

    Parameters
    ----------
    watch : Watch
    name : str
        What was watched.
    path : path
        The HTML file to write. It is there whole or not at all.
    lang : {"en", "zh"}
    """
    return put_page(render(watch, name, lang), path)


def render(watch: Watch, name: str, lang: str = "en") -> str:
    """The page as text."""
    t, now = Words(lang), watch.progress
    counts = {"rows": f"{now.rows:,}", "alarms": f"{len(now.alarms):,}"}
    counts |= {"flagged": f"{now.flagged:,}", "answered": f"{now.answered:,}"}
    alarms = [
        (f"{one.row:,}", plain(sentence(one, lang), 400), f"{one.rows:,}", f"{one.p:.1e}" if one.p else "–")
        for one in now.alarms
    ]
    content = {
        "title": t("monitor.title", name=plain(name, 60)),
        "facts": t("monitor.counts", **counts),
        "notices": [],
        "advice": [plain(one.of(lang), 400) for one in advice(now.alarms)],
        "level": f"{watch.level:g}",
        "alarms": alarms,
        "lines": _lines(watch, lang),
    }
    return filled("monitor.html", t, content)


def _lines(watch: Watch, lang: str) -> list[Line]:
    """Every channel, those that changed first."""
    seen = _seen(watch)
    said = {(one.group, one.channel): plain(sentence(one, lang), 400) for one in watch.progress.alarms}
    found = []
    for one, start, stop in zip(watch.reference.channels, watch.starts, watch.starts[1:], strict=False):
        why = said.get((one.group, one.name), "")
        found.append(Line(plain(one.name, 40), bool(why), why, _bars(one, seen[start:stop])))
    return sorted(found, key=lambda line: not line.changed)


def _seen(watch: Watch) -> np.ndarray:
    """Rows of the stream in each bin: the windows that wait are all that came."""
    now = watch.progress
    held: list[Window] = [one for one in (*now.levels, now.pending) if one is not None]
    return np.sum([one.counts for one in held], axis=0) if held else np.zeros(int(watch.starts[-1]), np.int64)


def _bars(one: Channel, counts: np.ndarray) -> list[tuple[float, float]]:
    """Shares of each bin next to the largest; new values and gaps only where there are any."""
    before, after = one.counts / max(1, one.counts.sum()), counts / max(1, counts.sum())
    last = len(before)
    most = max(before.max(), after.max(), 1e-9)
    before, after = before / most, after / most
    rest = (last + OTHER, last + GAP)
    return [(float(before[b]), float(after[b])) for b in range(last) if b not in rest or max(before[b], after[b]) > 0]
