"""Doing the jobs: each once, in parallel, each leaving its record before anyone hears of it.

Workers are started once for a study, have one thread each, and write their records themselves. The driver only hands
out jobs and listens, so nothing that finished depends on it.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol

import torch
from joblib import Parallel, cpu_count, delayed, parallel_config
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from isthmus.errors import BadEnvironment
from isthmus.study.record import Job, JobName, Record
from isthmus.study.store import Store

Kind = tuple[str, str, str, str | None]
Perform = Callable[[Job, Any, Store], Record]


class Progress(Protocol):
    """What a listener hears after each job: the job, its record, and how many of all are done."""

    def __call__(self, job: Job, record: Record, done: int, total: int) -> Any: ...


def drive(
    store: Store,
    jobs: Sequence[Job],
    data: Any,
    perform: Perform,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, str]:
    """Do every job that has no record yet. The same call continues after any kind of end.

    Parameters
    ----------
    store : Store
        Where records go; locked while this runs.
    jobs : sequence of Job
        What is to be done; with several workers those that take longest go first.
    data : object
        Handed to ``perform``.
    perform : callable
        ``perform(job, data, store)`` does one job and commits its record.
    workers : int, optional
        Processes; by default one for each core. With 1 the jobs run in this process.
    progress : callable, optional
        Hears of every job as it ends; jobs that were done before are not told.

    Returns
    -------
    dict of str to str
        Runs that were set aside because they were damaged, and what was wrong. They are done again.
    """
    with store.locked():
        done, damaged = store.records(members=True)
        again = [name for name, record in done.items() if record.status == "failed"]
        for name in [*damaged, *again]:
            store.set_aside(name)
        heard = len({job.id for job in jobs} & done.keys()) - len({job.id for job in jobs} & set(again))
        for job, record in _all(store, jobs, data, perform, workers or cpu_count()):
            heard += 1
            if progress is not None:
                progress(job, record, heard, len(jobs))
    return damaged


def _missing(store: Store, jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if not (store.runs / job.id).exists()]


def _all(store: Store, jobs: Sequence[Job], data: Any, perform: Perform, workers: int) -> Iterator[tuple[Job, Record]]:
    """Every missing job, as it ends. If a worker dies, the rest is done one by one, to know who killed it."""
    missing = _missing(store, jobs)
    if min(workers, len(missing)) <= 1:
        for job in missing:
            yield job, _alone(job, data, store, perform, None)
        return
    told: set[str] = set()
    try:
        for job, record in _together(store, missing, data, perform, workers):
            told.add(job.id)
            yield job, record
    except TerminatedWorkerError:
        for job in missing:
            if job.id not in told:
                yield job, _suspect(store, job, data, perform)


def _suspect(store: Store, job: Job, data: Any, perform: Perform) -> Record:
    """One job in a process of its own; if that dies too, the job is what kills it, and is marked."""
    if not _missing(store, [job]):
        return store.read(job.id)
    try:
        return next(_together(store, [job], data, perform, 2))[1]
    except TerminatedWorkerError:
        message = "its process was killed twice (out of memory?); the same command tries it again"
        return store.commit(Record(id=job.id, job=job.name, status="failed", message=message))


def _together(
    store: Store, jobs: Sequence[Job], data: Any, perform: Perform, workers: int
) -> Iterator[tuple[Job, Record]]:
    by_id, lasted = {job.id: job for job in jobs}, dict[Kind, float]()
    with parallel_config("loky", inner_max_num_threads=1):
        pool = Parallel(n_jobs=workers, return_as="generator_unordered", batch_size=1)
        order = _longest_first(jobs, lasted)
        ended = pool(delayed(_alone)(job, data, store, perform, os.getpid()) for job in order)
    with closing(ended):
        for record in ended:
            lasted[kind(record.job)] = record.seconds
            yield by_id[record.id], record


def _longest_first(jobs: Sequence[Job], lasted: Mapping[Kind, float]) -> Iterator[Job]:
    """Jobs of a kind that was never timed, then those whose kind took longest: workers then finish together.

    The order has no bearing on what a job gives. It is asked for job by job, while ``lasted`` fills.
    """
    waiting = list(jobs)
    while waiting:
        longest = max(waiting, key=lambda job: lasted.get(kind(job.name), math.inf))
        waiting.remove(longest)
        yield longest


def kind(name: JobName) -> Kind:
    """What runs take about as long as each other: the same contender in the same place, of any replicate."""
    return name.kind, name.name, name.view, name.facet


def _alone(job: Job, data: Any, store: Store, perform: Perform, driver: int | None) -> Record:
    """One job in one thread. What it raises costs this run only; what the disk refuses stops the study."""
    if driver is not None:
        _follow(driver)
    with store.working(), one_thread():
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


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for every library, as in a worker: small products are faster, and sums come in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


_following = threading.Event()


def _follow(driver: int) -> None:
    """Leave when the driver is gone, whatever ended it; leave Ctrl-C to the driver."""
    if os.getppid() != driver:
        os._exit(1)
    if _following.is_set():
        return
    _following.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == driver:
            time.sleep(0.2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
