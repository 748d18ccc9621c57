"""Higher-order contractive autoencoder (CAE+H).

Rifai, Mesnil, Vincent, Muller, Bengio, Dauphin and Glorot (2011), Higher order contractive auto-encoder, ECML PKDD.

    min  E[ -log p(x | z) + strength * ||J(x)||_F^2 + curvature * mean_k ||J(x) - J(x + e_k)||_F^2 ] / D,
    J = dz/dx,   z = a(f(x)),   e_k ~ N(0, spread^2)

The first penalty flattens the code around training rows, the second keeps its slope the same nearby: its Hessian small,
without computing one. For one sigmoid or tanh layer both are closed forms of its slopes. Where we deviate: for deeper
encoders both are estimated without bias from one random direction for each row, shared by x and x + e; the decoder is
not tied by default, as for ``contractive``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.families.contractive import Contractive, ContractiveModel
from isthmus.model import Loss, Range, knob
from isthmus.parts import penalties


@dataclass(kw_only=True, eq=False, repr=False)
class ContractiveH(Contractive):
    """Penalises the slope of the code and how fast that slope changes."""

    family: ClassVar[str] = "contractive_h"

    curvature: float = knob(
        0.03,
        "Weight of the squared change of the Jacobian between a row and nearby rows (gamma).",
        search=Range(0.003, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    spread: float = knob(0.3, "Standard deviation of the noise that makes nearby rows (sigma).", stacks=True, above=0.0)
    samples: int = knob(2, "Number of nearby rows that each row is compared with.", low=1)

    def _check(self) -> None:
        super()._check()
        if self.estimator == "exact" and self.hidden:
            raise BadInput(
                "contractive_h: a deeper encoder's change of slope is estimated along one direction: set estimator to "
                "jvp; got exact"
            )

    def _build(self, shape: tuple[int, ...], head: str) -> ContractiveHModel:
        return ContractiveHModel(self, shape, head)


class ContractiveHModel(ContractiveModel):
    """Three terms: reconstruction, contraction, curvature. Noise: ``steps`` (B, samples, *D), ``way`` (B, *D)."""

    spread: Tensor

    def __init__(self, recipe: ContractiveH, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.weights |= {"curvature": recipe.curvature}
        self.samples = recipe.samples
        self.register_buffer("spread", torch.tensor(float(recipe.spread)), persistent=False)

    def draw(self, x: Tensor, generator: torch.Generator) -> Any:
        steps = (len(x), self.samples, *x.shape[1:])
        sizes = {"steps": steps, "way": x.shape} if self.estimated else {"steps": steps}
        return {k: torch.randn(s, generator=generator, dtype=x.dtype, device=x.device) for k, s in sizes.items()}

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        steps = torch.ones_like(x).unsqueeze(1) if noise is None else noise["steps"]
        way = torch.ones_like(x) if noise is None or "way" not in noise else noise["way"]
        terms = super().forward(x, target, way if self.estimated else None).terms
        nearby = [x + self.spread * step for step in steps.unbind(1)]
        change = self.bend if self.estimated else self.closed_bend
        bends = torch.stack([change(x, other, way) for other in nearby])
        return Loss(terms | {"curvature": bends.mean() / self.size}, {})

    def closed_bend(self, x: Tensor, other: Tensor, way: Tensor) -> Tensor:
        """Mean squared norm of J(x) - J(other) for one layer: sum_j (a'_j(x) - a'_j(other))^2 ||W_j||^2."""
        gap = penalties.slope(self.encode(x), self.code) - penalties.slope(self.encode(other), self.code)
        return (gap.square() @ self.encoder.last.weight.square().sum(1)).mean()

    def bend(self, x: Tensor, other: Tensor, way: Tensor) -> Tensor:
        """An unbiased estimate of the same for any encoder, along one direction for each row."""
        here, there = (penalties.pushed(self.encode, rows, way) for rows in (x, other))
        return (here - there).square().sum() / len(x)
