"""Principal components, in closed form: the bar that every autoencoder must clear.

Pearson (1901), On lines and planes of closest fit to systems of points in space, Philosophical Magazine 2; Baldi and
Hornik (1989), Neural networks and principal component analysis, Neural Networks 2 (a linear autoencoder learns the
same subspace).

    min  E[ ||x - mean - V'V (x - mean)||^2 ] / (2 D),   V V' = I

Solved once, in float64, by a QR and a singular value decomposition of the centred rows. Where we deviate: a code
wider than the data's rank is padded with zeros, and each component's sign makes its largest element positive.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Loss, Model, Recipe, knob
from isthmus.parts import heads
from isthmus.parts.gates import SLACK, first


@dataclass(kw_only=True, eq=False, repr=False)
class PCA(Recipe):
    """The best linear code for squared error, in closed form."""

    family: ClassVar[str] = "pca"
    camp: ClassVar[str] = "rival"

    backbone: str = knob("linear", "Network between data and code: principal components are linear.")
    head: str = knob("gaussian", "Likelihood of the output: squared error is a gaussian's.")

    def capacities(self, shape: Sequence[int], rows: int, near: str | None = None) -> dict[str, dict[str, Any]]:
        """``wide`` has half as many components as there can be."""
        most = min(math.prod(shape), rows) // 2
        return {"wide": {"latents": most}} if most > self.latents else {}

    def _check(self) -> None:
        for field in ("backbone", "hidden", "activation", "norm", "residual", "corruption", "corruption_level"):
            default = getattr(type(self), field)
            if getattr(self, field) != default:
                raise BadInput(
                    f"pca: {field} has no meaning for principal components: leave it at {default!r}; "
                    f"got {getattr(self, field)!r}"
                )
        if self.head not in {"gaussian", "auto"}:
            raise BadInput(f"pca: head must be gaussian (it minimises squared error); got {self.head!r}")
        super()._check()

    def _build(self, shape: tuple[int, ...], head: str) -> PCAModel:
        return PCAModel(shape, self.latents)


class PCAModel(Model):
    """One term, and nothing to train: the mean (D,) and the components (L, D) are buffers that ``start`` sets."""

    mean: Tensor
    components: Tensor

    def __init__(self, shape: tuple[int, ...], latents: int) -> None:
        super().__init__()
        self.shape, self.latents, self.head = shape, latents, "gaussian"
        self.weights = {"reconstruction": 1.0}
        width = math.prod(shape)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("components", torch.eye(latents, width))

    def encode(self, x: Tensor) -> Tensor:
        return (x.flatten(1) - self.mean) @ self.components.t()

    def decode(self, z: Tensor) -> Tensor:
        return (z @ self.components + self.mean).reshape(z.shape[0], *self.shape)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        return Loss({"reconstruction": heads.nll("gaussian", self.decode(self.encode(x)), target).mean()}, {})

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """The mean and the leading components of the rows ``x`` (N, *D)."""
        rows = x.flatten(1).double()
        mean = rows.mean(0)
        _, sizes, axes = torch.linalg.svd(torch.linalg.qr(rows - mean, mode="r").R, full_matrices=False)
        # Directions without variance are arbitrary, and there are at most N - 1 others: they count as zero.
        rank = int((sizes > sizes[0] * max(rows.shape) * torch.finfo(torch.float64).eps).sum())
        axes = axes[: min(rank, self.latents)]
        size = axes.abs()
        largest = first(size >= (1 - SLACK) * size.amax(1, keepdim=True))  # the first among equals, on every processor
        self.mean.copy_(mean)
        self.components.zero_()[: len(axes)].copy_(axes * (axes * largest).sum(1, keepdim=True).sign())
