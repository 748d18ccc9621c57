"""What each part of a recipe is worth on these data.

A part is a field of the recipe that declares the value at which it does nothing (``off`` of
:func:`isthmus.model.knob`) and that stands at another one; training in stages is a part too, of the plan. Each is taken
away in turn, all others stay; the recipes are contenders of an ordinary study, so splits, initialisation, order, budget
and statistics are those of a comparison. Tuning configurations are drawn once, for the full recipe; a variant's are the
same without its part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.layout import laid_out
from isthmus.errors import BadInput
from isthmus.evidence.outcome import Relation
from isthmus.evidence.stats import Pair, Values, comparable, holm, pairs
from isthmus.evidence.verdict import UNSCORED, FacetVerdict, relation
from isthmus.facets import crowns
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.families import named
from isthmus.families import recipe as from_json
from isthmus.metrics import METRICS
from isthmus.model import Recipe
from isthmus.parts.heads import Head
from isthmus.study.design import Design, capacity, configurations, design, match, training_plan
from isthmus.study.options import PartOptions, filled, signed
from isthmus.study.outline import Outline, slug, split_all
from isthmus.study.results import Results
from isthmus.train.likelihood import likelihood
from isthmus.train.plan import Plan

FULL = "full"
STAGES, TOGETHER = "stages", "together"
"""The part that is the plan's, and what it is without."""


class Part(NamedTuple):
    """A part of a recipe that was taken away."""

    field: str
    value: Any
    """What it is in the full recipe."""
    off: Any
    """What it is without the part."""

    @property
    def variant(self) -> str:
        """The name of the recipe without it."""
        return f"without {self.field}"


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What a part does to one facet."""

    part: Part
    facet: str
    metric: str
    full: float | None
    """Mean of the full recipe over replicates; geometric where the metric compares by ratio."""
    without: float | None
    pair: Pair
    """The full recipe against the one without; Holm's adjustment is over the parts."""
    claim: Relation | None
    """What may be claimed of the full recipe against the one without; None where the facet only describes."""
    ill: str = ""
    """Which of the two is ill, by the study's own verdict: diverged, collapsed and the like."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**asdict(self), "part": self.part._asdict()}


def removable(recipe: Recipe, data: Dataset, plan: Plan | None = None) -> tuple[list[Part], dict[str, str]]:
    """The parts of a recipe on these data, and those that cannot be taken away alone, with the reason.

    The head ``auto`` is a part where it stands for another one than gaussian.
    """
    stages = TOGETHER if plan is None else plan.stages
    found, refused = [] if stages == TOGETHER else [Part(STAGES, stages, TOGETHER)], {}
    for field, off in recipe.removable().items():
        value = getattr(recipe, field)
        shape, head = _laid_out(data)
        if value == "auto" and head == off:
            continue
        try:
            recipe.without(field, off).build(shape, head)
        except BadInput as error:
            refused[field] = str(error)
        else:
            found.append(Part(field, value, off))
    return found, refused


def _laid_out(data: Dataset) -> tuple[tuple[int, ...], Head]:
    """The shape of a row as a network takes it, and what the head ``auto`` stands for on these data."""
    layout = laid_out(data.x, **{**data.laid, "series": None})
    rows = layout.apply(data.x)
    return rows.shape[1:], likelihood(layout, rows)


def variants(full: list[dict[str, Any]], found: Iterable[Part]) -> dict[str, list[dict[str, Any]]]:
    """The configurations of the full recipe, and of each recipe without a part: the same draws, but for the part.

    Examples
    --------
    >>> full = [{"recipe": named("plain").set_params(tied=True).to_json(), "learning_rate": 0.01}]
    >>> made = variants(full, [Part("tied", True, False)])
    >>> list(made), made["without tied"][0]["recipe"]["tied"]
    (['full', 'without tied'], False)
    """
    return {FULL: full, **{part.variant: [_without(part, one) for one in full] for part in found}}


def _without(part: Part, one: dict[str, Any]) -> dict[str, Any]:
    """A configuration without a part. Without hidden layers there is none to train by itself either."""
    if part.field == STAGES:
        return {**one, STAGES: part.off}
    bare = {STAGES: TOGETHER} if part.field == "hidden" else {}
    return {**one, **bare, "recipe": from_json(one["recipe"]).without(part.field, part.off).to_json()}


def at_capacity(family: str, data: Dataset) -> Recipe:
    """The default recipe of a family, at the code width and hidden layers that a comparison would give it."""
    recipe = named(family)
    return match(family, recipe, *capacity(data.extent, recipe.backbone))


@signed(PartOptions)
def plan_ablation(
    recipe: Recipe,
    data: Dataset,
    *,
    out: str | os.PathLike[str] | None = None,
    command: str = "",
    **options: Unpack[PartOptions],
) -> Outline:
    """Plan the study; nothing is written. Arguments as in :func:`isthmus.ablate`."""
    asked = filled(PartOptions, options)
    plan = training_plan(asked.pop("plan"), steps=asked.pop("steps"), learning_rate=asked.pop("learning_rate"))
    if recipe.wants:
        raise BadInput(
            f"{recipe.family} cannot take part in a study, which provides rows only: it needs {recipe.wants}"
        )
    found, refused = removable(recipe, data, plan)
    if not found:
        said = "; ".join(f"{field}: {reason}" for field, reason in refused.items())
        raise BadInput(
            f"{recipe.family} as given has no part that can be taken away{f' ({said})' if said else ''}; set a field "
            "such as corruption, norm or hidden to a value whose worth you want to know"
        )
    usual = design(
        data,
        families=RIVAL_FAMILY,
        plan=plan,
        latents=recipe.latents,
        hidden=recipe.hidden,
        backbone=recipe.backbone,
        **asked,
    )
    full = configurations(FULL, recipe, data.shape, plan, usual.configs, usual.seed)
    planned = replace(usual, families={**variants(full, found), **usual.families})
    split_all(planned, data)
    folder = Path(out if out is not None else f"isthmus-{slug(data.name)}-{recipe.family}-parts").absolute()
    note = {
        "source": data.source,
        "label": data.label,
        **({"reading": dict(data.asked)} if data.asked else {}),
        "command": command,
        "ablation": {"family": recipe.family, "parts": [list(part) for part in found], "refused": refused},
    }
    return Outline(data, planned, folder, note)


def _effect(part: Part, found: FacetVerdict, pair: Pair, table: Mapping[str, Values]) -> Effect:
    """The claim on one part. A recipe that is ill gains nothing: neither its full form nor that without the part."""
    x, y = (comparable(table[name], found.relative) for name in (FULL, part.variant))
    found_relation = relation(pair, x, y, looks=1)  # nothing races
    pair = replace(pair, relation=found_relation)
    reasons = {name: found.excluded.get(name, UNSCORED) for name in (FULL, part.variant)}
    ill = {name: reason for name, reason in reasons.items() if reason != UNSCORED}
    gains = {"better": {FULL}, "worse": {part.variant}, "equal": {FULL, part.variant}}.get(found_relation, set())
    claim: Relation = "undecided" if gains & ill.keys() else found_relation
    means = [float(np.nanmean(v)) if np.isfinite(v).any() else None for v in (x, y)]
    full, without = (None if m is None else float(np.exp(m)) if found.relative else m for m in means)
    return Effect(
        part=part,
        facet=found.facet,
        metric=found.metric,
        full=full,
        without=without,
        pair=pair,
        claim=claim if crowns(found.facet) else None,
        ill="; ".join(f"{name}: {reason}" for name, reason in ill.items()),
    )


class AblationResults:
    """What a folder of :func:`isthmus.ablate` holds, and what follows from it.

    Parameters
    ----------
    folder : path

    Attributes
    ----------
    study : Results
        The study of the full recipe, the recipes without a part, and the rivals.
    family : str
    parts : list of Part
    refused : dict of str to str
        Parts that cannot be taken away alone, and why.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.study = Results(folder)
        note = self.study.note.get("ablation")
        if note is None:
            raise BadInput(f"{folder} holds a comparison, not an ablation; see it with isthmus report")
        self.family: str = note["family"]
        self.parts = [Part(*part) for part in note["parts"]]
        self.refused: dict[str, str] = note["refused"]

    @property
    def design(self) -> Design:
        """The design of the study."""
        return self.study.design

    def effects(self) -> dict[str, list[Effect]]:
        """For each facet, what each part does to it."""
        return {facet: self._facet(found) for facet, found in self.study.verdict().items()}

    def _facet(self, found: FacetVerdict) -> list[Effect]:
        table = self.study.scores(found.facet, found.metric)
        rules: dict[str, Any] = {name: getattr(found, name) for name in ("rope", "higher", "test_fraction", "relative")}
        rules["bounds"] = METRICS[found.metric].bounds
        names = [part.variant for part in self.parts]
        made = [pairs({FULL: table[FULL], name: table[name]}, **rules)[0] for name in names]
        adjusted = [replace(one, p_adjusted=p) for one, p in zip(made, holm([one.p for one in made]), strict=True)]
        return [_effect(part, found, pair, table) for part, pair in zip(self.parts, adjusted, strict=True)]
