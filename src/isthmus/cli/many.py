"""``isthmus compare A B C``: a study of each data set in turn, then the answer over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.cli import answer, ends, show
from isthmus.cli.attend import attend
from isthmus.data.wording import number_of
from isthmus.study.options import running

if TYPE_CHECKING:
    from pathlib import Path

    from isthmus.api.several import Several
    from isthmus.study.several import Plans


def many(data: Sequence[str], options: dict[str, Any], *, dry_run: bool, json: bool, lang: str, quiet: bool) -> int:
    """Run what is missing of all studies and say what the ranks say."""
    from isthmus.api.several import Several
    from isthmus.study.several import begin, plans

    where = running(options)
    with answer.probing(options["budget"], quiet=quiet) as tell:
        planned = plans(data, **options, tell=tell)
    for one in planned.studies.values():
        answer.caution(one)
    if dry_run:
        _plan(planned, where, json)
        return ends.DONE
    begin(planned)
    studies = []
    for number, one in enumerate(planned.studies.values(), 1):
        show.note(f"Data set {number} of {len(planned.studies)}", quiet=quiet)
        try:
            studies.append(attend(one, where, quiet))
        except KeyboardInterrupt as stop:
            stop.add_note(f"{number - 1} of {len(planned.studies)} data sets are done")
            raise
    several = Several(planned.folder)
    page = several.report(lang=lang)
    if json:
        show.machine(facts(several, page))
    else:
        _answer(several, page, lang)
    return max(answer.ending(study) for study in studies)


def _plan(planned: Plans, where: Mapping[str, Any], as_json: bool) -> None:
    """Studies that are not begun."""
    found = {name: answer.planned_facts(one, where) for name, one in planned.studies.items()}
    if as_json:
        show.machine({"sets": found, "folder": str(planned.folder)})
        return
    for one, about in zip(planned.studies.values(), found.values(), strict=True):
        show.line(answer.sentence(one))
        runs, time = number_of(about["runs"], "run"), show.clock(about["seconds"])
        show.line(f"  {runs}, {about['runs_done']} of them done; at most about {time}")
    whole = show.clock(sum(about["seconds"] for about in found.values()))
    show.line(f"All: at most about {whole}")
    show.line(f"Folder: {planned.folder} (nothing is written by --dry-run)")


def _answer(several: Several, page: Path, lang: str) -> None:
    """Sentences, then mean ranks: contenders down, facets across."""
    from isthmus.answers.words import Words
    from isthmus.report.several import overview

    words = Words(lang)
    heads, rows, lines = overview(several, words)
    for line in lines:
        show.say(line, indent=2)
    show.line(words("several.ranks"), apart=True)
    show.table(heads, rows)
    show.line(page, apart=True)


def facts(several: Several, page: Path) -> dict[str, Any]:
    """The same for machines."""
    studies = several.studies
    return {
        "complete": several.complete,
        "rankings": {facet: found.to_json() for facet, found in several.rankings().items()},
        "overlaps": [{"a": a, "b": b, "share": share} for a, b, share in several.alike()],
        "sets": {name: answer.facts(study, study.folder / "report.html") for name, study in studies.items()},
        "folder": str(several.folder),
        "report": str(page),
        "command": several.command,
    }
