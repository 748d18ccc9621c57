"""Does the doctor stay silent where nothing is wrong? Healthy runs, families x data sets, and every alarm by name.

Every family that trains on rows alone, at the capacity that a comparison would give it, is trained on three quarters of
a data set until it converges, or for at most ``STEPS`` steps. Nothing was planted, so every finding is a false alarm.
The script ends with 1 if there is one.

    python benchmarks/calibration/doctor.py                 # all families on six data sets
    python benchmarks/calibration/doctor.py plain,vae wine  # some
    python benchmarks/calibration/doctor.py all all 1       # another seed
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.read import read
from isthmus.data.split import split
from isthmus.doctor import diagnose
from isthmus.doctor.finding import Finding
from isthmus.families import FAMILIES, named
from isthmus.study.capacity import capacity, match
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

STEPS = 8000  # one that is cut while it still gets better is not healthy; `kl` converges after 6250


def factors(rows: int = 600, width: int = 12, hidden: int = 3) -> NDArray[np.float64]:
    """Gaussian rows: three linear factors and a little noise in every column."""
    rng = np.random.default_rng(1)
    return rng.normal(size=(rows, hidden)) @ rng.normal(size=(hidden, width)) + 0.3 * rng.normal(size=(rows, width))


def clusters(rows: int = 600, width: int = 10, kinds: int = 4) -> NDArray[np.float64]:
    """Four bent clusters: a mixture whose columns depend on one another beyond their correlation."""
    rng = np.random.default_rng(2)
    kind, free = rng.integers(kinds, size=rows), rng.normal(size=(rows, 2))
    bent = np.concatenate([free, free**2, free[:, :1] * free[:, 1:]], axis=1) @ rng.normal(size=(5, width))
    return 3 * rng.normal(size=(kinds, width))[kind] + bent + 0.3 * rng.normal(size=(rows, width))


SETS: dict[str, Callable[[], NDArray[np.floating]]] = {
    **{name: lambda name=name: read(name).x for name in ("digits", "wine", "breast_cancer", "iris")},
    "factors": factors,
    "clusters": clusters,
}


class Run(NamedTuple):
    """One healthy training, and what the doctor made of it."""

    family: str
    data: str
    status: str
    seconds: float
    """Of the diagnosis, on the processor."""
    alarms: list[Finding]


def healthy(families: Sequence[str], sets: Sequence[str], steps: int = STEPS, seed: int = 0) -> Iterator[Run]:
    """Train and examine every family on every set; split, weights and order of rows follow from the seed."""
    for data in sets:
        x = SETS[data]()
        splits = split(len(x), seed)
        for family in families:
            latents, hidden = capacity(x.shape[1:])
            recipe = match(family, named(family), latents, hidden)
            images = x.ndim > 2
            plan = Plan(steps=steps)
            fitted = fit(recipe, x[splits.train], valid=x[splits.valid], plan=plan, seed=seed, images=images)
            rows = [fitted.layout.apply(x[numbers]) for numbers in splits[:2]]
            began = time.process_time()
            alarms = diagnose(fitted, *rows)
            yield Run(family, data, fitted.outcome.status, time.process_time() - began, alarms)


def main() -> int:
    """Print every alarm, and how many there were."""
    families, sets, seed, *_ = [*sys.argv[1:], *["all", "all", "0"][len(sys.argv) - 1 :]]
    able = [name for name, recipe in FAMILIES.items() if not recipe.wants]
    runs = []
    for run in healthy(
        able if families == "all" else families.split(","),
        list(SETS) if sets == "all" else sets.split(","),
        seed=int(seed),
    ):
        runs.append(run)
        for alarm in run.alarms:
            print(f"{run.family} on {run.data} ({run.status}): {alarm}")
    spent = sorted(run.seconds for run in runs)
    alarmed = sum(bool(run.alarms) for run in runs)
    middle, most = 1e3 * spent[len(spent) // 2], 1e3 * spent[-1]
    print(
        f"{len(runs)} healthy runs, {alarmed} with an alarm; a diagnosis takes {middle:.0f} ms, at most {most:.0f} ms"
    )
    return int(alarmed > 0)


if __name__ == "__main__":
    sys.exit(main())
