"""Rivals of autoencoders, as networks of parameters, so that they ship as families do: no pickle, no training row.

Those that find anomalies score rows and do nothing else. An isolation forest is the cuts of its trees, principal
components are axes and variances; kNN and raw columns keep places between training rows in the stead of the rows
(:func:`isthmus.scorer.blended`), and ECOD places between values of a column, so that their scores are close to those
that a study measured, and not the same. Marginalised denoising and rounding have codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.layout import Layout
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Splits
from isthmus.facets.known import known
from isthmus.facets.outliers import crowd, forest, neighbours, principal, tails
from isthmus.facets.rivals import SOLVED
from isthmus.metrics.probes import NEIGHBOURS
from isthmus.model import Model, Recipe, knob
from isthmus.scorer import AROUND, NEAREST, WIDEST, Crowd, blended
from isthmus.seeds import seed as hashed
from isthmus.ship.around import Around, closest
from isthmus.train.inference import Inference
from isthmus.train.likelihood import likelihood, spoken

EULER = 0.5772156649015329
LOGS = 3
"""Distances that trees look at, before the columns."""
MOST_PLACES = 10_000
"""Between values of a column."""


class Rival(Model):
    """What scores rows without coding them."""

    def __init__(self, shape: tuple[int, ...], name: str) -> None:
        super().__init__()
        self.shape, self.latents, self.weights, self.name = shape, 1, {}, name

    def encode(self, x: Tensor) -> Tensor:
        raise BadInput(f"{self.name} scores rows and has no codes of them; take a family of autoencoders for that")

    def decode(self, z: Tensor) -> Tensor:
        return self.encode(z)

    def check(self) -> None:
        """Refuse parameters, from a file, that no training ends with."""


@dataclass(kw_only=True, eq=False, repr=False)
class RivalRecipe(Recipe):
    """A rival's sizes: what its parameters' shapes follow from."""

    camp: ClassVar[str] = "rival"

    def to_json(self) -> dict[str, Any]:
        """Its own sizes only: of layers and codes it has none."""
        known = Recipe.__dataclass_fields__
        return {"family": self.family, **{k: v for k, v in super().to_json().items() if k not in {"family", *known}}}


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


class Near(Rival):
    """Places between training rows; a row is as odd as the fifth nearest is far."""

    known: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: Neighbours) -> None:
        super().__init__(shape, recipe.family)
        self.register_buffer("known", torch.zeros((recipe.places, math.prod(shape))))

    def score(self, x: Tensor) -> Tensor:
        """Distance to the fifth nearest place: (B, *D) -> (B,)."""
        known = self.known.double()
        centre = known.mean(0)
        distances, _ = closest(known - centre, x.flatten(1).double() - centre, min(NEIGHBOURS, len(known)))
        return distances.amax(1)


@dataclass(kw_only=True, eq=False, repr=False)
class Among(RivalRecipe):
    """That of a rival which compares rows with places between training rows."""

    places: int = knob(1000, "Places between training rows.", low=1, high=1 << 24)


@dataclass(kw_only=True, eq=False, repr=False)
class Neighbours(Among):
    """The distance to the fifth nearest training row (Ramaswamy, Rastogi and Shim 2000), of places between them."""

    family: ClassVar[str] = "knn"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Near(shape, self)


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


class Axes(Rival):
    """Principal axes with their variances, and one noise."""

    mean: Tensor
    axes: Tensor
    variances: Tensor
    noise: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: PrincipalAxes) -> None:
        super().__init__(shape, recipe.family)
        width = math.prod(shape)
        sizes = {"mean": (width,), "axes": (width, recipe.components), "variances": (recipe.components,), "noise": ()}
        for name, size in sizes.items():
            self.register_buffer(name, torch.ones(size, dtype=torch.float64))

    def score(self, x: Tensor) -> Tensor:
        """Minus the log-likelihood: (B, *D) -> (B,)."""
        centred = x.flatten(1).double() - self.mean
        parts = (centred @ self.axes).square()
        rest = (centred.square().sum(1) - parts.sum(1)).clamp_min(0)
        width, count = self.axes.shape
        constant = width * math.log(2 * math.pi) + self.variances.log().sum() + (width - count) * self.noise.log()
        return (constant + (parts / self.variances).sum(1) + rest / self.noise) / 2

    def check(self) -> None:
        """Variances are above 0."""
        if not bool((self.variances > 0).all() and self.noise > 0):
            raise BadInput("probabilistic pca: variances must be above 0")


@dataclass(kw_only=True, eq=False, repr=False)
class PrincipalAxes(RivalRecipe):
    """How unlikely a row is under principal components with noise (Tipping and Bishop 1999)."""

    family: ClassVar[str] = "probabilistic pca"

    components: int = knob(1, "Principal components.", low=0, high=1 << 20)

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Axes(shape, self)


class Sides(Rival):
    """Places between the values of each column; a row is as odd as the tails in which it lies are thin."""

    known: Tensor
    left_skewed: Tensor

    def __init__(self, shape: tuple[int, ...], recipe: EmpiricalTails) -> None:
        super().__init__(shape, recipe.family)
        width = math.prod(shape)
        self.register_buffer("known", torch.zeros((width, recipe.places), dtype=torch.float64))
        self.register_buffer("left_skewed", torch.zeros(width, dtype=torch.bool))

    def score(self, x: Tensor) -> Tensor:
        """The largest of three sums of minus logarithms of tails (:class:`isthmus.facets.outliers.Tails`)."""
        rows, count = x.flatten(1).double(), self.known.shape[1]
        left = self.below(rows, inclusive=True).double() + 1
        right = count - self.below(rows, inclusive=False).double() + 1
        left, right = (-(tail / (count + 1)).log() for tail in (left, right))
        skewed = torch.where(self.left_skewed, left, right)
        return torch.stack([side.sum(1) for side in (left, right, skewed)]).amax(0)

    def below(self, rows: Tensor, *, inclusive: bool) -> Tensor:
        """How many places of its column are less than each element, or as large: (B, D) -> (B, D).

        By halving, in steps that an ONNX graph has, too.
        """
        column, last = torch.arange(self.known.shape[0], device=rows.device), self.known.shape[1] - 1
        low, high = torch.zeros_like(rows, dtype=torch.int64), torch.full_like(rows, last + 1, dtype=torch.int64)
        for _ in range((last + 1).bit_length()):
            middle = (low + high) // 2
            there = self.known[column, middle.clamp(max=last)]
            more = ((there <= rows) if inclusive else (there < rows)) & (low < high)
            low, high = torch.where(more, middle + 1, low), torch.where(more, high, middle)
        return low

    def check(self) -> None:
        """Places of a column rise."""
        if not bool((self.known.diff(dim=1) >= 0).all()):
            raise BadInput(f"{self.name}: places of a column must be sorted")


@dataclass(kw_only=True, eq=False, repr=False)
class EmpiricalTails(Among):
    """Tail probabilities of each column, multiplied (ECOD: Li et al. 2022), told by places between its values."""

    family: ClassVar[str] = "ecod"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Sides(shape, self)


class Undoing(Model):
    """The linear map that undoes hidden elements best; its features are tanh of what it makes of a row."""

    weight: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.latents, self.weights = shape, math.prod(shape), {}
        self.register_buffer("weight", torch.zeros((self.latents, self.latents + 1), dtype=torch.float64))

    def encode(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> features (B, D)."""
        return torch.tanh(self._undone(x)).to(x.dtype)

    def decode(self, z: Tensor) -> Tensor:
        raise BadInput("marginalised denoising has features of rows and no way back from them; take reconstruct")

    def reconstruct(self, x: Tensor) -> Tensor:
        """What a row would be without masks and noise, (B, *D)."""
        return self._undone(x).view_as(x).to(x.dtype)

    def _undone(self, x: Tensor) -> Tensor:
        return x.flatten(1).double() @ self.weight[:, :-1].T + self.weight[:, -1]


@dataclass(kw_only=True, eq=False, repr=False)
class MarginalisedDenoising(RivalRecipe):
    """Undoes zeroed elements best, averaged over all ways to zero them (Chen, Xu, Weinberger and Sha 2012)."""

    family: ClassVar[str] = "marginalised denoising"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Undoing(shape)


class Unchanged(Model):
    """Rows are their own codes, so that ``isthmus compress`` rounds the rows."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.latents, self.weights = shape, math.prod(shape), {}

    def encode(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> (B, D)."""
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """``z`` (B, D) -> (B, *D)."""
        return z.reshape(len(z), *self.shape)


@dataclass(kw_only=True, eq=False, repr=False)
class Rounding(RivalRecipe):
    """Rows as they are, rounded to multiples of a step where they are compressed."""

    family: ClassVar[str] = "rounding"

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Unchanged(shape)


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


def _forest(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
    grown = forest(splits.train.x, splits.seed)
    trees = [one.tree_ for one in grown.estimators_]
    found = _cuts(trees, grown.estimators_features_)
    for i, tree in enumerate(trees):
        leaf = tree.children_left < 0
        deep = np.zeros(tree.node_count)
        for node in np.flatnonzero(~leaf):  # parents come before their children
            deep[[tree.children_left[node], tree.children_right[node]]] = deep[node] + 1
        found["length"][i, : tree.node_count] = deep + [path(int(n)) for n in tree.n_node_samples]
    made = IsolationForest(**_size(trees)._asdict(), sample=int(grown.max_samples_))
    return made, found


class Size(NamedTuple):
    """What arrays of trees of scikit-learn must hold."""

    trees: int
    nodes: int
    depth: int


def _size(trees: Sequence[Any]) -> Size:
    nodes, depth = (
        max(int(one) for one in of) for of in zip(*((t.node_count, t.max_depth) for t in trees), strict=True)
    )
    return Size(len(trees), nodes, depth)


def _cuts(trees: Sequence[Any], columns: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    """Trees of scikit-learn, each of some columns, as arrays (trees, nodes); what stands at leaves is not yet there."""
    nodes = _size(trees).nodes
    found = {name: np.zeros((len(trees), nodes)) for name in ("element", "cut", "left", "right", "length")}
    for i, (tree, of) in enumerate(zip(trees, columns, strict=True)):
        count, leaf, own = tree.node_count, tree.children_left < 0, np.arange(tree.node_count)
        found["element"][i, :count] = np.where(leaf, 0, of[tree.feature.clip(0)])
        found["cut"][i, :count] = np.where(leaf, 0.0, tree.threshold)
        found["left"][i, :count] = np.where(leaf, own, tree.children_left)  # who has arrived stays
        found["right"][i, :count] = np.where(leaf, own, tree.children_right)
    return found


def _near(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
    known = blended(neighbours(splits).astype(np.float64), hashed(splits.seed, "knn"))
    return Neighbours(places=len(known)), {"known": known}


def _axes(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
    found = principal(splits)
    return PrincipalAxes(components=found.axes.shape[1]), found._asdict()


def _columns(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
    found, units = crowd(splits, between=True)
    return RawColumns(places=len(found.known), nearest=found.nearest), _parameters(found, units)


def _parameters(found: Crowd, units: NDArray[np.float64]) -> dict[str, Any]:
    return {"units": units, **{f"around.{name}": values for name, values in Around.parameters_of(found).items()}}


def _knowing(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
    if splits.odd is None:
        raise BadInput(
            "trees on known need known anomalies, and rows held apart, which training on all rows lacks; "
            "leave --refit out"
        )
    found = known(splits, between=True)
    trees = [one.tree_ for one in found.trees.estimators_]
    every = np.arange(LOGS + math.prod(splits.train.x.shape[1:]))
    cuts = _cuts(trees, [every] * len(trees))
    for i, tree in enumerate(trees):
        votes = tree.value[:, 0]
        cuts["length"][i, : tree.node_count] = votes[:, 1] / votes.sum(axis=1)
    made = TreesOnKnown(places=len(found.crowd.known), nearest=found.crowd.nearest, **_size(trees)._asdict())
    own = {f"trees.{name}": values for name, values in cuts.items()}
    return made, {**_parameters(found.crowd, found.units), **own, "usual": found.usual}


def _tails(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
    if len(splits.train.x) < 2:
        raise BadInput("ecod keeps places between values of a column, and there is one row; give more rows")
    found = tails(splits, MOST_PLACES)
    return EmpiricalTails(places=len(found.ordered)), {"known": found.ordered.T, "left_skewed": found.left_skewed}


def _map(facet: str) -> Callable[[Splits], tuple[RivalRecipe, dict[str, Any]]]:
    """Marginalised denoising as a facet fits it."""

    def fit(splits: Splits) -> tuple[RivalRecipe, dict[str, Any]]:
        _solved(splits)
        return MarginalisedDenoising(), {"weight": FACETS[facet].fitted["marginalised denoising"](splits)}

    return fit


def _solved(splits: Splits) -> None:
    if (width := math.prod(splits.train.x.shape[1:])) > SOLVED:
        raise BadInput(f"marginalised denoising is solved for up to {SOLVED:,} columns, and there are {width:,}")


RIVALS: dict[str, type[RivalRecipe]] = {
    one.family: one
    for one in (
        EmpiricalTails,
        IsolationForest,
        Neighbours,
        PrincipalAxes,
        RawColumns,
        TreesOnKnown,
        MarginalisedDenoising,
        Rounding,
    )
}
"""Name of a rival that ships -> its recipe."""

FITTERS: dict[str, dict[str, Callable[[Splits], tuple[RivalRecipe, dict[str, Any]]]]] = {
    "anomaly": {
        "ecod": _tails,
        "isolation forest": _forest,
        "knn": _near,
        "probabilistic pca": _axes,
        "raw columns": _columns,
        "trees on known": _knowing,
    },
    "compression": {"rounding": lambda _: (Rounding(), {})},
    "features": {"marginalised denoising": _map("features")},
    "robustness": {"marginalised denoising": _map("robustness")},
}
"""Facet -> rival of it that ships -> its recipe and parameters, fitted on training rows."""


def fitted(
    name: str, splits: Splits, layout: Layout, columns: tuple[str, ...] = (), facet: str = "anomaly"
) -> Inference:
    """A rival of a facet, fitted as a study does on the training rows of these splits.

    Raises
    ------
    BadInput
        If it is none of those that ship.
    """
    able = FITTERS.get(facet, {})
    if name not in able:
        told = f"of the rivals for {facet} these can: {', '.join(able)}" if able else f"no rival for {facet} can"
        raise BadInput(f"{name} cannot be saved; {told}")
    recipe, parameters = able[name](splits)
    head = likelihood(layout, splits.train.x)
    model = recipe.build(splits.train.x.shape[1:], head)
    with torch.no_grad():
        for key, own in model.named_buffers():
            own.copy_(torch.from_numpy(np.array(parameters[key], order="C")))
    model.eval()
    return Inference(recipe=recipe, model=model, layout=layout, head=spoken(head), columns=tuple(columns))
