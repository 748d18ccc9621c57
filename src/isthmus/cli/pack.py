"""``isthmus compress`` and ``isthmus decompress``: a data file as a trained model sees it, and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Json

if TYPE_CHECKING:
    from isthmus.train.inference import Inference

Model = Annotated[
    Path, typer.Argument(metavar="MODEL", help="Folder of a trained model, or its single file.", show_default=False)
]


def compress(
    model: Model,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A data file with the columns or images that the model was trained on.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="X", help="The compressed file.", show_default="FILE.isthmus")
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            "--bound",
            metavar="B",
            help="Largest error of any number, in standard deviations of its column (for images: in pixel ranges).",
            show_default="none",
        ),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Compress a data file with a trained model; labels, text and columns unknown to it are kept without loss.

    [bold]isthmus train plain rows.csv --label kind --out model[/bold]

    [bold]isthmus compress model rows.csv --bound 0.1[/bold]

    [bold]isthmus decompress rows.csv.isthmus model --out again.csv[/bold]
    """
    from isthmus.parts.bounded import EXTRA
    from isthmus.ship import artefact, container

    fitted = artefact.load(model)
    target = file.with_name(file.name + container.SUFFIX) if out is None else out
    done = container.compress(fitted, file, target, bound=bound)
    model_bytes = artefact.artefact_bytes(fitted)
    facts = {
        "file": str(file),
        "file_bytes": done.before,
        "xz_bytes": done.xz,
        "others_bytes": dict(done.others),
        "container": str(target),
        "container_bytes": done.bytes,
        "kept_bytes": done.kept_bytes,
        "model_bytes": model_bytes,
        "bits_per_element": 8 * done.bytes / done.elements,
        "bound": bound,
        "largest_error": done.worst,
        "mean_squared_error": done.mse,
        "unit_of_errors": unit(fitted),
    }
    if json:
        show.machine(facts)
        return ends.DONE
    share = 100 * done.bytes / done.before
    show.line(f"{file}: {done.before:,} bytes; {target}: {done.bytes:,} bytes ({share:.3g} %)")
    show.line(f"Without a model and without loss, xz takes {done.xz:,} bytes.")
    if done.others:
        told = ", ".join(f"{name} {size:,}" for name, size in done.others.items())
        coded = done.bytes - done.kept_bytes
        show.line(f"The same numbers at the same bound, without a model: {told} bytes; here they take {coded:,}.")
    elif bound is not None:
        show.line(f"What pcodec, SZ3 and zfp make of the same numbers is told with {EXTRA}.")
    rate = f"{facts['bits_per_element']:.3g} bits for each number"
    show.line(f"{rate}; {done.kept_bytes:,} of the bytes keep without loss what the model does not code")
    show.line(f"Decompressing also needs the model: {model_bytes:,} bytes.")
    kept = "no bound was asked for" if bound is None else f"the bound is {bound:g}"
    show.line(f"Largest error {done.worst:.3g}, root mean square {done.mse**0.5:.3g} ({unit(fitted)}); {kept}.")
    return ends.DONE


def decompress(
    file: Annotated[Path, typer.Argument(metavar="X", help="What compress wrote.", show_default=False)],
    model: Model,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The file to write.", show_default="X with its old ending"),
    ] = None,
    debug: Debug = False,
) -> int:
    """Restore the data file that compress packed, in its old format.

    [bold]isthmus decompress rows.csv.isthmus model --out again.csv[/bold]
    """
    from isthmus.ship import artefact, container

    show.line(container.decompress(file, artefact.load(model), out)[0])
    return ends.DONE


def unit(fitted: Inference) -> str:
    """What errors are measured in, in words."""
    kinds = {"standard": "in standard deviations of the column", "unit": "in ranges of the pixels"}
    return kinds.get(fitted.layout.kind, "in the unit of the data")
