"""Jobs on this machine: in this process, or in worker processes that are started once for a study.

What every worker needs is sent to it when it starts; large arrays go through one file in the study folder, which all
workers map into their memory. Nothing lies in shared memory or in a temporary folder, where a driver that is killed
could not take it away: the next start in the study folder does.

A worker belongs to the process that started it, from its first moment: it leaves when that process is gone, and it
leaves Ctrl-C to it. Only workers that are started here do so. This file imports nothing heavy, so that a worker follows
before it imports what its jobs need.
"""

from __future__ import annotations

import math
import mmap
import os
import pickle
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from itertools import chain, islice
from multiprocessing import current_process, resource_tracker
from pathlib import Path
from tempfile import mkstemp
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import cloudpickle
from joblib import cpu_count
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from isthmus.study.launch import Died, ahead
from isthmus.study.launch.signals import signals_wait

if TYPE_CHECKING:
    from isthmus.study.record import Job, Record


class Work(Protocol):
    """What is done with a job: :class:`isthmus.study.jobs.Work`."""

    def __call__(self, job: Job, first: Callable[[], None] | None = None) -> Record:
        """Do it; ``first`` is called before, when whoever drives the study next waits for us already."""


LENT = ".rows-{}-"
"""How files begin that hold arrays for workers of the process of that number."""
ALIGNED = 64
"""Bytes to whose multiples arrays are put in such a file."""
UNTOLD = "ignore:resource_tracker:UserWarning"
"""What a tracker of semaphores is started with."""
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
TAKEN = 5.0
"""Seconds in which a pool takes a job that it was given."""
WATCHED = 0.2
"""Seconds between two looks at whether the driver lives."""


class Lent(NamedTuple):
    """What a worker is given when it starts: the work, and where the arrays in it lie."""

    work: bytes
    """Pickled, without its large arrays. It comes through a pipe from the driver, never from a file."""
    file: Path | None
    """Bytes of the arrays."""
    spans: list[tuple[int, int]]
    """Where in the file each begins and ends."""


class Local:
    """Jobs on this machine; a context, which ends its workers when it is left.

    Parameters
    ----------
    work : callable
        ``work(job)`` does one job, :class:`isthmus.study.jobs.Work`. Sent to workers once.
    folder : Path
        Where arrays for workers lie while they work.
    workers : int, optional
        Processes; by default one for each core. With 1, or with a single job, all is done in this process. So it is in
        a process that may start no others (a worker of ``multiprocessing.Pool``) or that has a standard stream closed,
        with a warning.
    """

    def __init__(self, work: Work, folder: Path, workers: int | None = None) -> None:
        self.work, self.folder = work, folder
        self.workers = workers or cpu_count()
        if self.workers > 1 and (obstacle := _obstacle()):
            warnings.warn(f"jobs are run in this process, one after another, because {obstacle}", stacklevel=2)
            self.workers = 1
        self._pool: ProcessPoolExecutor | None = None
        self._running: set[Future[Record]] = set()
        self._size = 0
        self._lent: Lent | None = None

    def __call__(self, jobs: Iterator[Job]) -> Generator[Record, None, None]:
        """Do jobs, and give their records as they end; see :class:`isthmus.study.launch.Launch`."""
        first = list(islice(jobs, 2))
        waiting = chain(first, jobs)
        if min(self.workers, len(first)) <= 1:
            yield from map(self._here, waiting)
            return
        with self._mourned():
            self._hand_out(waiting, math.inf)
            while self._running:
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._running.remove(future)
                    record = future.result()
                    yield record
                    self._hand_out(waiting, record.seconds)

    def alone(self, job: Job) -> Record:
        """Do one job in a process where nothing else is done; see :class:`isthmus.study.launch.Launch`."""
        with self._mourned():
            future = self._submit(job, 1)
            record = future.result()
            self._running.remove(future)
            return record

    def _hand_out(self, jobs: Iterator[Job], took: float) -> None:
        for job in islice(jobs, max(0, self.workers + ahead(self.workers, took) - len(self._running))):
            self._submit(job, self.workers)

    def _here(self, job: Job) -> Record:
        with one_thread():
            return self.work(job)

    @contextmanager
    def _mourned(self) -> Iterator[None]:
        """Whatever ends the block early ends the workers too."""
        try:
            yield
        except TerminatedWorkerError:
            self._end(kill=True)
            raise Died from None
        except BaseException:
            self._end(kill=True)
            raise

    def _submit(self, job: Job, size: int) -> Future[Record]:
        if self._size != size:
            self._end()
        if self._pool is None:
            self._lent = self._lent or _lend(self.work, self.folder)
            with untold():
                self._pool = ProcessPoolExecutor(
                    size, initializer=_begin, initargs=(os.getpid(), self._lent), env=ONE_THREAD
                )
                resource_tracker.ensure_running()  # now: on its way it would let signals through again
            self._size = size
            # A worker that has grown is replaced by a fresh one, as it should be: nobody needs to hear of it.
            warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        with signals_wait(), _interrupts_wait():
            future = self._pool.submit(_do, job)
            self._running.add(future)
            return future

    def _end(self, kill: bool = False) -> None:
        pool, self._pool, self._size = self._pool, None, 0
        running, self._running = self._running, set()
        if pool is not None:
            until = time.monotonic() + TAKEN
            while kill and time.monotonic() < until and not all(one.running() or one.done() for one in running):
                time.sleep(0.001)  # a job that its thread did not take yet, it would miss, with a traceback
            with (
                warnings.catch_warnings()
            ):  # where the system has no pgrep, it kills another way, but tells it at length
                warnings.filterwarnings("ignore", message="Failed to kill subprocesses")
                pool.shutdown(wait=True, kill_workers=kill)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end(kill=kind is not None)
        if self._lent is not None and self._lent.file is not None:
            self._lent.file.unlink(missing_ok=True)
        self._lent = None


@contextmanager
def untold() -> Iterator[None]:
    """Trackers that begin inside clean away what a killed pool leaves, as they should: nobody needs to hear of it."""
    sys.warnoptions.append(UNTOLD)
    try:
        yield
    finally:
        sys.warnoptions.remove(UNTOLD)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread for every library, as in a worker: small products are faster, and sums come in one order."""
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def sweep(folder: Path) -> None:
    """Delete what other drivers, which were killed, lent to their workers. Only where nobody else drives."""
    for path in folder.glob(LENT.format("*") + "*"):
        if not path.name.startswith(LENT.format(os.getpid())) and path.is_file() and not path.is_symlink():
            path.unlink()


def _obstacle() -> str:
    """Why this process cannot have workers, or ""."""
    if current_process().daemon:
        return "it is daemonic, as workers of multiprocessing.Pool are, and may start no others"
    if None in (sys.stdin, sys.stdout, sys.stderr):
        return "one of its standard streams is closed"
    return ""


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Ctrl-C, here and in processes that are started in the block, waits: here until its end, there until they begin.

    A process that imports would else answer it with a traceback.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _lend(work: Work, folder: Path) -> Lent:
    """The work as it is sent to workers; its arrays are written to a file that only this user can read."""
    arrays: list[pickle.PickleBuffer] = []
    plain = cloudpickle.dumps(work, protocol=5, buffer_callback=arrays.append)
    if not arrays:
        return Lent(plain, None, [])
    handle, name = mkstemp(prefix=LENT.format(os.getpid()), dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            spans = []
            for array in arrays:
                start = file.seek(-(-file.tell() // ALIGNED) * ALIGNED)
                file.write(array.raw())
                spans.append((start, file.tell()))
    except BaseException:
        os.unlink(name)
        raise
    return Lent(plain, Path(name), spans)


def _taken(lent: Lent) -> Work:
    """The work in a worker: its arrays are views of the file, which cannot be written."""
    buffers: list[memoryview] = []
    if lent.file is not None:
        with lent.file.open("rb") as file:
            whole = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if lent.spans[-1][1] else b""
        buffers = [memoryview(whole)[start:end] for start, end in lent.spans]
    work: Work = pickle.loads(lent.work, buffers=buffers)
    return work


# ------------------------------------------------------------------------------------------------------ in the workers

_driver = 0
_lent: Lent | None = None
_work: Work | None = None


def _begin(driver: int, lent: Lent) -> None:
    """What a worker does before all else."""
    global _driver, _lent  # a worker has one driver and one work, from its start to its end
    _driver, _lent = driver, lent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_follow, args=(driver,), daemon=True).start()


def _follow(driver: int) -> None:
    """Leave when the driver is gone, whatever ended it; it may be gone already."""
    while os.getppid() == driver:
        time.sleep(WATCHED)
    os._exit(1)


def _do(job: Job) -> Record:
    global _work  # noqa: PLW0603
    assert _lent is not None
    if _work is None:
        _work = _taken(_lent)
    with one_thread():
        return _work(job, _stay)


def _stay() -> None:
    """Leave if the driver is gone since the last look: no job begins that nobody waits for."""
    if os.getppid() != _driver:
        os._exit(1)
