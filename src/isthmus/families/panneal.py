"""Sparse autoencoder with p-annealing: from an L1 penalty towards the number of active units.

Karvonen, Wright, Rager, Angell, Brinkmann, Smith, Verdun, Bau and Marks (2024), Measuring progress in dictionary
learning for language model interpretability with board game models, NeurIPS, section 4.

    min  E[ -log p(x | z) + strength * c_t * sum_j (z_j ||d_j||)^p_t + aux * -log p(x | sg(z) + z_dead) ] / D,
    z = relu(f(x - pre)),   p_t: 1 -> p_end,   c_t+1 = c_t * sum z^p_t / sum z^p_t+1

The exponent falls from 1 to ``p_end`` over the first ``anneal`` of the plan's steps, and the coefficient c is adapted
so that the penalty is as large after a change of p as it was before. Where we deviate: p moves a little at every step
and c is adapted on the batch of the step before, where the paper moves p in a few jumps and averages over the last
batches: the product of the ratios is the same telescope. Both are moved between two steps, so that what is minimised at
a step has the gradient of its value. Codes below ``SMALL`` are penalised with a bounded slope,
(z + SMALL)^p - SMALL^p, for z^p has an infinite one at 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from isthmus.families.sae import SAE, SAEModel
from isthmus.model import Range, Timed, knob
from isthmus.parts.schedule import passed

SMALL = 1e-3


@dataclass(kw_only=True, eq=False, repr=False)
class PAnneal(SAE):
    """Sparse by an Lp penalty whose exponent falls during training, from 1 towards a count of active units."""

    family: ClassVar[str] = "panneal"

    p_end: float = knob(
        0.2,
        "Exponent at the end (p_end), above 0, at most 1.",
        search=Range(0.1, 0.8),
        stacks=True,
        off=1.0,
        above=0.0,
        high=1.0,
    )
    anneal: float = knob(
        0.4, "Share of the plan's steps over which the exponent falls from 1.", stacks=True, low=0.0, high=1.0
    )

    def _build(self, shape: tuple[int, ...], head: str) -> PAnnealModel:
        return PAnnealModel(self, shape, head)


def penalty(z: Tensor, p: Tensor) -> Tensor:
    """Mean over rows of sum_j z_j^p, with a bounded slope at 0; ``z`` (B, L), at least 0 -> 0-dim."""
    return ((z + SMALL) ** p - SMALL**p).sum(1).mean()


def ratio(last: Tensor, now: Tensor) -> Tensor:
    """``last / now``, what keeps a penalty as large as it was; 1 where no unit fires. 0-dim."""
    return torch.where(now > 0, last / now.clamp_min(1e-30), 1.0)


class PAnnealModel(Timed, SAEModel):
    """Terms as for sae. Seen besides: the penalty at the exponent it has and at the clock's. Remembered: p, c."""

    p: Tensor
    coefficient: Tensor
    end: Tensor
    anneal: Tensor

    def __init__(self, recipe: PAnneal, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.register_buffer("p", torch.ones(()))
        self.register_buffer("coefficient", torch.ones(()))
        self.register_buffer("end", torch.tensor(float(recipe.p_end)), persistent=False)
        self.register_buffer("anneal", torch.tensor(float(recipe.anneal)), persistent=False)

    @property
    def settles(self) -> float:
        return max(super().settles, float(self.anneal))

    @property
    def exponent(self) -> Tensor:
        """The clock's exponent, 0-dim; the penalty takes it, with a coefficient that fits, in ``absorb``."""
        return 1 - (1 - self.end) * passed(self.clock, self.anneal)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        return {"sparsity": self.price(z) * self.coefficient * penalty(self.sized(z), self.p) / self.size}

    def facts(self, raw: Tensor, z: Tensor) -> dict[str, Tensor]:
        sized = self.sized(z).detach()
        return super().facts(raw, z) | {"last": penalty(sized, self.p), "now": penalty(sized, self.exponent)}

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Move the exponent to the clock's, and adapt the coefficient to it."""
        super().absorb(seen)
        self.coefficient.mul_(ratio(seen["last"], seen["now"]))
        self.p.copy_(self.exponent)
