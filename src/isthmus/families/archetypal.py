"""Archetypal sparse autoencoder.

Fel, Lubana, Prince, Kowal, Boutin, Papadimitriou, Wang, Wattenberg, Ba and Konkle (2025), Archetypal SAE: adaptive and
stable dictionary learning for concept extraction in large vision models, ICML.

    min  E[ ||x - pre - z D||^2 + aux * ||x - pre - (sg(z D) + z_dead D)||^2 ] / (2 D),   D = W C + V,
    z = relu(top_k(f(x - pre))),
    W >= 0,   rows of W sum to 1,   ||V_j|| <= delta

C are training rows, less their mean, which stay fixed: an entry of the dictionary is a mixture of data, so that it
cannot leave their convex hull by more than ``delta``; the paper finds that other seeds then give much the same one.
With ``delta`` 0 this is the strict form. Both constraints are restored by projection after each step: rows of W onto a
simplex (Duchi, Shalev-Shwartz, Singer and Chandra 2008), rows of V onto a ball. Where we deviate: candidates are rows
evenly spaced through the training set, where the paper takes the centroids of k-means; the mixture is projected, where
the paper rectifies and rescales it; dead units are brought back by the auxiliary term of Gao et al. (2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from isthmus.families.matching import Matching
from isthmus.model import Loss, Model, Range, knob
from isthmus.parts import heads
from isthmus.parts.dictionary import Reviving
from isthmus.parts.gates import topk


@dataclass(kw_only=True, eq=False, repr=False)
class Archetypal(Matching):
    """A dictionary whose entries are mixtures of training rows, or stay close to such mixtures."""

    family: ClassVar[str] = "archetypal"

    k_aux: int | None = knob(
        None,
        "Dead units of the auxiliary loss in one row (k_aux); null: half as many as a row has elements.",
        low=1,
    )
    candidates: int = knob(256, "Training rows that entries are mixtures of, at least 1.", low=1)
    delta: float = knob(
        0.5,
        "How far an entry may lie from its mixture, in scaled units (delta).",
        search=Range(0.05, 2.0, log=True),
        low=0.0,
    )

    def _build(self, shape: tuple[int, ...], head: str) -> Model:
        return ArchetypalModel(self, shape)


def simplex(rows: Tensor) -> Tensor:
    """The nearest rows that are nowhere negative and sum to 1: (n, m) -> (n, m)."""
    ordered = rows.sort(dim=1, descending=True).values
    excess = (ordered.cumsum(1) - 1) / torch.arange(1, rows.shape[1] + 1, dtype=rows.dtype, device=rows.device)
    last = (ordered > excess).sum(1, keepdim=True) - 1
    return torch.relu(rows - excess.gather(1, last.clamp_min(0)))


class ArchetypalModel(Reviving):
    """Two terms: reconstruction and auxiliary. The candidates (C, D) are a buffer that ``start`` sets."""

    points: Tensor

    def __init__(self, recipe: Archetypal, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.latents, self.head = shape, recipe.latents, "gaussian"
        self.k, self.delta, width = recipe.k, recipe.delta, math.prod(shape)
        self.weights, self.size = {"reconstruction": 1.0}, width
        self.wind(recipe, recipe.latents)
        self.pre = nn.Parameter(torch.zeros(width))
        self.encoder = nn.Linear(width, recipe.latents)
        nn.init.zeros_(self.encoder.bias)
        self.mixture = nn.Parameter(simplex(torch.randn(recipe.latents, recipe.candidates)))
        if recipe.delta:
            self.drift = nn.Parameter(torch.zeros(recipe.latents, width))
        self.register_buffer("points", torch.zeros(recipe.candidates, width))

    @property
    def entries(self) -> Tensor:
        """The dictionary, (L, D)."""
        mixed = self.mixture @ self.points
        return mixed + self.drift if self.delta else mixed

    def encode(self, x: Tensor) -> Tensor:
        return self.gate(self.encoder(x.flatten(1) - self.pre))

    def gate(self, raw: Tensor) -> Tensor:
        """The code, from raw ones; each row alone. (B, L) -> (B, L)."""
        return torch.relu(topk(raw, torch.full((), self.k, device=raw.device), self.k))

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.entries + self.pre).reshape(z.shape[0], *self.shape)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        raw = self.encoder(x.flatten(1) - self.pre)
        z, entries = self.gate(raw), self.entries
        out = (z @ entries + self.pre).reshape(x.shape)
        better = out.detach() + (self.helping(raw) @ entries).reshape(x.shape)
        auxiliary = heads.nll("gaussian", better, target).mean() * self.dead().any()
        misfit = heads.nll("gaussian", out, target).mean()
        return Loss({"reconstruction": misfit, "auxiliary": auxiliary}, self.facts(raw, z))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """The mean row, the candidates (in turn again, if there are fewer rows), and an encoder like the dictionary."""
        rows = x.flatten(1)
        self.pre.copy_(rows.mean(0))
        spaced = torch.arange(len(self.points), device=x.device) * len(rows) // len(self.points)
        self.points.copy_(rows[spaced] - self.pre)
        entries = self.entries
        self.encoder.weight.copy_(entries / entries.square().sum(1, keepdim=True).clamp_min(1e-6))

    @torch.no_grad()
    def project(self) -> None:
        """Mixtures back onto the simplex, drifts back into the ball."""
        self.mixture.copy_(simplex(self.mixture))
        if self.delta:
            self.drift.div_((self.drift.norm(dim=1, keepdim=True) / self.delta).clamp_min(1.0))
