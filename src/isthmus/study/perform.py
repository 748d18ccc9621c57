"""One job, from rows to record: split, scale, train all configurations, choose on validation, score once on test."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from isthmus.data.dataset import Dataset
from isthmus.data.scale import Scaler
from isthmus.data.split import Split, duplicates, split
from isthmus.facets import FACETS
from isthmus.facets.facet import Parts, Rows
from isthmus.families import recipe
from isthmus.ship import artefact
from isthmus.study.exhibits import exhibits
from isthmus.study.record import Choice, Config, Job, Record, finite
from isthmus.study.store import Store
from isthmus.train.fitted import Fitted, fit_many
from isthmus.train.plan import Plan

PACKAGES = ("isthmus", "numpy", "scikit-learn", "torch")


class Material(NamedTuple):
    """What a job works on."""

    parts: Parts
    """The scaled rows of its split."""
    scaler: Scaler
    """Fitted on the training rows only."""
    rows: Split
    """Their numbers in the data."""
    sizes: dict[str, int]
    """How many there are, how many held-out rows also stand in training, how many columns are constant."""


def perform(job: Job, data: Dataset, store: Store) -> Record:
    """Do one job and put its record in place."""
    began = time.perf_counter()
    material = prepare(job, data)
    versions = {package: version(package) for package in PACKAGES}
    record = Record(id=job.id, job=job.name, status="ok", sizes=material.sizes, versions=versions)
    if job.name.kind == "rival":
        found = _rival(job, material)
        return store.commit(record.model_copy(update={**found, "seconds": time.perf_counter() - began}))
    fitted = train(job, data, material)
    found, chosen = _compare(job, fitted, material.parts)
    record = record.model_copy(update={**found, "seconds": time.perf_counter() - began})
    return store.commit(record, lambda folder: _leave(folder, job, material, fitted, chosen))


def prepare(job: Job, data: Dataset) -> Material:
    """The split of the job's view and replicate, scaled by what its training rows say.

    In view ``normal`` the anomalies (the labelled ones, or the class left out) are kept from training and validation,
    and all of them are test rows, where ``y`` says 1 for them and 0 for normal rows.
    """
    labels = data.y
    if job.name.view == "normal":
        outlier = data.classes.index(str(data.anomaly if job.name.left_out is None else job.name.left_out))
        assert data.y is not None
        labels = (data.y == outlier).astype(np.int64)
        normal = np.flatnonzero(labels == 0)
        inner = split(len(normal), job.seed("split"), y=data.y[normal])
        test = np.sort(np.concatenate([normal[inner.test], np.flatnonzero(labels)]))
        rows = Split(normal[inner.train], normal[inner.valid], test)
    else:
        rows = split(len(data.x), job.seed("split"), y=labels)
    scaler = Scaler.fit(data.x[rows.train], images=data.images)
    train, valid, test_part = (Rows(scaler.apply(data.x[n]), None if labels is None else labels[n]) for n in rows)
    sizes = {name: len(numbers) for name, numbers in zip(Split._fields, rows, strict=True)}
    sizes |= {"duplicates": duplicates(data.x, rows), "constant": scaler.constant}
    parts = Parts(train, valid, test_part, seed=job.seed("facets"), latents=job.body["latents"])
    return Material(parts, scaler, rows, sizes)


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


def _rival(job: Job, material: Material) -> dict[str, Any]:
    facet = str(job.name.facet)
    metrics = FACETS[facet].rivals[job.name.name](material.parts)
    return {"facets": {facet: Choice(metrics=finite(metrics))}}


def train(job: Job, data: Dataset, material: Material) -> list[Fitted]:
    """All configurations of the family in one call: same rows, same order, same noise, same initial weights."""
    usual = Plan.from_json(job.body["plan"])
    usual = replace(usual, batch=min(usual.batch, len(material.rows.train)))
    plans = [replace(usual, learning_rate=c["learning_rate"] or usual.learning_rate) for c in job.body["configs"]]
    return fit_many(
        [recipe(c["recipe"]) for c in job.body["configs"]],
        material.parts.train.x,
        material.parts.valid.x,
        plans,
        scaler=material.scaler,
        seed=job.seed("training"),
        columns=data.columns,
    )


def _compare(job: Job, fitted: list[Fitted], parts: Parts) -> tuple[dict[str, Any], dict[str, int]]:
    """Choose for each facet without sight of the test rows; then score what was chosen on them."""
    blind = parts._replace(test=Rows(parts.test.x[:0], None if parts.test.y is None else parts.test.y[:0]))
    criteria = [_judge(job, one, blind) for one in fitted]
    best = {facet: choose(criteria, facet) for facet in job.body["facets"]}
    chosen = {facet: number for facet, number in best.items() if number is not None}
    facets = {f: Choice(config=i, metrics=finite(FACETS[f].measure(fitted[i], parts))) for f, i in chosen.items()}
    configs = [
        Config(
            recipe=one.recipe.to_json(),
            learning_rate=asked["learning_rate"],
            status=one.outcome.status,
            steps=one.outcome.steps,
            best_step=one.outcome.best_step,
            seconds=one.outcome.seconds,
            valid=min((v for v in finite(one.outcome.history.get("valid", [])) if v is not None), default=None),
            criteria=seen,
            history=finite(one.outcome.history),
        )
        for one, asked, seen in zip(fitted, job.body["configs"], criteria, strict=True)
    ]
    found: dict[str, Any] = {"facets": facets, "configs": configs}
    if not chosen:
        found |= {"status": "diverged", "message": "no configuration ended with a finite criterion"}
    return found, chosen


def _judge(job: Job, one: Fitted, blind: Parts) -> dict[str, float | None]:
    """The tuning criterion of each facet for one configuration; None if it diverged or has no finite value."""
    if one.outcome.status == "diverged":
        return dict.fromkeys(job.body["facets"])
    return {facet: finite(float(FACETS[facet].criterion(one, blind))) for facet in job.body["facets"]}


def _leave(folder: Path, job: Job, material: Material, fitted: list[Fitted], chosen: Mapping[str, int]) -> None:
    """Beside the record: the first facet's model, those of facets that chose another, raw scores, exhibits."""
    if not chosen:
        return
    first = next(iter(chosen.values()))
    for number in dict.fromkeys(chosen.values()):
        place = folder if number == first else folder / f"config-{number}"
        place.mkdir(exist_ok=True)
        artefact.write(fitted[number], place)
    test = material.parts.test
    scores: dict[str, NDArray[np.generic]] = {"test_rows": material.rows.test}
    if "reconstruction" in chosen:
        scores["row_error"] = _errors(fitted[chosen["reconstruction"]], test)
    if "anomaly" in chosen and test.y is not None:
        scores |= {"anomaly_score": _errors(fitted[chosen["anomaly"]], test), "anomaly_label": test.y}
    (folder / "scores.safetensors").write_bytes(save(scores))
    if job.name.replicate == 0:
        (folder / "exhibits.safetensors").write_bytes(save(exhibits(fitted[first], test)))


def _errors(one: Fitted, rows: Rows) -> NDArray[np.float64]:
    """Squared error per element of each scaled row, (n,)."""
    gap = one.decode_scaled(one.encode_scaled(rows.x)).astype(np.float64) - rows.x
    return np.square(gap).reshape(len(gap), -1).mean(axis=1)
