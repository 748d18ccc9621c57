"""CPU seconds of the parts of a study: preparing rows, trainings, choosing, each facet, each rival, what is kept.

Takes the first replicates of ``isthmus compare DATA`` with its defaults and does their jobs one after another, on one
thread, as a worker does. Rows are of one replicate, so the study takes them as often as it has replicates; what a
process does once (imports) stands in a row of its own.

    python benchmarks/parts.py [DATA] [--replicates N] [--top]

``--top`` profiles instead, and prints the functions that take longest.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from clock import table

from isthmus.data.read import read
from isthmus.facets import FACETS
from isthmus.study import perform as performed
from isthmus.study.design import design
from isthmus.study.estimate import LOADED
from isthmus.study.launch.local import one_thread
from isthmus.study.store import Store

spent: dict[tuple[str, str], float] = defaultdict(float)
times: dict[tuple[str, str], int] = defaultdict(int)


@contextmanager
def part(kind: str, name: str) -> Any:
    """Count a block's CPU seconds under a name."""
    began = time.process_time()
    yield
    spent[kind, name] += time.process_time() - began
    times[kind, name] += 1


def counted(kind: str, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
    """A function that counts its CPU seconds under a name."""

    def asked(*args: Any, **more: Any) -> Any:
        with part(kind, name):
            return ask(*args, **more)

    return asked


def watch() -> None:
    """Every part of a job counts its time from now on."""
    for name, facet in list(FACETS.items()):
        rivals = {r: counted("rival", f"{name}: {r}", ask) for r, ask in facet.rivals.items()}
        measure = counted("facet", name, facet.measure)
        FACETS[name] = replace(facet, rivals=rivals, measure=measure)  # type: ignore[index]
    train, judge = performed.train, performed.judge

    def trained(job: Any, *args: Any, **more: Any) -> Any:
        with part("training", job.name.name):
            return train(job, *args, **more)

    def judged(job: Any, *args: Any) -> Any:
        with part("choosing", job.name.view):
            return judge(job, *args)

    performed.train, performed.judge = trained, judged
    for name in ("prepare", "_ills", "_doubts", "_leave", "artefact.artefact_bytes"):
        if hasattr(performed, name):
            setattr(performed, name, counted("job", name.strip("_"), getattr(performed, name)))


def main() -> None:
    """A row for each part."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("data", nargs="?", default="digits")
    asked.add_argument("--replicates", type=int, default=1)
    asked.add_argument("--top", action="store_true")
    args = asked.parse_args()
    data = read(args.data)
    with part("once", "imports"):
        for name in LOADED:
            __import__(name)
    jobs = [job for job in design(data).jobs() if job.name.replicate < args.replicates]
    if not args.top:
        watch()
    profile = cProfile.Profile()
    with TemporaryDirectory() as folder, one_thread():
        store = Store(Path(folder))
        store.create(design(data).to_json(), {})
        began = time.process_time()
        for job in jobs:
            with profile if args.top else part("all", job.name.kind):
                performed.perform(job, data, store)
        whole = time.process_time() - began
    if args.top:
        pstats.Stats(profile).sort_stats("tottime").print_stats(60)
        return
    rows = [
        [kind, name, times[kind, name], seconds / args.replicates]
        for (kind, name), seconds in sorted(spent.items(), key=lambda item: (item[0][0], -item[1]))
    ]
    table(["part", "of", "times", "CPU s a replicate"], [*rows, ["all", "", len(jobs), whole / args.replicates]])


if __name__ == "__main__":
    main()
