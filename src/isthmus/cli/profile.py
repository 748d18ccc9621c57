"""``isthmus profile``: what is known of data before anything is trained, and what would spoil an answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Json, Lang, offers, understood
from isthmus.study.options import Reading

if TYPE_CHECKING:
    from isthmus.answers.profile import Told
    from isthmus.answers.words import Words

WIDTH = 80
MOST = (20, 12, 6, 24, 40)
"""Columns of a terminal that name, kind, gaps, values and use may take before they are wrapped."""


@offers(Reading)
def profile(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA", help="A data file, a folder of pictures, or a bundled data set.", show_default=False
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="PAGE", help="Write it as an HTML page too.", show_default=False),
    ] = None,
    *,
    json: Json = False,
    lang: Lang = "en",
    debug: Debug = False,
    **options: Any,
) -> int:
    """Say what is known of data before anything is trained: columns, gaps, repeats, and what would spoil an answer.

    [bold]isthmus profile rows.csv --label kind[/bold]

    Columns that tell the label, numbers of rows, values that mean a missing one, and a few rows, a few cells or one
    column that are most of the variance stand first.
    """
    from isthmus.answers.words import Words
    from isthmus.api.profile import profile as profile_of
    from isthmus.errors import BadInput

    if out is not None and out.suffix not in {".html", ".htm"}:
        raise BadInput(f"--out must end in .html; got {out.name}")
    found = profile_of(data, **understood(Reading, options))
    for said in found.found.told:
        show.warn(f"{found.name}: {said}")
    page = None if out is None else found.report(out, lang)
    if json:
        show.machine(found.to_json() | ({} if page is None else {"report": str(page)}))
        return ends.DONE
    _print(found.told(lang), Words(lang))
    if page is not None:
        show.line(page, apart=True)
    return ends.DONE


def _print(said: Told, words: Words) -> None:
    show.say(said.title, strong=True)
    if said.spoilers:
        show.say(words("profile.spoilers"), strong=True, apart=True)
        for line in said.spoilers:
            _wrapped(f"! {line}")
    if said.columns:
        show.say(words("profile.heading"), strong=True, apart=True)
        widths = show.fitted([said.heads, *said.columns], MOST, WIDTH)
        show.wrapped_row(said.heads, widths, strong=True)
        for cells in said.columns:
            show.wrapped_row(cells, widths)
        if said.more:
            show.line(said.more)
    for heading, lines in (("rows_heading", said.rows), ("facets_heading", said.questions)):
        if lines:
            show.say(words("profile." + heading), strong=True, apart=True)
            for line in lines:
                _wrapped(line)
    if not said.spoilers:
        show.line(words("profile.none"), apart=True)


def _wrapped(text: str) -> None:
    """A sentence within 80 columns, in a pipe too."""
    for i, line in enumerate(show.wrapped(show.plain(text), WIDTH - 2)):
        show.line("  " * (i > 0) + line)
