"""How busy a study of many short runs keeps its workers, on this machine and on a Dask cluster.

python benchmarks/busy.py [--runs 1000] [--workers 8] [--seconds 1] [--cluster]

Runs sleep for that time, so that any number of workers finds a core: what is measured is what stands between the end of
a run and the begin of the next in the same worker, through the launcher and the store that studies use. ``busy`` is the
share of its time that a worker sleeps, from when the last of them has begun until the first has no more to do;
``whole`` is that of the span from the first run's begin to the last one's end, with workers who still import.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from isthmus.study import jobs as doing
from isthmus.study.away import Away, unpacked
from isthmus.study.jobs import Commits, Perform, Work
from isthmus.study.launch import Launch
from isthmus.study.launch.dask import Dask
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store


def sleeping(job: Job, seconds: Any, store: Commits) -> Record:
    """A job that sleeps, and says when."""
    began = time.time()
    time.sleep(seconds)
    choice = Choice(config=0, metrics={"began": began, "ended": time.time(), "worker": float(os.getpid())})
    return store.commit(Record(id=job.id, job=job.name, status="ok", facets={"sleep": choice}))


@contextmanager
def launched(store: Store, perform: Perform, data: Any, workers: int, cluster: bool) -> Iterator[Launch]:
    """Where the runs are done."""
    if cluster:
        away = Away(data, perform)
        with Dask(away, lambda parcel: unpacked(store, parcel), perform.__name__, f"local:{workers}") as launch:
            yield launch
    else:
        with Local(Work(store, data, perform), store.folder, workers) as launch:
            yield launch


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--runs", type=int, default=1_000)
    options.add_argument("--workers", type=int, default=8)
    options.add_argument("--seconds", type=float, default=1.0, help="that each run takes")
    options.add_argument("--cluster", action="store_true", help="a Dask cluster in place of workers of our own")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        store = Store(Path(place, "study"))
        store.create({"format": 1}, {})
        names = [JobName(kind="family", name=f"f{r % 9}", view="all", replicate=r) for r in range(asked.runs)]
        jobs = [Job(name, {"data": "d", "seed": 0}) for name in names]
        began = time.time()
        with launched(store, sleeping, asked.seconds, asked.workers, asked.cluster) as launch:
            doing.drive(store, jobs, launch)
        told = [one.facets["sleep"].metrics for one in store.records(members=True)[0].values()]
        spans = sorted((float(one["began"] or 0), float(one["ended"] or 0), one["worker"]) for one in told)
        slept, span = sum(end - start for start, end, _ in spans), max(end for _, end, _ in spans) - spans[0][0]
        each = {worker: [one for one in spans if one[2] == worker] for _, _, worker in spans}
        left = max(own[0][0] for own in each.values())
        right = min(own[-1][1] for own in each.values())
        inside = sum(max(0.0, min(end, right) - max(start, left)) for start, end, _ in spans)
        line = {
            "where": "dask" if asked.cluster else "local",
            "runs": len(spans),
            "workers": len(each),
            "seconds": asked.seconds,
            "first_run_after_s": round(spans[0][0] - began, 1),
            "span_s": round(span, 1),
            "steady_s": round(right - left, 1),
            "busy": round(inside / (len(each) * max(right - left, 1e-9)), 3),
            "whole": round(slept / (asked.workers * span), 3),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
