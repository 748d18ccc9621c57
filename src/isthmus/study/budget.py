"""A time that is asked for is kept: what a study gives up so that it fits, what it takes back if time is left, and what
is not begun when time runs out.

What is given up, in this order, until the rest fits: steps beyond ten checks of each training, configurations,
replicates beyond the three that a claim needs, rivals that take more than a twentieth of the time, facets (those that
only describe first, those that use labels last, and of these the one that labels were given for, else the dearest
first), families (the last named first), the third replicate, and steps down to one check. Less than that there is not:
PCA, one family and the rivals, in one replicate, are run in any time. A plan is careful, for it rests on a few seconds
of measuring; once the planned runs are done, facets come back if they fit by what those runs took. Where runs take
longer than was thought, for others use the machine too, contenders are given up on the way, so that those who are left
get the replicates that a claim needs.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from isthmus.errors import BadInput
from isthmus.evidence.verdict import LEAST
from isthmus.facets import FACETS
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.facets.purpose import PURPOSES
from isthmus.study.design import LEFT_OUT, Design
from isthmus.study.estimate import Estimate
from isthmus.study.jobs import Lasted, Waiting, kind
from isthmus.study.racing import Round
from isthmus.study.record import Job, Record

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
KEPT_BACK = 0.1
"""Share of a budget that is kept for what no estimate foresees, and for the report."""
ENOUGH = 10
"""Checks of a training below which a study gives up other things before steps."""
RIVALS_SHARE = 0.05
"""Share of the time that a single rival may take before it is given up: what is slow must not push out a question."""
SEEN = 3
"""Kinds of runs that must have ended before others are believed to be quicker than was thought, too."""


def seconds(text: str | float, name: str = "budget") -> float:
    """A time in seconds, from a number or from text like 90, 90s, 5m or 1.5h.

    Examples
    --------
    >>> seconds("5m"), seconds(90)
    (300.0, 90.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", str(text))
    value = float(found[1]) * UNITS[found[2] or "s"] if found else 0.0
    if not 0 < value < 1e9:
        raise BadInput(f"{name} must be a time like 90s, 5m or 1.5h; got {text!r}")
    return value


def afford(design: Design, found: Estimate, left: float) -> Design:
    """The largest study, in the order of what is given up, that fits into ``left`` seconds on the clock.

    Parameters
    ----------
    design : Design
        What was asked for.
    found : Estimate
    left : float
        Seconds, without those that planning took.

    Returns
    -------
    Design
        The same if it fits, with the smallest study at worst: that is run in any time.
    """
    check, most = design.plan["check"], design.plan["steps"]
    time_, smallest = left * (1 - KEPT_BACK), design
    for least, one in _smaller(design, found, time_):
        fixed, step = found.line(one.jobs())
        steps = min(most, int((time_ - fixed) / max(step, 1e-12)) // check * check)
        if steps >= min(most, least * check):
            return _with_steps(one, steps)
        smallest = one
    return _with_steps(smallest, min(most, check))


def _with_steps(design: Design, steps: int) -> Design:
    return replace(design, plan={**design.plan, "steps": steps})


def _smaller(design: Design, found: Estimate, left: float) -> Iterator[tuple[int, Design]]:
    """Ever smaller studies, and how many checks each training must have at least."""
    yield ENOUGH, design
    for count in _halves(design.configs):
        design = replace(design, configs=count, families={n: c[:count] for n, c in design.families.items()})
        yield ENOUGH, design
    while design.replicates > LEAST:
        design = replace(design, replicates=design.replicates - 1)
        yield ENOUGH, design
    share = RIVALS_SHARE * left * found.workers / design.replicates
    for name in _dear(design, lambda facet, name: found.rivals.get((facet, name), 0.0), share):
        design = replace(design, rivals=[one for one in _rivals(design) if one != name])
        yield ENOUGH, design
    price = {
        f: found.facets.get(f, 0.0) + sum(v for (g, _), v in found.rivals.items() if g == f) for f in design.facets
    }
    for facet in sorted(design.facets, key=lambda f: (FACETS[f].crowns, _meant(design, f), -price[f]))[:-1]:
        kept = [f for f in design.facets if f != facet]
        design = replace(design, facets=kept, skipped={**design.skipped, facet: LEFT_OUT})
        yield ENOUGH, design
    for smaller in _fewer(design):
        yield ENOUGH, (design := smaller)
    design = replace(design, replicates=min(design.replicates, 2))
    yield ENOUGH, design
    yield 1, design


def _meant(design: Design, facet: str) -> int:
    """How likely labels were given for a facet: not at all (0), if it is asked besides (1), or for it (2): a class that
    is named as anomalous is to be found, other classes are to be told apart."""
    one = FACETS[facet]
    if not (design.data["classes"] and one.labels):
        return 0
    return 2 if (one.view == "normal") == (design.data["anomaly"] is not None) else 1


def _rivals(design: Design) -> list[str]:
    """Names of all rivals that may take part, those that no facet of the study has included."""
    usual = (name for facet in FACETS.values() for name in facet.rivals if name not in facet.extras)
    every = [RIVAL_FAMILY, *dict.fromkeys(usual)]
    return every if design.rivals is None else design.rivals


def _dear(design: Design, takes: Callable[[str, str], float], share: float) -> list[str]:
    """Rivals that take more than a share of the time, the dearest first; not those that tables rest on, nor those that
    rows of some form alone are held against, which are what is usual there. ``takes`` says how long one of a facet
    does."""
    asked = [FACETS[facet] for facet in design.facets]
    needed = {name for facet in asked for name in (facet.simplest, facet.floor, *facet.only)}
    price: dict[str, float] = {}
    for facet in design.facets:
        for name in design.rivals_of(facet):
            if name not in needed:
                price[name] = price.get(name, 0.0) + takes(facet, name)
    return sorted((name for name in price if price[name] > share), key=lambda name: -price[name])


def _fewer(design: Design) -> Iterator[Design]:
    """The study without the family that is named last, without the last two, and so on; one is left."""
    for name in [n for n in reversed(design.families) if n != RIVAL_FAMILY][:-1]:
        design = replace(design, families={n: c for n, c in design.families.items() if n != name})
        yield design


def _halves(count: int) -> Iterator[int]:
    while count > 1:
        count //= 2
        yield count


def given_up(asked: Design, kept: Design) -> dict[str, Any]:
    """What a study gave up: ``[asked, kept]`` for each number, names for facets and families."""
    found: dict[str, Any] = {
        name: [a, b]
        for name, a, b in (
            ("steps", asked.plan["steps"], kept.plan["steps"]),
            ("configs", asked.configs, kept.configs),
            ("replicates", asked.replicates, kept.replicates),
        )
        if a != b
    }
    named = {part: (getattr(asked, part), getattr(kept, part)) for part in ("facets", "families")}
    named["rivals"] = _rivals(asked), _rivals(kept)
    for name, (before, after) in named.items():
        if gone := [one for one in before if one not in after]:
            found[name] = gone
    return found


def given_up_too(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """What a study gave up in all: at first, and on the way.

    Examples
    --------
    >>> given_up_too({"steps": [9, 5], "families": ["vq"]}, {"families": ["vae"], "replicates": [5, 3]})
    {'steps': [9, 5], 'families': ['vq', 'vae'], 'replicates': [5, 3]}
    """
    whole = dict(before)
    for name, gone in now.items():
        if name in ("steps", "configs", "replicates"):
            whole[name] = [before.get(name, gone)[0], gone[1]]
        else:
            whole[name] = [*before.get(name, ()), *gone]
    return whole


def slimmer(design: Design, done: Iterable[str], watch: Watch) -> Design | None:
    """The largest part of a study, of the runs that it has, that can still be done whole; None if none can.

    Given up are, in this order: replicates beyond the three that a claim needs, rivals that take more than a twentieth
    of the time that is left, and families, the last named first. The clock alone chooses; no score is looked at.

    Parameters
    ----------
    design : Design
    done : iterable of str
        Runs that are there.
    watch : Watch
        What runs take, and how much time is left.
    """
    there, smaller = set(done), design
    takes = {(job.name.facet, job.name.name): watch.expected(job) for job in design.part((0,), _everybody(design))}

    def fit(one: Design) -> bool:
        return watch.fits([job for job in one.jobs() if job.id not in there])

    smaller = replace(design, replicates=min(design.replicates, LEAST))
    if fit(smaller):
        return smaller
    share = RIVALS_SHARE * max(0.0, watch.left) * watch.workers / smaller.replicates
    for name in _dear(smaller, lambda facet, name: takes.get((facet, name), 0.0), share):
        smaller = replace(smaller, rivals=[one for one in _rivals(smaller) if one != name])
        if fit(smaller):
            return smaller
    return next((one for one in _fewer(smaller) if fit(one)), None)


def _everybody(design: Design) -> dict[str, tuple[str, ...]]:
    return {facet: (*design.families, *design.rivals_of(facet)) for facet in design.facets}


def as_before(design: Design, there: Mapping[str, Any]) -> Design:
    """The same study after giving up what ``study.json`` says was given up: timing again would give another one."""
    gone = there.get("given_up") or {}
    facets = [f for f in design.facets if f not in gone.get("facets", ())]
    skipped = {**design.skipped, **{f: LEFT_OUT for f in gone.get("facets", ()) if f in design.facets}}
    count = gone.get("configs", [0, design.configs])[1]
    families = {n: c[:count] for n, c in design.families.items() if n not in gone.get("families", ())}
    steps = gone.get("steps", [0, design.plan["steps"]])[1]
    smaller = replace(design, facets=facets, skipped=skipped, configs=count, families=families)
    if lost := gone.get("rivals"):
        smaller = replace(smaller, rivals=[name for name in _rivals(smaller) if name not in lost])
    smaller = replace(smaller, replicates=gone.get("replicates", [0, design.replicates])[1])
    return _with_steps(smaller, steps)


def measured(prices: Estimate, jobs: Sequence[Job], records: Sequence[Record]) -> Callable[[Job], float]:
    """What a job takes, in seconds: what was thought, and corrected by what those of families, or rivals, took that
    are done.
    """
    thought, took = dict[str, float](), dict[str, float]()
    known = {job.id: job for job in jobs}
    for record in records:
        kind_ = record.job.kind
        thought[kind_] = thought.get(kind_, 0.0) + prices.job(known[record.id])
        took[kind_] = took.get(kind_, 0.0) + record.seconds
    pace = {name: took[name] / seconds_ for name, seconds_ in thought.items() if seconds_}
    return lambda job: prices.job(job) * pace.get(job.name.kind, 1.0)


def taken_back(design: Design, rounds: Sequence[Round], fits: Callable[[Sequence[Job]], bool]) -> Round | None:
    """The facets that were left out and fit after all: those that labels were given for first, then in the order of the
    purposes that they speak for.

    No score is looked at: the clock chooses them, and the order is always the same.

    Parameters
    ----------
    design : Design
    rounds : sequence of Round
        Those before.
    fits : callable
        Whether there is time for some jobs.
    """
    done = {job.id for job in design.jobs(rounds)}
    found: Round | None = None
    left = [name for name, why in design.asking(rounds).skipped.items() if why == LEFT_OUT]
    for facet in sorted(left, key=lambda f: (-_meant(design, f), *_place(f))):
        more = Round((), {}, (*(found.asked if found else ()), facet))
        if fits([job for job in design.jobs([*rounds, more]) if job.id not in done]):
            found = more
    return found


def _place(facet: str) -> tuple[int, int]:
    """By its first purpose, those without one last; then as in the table of the facets."""
    spoken = [list(PURPOSES).index(purpose) for purpose in FACETS[facet].purposes]
    return min(spoken, default=len(PURPOSES)), list(FACETS).index(facet)


def first(design: Design) -> str:
    """The family that a study tells nothing without: the first that is no rival."""
    return next((name for name in design.families if name != RIVAL_FAMILY), RIVAL_FAMILY)


@dataclass
class Watch:
    """Which job is begun next while a clock runs, and whether any: whatever no longer fits is not begun.

    Replicate by replicate; of each, first PCA, the first family and the rivals, which the first replicate gets in any
    time, then whoever takes longest. A further replicate is begun if all of it fits, for half of one tells nothing; so
    is the first one of facets that were taken back.
    """

    deadline: float
    """On the clock."""
    workers: int
    expected: Callable[[Job], float]
    """Seconds of a job whose like has not ended yet."""
    first: str
    """The family that comes first."""
    clock: Callable[[], float] = time.perf_counter
    later: frozenset[str] = frozenset()
    """Facets that were taken back: no study needs them."""
    patient: bool = False
    """Whether it goes on as long as time lasts though not all fits; else it stops, and the study is made smaller."""
    begun: set[int] = field(default_factory=set)
    weighed: set[int] = field(default_factory=set)
    """At which thirds of the first replicate it was asked whether all fits."""
    thought: dict[tuple[str | None, ...], float] = field(default_factory=dict)
    """What jobs of each kind were expected to take: where others took longer, so will these."""

    def __call__(self, waiting: Waiting, lasted: Lasted) -> Job | None:
        """The next job, or None if there is no time for any."""
        for replicate, mine in waiting.items():
            for job in mine:
                self.thought.setdefault(kind(job.name), self.expected(job))
            takes = self._taking(lasted)
            if self._late(waiting, lasted, takes):
                return None
            needed = replicate == 0 and not all(map(self.back, mine))
            if not needed and replicate not in self.begun and not self.fits(mine, takes):
                return None
            self.begun.add(replicate)
            for job in sorted(mine, key=lambda job: (not self.worth(job), -takes(job))):
                if takes(job) <= self.left or (replicate == 0 and self.worth(job)):
                    return job
        return None

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.clock()

    def _late(self, waiting: Waiting, lasted: Lasted, takes: Callable[[Job], float]) -> bool:
        """Whether what waits will not all be done in time; asked when a third, and two thirds, of a replicate's time
        have shown how fast this machine is."""
        whole = sum(self.thought.values())
        third = int(3 * sum(self.thought.get(name, 0.0) for name in lasted) / whole) if whole else 0
        if self.patient or len(lasted) < SEEN or not third or third in self.weighed:
            return False
        self.weighed.add(third)
        return not self.fits([job for mine in waiting.values() for job in mine if not self.back(job)], takes)

    def _taking(self, lasted: Lasted) -> Callable[[Job], float]:
        """What a job takes: as long as the last of its kind, else what was thought, at the pace of those that ended."""
        seen = [name for name in lasted if name in self.thought]
        thought = sum(self.thought[name] for name in seen)
        pace = sum(lasted[name] for name in seen) / thought if thought else 1.0
        pace = pace if len(seen) >= SEEN else max(1.0, pace)

        def takes(job: Job) -> float:
            known = lasted.get(kind(job.name))
            return self.expected(job) * pace if known is None else known

        return takes

    def fits(self, jobs: Sequence[Job], takes: Callable[[Job], float] | None = None) -> bool:
        """Whether there is time for all of some jobs; what each takes is what is expected, unless it is said."""
        each = [(takes or self.expected)(job) for job in jobs]
        return max(max(each, default=0.0), sum(each) / self.workers) <= self.left

    def back(self, job: Job) -> bool:
        """Whether it asks what was taken back."""
        return not self.later.isdisjoint(job.facets)

    def worth(self, job: Job) -> bool:
        """Whether a study tells nothing without it: PCA, one family, the rivals; of what was planned."""
        return not self.back(job) and (job.name.kind == "rival" or job.name.name in {RIVAL_FAMILY, self.first})
