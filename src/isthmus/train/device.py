"""Where a training computes. This is the only file that asks which devices there are.

Order of rows, noise and first weights come from the processor whatever the device, so that only arithmetic differs; a
trained model comes back to the processor, which encodes and scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from isthmus.dispatch import tree_map
from isthmus.errors import BadEnvironment, BadInput
from isthmus.train.task import Task

DEVICES = ("auto", "cpu", "cuda", "mps")


def device(name: str) -> torch.device:
    """The device of a name; ``auto`` is the first of cuda, mps and cpu that is there.

    Raises
    ------
    BadInput
        If there is no device of that name.
    BadEnvironment
        If this machine, or this build of torch, does not have it.

    Examples
    --------
    >>> device("cpu")
    device(type='cpu')
    """
    if name not in DEVICES:
        raise BadInput(f"device must be one of {', '.join(DEVICES)}; got {name!r}")
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(one for one, here in there.items() if here))
    if not there[name]:
        have = ", ".join(one for one, here in there.items() if here)
        raise BadEnvironment(
            f"torch {torch.__version__} finds no {name} on this machine, only {have}; give device=auto"
        )
    return torch.device(name)


def moved(tree: Any, place: torch.device) -> Any:
    """The same nested tuples and dicts, with their tensors on a device."""
    return tree_map(lambda leaf: leaf.to(place) if isinstance(leaf, Tensor) else leaf, tree)


@contextmanager
def on(tasks: Sequence[Task], place: torch.device) -> Iterator[list[Task]]:
    """The same tasks with models and rows on a device; the models come back afterwards."""
    rows = {id(t): t.to(place) for task in tasks for t in task.rows}
    there = [task.with_rows(lambda t: rows[id(t)]) for task in tasks]
    try:
        for task in tasks:
            task.model.to(place)
        yield there
    finally:
        for task in tasks:
            task.model.to("cpu")
