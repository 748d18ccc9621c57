"""Where a training computes. This is the only file that asks which devices there are.

Order of rows, noise and first weights come from the processor whatever the device, so that only arithmetic differs; a
trained model comes back to the processor, which encodes and scores.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
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

    Of several ranks on a machine (``LOCAL_RANK``, which torchrun sets) each takes another one, as far as there are.

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
        name = next(one for one, here in there.items() if here)
    if not there[name]:
        have = ", ".join(one for one, here in there.items() if here)
        raise BadEnvironment(
            f"torch {torch.__version__} finds no {name} on this machine, only {have}; give device=auto"
        )
    if name == "cuda" and (rank := int(os.environ.get("LOCAL_RANK", "0"))):
        return torch.device(name, rank % torch.cuda.device_count())
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


class Carrier:
    """Brings rows of a batch to where a step computes.

    Where the rows lie there too, they are gathered there. Rows that the processor holds, as those of a file do, are
    gathered in memory that a GPU reads by itself (pinned), in two places by turns: while the GPU still computes one
    step, the processor gathers the rows of the next.

    Parameters
    ----------
    rows : Tensor of shape (S, *D)
        Where rows are taken from.
    batch : Tensor of shape (B, *D)
        What they are written to.

    Examples
    --------
    >>> batch = torch.empty(2, 1)
    >>> Carrier(torch.arange(4.0).view(4, 1), batch)(torch.tensor([3, 0]))
    >>> batch.flatten().tolist()
    [3.0, 0.0]
    """

    def __init__(self, rows: Tensor, batch: Tensor) -> None:
        self.rows, self.batch = rows, batch
        self._pinned = batch.device.type == "cuda"
        there = rows.device == batch.device
        self._places = [] if there else [self._place() for _ in range(2)]
        self._copied: list[Any] = [None, None]
        self._turn = 0

    def __call__(self, numbers: Tensor) -> None:
        """Bring the rows of these numbers (B,)."""
        if not self._places:
            torch.index_select(self.rows, 0, numbers, out=self.batch)
            return
        self._turn = 1 - self._turn
        place, copied = self._places[self._turn], self._copied[self._turn]
        if copied is not None:
            copied.synchronize()  # what was gathered here two steps ago is over there
        torch.index_select(self.rows, 0, numbers, out=place)
        self.batch.copy_(place, non_blocking=self._pinned)
        if self._pinned:
            self._copied[self._turn] = torch.cuda.Event()
            self._copied[self._turn].record()

    def _place(self) -> Tensor:
        shape, dtype = self.batch.shape, self.rows.dtype
        return torch.empty(shape, dtype=dtype, device=self.rows.device, pin_memory=self._pinned)


def at_once(calls: Sequence[Callable[[], Any]], place: torch.device) -> Sequence[Callable[[], Any]]:
    """The same calls as one: on CUDA they are captured as a graph (:class:`torch.cuda.CUDAGraph`).

    A GPU then does them all without waiting for the Python of each. Elsewhere, and where a call cannot be captured (it
    reads a value), they stay as they are.

    Parameters
    ----------
    calls : sequence of callable
        Each works on the same memory whenever it is called. They are not called here.
    place : torch.device
        Where they compute.
    """
    if place.type != "cuda":
        return calls
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            for call in calls:
                call()
    except RuntimeError:
        torch.cuda.synchronize()
        return calls
    return (graph.replay,)
