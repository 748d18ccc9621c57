"""How to train: the same plan for every family is what makes a comparison fair."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from isthmus.data.wording import meant
from isthmus.errors import BadInput
from isthmus.model import Recipe, heard, knob, within

RATE = 5e-3
"""The learning rate of a family of pace 1."""


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

    steps: int = knob(2500, "Most optimiser steps.", low=1)
    batch: int = knob(
        64, "Rows of a batch. Rows come in a seeded order, epoch after epoch, and every batch is full.", low=1
    )
    learning_rate: float | None = knob(
        None,
        "Adam's step size; null: 0.005, and 0.02 for kl, contractive and contractive_h, which learn slowly.",
        above=0.0,
    )
    schedule: str = knob(
        "plateau",
        "plateau (drop the learning rate when progress stops), constant, or cosine (to zero at the last step).",
        choices=("plateau", "constant", "cosine"),
    )
    warmup: float = knob(
        0.0,
        "Share of the steps over which the learning rate rises linearly from zero: 0.1 for 250 of 2500 steps.",
        low=0.0,
        high=1.0,
    )
    clip: float | None = knob(None, "Largest Euclidean norm of a model's gradient; null does not clip.", above=0.0)
    weight_decay: float = knob(0.0, "Decoupled weight decay, per step and unit of learning rate.", low=0.0)
    check: int = knob(50, "Steps between two looks at the validation rows.", low=1)
    patience: int = knob(
        3,
        "Checks without progress before the learning rate drops, or training stops.",
        low=1,
        only=("schedule is plateau or constant", lambda plan: plan.schedule != "cosine"),
    )
    tolerance: float = knob(
        2e-3,
        "Relative improvement of the validation objective that counts as progress.",
        low=0.0,
        below=1.0,
        only=("schedule is plateau or constant", lambda plan: plan.schedule != "cosine"),
    )
    factor: float = knob(
        0.2,
        "What a drop multiplies the learning rate by.",
        low=0.0,
        below=1.0,
        only=("schedule is plateau and drops above 0", lambda plan: plan.schedule == "plateau" and plan.drops > 0),
    )
    drops: int = knob(
        2,
        "How often the plateau schedule drops the learning rate before it stops.",
        low=0,
        only=("schedule is plateau", lambda plan: plan.schedule == "plateau"),
    )
    stages: str = knob(
        "together",
        "together, or layerwise: the encoder's layers one by one, then the decoder, then all (isthmus.train.stages).",
        choices=("together", "layerwise"),
    )
    precision: str = knob(
        "float32",
        "float32, or bfloat16: products of a training step in half the bits; weights, sums and losses stay float32.",
        choices=("float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        within(self, "plan")
        heard(self, "plan")

    def step_size(self, recipe: Recipe, size: int = 1) -> float:
        """The learning rate, which may be left to the family, for rows of ``size`` elements."""
        return RATE * recipe.tempo(size) if self.learning_rate is None else self.learning_rate

    def of(self, recipe: Recipe, size: int = 1) -> Plan:
        """This plan with a number for a learning rate, for rows of ``size`` elements.

        Examples
        --------
        >>> Plan().of(Recipe(), 64).learning_rate, Plan(learning_rate=0.1).of(Recipe(), 64).learning_rate
        (0.005, 0.1)
        """
        return replace(self, learning_rate=self.step_size(recipe, size))

    def rate(self, step: int) -> float:
        """The scheduled share of the learning rate at a step (the first is 0); plateau drops come on top."""
        share = min(1.0, (step + 1) / (self.warmup * self.steps)) if self.warmup else 1.0
        if self.schedule == "cosine":
            share *= 0.5 * (1.0 + math.cos(math.pi * step / self.steps))
        return share

    def to_json(self) -> dict[str, Any]:
        """Plain data. Without ``precision`` where that is usual: what was kept before there was a choice goes on."""
        fields = dataclasses.asdict(self)
        return (
            fields if self.precision != type(self).precision else {k: v for k, v in fields.items() if k != "precision"}
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """A plan from plain data; unknown fields are refused."""
        unknown = set(data) - {f.name for f in dataclasses.fields(cls)}
        if unknown:
            fields, name = list(cls.__dataclass_fields__), str(min(unknown))
            raise BadInput(f"plan: unknown field {name!r}" + (meant(name, fields) or "; it has " + ", ".join(fields)))
        return cls(**data)
