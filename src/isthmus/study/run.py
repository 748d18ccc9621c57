"""A planned study is run, or what is missing of it; in a race, on where the verdict is open."""

from __future__ import annotations

from statistics import mean

from isthmus.study.jobs import Progress, Work, drive, kind
from isthmus.study.launch.local import Local
from isthmus.study.outline import Outline, check_workers
from isthmus.study.perform import perform
from isthmus.study.racing import Round, further
from isthmus.study.results import Results
from isthmus.study.store import Store


def run(planned: Outline, *, workers: int | None = None, progress: Progress | None = None) -> Results:
    """Do what is missing of a planned study; with a budget, go on where the verdict is open while there is time."""
    check_workers(workers)
    store = Store(planned.folder)
    store.create(planned.design.to_json(), planned.note)
    repaired: dict[str, str] = {}
    with Local(Work(store, planned.data, perform), planned.folder, workers) as launch:
        while True:
            repaired |= drive(store, planned.design.jobs(store.rounds()), launch, progress=progress)
            study = Results(planned.folder)
            study.repaired = repaired
            one = _next(study, planned.note["budget"], launch.workers) if planned.design.racing else None
            if one is None:
                return study
            with store.locked():
                store.add_round(one)


def _next(study: Results, budget: float, workers: int) -> Round | None:
    """The next round that the rest of the budget pays for, by what runs of each kind took so far."""
    open_ = study.open()
    if not open_:
        return None
    took: dict[tuple[str | None, ...], list[float]] = {}
    for record in study.records:
        took.setdefault(kind(record.job), []).append(record.seconds)
    price = sum(mean(took[kind(job.name)]) for job in study.design.part((0,), open_))
    left = (budget - study.note["planning"]) * workers - sum(record.seconds for record in study.records)
    return further(open_, study.rounds, study.replicates, max(left, 0.0) / price)
