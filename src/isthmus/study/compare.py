"""``isthmus.compare``: the whole library in one call."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any, Literal, NamedTuple

from joblib import cpu_count

from isthmus.data.dataset import Dataset
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.study.capacity import Sweep, sweep
from isthmus.study.design import RIVAL_FAMILY, Design, design
from isthmus.study.estimate import afford, seconds
from isthmus.study.jobs import Progress, drive, kind
from isthmus.study.perform import perform, rows
from isthmus.study.racing import Round, further
from isthmus.study.store import Store
from isthmus.study.study import Study
from isthmus.train.plan import Plan


class Outline(NamedTuple):
    """A study that is planned and not begun."""

    data: Dataset
    design: Design
    folder: Path
    note: dict[str, Any]
    """What ``study.json`` keeps besides the design: where the data and their labels came from, the budget, the
    command."""


def outline(
    source: Any,
    labels: Any = None,
    *,
    label: str | None = None,
    anomaly: str | None = None,
    factors: Any = None,
    families: str | Recipe | Iterable[str | Recipe] | Mapping[str, Recipe] = "default",
    facets: str | Iterable[str] = "all",
    replicates: int = 5,
    configs: int = 6,
    steps: int | None = None,
    budget: str | float | None = None,
    latents: int | Literal["auto"] | None = None,
    hidden: Sequence[int] | None = None,
    backbone: str | None = None,
    contamination: float = 0.0,
    seed: int = 0,
    jobs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    plan: Plan | None = None,
    command: str = "",
) -> Outline:
    """Read the data and plan the study; nothing is written. Arguments as in :func:`compare`."""
    if steps is not None and budget is not None:
        raise BadInput("steps and budget exclude each other: a budget says how many steps there are; give one of them")
    began = time.perf_counter()
    _workers(jobs)
    if isinstance(source, Dataset) and factors is not None:
        raise BadInput("factors go with rows that are still to be read, one data set at a time; leave them out here")
    if isinstance(latents, str) and latents != "auto":
        raise BadInput(f"latents must be a whole number, or auto to sweep widths; got {latents!r}")
    plan = plan or Plan()
    plan = plan if steps is None else replace(plan, steps=steps)
    data = (
        source if isinstance(source, Dataset) else read(source, labels, label=label, anomaly=anomaly, factors=factors)
    )
    folder = Path(out if out is not None else f"isthmus-{slug(data.name)}").absolute()
    limit = None if budget is None else seconds(budget)
    note: dict[str, Any] = {"source": data.source, "label": data.label, "budget": limit, "command": command}
    options: dict[str, Any] = {
        "families": families,
        "facets": facets,
        "replicates": replicates,
        "configs": configs,
        "latents": None if latents == "auto" else latents,
        "hidden": hidden,
        "backbone": backbone,
        "contamination": contamination,
        "racing": limit is not None,
        "seed": seed,
    }
    planned = design(data, plan=plan, **options)
    split_all(planned, data)
    if latents == "auto":
        found = _swept_before(folder) or sweep(
            data, replicates=replicates, hidden=planned.hidden, backbone=backbone, plan=plan, seed=seed
        )
        note["sweep"], options["latents"] = found.to_json(), found.chosen
        planned = design(data, plan=plan, **options)
    if limit is not None:
        left = limit - (time.perf_counter() - began)
        bought = _bought_before(folder, limit) or min(plan.steps, afford(data, planned, left, workers=jobs))
        planned = design(data, plan=replace(plan, steps=bought), **options)
    note["planning"] = time.perf_counter() - began
    return Outline(data, planned, folder, note)


def compare(
    source: Any,
    labels: Any = None,
    *,
    label: str | None = None,
    anomaly: str | None = None,
    factors: Any = None,
    families: str | Recipe | Iterable[str | Recipe] | Mapping[str, Recipe] = "default",
    facets: str | Iterable[str] = "all",
    replicates: int = 5,
    configs: int = 6,
    steps: int | None = None,
    budget: str | float | None = None,
    latents: int | Literal["auto"] | None = None,
    hidden: Sequence[int] | None = None,
    backbone: str | None = None,
    contamination: float = 0.0,
    seed: int = 0,
    jobs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    plan: Plan | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Study:
    """Which autoencoder, if any, serves these data? Runs the comparison, or what is missing of it.

    The same call continues a study that was interrupted; runs that finished are never done again.

    Parameters
    ----------
    source : str, path, array or frame
        A file, the name of a bundled data set, or rows of shape (N, *D).
    labels : array of shape (N,), optional
        One label for each row.
    label : str, optional
        The column (or npz member) that holds the labels.
    anomaly : str, optional
        The label whose rows are anomalies. Without it, each replicate leaves another class out to play them.
    factors : optional
        What made each row, where it is known: names of columns, set aside as the label is, or numbers of shape (N, F).
    families : optional
        Names (with commas), recipes, or a dict of name -> recipe; by default every family. PCA always takes part.
    facets : optional
        Names of questions, by default all that the data can answer.
    replicates : int, default 5
        Seeded splits of the data.
    configs : int, default 6
        Tuning configurations of each family, the default one included.
    steps : int, optional
        Most optimiser steps of a training; replaces the plan's.
    budget : str or float, optional
        Time on the clock: seconds, or text like "5m". Steps are cut if the study would not fit; what time is left adds
        replicates for those in doubt (:mod:`isthmus.study.racing`). A continued study keeps the steps it began with.
    latents, hidden : optional
        Code width and hidden layers of every family; by default from the width of a row and the backbone.
        ``latents="auto"`` tries widths first and takes the smallest that is within one standard error of the best
        (:mod:`isthmus.study.capacity`); a continued study keeps the width it began with.
    backbone : str, optional
        The network of every family but PCA: linear, mlp, conv1d, conv2d, vit, or a name you registered (then with
        ``jobs=1``, for worker processes do not know it); by default each recipe's own, mlp.
    contamination : float, default 0
        Share of anomalies that stay among the training rows of the facet anomaly, as where nobody cleaned them.
    seed : int, default 0
        Same seed, same data, same machine: same numbers.
    jobs : int, optional
        Worker processes; by default one for each core. With 1 everything runs in this process.
    out : path, optional
        The study folder; by default ``isthmus-<name of the data>`` in the working directory.
    plan : Plan, optional
        How every model is trained.
    progress : callable, optional
        Hears ``progress(job, record, done, total)`` after each run.
    command : str, optional
        The command that repeats this study, for the report.

    Returns
    -------
    Study

    Raises
    ------
    BadInput
        If the data, a name or a number is not usable, or ``out`` holds something else.
    BadEnvironment
        If the folder cannot be written, or another process works in it.
    """
    planned = outline(
        source,
        labels,
        label=label,
        anomaly=anomaly,
        factors=factors,
        families=families,
        facets=facets,
        replicates=replicates,
        configs=configs,
        steps=steps,
        budget=budget,
        latents=latents,
        hidden=hidden,
        backbone=backbone,
        contamination=contamination,
        seed=seed,
        jobs=jobs,
        out=out,
        plan=plan,
        command=command,
    )
    return run(planned, workers=jobs, progress=progress)


def run(planned: Outline, *, workers: int | None = None, progress: Progress | None = None) -> Study:
    """Do what is missing of a planned study; with a budget, go on where the verdict is open while there is time."""
    _workers(workers)
    store = Store(planned.folder)
    store.create(planned.design.to_json(), planned.note)
    repaired: dict[str, str] = {}
    while True:
        jobs = planned.design.jobs(store.rounds())
        repaired |= drive(store, jobs, planned.data, perform, workers=workers, progress=progress)
        study = Study(planned.folder)
        study.repaired = repaired
        one = _next(study, planned.note["budget"], workers or cpu_count()) if planned.design.racing else None
        if one is None:
            return study
        with store.locked():
            store.add_round(one)


def _next(study: Study, budget: float, workers: int) -> Round | None:
    """The next round that the rest of the budget pays for, by what runs of each kind took so far."""
    open_ = study.open()
    if not open_:
        return None
    took: dict[tuple[str | None, ...], list[float]] = {}
    for record in study.records:
        took.setdefault(kind(record.job), []).append(record.seconds)
    price = sum(mean(took[kind(job.name)]) for job in study.plan.part((0,), open_))
    left = (budget - study.design["planning"]) * workers - sum(record.seconds for record in study.records)
    return further(open_, study.rounds, study.replicates, max(left, 0.0) / price)


def split_all(planned: Design, data: Dataset) -> None:
    """Refuse data that cannot be split, before anything is written."""
    for job in planned.jobs():
        if job.name.kind == "family" and job.name.name == RIVAL_FAMILY:
            rows(job, data)


def _workers(count: int | None) -> None:
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise BadInput(f"jobs must be a whole number of at least 1; got {count!r}")


def _bought_before(folder: Path, budget: float) -> int | None:
    """The steps that this budget bought when the study in ``folder`` began: timing again would give another design."""
    if not (folder / "study.json").exists():
        return None
    there = Store(folder).design()
    steps = there.get("plan", {}).get("steps")
    return int(steps) if there.get("budget") == budget and isinstance(steps, int) else None


def _swept_before(folder: Path) -> Sweep | None:
    """The sweep that chose the width when the study in ``folder`` began."""
    if not (folder / "study.json").exists():
        return None
    found = Store(folder).design().get("sweep")
    return None if found is None else Sweep.from_json(found)


def slug(name: str) -> str:
    """A short folder name that no file system refuses.

    Examples
    --------
    >>> slug("My data (2).csv")
    'My-data-2-.csv'
    """
    return re.sub(r"[^A-Za-z0-9._]+", "-", name)[:60].strip("-.") or "data"
