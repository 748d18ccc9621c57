"""``isthmus take``: out of a study, the model that a family chose for a facet."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Json


def take(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study.", show_default=False)],
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="A family of the study.", show_default=False)],
    facet: Annotated[
        str | None,
        typer.Option(
            "--for", metavar="FACET", help="The facet whose chosen setting to take.", show_default="the study's first"
        ),
    ] = None,
    replicate: Annotated[
        int, typer.Option("--replicate", min=1, help="The replicate (split) whose model to take.")
    ] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="MODEL", help="Model folder.", show_default="DIR-FAMILY")
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Save one trained model of a study: the setting that a family chose for a facet.

    [bold]isthmus take isthmus-digits plain --for reconstruction --out model[/bold]

    In Python, isthmus.load("model").encode(X) then gives the codes of rows; scaling is part of the model.
    """
    from isthmus.api.study import Study
    from isthmus.errors import BadInput
    from isthmus.metrics import METRICS
    from isthmus.ship import artefact
    from isthmus.study.several import LIST

    if (folder / LIST).is_file():
        sets = ", ".join(sorted(str(path) for path in (folder / "sets").iterdir()))
        raise BadInput(f"{folder} holds several studies; give the folder of one: {sets}")
    study = Study(folder)
    asked = facet or study.design.facets[0]
    fitted = study.model(family, asked, replicate - 1)
    place = artefact.save(fitted, Path(f"{study.folder.resolve().name}-{family}") if out is None else out)
    metric = METRICS[study.design.primary(asked)]
    score = float(study.scores(asked)[family][replicate - 1])
    if json:
        about = {"family": family, "facet": asked, "replicate": replicate, "recipe": fitted.recipe.to_json()}
        show.machine({**about, "metric": metric.name, "test": score, "model": str(place)})
        return ends.DONE
    show.line(
        f"{family} as chosen for {asked} in replicate {replicate}: {metric.title} {score:.3g} on rows it never saw."
    )
    show.line(f'In Python: isthmus.load("{place.name if out is None else out}").encode(X)')
    show.line(f"Model: {place}", apart=True)
    return ends.DONE
