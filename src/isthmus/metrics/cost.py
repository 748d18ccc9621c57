"""What a model takes: arithmetic, counted exactly; time, measured, and therefore different each time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from isthmus.metrics.metric import Metric

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
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    total = 0

    def see(mode: object, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        nonlocal total
        out = func(*args, **(kwargs or {}))
        count = flop_registry.get(func._overloadpacket)
        total += count(*args, **(kwargs or {}), out_val=out) if count else 0
        return out

    # Neither torch's own FlopCounterMode nor a method in the class body: both load the compiler first (two seconds).
    Counter = type("Counter", (TorchDispatchMode,), {})
    Counter.__torch_dispatch__ = see  # type: ignore[attr-defined]
    with Counter():
        function()
    return total


def seconds(function: Callable[[], object], clock: Callable[[], float] = time.thread_time) -> float:
    """Seconds of one call: the median of 9 readings, each over enough calls to last 2 ms, after one call to warm up.

    Parameters
    ----------
    function : callable
    clock : callable
        Seconds since some moment. By default the processor time of this thread alone, so that other programs on a busy
        machine do not count; the function must then do its work in this thread.
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


TABLE = [
    Metric("parameters", None, False, "numbers", "parameters", 0.1, "count", relative=True),
    Metric(
        "flops_per_row",
        flops,
        False,
        "operations",
        "FLOPs per row, encode and decode",
        0.1,
        "matrix products, a multiply-add is two",
        relative=True,
    ),
    Metric("train_seconds", None, False, "seconds", "training seconds", 0.25, "wall clock", relative=True),
    Metric(
        "rows_per_second",
        None,
        True,
        "rows per second",
        "rows encoded per second",
        0.25,
        "processor time of one thread",
        relative=True,
    ),
    Metric("artefact_bytes", None, False, "bytes", "file size in bytes", 0.1, "count", relative=True),
]
"""What the numbers of this file mean."""
