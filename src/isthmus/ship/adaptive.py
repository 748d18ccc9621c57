"""Flags for a stream whose rows depend on each other: the level moves so that alarms are as frequent as was asked.

A fixed threshold keeps its rate while new rows are exchangeable with calibration rows. Prices, loads and temperatures
are not: hours, seasons and trends make whole weeks of false alarms. Here a new score is ranked among the latest ones
(which begin with the calibration scores), and the level that its p-value must not exceed follows what was flagged: it
falls after an alarm and rises a little after each row without (Gibbs and Candes 2021, Adaptive conformal inference
under distribution shift, NeurIPS). Over T rows the share of alarms then differs from the rate by at most
``(1 + g) / (g T)``, g being how far the level moves, whatever the rows are; nothing is assumed of them, and an alarm is
no longer a statement on one row. True anomalies are among the alarms that are counted.

The more alarms a stream owes, the faster the level rises (Angelopoulos, Candes and Tibshirani 2023, Conformal PID
control for time series prediction, NeurIPS): where odd rows come in crowds and none between them, a few are owed all
the time, which is much of the rate in a short stream.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import BadInput
from isthmus.ship import calibrate
from isthmus.ship.deployed import Calibration, Scores, tied

LATEST = 3
"""Scores that a new one is ranked among, as a multiple of 1 / rate: more forget more slowly how a stream was."""
FEWEST = 300
"""Of them at least."""
STEP = 2.0
"""How far the level moves, as a share of the rate: more keeps the rate in shorter streams, and parts alarms that come
together."""
HASTE = 2.0
"""How much faster the level rises where alarms are owed: by so many times the square of their number."""


class Follower:
    """Flags scores that come one after the other.

    Parameters
    ----------
    calibration : Calibration
        Its scores, the latest of them in an order drawn at random, are those that the first new ones are ranked among.
    rate : float, optional
        Alarms for each row, in the long run; by default that of the calibration.
    latest : int, optional
        Scores that a new one is ranked among; by default 300, or 3 / rate if that is more.
    step : float, default 2
        How far the level moves, as a share of the rate.

    Attributes
    ----------
    owed : float
        Alarms that the rate asks for and that were not raised; below 0 after many.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> own = Calibration.of(random.normal(size=500), "500 rows", rate=0.05)
    >>> drift = random.normal(size=20_000) + np.linspace(0, 9, 20_000)
    >>> fixed = float(calibrate.flags(own.p_values(drift), 0.05).mean())
    >>> p, flags, levels = Follower(own).follow(drift)
    >>> fixed > 0.7, abs(float(flags.mean()) - 0.05) < 0.005
    (True, True)
    """

    def __init__(
        self, calibration: Calibration, rate: float | None = None, *, latest: int | None = None, step: float = STEP
    ) -> None:
        self.rate = calibration.rate if rate is None else rate
        calibrate.enough(len(calibration.scores), self.rate)
        latest = max(FEWEST, math.ceil(LATEST / self.rate)) if latest is None else latest
        if latest < 1 or not step > 0:
            raise BadInput(f"expected one score or more to rank among, and a step above 0; got {latest} and {step!r}")
        calibrate.enough(min(latest, len(calibration.scores)), self.rate)
        self.latest, self.step, self.owed = latest, step * self.rate, 0.0
        drawn = np.random.default_rng(0).permutation(calibration.scores)[:latest]
        self._queue, self._sorted = deque(drawn.tolist()), sorted(drawn.tolist())

    @property
    def level(self) -> float:
        """What a p-value must not exceed to be flagged; below 0 after many alarms, when nothing is."""
        return self.rate + self.step * self.owed * (1 + HASTE * max(self.owed, 0.0) ** 2)

    def follow(self, scores: ArrayLike) -> tuple[Scores, NDArray[np.bool_], Scores]:
        """P-values, flags and levels (m,) of scores (m,); a row without a score (NaN) has none, and changes nothing."""
        given = np.asarray(scores, np.float64)
        p, flags, levels = np.full(given.shape, np.nan), np.zeros(given.shape, bool), np.empty(given.shape)
        for i, (score, low) in enumerate(zip(given.tolist(), tied(given).tolist(), strict=True)):
            levels[i] = level = self.level
            if math.isnan(score):
                continue
            known = len(self._sorted)
            p[i] = (known - bisect_left(self._sorted, low) + 1) / (known + 1)
            flags[i] = p[i] <= level * (1 + 1e-12)
            self.owed += self.rate - flags[i]
            self._queue.append(score)
            insort(self._sorted, score)
            if len(self._queue) > self.latest:
                del self._sorted[bisect_left(self._sorted, self._queue.popleft())]
        return p, flags, levels
