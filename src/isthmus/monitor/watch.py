"""New rows beside the reference of a model: drift of columns, codes and scores, and whether the threshold holds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.monitor import breaks
from isthmus.monitor.drift import LONGEST, p_values, part, spend
from isthmus.monitor.martingale import Capital, Ranks
from isthmus.ship import calibrate
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.ship.reference import GROUPS, OTHER, Reference, answers, columns_of

LEVEL, BATCH = 0.01, 64
"""Chance that a stream of normal rows without end ever raises an alarm; rows of a block."""
MOST_BATCH = 4096
THRESHOLD = "threshold"
AGAIN = 2
"""Blocks after an alarm that are looked at for a better name of it."""
STRANGERS = 8
"""New values of a column that are remembered by name, at most."""


class Alarm(NamedTuple):
    """Something changed."""

    row: int
    """Rows that had come, counted from 1."""
    group: str
    """``column``, ``code``, ``score`` or ``threshold``."""
    channel: str
    what: str
    """A name of :class:`isthmus.monitor.breaks.Break`, ``missing`` or ``threshold``."""
    rows: int
    """Length of the window that told."""
    p: float
    """How rare that is in normal rows, at most: a p-value, corrected for all places of its group; of the threshold 1
    over the capital; 0 of a column that is not there."""
    numbers: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return self._asdict()


@dataclass
class Window:
    """Counts of some blocks."""

    counts: NDArray[np.int64]
    sums: NDArray[np.float64]

    def with_(self, other: Window) -> Window:
        """Both together."""
        return Window(self.counts + other.counts, breaks.joined(self.sums, other.sums))


@dataclass
class Watched:
    """All that a watch remembers: its size depends on the model, and not on how many rows came."""

    rows: int = 0
    flagged: int = 0
    answered: int = 0
    pending: Window | None = None
    """Of a block that is not full yet."""
    waiting: int = 0
    """Rows in it."""
    levels: list[Window | None] = field(default_factory=list)
    """The window of 2^k blocks that waits for its other half."""
    looks: list[int] = field(default_factory=list)
    """Windows of 2^k blocks that were looked at."""
    alarms: list[Alarm] = field(default_factory=list)
    fresh: dict[str, int] = field(default_factory=dict)
    """Alarms of columns that may yet get a better name: how many blocks more."""
    strangers: dict[str, list[str]] = field(default_factory=dict)
    capital: Capital = field(default_factory=Capital.new)
    ranks: Ranks | None = None


class Watch:
    """Looks at new rows, block by block.

    With probability ``level`` at most, a stream without end of rows like those of reference and calibration ever raises
    an alarm. A quarter of it each is for columns, for codes, for scores and for the threshold; what a model does not
    have leaves its part to the others. Each channel raises one alarm; a new model, or a new calibration, begins a new
    watch.

    Parameters
    ----------
    deployed : Deployed
    reference : Reference, optional
        By default that of the model.
    calibration : Calibration, optional
        By default that of the model; without one there is no threshold to watch.
    level : float, default 0.01
    rate : float, optional
        False-alarm rate of flags that are counted beside; by default that of the calibration.
    batch : int, default 64
        Rows of a block. Drift is looked for whenever a block is full.
    seed : int, default 0
        Breaks ties among scores.

    Examples
    --------
    >>> import isthmus
    >>> random = np.random.default_rng(0)
    >>> x = random.normal(size=(900, 3))
    >>> model = isthmus.fit(isthmus.named("pca").set_params(latents=2), x[:300], valid=x[300:400])
    >>> watch = Watch(Deployed.of(model, x[:300], x[300:400], x[400:]))
    >>> watch.feed(random.normal(size=(500, 3)))
    []
    >>> [(one.channel, one.what) for one in watch.feed(random.normal(size=(200, 3)) + [0, 3, 0])][:2]
    [('threshold', 'threshold'), ('x1', 'shift')]
    """

    def __init__(
        self,
        deployed: Deployed,
        reference: Reference | None = None,
        calibration: Calibration | None = None,
        *,
        level: float = LEVEL,
        rate: float | None = None,
        batch: int = BATCH,
        seed: int = 0,
    ) -> None:
        found = deployed.reference if reference is None else reference
        if found is None and deployed.series is not None:
            raise BadInput(
                "windows of a series that overlap are no draws of rows, so this model has no reference to compare new "
                "ones with; give normal windows side by side, as a .npy file of windows x steps x channels (--against "
                "FILE), and watch such ones"
            )
        if found is None:
            raise BadInput(
                "this model has no reference to compare new rows with; give normal rows that it was not trained on: "
                "Reference.of(model, [rows], rows) in Python, --against FILE in the shell"
            )
        if not 0 < level < 1:
            raise BadInput(f"the level must lie between 0 and 1, both excluded; got {level!r}")
        if not 1 <= batch <= MOST_BATCH:
            raise BadInput(f"a block has 1 to {MOST_BATCH:,} rows; got {batch}")
        self.deployed, self.reference, self.batch, self.level, self.seed = deployed, found, batch, level, seed
        self.calibration = deployed.calibration if calibration is None else calibration
        if self.calibration is not None:
            self.rate = self.calibration.rate if rate is None else rate
            calibrate.enough(len(self.calibration.scores), self.rate)
        elif rate is not None:
            raise BadInput("a rate of flags needs calibration rows: give --against FILE")
        self.progress = Watched()
        if self.calibration is not None:
            self.progress.ranks = Ranks.of(self.calibration.scores)
        self._plan()

    def _plan(self) -> None:
        """Where in the row of all counts the counted places of each channel lie."""
        channels = self.reference.channels
        self.starts = np.concatenate([[0], np.cumsum([len(one.counts) for one in channels])])
        low: list[int] = []
        high: list[int] = []
        owner: list[int] = []
        for j, (one, start) in enumerate(zip(channels, self.starts, strict=False)):
            main = len(one.counts) + OTHER
            bins = [start + b for b in range(main if one.codes is not None else 0)]
            below = [start + b for b in range(1, main)] if one.codes is None else []
            rest = [start + main, start + main + 1]
            low += [*bins, *(start for _ in below), *rest]
            high += [*(b + 1 for b in bins), *below, *(b + 1 for b in rest)]
            owner += [j] * (len(bins) + len(below) + 2)
        self.low, self.high, self.owner = np.array(low), np.array(high), np.array(owner)
        self.tested = np.bincount(self.owner, minlength=len(channels))
        groups = [GROUPS.index(one.group) for one in channels]
        many = np.bincount(groups, minlength=len(GROUPS))
        self.parts = int((many > 0).sum()) + (self.calibration is not None)
        self.beside = many[groups]
        self.known = self._places(np.concatenate([one.counts for one in channels]))
        self.known_rows = np.array([one.counts.sum() for one in channels])[self.owner]

    def _places(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        total = np.append(0, np.cumsum(counts))
        found: NDArray[np.int64] = total[self.high] - total[self.low]
        return found

    @property
    def open(self) -> set[tuple[str, str]]:
        """Channels that have raised their alarm."""
        return {(one.group, one.channel) for one in self.progress.alarms}

    def feed(
        self,
        rows: Any,
        good: NDArray[np.bool_] | None = None,
        *,
        absent: Collection[str] = (),
        strangers: Mapping[str, list[str]] | None = None,
    ) -> list[Alarm]:
        """Look at rows (n, *D) in the units of the data; the alarms that they raise.

        Parameters
        ----------
        rows : array (n, *D)
        good : array (n,) of bool, optional
            Which of them the model can answer; by default all.
        absent : collection of str, optional
            Columns that the stream does not have, whose cells are gaps.
        strangers : mapping of str to list of str, optional
            New values of categories, by column.

        Notes
        -----
        Whoever feeds up to :attr:`room` rows at a time gets the same numbers however a stream is cut.
        """
        rows = np.asarray(rows)
        fine = np.ones(len(rows), bool) if good is None else good
        raised: list[Alarm] = []
        for column in absent:
            if ("column", column) not in self.open:
                raised.append(Alarm(self.progress.rows, "column", column, "missing", 0, 0.0, {}))
                self.progress.alarms.append(raised[-1])
        for column, names in (strangers or {}).items():
            known = self.progress.strangers.setdefault(column, [])
            known += [name for name in names if name not in known][: STRANGERS - len(known)]
        start = 0
        while start < len(rows):
            stop = min(len(rows), start + self.room)
            raised += self._block(rows[start:stop], fine[start:stop])
            start = stop
        return raised

    @property
    def room(self) -> int:
        """Rows until the block is full."""
        return self.batch - self.progress.waiting

    def _block(self, rows: NDArray[Any], good: NDArray[np.bool_]) -> list[Alarm]:
        """Part of a block, or the rest of it."""
        now = self.progress
        values = {"column": columns_of(self.deployed, rows)}
        if good.any():
            values |= answers(self.deployed, rows[good])
        counts, sums = [], []
        for one in self.reference.channels:
            found = values[one.group][:, one.place] if one.group in values else np.zeros(0)
            counts.append(one.counted(found))
            if one.group == "column":
                sums.append(breaks.sums(one, found))
        window = Window(np.concatenate(counts), np.array(sums))
        raised = self._threshold(values["score"][:, 0]) if "score" in values else []
        now.pending = window if now.pending is None else now.pending.with_(window)
        now.waiting += len(rows)
        now.rows += len(rows)
        if now.waiting == self.batch:
            raised += self._full(now.pending)
            now.pending, now.waiting = None, 0
        return raised

    def _threshold(self, scores: NDArray[np.float64]) -> list[Alarm]:
        """Count flags, and bet on ranks."""
        now, own = self.progress, self.calibration
        if own is None or now.ranks is None:
            return []
        now.answered += len(scores)
        now.flagged += int(calibrate.flags(own.p_values(scores), self.rate).sum())
        if (THRESHOLD, THRESHOLD) in self.open:
            return []
        p = now.ranks.p_values(scores, np.random.default_rng([self.seed, now.rows]))
        limit = self.parts / self.level
        at = now.capital.bet(p, 0.0 if now.waiting else spend(now.rows // self.batch), limit)
        if at is None:
            return []
        share = now.flagged / now.answered
        numbers = {"rate": self.rate, "flagged": share, "capital": now.capital.total}
        alarm = Alarm(now.rows + at, THRESHOLD, THRESHOLD, THRESHOLD, now.rows + at, 1 / now.capital.total, numbers)
        now.alarms.append(alarm)
        return [alarm]

    def _full(self, block: Window) -> list[Alarm]:
        """Join windows two by two, and look at each that is new."""
        now = self.progress
        raised, window = self._better(block), block
        for k in range(LONGEST):
            if k == len(now.levels):
                now.levels.append(None)
                now.looks.append(0)
            raised += self._look(window, k)
            waits = now.levels[k]
            if waits is None:
                now.levels[k] = window
                break
            now.levels[k], window = None, waits.with_(window)
        return raised

    def _look(self, window: Window, k: int) -> list[Alarm]:
        """Each channel of a window of 2^k blocks against the reference."""
        now, channels = self.progress, self.reference.channels
        level = self.level / self.parts * part(k, now.looks[k])
        now.looks[k] += 1
        totals = np.append(0, np.cumsum(window.counts))
        rows = (totals[self.starts[1:]] - totals[self.starts[:-1]])[self.owner]
        p = p_values(self.known, self.known_rows, self._places(window.counts), rows)
        least = np.ones(len(channels))
        np.minimum.at(least, self.owner, p)
        least = np.minimum(1.0, least * self.tested * self.beside)
        raised = []
        for j in np.flatnonzero(least <= level):
            one = channels[j]
            if (one.group, one.name) in self.open:
                continue
            found = self._named(int(j), window, level / (self.tested[j] * self.beside[j]))
            raised.append(
                Alarm(now.rows, one.group, one.name, found.what, self.batch << k, float(least[j]), found.numbers)
            )
            now.alarms.append(raised[-1])
            if one.group == "column" and found.what not in breaks.CERTAIN:
                now.fresh[one.name] = AGAIN
        return raised

    def _named(self, j: int, window: Window, doubt: float) -> breaks.Break:
        one = self.reference.channels[j]
        told = window.sums[j] if one.group == "column" else breaks.nothing()
        found = breaks.named(one, window.counts[self.starts[j] : self.starts[j + 1]], told, doubt)
        if found.what == "values" and (names := self.progress.strangers.get(one.name)):
            return found._replace(numbers={**found.numbers, "names": list(names)})
        if found.what == "share" and one.codes is not None:
            texts, at = self.deployed.fields[one.place].values, int(one.codes[found.numbers["value"]])
            return found._replace(numbers={**found.numbers, "value": texts[at]})
        return found

    def _better(self, block: Window) -> list[Alarm]:
        """A window that saw both sides of a change has a poor name for it: the next blocks may have a better one."""
        now, renamed = self.progress, []
        for j, one in enumerate(self.reference.channels):
            if one.group != "column" or one.name not in now.fresh:
                continue
            found = self._named(j, block, 1e-6)
            now.fresh[one.name] -= 1
            at = next(i for i, a in enumerate(now.alarms) if (a.group, a.channel) == ("column", one.name))
            if found.what in breaks.BROKEN and found.what != now.alarms[at].what:
                now.alarms[at] = now.alarms[at]._replace(what=found.what, numbers=found.numbers)
                renamed.append(now.alarms[at])
            if not now.fresh[one.name]:
                del now.fresh[one.name]
        return renamed
