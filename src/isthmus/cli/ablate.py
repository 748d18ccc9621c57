"""``isthmus ablate``: what each part of a recipe is worth on a data set."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import answer, ends, show
from isthmus.cli.attend import attend
from isthmus.cli.options import Debug, DryRun, Json, Lang, Quiet, offers, understood
from isthmus.cli.settings import configure
from isthmus.errors import BadInput
from isthmus.study.options import AblateOptions, PartOptions, Reading, declared, running

if TYPE_CHECKING:
    from isthmus.api.ablation import Ablation
    from isthmus.data.dataset import Dataset
    from isthmus.model import Recipe

LARGEST = 1 << 20
"""Bytes of a recipe file."""


@offers(AblateOptions)
def ablate(
    context: typer.Context,
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A family, or a .json file with a recipe.", show_default=False)
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A data file, a folder of pictures or shards, or a bundled data set.",
            show_default=False,
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A field of the recipe or of the plan (isthmus list plan); repeatable.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder.", show_default="isthmus-DATA-FAMILY-parts"),
    ] = None,
    *,
    json: Json = False,
    lang: Lang = "en",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **options: Any,
) -> int:
    """Remove each part of a recipe in turn, and say what it is worth on a data set.

    Parts are penalties, corruption, tied weights, norms, hidden layers: every field that can be switched off.

    [bold]isthmus ablate contractive digits --set corruption=mask --set corruption_level=0.3[/bold]

    [bold]isthmus ablate recipe.json rows.csv --label kind[/bold]
    """
    from isthmus.api.ablation import Ablation
    from isthmus.data.read import read
    from isthmus.study.ablation import plan_ablation

    asked = understood(AblateOptions, options)
    where = running(asked)
    rows = read(data, **{name: asked.pop(name) for name in declared(Reading)})
    asked = {name: value for name, value in asked.items() if name in declared(PartOptions)}
    chosen, plan = given(recipe, rows, settings or [])
    if twice := sorted(plan.keys() & (more := asked.pop("plan") or {}).keys()):
        raise BadInput(f"--set {twice[0]} and --plan {twice[0]} are the same field; give it once")
    command = shlex.join(["isthmus", *context.obj])
    planned = plan_ablation(chosen, rows, plan=plan | more, out=out, command=command, **asked)
    answer.caution(planned)
    if dry_run:
        answer.plan(planned, where, json)
        return ends.DONE
    study = attend(planned, where, quiet)
    ablation = Ablation(study.folder)
    page = ablation.report(lang=lang)
    if json:
        show.machine(facts(ablation, page))
    else:
        _answer(ablation, page, lang)
    return answer.ending(study)


def given(recipe: str, rows: Dataset, settings: list[str]) -> tuple[Recipe, dict[str, Any]]:
    """The recipe of a file as it stands, or a family's at the capacity of a comparison; ``--set`` changes it, and says
    fields of the plan."""
    from isthmus.families import recipe as from_json

    family = from_json(_file(Path(recipe))) if recipe.endswith(".json") else recipe
    return configure(family, rows.shape, settings)


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
