"""A critic that tells codes from codes, inside one loss: two terms in one sum, each of which sees the other detached.

The critic's own term sees codes without their gradient; the code's term sees the critic's weights without theirs. So
one optimiser step moves either side by its own term alone, as two alternating loops would, and no second loop exists.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

WEIGHT = 0.1
"""Of the critic's term: Adam does not care about its size, and it should not decide which weights are the best."""
SLOPE = 0.2


class Critic(nn.Module):
    """Codes to one logit each: (B, L) -> (B,). Leaky rectifiers between layers.

    Parameters
    ----------
    latents : int
        ``L``.
    hidden : int
        Width of its two hidden layers.
    """

    layers: Any  # an nn.ModuleList of nn.Linear; the stubs of torch lose what it holds

    def __init__(self, latents: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise((latents, hidden, hidden, 1)))

    def forward(self, z: Tensor, *, still: bool = False) -> Tensor:
        """The logit of each code; ``still``: no gradient goes to the critic's weights."""
        h = z
        for i, layer in enumerate(self.layers):
            weight, bias = (p.detach() if still else p for p in (layer.weight, layer.bias))
            h = functional.linear(h, weight, bias)
            h = functional.leaky_relu(h, SLOPE) if i < len(self.layers) - 1 else h
        return h.squeeze(1)


def told_apart(critic: Critic, first: Tensor, second: Tensor) -> Tensor:
    """The critic's own term: cross-entropy of telling ``first`` (logit up) from ``second`` (down), both detached.

    Its best value is twice the Jensen-Shannon divergence below log 4; the logit is then the log ratio of the densities.
    """
    up, down = critic(first.detach()), critic(second.detach())
    return functional.softplus(-up).mean() + functional.softplus(down).mean()


def shuffled(z: Tensor, noise: Tensor) -> Tensor:
    """Each code element taken from another row, independently: a sample of the product of the marginals.

    ``z`` (B, L), ``noise`` (B, L) uniform.
    """
    return z.gather(0, torch.argsort(noise, dim=0))
