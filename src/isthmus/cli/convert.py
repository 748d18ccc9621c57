"""``isthmus convert``: a sparse dictionary as another library keeps it, and back; a model as one file, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Json

if TYPE_CHECKING:
    from isthmus.ship.convert import Agreement, Written

Theirs = Literal["saelens", "dictionary_learning", "sparsify", "openai"]


def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A model folder or file, or one that another library made.", show_default=False
        ),
    ],
    to: Annotated[
        Literal["isthmus", "saelens", "dictionary_learning", "sparsify", "openai"],
        typer.Option("--to", metavar="LAYOUT", help="isthmus, saelens, dictionary_learning, sparsify or openai."),
    ] = "isthmus",
    layout: Annotated[
        Theirs | None,
        typer.Option("--from", metavar="LAYOUT", help="What MODEL is.", show_default="found out by its files"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="The folder to make; of a model of isthmus also a file that ends in .isthmus.",
            show_default="MODEL-LAYOUT",
        ),
    ] = None,
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Refuse where weights must be rescaled for the other layout, or a result differs in its last bit.",
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Convert a sparse dictionary to the layout of another library, or from one.

    [bold]isthmus convert model --to saelens -o sae[/bold]

    [bold]isthmus convert sae -o model[/bold]

    [bold]isthmus convert model -o model.isthmus[/bold]

    Both sides encode and rebuild the same rows, and the largest difference is told. What the other side can't express
    is refused. A model of isthmus becomes a single file, or a folder again, of the very same members.
    """
    from isthmus.errors import BadInput
    from isthmus.ship import archive, artefact
    from isthmus.ship import convert as foreign

    name = source.resolve().name.removesuffix(archive.SUFFIX)
    place = source.with_name(f"{name}-{to}") if out is None else out
    facts: dict[str, Any] = {"from": "isthmus", "to": to}
    if artefact.MANIFEST in artefact.present(source):
        if layout is not None:
            raise BadInput(f"{source}: it is a model of isthmus; leave --from out")
        if to == "isthmus":
            return _repacked(source, out, json)
        fitted = artefact.load(source)
    else:
        read = foreign.read(source, layout, exact=exact)
        fitted, facts["from"], facts["reading"] = read.model, read.layout, read.agreement._asdict()
    facts |= {"family": fitted.recipe.family, "folder": str(place)}
    if to == "isthmus":
        if os.path.lexists(place):
            raise BadInput(f"{place} exists: choose another path")
        artefact.save(fitted, place)
    else:
        done = foreign.write(fitted, place, to, exact=exact)
        facts |= {"writing": done.agreement._asdict(), "multiplied_out": done.folded, "left_out": done.lost}
    if json:
        show.machine(facts)
        return ends.DONE
    if to == "isthmus":
        _tell(read.agreement)
        show.line(f"{foreign.LAYOUTS[read.layout].title}: {fitted.recipe}")
    else:
        tell(done, to)
    show.line(f"Model: {place}", apart=True)
    return ends.DONE


def _repacked(source: Path, out: Path | None, json: bool) -> int:
    """A model of isthmus in its other form."""
    from isthmus.errors import BadInput
    from isthmus.ship import archive, artefact

    if out is None:
        raise BadInput(
            f"{source}: it is a model of isthmus; give --to and the layout of another library, or with -o the file "
            f"(NAME{archive.SUFFIX}) or the folder to make of it"
        )
    if os.path.lexists(out):
        raise BadInput(f"{out} exists: choose another path")
    place = artefact.repacked(source, out)
    if json:
        show.machine({"from": "isthmus", "to": "isthmus", "folder": str(place)})
        return ends.DONE
    show.line(f"Model: {place}")
    return ends.DONE


def tell(done: Written, to: str) -> None:
    """What became of a model in another layout, and how to open it."""
    from isthmus.ship.convert import LAYOUTS

    _tell(done.agreement)
    for what, which in (("multiplied out", done.folded), ("left out", done.lost)):
        if which:
            show.line(f"{what}: {', '.join(which)}")
    show.line("To open it in Python:")
    for one in LAYOUTS[to].opens:
        show.line(f"  {one.replace('DIR', str(done.folder))}")


def _tell(agreement: Agreement) -> None:
    """What both sides made of the same rows."""
    rows = f"on {agreement.rows} probe rows, in which {agreement.units} units fired"
    if agreement.exact:
        show.line(f"max |difference| = 0 of codes and rows {rows}")
    else:
        most = f"largest difference of a code {agreement.codes:.3g}, of a rebuilt element {agreement.made:.3g}"
        show.line(f"{most}, {rows}: rounding in float32")
    if agreement.ties:
        show.line(f"{agreement.ties} more rows lie on an edge, where rounding decides which units fire")
