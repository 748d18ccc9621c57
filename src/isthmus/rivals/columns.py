"""The score that models get, of bare columns; and the same beside trees that know some anomalies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Model, knob
from isthmus.rivals.around import Around
from isthmus.rivals.forest import Forest, IsolationForest
from isthmus.rivals.rival import Among, Rival
from isthmus.scorer import AROUND, NEAREST, WIDEST

LOGS = 3
"""Distances that trees look at, before the columns."""


class Columns(Rival):
    """Places between training rows in units of the columns, and the score that models get, of these columns."""

    units: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: RawColumns) -> None:
        super().__init__(shape, recipe.family)
        width = math.prod(shape)
        self.register_buffer("units", torch.ones(width, dtype=torch.float64))
        self.around = Around(recipe.places, width, recipe.nearest, diagonal=width > WIDEST)

    def score(self, x: Tensor) -> Tensor:
        """How far from the places, compared with held-out rows: (B, *D) -> (B,)."""
        found: Tensor = self.around(x.flatten(1).double() / self.units)
        return found

    def check(self) -> None:
        """Units are above 0, and so is what is divided by."""
        if not bool((self.units > 0).all()):
            raise BadInput(f"{self.name}: units must be above 0")
        self.around.check(self.name)


class Knowing(Columns):
    """The same, and trees that know some anomalies, each in deviations over held-out normal rows, added."""

    usual: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: TreesOnKnown) -> None:
        super().__init__(shape, recipe)
        grown = IsolationForest(trees=recipe.trees, nodes=recipe.nodes, depth=recipe.depth, sample=2)
        self.trees = Forest((LOGS + math.prod(shape),), grown)
        self.register_buffer("usual", torch.ones((2, 2), dtype=torch.float64))

    def score(self, x: Tensor) -> Tensor:
        """What is far, and what is like a known anomaly: (B, *D) -> (B,)."""
        rows = x.flatten(1).double() / self.units
        logs = self.around.logs(rows)
        both = torch.stack([self.around.added(logs), self.trees.ends(torch.cat([logs, rows], dim=1).float())], dim=1)
        return ((both - self.usual[:, 0]) / self.usual[:, 1]).sum(1)

    def check(self) -> None:
        """As of columns; trees lead somewhere, and deviations are above 0."""
        super().check()
        self.trees.check()
        if not bool((self.usual[:, 1] > 0).all()):
            raise BadInput(f"{self.name}: deviations must be above 0")


@dataclass(kw_only=True, eq=False, repr=False)
class RawColumns(Among):
    """Nearest rows, local outlier factor and Mahalanobis distance, added (:mod:`isthmus.scorer`), of bare columns."""

    family: ClassVar[str] = "raw columns"

    places: int = knob(1000, "Places between training rows.", low=2, high=1 << 24)
    nearest: int = knob(NEAREST, "Which neighbour's distance counts.", low=1, high=AROUND)

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Columns(shape, self)


@dataclass(kw_only=True, eq=False, repr=False)
class TreesOnKnown(RawColumns):
    """That score, and extremely randomised trees that know some anomalies (:mod:`isthmus.facets.known`)."""

    family: ClassVar[str] = "trees on known"

    trees: int = knob(200, "Trees.", low=1, high=100_000)
    nodes: int = knob(511, "Nodes of a tree, at most.", low=1, high=1 << 20)
    depth: int = knob(8, "Cuts on a path, at most.", low=0, high=1024)

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Knowing(shape, self)
