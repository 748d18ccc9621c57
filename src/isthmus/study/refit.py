"""A contender of a study trained again on all rows, as it ships when nothing is left to measure.

A study trains on three rows of five, for the others choose and judge. Who is chosen may then have them all: the setting
that most replicates chose, for as many steps as validation rows stopped it at (their median over those replicates).
Nothing can be measured of such a model, for there is no row that it has not seen; what ships tells what was measured of
its predecessors, and that it is not one of them.

How rare a score is, is told across folds (Vovk 2015, Cross-conformal predictors): the rows are cut into five, each part
is scored by a model trained in the same way on the other four, and all these scores together calibrate the model of all
rows. No row is kept aside for it, and none is scored by a model that has seen it. How new rows are drawn, and their
noise, is told by the first of these models on the rows that it did not see.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import Dataset
from isthmus.data.layout import Layout, laid_out
from isthmus.data.metadata import in_proportion
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, Splits
from isthmus.families import recipe
from isthmus.model import Recipe
from isthmus.seeds import seed as hashed
from isthmus.seeds import undisturbed
from isthmus.ship import rivals
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.study.deploy import origin
from isthmus.study.results import Results
from isthmus.train.fitted import fit_many
from isthmus.train.inference import Inference
from isthmus.train.plan import Plan

Numbers = NDArray[np.int64]
FOLDS = 5
"""Parts of the rows, each scored by a model that did not see it."""
FEW = 2 * FOLDS
"""Normal rows that are needed at least."""
HELD = 2000
"""Training rows on which the training is looked at, at most."""
ABOUT = f"each normal training row once, scored by one of {FOLDS} models trained in the same way without it"


class Setting(NamedTuple):
    """What a family is trained again with."""

    recipe: Recipe
    learning_rate: float | None
    stages: str
    steps: int
    """The median over the replicates that chose this setting, in whole checks."""
    replicates: int
    """How many chose it."""


def setting(study: Results, family: str, facet: str) -> Setting:
    """The setting that most replicates chose for a facet; of several the earlier.

    Raises
    ------
    BadInput
        If no run of the family has chosen one.
    """
    runs = [one for one in study.records if (one.job.kind, one.job.name) == ("family", family) and facet in one.facets]
    chosen = Counter(number for one in runs if (number := one.facets[facet].config) is not None)
    if not chosen:
        raise BadInput(
            f"no run of {family} for {facet}: not done yet, left out for "
            "time, failed or diverged (the report says which); take another"
        )
    best = min(chosen, key=lambda number: (-chosen[number], number))
    found = [one.configs[best] for one in runs if one.facets[facet].config == best]
    rates = [one.learning_rate for one in found if one.learning_rate is not None]
    asked = study.design.families[family][best]
    check = study.design.plan["check"]
    return Setting(
        recipe(found[0].recipe),
        float(np.median(rates)) if rates else None,
        asked.get("stages", study.design.plan["stages"]),
        max(1, math.ceil(float(np.median([one.best_step for one in found])) / check)) * check,
        len(found),
    )


@dataclass(frozen=True)
class Refit:
    """A contender trained again on all rows."""

    deployed: Deployed
    rows: int
    """Different ones that it was trained on."""
    steps: int | None
    """None of a rival."""


@undisturbed()
def refitted(study: Results, name: str, facet: str, data: Dataset) -> Refit:
    """A contender trained again on all rows of a study; for the facet anomaly on all that are not declared anomalies.

    Parameters
    ----------
    study : Results
    name, facet : str
        A family, or a rival that ships, and a facet.
    data : Dataset
        The rows of the study (:func:`isthmus.study.examine.data_of`).

    Raises
    ------
    BadInput
        If there is no such run, a rival that cannot be saved, too few rows, or if rows are windows of a series: windows
        of one part share steps with those of another, so none is unseen.
    """
    if data.windows is not None:
        raise BadInput("windows of a series share steps, so that no part of them is unseen; take it without refit")
    number, normal = np.arange(len(data.x)), np.ones(len(data.x), bool)
    if data.anomaly is not None and data.y is not None:
        normal = data.y != data.classes.index(str(data.anomaly))
        number = number[normal] if study.design.view(facet) == "normal" else number
    if len(number) < FEW:
        raise BadInput(f"{len(number)} rows are too few to train again and to calibrate; at least {FEW} are needed")
    seed = hashed(study.design.seed, data.digest, "refit")
    found = None if name not in study.design.families else setting(study, name, facet)

    def made(part: Numbers) -> Deployed:
        one = _rival(study, name, facet, data, part, seed) if found is None else _family(study, found, data, part, seed)
        one = replace(one, canvas=data.canvas, network=data.network)
        return Deployed.of(one, data.x[part], data.x[part], seed=seed)

    whole = made(number)
    folds = [(np.setdiff1d(number, fold), fold[normal[fold]]) for fold in _folds(data, number, seed)]
    scores, draws, drawing = [], None, None if found is None else FACETS[facet].draws
    for seen, unseen in folds:
        if len(unseen):
            one = made(seen)
            scores.append(one.scores(data.x[unseen]))
            if drawing is not None and draws is None:
                draws = drawing(one, _splits(study, one, data, seen, unseen, seed), None)
    if drawing is not None and draws is not None:
        splits = _splits(study, whole, data, number, number, seed)
        whole = replace(whole, draws=drawing(whole, splits, draws))
    known = origin(study, name, facet, None).model_copy(update={"refitted": len(number)})
    whole = replace(whole, calibration=Calibration.of(np.concatenate(scores), ABOUT), origin=known)
    return Refit(whole, len(number), None if found is None else found.steps)


def _folds(data: Dataset, number: Numbers, seed: int) -> list[Numbers]:
    """The rows in parts: those of one group together; of rows in time each part is a stretch of it."""
    order = np.random.default_rng(hashed(seed, "folds")).permutation(len(number))
    known = data.metadata
    if known.group is not None:
        names, member = np.unique(known.group[number], return_inverse=True)
        if len(names) < FOLDS:
            raise BadInput(f"{len(names)} groups are too few to calibrate across {FOLDS} folds; take it without refit")
        place = np.random.default_rng(hashed(seed, "folds")).permutation(len(names)) % FOLDS
        return [number[place[member] == k] for k in range(FOLDS)]
    if known.time is not None:
        order = np.argsort(known.time[number], kind="stable")
    return [np.sort(number[part]) for part in np.array_split(order, FOLDS)]


def _laid_out(data: Dataset, part: Numbers, seed: int) -> tuple[Numbers, Layout]:
    """The rows of a part as often as their weights say, and their layout."""
    weight = data.metadata.weight
    often = part if weight is None else part[in_proportion(weight[part], hashed(seed, "weights"))]
    return often, laid_out(data.x[often], data.fields, images=data.images, series=data.series, habit=data.habit)


def _family(study: Results, found: Setting, data: Dataset, part: Numbers, seed: int) -> Inference:
    often, layout = _laid_out(data, part, seed)
    x = layout.apply(data.x[often])
    usual = Plan.from_json(study.design.plan)
    plan = replace(
        usual,
        steps=found.steps,
        batch=min(usual.batch, len(x)),
        learning_rate=found.learning_rate or usual.learning_rate,
        stages=found.stages,
    )
    held = x[np.sort(np.random.default_rng(hashed(seed, "held")).permutation(len(x))[:HELD])]
    return fit_many([found.recipe], x, held, [plan], layout=layout, seed=seed, columns=data.columns)[0]


def _splits(study: Results, model: Inference, data: Dataset, train: Numbers, held: Numbers, seed: int) -> Splits:
    """Rows as a model lays them out: those that it was trained on, and others."""
    own, other = (Rows(model.scaled(data.x[part]), np.zeros(len(part), np.int64)) for part in (train, held))
    return Splits(own, other, other.take(slice(0)), seed=seed, latents=study.design.latents, layout=model.layout)


def _rival(study: Results, name: str, facet: str, data: Dataset, part: Numbers, seed: int) -> Inference:
    often, layout = _laid_out(data, part, seed)
    known = Rows(layout.apply(data.x[often]), np.zeros(len(often), np.int64))
    splits = Splits(known, known, known, seed=seed, latents=study.design.latents, layout=layout)
    found: Any = rivals.fitted(name, facet, splits, layout, data.columns)
    return found
