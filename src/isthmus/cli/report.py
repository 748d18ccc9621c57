"""``isthmus report``: draw the page of a study again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import show
from isthmus.cli.options import Debug, Lang
from isthmus.errors import BadInput


def report(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="The folder of a study, of several studies, or of an ablation.", show_default=False
        ),
    ],
    lang: Lang = "en",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page to write.", show_default="DIR/report.html"),
    ] = None,
    debug: Debug = False,
) -> None:
    """Write the report of a study, or of the finished part of it, and print its path.

    [bold]isthmus report isthmus-digits --lang zh --out page.html[/bold]
    """
    from isthmus.api.ablation import Ablation
    from isthmus.api.several import Several
    from isthmus.api.study import Study
    from isthmus.study.several import LIST

    if (folder / LIST).is_file():
        show.line(Several(folder).report(out, lang=lang))
        return
    study = Study(folder)
    if study.foreign and not study.records:
        raise BadInput(
            f"{folder}: its {study.foreign} runs were measured by another version of isthmus; its page stays as it is, "
            "and the command of the study does them again"
        )
    if "ablation" in study.note:
        show.line(Ablation(folder).report(out, lang=lang))
        return
    if len(study.records) < study.total:
        show.warn(f"{len(study.records)} of {study.total} runs are done; this is the report of that part")
    show.line(study.report(out, lang=lang))
