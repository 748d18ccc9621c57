"""CPU seconds of contenders that take turns in one process on one thread, so that a busy machine troubles all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch


def cpu(work: Callable[[], object]) -> float:
    """CPU seconds of this process for one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def turns(contenders: Mapping[str, Callable[[], Callable[[], object]]], rounds: int = 5) -> dict[str, float]:
    """Median CPU seconds of each contender over rounds in which each runs once; the first round is not counted.

    A contender is a function that gets ready (models, copies) and returns the work, which alone is measured.
    """
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(rounds + 1):
        for name, ready in contenders.items():
            taken = cpu(ready())
            if i:
                seconds[name].append(taken)
    return {name: statistics.median(all_) for name, all_ in seconds.items()}


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows as Markdown; floats with three digits."""
    cells = [[f"{c:.3g}" if isinstance(c, float) else str(c) for c in row] for row in [head, *rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    print("\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]]), flush=True)
