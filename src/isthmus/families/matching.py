"""Matching-pursuit autoencoder.

Costa, Fel, Lubana, Tolooshams and Ba (2025), From flat to hierarchical: extracting sparse representations with
matching pursuit, NeurIPS; the pursuit: Mallat and Zhang (1993), Matching pursuits with time-frequency dictionaries,
IEEE Transactions on Signal Processing 41.

    min  E[ ||r_k||^2 + aux * ||r_k - z_dead D||^2 ] / (2 D),
    r_0 = x - pre,   j = argmax r_t'd_j,   r_t+1 = r_t - relu(r_t'd_j) d_j

There is no encoder beyond the dictionary: k times, the entry most like what is left of a row is taken and its part
subtracted. So later entries explain what earlier ones left, residuals never grow, and more steps than in training may
be taken. Entries have unit norm; one that is taken twice adds to its code element. An entry is dead when no row took it
for ``dead_after`` training rows; z_dead goes on with what is left of a row, by ``k_aux`` further steps among dead
entries. Where we deviate: the paper brings no entry back; the head is gaussian, for a pursuit works in the units of the
data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.model import Loss, Model, Range, knob
from isthmus.parts import heads
from isthmus.parts.dictionary import Revived, Reviving, normalise
from isthmus.parts.gates import counts, topk


@dataclass(kw_only=True, eq=False, repr=False)
class Matching(Revived):
    """Takes the best entry of a dictionary, subtracts it, and goes on with what is left, k times."""

    family: ClassVar[str] = "matching"
    camp: ClassVar[str] = "sparse dictionary"

    backbone: str = knob("linear", "Network between data and code: a dictionary is linear.")
    head: str = knob("gaussian", "Likelihood of the output: squared error is a gaussian's.")
    k: int = knob(4, "Entries that a row takes, at least 1 and at most latents.", search=Range(1, 8, whole=True), low=1)
    k_aux: int | None = knob(None, "Dead entries that go on with what is left of a row (k_aux); null: one.", low=1)

    def space(self) -> dict[str, Range]:
        """``k`` is drawn as the width has it: :func:`isthmus.parts.gates.counts`."""
        return super().space() | {"k": counts(self.latents)}

    def capacities(self, shape: Sequence[int], rows: int, near: str | None = None) -> dict[str, dict[str, Any]]:
        """Wider dictionaries; there is nothing to make deeper."""
        return {name: one for name, one in super().capacities(shape, rows, near).items() if "latents" in one}

    def _check(self) -> None:
        linear = {"backbone": "linear", "hidden": (), "activation": "relu", "norm": "none", "residual": False}
        odd = [f"{field}={getattr(self, field)!r}" for field, only in linear.items() if getattr(self, field) != only]
        if odd:
            raise BadInput(f"{self.family}: it has one dictionary and no other layers; leave out {', '.join(odd)}")
        if self.head not in {"gaussian", "auto"}:
            raise BadInput(f"{self.family}: head must be gaussian, the units of the data; got {self.head!r}")
        super()._check()
        if self.k > self.latents:
            raise BadInput(f"{self.family}: k must be from 1 to latents = {self.latents}; got {self.k!r}")

    def _build(self, shape: tuple[int, ...], head: str) -> Model:
        return MatchingModel(self, shape)


def pursue(x: Tensor, entries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Codes (B, L) and what is left (B, D) after ``k`` steps on rows ``x`` (B, D) with unit-norm ``entries`` (L, D)."""
    left, code = x, torch.zeros_like(x @ entries.t())
    one = torch.ones((), dtype=torch.int64, device=x.device)
    for _ in range(k):
        step = torch.relu(topk(left @ entries.t(), one, 1))
        left, code = left - step @ entries, code + step
    return code, left


class MatchingModel(Reviving):
    """Two terms: reconstruction and auxiliary. Parameters: the pre-bias (D,) and the dictionary (L, D)."""

    def __init__(self, recipe: Matching, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.latents, self.head, self.k = shape, recipe.latents, "gaussian", recipe.k
        self.weights = {"reconstruction": 1.0}
        width = self.size = math.prod(shape)
        self.wind(recipe, recipe.latents, k_aux=1)
        self.pre = nn.Parameter(torch.zeros(width))
        self.entries = nn.Parameter(functional.normalize(torch.randn(recipe.latents, width), dim=1))

    def encode(self, x: Tensor) -> Tensor:
        return pursue(x.flatten(1) - self.pre, self.entries, self.k)[0]

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.entries + self.pre).reshape(z.shape[0], *self.shape)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        z, left = pursue(x.flatten(1) - self.pre, self.entries, self.k)
        out = self.decode(z)
        dead = self.dead()
        gone = self.entries * dead.unsqueeze(1)  # entries of length 0 are never taken
        added = pursue(left.detach(), gone, self.k_aux)[0] @ gone
        better = heads.nll("gaussian", out.detach() + added.reshape(out.shape), target).mean()
        misfit = heads.nll("gaussian", out, target).mean()
        return Loss({"reconstruction": misfit, "auxiliary": better * dead.any()}, self.facts(left, z))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """The pre-bias is the mean row."""
        self.pre.copy_(x.flatten(1).mean(0))

    @torch.no_grad()
    def project(self) -> None:
        """Entries back to unit norm: only then does a step leave less than there was."""
        normalise(self.entries.t())
