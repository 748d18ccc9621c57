"""``isthmus take``: out of a study what it recommends, or the model that a family chose for a facet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import ends, show
from isthmus.cli.convert import Theirs
from isthmus.cli.options import Debug, Json

if TYPE_CHECKING:
    from isthmus.api.study import Study
    from isthmus.ship.deployed import Deployed


def take(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a study.", show_default=False)],
    family: Annotated[
        str | None,
        typer.Argument(
            metavar="[FAMILY]", help="A family, or a rival, of the study.", show_default="what the study recommends"
        ),
    ] = None,
    facet: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="FACET",
            help="The facet whose chosen setting to take.",
            show_default="the first that was decided",
        ),
    ] = None,
    replicate: Annotated[
        int, typer.Option("--replicate", min=1, help="The replicate (split) whose model to take.")
    ] = 1,
    refit: Annotated[
        bool, typer.Option("--refit", help="Train it again on all rows, with the steps that validation found.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="MODEL",
            help="Model folder, or a file that ends in .isthmus.",
            show_default="DIR-FAMILY",
        ),
    ] = None,
    to: Annotated[
        Theirs | None,
        typer.Option(
            "--to",
            metavar="LAYOUT",
            help="Write a sparse dictionary as saelens, dictionary_learning, sparsify or openai keep it.",
            show_default="a model of isthmus",
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="Where the data are now.", show_default="where they were"),
    ] = None,
    json: Json = False,
    debug: Debug = False,
) -> int:
    """Save one trained model of a study: what it recommends, or the setting that a family chose for a facet.

    [bold]isthmus take isthmus-digits --for reconstruction --out model[/bold]

    Half of the replicate's normal test rows calibrate the model, so that isthmus flag knows what is rare; for that the
    data are read again. Rivals that score, code or draw rows (isolation forest, kNN distances, ECOD, raw columns, the
    mixed-type mixture ...) are saved too, if they are recommended or named; any other one is written as Python, with
    the settings that validation rows chose.

    With --refit it is trained again on all rows, test rows among them. What was measured is told, and that nothing was
    measured of this very model; flags are calibrated across five folds, each scored by a model that did not see it.

    [bold]isthmus take isthmus-activations --to saelens --out sae[/bold]

    In Python, isthmus.load("model").encode(X) then gives the codes of rows; scaling is part of the model.
    """
    from isthmus.errors import BadInput
    from isthmus.facets import FACETS

    study = _opened(folder)
    family, asked = _chosen(study, family, facet)
    rival = family not in study.design.families and family in FACETS[asked].rivals
    if rival and family not in FACETS[asked].networks:
        return _rival(study, asked, family, replicate, data, out, json=json)
    if family not in study.design.families and not rival:
        _strange(study, family)
    if not rival:
        study.model(family, asked, replicate - 1)  # refused before the data are read
    if refit and to is not None:
        raise BadInput("--refit and --to exclude each other: give one of them")
    if refit:
        return _again(study, family, asked, replicate, data, out, json=json)
    if to is not None:
        return _foreign(study, family, asked, replicate - 1, to, out, json=json)
    return _saved(study, family, asked, replicate, data, out, json=json)


def _opened(folder: Path) -> Study:
    """The study in a folder, which must not hold several."""
    from isthmus.api.study import Study
    from isthmus.errors import BadInput
    from isthmus.study.several import LIST

    if (folder / LIST).is_file():
        sets = ", ".join(sorted(str(path) for path in (folder / "sets").iterdir()))
        raise BadInput(f"{folder} holds several studies; give the folder of one: {sets}")
    return Study(folder)


def _chosen(study: Study, family: str | None, facet: str | None) -> tuple[str, str]:
    """Whom to take and for which facet: as it was said, or as the study recommends."""
    from isthmus.study.deploy import recommended

    if family is not None:
        return family, facet or study.design.facets[0]
    one = recommended(study, facet)
    asked, family = one.verdicts[0].facet, str(one.take)
    if not one.proven:
        show.warn(f"{family} is the choice of least expected loss for {asked}, not proven")
    return family, asked


def _saved(
    study: Study, name: str, facet: str, replicate: int, source: str | None, out: Path | None, *, json: bool
) -> int:
    """Save the model of a replicate, and say what was measured of it."""
    from isthmus.metrics import METRICS
    from isthmus.rivals.rival import Drawing, Rival
    from isthmus.ship import artefact
    from isthmus.study.deploy import origin

    rival = name not in study.design.families
    known = origin(study, name, facet, replicate - 1)
    deployed = replace(_deployed(study, name, facet, replicate - 1, source, rival), origin=known)
    folder = Path(f"{study.folder.resolve().name}-{name.replace(' ', '-')}") if out is None else out
    place = artefact.save(deployed, folder)
    metric = METRICS[study.design.primary(facet)]
    score = float(study.scores(facet)[name][replicate - 1])
    own = deployed.calibration
    if json:
        about = {"family": name, "facet": facet, "replicate": replicate, "recipe": deployed.recipe.to_json()}
        rare = None if own is None else {"rows": len(own.scores), "rate": own.rate, "threshold": own.threshold}
        show.machine({**about, "metric": metric.name, "test": score, "calibration": rare, "model": str(place)})
        return ends.DONE
    show.line(
        f"{name} as chosen for {facet} in replicate {replicate}: {metric.title} {score:.3g} on rows it never saw."
    )
    if own is not None:
        show.line(f"Flags at a false-alarm rate of {own.rate:.3g}, from {len(own.scores):,} rows: {own.about}.")
    if deployed.places:
        show.line(f"Its score keeps {deployed.places:,} places between training rows, and no row itself.")
    drawing = isinstance(deployed.model, Drawing)
    if drawing or deployed.draws is not None:
        show.line(f"New rows: isthmus sample {place}, drawn as they were measured.")
    call = "sample(1000)" if drawing else "scores(X)" if isinstance(deployed.model, Rival) else "encode(X)"
    show.line(f'In Python: isthmus.load("{place.name if out is None else out}").{call}')
    show.line(f"Model: {place}", apart=True)
    return ends.DONE


def _again(
    study: Study, name: str, facet: str, replicate: int, source: str | None, out: Path | None, *, json: bool
) -> int:
    """Train a contender again on all rows, save it, and say what was measured and what not."""
    import numpy as np

    from isthmus.errors import BadInput
    from isthmus.metrics import METRICS
    from isthmus.ship import artefact
    from isthmus.study.examine import data_of
    from isthmus.study.refit import refitted

    if replicate != 1:
        raise BadInput("--refit trains on the rows of all replicates; leave --replicate out")
    rows, why = data_of(study, source)
    if rows is None:
        raise BadInput(f"training again needs the rows of the study: {why}; say where they are (--data)")
    found = refitted(study, name, facet, rows)
    own = found.deployed.calibration
    assert own is not None
    folder = Path(f"{study.folder.resolve().name}-{name.replace(' ', '-')}") if out is None else out
    place = artefact.save(found.deployed, folder)
    metric = METRICS[study.design.primary(facet)]
    score = float(np.nanmean(study.scores(facet)[name]))
    if json:
        about = {"family": name, "facet": facet, "recipe": found.deployed.recipe.to_json(), "metric": metric.name}
        rare = {"rows": len(own.scores), "rate": own.rate, "threshold": own.threshold}
        again = {"rows": found.rows, "steps": found.steps}
        show.machine({**about, "refit": again, "measured_before": score, "calibration": rare, "model": str(place)})
        return ends.DONE
    steps = "" if found.steps is None else f", {found.steps:,} steps"
    show.line(f"{name} as chosen for {facet}, trained again on all {found.rows:,} rows{steps}.")
    show.line(
        f"Measured: {metric.title} {score:.3g} on rows they never saw, of the models of {study.replicates} replicates. "
        "Not measured: this one, for there is no row that it has not seen."
    )
    show.line(f"Flags at a false-alarm rate of {own.rate:.3g}, from {len(own.scores):,} rows: {own.about}.")
    if found.deployed.draws is not None:
        show.line(f"New rows: isthmus sample {place}, drawn as by models that had not seen all rows.")
    show.line(
        "isthmus monitor needs normal rows to compare with (--against FILE): this model has seen all that there are."
    )
    show.line(f"Model: {place}", apart=True)
    return ends.DONE


def _foreign(study: Study, name: str, facet: str, replicate: int, to: str, out: Path | None, *, json: bool) -> int:
    """A sparse dictionary of the study in another library's layout."""
    from isthmus.cli.convert import tell
    from isthmus.errors import BadInput
    from isthmus.ship import convert

    if name not in study.design.families:
        raise BadInput(f"{name} is no sparse dictionary, which --to writes; name a family, or leave --to out")
    place = Path(f"{study.folder.resolve().name}-{name}-{to}") if out is None else out
    done = convert.write(study.model(name, facet, replicate), place, to)
    if json:
        about = {"family": name, "facet": facet, "replicate": replicate, "to": to, "folder": str(done.folder)}
        show.machine({**about, "writing": done.agreement._asdict(), "left_out": done.lost})
        return ends.DONE
    show.line(f"{name} as chosen for {facet} in replicate {replicate + 1}.")
    tell(done, to)
    show.line(f"Model: {done.folder}", apart=True)
    return ends.DONE


def _deployed(study: Study, name: str, facet: str, replicate: int, source: str | None, rival: bool) -> Deployed:
    """What ships, with a score and calibration rows if the data can be had."""
    from isthmus.data.picture import canvas_of
    from isthmus.errors import BadInput
    from isthmus.ship.deployed import Deployed
    from isthmus.study.deploy import deployed
    from isthmus.study.examine import data_of

    rows, why = data_of(study, source)
    if rows is not None:
        return deployed(study, name, facet, replicate, rows)
    if rival:
        raise BadInput(f"{name} is fitted again on the rows of the study: {why}; say where they are (--data)")
    show.warn(
        f"saved without calibration rows, so that isthmus flag needs --against: {why}; say where they are (--data)"
    )
    model = study.model(name, facet, replicate)
    crop = study.note.get("reading", {}).get("crop", False)
    plain = canvas_of(model.shape) if crop else None
    return Deployed.of(model if plain is None else replace(model, canvas=plain._replace(crop=True)))


def _strange(study: Study, name: str) -> None:
    """Refuse a name that nobody has here; rivals that can be saved are named with their facets."""
    from isthmus.data.wording import meant
    from isthmus.errors import BadInput
    from isthmus.facets import FACETS

    families = list(study.design.families)
    saved = {
        facet: [one for one in study.design.rivals_of(facet) if one in FACETS[facet].networks]
        for facet in study.design.facets
    }
    rivals = "".join(f"; with --for {facet} also {', '.join(names)}" for facet, names in saved.items() if names)
    known = [*families, *(one for names in saved.values() for one in names)]
    raise BadInput(f"this study has no family {name!r}{meant(name, known)}; it has {', '.join(families)}{rivals}")


def _rival(
    study: Study, facet: str, name: str, replicate: int, source: str | None, out: Path | None, *, json: bool
) -> int:
    """Python for a rival that is not saved as a model, as a file."""
    from isthmus import durable
    from isthmus.errors import BadInput
    from isthmus.metrics import METRICS
    from isthmus.study.deploy import written
    from isthmus.study.examine import data_of

    rows, why = data_of(study, source)
    if rows is None:
        raise BadInput(f"{name} is tuned again on the rows of the study: {why}; say where they are (--data)")
    kin, code = written(study, name, facet, replicate - 1, rows, source)
    metric = METRICS[study.design.primary(facet)]
    score = float(study.scores(facet)[name][replicate - 1])
    if json:
        about = {"rival": name, "facet": facet, "replicate": replicate, "metric": metric.name, "score": score}
        show.machine({**about, "takes": kin.takes, "steps": kin.told(), "code": code})
        return ends.DONE
    place = Path(f"{study.folder.resolve().name}-{name.replace(' ', '-')}.py") if out is None else out
    said = f"{name}, a rival for {facet}, got {metric.title} {score:.3g} on the test rows of replicate {replicate}"
    durable.whole(place, f"# {said}.\n{code}\n".encode())
    show.line(f"{said}. In Python, with the settings that validation rows chose:")
    show.line()
    for line in code.splitlines():
        show.line(f"    {line}" if line else "")
    show.line(f"Python: {place}", apart=True)
    return ends.DONE
