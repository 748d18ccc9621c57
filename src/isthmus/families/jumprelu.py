"""JumpReLU sparse autoencoder.

Rajamanoharan, Lieberum, Sonnerat, Conmy, Varma, Kramar and Nanda (2024), Jumping ahead: improving reconstruction
fidelity with JumpReLU sparse autoencoders; the tanh penalty and the pull on silent units: Conerly, Cunningham,
Templeton, Lindsey, Hosmer and Jermyn (2025), Dictionary learning optimization techniques, Circuits Updates, January
2025.

    min  E[ -log p(x | z) + strength * sum_j s(z_j) + pull * sum_j relu(t_j - f_j) ||d_j||
            + aux * -log p(x | sg(z) + z_dead) ] / D,
    z_j = f_j * 1[f_j > t_j],   f = network of x - pre,   s = 1[f_j > t_j]  or  tanh(steepness * z_j ||d_j||)

The loss is flat in a threshold almost everywhere. Its gradient is estimated through a rectangular window of width
``bandwidth`` around it: d z / d t = -t K / bandwidth and d 1[f > t] / d t = -K / bandwidth, K = 1[|f - t| < bandwidth
/ 2]. Thresholds are kept positive as exponentials. Where we deviate: the bandwidth of the paper, 0.001, is for
activations by the million; a small table needs a wider window to see any row in it. The auxiliary term of Gao et al.
(2024) stands beside the pull on silent units, and each can be switched off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from isthmus.families.sae import SAE, SAEModel
from isthmus.model import Range, knob
from isthmus.parts.dictionary import TINY, Revived, sampled
from isthmus.parts.gates import cut

HOLD = 10.0
"""What a distance from the target costs, as a multiple of what firing costs: with the usual strength 256 units whose
target is 8 end at 9.5 after 300 steps, with a tenth of it at 16 (rows of 64 columns, made of 128 atoms)."""


@dataclass(kw_only=True, eq=False, repr=False)
class JumpReLU(SAE):
    """Each unit has a learnt threshold: below it the unit is silent, above it its value passes unchanged."""

    family: ClassVar[str] = "jumprelu"

    strength: float = knob(
        0.1,
        "Weight of the sparsity penalty (lambda).",
        search=Range(0.01, 1.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    loss: str = knob(
        "step",
        "What is penalised: step (units that fire) or tanh (a bounded function of their size).",
        choices=("step", "tanh"),
    )
    target: float | None = knob(
        None,
        "Units of a row that fire (L0), towards which the penalty pulls from either side; 0: as few as it makes; null: "
        "one in 32 of a code of 256 or more, else 0.",
        low=0.0,
        only=("loss is step", lambda r: r.loss == "step"),
    )
    threshold: float = knob(
        0.1,
        "Threshold of every unit at the start (theta).",
        stacks=True,
        above=0.0,
        only=("no target is given, nor the code wide", lambda r: not r.aim),
    )
    bandwidth: float = knob(
        0.2,
        "Width of the window around a threshold in which it gets a gradient (epsilon).",
        search=Range(0.05, 1.0, log=True),
        stacks=True,
        above=0.0,
    )
    steepness: float = knob(
        4.0,
        "How fast the tanh penalty saturates (c).",
        stacks=True,
        above=0.0,
        only=("loss is tanh", lambda r: r.loss == "tanh"),
    )
    pull: float = knob(
        3e-6,
        "Weight of the distance of silent units to their thresholds (lambda_P); 0 in the 2024 paper.",
        stacks=True,
        off=0.0,
        low=0.0,
    )
    dictionary_norm: str = knob(
        "unit",
        "What keeps codes from shrinking: unit (norm of each entry) or weighted (penalty by its norm).",
        choices=("unit", "weighted"),
    )

    def space(self) -> dict[str, Range]:
        """With a target the strength only holds it."""
        return Revived.space(self) if self.aim else super().space()

    @property
    def aim(self) -> float:
        return super().aim if self.loss == "step" else 0.0

    def _build(self, shape: tuple[int, ...], head: str) -> JumpReLUModel:
        return JumpReLUModel(self, shape, head)


def jump(raw: Tensor, threshold: Tensor, bandwidth: Tensor) -> Tensor:
    """``raw`` where it exceeds ``threshold`` (L,), else 0; (B, L). The threshold gets -threshold K / bandwidth."""
    return torch.where(raw > cut(threshold), raw, 0.0) - threshold.detach() * _felt(raw, threshold, bandwidth)


def step(raw: Tensor, threshold: Tensor, bandwidth: Tensor) -> Tensor:
    """1 where ``raw`` exceeds ``threshold`` (L,), else 0; (B, L). Only the threshold has a gradient, -K / bandwidth."""
    return (raw > cut(threshold)).to(raw.dtype) - _felt(raw, threshold, bandwidth)


def _felt(raw: Tensor, threshold: Tensor, bandwidth: Tensor) -> Tensor:
    """Zero, with the gradient K / bandwidth for the threshold: the window of a rectangular kernel."""
    inside = (raw - threshold).detach().abs() < bandwidth / 2
    return inside / bandwidth * (threshold - threshold.detach())


class JumpReLUModel(SAEModel):
    """Four terms: those of sae and pull."""

    estimated_gradients = ("log_threshold",)
    resting: tuple[str, ...] = ("auxiliary", "pull")
    bandwidth: Tensor
    steepness: Tensor

    def __init__(self, recipe: JumpReLU, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        self.loss = recipe.loss
        self.weights |= {"pull": recipe.pull}
        self.log_threshold = nn.Parameter(torch.full((recipe.latents,), math.log(recipe.threshold)))
        self.register_buffer("bandwidth", torch.tensor(float(recipe.bandwidth)), persistent=False)
        self.register_buffer("steepness", torch.tensor(float(recipe.steepness)), persistent=False)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """With a target, thresholds start where so many units fire."""
        super().start(x)
        if self.target:
            some = sampled(x)
            raw = self.raw(some).flatten()
            passing = max(1, min(len(raw), round(self.target * len(some))))
            self.log_threshold.fill_(raw.topk(passing).values[-1].clamp_min(TINY).log())
            self.level(some)

    def gate(self, raw: Tensor) -> Tensor:
        return jump(raw, torch.exp(self.log_threshold), self.bandwidth)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        threshold = torch.exp(self.log_threshold)
        if self.loss == "step":
            paid = step(raw, threshold, self.bandwidth).sum(1).mean()
        else:
            paid = torch.tanh(self.steepness * self.sized(z)).sum(1).mean()
        if self.target:
            paid = HOLD * (paid - self.target).square() / self.target
        short = self.sized(torch.relu(threshold - raw))
        return {"sparsity": paid / self.size, "pull": short.sum(1).mean() / self.size}

    def affine(self) -> tuple[Tensor, Tensor, Tensor | int]:
        last = self.encoder.last
        return last.weight, last.bias, cut(torch.exp(self.log_threshold))
