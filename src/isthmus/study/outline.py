"""A study that is planned and not begun: data read, design expanded, nothing written."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from isthmus.data.dataset import Dataset
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.study.budget import afford, as_before, given_up, seconds
from isthmus.study.capacity import Sweep, sweep
from isthmus.study.design import Design, capacity_asked, design
from isthmus.study.estimate import SHARE, Tell, estimate
from isthmus.study.examine import data_of
from isthmus.study.launch.dask import count
from isthmus.study.material import rows
from isthmus.study.options import CompareOptions, DesignOptions, Reading, declared, filled, running, signed
from isthmus.study.profile import profiled
from isthmus.study.purpose import reduced
from isthmus.study.racing import LOOKS, spent
from isthmus.study.results import Results
from isthmus.study.store import Store
from isthmus.train.plan import Plan

KEPT = ("more", "out", "jobs", "command")
"""Options that a study takes which goes on as its folder says."""


class Outline(NamedTuple):
    """A study that is planned and not begun."""

    data: Dataset
    design: Design
    folder: Path
    note: dict[str, Any]
    """What ``study.json`` keeps besides the design: where the data and their labels came from, the budget, the
    command."""
    more: int | None = None
    """Replicates to add to what is there."""


@signed(CompareOptions)
def outline(
    source: Any = None,
    labels: Any = None,
    *,
    tell: Tell | None = None,
    began: float | None = None,
    **options: Unpack[CompareOptions],
) -> Outline:
    """Read the data and plan the study; nothing is written. Arguments as in :func:`isthmus.compare`.

    ``tell`` hears how many seconds went into finding out how long the study will take, if there is a budget. A budget
    counts from ``began`` on the clock of ``time.perf_counter``, by default from this call.
    """
    asked = filled(CompareOptions, options)
    began = time.perf_counter() if began is None else began
    if source is None:
        return reopened(asked)
    _check(asked)
    data = _data(source, labels, asked)
    folder = Path(f"isthmus-{slug(data.name)}" if asked["out"] is None else asked["out"]).absolute()
    if asked["more"] is not None:
        extended(folder, asked["more"])
    limit = None if asked["budget"] is None else seconds(asked["budget"])
    note: dict[str, Any] = {"source": data.source, "label": data.label, "budget": limit, "command": asked["command"]}
    note |= {"reading": dict(data.asked)} if data.asked else {}
    planned = _designed(data, asked, folder, note)
    if limit is not None and (there := _before(folder, limit)) is not None:
        planned = as_before(planned, there)
    elif limit is not None:
        whole, prices = planned, estimate(data, planned, workers=size(running(asked)), limit=SHARE * limit, tell=tell)
        planned = afford(whole, prices, limit - (time.perf_counter() - began))
        note["given_up"] = given_up(whole, planned)
        note["prices"] = prices.to_json()
    else:
        counts = {"replicates": planned.replicates, "configs": planned.configs}
        note["given_up"] = reduced(asked, counts, planned.plan["steps"])
    seen = profiled(data, planned.latents, planned.facets, planned.skipped)
    note["profile"] = seen.model_dump(mode="json")
    note["planning"] = time.perf_counter() - began
    return Outline(data, planned, folder, note, asked["more"])


def reopened(asked: Mapping[str, Any]) -> Outline:
    """A study as its folder says, to add replicates to it; its data are where they were."""
    if asked["more"] is None or asked["out"] is None:
        raise BadInput(
            "no data: give a file, an array or the name of a bundled set; or more and out, to add replicates to a study"
        )
    usual = filled(CompareOptions, {})
    given = [name for name, value in asked.items() if name not in KEPT and value is not usual[name]]
    if given:
        raise BadInput(f"without data, more adds to the study in {asked['out']} as it is; leave {given[0]} out")
    check_workers(asked["jobs"])
    folder = Path(asked["out"]).absolute()
    study = extended(folder, asked["more"])
    if study.note.get("ablation"):
        raise BadInput(f"{folder} holds an ablation, and more is for comparisons; repeat it with more replicates")
    data, why = data_of(study)
    if data is None:
        raise BadInput(f"{why}; repeat the command of the study with the data, and more")
    return Outline(data, study.design, folder, dict(study.note), asked["more"])


def extended(folder: Path, more: Any) -> Results:
    """The study in a folder, if it can get more replicates."""
    if not isinstance(more, int) or isinstance(more, bool) or more < 1:
        raise BadInput(f"more must be a whole number of replicates of at least 1; got {more!r}")
    if not (folder / "study.json").exists():
        raise BadInput(f"{folder} holds no study to add replicates to; leave more out first, or name the folder (out)")
    study = Results(folder)
    if spent(study.rounds) and len(study.records) == study.total:
        raise BadInput(
            f"{folder} has been looked at {LOOKS} times, as often as its claims allow; begin one with more "
            "replicates in another folder"
        )
    return study


def _check(asked: Mapping[str, Any]) -> None:
    """Refuse options that contradict each other or make no sense, before data are read."""
    named = isinstance(asked["plan"], Mapping) and "steps" in asked["plan"]
    if (asked["steps"] is not None or named) and asked["budget"] is not None:
        raise BadInput("steps and budget exclude each other: a budget says how many steps there are; give one of them")
    check_workers(*running(asked).values())
    capacity_asked(asked)
    if isinstance(asked["latents"], str) and asked["latents"] != "auto":
        raise BadInput(f"latents must be a whole number, or auto to sweep widths; got {asked['latents']!r}")


def _data(source: Any, labels: Any, asked: Mapping[str, Any]) -> Dataset:
    """The rows: read, or as they were read before."""
    if not isinstance(source, Dataset):
        return read(source, labels, **{name: asked[name] for name in declared(Reading)})
    for name, value in {"labels": labels, **{name: asked[name] for name in declared(Reading)}}.items():
        if name != "images" and value is not None and value is not False:
            raise BadInput(f"{name} says how data are read, and these have been read; leave {name} out")
    return source if asked["images"] is None else replace(source, said=asked["images"])


def _designed(data: Dataset, asked: Mapping[str, Any], folder: Path, note: dict[str, Any]) -> Design:
    """The design, with the width of the code that a sweep chooses if it is asked to; ``note`` keeps the sweep."""
    swept = asked["latents"] == "auto"
    told: dict[str, Any] = {name: asked[name] for name in declared(DesignOptions)}
    told |= {"racing": asked["budget"] is not None, "latents": None if swept else asked["latents"]}
    planned = design(data, **told)
    split_all(planned, data)
    if not swept:
        return planned
    about: dict[str, Any] = {name: getattr(planned, name) for name in ("replicates", "hidden", "seed")}
    about |= {"backbone": asked["backbone"], "plan": Plan.from_json(planned.plan)}
    found = _swept_before(folder) or sweep(data, **about)
    note["sweep"] = found.to_json()
    return design(data, **told | {"latents": found.chosen})


def split_all(planned: Design, data: Dataset) -> None:
    """Refuse data that cannot be split, before anything is written."""
    one = next(iter(planned.families))
    for job in planned.jobs():
        if job.name.kind == "family" and job.name.name == one:
            rows(job, data)


def check_workers(count: int | None, cluster: str | None = None, checkpoint: str | float | None = None) -> None:
    """Refuse a number of workers, a cluster or a time of keeping that makes no sense, or not together."""
    if count is not None and cluster is not None:
        raise BadInput("jobs and cluster exclude each other: a cluster has workers of its own; give one of them")
    if checkpoint is not None and seconds(checkpoint, "checkpoint") and cluster is not None:
        raise BadInput(
            "checkpoint and cluster exclude each other: what a worker keeps on its own disk is lost with it; leave "
            "checkpoint out"
        )
    if count is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise BadInput(f"jobs must be a whole number of at least 1; got {count!r}")


def size(where: Mapping[str, Any]) -> int | None:
    """How many worker processes there will be; None: one for each core of this machine."""
    workers: int | None = where["workers"]
    return workers if where["cluster"] is None else count(where["cluster"])


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
