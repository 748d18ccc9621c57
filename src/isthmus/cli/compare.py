"""``isthmus compare``: the main job, from a data set to the answer."""

from __future__ import annotations

import shlex
import time as clock
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from isthmus.cli import answer, ends, show
from isthmus.cli.attend import attend
from isthmus.cli.many import many
from isthmus.cli.options import Debug, DryRun, Json, Lang, Quiet, offers, understood
from isthmus.errors import BadInput
from isthmus.study.options import CompareOptions, running


@offers(CompareOptions)
def compare(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .parquet, .arrow, .npy, .npz or IDX file, a folder of pictures or shards, or a bundled data "
            "set; several are compared by ranks.",
            show_default=False,
        ),
    ] = None,
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
            help="The class whose rows are anomalies; DATA=LABEL names it for one of several data sets.",
        ),
    ] = None,
    group: Annotated[
        list[str] | None,
        typer.Option(
            "--group",
            metavar="COLUMN",
            help="Column of the groups: rows of one group never stand on both sides of a split; or DATA=COLUMN.",
        ),
    ] = None,
    time: Annotated[
        list[str] | None,
        typer.Option(
            "--time",
            metavar="COLUMN|rows",
            help="Column of the time, or rows where they stand in its order: train on the past, test on the future; "
            "or DATA=COLUMN.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            "--weights", metavar="COLUMN", help="Column of the weights: how much each row counts; or DATA=COLUMN."
        ),
    ] = None,
    *,
    json: Json = False,
    lang: Lang = "en",
    dry_run: DryRun = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **options: Any,
) -> int:
    """Compare autoencoders on a data set, with PCA and other rivals: which one, if any, to use for what.

    Every family gets the same splits, the same number of tuning configurations and the same steps.

    A study that was stopped continues with the same command; finished runs are kept.

    [bold]isthmus compare digits[/bold]

    [bold]isthmus compare rows.csv --label kind --budget 5m[/bold]

    [bold]isthmus compare a.csv b.csv c.npz --label a=kind --label c=y[/bold]

    [bold]isthmus compare --out isthmus-digits --more 5[/bold]
    """
    data = data or []
    if not data and options["more"] is None:
        raise typer.BadParameter("missing argument: name a file, a folder or a bundled data set", ctx=context)
    asked = understood(CompareOptions, options) | {
        "label": choice("--label", label, data),
        "anomaly": choice("--anomaly", anomaly, data),
        "group": choice("--group", group, data),
        "time": choice("--time", time, data),
        "weights": choice("--weights", weights, data),
        "command": shlex.join(["isthmus", *context.obj]),
    }
    if len(data) > 1 and asked["more"] is not None:
        raise BadInput("--more is for one data set: give the folder of one with --out")
    if len(data) > 1:
        return many(data, asked, dry_run=dry_run, json=json, lang=lang, quiet=quiet)
    return one(next(iter(data), None), asked, dry_run=dry_run, json=json, lang=lang, quiet=quiet)


def one(data: str | None, options: dict[str, Any], *, dry_run: bool, json: bool, lang: str, quiet: bool) -> int:
    """The study of one data set."""
    began = clock.perf_counter()  # loading what a study needs takes seconds of a budget
    from isthmus.api.study import Study
    from isthmus.study.outline import outline

    where = running(options)
    with answer.probing(options["budget"], quiet=quiet) as tell:
        planned = outline(data, **options, tell=tell, began=began)
    answer.caution(planned)
    if dry_run:
        answer.plan(planned, where, json, quiet=quiet)
        return ends.DONE
    study = Study.of(attend(planned, where, quiet))
    answer.added(planned, study)
    page = study.report(lang=lang)
    if json:
        show.machine(answer.facts(study, page))
    else:
        answer.answer(study, page, lang)
    return answer.ending(study)


def choice(option: str, given: Sequence[str] | None, data: Sequence[str]) -> str | dict[str, str] | None:
    """What ``--label`` and ``--anomaly`` say: one for all data, or DATA=VALUE for each of several.

    Examples
    --------
    >>> choice("--label", ["kind"], ["a.csv"]), choice("--label", ["a=kind", "b=y"], ["a.csv", "b.npz"])
    ('kind', {'a': 'kind', 'b': 'y'})
    """
    if not given:
        return None
    if len(given) == 1 and (len(data) < 2 or "=" not in given[0]):
        return given[0]
    if len(data) < 2:
        raise BadInput(f"{option} is given {len(given)} times for one data set; give it once")
    if bare := [text for text in given if "=" not in text]:
        raise BadInput(f"{option} given several times takes DATA=VALUE each time; got {bare[0]!r}")
    return dict(text.rsplit("=", 1) for text in given)
