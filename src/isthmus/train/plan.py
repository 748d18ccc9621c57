"""How to train: the same plan for every family is what makes a comparison fair."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from isthmus.errors import BadInput

SCHEDULES = ("plateau", "constant", "cosine")
STAGES = ("together", "layerwise")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one model is trained, with Adam (Kingma and Ba 2015) and decoupled weight decay (Loshchilov and Hutter 2019).

    Every ``check`` steps the objective is measured on the validation rows. Weights are kept from the best check.
    Training has *converged* when ``patience`` checks in a row bring no relative improvement above ``tolerance``; the
    plateau schedule first multiplies the learning rate by ``factor``, ``drops`` times. Where something is scheduled (a
    warm-up, an annealing; always as a share of ``steps``), patience begins at its end, and the best check is one after.

    Examples
    --------
    >>> Plan(steps=100).batch
    64
    """

    steps: int = 2500
    """Most optimiser steps."""
    batch: int = 64
    """Rows of a batch. Rows come in a seeded order, epoch after epoch, and every batch is full."""
    learning_rate: float = 5e-3
    """Adam's step size."""
    schedule: str = "plateau"
    """plateau (drop when progress stops), constant, or cosine (to zero at the last step)."""
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises linearly from zero."""
    clip: float | None = None
    """Largest Euclidean norm of a model's gradient; None does not clip."""
    weight_decay: float = 0.0
    """Decoupled weight decay, per step and unit of learning rate."""
    check: int = 50
    """Steps between two looks at the validation rows."""
    patience: int = 3
    """Checks without progress before the learning rate drops, or training stops."""
    tolerance: float = 2e-3
    """Relative improvement of the validation objective that counts as progress."""
    factor: float = 0.2
    """What a drop multiplies the learning rate by."""
    drops: int = 2
    """How often the plateau schedule drops the learning rate before it stops."""
    stages: str = "together"
    """together, or layerwise: the encoder's layers one by one, then the decoder, then all (isthmus.train.stages)."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "check", "patience"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise BadInput(f"plan: {name} must be a whole number of at least 1; got {value!r}")
        if not isinstance(self.drops, int) or isinstance(self.drops, bool) or self.drops < 0:
            raise BadInput(f"plan: drops must be a whole number of at least 0; got {self.drops!r}")
        if not (_number(self.warmup) and 0 <= self.warmup <= 1):
            raise BadInput(
                f"plan: warmup must be a share of the steps, 0 to 1; got {self.warmup!r}: for 250 of 2500 steps "
                "give 0.1"
            )
        if self.schedule not in SCHEDULES:
            raise BadInput(f"plan: schedule must be one of {', '.join(SCHEDULES)}; got {self.schedule!r}")
        if self.stages not in STAGES:
            raise BadInput(f"plan: stages must be one of {', '.join(STAGES)}; got {self.stages!r}")
        if not (_number(self.learning_rate) and 0 < self.learning_rate < math.inf):
            raise BadInput(f"plan: learning_rate must be a positive number; got {self.learning_rate!r}")
        if self.clip is not None and not (_number(self.clip) and 0 < self.clip < math.inf):
            raise BadInput(f"plan: clip must be a positive number or None; got {self.clip!r}")
        for name, top in (("weight_decay", math.inf), ("tolerance", 1.0), ("factor", 1.0)):
            value = getattr(self, name)
            if not (_number(value) and 0 <= value < top):
                raise BadInput(f"plan: {name} must be at least 0 and below {top:g}; got {value!r}")

    def rate(self, step: int) -> float:
        """The scheduled share of the learning rate at a step (the first is 0); plateau drops come on top."""
        share = min(1.0, (step + 1) / (self.warmup * self.steps)) if self.warmup else 1.0
        if self.schedule == "cosine":
            share *= 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return share

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Plan:
        """A plan from plain data; unknown fields are refused."""
        unknown = set(data) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            raise BadInput(f"plan: unknown field {min(unknown)!r}; it has {', '.join(cls.__dataclass_fields__)}")
        return cls(**data)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
