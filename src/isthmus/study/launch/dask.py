"""Jobs on the workers of a Dask cluster (extra ``dask``), whoever started it: by hand, on Slurm, on Kubernetes.

Jobs go there, and what they leave comes back: no worker needs to see the study folder. What every job needs stays in
the worker's process. A worker that has not got it looks whether the data lie where they lie here, else says so, and
gets it once; so a worker that joins late, or that a nanny starts again, works as any other does.

A job whose worker is lost goes to another one: Dask does that, as often as its option
``distributed.scheduler.allowed-failures`` says. If the scheduler is lost, what came home is kept, and the driver ends.
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from joblib import cpu_count

from isthmus.errors import BadEnvironment, BadInput, MissingExtra
from isthmus.study.launch import Died, ahead
from isthmus.study.launch.local import one_thread
from isthmus.study.launch.processes import processes
from isthmus.study.launch.signals import signals_wait

if TYPE_CHECKING:
    from isthmus.study.record import Job, Record

Away = Callable[["Job"], Any]
"""Does one job away from here, and gives what comes home of it."""

PATIENCE = 300.0
"""Seconds that a cluster may be without any worker."""
CONNECTING = 30.0
"""Seconds in which a scheduler has to answer."""
LOOK = 1.0
"""Seconds between two looks at the cluster while no job ends."""
LOGGERS = ("distributed", "distributed.client", "distributed.gc")
"""Of Dask, with levels of their own."""
HELD = 2
"""Works that a worker keeps: two studies may share a cluster."""

RELEASE = lambda key, client, dask_scheduler: dask_scheduler.client_releases_keys([key], client)  # noqa: E731
"""A nameless function travels whole, so a scheduler needs no Isthmus."""


class Task(NamedTuple):
    """What goes to a worker: a job, and the name of what it needs."""

    job: Job
    token: str
    found: Callable[[], Away | None] | None
    """What may find it there; small."""
    version: str


class Absent(NamedTuple):
    """The answer of a worker that has not got what a job needs."""

    worker: str


class Given(NamedTuple):
    """A worker has got it, or is lost."""

    worker: str


class Ended(NamedTuple):
    """A job that ended somewhere."""

    future: Any
    left: Any
    """What it left; None if that was lost; an error that ends the study, or :class:`Died`."""


class Home(NamedTuple):
    """A run is in its place here."""

    left: Any
    """Its record, or the error that kept it from that."""


News = Ended | Given | Home


class Dask:
    """Jobs on a Dask cluster; a context, which leaves the cluster as it was.

    Parameters
    ----------
    work : callable
        ``work(job)`` does one job, away from here. Sent to each worker once, where ``found`` finds nothing.
    home : callable
        ``home(left)`` makes a record of what came back, here.
    token : str
        Names the work: what has the same name is taken for the same.
    found : callable, optional
        ``found()`` gives the work to a worker, or None, from what lies on its machine.
    cluster : str
        The address of a scheduler (``tcp://host:8786``), a scheduler file, or ``local`` or ``local:N`` for N processes
        on this machine that Dask starts.

    Raises
    ------
    BadInput
        If ``cluster`` is none of these.
    BadEnvironment
        If no scheduler answers there.
    MissingExtra
        If Dask is not installed.
    """

    def __init__(
        self,
        work: Away,
        home: Callable[[Any], Record],
        token: str,
        cluster: str,
        found: Callable[[], Away | None] | None = None,
    ) -> None:
        self.work, self.home, self.token, self.found = work, home, token, found
        self.cluster = cluster
        self._open = ExitStack()
        self._client = self._open.enter_context(connected(cluster))
        self._version = version("isthmus")
        self._seen = time.monotonic()
        self._looked, self._there = -math.inf, frozenset[str]()
        self._given: dict[str, float] = {}
        """When each worker got the work."""

    @property
    def workers(self) -> int:
        """Worker processes that are there now, but 1 at least: each does one job at a time."""
        return max(1, len(self._workers()))

    def _workers(self) -> frozenset[str]:
        """Their addresses, as they were not long ago: the scheduler is not asked after every job."""
        if (now := time.monotonic()) - self._looked >= LOOK:
            running = self._client.status == "running"
            self._there = frozenset(self._client.scheduler_info(n_workers=-1)["workers"] if running else ())
            self._looked = now
            if self._there:
                self._seen = now
        return self._there

    def __call__(self, jobs: Iterator[Job]) -> Generator[Record, None, None]:
        """Do jobs, and give their records as they end; see :class:`isthmus.study.launch.Launch`."""
        ended: queue.SimpleQueue[News] = queue.SimpleQueue()
        running: dict[Any, tuple[Job, float]] = {}
        homing: deque[threading.Event] = deque()
        """Runs that are being put in place: a disk has time for some of them at once."""
        waiting: dict[str, list[Job]] = {}
        """Jobs whose workers are being given what they need."""
        killers, took = 0, math.inf

        def submit(job: Job) -> None:
            future = self._client.submit(do, Task(job, self.token, self.found, self._version), pure=False)
            running[future] = job, time.monotonic()
            future.add_done_callback(lambda one: beside(self._fetch, one, ended))

        def again(worker: str) -> None:
            for job in waiting.pop(worker, ()):
                submit(job)

        def hand_out() -> None:
            for gone in waiting.keys() - self._workers():
                again(gone)
            room = self.workers + ahead(self.workers, took) - len(running) - sum(map(len, waiting.values()))
            for job in islice(jobs, max(0, room)):
                submit(job)

        with self._mourned(), ExitStack() as leaving:
            leaving.callback(lambda: [one.wait() for one in homing])  # whoever leaves, nothing is written after that
            while True:
                hand_out()
                if not running and not waiting and not homing:
                    break
                news = self._next(ended)
                if isinstance(news, Given):
                    self._given[news.worker] = time.monotonic()
                    again(news.worker)
                elif isinstance(news, Home):
                    homing.remove(next(one for one in homing if one.is_set()))
                    took = news.left.seconds
                    yield news.left
                if not isinstance(news, Ended):
                    continue
                job, since = running.pop(news.future)
                if isinstance(news.left, Died):
                    killers += 1
                elif isinstance(news.left, Absent) and since > self._given.get(worker := news.left.worker, -math.inf):
                    if worker not in waiting:
                        beside(self._give, worker, ended)
                        self._looked = -math.inf  # it may have come since
                    waiting.setdefault(worker, []).append(job)
                elif news.left is None or isinstance(news.left, Absent):  # several may have missed it before it came
                    submit(job)
                else:
                    homing.append(threading.Event())
                    beside(self._put, news, homing[-1], ended)
        if killers:
            raise Died  # who it was is found out one by one, when nothing else runs

    def alone(self, job: Job) -> Record:
        """Do one job while nothing else is done; see :class:`isthmus.study.launch.Launch`."""
        return next(self(iter([job])))

    def _next(self, ended: queue.SimpleQueue[News]) -> News | None:
        """What was heard of a job or a worker; None if nothing was for a while."""
        try:
            news = ended.get(timeout=LOOK)
        except queue.Empty:
            if self._client.status not in {"running", "connecting"}:
                raise BadEnvironment(self._lost()) from None
            if time.monotonic() - self._seen > PATIENCE:
                raise BadEnvironment(
                    f"the cluster at {self.cluster} has had no worker for {PATIENCE:.0f} seconds; finished runs are "
                    "kept; start workers, and repeat the command"
                ) from None
            return None
        left = None if isinstance(news, Given) else news.left
        if isinstance(left, BaseException) and not isinstance(left, Died):
            raise left
        return news

    def _fetch(self, future: Any, ended: queue.SimpleQueue[News]) -> None:
        """Bring home what a job left."""
        left: Any
        try:
            left = future.result()
        except BaseException as error:  # told where jobs are waited for
            left = self._why(future, error)
        if isinstance(left, Absent):  # or it is done in vain, where what it needs has come since
            self._release(future)
        ended.put(Ended(future, left))

    def _release(self, future: Any) -> None:
        """Let the scheduler forget a job that came home, and wait until it has.

        It does again what it holds for us if the worker that did it is lost. To drop the future says that it need not,
        some time later; a run is put in place when that was heard.
        """
        with suppress(Exception):  # the scheduler is lost, or takes no functions: then the future is dropped, no more
            self._client.run_on_scheduler(RELEASE, future.key, self._client.id)

    def _put(self, came: Ended, done: threading.Event, ended: queue.SimpleQueue[News]) -> None:
        """Put in place here what came home."""
        found: Any
        try:
            self._release(came.future)
            found = self.home(came.left)
        except Exception as error:  # told where jobs are waited for
            found = error
        finally:
            done.set()
        ended.put(Home(found))

    def _why(self, future: Any, error: BaseException) -> BaseException | None:
        """What ends the study if a job left nothing; None if the job has to be done again, by whoever comes."""
        from distributed import KilledWorker

        if isinstance(error, KilledWorker):
            return Died()  # worker after worker was lost with it
        if future.status == "error":
            return error
        if self._client.status not in {"running", "connecting"}:
            return BadEnvironment(self._lost())
        return None

    def _give(self, worker: str, ended: queue.SimpleQueue[News]) -> None:
        """Send a worker what jobs need."""
        with suppress(Exception):  # it, or the client, is closed meanwhile
            self._client.run(keep, self.token, self.work, workers=[worker], on_error="ignore")
        ended.put(Given(worker))

    def _lost(self) -> str:
        return (
            f"the scheduler at {self.cluster} is gone; finished runs are kept; the same command continues once it is "
            "there again"
        )

    @contextmanager
    def _mourned(self) -> Iterator[None]:
        """What Dask says of a connection that breaks, in one line."""
        try:
            yield
        except (OSError, CancelledError) as error:
            raise BadEnvironment(self._lost()) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()


def beside(call: Callable[..., None], *what: Any) -> None:
    """Do something in a thread of its own: it takes a connection half a minute to hear that nobody is there."""
    threading.Thread(target=call, args=what, daemon=True).start()


@contextmanager
def connected(cluster: str) -> Iterator[Any]:
    """A client of the cluster that is named so; what Dask logs is not shown, for what matters is raised."""
    try:
        with signals_wait():
            from distributed import Client
    except ImportError as error:
        raise MissingExtra(f"a cluster needs {error.name}: pip install 'isthmus[dask]'") from None
    kind, colon, rest = cluster.partition(":")
    with ExitStack() as opened:
        for logger in map(logging.getLogger, LOGGERS):
            opened.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL + 1)
        how: dict[str, Any] = {"timeout": CONNECTING, "set_as_default": False}
        if kind == "local":
            if colon and not (rest.isdecimal() and int(rest)):
                raise BadInput(f"cluster local:N takes how many processes Dask starts, at least 1; got {cluster!r}")
            how["address"] = opened.enter_context(processes(int(rest) if colon else cpu_count()))
        elif "://" in cluster:
            how["address"] = cluster
        elif Path(cluster).is_file():
            how["scheduler_file"] = cluster
        else:
            raise BadInput(
                f"cluster must be an address like tcp://host:8786, a scheduler file, local or local:N; got {cluster!r}"
            )
        try:
            with signals_wait():
                client = Client(**how)
                opened.callback(_closed, client)
        except (OSError, ValueError, TimeoutError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise BadEnvironment(f"no Dask scheduler answers at {cluster} ({first:.100}); start one there") from None
        yield client


def _closed(client: Any) -> None:
    """Close a client. One that lost its scheduler may fail at it: what ended it is told instead."""
    with suppress(Exception):
        client.close()


def count(cluster: str) -> int:
    """How many worker processes a cluster has."""
    kind, _, rest = cluster.partition(":")
    if kind == "local":
        return int(rest) if rest.isdecimal() and int(rest) else cpu_count()
    with connected(cluster) as client:
        return max(1, len(client.scheduler_info(n_workers=-1)["workers"]))


# ------------------------------------------------------------------------------------------------------ in the workers

_works: dict[str, Away | None] = {}
_one = threading.Lock()
"""A worker may have several threads; jobs are done one at a time, for what they hold to one thread is the process."""


def keep(token: str, work: Away | None) -> None:
    """Keep what jobs of this name need."""
    _works.pop(token, None)
    _works[token] = work
    while len(_works) > HELD:
        del _works[next(iter(_works))]


def do(task: Task) -> Any:
    """Do one job, or say that what it needs is not here."""
    from distributed import get_worker

    if (here := version("isthmus")) != task.version:
        raise BadEnvironment(
            f"the worker at {get_worker().address} has isthmus {here}, and here is {task.version}; install one version"
        )
    with _one:
        if task.token not in _works:
            keep(task.token, None if task.found is None else task.found())
        work = _works[task.token]
        if work is None:
            return Absent(get_worker().address)
        with one_thread():
            return work(task.job)
