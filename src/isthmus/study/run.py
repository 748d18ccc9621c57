"""A planned study is run, or what is missing of it; then on where the verdict is open, in a race or if asked."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import Any

from isthmus.study.away import Away, lying, token, unpacked
from isthmus.study.budget import KEPT_BACK, Watch, first, given_up, given_up_too, measured, seconds, slimmer, taken_back
from isthmus.study.design import Design
from isthmus.study.estimate import Estimate
from isthmus.study.jobs import Progress, Work, drive, kind
from isthmus.study.kept import Kept
from isthmus.study.launch import Launch
from isthmus.study.launch.dask import Dask
from isthmus.study.launch.local import Local
from isthmus.study.outline import Outline, check_workers
from isthmus.study.perform import perform
from isthmus.study.racing import Round, extension, further
from isthmus.study.results import Results
from isthmus.study.store import Store


def run(
    planned: Outline,
    *,
    workers: int | None = None,
    cluster: str | None = None,
    checkpoint: str | float | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Results:
    """Do what is missing of a planned study; with a budget, go on while there is time: first with the questions that it
    left out, then where the verdict is open.

    What no longer fits into the budget is not begun, and counts as not run. Runs are done by ``workers`` processes on
    this machine, or by those of a Dask cluster. Trainings are kept as often as ``checkpoint`` says. Replicates that are
    asked for (``planned.more``) are run whatever the budget was, once: who was stopped amid them goes on with them.
    """
    check_workers(workers, cluster, checkpoint)
    began, store = clock(), Store(planned.folder)
    watch: Watch | None = None
    ends: float | None = None
    repaired: dict[str, str] = {}
    with _launched(planned, store, workers, cluster, checkpoint) as launch:
        store.create(planned.design.to_json(), planned.note)
        more = 0 if _begun(store, planned) else planned.more
        if planned.design.racing and planned.more is None:
            there = Results(planned.folder)
            spent = there.note["planning"] + sum(record.seconds for record in there.records) / launch.workers
            ends = began + planned.note["budget"] * (1 - KEPT_BACK) - spent  # the rest is for the report
            watch = watching(there, ends, launch.workers, clock)
        while True:
            repaired |= drive(store, planned.design.jobs(store.rounds()), launch, progress=progress, choose=watch)
            study = Results(planned.folder)
            study.repaired = repaired
            origins = planned.data.origins
            most = math.inf if origins is None else len(origins) - study.replicates
            one: Round | None = None
            if watch and ends and not (watch.patient or study.rounds) and len(study.records) < study.total:
                watch = replace(watching(study, ends, launch.workers, clock), weighed=watch.weighed)
                smaller = slimmer(study.design, (record.id for record in study.records), watch)
                if smaller in (None, study.design):
                    watch = replace(watch, patient=True)
                else:
                    planned = _slimmed(store, planned, smaller)
                continue
            if more and study.complete:
                one, more = extension(study.open(), study.rounds, study.replicates, int(min(more, most))), 0
            elif ends is not None and study.complete:
                watch = watching(study, ends, launch.workers, clock)
                one = taken_back(study.design, study.rounds, watch.fits)
                one = one or _next(study, (ends - clock()) * launch.workers, most)
                watch = replace(watch, later=watch.later | set(one.asked if one else ()))
            if one is None:
                return study
            with store.locked():
                store.add_round(one)


def _slimmed(store: Store, planned: Outline, smaller: Design) -> Outline:
    """The study without what there is no time for; who continues it goes on with that."""
    gone = given_up_too(planned.note.get("given_up") or {}, given_up(planned.design, smaller))
    note = {**planned.note, "given_up": gone}
    with store.locked():
        store.make_smaller(smaller.to_json(), note)
    return planned._replace(design=smaller, note=note)


def _begun(store: Store, planned: Outline) -> bool:
    """Whether replicates that were added before are not all done."""
    done = {name for name, record in store.records()[0].items() if record.status != "failed"}
    usual = {job.id for job in planned.design.jobs()}
    return any(job.id not in usual | done for job in planned.design.jobs(store.rounds()))


@contextmanager
def _launched(
    planned: Outline, store: Store, workers: int | None, cluster: str | None, checkpoint: str | float | None
) -> Iterator[Launch]:
    """Where the runs are done."""
    if cluster is None:
        kept = None if checkpoint is None else Kept(planned.folder, seconds(checkpoint, "checkpoint"))
        with Local(Work(store, planned.data, partial(perform, kept=kept)), planned.folder, workers) as launch:
            yield launch
        return
    here = lying(planned.data, planned.design.to_json(), planned.note, perform)
    home = partial(unpacked, store)
    with Dask(Away(planned.data, perform), home, token(planned.data), cluster, here) as launch:
        yield launch


def watching(study: Results, deadline: float, workers: int, clock: Callable[[], float]) -> Watch:
    """What looks at the clock while a study runs. What a job takes whose like has not ended is what was probed, as far
    as what is done did not take longer, or less."""
    prices: Mapping[str, Any] | None = study.note.get("prices")  # older studies have none
    found = Estimate({}, {}, {}, {}, 0.0, 1) if prices is None else Estimate.from_json(prices)
    expected = measured(found, study.design.jobs(study.rounds), study.records)
    later = frozenset(facet for one in study.rounds for facet in one.asked)
    return Watch(deadline, workers, expected, first(study.design), clock, later)


def _next(study: Results, left: float, most: float = math.inf) -> Round | None:
    """The next round that the working seconds that are left pay for, by what runs of each kind took so far; of no more
    than ``most`` replicates.
    """
    open_ = study.open()
    if not open_:
        return None
    took: dict[tuple[str | None, ...], list[float]] = {}
    for record in study.records:
        took.setdefault(kind(record.job), []).append(record.seconds)
    price = sum(mean(took[kind(job.name)]) for job in study.design.part((0,), open_))
    return further(open_, study.rounds, study.replicates, min(max(left, 0.0) / price, most))
