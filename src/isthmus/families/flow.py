"""Variational autoencoder whose posterior is bent by planar flows.

Rezende and Mohamed (2015), Variational inference with normalizing flows, ICML.

    min  E[ -log p(x | z_K) + beta * (log q_0(z_0 | x) - sum_k log |1 + u_k' psi_k| - log p(z_K)) ] / D,
    z_k = z_k-1 + u_k tanh(w_k' z_k-1 + b_k),   psi_k = (1 - tanh^2) w_k

Each flow pushes codes apart or together along one direction, so that the posterior need not be a normal with
independent elements. u_k, w_k, b_k come from the encoder, one set for each row. Where we deviate: ``encode`` is what
the flows make of the posterior's mean, not a mean of what they make of its draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.model import Loss, Range, knob
from isthmus.parts.divergences import log_normal
from isthmus.parts.posterior import LOG_VARIANCE, Posterior, Variational, sample


@dataclass(kw_only=True, eq=False, repr=False)
class Flow(Variational):
    """A variational code whose posterior is a normal distribution bent by learnt planar flows."""

    family: ClassVar[str] = "flow"
    camp: ClassVar[str] = "generative"

    beta: float = knob(
        1.0,
        "Weight of the divergence from the prior.",
        search=Range(0.02, 2.0, log=True),
        stacks=True,
        off=0.0,
        low=0.0,
    )
    flows: int = knob(4, "Planar flows, one after the other (K); 0 is the VAE.", off=0, low=0)

    def _build(self, shape: tuple[int, ...], head: str) -> FlowModel:
        return FlowModel(self, shape, head)


class FlowModel(Posterior):
    """Two terms: reconstruction and kl (of one draw; it may fall below 0)."""

    def __init__(self, recipe: Flow, shape: tuple[int, ...], head: str) -> None:
        own = recipe.flows * (2 * recipe.latents + 1)
        super().__init__(recipe, shape, head, more=own)
        self.flows = recipe.flows
        self.weights |= {"kl": recipe.ramped(recipe.beta)}

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and log variance of q_0(z | x), (B, L), and the flows' u, w and b, (B, K, 2 L + 1)."""
        raw = self.encoder(x)
        mean, log_variance = raw[:, : 2 * self.latents].chunk(2, dim=1)
        flows = raw[:, 2 * self.latents :].reshape(x.shape[0], self.flows, 2 * self.latents + 1)
        return mean, log_variance.clamp(-LOG_VARIANCE, LOG_VARIANCE), flows

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(x)[:2]

    def bent(self, z: Tensor, flows: Tensor) -> tuple[Tensor, Tensor]:
        """Codes after all flows, and the log determinant of the map: (B, L), (B, K, 2 L + 1) -> (B, L), (B,)."""
        stretch = torch.zeros_like(z[:, 0])
        for k in range(self.flows):
            u, w, b = flows[:, k].split([self.latents, self.latents, 1], dim=1)
            z, more = planar(z, u, w, b)
            stretch = stretch + more
        return z, stretch

    def encode(self, x: Tensor) -> Tensor:
        """What the flows make of the posterior's mean."""
        mean, _, flows = self.split(x)
        return self.bent(mean, flows)[0]

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        mean, log_variance, flows = self.split(x)
        first = mean if noise is None else sample(mean, log_variance, noise)
        z, stretch = self.bent(first, flows)
        error, seen = self.likelihood(z, target)
        paid = log_normal(first, mean, log_variance).sum(1) - stretch - self.log_prior(z)
        return Loss({"reconstruction": error, "kl": paid.mean() / self.size}, seen)

    def proposals(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        k = noise.shape[1]
        mean, log_variance, flows = (part.repeat_interleave(k, 0) for part in self.split(x))
        first = sample(mean, log_variance, noise.flatten(0, 1))
        z, stretch = self.bent(first, flows)
        ratio = self.log_prior(z) - log_normal(first, mean, log_variance).sum(1) + stretch
        return z.view(x.shape[0], k, -1), ratio.view(len(x), k)


def planar(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """One planar flow and its log determinant: all (B, L) but ``b`` (B, 1) -> (B, L), (B,).

    ``u`` is moved along ``w`` until w'u > -1, which makes the map invertible (the paper's appendix A.1).
    """
    inner = (w * u).sum(1, keepdim=True)
    u = u + (functional.softplus(inner) - 1 - inner) * w / (w.square().sum(1, keepdim=True) + 1e-8)
    bend = torch.tanh((w * z).sum(1, keepdim=True) + b)
    slope = 1 + (1 - bend.square()) * (u * w).sum(1, keepdim=True)
    return z + u * bend, torch.log(slope.abs() + 1e-8).squeeze(1)
