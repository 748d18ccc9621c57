"""``isthmus compare``: the main job, from a data set to the answer."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from isthmus.cli import answer, ends, show
from isthmus.cli.attend import attend
from isthmus.cli.many import many
from isthmus.cli.report import Debug, Lang
from isthmus.errors import BadInput


def compare(
    context: typer.Context,
    data: Annotated[
        list[str],
        typer.Argument(
            metavar="DATA...",
            help="A .csv, .parquet, .npy, .npz or IDX file, or a bundled data set; several are compared by ranks.",
            show_default=False,
        ),
    ],
    label: Annotated[
        list[str] | None,
        typer.Option(
            "--label", metavar="COLUMN", help="Column of the labels; DATA=COLUMN names it for one of several data sets."
        ),
    ] = None,
    anomaly: Annotated[
        list[str] | None,
        typer.Option(
            "--anomaly",
            metavar="LABEL",
            help="The class of the anomalies; DATA=LABEL names it for one of several data sets.",
        ),
    ] = None,
    factors: Annotated[
        str | None,
        typer.Option(
            "--factors",
            metavar="A,B",
            help="Columns with known factors of variation, to judge codes by; models never see them.",
        ),
    ] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images",
            help="Whether rows of two or three axes are pictures.",
            show_default="as the numbers make plausible",
        ),
    ] = None,
    families: Annotated[
        str | None,
        typer.Option(
            "--families", metavar="A,B|all", help="Families to compare.", show_default="nine, one for each idea"
        ),
    ] = None,
    facets: Annotated[
        str | None,
        typer.Option(
            "--facets",
            metavar="A,B",
            help="Facets (questions) to measure.",
            show_default="all that the data can answer",
        ),
    ] = None,
    replicates: Annotated[int, typer.Option("--replicates", help="Random splits of the data, at least 2.")] = 5,
    configs: Annotated[int, typer.Option("--configs", help="Hyper-parameter settings tried for each family.")] = 6,
    steps: Annotated[
        int | None, typer.Option("--steps", help="Largest number of optimiser steps of a training.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="TIME",
            help="Time limit, such as 90s, 5m or 1.5h; spare time adds replicates where the answer is open.",
        ),
    ] = None,
    latents: Annotated[
        str | None,
        typer.Option(
            "--latents",
            metavar="N|auto",
            help="Code width of every family.",
            show_default="from the data",
        ),
    ] = None,
    hidden: Annotated[
        str | None,
        typer.Option("--hidden", metavar="64,64", help="Hidden layers, or none.", show_default="from the data"),
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="Network: linear, mlp, conv1d, conv2d, vit.", show_default="mlp"),
    ] = None,
    contamination: Annotated[
        float,
        typer.Option(
            "--contamination", metavar="SHARE", help="Share of anomalies left among the training rows: 0.05 is 5 %."
        ),
    ] = 0.0,
    rivals: Annotated[
        str,
        typer.Option(
            "--rivals", metavar="A,B|none", help="What autoencoders must beat: names, pca among them, or none."
        ),
    ] = "all",
    seed: Annotated[
        int, typer.Option("--seed", help="Random seed; the same seed, data and machine give the same numbers.")
    ] = 0,
    jobs: Annotated[
        int | None, typer.Option("--jobs", help="Worker processes.", show_default="one for each core")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Study folder.", show_default="isthmus-DATA")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
    lang: Lang = "en",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the plan and the estimated time; write nothing.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No messages and no progress bar.")] = False,
    debug: Debug = False,
) -> int:
    """Compare autoencoders on a data set, with PCA and other rivals, and say which one, if any, to use for what.

    Every family gets the same splits, the same number of tuning configurations and the same steps.

    A study that was stopped continues with the same command; finished runs are kept.

    [bold]isthmus compare digits[/bold]

    [bold]isthmus compare rows.csv --label kind --budget 5m[/bold]

    [bold]isthmus compare a.csv b.csv c.npz --label a=kind --label c=y[/bold]
    """
    options: dict[str, Any] = {
        "label": choice("--label", label, data),
        "anomaly": choice("--anomaly", anomaly, data),
        "factors": factors,
        "images": images,
        "families": families if families is not None else "default",
        "facets": facets if facets is not None else "all",
        "replicates": replicates,
        "configs": configs,
        "steps": steps,
        "budget": budget,
        "latents": None if latents is None else width(latents),
        "hidden": None if hidden is None else widths(hidden),
        "backbone": backbone,
        "contamination": contamination,
        "rivals": rivals,
        "seed": seed,
        "jobs": jobs,
        "out": out,
    }
    options["command"] = shlex.join(["isthmus", *context.obj])
    if len(data) > 1:
        return many(data, options, dry_run=dry_run, json=json, lang=lang, quiet=quiet)
    return one(data[0], options, dry_run=dry_run, json=json, lang=lang, quiet=quiet)


def one(data: str, options: dict[str, Any], *, dry_run: bool, json: bool, lang: str, quiet: bool) -> int:
    """The study of one data set."""
    from isthmus.api.study import Study
    from isthmus.study.outline import outline

    jobs = options["jobs"]
    with answer.probing(options["budget"], quiet=quiet) as tell:
        planned = outline(data, **options, tell=tell)
    answer.caution(planned)
    if dry_run:
        answer.plan(planned, jobs, json, quiet=quiet)
        return ends.DONE
    study = Study.of(attend(planned, jobs, quiet))
    page = study.report(lang=lang)
    if json:
        show.machine(answer.facts(study, page))
    else:
        answer.answer(study, page, lang)
    return answer.ending(study)


def width(text: str) -> int | str:
    """A code width from text, or "auto".

    Examples
    --------
    >>> width("12"), width("auto")
    (12, 'auto')
    """
    if text.strip() == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"--latents takes a whole number, or auto; got {text!r}") from None


def widths(text: str) -> list[int]:
    """Hidden layers from text.

    Examples
    --------
    >>> widths("64,32"), widths("none")
    ([64, 32], [])
    """
    if text.strip() in {"", "none"}:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"--hidden takes widths with commas, like 64,64, or none; got {text!r}") from None


def choice(option: str, given: Sequence[str] | None, data: Sequence[str]) -> str | dict[str, str] | None:
    """What ``--label`` and ``--anomaly`` say: one for all data, or DATA=VALUE for each of several.

    Examples
    --------
    >>> choice("--label", ["kind"], ["a.csv"]), choice("--label", ["a=kind", "b=y"], ["a.csv", "b.npz"])
    ('kind', {'a': 'kind', 'b': 'y'})
    """
    if not given:
        return None
    if len(given) == 1 and (len(data) == 1 or "=" not in given[0]):
        return given[0]
    if len(data) == 1:
        raise BadInput(f"{option} is given {len(given)} times for one data set; give it once")
    if bare := [text for text in given if "=" not in text]:
        raise BadInput(f"{option} given several times takes DATA=VALUE each time; got {bare[0]!r}")
    return dict(text.rsplit("=", 1) for text in given)
