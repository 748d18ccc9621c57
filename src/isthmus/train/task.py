"""One model to be trained: with which rows, by which plan, from which seed, and when its schedules are over."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from isthmus.model import Model, Recipe
from isthmus.seeds import seed
from isthmus.train.order import Batches, Order
from isthmus.train.plan import Plan
from isthmus.train.stream import Stream

LARGE, LEAST_LOOKED = 20_000_000, 1000
"""Parameters x rows of a batch from which a model counts as large, and validation rows that it looks at, at least."""


class Task(NamedTuple):
    """One model to be trained."""

    recipe: Recipe
    model: Model
    train: Tensor
    """Scaled training rows (n, *D)."""
    valid: Tensor
    """Scaled validation rows (m, *D): early stopping and nothing else looks at them here."""
    plan: Plan
    seed: int
    """Names the order of the rows and all noise; tasks that share it see the same batches and the same noise."""
    target: Tensor | None = None
    """What the training rows should become (n, *E), scaled; None: themselves. Only rows are ever corrupted."""
    valid_target: Tensor | None = None
    """The same for the validation rows (m, *E)."""
    fresh: bool = True
    """Whether the model is new: initialised from the rows first, and taken through its schedules. False goes on with a
    model that was trained before, at the end of all its schedules."""
    stream: Stream | None = None
    """The training rows, where they do not fit into memory; ``train`` then is a draw of them."""

    @property
    def sets(self) -> tuple[Tensor, ...]:
        """The training rows, then their targets if these differ."""
        return (self.train,) if self.target is None else (self.train, self.target)

    @property
    def rows(self) -> list[Tensor]:
        """All that a training reads."""
        return [t for t in (self.train, self.valid, self.target, self.valid_target) if t is not None]

    def with_rows(self, change: Callable[[Tensor], Tensor]) -> Task:
        """The same with other rows and targets."""
        train, valid = change(self.train), change(self.valid)
        target = None if self.target is None else change(self.target)
        valid_target = None if self.valid_target is None else change(self.valid_target)
        return self._replace(train=train, valid=valid, target=target, valid_target=valid_target)

    def order(self) -> Batches:
        """The training rows in the order of the seed, from the beginning."""
        if self.stream is not None:
            self.stream.rewind(self.stream.START)
            return self.stream
        return Order(len(self.train), seed(self.seed, "order"))

    @property
    def gathered(self) -> tuple[Tensor, ...]:
        """What :meth:`order` tells places in: training rows in memory, then their targets if these differ."""
        return self.sets if self.stream is None else (self.stream.window,)

    @property
    def key(self) -> tuple[int, ...]:
        """Names the training rows: tasks of one key read the same ones."""
        return tuple(map(id, self.sets if self.stream is None else (self.stream,)))

    def done(self, step: int) -> float:
        """Where the schedules of the loss stand at a step: the share of the plan's steps, 0 to 1."""
        return step / self.plan.steps if self.fresh else 1.0

    @property
    def settled(self) -> int:
        """The step at which the last schedule of the loss ends; no weights from before it are kept."""
        return whole_steps(self.model.settles, self.plan.steps) if self.fresh else 0

    @property
    def patient(self) -> int:
        """The step from which early stopping counts: all schedules have ended, that of the learning rate included."""
        return max(self.settled, whole_steps(self.plan.warmup, self.plan.steps))


def spacing(parameters: int, plan: Plan, rows: int) -> int:
    """Every how-many-th of so many validation rows is looked at while a model of so many parameters is trained.

    All of them where a look costs little. A large model looks at a third as many rows as it learns from between two
    looks, and at ``LEAST_LOOKED`` at least: the same ones each time, so that what is compared is paired.

    Examples
    --------
    >>> spacing(10_000, Plan(), 4000), spacing(6_000_000, Plan(), 4000), spacing(6_000_000, Plan(), 1500)
    (1, 4, 2)
    """
    if parameters * plan.batch < LARGE:
        return 1
    return -(-rows // max(LEAST_LOOKED, plan.check * plan.batch // 3))


def whole_steps(share: float, steps: int) -> int:
    """How many of ``steps`` it takes until a share of them is done; shares are float32 where a model holds them.

    Examples
    --------
    >>> whole_steps(0.2, 300), whole_steps(0.2, 12)
    (60, 3)
    """
    return math.ceil(share * steps * (1 - 1e-6))
