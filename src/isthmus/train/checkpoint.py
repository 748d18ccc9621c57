"""A training that was stopped goes on where it was: to the same bits, as if nothing had happened.

A checkpoint is one safetensors file: tensors, and in its header the rest as JSON, with the SHA-256 of both, so that
every byte is vouched for; nothing is unpickled. It is written as a whole or not at all, so a kill at any moment leaves
the one before. It says which training it belongs to (recipe, plan, seed, rows, first weights, version of torch) and
serves no other.

What is kept are trained stacks (*units*) with what their training left, and the one that is being trained. All that
lies between two units (codes of a layer, layers put together) is computed again, which gives the same bits.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from isthmus import durable
from isthmus.errors import BadInput, difference
from isthmus.model import Model
from isthmus.train.ranks import Ranks
from isthmus.train.task import Task

FORMAT = 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What asks a program to end: at the next step the state is kept, and then it ends. A second one does not wait."""


@dataclass(frozen=True)
class Checkpoint:
    """Where a training is kept while it runs, and how often.

    Parameters
    ----------
    path : path
        The file. If it holds the same training, that goes on. It stays when the training has ended, and then gives its
        result at once.
    every : float
        Seconds between two writes; it is also written when a signal (SIGINT, SIGTERM, SIGHUP) asks the program to end,
        if the training runs in the main thread.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> import numpy as np
    >>> rows = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     kept = Checkpoint(Path(place, "training.safetensors"), every=60.0)
    ...     model = isthmus.fit(isthmus.named("plain"), rows, plan=isthmus.Plan(steps=20), checkpoint=kept)
    ...     kept.steps()
    20
    """

    path: str | os.PathLike[str]
    every: float = 300.0

    def __post_init__(self) -> None:
        if not self.every >= 0:
            raise BadInput(f"checkpoint: every is a number of seconds, at least 0; got {self.every!r}")

    def steps(self) -> int | None:
        """Optimiser steps that are kept; None if there is no file.

        Raises
        ------
        BadInput
            If the file is damaged or no checkpoint.
        """
        place = Path(self.path)
        return int(_read(place)[1]["steps"]) if place.exists() else None

    def remove(self) -> None:
        """Remove the file, if there is one."""
        Path(self.path).unlink(missing_ok=True)


class State(NamedTuple):
    """A stack of models at one moment."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]
    """Plain data, ``steps`` among it."""


class Keeper:
    """Keeps one training in a file, and gives back what was kept.

    Parameters
    ----------
    checkpoint : Checkpoint
    tasks : sequence of Task
        What is trained, untrained yet.
    ranks : Ranks, optional
        Processes that train it together; rank 0 writes.

    Raises
    ------
    BadInput
        If the file is damaged, is no checkpoint, or belongs to another training.
    """

    def __init__(self, checkpoint: Checkpoint, tasks: Sequence[Task], ranks: Ranks | None = None) -> None:
        self.path, self.every, self.bound = Path(checkpoint.path), checkpoint.every, _bound(tasks)
        self.kept: list[State] = []
        self.seconds, self.written = 0.0, 0  # what keeping took
        self._ranks, self._asked = ranks, 0
        if self.path.exists():
            with self.reading():
                self._open()
        if ranks is not None:
            steps = sum(unit.facts["steps"] for unit in self.kept)
            most, least = ranks.most([steps, -steps])
            if most != -least:
                raise BadInput(f"{self.path} is not the same file for all ranks; choose a place that they share")
        self.open = list(self.kept)  # units that nobody has asked for yet
        self.due_at = time.monotonic() + self.every

    @contextmanager
    def reading(self) -> Iterator[None]:
        """What is taken from the file must fit: whoever can change a file can seal it again."""
        try:
            yield
        except BadInput:
            raise
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            raise BadInput(f"{self.path} does not fit this training; remove it to train from the start") from error

    def _open(self) -> None:
        tensors, facts = _read(self.path)
        for name, here in self.bound.items():
            if found := difference(facts["bound"].get(name), here, name):
                raise BadInput(
                    f"{self.path} keeps another training: {found}; repeat the command that began it, choose another "
                    "place, or remove the file"
                )
        for number, unit in enumerate(facts["units"]):
            facts = {"ended": bool(unit["ended"]), "steps": int(unit["steps"])}
            self.kept.append(State(part(tensors, f"{number}/"), unit | facts))

    def next(self) -> State | None:
        """What is kept of the next stack of the training, finished (``ended``) or not; None if it is to begin."""
        state = self.open.pop(0) if self.open else None
        if state is not None and not state.facts["ended"]:
            self.kept.pop()  # it comes again, further on
        return state

    def due(self) -> bool:
        """Whether the state should be kept now. Asked before every step."""
        late = int(time.monotonic() >= self.due_at)
        if self._ranks is not None:  # a signal comes to each of them at another step
            self._asked, late = map(int, self._ranks.most([self._asked, late]))
        return bool(self._asked or late)

    def save(self, state: State) -> None:
        """Put what is kept on the disk, with the stack that is being trained; then end, if a signal asked for it."""
        began = time.monotonic()
        units = [*self.kept, state]
        tensors = {f"{n}/{name}": t for n, unit in enumerate(units) for name, t in unit.tensors.items()}
        steps = sum(unit.facts["steps"] for unit in units)
        facts = {"format": FORMAT, "bound": self.bound, "steps": steps, "units": [unit.facts for unit in units]}
        if self._ranks is None or self._ranks.rank == 0:
            durable.whole(self.path, _sealed(tensors, facts))
        if self._ranks is not None:
            self._ranks.wait()
        if state.facts["ended"]:
            self.kept = units
        self.due_at = time.monotonic() + self.every
        self.seconds, self.written = self.seconds + time.monotonic() - began, self.written + 1
        self._end()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear signals at the next step only, so that they find a whole state; as before afterwards."""
        before: dict[int, Any] = {}
        self._before = before
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                    before[number] = signal.signal(number, self._hear)
        try:
            yield
            self._end()
        finally:
            self._deaf()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        again, self._asked = self._asked > 0, number
        if again:
            self._end()

    def _deaf(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _end(self) -> None:
        """Do what the signal would have done."""
        if self._asked:
            number, self._asked = self._asked, 0
            self._deaf()
            signal.raise_signal(number)


def tensors_of(model: Model) -> dict[str, Tensor]:
    """Everything that a model holds, by name."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


def put(model: Model, tensors: Mapping[str, Tensor]) -> None:
    """Give a model what :func:`tensors_of` gave of its twin."""
    for name, tensor in tensors_of(model).items():
        tensor.data = fitting(tensors[name], tensor).clone()


def fitting(kept: Tensor, own: Tensor) -> Tensor:
    """What is kept, if it can stand where ``own`` stands."""
    if kept.shape != own.shape or kept.dtype != own.dtype:
        raise ValueError(f"expected {own.dtype} of shape {tuple(own.shape)}; got {kept.dtype} {tuple(kept.shape)}")
    return kept.to(own.device)


def part(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    return {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}


def _bound(tasks: Sequence[Task]) -> dict[str, Any]:
    """What names a training: nothing else has an influence on it. What people choose comes first."""
    known: dict[int, str] = {}
    for rows in (t for task in tasks for t in task.rows):
        known.setdefault(id(rows), _digest({"": rows}))
    each = [
        {
            "recipe": task.recipe.to_json(),
            "plan": task.plan.to_json(),
            "seed": task.seed,
            "rows": [known[id(rows)] for rows in task.rows],
            "weights": _digest(tensors_of(task.model)),
            "device": task.train.device.type,
        }
        | ({} if task.stream is None else {"stream": task.stream.shuffle.bound})
        for task in tasks
    ]
    whole = each[0] if len(each) == 1 else {f"model {i}": one for i, one in enumerate(each, 1)}
    return dict(json.loads(json.dumps(whole | {"torch": torch.__version__})))


def _digest(tensors: Mapping[str, Tensor], text: str = "") -> str:
    """SHA-256 of tensors, with their names, types and shapes, and of a text."""
    found = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name}\0{tensor.dtype}\0{tuple(tensor.shape)}\0".encode())
        found.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _sealed(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """The content of a file."""
    own = {name: t.detach().cpu().clone(memory_format=torch.contiguous_format) for name, t in tensors.items()}
    text = json.dumps(facts)
    return safetensors.torch.save(own, {"facts": text, "seal": _digest(own, text)})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What a file holds, if its seal is whole; read at once, for whoever may change it later."""
    content = path.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        about = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        text, seal = about["facts"], about["seal"]
    except (safetensors.SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise BadInput(f"{path} is damaged or no checkpoint; remove it to train from the start") from error
    if _digest(tensors, text) != seal:
        raise BadInput(f"{path} is damaged or was changed: its seal does not fit; remove it to train from the start")
    facts = json.loads(text)
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise BadInput(f"{path} is not of format {FORMAT}, another version wrote it; remove it to train from the start")
    return tensors, facts
