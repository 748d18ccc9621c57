"""What happened to a column that changed: a name for it, and the numbers that show it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.monitor.drift import p_values
from isthmus.ship.reference import GAP, OTHER, Channel

Values = NDArray[np.float64]

FAR = 1.7e308
ENOUGH = 16
"""Values of which it may be said that they are all the same, or all scaled."""
FACTOR = 1.5
"""Least factor by which values are scaled where their unit may have changed."""
ALIKE = 0.15
"""How far factors told by mean, deviation and logarithms may lie apart, as logarithms, beside their own chance."""
WIDER = 1.3
"""Ratio of deviations from which a spread is called another."""
BROKEN = ("missing", "gaps", "constant", "values", "unit")
"""Breaks of quality: somebody should look at the column. The rest is drift."""


CERTAIN = ("missing", "gaps", "values")
"""Those that a window that saw both sides of a change cannot confound with another."""


class Break(NamedTuple):
    """What happened to a column."""

    what: str
    """``gaps``, ``constant``, ``values`` (new ones), ``unit``, ``shift``, ``spread``, ``share`` (of a category) or
    ``shape``."""
    numbers: dict[str, Any]


def sums(channel: Channel, values: Values) -> Values:
    """What is remembered of the numbers of a column, (8,): count, sum and squares of standardised values; count, sum
    and squares of log |x| where x is not 0; least and largest."""
    if channel.codes is not None or channel.group != "column":
        return nothing()
    mean, deviation = channel.moments[:2]
    there = np.clip(values[np.isfinite(values)], -1e150, 1e150)
    if not len(there):
        return nothing()
    z = (there - mean) / (deviation or 1.0)
    logs = np.log(np.abs(there[there != 0]))
    return np.array([len(z), z.sum(), (z**2).sum(), len(logs), logs.sum(), (logs**2).sum(), there.min(), there.max()])


def nothing() -> Values:
    """The sums of no values."""
    return np.array([0.0] * 6 + [FAR, -FAR])


def joined(a: Values, b: Values) -> Values:
    """The sums (..., 8) of both."""
    low, high = np.minimum(a[..., 6:7], b[..., 6:7]), np.maximum(a[..., 7:], b[..., 7:])
    return np.concatenate([a[..., :6] + b[..., :6], low, high], axis=-1)


def named(channel: Channel, counts: NDArray[np.int64], told: Values, doubt: float) -> Break:
    """What happened to a channel.

    Parameters
    ----------
    channel : Channel
        As it is in the reference.
    counts : array (B,)
        Rows of the window in each bin.
    told : array (8,)
        :func:`sums` of its values.
    doubt : float
        The level at which gaps and new values are told apart from chance.
    """
    rows, known = int(counts.sum()), int(channel.counts.sum())
    before, after = channel.counts / max(known, 1), counts / max(rows, 1)
    p = p_values(channel.counts, np.full(len(counts), known), counts, np.full(len(counts), rows))
    gaps = {"before": float(before[GAP]), "after": float(after[GAP])}
    if p[GAP] <= doubt and p[GAP] <= p.min() * (1 + 1e-9) and after[GAP] > before[GAP]:
        return Break("gaps", gaps)
    if p[OTHER] <= doubt and p[OTHER] <= p[:OTHER].min(initial=1.0) * (1 + 1e-9) and after[OTHER] > before[OTHER]:
        return Break("values", {"before": float(before[OTHER]), "after": float(after[OTHER])})
    if channel.codes is not None:
        at = int(np.argmin(p[:OTHER])) if len(p) > 2 else 0
        return Break("share", {"value": at, "before": float(before[at]), "after": float(after[at])})
    if channel.group == "column" and (found := _numbers(channel, told)) is not None:
        return found
    if p[GAP] <= doubt:
        return Break("gaps", gaps)
    return _moved(channel, before, after)


def _numbers(channel: Channel, told: Values) -> Break | None:
    """A sensor that stands still, or another unit; None for anything else."""
    count, z, squares, there, logs, log_squares, low, high = told.tolist()
    mean, deviation, log_mean, log_deviation = channel.moments.tolist()
    if count < ENOUGH:
        return None
    if low == high and deviation > 0:
        return Break("constant", {"at": low})
    new_mean = mean + (deviation or 1.0) * z / count
    new_deviation = (deviation or 1.0) * math.sqrt(max(0.0, squares / count - (z / count) ** 2))
    numbers = {"before": mean, "after": new_mean, "deviation": deviation, "deviation_after": new_deviation}
    if there >= ENOUGH and log_deviation > 0 and deviation > 0:
        factor = logs / there - log_mean
        spread = math.sqrt(max(0.0, log_squares / there - (logs / there) ** 2))
        chance = 4 * log_deviation / math.sqrt(there)
        size, new_size = math.hypot(mean, deviation), math.hypot(new_mean, new_deviation)
        if abs(factor) >= math.log(FACTOR) and new_size > 0 and new_deviation > 0:
            apart = (math.log(new_size / size) - factor, math.log(new_deviation / deviation) - factor)
            steady = abs(spread - log_deviation) <= ALIKE * log_deviation + chance
            off = abs(new_mean / math.exp(factor) - mean)
            if steady and max(map(abs, apart)) <= ALIKE + chance and off <= ALIKE * size + 4 * deviation / count**0.5:
                return Break("unit", {"factor": math.exp(factor), **numbers})
    if deviation > 0 and new_deviation > 0:
        moved = abs(new_mean - mean) / deviation
        wider = abs(math.log(new_deviation / deviation))
        if wider > math.log(WIDER) and wider > moved:
            return Break("spread", numbers)
        if moved > 4 / math.sqrt(count):
            return Break("shift", numbers)
    return None


def _moved(channel: Channel, before: Values, after: Values) -> Break:
    """Codes and scores: by the share of rows above the edge that tells most."""
    above = 1 - np.cumsum(np.stack([before[:OTHER], after[:OTHER]]), axis=1)[:, :-1]
    if not above.shape[1]:
        return Break("shape", {})
    at = int(np.argmax(np.abs(above[1] - above[0])))
    return Break(
        "shape", {"edge": float(channel.edges[at]), "before": float(above[0, at]), "after": float(above[1, at])}
    )
