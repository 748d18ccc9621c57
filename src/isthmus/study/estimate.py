"""How long a study will take, measured on these data on this machine; and how many steps a time budget buys."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from joblib import cpu_count

from isthmus.data.dataset import Dataset
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.study.design import Design
from isthmus.study.launch.local import one_thread
from isthmus.study.material import Material, prepare
from isthmus.study.perform import contender, judge, train
from isthmus.study.record import Job

PROBE = 100  # steps of the short training that is timed
WORKER_START = 4.0  # seconds until a fresh worker has imported what it needs
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Estimate(NamedTuple):
    """Working time of one core, in seconds, and what it means on the clock."""

    steps: float
    """One optimiser step of every training of the study."""
    rest: float
    """Everything else: starting, tuning criteria, facets, rivals."""
    workers: int

    def seconds(self, steps: int) -> float:
        """Time on the clock if every training uses all its steps; those that converge earlier save time."""
        return (self.rest + steps * self.steps) / self.workers + (WORKER_START if self.workers > 1 else 0.0)

    def affordable(self, seconds: float) -> int:
        """The steps that fit into a time on the clock."""
        start = WORKER_START if self.workers > 1 else 0.0
        return int(((seconds - start) * self.workers - self.rest) / max(self.steps, 1e-9))


def estimate(data: Dataset, design: Design, *, workers: int | None = None) -> Estimate:
    """Measure a short piece of every family, every facet and every rival, once, and multiply.

    Parameters
    ----------
    data : Dataset
    design : Design
    workers : int, optional
        Processes; by default one for each core.
    """
    jobs = [job for job in design.jobs() if job.name.replicate == 0]
    materials: dict[str, Material] = {}
    steps = rest = 0.0
    with one_thread():
        for job in jobs:
            began = time.perf_counter()
            material = materials.setdefault(job.name.view, prepare(job, data))
            if job.name.kind == "rival":
                FACETS[str(job.name.facet)].rivals[job.name.name](material.parts)
                rest += time.perf_counter() - began
            else:
                slope, other = _family(job, data, material)
                steps, rest = steps + slope, rest + other
    count = design.replicates
    busy = min(workers or cpu_count(), len(design.jobs()))
    return Estimate(steps * count, rest * count, busy)


def _family(job: Job, data: Dataset, material: Material) -> tuple[float, float]:
    """Seconds of one step of a family's job, and of all the rest of the job."""
    began, marks = time.perf_counter(), list[tuple[int, float]]()
    plan = {**job.body["plan"], "steps": PROBE, "check": PROBE // 5, "patience": PROBE, "warmup": 0}
    short = replace(job, body={**job.body, "plan": plan})
    fitted = train(short, data, material, watch=lambda heard: marks.append((heard.step, time.perf_counter())))
    slope = _slope(marks)
    for one in fitted:
        judge(job, one, material.parts)
    for facet in (*job.body["facets"], "cost"):  # the cost of what is chosen is measured whatever is asked
        then = time.perf_counter()
        FACETS[facet].measure(contender(fitted[0]), material.parts)
        if FACETS[facet].trains:  # as many steps again; their beginning is counted with them, on the safe side
            slope += (time.perf_counter() - then) / PROBE
    return slope, max(0.0, time.perf_counter() - began - slope * PROBE)


def _slope(marks: list[tuple[int, float]]) -> float:
    """Seconds per step from the times of checks: the median of each stack, summed over stacks trained in turn.

    Examples
    --------
    >>> _slope([(20, 1.0), (40, 3.0), (60, 5.0), (20, 9.0), (40, 11.0)])
    0.2
    """
    paces: list[list[float]] = []
    for (before, then), (step, now) in pairwise([(0, 0.0), *marks]):
        if before == 0 or step <= before:
            paces.append([])  # a stack begins; its first check includes the recording of the step
        else:
            paces[-1].append((now - then) / (step - before))
    return sum(median(pace) for pace in paces if pace)


def seconds(text: str | float) -> float:
    """A time budget in seconds, from a number or from text like 90, 90s, 5m or 1.5h.

    Examples
    --------
    >>> seconds("5m"), seconds(90)
    (300.0, 90.0)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", str(text))
    value = float(found[1]) * UNITS[found[2] or "s"] if found else 0.0
    if not 0 < value < 1e9:
        raise BadInput(f"budget must be a time like 90s, 5m or 1.5h; got {text!r}")
    return value


def afford(data: Dataset, design: Design, budget: float, *, workers: int | None = None) -> int:
    """The steps of every training, equal for all families, that keep a study within ``budget`` seconds.

    Raises
    ------
    BadInput
        If not even one check's worth of steps fits; the message says what is needed.
    """
    found, check = estimate(data, design, workers=workers), design.plan["check"]
    steps = found.affordable(budget) // check * check
    if steps < check:
        least = found.seconds(check)
        raise BadInput(
            f"the budget leaves {max(budget, 0):.0f} s for the runs, too small: {check} steps of every training need "
            f"about {least:.0f} s; give more, or fewer families, facets, replicates or configs"
        )
    return steps
