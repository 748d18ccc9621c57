"""``isthmus export``: a trained model as one file that other programs run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Quiet


def export(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="Model folder, or its single file.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="A .onnx file.", show_default="MODEL.onnx")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option("--threshold", help="Scores above it are anomalies.", show_default="the model's own")
    ] = None,
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write a model as one ONNX graph: raw columns in; codes, a score and a decision out.

    The graph is run beside the model before it is written. Where there is no torch, it scores files by
    python -m isthmus.runtime FILE ROWS.csv.

    [bold]isthmus export model -o model.onnx[/bold]
    """
    from isthmus.ship import artefact, graph

    deployed = artefact.load(model)
    place = graph.export(deployed, model.absolute().with_suffix(".onnx") if out is None else out, threshold=threshold)
    show.note(f"{place.stat().st_size:,} bytes; the graph gave what the model gives", quiet=quiet)
    show.line(str(place))
    return ends.DONE
