"""A training that was cut: was it still getting better, and by how much would more steps have helped?

Loss curves fall fast and then ever more slowly; over doublings of the steps the falls shrink by about the same factor
each time, as they do where the rest of the loss is a power of the steps (Hestness et al. 2017, Deep learning scaling is
predictable, empirically). So the last two doublings say what the next one is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

WORTH = 0.01
"""Share of all that training brought, from which what more steps would add matters: the rope of explained variance,
which is that share where training begins at the mean."""
SURE = 3.0
"""Standard deviations of the loss from check to check that a fall must exceed, to be more than noise."""
MOST = 4
"""More than so many times the steps are not advised at once: schedules act before, and a longer curve tells more."""
FAR = 16
"""What a training may gain at most is what so many times the steps would bring: a bound, beyond what is advised."""


class Outlook(NamedTuple):
    """What a loss curve promises."""

    gain: float
    """What as many steps again would add, as a share of what training brought so far; 0 if that is lost in noise."""
    steps: int
    """Steps after which as many again would add less than ``WORTH``; at most ``MOST`` times those that were made."""
    reach: float = 0.0
    """What ``FAR`` times the steps would add in all, as the same share."""

    @property
    def open(self) -> bool:
        """Whether more steps may change what the model is worth."""
        return self.gain > WORTH


def outlook(history: Mapping[str, Sequence[float | None]]) -> Outlook:
    """What the validation loss of a training that was cut promises.

    Parameters
    ----------
    history : mapping
        ``step`` and ``valid`` of each check, as :class:`isthmus.train.loop.Outcome` keeps them.

    Examples
    --------
    >>> steps = [0, 50, 100, 150, 200]
    >>> outlook({"step": steps, "valid": [1.0, 0.6, 0.4, 0.32, 0.3]}).open
    True
    >>> outlook({"step": steps, "valid": [1.0, 0.302, 0.3, 0.3, 0.3]}).open
    False
    """
    looks = [
        (int(step), float(value))
        for step, value in zip(history.get("step", ()), history.get("valid", ()), strict=True)
        if step is not None and value is not None and math.isfinite(value)
    ]
    if len(looks) < 2:
        return Outlook(0.0, looks[-1][0] if looks else 0)
    start, end = looks[0][0], looks[-1][0]  # a layer that was trained alone has no loss of the whole before
    parts = (0.25, 0.5, 0.75, 1.0)
    quarter, half, near, last = (min(v for s, v in looks if s <= start + part * (end - start)) for part in parts)
    brought, late = looks[0][1] - last, half - last
    if not brought > 0 or late <= SURE * _noise([v for step, v in looks if step >= (start + end) / 2]):
        return Outlook(0.0, end)
    kept = min(1.0, late / (quarter - half)) if quarter > half else 1.0
    gain, steps = min(kept * late, 4 * (near - last)) / brought, end  # no more than at the pace of the last quarter
    while steps < MOST * end and kept ** math.log2(steps / end) * gain > WORTH:
        steps *= 2
    reach = sum(gain * kept**doubling for doubling in range(int(math.log2(FAR))))
    return Outlook(gain, steps, reach)


def advised(history: Mapping[str, Sequence[float | None]]) -> int:
    """Steps to give instead, of a training that was cut: what its curve promises to need, and at least twice as many.

    Examples
    --------
    >>> advised({"step": [0, 50, 100, 150, 200], "valid": [1.0, 0.6, 0.4, 0.32, 0.3]})
    800
    """
    return max(2 * int(history["step"][-1] or 0), outlook(history).steps)


def _noise(values: Sequence[float]) -> float:
    """Standard deviation of single checks about a smooth curve, from how unequal its bends are; 0 if it has but one."""
    if len(values) < 4:
        return 0.0
    bends = np.diff(values, 2)
    return float(np.median(np.abs(bends - np.median(bends)))) / (0.6745 * math.sqrt(6))
