"""What a model takes: arithmetic and memory, counted exactly; time, measured, and therefore different each time."""

from __future__ import annotations

import math
import statistics
import time
import weakref
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from isthmus.metrics.metric import Metric
from isthmus.said import Said

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from isthmus.model import Model

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
    from torch.utils.flop_counter import flop_registry

    total = 0

    def count(operation: Any, args: Any, kwargs: Any, out: Any) -> None:
        nonlocal total
        counter = flop_registry.get(operation._overloadpacket)
        total += counter(*args, **kwargs, out_val=out) if counter else 0

    _watched(function, count)
    return total


def peak_bytes(function: Callable[[], object], held: Iterable[Tensor] = ()) -> int:
    """Most bytes of torch tensors that one call keeps alive at once, beside those that it is given.

    Every storage counts once, from the operation that made it to its end, however many views it has. What a kernel
    takes and gives back within itself is not seen.

    Parameters
    ----------
    function : callable
    held : iterable of Tensor
        What exists before: its arguments and parameters; they do not count.

    Examples
    --------
    >>> import torch
    >>> x = torch.ones(10, 4)
    >>> peak_bytes(lambda: (x + 1).sum(), [x])
    164
    """
    from torch import Tensor

    from isthmus.dispatch import storage as memory_of
    from isthmus.dispatch import tree_leaves

    known = {memory_of(tensor) for tensor in held}
    alive: dict[int, int] = {}
    peak = 0

    def count(operation: Any, args: Any, kwargs: Any, out: Any) -> None:
        nonlocal peak
        for one in (leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)):
            key, storage = memory_of(one), one.untyped_storage()
            if key not in known and key not in alive:
                alive[key] = storage.nbytes()
                weakref.finalize(storage, alive.pop, key).atexit = False
        peak = max(peak, sum(alive.values()))

    _watched(function, count)
    return peak


def training_step(model: Model, batch: Tensor) -> Callable[[], object]:
    """A call that does what one step on ``batch`` (B, *D) does before the update: noise, loss, gradient.

    Nothing is left behind: neither gradients nor what the model may remember.
    """
    import torch

    from isthmus.model import Ramp

    generator = torch.Generator().manual_seed(0)
    free = [p for p in model.parameters() if p.requires_grad]

    def step() -> object:
        was = model.training
        terms = model.train()(batch, batch, model.draw(batch, generator)).terms
        model.train(was)
        loss = sum(terms[name] * (w.end if isinstance(w, Ramp) else w) for name, w in model.weights.items())
        return torch.autograd.grad(loss, free, allow_unused=True)

    return step


def _watched(function: Callable[[], object], see: Callable[[Any, Any, Any, Any], None]) -> None:
    """One call, in which ``see(operation, args, kwargs, out)`` hears of each of torch's operations."""
    from isthmus.dispatch import Mode

    class Watch(Mode):  # torch's own FlopCounterMode loads the compiler first (two seconds)
        def see(self, op: Any, args: Any, kwargs: Any) -> Any:
            out = op(*args, **kwargs)
            see(op, args, kwargs, out)
            return out

    with Watch():
        function()


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


@cache
def product_rate(device: torch.device | str = "cpu", least: float = SHORTEST) -> float:
    """Floating point operations a second of a square float32 product, on all threads that torch may take.

    The side is doubled from 256 until a product takes ``least`` seconds on the clock; of five products the quickest
    counts, for it is to be what the machine can do. A process measures it once.
    """
    import torch

    n = 128
    took = 0.0
    while took < least:
        n *= 2
        a = torch.full((n, n), 0.5, device=device)

        def product(one: Tensor = a) -> float:
            return float((one @ one)[0, 0])  # which waits for the device

        product()
        took = min(_reading(product, 1, time.perf_counter) for _ in range(5))
    return 2 * n**3 / took


def _reading(function: Callable[[], object], calls: int, clock: Callable[[], float]) -> float:
    began = clock()
    for _ in range(calls):
        function()
    return clock() - began


TABLE = [
    Metric(
        "parameters",
        None,
        False,
        "numbers",
        Said("parameters", "参数量"),
        0.1,
        "count",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "flops_per_row",
        flops,
        False,
        "operations",
        Said("FLOPs per row", "每行 FLOPs"),
        0.1,
        "matrix products, a multiply-add is two",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "encode_bytes",
        peak_bytes,
        False,
        "bytes",
        Said("memory to encode 256 rows, in bytes", "编码 256 行所需内存（字节）"),
        0.1,
        "peak of live tensors",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "step_flops",
        flops,
        False,
        "operations",
        Said("FLOPs of a training step", "每个训练步的浮点运算数"),
        0.1,
        "matrix products, a multiply-add is two",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "train_flops",
        None,
        False,
        "operations",
        Said("FLOPs of the training", "整个训练的浮点运算数"),
        0.1,
        "step times steps",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "train_bytes",
        peak_bytes,
        False,
        "bytes",
        Said("memory to train, in bytes", "训练所需内存（字节）"),
        0.1,
        "peak of live tensors",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "train_seconds",
        None,
        False,
        "seconds",
        Said("training seconds", "训练时间（秒）"),
        0.25,
        "wall clock",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "rows_per_second",
        None,
        True,
        "rows per second",
        Said("rows encoded per second", "每秒编码行数"),
        0.25,
        "processor time of one thread",
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "artefact_bytes",
        None,
        False,
        "bytes",
        Said("file size in bytes", "文件大小（字节）"),
        0.1,
        "count",
        relative=True,
        bounds=(0.0, math.inf),
    ),
]
"""What the numbers of this file mean."""
