"""Being there while a study runs: what is kept, a bar, and what an interruption leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from isthmus.cli import answer, show

if TYPE_CHECKING:
    from isthmus.study.outline import Outline
    from isthmus.study.results import Results


def attend(planned: Outline, where: Mapping[str, Any], quiet: bool) -> Results:
    """Do what is missing, with a bar; an interruption says what is kept. See :func:`isthmus.study.options.running`."""
    from isthmus.study.run import run

    kept, total = done(planned)
    show.note(answer.sentence(planned), quiet=quiet)
    show.note(f"Folder: {planned.folder}", quiet=quiet)
    if kept:
        show.note(f"{kept} of {total} runs are kept from before.", quiet=quiet)
    budget = planned.note.get("budget") if planned.more is None else None
    most = None if budget is None or kept else max(1.0, budget - planned.note["planning"])
    try:
        with show.progress(planned.data.name, total, done=kept, unit="runs", most=most, quiet=quiet) as tell:
            return run(
                planned,
                **where,
                progress=lambda job, record, done, total: tell(
                    done, f"{job.name.name} {job.name.replicate + 1}", total
                ),
            )
    except KeyboardInterrupt as stop:
        kept, total = done(planned)
        stop.add_note(f"{kept} of {total} runs are kept; the same command continues")
        raise


def done(planned: Outline) -> tuple[int, int]:
    """Runs of a study that are finished, and how many there are, those that a race added included."""
    from isthmus.study.store import Store

    store = Store(planned.folder)
    jobs = planned.design.jobs(store.rounds())
    return sum((store.runs / job.id).exists() for job in jobs), len(jobs)
