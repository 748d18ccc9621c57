"""``isthmus collect``: activations of a language model of one's own, as a folder of shards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from isthmus.cli import ends, show
from isthmus.cli.report import Debug


def collect(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Folder of a model of transformers.", show_default=False)
    ],
    text: Annotated[
        Path,
        typer.Argument(metavar="TEXT", help="A .txt file, a text a line, or a folder of them.", show_default=False),
    ],
    layer: Annotated[
        int,
        typer.Option("--layer", metavar="N", help="After which block: 0 is before the first, -1 after the last."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of shards to write, or go on with.")],
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"], typer.Option("--dtype", help="Type of the numbers in the shards.")
    ] = "float32",
    length: Annotated[
        int, typer.Option("--length", min=1, metavar="TOKENS", help="Tokens of a text that are seen together.")
    ] = 128,
    texts: Annotated[int, typer.Option("--texts", min=1, metavar="N", help="Texts of a shard.")] = 64,
    quiet: Annotated[bool, typer.Option("--quiet", help="No messages.")] = False,
    debug: Debug = False,
) -> int:
    """Write what a model computes at a layer for each token of a text, as shards to compare and train on.

    One that was stopped goes on where it stopped, to the same bytes. Nothing is downloaded.

    [bold]isthmus collect MODEL texts.txt --layer 6 --out layer6[/bold]
    """
    from isthmus.data.collect import collect as collected

    with show.progress(f"collecting layer {layer}", 1, unit="shards", quiet=quiet) as tell:
        found = collected(
            model,
            text,
            layer,
            out,
            dtype=dtype,
            length=length,
            texts=texts,
            tell=lambda done, total: tell(done, "", total),
        )
    before = f", {found.before:,} of them before" if found.before else ""
    show.note(f"{found.rows:,} rows of {found.width:,} numbers in {found.shards:,} shards{before}", quiet=quiet)
    show.line(str(found.folder))
    return ends.DONE
