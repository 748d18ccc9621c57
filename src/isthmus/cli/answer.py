"""What ``isthmus compare`` says: the plan before, the answer after, for people and for machines."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.cli import brief, ends, show
from isthmus.data.wording import number_of

if TYPE_CHECKING:
    from isthmus.answers.words import Words
    from isthmus.study.design import Design
    from isthmus.study.outline import Outline
    from isthmus.study.record import Job
    from isthmus.study.results import Results


def sentence(planned: Outline) -> str:
    """One line that says what will be compared on what."""
    data, design = planned.data, planned.design
    shape = "×".join(map(str, data.shape)) if len(data.shape) > 1 else number_of(data.shape[0], "column")
    classes = f", {number_of(len(data.classes), 'class', 'classes')}" if data.classes else ""
    return (
        f"{data.name}: {number_of(len(data.x), 'row')} of {shape}{classes}; "
        f"{number_of(len(design.families), 'family', 'families')}, {number_of(design.replicates, 'replicate')}, "
        f"{number_of(design.configs, 'setting')} each"
    )


def caution(planned: Outline) -> None:
    """What was inferred to read the data, and what in them is odd, a line each."""
    from isthmus.answers.spoilers import lines
    from isthmus.answers.words import Words
    from isthmus.study.profile import Profile

    known = planned.note.get("profile")  # an ablation has none
    seen = [] if known is None else Profile.model_validate(known).spoilers
    few = lines([one for one in seen if one.what in {"rows", "cells", "column"}], Words("en"))
    for said in (*planned.data.cautions, *few):
        show.warn(f"{planned.data.name}: {said}")


def splits(planned: Outline) -> str:
    """How rows are split and counted, where groups, times or weights say so."""
    from isthmus.answers.words import Words
    from isthmus.report.method import beside

    return Words("en")("page.gap").join(beside(planned.design.to_json() | planned.note, Words("en")))


def swept(planned: Outline) -> str:
    """How the width of the code was chosen, if a sweep chose it."""
    from isthmus.answers.words import Words
    from isthmus.report.capacity import sentence
    from isthmus.study.capacity import Sweep

    found = planned.note.get("sweep")
    return "" if found is None else sentence(Sweep.from_json(found), Words("en"))


def added(planned: Outline, study: Results) -> None:
    """Say so if replicates were asked for, and no more of them would tell."""
    if planned.more is not None and study.complete and not study.rounds:
        show.warn(
            "no replicates were added: nothing is open that more of them would tell, or no later rows are left to test"
        )


@contextmanager
def probing(
    budget: str | float | None, *, quiet: bool, always: bool = False
) -> Iterator[Callable[[float], None] | None]:
    """A bar while pieces of a study are timed: where there is a budget, or ``always``."""
    from isthmus.study.budget import seconds
    from isthmus.study.estimate import SHARE, USUAL

    if budget is None and not always:
        yield None
        return
    limit = USUAL if budget is None else SHARE * seconds(budget)
    with show.progress("estimating the time", limit, unit="s", quiet=quiet) as tell:
        yield lambda over: tell(min(over, limit))


def planned_facts(planned: Outline, where: Mapping[str, Any], *, quiet: bool = False) -> dict[str, Any]:
    """A study that is not begun: its size, and its time, extrapolated from pieces of it."""
    from isthmus.study.estimate import SHARE, USUAL, estimate
    from isthmus.study.outline import size

    design, jobs, budget = planned.design, _jobs(planned), planned.note.get("budget")
    limit = USUAL if budget is None else SHARE * budget
    with probing(budget, quiet=quiet, always=True) as tell:
        found = estimate(planned.data, design, workers=size(where), limit=limit, tell=tell)
    missing = [job for job in jobs if not (planned.folder / "runs" / job.id).exists()]
    steps = int(design.plan["steps"])
    return {
        "families": list(design.families),
        "facets": design.facets,
        "skipped": design.skipped,
        "replicates": design.replicates,
        "configs": design.configs,
        "capacity": design.capacity,
        "latents": design.latents,
        "k": design.k,
        "sweep": planned.note.get("sweep"),
        "hidden": design.hidden,
        "backbone": design.backbone,
        "contamination": design.contamination,
        "few": design.few,
        "groups": design.data.get("groups"),
        "times": design.data.get("times"),
        "weighted_rows_worth": design.data.get("worth"),
        "rivals": sorted({name for facet in design.facets for name in design.rivals_of(facet)}),
        "given_up": planned.note.get("given_up") or {},
        "steps": steps,
        "plan": design.plan,
        "seed": design.seed,
        "runs": len(jobs),
        "runs_done": len(jobs) - len(missing),
        "trainings": sum(len(job.body.get("configs", ())) for job in jobs),
        "workers": found.workers,
        "seconds": found.seconds(design, jobs if planned.more is None else missing),
        "probed": found.took,
        "folder": str(planned.folder),
    }


def _jobs(planned: Outline) -> list[Job]:
    """All runs of a study that is not begun, or that goes on with more replicates."""
    if planned.more is None:
        return planned.design.jobs()
    from isthmus.study.racing import extension
    from isthmus.study.results import Results

    study = Results(planned.folder)
    one = extension(study.open(), study.rounds, study.replicates, planned.more) if study.complete else None
    return planned.design.jobs([*study.rounds, *([one] if one else [])])


def plan(planned: Outline, where: Mapping[str, Any], as_json: bool, *, quiet: bool = False) -> None:
    """The same, told."""
    design, facts = planned.design, planned_facts(planned, where, quiet=quiet)
    if as_json:
        show.machine({"data": design.data, **facts})
        return
    hidden, own = ",".join(map(str, design.hidden)) or "none", number_of(facts["workers"], "worker")
    lines = {
        "families": ", ".join(design.families),
        **({"rows": said} if (said := splits(planned)) else {}),
        "rivals": ", ".join(facts["rivals"]) or "none" + " besides pca" * ("pca" in design.families),
        **({"no rivals": said} if (said := missing_extras(design)) else {}),
        "facets": ", ".join(design.facets),
        **{f"not {name}": reason for name, reason in design.skipped.items()},
        "capacity": f"code {design.latents}, hidden layers {hidden}, backbone {design.backbone}" + chosen_among(design),
        **({"sweep": said} if (said := swept(planned)) else {}),
        **({"plan": said} if (said := trained(design.plan)) else {}),
        "runs": f"{facts['runs']}, {facts['runs_done']} of them done; {number_of(facts['trainings'], 'training')}, "
        f"at most {number_of(facts['steps'], 'step')} each",
        **({"reduced": said} if (said := reduced(facts["given_up"])) else {}),
        "time": f"at most about {show.clock(facts['seconds'])} on {own}; less where trainings converge early "
        f"(extrapolated from {show.clock(facts['probed'])} of measuring)",
        "folder": f"{planned.folder} (nothing is written by --dry-run)",
    }
    show.line(sentence(planned))
    width = max(map(len, lines))
    for name, text in lines.items():
        show.line(f"  {name:<{width}}  {text}")


def reduced(given_up: Mapping[str, Any]) -> str:
    """What a study gave up so that it takes no longer than was asked for, or than is sensible.

    Examples
    --------
    >>> reduced({"steps": [2500, 350], "rivals": ["sparse coding"]})
    '350 instead of 2,500 steps; no sparse coding'
    """
    names = {"steps": "steps", "configs": "settings", "replicates": "replicates"}
    pairs = {name: pair for name, pair in given_up.items() if name in names}
    said = [f"{b:,} instead of {a:,} {names[name]}" for name, (a, b) in pairs.items()]
    return "; ".join(said + [f"no {', '.join(gone)}" for name, gone in given_up.items() if name not in names])


def missing_extras(design: Design) -> str:
    """Rivals that would take part if their extra were installed, and how to install it."""
    from isthmus.facets import FACETS
    from isthmus.parts.bounded import EXTRA, installed

    wanted = dict.fromkeys(name for facet in design.facets for name in FACETS[facet].rivals)
    names = [name for name in wanted if any(name in FACETS[f].extras for f in design.facets)]
    names = [name for name in names if name not in installed()]
    return f"{', '.join(names)}: {EXTRA}" if names and design.rivals is None else ""


def chosen_among(design: Design) -> str:
    """The other capacities that families may choose, and for which facets.

    Examples
    --------
    >>> from isthmus.data.read import read
    >>> from isthmus.study.design import design
    >>> chosen_among(design(read("iris"), facets="reconstruction,features", capacity="free"))
    '; features may choose deeper or overcomplete'
    >>> chosen_among(design(read("iris"), facets="features", capacity="free", configs=2))
    '; with so few settings nobody may choose another (3 or more do: --configs)'
    """
    from isthmus.facets import FACETS
    from isthmus.study.options import FREE

    names = list(
        dict.fromkeys(one["capacity"] for some in design.families.values() for one in some if one.get("capacity"))
    )
    free = [facet for facet in design.facets if FACETS[facet].free is not None]
    if not names and free and design.capacity == FREE:
        return "; with so few settings nobody may choose another (3 or more do: --configs)"
    if not names:
        return ""
    return f"; {', '.join(free)} may choose {', '.join(names[:-1])}{' or ' * (len(names) > 1)}{names[-1]}"


def trained(plan: Mapping[str, Any]) -> str:
    """The fields of a plan that are not as usual; steps are told with the runs.

    Examples
    --------
    >>> from isthmus.train.plan import Plan
    >>> trained(Plan(steps=7, learning_rate=0.001, schedule="cosine").to_json())
    'learning_rate 0.001, schedule cosine'
    """
    from isthmus.train.plan import Plan

    usual = Plan().to_json()
    return ", ".join(f"{name} {value}" for name, value in plan.items() if name != "steps" and value != usual.get(name))


def answer(study: Results, page: Path, lang: str) -> None:
    """The short table, then sentences, then the evidence, and where the report lies."""
    from isthmus.answers.words import Words
    from isthmus.report.page import page as content

    words = Words(lang)
    found = content(study, words)
    _first(found, words)
    brief.table(found["brief"], _near(study.folder), words)
    show.line()
    for one in found["answers"]:
        unasked = one.badge == words("answer.badge_skipped")  # a card of the page has its title above it
        show.say(f"{one.title}{words('page.colon')}{one.sentence}" if unasked else one.sentence, indent=2)
    for line in found["together"]:
        show.say(line, indent=2)
    if found["capacity"]:
        show.say(found["capacity"].sentence, apart=True)
    for line in found["chose"]:
        show.say(line, apart=True)
    if (copies := study.copies()) is not None:
        show.say(words("page.copies_text", n=f"{copies[0]:,}", total=f"{copies[1]:,}"), apart=True)
    _evidence(found, words)
    for name, pros, cons in found["proscons"]:
        if name in found["taken"] and (pros or cons):
            show.say(name, strong=True, apart=True)
            for sign, said in (("+", pros), ("−", cons)):
                for line in said:
                    show.say(f"  {sign} {line}", indent=4)
    _table(found, words)
    if found["excluded"]:
        show.say(words("table.excluded_title"), strong=True, apart=True)
        for line in found["excluded"]:
            show.say(f"  {line}", indent=4)
    show.line(page, apart=True)


def _first(found: dict[str, Any], words: Words) -> None:
    """What may spoil the answer, and that trainings were cut."""
    if found["spoilers"]:
        show.say(words("spoil.title"), strong=True)
        for text in found["spoilers"]:
            show.say(f"! {text}", indent=2)
        show.line()
    for title, text in found["early"]:
        show.say(f"{title} {text}", indent=2)


def _evidence(found: dict[str, Any], words: Words) -> None:
    """The numbers behind the sentences, facet by facet."""
    show.say(words("brief.evidence"), strong=True, apart=True)
    colon = words("page.colon")
    facets = tuple(name + colon for name in words.texts["facets"].values())
    for one in found["answers"]:
        for line in one.evidence:
            show.say(f"  {line}" if line.startswith(facets) else f"  {one.title}{colon}{line}", indent=4)


def _near(folder: Path) -> str:
    """A folder as the shell takes it from here."""
    here = Path.cwd()
    return shlex.quote(str(folder.relative_to(here) if folder.is_relative_to(here) else folder))


def _table(found: dict[str, Any], words: Words) -> None:
    """Means, and what the signs mean; rivals of one facet that are not at its top are counted only."""
    grid, others = found["folded"]
    show.line()
    signed = [any(cell.sign for cell in column) for column in zip(*(row.cells for row in grid.rows), strict=True)]
    rows = [
        [
            f"{row.name} {row.mark}".strip(),
            *(f"{c.mean} {c.sign or ' '}" if s else c.mean for c, s in zip(row.cells, signed, strict=True)),
        ]
        for row in grid.rows
    ]
    show.table([title for title, _ in grid.heads], rows)
    if others.rows:
        show.line(f"… {words('page.others', n=len(others.rows))}")
    show.line()
    used = {cell.sign for row in grid.rows for cell in row.cells}
    for name, sign in found["signs"]:
        if sign in used:
            show.line(f"{sign} {words('table.' + name)}")
    for sign in found["marks"]:
        show.line(f"{sign} {words('table.pareto')}")


def facts(study: Results, page: Path) -> dict[str, Any]:
    """The same for machines."""
    return {
        "data": study.note["data"],
        "complete": study.complete,
        "runs": {
            "total": study.total,
            "done": len(study.records),
            "failed": len(study.failed),
            "diverged": len(study.diverged),
        },
        "verdict": {name: verdict.to_json() for name, verdict in study.verdict().items()},
        "purposes": {one.purpose: one.to_json() for one in study.purposes()},
        "proscons": {name: found.to_json() for name, found in study.proscons().items()},
        "profile": study.note.get("profile"),
        "copies": study.copies(),
        "sweep": study.note.get("sweep"),
        "scores": study.to_frame("pyarrow").to_pylist(),
        "folder": str(study.folder),
        "report": str(page),
        "command": study.note.get("command", ""),
    }


def ending(study: Results) -> int:
    """The exit code, after a line for everything that went wrong on the way."""
    for name, reason in study.repaired.items():
        show.warn(f"run {name[:8]} was damaged and has been repeated ({reason})")
    bad = [("failed", study.failed), ("diverged", study.diverged)]
    for how, records in bad:
        if records:
            first = records[0]
            remedy = "; the same command tries them again" if how == "failed" else ""
            show.warn(
                f"{len(records)} of {number_of(study.total, 'run')} {how}, first {first.job.name} in replicate "
                f"{first.job.replicate + 1}: {first.message}{remedy}"
            )
    return ends.PARTLY if study.failed or study.diverged else ends.DONE
