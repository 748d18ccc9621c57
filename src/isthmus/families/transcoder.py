"""Transcoder, with a linear skip if wanted.

Dunefsky, Chlenski and Nanda (2024), Transcoders find interpretable LLM feature circuits, NeurIPS; the skip: Paulo,
Shabalin and Belrose (2025), Transcoders beat sparse autoencoders for interpretability, arXiv 2501.18823.

    min  E[ -log p(y | z, s) + strength * sum_j z_j ||d_j|| + aux * -log p(y | sg(z) + z_dead, s) ] / E,
    z = gate(f(x)),   s = A x,   p's mean = g(z) + B s

The target y (*E) is not the input: the output of a layer whose input is x, or anything else that goes with a row. The
gate lets the k largest code elements pass (topk) or rectifies them all and pays for them (relu). The skip is a linear
map of rank ``skip``; its values s are the last elements of the code, so that the code alone gives the prediction, and
``latents`` counts them. A rank of D elements or more is no restriction. It starts as the best linear map of that rank
(reduced-rank regression), and the sparse part explains what is left. Where we deviate: the papers' skip has full rank
and starts from zero; dead units are brought back by the auxiliary term of Gao et al. (2024), as in ``sae``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from isthmus.errors import BadInput
from isthmus.model import Loss, Model, Range, knob
from isthmus.parts import heads
from isthmus.parts.backbones import decoder
from isthmus.parts.dictionary import Revived, Reviving, helped
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.gates import topk


@dataclass(kw_only=True, eq=False, repr=False)
class Transcoder(Revived):
    """Predicts a target other than the row itself from a sparse code of the row."""

    family: ClassVar[str] = "transcoder"
    camp: ClassVar[str] = "sparse dictionary"
    wants: ClassVar[str] = "a target for each row (fit(..., target=...))"
    targets: ClassVar[bool] = True

    gate: str = knob(
        "topk",
        "What makes the code sparse: topk (the k largest pass) or relu (with a penalty).",
        choices=("topk", "relu"),
    )
    k: int = knob(
        4,
        "Code elements that pass the gate topk, without those of the skip.",
        search=Range(1, 8, whole=True),
        low=1,
        only=("gate is topk", lambda r: r.gate == "topk"),
    )
    strength: float = knob(
        0.03,
        "Weight of the sparsity penalty of the gate relu.",
        search=Range(0.003, 0.3, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
        only=("gate is relu", lambda r: r.gate == "relu"),
    )
    skip: int = knob(
        0, "Rank of the linear skip; its values are the last elements of the code. 0 is no skip.", off=0, low=0
    )

    def _check(self) -> None:
        super()._check()
        if self.skip >= self.latents:
            raise BadInput(f"transcoder: skip must be from 0 to below latents = {self.latents}; got {self.skip!r}")
        units = self.latents - self.skip
        if self.gate == "topk" and self.k > units:
            raise BadInput(f"transcoder: k must be from 1 to latents - skip = {units}; got {self.k!r}")

    def space(self) -> dict[str, Range]:
        """``k`` is drawn from 1 to half the units, where it has an effect."""
        found = super().space()
        return found | ({"k": Range(1, max(1, (self.latents - self.skip) // 2), whole=True)} if "k" in found else {})

    def _build(self, shape: tuple[int, ...], head: str, out: tuple[int, ...] | None = None) -> Model:
        return TranscoderModel(self, shape, head, out or shape)


class TranscoderModel(Reviving, EncoderDecoder):
    """Terms: reconstruction (of the target), auxiliary, and sparsity if the gate is relu."""

    def __init__(self, recipe: Transcoder, shape: tuple[int, ...], head: str, out: tuple[int, ...]) -> None:
        units = dataclasses.replace(recipe, latents=recipe.latents - recipe.skip, skip=0)
        super().__init__(units, shape, head)
        self.latents, self.gated, self.skip = recipe.latents, units.latents, recipe.skip
        self.gate, self.k = recipe.gate, recipe.k
        self.wind(recipe, units.latents)
        self.decoder = decoder(units, out, None)
        width, self.size = self.size, math.prod(out)
        if self.gate == "relu":
            self.weights |= {"sparsity": recipe.strength}
        if self.skip:
            self.down, self.up = nn.Linear(width, self.skip, bias=False), nn.Linear(self.skip, self.size, bias=False)

    def encode(self, x: Tensor) -> Tensor:
        return self.beside(self.passed(self.encoder(x)), x)

    def passed(self, raw: Tensor) -> Tensor:
        """What the gate lets through, (B, units) -> (B, units)."""
        return torch.relu(topk(raw, torch.full((), self.k, device=raw.device), self.k) if self.gate == "topk" else raw)

    def beside(self, z: Tensor, x: Tensor) -> Tensor:
        """The code of the units with the values of the skip behind it, (B, L)."""
        return torch.cat([z, self.down(x.flatten(1))], 1) if self.skip else z

    def raw(self, z: Tensor) -> Tensor:
        """Raw output, (B, L) -> (B, *E)."""
        out = self.decoder(z[:, : self.gated])
        return out + self.up(z[:, self.gated :]).reshape(out.shape) if self.skip else out

    def decode(self, z: Tensor) -> Tensor:
        return heads.mean(self.head, self.raw(z))

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        fresh = self.encoder(x)
        z = self.passed(fresh)
        out = self.raw(self.beside(z, x))
        better = helped(self.decoder, z, out, self.helping(fresh))
        auxiliary = heads.nll(self.head, better, target).mean() * self.dead().any()
        terms = {"reconstruction": heads.nll(self.head, out, target).mean(), "auxiliary": auxiliary}
        if self.gate == "relu":
            terms["sparsity"] = (z @ self.decoder.dictionary.norm(dim=0)).mean() / self.size
        return Loss(terms, self.facts(fresh, z))

    @torch.no_grad()
    def start(self, x: Tensor, target: Tensor | None = None) -> None:
        """The skip by reduced-rank regression, then two biases: codes centred, and predictions right on average."""
        wanted = heads.link(self.head, x if target is None else target).flatten(1)
        if self.skip:
            rows, aims = x.flatten(1).double(), wanted.double()
            rows, aims = rows - rows.mean(0), aims - aims.mean(0)
            best = torch.linalg.lstsq(rows, aims, driver="gelsd").solution
            axes = torch.linalg.svd(rows @ best, full_matrices=False).Vh[: self.skip]
            self.down.weight[: len(axes)] = (best @ axes.t()).t().to(x.dtype)
            self.up.weight.zero_()
            self.up.weight[:, : len(axes)] = axes.t().to(x.dtype)
        self.encoder.last.bias.sub_(self.encoder(x).mean(0))
        self.decoder.last_bias.add_(wanted.mean(0) - self.raw(self.encode(x)).flatten(1).mean(0))
