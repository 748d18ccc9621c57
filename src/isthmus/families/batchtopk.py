"""BatchTopK sparse autoencoder.

Bussmann, Leask and Nanda (2024), BatchTopK sparse autoencoders, NeurIPS workshop on scientific methods for
understanding deep learning.

    min  E[ -log p(x | z) + aux * -log p(x | sg(z) + z_dead) ] / D,
    z = relu of the k B largest of all f(x - pre) in a batch of B rows;   when it ships: z_j = f_j * 1[f_j > threshold]

A row may use more or fewer than k units, as it needs; k is the mean. So that the code of a row does not depend on its
company, a single threshold replaces the choice at inference: the mean, over training, of the smallest code that
passed. Where we deviate: the border is midway between the smallest code that passed and the next one, for on a code
itself rounding would decide; its mean is a moving average, saved with the model, rather than a pass over data after
training. The average weights step t by (RECENT + 1) / (t + RECENT + 1) until that falls to 1 - decay (Shamir and Zhang
2013, Stochastic gradient descent for non-smooth optimization, ICML, section 4): codes grow fast in the first steps, and
a fixed decay would ship the border of a network that is long gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.families.topk import CHUNK, TopK
from isthmus.model import Loss, knob
from isthmus.parts import heads
from isthmus.parts.dictionary import Dictionary, sampled
from isthmus.parts.gates import tied
from isthmus.parts.penalties import crowding
from isthmus.parts.sparse import Entries, RowDecoder, sparsely
from isthmus.parts.units import HERE, Units

RECENT = 19  # the average's memory is about a twentieth of the steps taken


@dataclass(kw_only=True, eq=False, repr=False)
class BatchTopK(TopK):
    """The largest code elements of a whole batch pass, k a row on average; a saved threshold replaces them later."""

    family: ClassVar[str] = "batchtopk"

    k_aux: int | None = knob(
        None,
        "Dead units of the auxiliary loss in one row (k_aux); null: half as many as a row has elements.",
        low=1,
    )
    decay: float = knob(
        0.99,
        "Decay per step of the threshold's moving average, at most; in the first steps it is lower.",
        stacks=True,
        low=0.0,
        below=1.0,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> BatchTopKModel:
        return BatchTopKModel(self, shape, head)


class BatchTopKModel(Dictionary):
    """Two terms: reconstruction and auxiliary. Remembered besides: the threshold, 0-dim."""

    k: Tensor
    decay: Tensor
    threshold: Tensor
    age: Tensor
    shards = True

    def __init__(self, recipe: BatchTopK, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head, short=True)
        self.limit, self.wide = recipe.limit, recipe.wide
        if self.wide:
            self.stacks = self.replays = False
            self.decoder = RowDecoder(self.decoder)  # type: ignore[assignment]
        if recipe.ortho:
            self.weights |= {"orthogonality": recipe.ortho}
            self.shards = False
        self.register_buffer("k", torch.tensor(recipe.passing), persistent=False)
        self.register_buffer("decay", torch.tensor(float(recipe.decay)), persistent=False)
        self.register_buffer("threshold", torch.zeros(()))
        self.register_buffer("age", torch.zeros(()), persistent=False)

    def gate(self, raw: Tensor) -> Tensor:
        return torch.where(raw > self.threshold, raw, 0.0)

    def train_gate(self, raw: Tensor) -> Tensor:
        rows = len(raw)
        return torch.relu(self.units.topk(raw.reshape(1, -1), self.k * rows, self.limit * rows)).view_as(raw)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        return self.apart()

    def apart(self) -> dict[str, Tensor]:
        """The term that keeps entries of the dictionary apart, if there is one."""
        weighs = "orthogonality" in self.weights
        return {"orthogonality": crowding(self.decoder.dictionary, CHUNK)} if weighs else {}

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        sparse = self.wide and self.training and self.units is HERE  # spread units take the dense step
        return self._sparsely(x, target) if sparse else super().forward(x, target, noise)

    def _sparsely(self, x: Tensor, target: Tensor) -> Loss:
        """``forward`` for a wide code: what fires is decoded, and has gradients; no other unit."""
        last, rows = self.encoder.last, (x - self.pre).flatten(1)
        with torch.no_grad():
            raw = functional.linear(rows, last.weight, last.bias)
            z = self.train_gate(raw)
            dead = self.dead().nonzero().flatten()
        out, costs = self.written(x, target, Entries.among(z))
        misfit = heads.nll(self.head, out, target).mean()
        silent = functional.linear(rows, last.weight[dead], last.bias[dead])
        terms = {"reconstruction": misfit, "auxiliary": self.revived(silent, dead, out, target)}
        return Loss(terms | costs | self.apart(), self.facts(raw, z))

    def written(self, x: Tensor, target: Tensor, found: Entries) -> tuple[Tensor, dict[str, Tensor]]:
        """Raw output (B, *D) of a wide code, and what it costs besides."""
        return sparsely(self, x, found), {}

    def facts(self, raw: Tensor, z: Tensor) -> dict[str, Tensor]:
        return super().facts(raw, z) | {
            "border": border(raw.detach(), z.detach(), self.units),
            "batches": z.new_ones(()),
        }

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """The threshold is the border of the starting rows."""
        super().start(x)
        raw = self.raw(sampled(x))
        self.threshold.copy_(border(raw, self.train_gate(raw)))

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        super().absorb(seen)
        weight = torch.maximum(1 - self.decay, (RECENT + 1) / (self.age + RECENT + 1))
        self.threshold.mul_(1 - weight).add_(weight * seen["border"] / seen["batches"])
        self.age.add_(1)

    def affine(self) -> tuple[Tensor, Tensor, Tensor | int]:
        last = self.encoder.last
        return last.weight, last.bias, self.threshold.expand_as(last.bias)


def border(raw: Tensor, z: Tensor, units: Units = HERE) -> Tensor:
    """Midway from the smallest raw code that passed to the next one below it, or to 0; 0 if none passed. 0-dim.

    ``z`` (B, L) are the ``raw`` ones (B, L) that passed. On the smallest itself, rounding would decide whether it
    passes; those that tie with it, of which a choice of exactly so many leaves some out, are no codes below it.
    """
    least = units.least(torch.where(z > 0, z, torch.inf).amin())
    below = torch.where((raw < least) & ~tied(raw, least, units.most(z.amax())), raw, 0.0).amax().clamp(min=0.0)
    below = units.most(below)
    return torch.where(least < torch.inf, (least + below) / 2, 0.0)
