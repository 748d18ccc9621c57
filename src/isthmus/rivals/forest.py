"""An isolation forest as the cuts of its trees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.errors import BadInput
from isthmus.model import Model, knob
from isthmus.rivals.rival import Rival, RivalRecipe

EULER = 0.5772156649015329


class Forest(Rival):
    """The cuts of an isolation forest: a row goes left where its element is at most the threshold."""

    element: Tensor
    cut: Tensor
    left: Tensor
    right: Tensor
    length: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: IsolationForest) -> None:
        super().__init__(shape, recipe.family)
        self.depth, self.usual = recipe.depth, path(recipe.sample)
        size = (recipe.trees, recipe.nodes)
        for name in ("element", "left", "right"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.int32))
        for name in ("cut", "length"):
            self.register_buffer(name, torch.zeros(size, dtype=torch.float64))

    def score(self, x: Tensor) -> Tensor:
        """``2 ** -(mean path length / that of so many rows)``: (B, *D) -> (B,)."""
        return 2.0 ** -(self.ends(x.flatten(1)) / self.usual)

    def ends(self, rows: Tensor) -> Tensor:
        """The mean over trees of what stands at the leaf that a row comes to, (B, D) -> (B,)."""
        trees = torch.arange(len(self.cut), device=rows.device)
        at = torch.zeros((rows.shape[0], len(self.cut)), dtype=torch.int64, device=rows.device)
        for _ in range(self.depth):
            value = rows.gather(1, self.element[trees, at].long())
            at = torch.where(value <= self.cut[trees, at], self.left[trees, at], self.right[trees, at]).long()
        found: Tensor = self.length[trees, at].mean(1)
        return found

    def check(self) -> None:
        """Every number of a node and of an element is one."""
        for name, most in (
            ("element", math.prod(self.shape)),
            ("left", self.cut.shape[1]),
            ("right", self.cut.shape[1]),
        ):
            if not bool(((values := getattr(self, name)) >= 0).all() and (values < most).all()):
                raise BadInput(f"isolation forest: {name} must lie between 0 and {most - 1}")
        if not bool((self.length >= 0).all()):
            raise BadInput("isolation forest: lengths of paths must be at least 0")


@dataclass(kw_only=True, eq=False, repr=False)
class IsolationForest(RivalRecipe):
    """Isolates rows by random cuts (Liu, Ting and Zhou 2008)."""

    family: ClassVar[str] = "isolation forest"

    trees: int = knob(100, "Trees.", low=1, high=100_000)
    nodes: int = knob(511, "Nodes of a tree, at most.", low=1, high=1 << 20)
    depth: int = knob(8, "Cuts on a path, at most.", low=0, high=64)
    sample: int = knob(256, "Training rows that a tree was grown from.", low=2, high=1 << 30)

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Forest(shape, self)


def path(rows: int) -> float:
    """The mean number of cuts that isolate one of so many rows (Liu, Ting and Zhou 2008, equation 1).

    Examples
    --------
    >>> path(1), path(2), round(path(256), 3)
    (0.0, 1.0, 10.245)
    """
    if rows < 3:
        return float(rows == 2)
    return 2.0 * (math.log(rows - 1.0) + EULER) - 2.0 * (rows - 1.0) / rows


class Size(NamedTuple):
    """What arrays of trees of scikit-learn must hold."""

    trees: int
    nodes: int
    depth: int


def size(trees: Sequence[Any]) -> Size:
    """Of fitted trees (``tree_`` of each)."""
    nodes, depth = (
        max(int(one) for one in of) for of in zip(*((t.node_count, t.max_depth) for t in trees), strict=True)
    )
    return Size(len(trees), nodes, depth)


def cuts(trees: Sequence[Any], columns: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """Trees of scikit-learn, each of some columns, as arrays (trees, nodes); what stands at leaves is not yet there."""
    nodes = size(trees).nodes
    found = {name: np.zeros((len(trees), nodes)) for name in ("element", "cut", "left", "right", "length")}
    for i, (tree, of) in enumerate(zip(trees, columns, strict=True)):
        count, leaf, own = tree.node_count, tree.children_left < 0, np.arange(tree.node_count)
        found["element"][i, :count] = np.where(leaf, 0, of[tree.feature.clip(0)])
        found["cut"][i, :count] = np.where(leaf, 0.0, tree.threshold)
        found["left"][i, :count] = np.where(leaf, own, tree.children_left)  # who has arrived stays
        found["right"][i, :count] = np.where(leaf, own, tree.children_right)
    return found
