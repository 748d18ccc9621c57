"""``isthmus ablate``: what each part of a recipe is worth on a data set."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isthmus.cli import answer, ends, show
from isthmus.cli.attend import attend
from isthmus.cli.report import Debug, Lang
from isthmus.cli.train import configure
from isthmus.errors import BadInput

if TYPE_CHECKING:
    from isthmus.api.ablation import Ablation
    from isthmus.data.dataset import Dataset
    from isthmus.model import Recipe
    from isthmus.train.plan import Plan

LARGEST = 1 << 20
"""Bytes of a recipe file."""


def ablate(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A family, or a .json file of a recipe.", show_default=False)
    ],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or a bundled name.", show_default=False)],
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="Column of the labels.")] = None,
    anomaly: Annotated[
        str | None, typer.Option("--anomaly", metavar="LABEL", help="The class of the anomalies.")
    ] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images",
            help="Whether rows of two or three axes are pictures.",
            show_default="as the numbers make plausible",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field of the recipe or of the training plan; repeatable."),
    ] = None,
    facets: Annotated[
        str | None, typer.Option("--facets", metavar="A,B", help="Facets (questions) to measure.", show_default="all")
    ] = None,
    replicates: Annotated[int, typer.Option("--replicates", help="Random splits of the data, at least 2.")] = 5,
    configs: Annotated[
        int, typer.Option("--configs", help="Hyper-parameter settings tried; 1 is the recipe as given.")
    ] = 1,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Largest number of optimiser steps of a training.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed; the same seed, data and machine give the same numbers.")
    ] = 0,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Worker processes.", show_default="one for each core")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Folder.", show_default="isthmus-DATA-FAMILY-parts")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    lang: Lang = "en",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and the estimated time; write nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No messages and no progress bar.")] = False,
    debug: Debug = False,
) -> int:
    """Take each part of a recipe away in turn, and say what it is worth on a data set.

    Parts are penalties, corruption, tied weights, norms, hidden layers: every field that can do nothing.

    [bold]isthmus ablate contractive digits --set corruption=mask --set corruption_level=0.3[/bold]

    [bold]isthmus ablate recipe.json rows.csv --label kind[/bold]
    """
    from isthmus.api.ablation import Ablation
    from isthmus.data.read import read
    from isthmus.study.ablation import plan_ablation

    rows = read(data, label=label, anomaly=anomaly, images=images)
    chosen, plan = given(recipe, rows, settings or [], steps)
    planned = plan_ablation(
        chosen,
        rows,
        facets=facets if facets is not None else "all",
        replicates=replicates,
        configs=configs,
        seed=seed,
        plan=plan,
        out=out,
        command=shlex.join(["isthmus", *context.obj]),
    )
    answer.caution(planned)
    if dry_run:
        answer.plan(planned, jobs, json)
        return ends.DONE
    study = attend(planned, jobs, quiet)
    ablation = Ablation(study.folder)
    page = ablation.report(lang=lang)
    if json:
        show.machine(facts(ablation, page))
    else:
        _answer(ablation, page, lang)
    return answer.ending(study)


def given(recipe: str, rows: Dataset, settings: list[str], steps: int | None) -> tuple[Recipe, Plan]:
    """The recipe of a file as it stands, or a family's at the capacity of a comparison; ``--set`` changes both."""
    from isthmus.families import recipe as from_json

    family = from_json(_file(Path(recipe))) if recipe.endswith(".json") else recipe
    return configure(family, rows.shape, settings, steps)


def _file(path: Path) -> dict[str, object]:
    import json

    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise BadInput(f"{path}: can't be read ({error.strerror}); give a family or the JSON of a recipe") from None
    if len(text) > LARGEST:
        raise BadInput(f"{path}: larger than 1 MB, too large for a recipe; give the JSON of one recipe")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise BadInput(f"{path}: not JSON; give the JSON of one recipe, as Recipe.to_json() makes it") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path}: holds {type(content).__name__}, not an object with the key family")
    return content


def _answer(ablation: Ablation, page: Path, lang: str) -> None:
    from isthmus.answers.words import Words
    from isthmus.report.ablation import table

    for line in ablation.answer(lang):
        show.say(line, indent=2)
    grid = table(ablation, Words(lang))
    show.line()
    show.table(
        [head for head, _ in grid.heads], [[r.name, *(f"{c.mean} {c.sign or ' '}" for c in r.cells)] for r in grid.rows]
    )
    show.line(page, apart=True)


def facts(ablation: Ablation, page: Path) -> dict[str, object]:
    """The same for machines."""
    return {
        **{
            key: value
            for key, value in answer.facts(ablation.study, page).items()
            if key not in {"purposes", "proscons"}
        },
        "family": ablation.family,
        "parts": [part._asdict() for part in ablation.parts],
        "refused": ablation.refused,
        "effects": {facet: [one.to_json() for one in found] for facet, found in ablation.effects().items()},
    }
