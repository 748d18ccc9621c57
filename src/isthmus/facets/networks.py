"""The rivals of the facet anomaly as networks that ship, fitted on training rows as they are measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.facets.facet import Splits
from isthmus.facets.known import known
from isthmus.facets.outliers import crowd, forest, neighbours, principal, tails
from isthmus.rivals.around import Around
from isthmus.rivals.columns import LOGS, RawColumns, TreesOnKnown
from isthmus.rivals.forest import IsolationForest, cuts, path, size
from isthmus.rivals.neighbours import Neighbours
from isthmus.rivals.principal import PrincipalAxes
from isthmus.rivals.rival import Network
from isthmus.rivals.tails import EmpiricalTails
from isthmus.scorer import Crowd, blended
from isthmus.seeds import seed as hashed

MOST_PLACES = 10_000
"""Between values of a column."""


def _forest(splits: Splits) -> Network:
    grown = forest(splits.train.x, splits.seed)
    trees = [one.tree_ for one in grown.estimators_]
    found = cuts(trees, grown.estimators_features_)
    for i, tree in enumerate(trees):
        leaf = tree.children_left < 0
        deep = np.zeros(tree.node_count)
        for node in np.flatnonzero(~leaf):  # parents come before their children
            deep[[tree.children_left[node], tree.children_right[node]]] = deep[node] + 1
        found["length"][i, : tree.node_count] = deep + [path(int(n)) for n in tree.n_node_samples]
    made = IsolationForest(**size(trees)._asdict(), sample=int(grown.max_samples_))
    return Network(made, found)


def _near(splits: Splits) -> Network:
    known = blended(neighbours(splits).astype(np.float64), hashed(splits.seed, "knn"))
    return Network(Neighbours(places=len(known)), {"known": known})


def _axes(splits: Splits) -> Network:
    found = principal(splits)
    return Network(PrincipalAxes(components=found.axes.shape[1]), found._asdict())


def _columns(splits: Splits) -> Network:
    found, units = crowd(splits, between=True)
    made = RawColumns(places=len(found.known), nearest=found.nearest)
    return Network(made, _parameters(found, units))


def _parameters(found: Crowd, units: NDArray[np.float64]) -> dict[str, Any]:
    return {"units": units, **{f"around.{name}": values for name, values in Around.parameters_of(found).items()}}


def _knowing(splits: Splits) -> Network:
    if splits.odd is None:
        raise BadInput(
            "trees on known need known anomalies, and rows held apart, which training on all rows lacks; "
            "leave --refit out"
        )
    found = known(splits, between=True)
    trees = [one.tree_ for one in found.trees.estimators_]
    every = np.arange(LOGS + math.prod(splits.train.x.shape[1:]))
    parted = cuts(trees, [every] * len(trees))
    for i, tree in enumerate(trees):
        votes = tree.value[:, 0]
        parted["length"][i, : tree.node_count] = votes[:, 1] / votes.sum(axis=1)
    made = TreesOnKnown(places=len(found.crowd.known), nearest=found.crowd.nearest, **size(trees)._asdict())
    own = {f"trees.{name}": values for name, values in parted.items()}
    return Network(made, {**_parameters(found.crowd, found.units), **own, "usual": found.usual})


def _tails(splits: Splits) -> Network:
    if len(splits.train.x) < 2:
        raise BadInput("ecod keeps places between values of a column, and there is one row; give more rows")
    found = tails(splits, MOST_PLACES)
    made = EmpiricalTails(places=len(found.ordered))
    return Network(made, {"known": found.ordered.T, "left_skewed": found.left_skewed})


NETWORKS: dict[str, Callable[[Splits], Network]] = {
    "ecod": _tails,
    "isolation forest": _forest,
    "knn": _near,
    "probabilistic pca": _axes,
    "raw columns": _columns,
    "trees on known": _knowing,
}
"""Rival of the facet anomaly -> what ships of it."""
