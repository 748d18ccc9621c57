"""Doing the jobs: each once, each leaving its record before anyone hears of it.

Workers on this machine write their records themselves, so nothing that finished depends on the driver; what others did
is put in place by the driver (:mod:`isthmus.study.away`). Where jobs are run is not known here
(:mod:`isthmus.study.launch`).
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from isthmus.errors import BadEnvironment
from isthmus.study.launch import Died, Launch
from isthmus.study.record import Job, JobName, Record
from isthmus.study.store import Store

Kind = tuple[str, str, str, str | None]


class Commits(Protocol):
    """Where a run leaves what it found: the store, or what stands for it far from there."""

    def commit(self, record: Record, fill: Callable[[Path], None] | None = None) -> Record:
        """Keep a finished run; see :meth:`isthmus.study.store.Store.commit`."""


Perform = Callable[[Job, Any, Commits], Record]
Lasted = Mapping[Kind, float]
"""How many seconds the last job of each kind took."""
Waiting = Mapping[int, Sequence[Job]]
"""Jobs that have not begun, by replicate, the first one first."""
Choose = Callable[[Waiting, Lasted], Job | None]
"""Says which of the waiting jobs begins next; None: no more do."""


class Progress(Protocol):
    """What a listener hears after each job: the job, its record, and how many of all are done."""

    def __call__(self, job: Job, record: Record, done: int, total: int) -> Any: ...


@dataclass(frozen=True, eq=False)
class Work:
    """What is done with each job, wherever that is. What a job raises costs this run; what the disk refuses, the study.

    Parameters
    ----------
    store : Store
        Where records go.
    data : object
        Handed to ``perform``.
    perform : callable
        ``perform(job, data, store)`` does one job and commits its record.
    """

    store: Store
    data: Any
    perform: Perform

    def __call__(self, job: Job, first: Callable[[], None] | None = None) -> Record:
        """Do a job; ``first`` is called before it, when whoever drives the study next waits for us already."""
        with self.store.working():
            if first is not None:
                first()
            return attempt(self.perform, job, self.data, self.store)


def attempt(perform: Perform, job: Job, data: Any, store: Commits) -> Record:
    """Do one job, or commit what kept it from being done."""
    began = time.perf_counter()
    try:
        return perform(job, data, store)
    except BadEnvironment:
        raise
    except Exception as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        return store.commit(
            Record(
                id=job.id,
                job=job.name,
                status="failed",
                message=f"{type(error).__name__}: {first}",
                seconds=time.perf_counter() - began,
            )
        )


def drive(
    store: Store,
    jobs: Sequence[Job],
    launch: Launch,
    *,
    progress: Progress | None = None,
    choose: Choose | None = None,
) -> dict[str, str]:
    """Do every job that has no record yet. The same call continues after any kind of end.

    Parameters
    ----------
    store : Store
        Where records go; locked while this runs.
    jobs : sequence of Job
        What is to be done; with several workers those that take longest go first.
    launch : Launch
        Where jobs are run; it does the :class:`Work` of this store.
    progress : callable, optional
        Hears of every job as it ends; jobs that were done before are not told.
    choose : callable, optional
        Says which job begins next, and when no more do; by default all do.

    Returns
    -------
    dict of str to str
        Runs that were set aside because they were damaged, and what was wrong. They are done again.
    """
    with store.locked():
        done, damaged = store.records(members=True, jobs=jobs)
        again = [name for name, record in done.items() if record.status == "failed"]
        for name in [*damaged, *again]:
            store.set_aside(name)
        heard = len({job.id for job in jobs} & done.keys()) - len({job.id for job in jobs} & set(again))
        for job, record in _all(store, jobs, launch, choose):
            heard += 1
            if progress is not None:
                progress(job, record, heard, len(jobs))
    return damaged


def _missing(store: Store, jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if not (store.runs / job.id).exists()]


def _all(store: Store, jobs: Sequence[Job], launch: Launch, choose: Choose | None) -> Iterator[tuple[Job, Record]]:
    """Every missing job, as it ends. If a worker dies, the rest is done one by one, to know who killed it."""
    missing, lasted = _missing(store, jobs), dict[Kind, float]()
    open_ = {job.id: job for job in missing}
    try:
        usual = _longest_first(missing, lasted) if launch.workers > 1 else iter(missing)
        with closing(launch(usual if choose is None else one_by_one(missing, lasted, choose))) as ended:
            for record in ended:
                lasted[kind(record.job)] = record.seconds
                yield open_.pop(record.id), record
    except Died:
        for job in open_.values():
            yield job, _suspect(store, job, launch)


def _suspect(store: Store, job: Job, launch: Launch) -> Record:
    """One job in a process of its own; if that dies too, the job is what kills it, and is marked."""
    if not _missing(store, [job]):
        return store.read(job.id)
    try:
        return launch.alone(job)
    except Died:
        message = "its process was killed twice (out of memory?); the same command tries it again"
        return store.commit(Record(id=job.id, job=job.name, status="failed", message=message))


def by_replicate(jobs: Sequence[Job]) -> dict[int, list[Job]]:
    """Jobs of each replicate, the first one first; each in their order."""
    found = dict[int, list[Job]]()
    for job in sorted(jobs, key=lambda one: one.name.replicate):
        found.setdefault(job.name.replicate, []).append(job)
    return found


def one_by_one(jobs: Sequence[Job], lasted: Lasted, choose: Choose) -> Iterator[Job]:
    """Jobs in the order in which they are chosen, one after the other while ``lasted`` fills.

    The order has no bearing on what a job gives.
    """
    waiting = by_replicate(jobs)
    while waiting and (job := choose(waiting, lasted)) is not None:
        waiting[job.name.replicate].remove(job)
        if not waiting[job.name.replicate]:
            del waiting[job.name.replicate]
        yield job


def _longest_first(jobs: Sequence[Job], lasted: Lasted) -> Iterator[Job]:
    """One of a kind that was never timed, else of the kind that took longest: workers then finish together.

    Jobs of one kind wait in one line, so the next of ten thousand is found as soon as the next of ten.
    """
    lines = dict[Kind, deque[tuple[int, Job]]]()
    for number, job in enumerate(jobs):
        lines.setdefault(kind(job.name), deque()).append((number, job))
    while lines:
        longest = max(lines, key=lambda one: (lasted.get(one, math.inf), -lines[one][0][0]))
        yield lines[longest].popleft()[1]
        if not lines[longest]:
            del lines[longest]


def kind(name: JobName) -> Kind:
    """What runs take about as long as each other: the same contender in the same place, of any replicate."""
    return name.kind, name.name, name.view, name.facet
