"""What a model takes: arithmetic, counted exactly; time, measured, and therefore different each time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from torch.utils.flop_counter import FlopCounterMode

REPEATS = 9
SHORTEST = 2e-3  # seconds; shorter than this a clock reading says little


def flops(function: Callable[[], object]) -> int:
    """Floating point operations of the matrix products and convolutions that torch does in one call.

    A multiply and its add count as two. Element-wise operations are left out: they are a few per cent, and their count
    depends on how one counts.

    Examples
    --------
    >>> import torch
    >>> flops(lambda: torch.ones(1, 64) @ torch.ones(64, 32))
    4096
    """
    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())


def seconds(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds of one call: the median of 9 readings, each over enough calls to last 2 ms, after one call to warm up.

    Parameters
    ----------
    function : callable
    clock : callable
        Seconds since some moment.
    """
    function()
    calls, took = 1, _reading(function, 1, clock)
    while took < SHORTEST and calls < 1 << 20:
        calls *= 2
        took = _reading(function, calls, clock)
    readings = [took, *(_reading(function, calls, clock) for _ in range(REPEATS - 1))]
    return statistics.median(readings) / calls


def _reading(function: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(calls):
        function()
    return clock() - began
