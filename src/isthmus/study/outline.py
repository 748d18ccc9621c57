"""A study that is planned and not begun: data read, design expanded, nothing written."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from isthmus.data.dataset import Dataset
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.study.budget import afford, as_before, called, given_up, seconds
from isthmus.study.capacity import Sweep, sweep
from isthmus.study.design import Design, design
from isthmus.study.estimate import SHARE, Tell, estimate
from isthmus.study.material import rows
from isthmus.study.store import Store
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
    images: bool | None = None,
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
    rivals: str | Iterable[str] = "all",
    seed: int = 0,
    jobs: int | None = None,
    out: str | os.PathLike[str] | None = None,
    plan: Plan | None = None,
    command: str = "",
    tell: Tell | None = None,
) -> Outline:
    """Read the data and plan the study; nothing is written. Arguments as in :func:`isthmus.compare`.

    ``tell`` hears how many seconds went into finding out how long the study will take, if there is a budget.
    """
    if steps is not None and budget is not None:
        raise BadInput("steps and budget exclude each other: a budget says how many steps there are; give one of them")
    began = time.perf_counter()
    check_workers(jobs)
    if isinstance(source, Dataset) and factors is not None:
        raise BadInput("factors need data that are still to be read, one data set at a time; leave them out here")
    if isinstance(latents, str) and latents != "auto":
        raise BadInput(f"latents must be a whole number, or auto to sweep widths; got {latents!r}")
    plan = plan or Plan()
    plan = plan if steps is None else replace(plan, steps=steps)
    if isinstance(source, Dataset):
        data = source if images is None else replace(source, said=images)
    else:
        data = read(source, labels, label=label, anomaly=anomaly, factors=factors, images=images)
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
        "rivals": rivals,
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
    if limit is not None and (there := _before(folder, limit)) is not None:
        planned = as_before(planned, there)
    elif limit is not None:
        asked, prices = planned, estimate(data, planned, workers=jobs, limit=SHARE * limit, tell=tell)
        planned = afford(asked, prices, limit - (time.perf_counter() - began))
        note["given_up"] = given_up(asked, planned)
        note["expected"] = {called(job): round(prices.job(job), 3) for job in planned.jobs()}
    note["planning"] = time.perf_counter() - began
    return Outline(data, planned, folder, note)


def split_all(planned: Design, data: Dataset) -> None:
    """Refuse data that cannot be split, before anything is written."""
    one = next(iter(planned.families))
    for job in planned.jobs():
        if job.name.kind == "family" and job.name.name == one:
            rows(job, data)


def check_workers(count: int | None) -> None:
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise BadInput(f"jobs must be a whole number of at least 1; got {count!r}")


def _before(folder: Path, budget: float) -> Mapping[str, Any] | None:
    """What ``study.json`` says where a study with this budget began."""
    if not (folder / "study.json").exists():
        return None
    there = Store(folder).design()
    return there if there.get("budget") == budget else None


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
