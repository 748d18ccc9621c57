"""How long a study will take: small pieces of it are timed on these data, on this machine, within a stated time.

Every family trains a few steps, of its first configuration; every facet and every rival looks at some of the rows.
While there is time all of them do four times as much, until a piece is done whole; what was not done whole is
extrapolated, in proportion to rows, and what was never begun from others of its kind, in proportion to its size.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib import import_module
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from joblib import cpu_count

from isthmus.data.dataset import Dataset
from isthmus.facets import ALWAYS, FACETS
from isthmus.facets.facet import RIVAL_FAMILY, Rows, Splits
from isthmus.facets.rivals import work
from isthmus.families import recipe
from isthmus.model import Recipe
from isthmus.seeds import seed as hashed
from isthmus.study.design import Design
from isthmus.study.launch.local import one_thread
from isthmus.study.material import Material, prepare
from isthmus.study.perform import contender, train
from isthmus.study.record import Job
from isthmus.train.fitted import Fitted
from isthmus.train.loop import Check
from isthmus.train.plan import Plan
from isthmus.train.task import spacing

Clock = Callable[[], float]
Tell = Callable[[float], Any]
"""Hears how many seconds of the probing are over."""

USUAL = 10.0
"""Seconds that probing may take where there is no budget."""
SHARE = 0.05
"""Share of a budget that it may take."""
SHARES = (1 / 64, 1 / 16, 1 / 4, 1.0)
"""How much of a piece is done, in turn."""
CHECKS, EACH = 6, 1
"""Looks at the clock while a family trains, and the steps between them; the first look includes the recording."""
SAFE = 2.0
"""How much faster than before a piece may come to grow with its rows."""
LONG = 0.5
"""Seconds after which a family is not watched any longer, once the pace of its steps is known."""
SPLITS = (0.6, 0.2, 0.2)
"""Shares of the rows that train, validate and test."""
LEAST = (160, 60, 60)
"""Training, validation and test rows of the smallest piece: what every facet can be asked of."""
LOADED = tuple(f"sklearn.{name}" for name in ("cluster", "ensemble", "linear_model", "mixture", "neighbors", "svm"))
"""What facets and rivals load when they are first asked."""
WORKER_START = 4.0
"""Seconds until a fresh worker has imported what it needs."""


class Done(NamedTuple):
    """What was done of a piece, beside the time that the clock shows."""

    step: float = 0.0
    """Seconds of one optimiser step of one configuration."""
    steps: int = 0
    """How many were made."""
    configs: int = 1
    """How many configurations took part in each."""


class Reading(NamedTuple):
    """What one piece of a study takes, in seconds."""

    rest: float
    step: float = 0.0
    """For each optimiser step of the study."""


NOTHING = Reading(0.0)


@dataclass
class Piece:
    """Something that a study does, and that can be done in part."""

    kind: str
    """family, facet, rival or split."""
    size: float
    """How much there is to do next to others of its kind, in any unit."""
    do: Callable[[float], Done | None]
    """Does a share of it."""
    configs: int = 1
    """Configurations that take part once the whole of it is done."""
    divisible: bool = True
    """Whether a share of it can be done; else it is done whole at once."""
    extra: float = 0.0
    """Seconds that the whole takes besides, which no share shows."""
    seen: list[tuple[float, float, float]] = field(default_factory=list)
    """Share, seconds without steps, seconds of a step; of one configuration."""
    failed: bool = False
    """It raised something on a small share; the run itself will say what."""

    def reading(self) -> Reading | None:
        """The whole of it: a fixed part and one in proportion to rows; None if it was never done."""
        if not self.seen:
            return None
        share, took, step = self.seen[-1]
        if step and len(self.seen) == 1:  # what a training takes besides its steps is mostly their recording
            return Reading(took, step)
        before = self.seen[-2] if len(self.seen) > 1 else (0.0, 0.0, 0.0)
        slope = max(0.0, (took - before[1]) / (share - before[0]))
        return Reading(took + slope * (1 - share), step)


def probe(
    pieces: Sequence[Piece],
    limit: float,
    clock: Clock = time.perf_counter,
    tell: Tell | None = None,
    shares: Sequence[float] = SHARES,
) -> None:
    """Do the pieces in ever larger shares while the time lasts; the first piece and the first family always, the others
    if they fit: who knows the pace of no training knows nothing.

    Parameters
    ----------
    pieces : sequence of Piece
        In the order of their worth; what was seen is added to them.
    limit : float
        Seconds for all of them.
    clock : callable, optional
    tell : callable, optional
        Hears how many seconds are over after each piece.
    shares : sequence of float, optional
        How much of each is done, in turn.
    """
    began = clock()
    needed = [*pieces[:1], *[piece for piece in pieces if piece.kind == "family"][:1]]
    for share in shares:
        for piece in pieces:
            if piece.failed or (piece.seen and piece.seen[-1][0] >= share):
                continue
            left = limit - (clock() - began)
            begun = bool(piece.seen) or not any(piece is one for one in needed)
            if begun and (left <= 0 or max(expected(piece, share, pieces), piece.extra) > left):
                continue
            then = clock()
            try:
                done = piece.do(share) or Done()
            except Exception:  # on so few rows, or at all: what it is worth knowing, its own run will say
                piece.failed = True
                continue
            took = (clock() - then) / done.configs - done.steps * done.step
            piece.seen.append((share if piece.divisible else 1.0, max(0.0, took), done.step))
            if tell is not None:
                tell(clock() - began)


def shares_of(rows: int) -> list[float]:
    """The shares that are worth doing of so many rows: those that differ from all, and are no fewer than facets need.

    The smallest is as small as it can be, for what is done first is done without knowing how long it takes.

    Examples
    --------
    >>> shares_of(150), shares_of(2800), shares_of(20000)
    ([1.0], [0.1, 0.25, 1.0], [0.015625, 0.0625, 0.25, 1.0])
    """
    least = sum(LEAST) / rows
    found = [share for share in SHARES if share == 1.0 or share >= least]
    return [least, *found] if SHARES[0] < least <= found[0] / 2 else found


def expected(piece: Piece, share: float, pieces: Iterable[Piece]) -> float:
    """Seconds that a share of a piece will take: as it grew, on the safe side, or as others of its kind took."""
    if piece.seen:
        last, took, step = piece.seen[-1]
        once = took * share / last
        if len(piece.seen) > 1:  # part of it does not grow with the rows
            before, less, _ = piece.seen[-2]
            once = min(once, took + SAFE * max(0.0, took - less) / (last - before) * (share - last))
        once += CHECKS * EACH * step
        return once * piece.configs + piece.extra if share == 1.0 else once
    alike = [p for p in pieces if p.kind == piece.kind and p.seen]
    pace = [(p.seen[0][1] + CHECKS * EACH * p.seen[0][2]) / max(1.0, p.size / piece.size) for p in alike]
    return max(pace, default=0.0)


def readings(pieces: Sequence[Piece]) -> list[Reading]:
    """What each piece takes; what was never done, from the others of its kind in proportion to their sizes."""
    known = {id(piece): found for piece in pieces if (found := piece.reading()) is not None}
    whole = []
    for piece in pieces:
        alike = [(p.size, known[id(p)]) for p in pieces if p.kind == piece.kind and id(p) in known]
        if id(piece) in known or not alike:
            whole.append(known.get(id(piece), Reading(0.0)))
            continue
        total = sum(size for size, _ in alike)
        share = piece.size / total
        whole.append(Reading(share * sum(r.rest for _, r in alike), share * sum(r.step for _, r in alike)))
    return whole


@dataclass(frozen=True)
class Estimate:
    """Working time of one core, in seconds, of all that a study is made of; what it means on the clock."""

    families: Mapping[str, Reading]
    """One configuration of each family: its beginning, and one step."""
    criteria: Mapping[str, float]
    """What choosing by a facet takes, for one configuration."""
    facets: Mapping[str, float]
    """What measuring takes, without trainings."""
    rivals: Mapping[tuple[str, str], float]
    """Of each facet, by their names."""
    split: float
    """Splitting and scaling the rows."""
    workers: int
    took: float = 0.0
    """What finding out took on the clock."""

    def to_json(self) -> dict[str, Any]:
        """What ``study.json`` keeps of it."""
        rivals: dict[str, dict[str, float]] = {}
        for (facet, name), took in self.rivals.items():
            rivals.setdefault(facet, {})[name] = took
        families = {name: list(one) for name, one in self.families.items()}
        return {
            "families": families,
            "criteria": dict(self.criteria),
            "facets": dict(self.facets),
            "rivals": rivals,
            "split": self.split,
            "workers": self.workers,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Estimate:
        """What was found out when a study was planned."""
        rivals = {(facet, name): took for facet, some in content["rivals"].items() for name, took in some.items()}
        families = {name: Reading(*one) for name, one in content["families"].items()}
        return cls(**{**content, "families": families, "rivals": rivals})

    def job(self, job: Job) -> float:
        """Seconds of one job, if every training uses all its steps."""
        return self.split + self._fixed(job) + job.body.get("plan", {}).get("steps", 0) * self._step(job)

    def _fixed(self, job: Job) -> float:
        if job.name.kind == "rival":
            return self.rivals.get((str(job.name.facet), job.name.name), 0.0)
        asked, count = job.body["facets"], len(job.body["configs"])
        chosen = sum(self.facets.get(f, 0.0) for f in asked)
        chosen += sum(self.facets.get(f, 0.0) * (min(count, len(asked)) - (f in asked)) for f in ALWAYS)
        each = self.families.get(job.name.name, NOTHING).rest + sum(self.criteria.get(f, 0.0) for f in asked)
        return count * each + chosen

    def _step(self, job: Job) -> float:
        if job.name.kind == "rival":
            return 0.0
        again = sum(FACETS[f].trains for f in job.body["facets"])
        return (len(job.body["configs"]) + again) * self.families.get(job.name.name, NOTHING).step

    def line(self, jobs: Sequence[Job]) -> tuple[float, float]:
        """Seconds on the clock without any step, and of each step, of some jobs."""
        workers = min(self.workers, len(jobs)) or 1
        start = WORKER_START if workers > 1 else 0.0
        fixed = sum(self.split + self._fixed(job) for job in jobs)
        return start + fixed / workers, sum(map(self._step, jobs)) / workers

    def seconds(self, design: Design, jobs: Sequence[Job] | None = None) -> float:
        """Wall time if every training uses all its steps; those that converge earlier save time.

        Of some jobs only, if they are given."""
        fixed, step = self.line(design.jobs() if jobs is None else jobs)
        return fixed + step * float(design.plan["steps"])


def estimate(
    data: Dataset,
    design: Design,
    *,
    workers: int | None = None,
    limit: float = USUAL,
    clock: Clock = time.perf_counter,
    tell: Tell | None = None,
) -> Estimate:
    """Time pieces of a study, within ``limit`` seconds, and extrapolate.

    Parameters
    ----------
    data : Dataset
    design : Design
    workers : int, optional
        Processes; by default one for each core.
    limit : float, default 10
        Seconds that it may take.
    clock : callable, optional
    tell : callable, optional
        Hears how many seconds are over.
    """
    began = clock()
    with one_thread():
        for name in LOADED:  # else whatever needs one of them first would seem to take so long for each share of rows
            import_module(name)
        pieces = _Pieces(data, design, clock, began + limit)
        probe(pieces.all, limit - (clock() - began), clock, tell, shares_of(len(data.x)))
        found = dict(zip(pieces.names, readings(pieces.all), strict=True))
    part = {kind: {n: r for (k, n), r in found.items() if k == kind} for kind in ("family", "criterion", "facet")}
    return Estimate(
        families={str(name): one for name, one in part["family"].items()},
        criteria={str(name): one.rest for name, one in part["criterion"].items()},
        facets={str(name): one.rest for name, one in part["facet"].items()},
        rivals={(n[0], n[1]): one.rest for (kind, n), one in found.items() if kind == "rival"},
        split=found["split", ""].rest,
        workers=min(workers or cpu_count(), len(design.jobs())),
        took=clock() - began,
    )


class _Pieces:
    """The pieces of a study by name: one split, each family, each facet asked of one family, each rival."""

    def __init__(self, data: Dataset, design: Design, clock: Clock, deadline: float) -> None:
        self.data, self.clock, self.deadline = data, clock, deadline
        self.jobs = [job for job in design.jobs() if job.name.replicate == 0]
        self.materials: dict[str, Material] = {}
        self.shown: Fitted | None = None
        """The model that facets are asked of: of the first family that has one."""
        views = {job.name.view: job for job in self.jobs}
        rows, width = len(data.x), math.prod(data.shape)
        made: dict[tuple[str, Any], Piece] = {
            ("split", ""): Piece("split", 1.0, lambda share: self._split(views), divisible=False)
        }
        for other in list(views)[1:]:  # else what is first asked there would seem to take as long
            made["split", other] = Piece("split", 1.0, partial(self._other, other), divisible=False)
        families = {job.name.name: job for job in reversed(self.jobs) if job.name.kind == "family"}
        for name in sorted(families, key=lambda name: (name == RIVAL_FAMILY, list(design.families).index(name))):
            made["family", name] = self._family(families[name], data)
        asked = dict.fromkeys(f for j in self.jobs if j.name.kind == "family" for f in (*j.body["facets"], *ALWAYS))
        criteria = set[tuple[str, Any]]()
        for facet in asked:
            view = design.view(facet) if facet in design.facets else next(iter(views))
            size = float(rows * (width + design.latents))
            if (view, FACETS[facet].criterion) not in criteria:  # the same one is asked once, for all its facets
                criteria.add((view, FACETS[facet].criterion))
                made["criterion", facet] = Piece("criterion", size, self._of_model(FACETS[facet].criterion, view))
            made["facet", facet] = Piece("facet", size, self._of_candidate(facet, view))
        for job in self.jobs:
            if job.name.kind == "rival":
                ask = FACETS[str(job.name.facet)].rivals[job.name.name]
                piece = Piece("rival", float(rows * width), self._of_rows(ask, job.name.view))
                train, valid, test = (round(part * rows) for part in SPLITS)
                if (most := work(job.name.name, train, valid, test, width, design.latents)) is not None:
                    # Bounded by its work, which its rows do not tell, and which tells nothing of other rivals.
                    piece = replace(piece, kind="bounded", seen=[(1.0, most, 0.0)])
                made["rival", (str(job.name.facet), job.name.name)] = piece
        self.names, self.all = list(made), list(made.values())

    def _split(self, views: Mapping[Any, Job]) -> None:
        for view, job in list(views.items())[:1]:
            self.materials[view] = prepare(job, self.data)

    def _other(self, view: str, share: float) -> None:
        self._material(view)

    def _material(self, view: str) -> Material:
        if view not in self.materials:
            job = next(job for job in self.jobs if job.name.view == view)
            self.materials[view] = prepare(job, self.data)
        return self.materials[view]

    def _parts(self, view: str, share: float) -> Splits:
        splits = self._material(view).splits
        return shrunk(splits, share)

    def _family(self, job: Job, data: Dataset) -> Piece:
        first = recipe(job.body["configs"][0]["recipe"])
        count = len(job.body["configs"])

        def do(share: float) -> Done:
            configs = count if share == 1.0 else 1
            material = self._material(job.name.view)
            fitted, step, steps = paced(job, data, material, share, configs, self.clock, self.deadline)
            if fitted is not None and (self.shown is None or self.shown.outcome.status == "closed form"):
                self.shown = fitted
            return Done(step / configs, steps, configs)

        return Piece("family", float(trained(first, data.shape)), do, count)

    def _model(self) -> Fitted:
        if self.shown is None:
            raise RuntimeError("no model to ask")
        return self.shown

    def _of_model(self, criterion: Callable[[Any, Splits], float], view: str) -> Callable[[float], None]:
        def do(share: float) -> None:
            criterion(self._model(), self._parts(view, share))

        return do

    def _of_candidate(self, facet: str, view: str) -> Callable[[float], None]:
        def do(share: float) -> None:
            short = replace(self._model(), plan=replace(self._model().plan, steps=1, check=1))
            FACETS[facet].measure(contender(short), self._parts(view, share))

        return do

    def _of_rows(self, ask: Callable[[Splits], Any], view: str) -> Callable[[float], None]:
        def do(share: float) -> None:
            ask(self._parts(view, share))

        return do


def shrunk(splits: Splits, share: float) -> Splits:
    """A seeded draw of a share of the rows of each part, and no fewer than every facet can be asked of."""

    def some(rows: Rows, least: int) -> Rows:
        count = min(len(rows.x), max(least, math.ceil(share * len(rows.x))))
        order = _order(hashed(splits.seed, "probe"), len(rows.x))
        return rows if count == len(rows.x) else rows.take(order[:count])

    train, valid, test = map(some, splits[:3], LEAST)
    return splits._replace(train=train, valid=valid, test=test)


def _order(number: int, count: int) -> Any:
    import numpy as np

    return np.random.default_rng(number).permutation(count)


def trained(one: Recipe, shape: Sequence[int]) -> int:
    """Numbers that a recipe trains on rows of this shape, one at least."""
    return max(1, sum(p.numel() for p in one.build(tuple(shape), "gaussian").parameters()))


def paced(
    job: Job,
    data: Dataset,
    material: Material,
    share: float,
    configs: int,
    clock: Clock,
    deadline: float = math.inf,
) -> tuple[Fitted | None, float, int]:
    """The first of some configurations after some steps, the seconds of a step of all (0 in closed form), and how many.

    Validation rows are as many, next to the steps, as in the training itself. Whose steps take long is not watched to
    the end, nor is anyone after the ``deadline``, and no model comes of it; but two steps there are, for the first one
    is recorded, and tells nothing of the pace.
    """
    plan = Plan.from_json(job.body["plan"])
    splits, marks = shrunk(material.splits, share), list[tuple[int, float]]()
    rows = len(material.splits.valid.x)
    every = spacing(trained(recipe(job.body["configs"][0]["recipe"]), data.shape), plan, rows)
    held = max(1, rows // every * EACH // plan.check)
    short = {
        **job.body["plan"],
        "steps": CHECKS * EACH,
        "check": EACH,
        "schedule": "plateau",
        "patience": CHECKS + 1,
        "warmup": 0,
    }
    few = splits._replace(valid=splits.valid.take(slice(0, held)))
    numbers = material.rows._replace(train=material.rows.train[: len(few.train.x)])
    one = replace(job, body={**job.body, "plan": short, "configs": job.body["configs"][:configs]})
    began = clock()

    def watch(heard: Check) -> None:
        now = clock()
        marks.append((heard.step, now))
        if heard.step > 1 and (now > deadline or (configs == 1 and now - began > LONG)):
            raise _Enough

    try:
        fitted = train(one, data, material._replace(splits=few, rows=numbers), watch=watch)[0]
    except _Enough:
        return None, pace(marks), marks[-1][0]
    return fitted, pace(marks), fitted.outcome.steps


class _Enough(Exception):
    """The pace of a training is known."""


def pace(marks: Sequence[tuple[int, float]]) -> float:
    """Seconds per step from the times of checks: the median of each stack, summed over stacks trained in turn.

    Examples
    --------
    >>> pace([(20, 1.0), (40, 3.0), (60, 5.0), (20, 9.0), (40, 11.0)])
    0.2
    """
    paces: list[list[float]] = []
    for (before, then), (step, now) in pairwise([(0, 0.0), *marks]):
        if before == 0 or step <= before:
            paces.append([])  # a stack begins; its first check includes the recording of the step
        else:
            paces[-1].append((now - then) / (step - before))
    return sum(median(found) for found in paces if found)
