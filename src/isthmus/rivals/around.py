"""How far rows lie from where training rows lie: :meth:`isthmus.scorer.Crowd.scores` in operations of a graph."""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from isthmus.errors import BadInput
from isthmus.metrics.probes import neighbours
from isthmus.scorer import AROUND, CALM, Crowd, whitening


def closest(known: Tensor, asked: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Euclidean distances to, and numbers of, the ``k`` nearest places, in any order, in operations that graphs have.

    ``known`` (n, C), ``asked`` (m, C), both near 0 so that squares lose little -> (m, k), (m, k).
    """
    # |a - b|^2 less |a|^2, the same for all b, is one product: nothing else passes over all pairs. It says who is near,
    # and of two rows that are nearly the same not how far they are: that is asked of the few that were found.
    numbers = torch.addmm(-known.square().sum(1), asked, 2 * known.t()).topk(k, dim=1, sorted=False).indices
    return torch.stack([(asked - known[numbers[:, i]]).square().sum(1) for i in range(k)], dim=1).sqrt(), numbers


class Around(nn.Module):
    """Places (B, C) -> scores (B,), all in float64; its parameters are those of :meth:`parameters_of`."""

    known: Tensor
    reach: Tensor
    density: Tensor
    centre: Tensor
    whiten: Tensor
    usual: Tensor
    weights: Tensor
    calm: Tensor

    def __init__(self, places: int, width: int, nearest: int, *, diagonal: bool) -> None:
        super().__init__()
        self.nearest, self.count = nearest, min(AROUND, places - 1)
        sizes = {"known": (places, width), "reach": (places,), "density": (places,), "centre": (width,)}
        sizes |= {"whiten": (width,) if diagonal else (width, width), "usual": (3, 2), "weights": (3,), "calm": ()}
        for name, size in sizes.items():
            self.register_buffer(name, torch.ones(size, dtype=torch.float64))

    @staticmethod
    def parameters_of(crowd: Crowd) -> dict[str, NDArray[np.float64]]:
        """Its buffers, by name; places are told from their mean on."""
        centre = crowd.known.mean(axis=0)
        return {
            "known": crowd.known - centre,
            "reach": crowd.reach,
            "density": crowd.density,
            "centre": centre,
            "whiten": whitening(crowd.known, CALM),
            "usual": crowd.usual,
            "weights": crowd.weights,
            "calm": np.array(crowd.calm),
        }

    @classmethod
    def of(cls, crowd: Crowd) -> Self:
        """The network of a crowd; places that are among the nearest of many come first, as a search likes them."""
        found = cls.parameters_of(crowd)
        places, width = crowd.known.shape
        often = np.bincount(neighbours(crowd.known, AROUND)(crowd.known)[1].ravel(), minlength=places)
        order = np.argsort(-often, kind="stable")
        found |= {name: found[name][order] for name in ("known", "reach", "density")}
        made = cls(places, width, crowd.nearest, diagonal=found["whiten"].ndim == 1)
        made.load_state_dict({name: torch.from_numpy(values) for name, values in found.items()})
        return made

    def forward(self, place: Tensor) -> Tensor:
        """Places (B, C) -> scores (B,)."""
        return self.added(self.logs(place))

    def logs(self, place: Tensor) -> Tensor:
        """The three distances of places (B, C), as logarithms, (B, 3)."""
        place = place - self.centre
        distances, numbers = closest(self.known, place, self.count)
        sparse = torch.maximum(distances, self.reach[numbers]).mean(1) + self.calm
        white = place * self.whiten if self.whiten.ndim == 1 else place @ self.whiten
        three = [
            distances.topk(min(self.nearest, self.count), dim=1, largest=False).values.amax(1) + self.calm,
            self.density[numbers].mean(1) * sparse,
            white.square().sum(1).sqrt() + CALM,
        ]
        return torch.stack(three, dim=1).log()

    def added(self, logs: Tensor) -> Tensor:
        """Their weighted sum, each in deviations over held-out rows: (B, 3) -> (B,)."""
        return ((logs - self.usual[:, 0]) / self.usual[:, 1]) @ self.weights

    def check(self, name: str) -> None:
        """Refuse numbers, from a file, of which no logarithm or quotient is one."""
        if not bool(min(self.density.min(), self.usual[:, 1].min(), self.calm) > 0 and self.reach.min() >= 0):
            raise BadInput(f"{name}: densities, deviations and calm must be above 0, and no reach below it")
        if not bool(self.weights.min() >= 0 and self.weights.max() > 0):
            raise BadInput(f"{name}: no weight may be below 0, and one must be above it")
