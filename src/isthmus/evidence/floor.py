"""Who beats the trivial floor of a metric: chance, the commonest class, the mean of each column."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from isthmus.evidence.stats import ALPHA, Floats, finite, holm, masses, p_value, steps, sure

LEAST = 3
"""Replicates from which it is told."""


def above(
    table: Mapping[str, Floats],
    floor: Floats,
    *,
    rope: float,
    higher: bool,
    test_fraction: float,
    relative: bool = False,
    looks: float = 1,
) -> tuple[str, ...] | None:
    """Contenders that are shown to beat the floor: by the rule of every other claim, each against the floor alone.

    The probability that the mean difference exceeds the rope must be 0.95, and the p-value below 0.05 after Holm's
    adjustment for all contenders.

    Parameters
    ----------
    table : mapping of str to array of shape (R,)
        Contender -> scores as :func:`isthmus.evidence.stats.comparable` gives them.
    floor : array of shape (R,)
        The floor in each replicate, on the same scale.
    rope, higher, test_fraction, relative, looks
        As in :func:`isthmus.evidence.verdict.judge`.

    Returns
    -------
    tuple of str, or None
        None where it cannot be told: no contender shares 3 replicates with the floor.

    Examples
    --------
    >>> table = {"plain": np.array([0.8, 0.81, 0.79]), "vae": np.array([0.49, 0.5, 0.52])}
    >>> above(table, np.full(3, 0.5), rope=0.01, higher=True, test_fraction=0.3)
    ('plain',)
    """
    width, grain = (math.log1p(rope), 0.0) if relative else (rope, steps([*table.values(), floor]))
    gaps = {name: finite((1 if higher else -1) * (x - floor)) for name, x in table.items()}
    if max(map(len, gaps.values()), default=0) < LEAST:
        return None
    adjusted = holm([p_value(d, test_fraction, grain) for d in gaps.values()])
    found = []
    for (name, d), p in zip(gaps.items(), adjusted, strict=True):
        mass = masses(d, width, test_fraction, grain)
        if mass is not None and len(d) >= LEAST and mass.right >= sure(looks) and p is not None and p < ALPHA / looks:
            found.append(name)
    return tuple(found)


def mean(floor: Floats, relative: bool) -> float | None:
    """Mean of the floor over replicates, in the metric's own unit; None if there is none."""
    known = finite(floor)
    if not len(known):
        return None
    return float(np.exp(known.mean()) if relative else known.mean())
