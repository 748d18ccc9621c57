"""One job, from rows to record: split, scale, train all configurations, choose on validation, score once on test."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from isthmus.data.dataset import Dataset
from isthmus.doctor import diagnose
from isthmus.doctor.evidence import inconsistencies, leakage
from isthmus.evidence.exclusion import spoils
from isthmus.facets import ALWAYS, FACETS
from isthmus.facets.facet import Curve, FittedContender, Found, Splits, numbers
from isthmus.facets.rivals import bounded
from isthmus.families import recipe
from isthmus.seeds import undisturbed
from isthmus.ship import artefact
from isthmus.study.exhibits import exhibits, oddities
from isthmus.study.jobs import Commits
from isthmus.study.kept import Kept
from isthmus.study.material import Material, prepare
from isthmus.study.options import FREE
from isthmus.study.racing import KEPT, PART, survivors, voted
from isthmus.study.record import Choice, Config, Finding, Job, Line, Record, finite
from isthmus.study.retry import trained
from isthmus.train.checkpoint import Checkpoint
from isthmus.train.fitted import Fitted, fit_many
from isthmus.train.loop import Watch
from isthmus.train.plan import Plan

Arrays = dict[str, Any]
RUNG = 8
"""The first lap of other capacities is this part of the steps."""
Keep = Callable[[Sequence[Mapping[str, float | None]]], list[int]]
"""Says by the criteria of all configurations which of them go on."""
PACKAGES = ("isthmus", "numpy", "scikit-learn", "torch")


class Raced(NamedTuple):
    """The configurations of a job, trained."""

    fitted: list[Fitted]
    stopped: Set[int]
    """Numbers of those that stopped early, and are never chosen."""
    seen: Mapping[int, dict[str, float | None]]
    """Criteria of those that were judged as they are."""


@undisturbed()
def perform(job: Job, data: Dataset, store: Commits, kept: Kept | None = None) -> Record:
    """Do one job and put its record in place. Its trainings are kept meanwhile, if it is said where."""
    began = time.perf_counter()
    material = prepare(job, data)
    versions = {package: version(package) for package in PACKAGES}
    record = Record(id=job.id, job=job.name, status="ok", sizes=material.sizes, versions=versions)
    if job.name.kind == "rival":
        choice, raw = _rival(job, material)
        raw |= _weights(material)
        found: dict[str, Any] = {"facets": {str(job.name.facet): choice}}
        found["message"] = bounded(job.name.name, material.splits)
        found |= {"findings": _doubts(material, found["facets"], raw), "seconds": time.perf_counter() - began}
        return store.commit(record.model_copy(update=found), lambda folder: _scores(folder, material, raw))
    raced = (race if job.body["racing"] else climb)(job, data, material, kept=kept)
    fitted = raced.fitted
    found, chosen, raw = _compare(job, raced, material.splits)
    raw |= _weights(material)
    found["findings"] = _ills(fitted, chosen, material.splits) + _doubts(material, found["facets"], raw)
    record = record.model_copy(update={**found, "seconds": time.perf_counter() - began})
    done = store.commit(record, lambda folder: _leave(folder, job, material, fitted, chosen, raw))
    if kept is not None:
        kept.over(job.id)
    return done


def contender(fitted: Fitted) -> FittedContender:
    """A fitted model as facets want to see it."""
    return FittedContender(fitted, artefact.artefact_bytes(fitted))


def choose(criteria: list[dict[str, float | None]], facet: str) -> int | None:
    """The configuration with the smallest criterion; NaN never wins, the earlier one wins a tie.

    Examples
    --------
    >>> choose([{"cost": None}, {"cost": 2.0}, {"cost": 2.0}], "cost")
    1
    """
    values = [math.inf if (value := seen.get(facet)) is None else value for seen in criteria]
    best = min(values, default=math.inf)
    return values.index(best) if best < math.inf else None


def _rival(job: Job, material: Material) -> tuple[Choice, Arrays]:
    """What a rival scores, and its raw scores where it gives one for each row."""
    found = FACETS[str(job.name.facet)].rivals[job.name.name](material.splits)
    return _choice(found), _raw(found)


def _raw(found: Found) -> Arrays:
    """The scores of every test row, from which its metrics can be computed again."""
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


def _weights(material: Material) -> Arrays:
    """How much each test row counts, where not all count alike."""
    weight = material.splits.test.weight
    return {} if weight is None else {"test_weight": weight}


def _choice(found: Found, config: int | None = None) -> Choice:
    """What was measured, as a record keeps it."""
    curves = {name: Line(**finite(value._asdict())) for name, value in found.items() if isinstance(value, Curve)}
    return Choice(config=config, metrics=finite(numbers(found)), curves=curves)


def train(
    job: Job, data: Dataset, material: Material, watch: Watch | None = None, checkpoint: Checkpoint | None = None
) -> list[Fitted]:
    """All configurations of the family in one call: same rows, same order, same noise, same initial weights."""
    usual = Plan.from_json(job.body["plan"])
    usual = replace(usual, batch=min(usual.batch, len(material.rows.train)))
    plans = [
        replace(usual, learning_rate=c["learning_rate"] or usual.learning_rate, stages=c.get("stages", usual.stages))
        for c in job.body["configs"]
    ]
    return fit_many(
        [recipe(c["recipe"]) for c in job.body["configs"]],
        material.splits.train.x,
        material.splits.valid.x,
        plans,
        layout=material.layout,
        seed=job.seed("training"),
        columns=data.columns,
        watch=watch,
        checkpoint=checkpoint,
    )


def finish(job: Job, data: Dataset, material: Material, kept: Kept | None = None, run: str = "") -> list[Fitted]:
    """The same; those that failed are trained again with smaller steps. What is kept is of the run of that name."""

    def one(part: Job) -> list[Fitted]:
        return train(part, data, material, checkpoint=None if kept is None else kept.training(run, part))

    return trained(job, one)


def climb(job: Job, data: Dataset, material: Material, kept: Kept | None = None) -> Raced:
    """All configurations of the study's capacity; then those of other capacities race for their places.

    They train for part of the steps. Each facet votes for the best of them, if it is better there than the best of the
    study's capacity at its end; those with most votes train on.
    """
    configs = job.body["configs"]
    usual, other = ([one for one in configs if bool(one.get("capacity")) is there] for there in (False, True))
    first = finish(replace(job, body={**job.body, "configs": usual}), data, material, kept, job.id)
    if not other:
        return Raced(first, frozenset(), {})
    blind = _blind(material.splits)
    seen = [judge(job, asked, one, blind) for asked, one in zip(usual, first, strict=True)]
    keep = partial(voted, places=job.body["places"], beat=seen)
    others = replace(job, body={**job.body, "configs": other})
    rest = race(others, data, material, keep, RUNG, kept, job.id)
    n = len(first)
    return Raced(
        [*first, *rest.fitted],
        frozenset(n + i for i in rest.stopped),
        {**dict(enumerate(seen)), **{n + i: one for i, one in rest.seen.items()}},
    )


def race(
    job: Job,
    data: Dataset,
    material: Material,
    keep: Keep | None = None,
    part: int = PART,
    kept: Kept | None = None,
    run: str = "",
) -> Raced:
    """Successive halving: all configurations train for part of the steps, the better ones then train to their end.

    A survivor is trained from the start with all its steps, so it is the model that it would be without a race; one
    that converged in the first lap is that model already, unless its schedules, shares of the steps, were shorter
    there. ``keep`` says who goes on, by the criteria of all; by default :func:`survivors`. The first lap is one part in
    ``part`` of the steps.
    """
    plan, run = job.body["plan"], run or job.id
    lap = plan["steps"] // part // plan["check"] * plan["check"]
    configs = job.body["configs"]
    if not lap or (keep is None and len(configs) <= KEPT) or plan["schedule"] == "cosine":
        return Raced(finish(job, data, material, kept, run), frozenset(), {})
    fitted = finish(replace(job, body={**job.body, "plan": {**plan, "steps": lap}}), data, material, kept, run)
    configs = [{**asked, "learning_rate": _rate(asked, one)} for asked, one in zip(configs, fitted, strict=True)]
    fitted = [replace(one, plan=replace(one.plan, steps=plan["steps"])) for one in fitted]  # as it would train again
    blind = _blind(material.splits)
    seen = [judge(job, asked, one, blind) for asked, one in zip(configs, fitted, strict=True)]
    on = (keep or survivors)(seen)
    cut = [i for i, one in enumerate(fitted) if one.outcome.status == "cut" or one.model.settles or one.plan.warmup]
    again = [i for i in on if i in cut]
    longer = replace(job, body={**job.body, "configs": [configs[i] for i in again]})
    for i, one in zip(again, finish(longer, data, material, kept, run) if again else (), strict=True):
        fitted[i] = one
    return Raced(fitted, frozenset(cut) - frozenset(on), {i: one for i, one in enumerate(seen) if i not in again})


def _rate(asked: Mapping[str, Any], one: Fitted) -> float | None:
    """The learning rate that a configuration was trained with; None for a model without parameters."""
    return None if asked["learning_rate"] is None else one.plan.step_size(one.recipe)


def _blind(splits: Splits) -> Splits:
    """The splits as a criterion may see them: without test rows."""
    return splits._replace(test=splits.test.take(slice(0)))


def _compare(job: Job, raced: Raced, splits: Splits) -> tuple[dict[str, Any], dict[str, int], Arrays]:
    """Choose for each facet without sight of the test rows; then score what was chosen on them."""
    blind = _blind(splits)
    fitted, stopped, seen = raced
    criteria = [seen.get(i) or judge(job, asked, fitted[i], blind) for i, asked in enumerate(job.body["configs"])]
    ran = [dict[str, float | None]() if i in stopped else seen for i, seen in enumerate(criteria)]
    for i, asked in enumerate(job.body["configs"]):
        if asked.get("capacity") and ran[i]:  # a network that is wide enough to copy its rows must not be chosen for it
            ill = [one.name for one in diagnose(fitted[i], splits.train.x, splits.valid.x)]
            ran[i] = {facet: None if any(spoils(name, facet) for name in ill) else v for facet, v in ran[i].items()}
    best = {facet: choose(ran, facet) for facet in job.body["facets"]}
    chosen = {facet: number for facet, number in best.items() if number is not None}
    contenders = {i: contender(fitted[i]) for i in set(chosen.values())}
    always = {i: {facet: FACETS[facet].measure(one, splits) for facet in ALWAYS} for i, one in contenders.items()}
    measured = {
        facet: always[i][facet] if facet in ALWAYS else FACETS[facet].measure(contenders[i], splits)
        for facet, i in chosen.items()
    }
    facets = {facet: _choice(measured[facet], i) for facet, i in chosen.items()}
    raw = {name: values for one in measured.values() for name, values in _raw(one).items()}
    configs = [
        Config(
            recipe=one.recipe.to_json(),
            capacity=asked.get("capacity"),
            learning_rate=(rate := _rate(asked, one)),
            lowered_from=None if rate == asked["learning_rate"] else asked["learning_rate"],
            status="stopped" if i in stopped else one.outcome.status,
            steps=one.outcome.steps,
            best_step=one.outcome.best_step,
            seconds=one.outcome.seconds,
            valid=min((v for v in finite(one.outcome.history.get("valid", [])) if v is not None), default=None),
            criteria=seen,
            cost=finite({k: v for found in always.get(i, {}).values() for k, v in numbers(found).items()}),
            history=finite(one.outcome.history),
        )
        for i, (one, asked, seen) in enumerate(zip(fitted, job.body["configs"], criteria, strict=True))
    ]
    found: dict[str, Any] = {"facets": facets, "configs": configs}
    if not chosen:
        found |= {"status": "diverged", "message": "no configuration ended with a finite criterion"}
    return found, chosen, raw


def _ills(fitted: list[Fitted], chosen: Mapping[str, int], splits: Splits) -> list[Finding]:
    """What is wrong with the chosen configurations; with the first one, if none could be chosen."""
    return [
        Finding(config=i, name=one.name, evidence=finite(one.evidence))
        for i in dict.fromkeys(chosen.values() or [0])
        for one in diagnose(fitted[i], splits.train.x, splits.valid.x)
    ]


def _doubts(material: Material, facets: Mapping[str, Choice], raw: Arrays) -> list[Finding]:
    """Why numbers should not be trusted: metrics that raw scores do not give, rows on both sides of the split."""
    found = [
        Finding(config=choice.config or 0, name=one.name, evidence=finite(one.evidence))
        for facet, choice in facets.items()
        for one in inconsistencies(choice.metrics, FACETS[facet].again(raw, choice.metrics))
    ]
    leak = leakage(material.sizes, material.rows._asdict())
    return found if leak is None else [*found, Finding(config=0, name=leak.name, evidence=finite(leak.evidence))]


def judge(job: Job, asked: Mapping[str, Any], one: Fitted, blind: Splits) -> dict[str, float | None]:
    """The tuning criterion of each facet for one configuration; None if it diverged or has no finite value, and for one
    of another capacity where the facet compares at one."""
    found: dict[str, float | None] = dict.fromkeys(job.body["facets"])
    if one.outcome.status == "diverged":
        return found
    free = job.body.get("capacity") == FREE
    by = {name: (free and FACETS[name].free) or FACETS[name].criterion for name in found}
    if asked.get("capacity"):
        wider = asked["recipe"]["latents"] > job.body["latents"]
        by = {f: way for f, way in by.items() if FACETS[f].free is not None and (FACETS[f].widens or not wider)}
    values = {criterion: finite(float(criterion(one, blind))) for criterion in set(by.values())}
    return found | {name: values[criterion] for name, criterion in by.items()}


def _leave(
    folder: Path, job: Job, material: Material, fitted: list[Fitted], chosen: Mapping[str, int], raw: Arrays
) -> None:
    """Beside the record: the first facet's model, those of facets that chose another, raw scores, exhibits."""
    if not chosen:
        return
    first = next(iter(chosen.values()))
    for number in dict.fromkeys(chosen.values()):
        place = folder if number == first else folder / f"config-{number}"
        place.mkdir(exist_ok=True)
        artefact.write(fitted[number], place)
    _scores(folder, material, raw)
    if job.name.replicate == 0:
        test = material.splits.test
        shown = exhibits(fitted[first], test)
        for number in [number for facet, number in chosen.items() if FACETS[facet].shows_rows]:
            shown |= oddities(fitted[number], material.splits, material.rows.test)
        (folder / "exhibits.safetensors").write_bytes(save(shown))


def _scores(folder: Path, material: Material, raw: Arrays) -> None:
    # safetensors writes the memory of a view as it lies: a column of a matrix would come back as other numbers.
    whole = {name: np.ascontiguousarray(values) for name, values in {"test_rows": material.rows.test, **raw}.items()}
    (folder / "scores.safetensors").write_bytes(save(whole))
