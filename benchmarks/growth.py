"""What a study costs as it grows: CPU seconds, memory and bytes, as one of its sizes grows by 10 and by 100.

python benchmarks/growth.py [--only runs rows ...] [--workers 1] [--cluster] [--out growth.jsonl]

``runs`` are light jobs, which cost next to nothing in themselves: what is measured is the house around them, here or
with a Dask cluster of processes on this machine, whose own CPU seconds are not seen from here. Every other size is that
of a real study in a process of its own. A line is written when it is measured, and what stands in the file is not
measured again, so that slices add up.
"""

import argparse
import json
import os
import resource
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from busy import launched

from isthmus.api.several import compare_many
from isthmus.api.study import Study, compare
from isthmus.families import FAMILIES
from isthmus.study import jobs as doing
from isthmus.study.budget import Watch
from isthmus.study.jobs import Commits
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store

BASE = {"rows": 1_000, "columns": 10, "width": 16, "contenders": 1, "replicates": 2, "sets": 1}
SIZES = {
    "runs": (10, 100, 1_000, 10_000),
    "rows": (1_000, 10_000, 100_000),
    "columns": (10, 100, 1_000),
    "width": (16, 160, 1_600),
    "contenders": (1, 10, 38),
    "replicates": (2, 20, 200),
    "sets": (2, 20, 200),
}
MANY = [name for name in FAMILIES if name not in {"pca", "cvae", "crosscoder", "transcoder"}]  # these want other data
STEPS = 100


def light(job: Job, data: Any, store: Commits) -> Record:
    """A job that leaves a record, and does nothing else."""
    choice = Choice(config=0, metrics={"mse": float(job.seed("x") % 97)})
    return store.commit(Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice}))


def runs(count: int, place: Path, workers: int, cluster: bool) -> dict[str, float]:
    """Seconds on the clock and of a core for each run; for a start that finds all of them done; and for saying which
    run comes next where a clock runs, none of which is begun."""
    names = [JobName(kind="family", name=f"f{r % 9}", view="all", replicate=r) for r in range(count)]
    jobs = [Job(name, {"data": "d", "seed": 0}) for name in names]
    store = Store(place)
    store.create({"format": 1}, {})
    found = {}
    for what in ("run", "start"):
        began, cpu = time.perf_counter(), used()
        with launched(store, light, None, workers, cluster) as launch:
            doing.drive(store, jobs, launch)
        found[f"{what}_ms"] = 1e3 * (time.perf_counter() - began) / count
        found[f"{what}_cpu_ms"] = 1e3 * (used() - cpu) / count
    cpu = used()
    assert count == sum(1 for _ in doing.one_by_one(jobs, {}, Watch(1e12, workers, lambda job: 1.0, "f0")))
    return found | {"chosen_cpu_ms": 1e3 * (used() - cpu) / count}


def study(size: dict[str, int], place: Path) -> dict[str, float]:
    """A real study, and CPU seconds of reading it again and of its page."""
    random = np.random.default_rng(0)

    def rows() -> Any:
        hidden = random.normal(size=(size["rows"], 4)) @ random.normal(size=(4, size["columns"]))
        return (hidden + random.normal(size=hidden.shape)).astype(np.float32)

    few: dict[str, Any] = {"facets": "reconstruction", "rivals": "none", "configs": 1, "steps": STEPS, "jobs": 1}
    few |= {"families": ",".join(MANY[: size["contenders"]]), "replicates": size["replicates"]}
    few |= {"latents": 4, "hidden": [size["width"]], "plan": {"patience": 1000}}
    if size["sets"] > 1:
        compare_many({f"s{n}": rows() for n in range(size["sets"])}, out=place, **few)
        return {}
    compare(rows(), out=place, **few)
    began = used()
    found = Study(place)
    read = used()
    found.report(place / "page.html")
    (place / "page.html").unlink()
    return {"read_cpu_s": read - began, "page_cpu_s": used() - read}


def used() -> float:
    """CPU seconds of this process and of those that it waited for."""
    return sum(
        one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def measured(what: str, size: int, workers: int, cluster: bool) -> dict[str, Any]:
    """One line: in a process of its own, for its memory."""
    with tempfile.TemporaryDirectory() as name:
        place, answer = Path(name, "study"), Path(name, "answer")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                torch.set_num_threads(1)
                found = runs(size, place, workers, cluster) if what == "runs" else study(BASE | {what: size}, place)
                answer.write_text(json.dumps(found))
                code = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status, cost = os.wait4(child, 0)
        if status:
            raise SystemExit(f"{what} {size} failed")
        files = [path for path in place.rglob("*") if path.is_file()]
        done = sum(path.name == "record.json" for path in files)
        return {
            "what": what,
            "size": size,
            "workers": workers if what == "runs" else 1,
            "cluster": cluster and what == "runs",
            "runs": done,
            "cpu_s": round(cost.ru_utime + cost.ru_stime, 3),
            "peak_mb": round(cost.ru_maxrss / 1024),
            "bytes": sum(path.stat().st_size for path in files),
            **{key: round(value, 3) for key, value in json.loads(answer.read_text()).items()},
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", choices=list(SIZES), default=list(SIZES))
    options.add_argument("--largest", type=int, default=10**9, help="leave out sizes above this")
    options.add_argument("--workers", type=int, default=1, help="processes that do the light jobs")
    options.add_argument("--cluster", action="store_true", help="light jobs go to a Dask cluster of such processes")
    options.add_argument("--out", type=Path, default=Path("growth.jsonl"))
    asked = options.parse_args()
    there = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    known = {(one["what"], one["size"], one["workers"], one["cluster"]) for one in there}
    for what in asked.only:
        how = (asked.workers, asked.cluster) if what == "runs" else (1, False)
        for size in (size for size in SIZES[what] if size <= asked.largest and (what, size, *how) not in known):
            line = json.dumps(measured(what, size, *how))
            print(line, flush=True)
            with asked.out.open("a") as file:
                file.write(line + "\n")


if __name__ == "__main__":
    main()
