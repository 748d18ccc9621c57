"""Thousands of short lives in a world that fails: what was finished is there, once, and whole.

A schedule is named by its seed. It draws a scenario (a study whose jobs are done here, by workers, or on a cluster; a
training that is checkpointed; a watch that keeps its state; a model that is saved again), lets process after process
begin and come to some end (:mod:`isthmus.testing.world`), and looks at the disk after each as who comes next would.
Then nothing fails any more, and the last process has to end well. The code under test is the code that ships.

``python -m isthmus.testing.faults`` runs schedules, ``--seed N`` one of them and tells what happened.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

from isthmus.errors import BadEnvironment
from isthmus.study import jobs as doing
from isthmus.study.away import Away, unpacked
from isthmus.study.jobs import Commits, Work
from isthmus.study.launch import Died, dask
from isthmus.study.racing import Round
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import NAME, Store
from isthmus.testing.world import KINDS, Fault, Killed, World

DESIGN = {"format": 1, "seed": 0}
ROUNDS = 2
"""Rounds that a study adds, each of one replicate."""
LIVES = 4
"""Processes that may fail, at most; one that does not comes after them."""
PROCESSES = 2
PART = 50
"""Schedules that a process takes at once."""
FAR = 120
"""Calls that pass between two faults, at most."""


class Wrong(BaseException):
    """A promise that was not kept. Nobody under test catches it."""


class Scene(NamedTuple):
    """One scenario: what a process does, and what must hold after its end."""

    live: Callable[[], None]
    look: Callable[[], None]
    """Raises :class:`Wrong`."""
    end: Callable[[], None]
    """The same, once nothing fails any more."""


def schedule(seed: int, tell: Callable[[str], Any] | None = None, scene: str | None = None) -> str:
    """Run one schedule, and give the name of its scenario.

    Parameters
    ----------
    seed : int
        Names it: the same seed, the same story.
    tell : callable, optional
        Hears what happens.
    scene : str, optional
        The scenario, one of ``SCENES``; by default the seed draws it.

    Raises
    ------
    Wrong
        If a promise was not kept.

    Examples
    --------
    >>> schedule(0) == schedule(0)
    True
    """
    dice = random.Random(seed)
    name = dice.choice(list(SCENES)) if scene is None else scene
    lives = []
    for _ in range(dice.randint(1, LIVES)):
        kinds = dice.sample(KINDS, dice.randint(1, 3))
        befalls = [int(dice.random() ** 2 * FAR) for _ in range(dice.randint(1, 4))]
        lives.append([Fault(after, dice.choice(kinds)) for after in befalls])
    if tell is not None:
        tell(f"schedule {seed}: {name}")
    play(name, lives, dice, tell)
    return name


def play(
    scene: str, lives: Sequence[Sequence[Fault]], dice: random.Random, tell: Callable[[str], Any] | None = None
) -> int:
    """Let processes live with these faults, one after the other, and then one without any.

    Returns
    -------
    int
        Calls that passed through the world.
    """
    with _folder() as root:
        world = World(root, dice)
        played = SCENES[scene](world)
        with world.installed():
            try:
                for faults in lives:
                    world.expect(*faults)
                    _live(world, played.live)
                    world.calm()
                    world.revive()
                    played.look()
                _live(world, played.live, well=True)
                played.look()
                played.end()
            finally:
                if tell is not None:
                    tell("\n".join(world.told))
    return world.calls


def _live(world: World, live: Callable[[], None], well: bool = False) -> None:
    """One process from its start to its end, whatever that is."""
    world.told.append("a process begins")
    try:
        live()
    except Killed:
        pass
    except (BadEnvironment, OSError) as error:
        if well:
            raise Wrong(f"a process without faults ended with: {error}") from error
        world.told.append(f"it ended: {error}")


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder in memory, where the system has such a place."""
    name = tempfile.mkdtemp(prefix="isthmus-world-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
    try:
        yield Path(name)
    finally:
        shutil.rmtree(name)


# ------------------------------------------------------------------------------------------ a study


class Books:
    """What a study is, what was promised of it, and what must hold.

    Parameters
    ----------
    world : World
    """

    def __init__(self, world: World) -> None:
        self.world, self.dice = world, world.dice
        self.store = Store(world.root / "work" / "study")
        self.count = self.dice.randint(2, 4)
        self.failing = {r for r in range(self.count) if self.dice.random() < 0.1}
        """Replicates whose jobs fail once."""
        self.told: dict[str, str] = {}
        """Runs that were committed, with the status of their record, as who heard it notes it outside of the world."""
        self.rounds: list[Round] = []
        """Rounds that were written down."""
        self.rotten: set[str] = set()
        """Runs that were damaged on purpose."""

    # what a process does

    def live(self, launch: Callable[[], Any]) -> None:
        """Do what is missing, as :func:`isthmus.study.run.run` does."""
        self.store.create(DESIGN, {"command": "none"})
        with launch() as there:
            while True:
                rounds = self.store.rounds()
                doing.drive(self.store, self.jobs(rounds), there)
                self.rounds = max(self.rounds, rounds, key=len)
                for name, record in self.store.records()[0].items():  # some may be of who was killed before it said so
                    self.told[name] = record.status
                if len(rounds) == ROUNDS:
                    return
                with self.store.locked():
                    if len(rounds := self.store.rounds()) < ROUNDS:
                        one = Round((self.count + len(rounds),), {})
                        self.store.add_round(one)
                        self.rounds = [*rounds, one]

    def jobs(self, rounds: Sequence[Round]) -> list[Job]:
        """All jobs, those of a race included."""
        replicates = [*range(self.count), *(r for one in rounds for r in one.replicates)]
        names = [JobName(kind="family", name="plain", view="all", replicate=r) for r in replicates]
        return [Job(name, {"data": "d", "seed": 0}) for name in names]

    def perform(self, job: Job, data: Any, keeper: Commits) -> Record:
        """Do one job."""
        if self.told.get(job.id) == "ok" and job.id not in self.rotten:
            raise Wrong(f"run {job.id[:8]} was finished, and is done again")
        if job.name.replicate in self.failing:
            self.failing.discard(job.name.replicate)
            raise KeyError("once")

        def fill(folder: Path) -> None:
            for name, content in members(job).items():
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(content)

        choice = Choice(config=0, metrics={"mse": value(job)})
        return keeper.commit(Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice}), fill)

    def hear(self, record: Record) -> None:
        """A commit has returned."""
        if record.status == "ok" and self.told.get(record.id) == "ok" and record.id not in self.rotten:
            raise Wrong(f"run {record.id[:8]} was committed twice")
        self.rotten.discard(record.id)
        self.told[record.id] = record.status

    # what must hold

    def look(self) -> None:
        """What whoever comes next finds."""
        if not (self.store.folder / "study.json").exists():
            if self.told or self.rounds:
                raise Wrong("the study is gone, and runs of it were finished")
            return
        rounds = self.store.rounds()
        if rounds[: len(self.rounds)] != self.rounds:
            raise Wrong(f"a round is lost: {len(self.rounds)} were written down, {len(rounds)} are there")
        jobs = {job.id: job for job in self.jobs(rounds)}
        good, damaged = self.store.records(members=True, jobs=jobs.values())
        if half := [why for name, why in damaged.items() if name not in self.rotten]:
            raise Wrong(f"half a run: {half[0]}")
        for name, status in self.told.items():
            if status == "ok" and name not in {*good, *self.rotten}:
                raise Wrong(f"run {name[:8]} was finished, and is lost")
        for name, record in good.items():
            whole = record.status == "failed" or (name in jobs and self._whole(jobs[name], record))
            if not whole and name not in self.rotten:
                raise Wrong(f"run {name[:8]} holds something else")
            if whole:  # done again, and nobody heard of it
                self.rotten.discard(name)
        if self.dice.random() < 0.2 and (fresh := sorted(good.keys() - self.rotten)):
            self._rot(self.dice.choice(fresh))

    def _whole(self, job: Job, record: Record) -> bool:
        there = {name: (self.store.runs / job.id / name).read_bytes() for name in members(job)}
        return there == members(job) and record.facets["reconstruction"].metrics == {"mse": value(job)}

    def _rot(self, name: str) -> None:
        member = self.dice.choice([path for path in sorted((self.store.runs / name).rglob("*")) if path.is_file()])
        content = bytearray(member.read_bytes())
        content[self.dice.randrange(len(content))] ^= 1 << self.dice.randrange(8)
        self.world.rot(member, bytes(content))
        self.rotten.add(name)

    def end(self) -> None:
        """What is there once nothing fails any more."""
        wanted = self.jobs(self.store.rounds())
        good, damaged = self.store.records(members=True, jobs=wanted)
        if damaged or good.keys() != {job.id for job in wanted} or len(wanted) != self.count + ROUNDS:
            raise Wrong(f"{len(wanted)} runs were to be there, {len(good)} are, and {len(damaged)} are damaged")
        if not all(self._whole(job, good[job.id]) for job in wanted):
            raise Wrong("the table is not that of a study where nothing failed")
        left = {*os.listdir(self.store.folder)} - {"study.json", "race.json", "runs", "aside", ".lock", ".busy"}
        left |= {name for name in os.listdir(self.store.runs) if not NAME.fullmatch(name)}
        if left:
            raise Wrong(f"{min(left)} was left")


def value(job: Job) -> float:
    """What a job finds."""
    return float(job.seed("value") % 997)


def members(job: Job) -> dict[str, bytes]:
    """What lies beside its record."""
    content = str(value(job)).encode() * 3
    return {"scores.safetensors": content, "config-1/model.json": content[::-1]}


def study(world: World, place: str) -> Scene:
    """A study with a race, whose jobs are done in a place: ``here``, by ``workers``, or on a ``cluster``."""
    books = Books(world)
    store = Noting(books)
    work = Work(store, None, books.perform)
    places: dict[str, Callable[[], Any]] = {
        "here": lambda: nullcontext(Workers(world, work, 1)),
        "workers": lambda: nullcontext(Workers(world, work, PROCESSES)),
        "cluster": lambda: _cluster(world, books.perform, store),
    }
    world.rival = lambda: _live(world, lambda: books.live(places["here"]))

    def end() -> None:
        if books.rotten:  # since the last process looked
            books.live(places[place])
        books.end()

    return Scene(lambda: books.live(places[place]), books.look, end)


class Noting(Store):
    """The store, and who hears of its commits."""

    def __init__(self, books: Books) -> None:
        super().__init__(books.store.folder)
        object.__setattr__(self, "hear", books.hear)

    def commit(self, record: Record, fill: Callable[[Path], None] | None = None) -> Record:
        """As the store does, and heard."""
        found = super().commit(record, fill)
        vars(self)["hear"](found)
        return found


class Workers:
    """Jobs in processes that may be lost, with what they did or without."""

    def __init__(self, world: World, work: Work, workers: int) -> None:
        self.world, self.work, self.workers = world, work, workers

    def __call__(self, jobs: Iterator[Job]) -> Generator[Record, None, None]:
        """As :class:`isthmus.study.launch.Launch`."""
        for job in jobs:
            yield self._done(job) if self.workers > 1 else self.work(job)

    def alone(self, job: Job) -> Record:
        """As :class:`isthmus.study.launch.Launch`."""
        return self._done(job)

    def _done(self, job: Job) -> Record:
        """A worker that is killed takes its job with it, at some call of it or right after its commit."""
        world, fate = self.world, self.world.dice.random()
        if not world.faults or fate > 0.15:
            return self.work(job)
        world.told.append("a worker is lost")
        if fate < 0.05:
            self.work(job)
            raise Died
        kept, world.faults = world.faults, [Fault(world.dice.randrange(25), "kill")]
        try:
            self.work(job)
        except Killed:
            world.alive = True
        finally:
            world.faults = kept
        raise Died


# ------------------------------------------------------------------------------------------ a cluster


@contextmanager
def _cluster(world: World, perform: Callable[..., Record], store: Store) -> Iterator[dask.Dask]:
    """The launcher of clusters, with a cluster in this process whose parts are lost."""
    known = ModuleType("distributed")
    scheduler = Scheduler(world, known)
    vars(known).update(KilledWorker=Lost, get_worker=lambda: SimpleNamespace(address=scheduler.now))
    with ExitStack() as put:
        for place, name, there in (
            (dask, "connected", lambda cluster: nullcontext(scheduler)),
            (dask, "one_thread", nullcontext),
            (dask, "LOOK", 0.0),
            (dask, "beside", lambda call, *what: call(*what)),
            (dask, "_works", {}),
        ):
            put.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, there)
        before = sys.modules.get("distributed")
        sys.modules["distributed"] = known
        put.callback(
            lambda: sys.modules.pop("distributed") if before is None else sys.modules.update(distributed=before)
        )
        yield put.enter_context(
            dask.Dask(Away("rows", perform), lambda parcel: unpacked(store, parcel), "rows", "tcp://world")
        )


class Lost(Exception):
    """Worker after worker was lost with a job."""


class Answer:
    """A future of that cluster."""

    def __init__(self, call: Callable[[], Any], key: str) -> None:
        self.call, self.key, self.status, self.value, self.lost = call, key, "pending", None, 0
        self.heard: Callable[[Any], Any] = lambda _: None

    def add_done_callback(self, heard: Callable[[Any], Any]) -> None:
        """As Dask's."""
        self.heard = heard

    def result(self) -> Any:
        """As Dask's."""
        if self.status == "cancelled":
            raise CancelledError
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def end(self, status: str, value: Any = None) -> None:
        """It is heard of."""
        self.status, self.value = status, value
        self.heard(self)


class Scheduler:
    """What of a Dask client is used: it does something whenever it is asked how many workers there are."""

    def __init__(self, world: World, known: ModuleType) -> None:
        self.world, self.status, self.now, self.id = world, "running", "", "driver"
        self.open: list[Answer] = []
        self.done: dict[str, tuple[str, Answer]] = {}
        """What ended, by its key, until it is released, and where: it is done again if that worker is lost."""
        self.numbers = itertools.count()
        self.held: dict[str, dict[str, Any]] = {f"tcp://worker-{n}": {} for n in range(PROCESSES)}

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        """As Dask's; one job ends meanwhile."""
        if self.open:
            self._proceed(self.open.pop(self.world.dice.randrange(len(self.open))))
        return {"workers": dict.fromkeys(self.held)}

    def submit(self, call: Callable[..., Any], task: Any, pure: bool) -> Answer:
        """As Dask's."""
        made = Answer(lambda: call(task), f"do-{next(self.numbers)}")
        self.open.append(made)
        return made

    def run_on_scheduler(self, call: Callable[..., Any], *rest: Any) -> None:
        """As Dask's."""
        call(*rest, dask_scheduler=self)

    def client_releases_keys(self, keys: list[str], client: str) -> None:
        """As the scheduler's of Dask."""
        for key in keys:
            del self.done[key]

    def run(self, call: Callable[..., Any], *rest: Any, workers: list[str], on_error: str) -> None:
        """As Dask's: a worker that is gone does nothing."""
        for worker in workers:
            if worker in self.held:
                self._at(worker, lambda: call(*rest))

    def _at(self, worker: str, call: Callable[[], Any]) -> Any:
        self.now, dask._works = worker, self.held[worker]  # a process has its own
        return call()

    def _proceed(self, one: Answer) -> None:
        dice, fate = self.world.dice, self.world.dice.random() if self.world.faults else 1.0
        worker = dice.choice(list(self.held))
        if fate < 0.1:
            self.world.told.append(f"{worker} is lost")
            del self.held[worker]
            self.held[f"tcp://worker-{len(self.held)}-{dice.random()}"] = {}
            for key, (at, other) in list(self.done.items()):
                if at == worker:
                    self.done[key] = next(iter(self.held)), other
                    self._at(self.done[key][0], other.call)
            one.lost += 1
            if one.lost > 1:
                one.end("error", Lost())
            else:
                self.open.append(one)
        elif fate < 0.15:
            one.end("cancelled")
        elif fate < 0.2:
            one.end("finished", OSError("lost on its way"))
        elif fate < 0.23:
            self.world.told.append("the scheduler is lost")
            self.status = "closed"
            for other in [one, *self.open]:
                other.end("cancelled")
            self.open.clear()
        else:
            found = self._at(worker, one.call)
            self.done[one.key] = worker, one
            one.end("finished", found)


# -------------------------------------------------------------------------------- files that are put in place whole


def numbered(world: World, save: Callable[[int], None], load: Callable[[], int | None]) -> Scene:
    """A process that saves state after state, and begins with the one that is there.

    ``save(n)`` writes state n; ``load()`` gives the number of the state that is there, or None.
    """
    saved, tried = -1, -1

    def live() -> None:
        nonlocal saved, tried
        at = -1 if (found := load()) is None else found
        for number in range(at + 1, at + world.dice.randint(2, 5)):
            tried = max(tried, number)
            save(number)
            saved = number

    def look() -> None:
        found = load()
        if found is None and saved >= 0:
            raise Wrong(f"state {saved} was saved, and there is none")
        if found is not None and not saved <= found <= tried:
            raise Wrong(f"state {saved} was saved, and {found} is there")

    def end() -> None:
        left = [path.name for path in world.root.rglob("*") if path.name.startswith(".") or "tmp" in path.name]
        if left:
            raise Wrong(f"{min(left)} was left")

    return Scene(live, look, end)


def checkpoint(world: World) -> Scene:
    """The file of a training that is kept."""
    import torch

    from isthmus.train.checkpoint import Checkpoint, Keeper, State

    kept = Checkpoint(world.root / "training.safetensors", every=0.0)

    def save(number: int) -> None:
        keeper = Keeper(kept, [])
        keeper.kept = []
        tensors = {"weight": torch.full((4,), float(number)), "clock": torch.arange(number + 1)}
        keeper.save(State(tensors, {"steps": number, "ended": False}))

    def load() -> int | None:
        steps = kept.steps()
        if steps is not None and float(Keeper(kept, []).kept[0].tensors["weight"][0]) != steps:
            raise Wrong("weights of another step")
        return steps

    return numbered(world, save, load)


def monitor(world: World) -> Scene:
    """The state of a watch."""
    from isthmus.monitor import state
    from isthmus.monitor.watch import Watch

    place, deployed = world.root / "watch.json", _deployed()

    def save(number: int) -> None:
        watch = Watch(deployed)
        watch.progress.rows = number
        state.save(place, watch, state.Kept(()))

    def load() -> int | None:
        if not place.exists():
            return None
        watch = Watch(deployed)
        state.load(place, watch)
        return watch.progress.rows

    return numbered(world, save, load)


_made: list[Any] = []


def _deployed() -> Any:
    """A small model that can be watched, made once in a process."""
    if not _made:
        import numpy as np

        from isthmus.families import named
        from isthmus.ship.deployed import Deployed
        from isthmus.train.fitted import fit

        x = np.random.default_rng(0).normal(size=(900, 3))
        model = fit(named("pca").set_params(latents=2), x[:300], valid=x[300:400])
        _made.append(Deployed.of(model, x[:300], x[300:400], x[400:]))
    return _made[0]


SCENES: dict[str, Callable[[World], Scene]] = {
    "study here": lambda world: study(world, "here"),
    "study with workers": lambda world: study(world, "workers"),
    "study on a cluster": lambda world: study(world, "cluster"),
    "checkpoint": checkpoint,
    "monitor": monitor,
}


# ------------------------------------------------------------------------------------------ many seeds


def survey(seeds: range) -> tuple[Counter[str], dict[int, str]]:
    """Run schedules: how many there were of each scenario, and what went wrong, by seed."""
    seen: Counter[str] = Counter()
    wrong = {}
    for seed in seeds:
        try:
            seen[schedule(seed)] += 1
        except (Wrong, Exception) as error:
            wrong[seed] = f"{type(error).__name__}: {error}"
    return seen, wrong


def main(arguments: list[str] | None = None) -> int:
    """The command: exit code 1 if a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m isthmus.testing.faults", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, help="one schedule, with what happens in it")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        schedule(asked.seed, tell=print)
        return 0
    began = time.perf_counter()
    parts = [
        range(start, min(start + 50, asked.first + asked.schedules))
        for start in range(asked.first, asked.first + asked.schedules, 50)
    ]
    seen: Counter[str] = Counter()
    wrong: dict[int, str] = {}
    with nullcontext() if asked.jobs == 1 else get_context("spawn").Pool(asked.jobs) as pool:
        for counts, bad in map(survey, parts) if pool is None else pool.imap_unordered(survey, parts):
            seen += counts
            wrong |= bad
    for name, count in sorted(seen.items()):
        print(f"{count:7,} {name}")
    print(f"{asked.schedules:,} schedules in {time.perf_counter() - began:.0f} s; {len(wrong)} went wrong")
    for seed, what in sorted(wrong.items())[:20]:
        print(f"  --seed {seed}: {what}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
