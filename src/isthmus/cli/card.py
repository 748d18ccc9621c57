"""``isthmus card``: what a saved model is, for people."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Lang
from isthmus.cli.stream import Model

SUFFIXES = (".md", ".html")


def card(
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .md or .html file.", show_default="Markdown on stdout"),
    ] = None,
    lang: Lang = "en",
    debug: Debug = False,
) -> int:
    """Write the card of a saved model: what it is for, its data, what was measured, its threshold and its limits.

    [bold]isthmus card model -o card.html[/bold]

    All of it is made from what stands in the model's files; nothing is trained or measured.
    """
    from isthmus.durable import whole
    from isthmus.errors import BadInput
    from isthmus.ship import artefact
    from isthmus.ship import card as cards

    if out is not None and out.suffix not in SUFFIXES:
        raise BadInput(f"--out must end in {' or '.join(SUFFIXES)}; got {out.name}")
    deployed = artefact.load(model)
    if out is None:
        for text in cards.markdown(deployed, lang).rstrip().split("\n"):
            show.line(text)
        return ends.DONE
    whole(out, (cards.html if out.suffix == ".html" else cards.markdown)(deployed, lang).encode())
    show.line(str(out))
    return ends.DONE
