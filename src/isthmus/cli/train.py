"""``isthmus train``: one model, measured on held-out rows next to PCA, and saved."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, DryRun, Json, Quiet, offers, understood
from isthmus.cli.settings import configure
from isthmus.data.wording import number_of
from isthmus.study.options import TableOptions, declared

STREAMED = ("kinds", "drop", "missing", "terms", "group", "time", "weights")
"""Options of a table that rows heed which stay in their file."""

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from isthmus.data.dataset import Dataset
    from isthmus.data.split import Split
    from isthmus.data.survey import Survey
    from isthmus.doctor.finding import Finding
    from isthmus.model import Recipe
    from isthmus.ship.deployed import Deployed
    from isthmus.train.checkpoint import Checkpoint
    from isthmus.train.fitted import Fitted
    from isthmus.train.plan import Plan
    from isthmus.train.utilisation import Utilisation


@offers(TableOptions)
def train(
    family: Annotated[str, typer.Argument(metavar="FAMILY", help="See: isthmus list families.", show_default=False)],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="A data file, a folder of pictures or shards, or a bundled data set.",
            show_default=False,
        ),
    ],
    label: Annotated[str | None, typer.Option("--label", metavar="COLUMN", help="Column of the labels.")] = None,
    images: Annotated[
        bool | None,
        typer.Option(
            "--images/--no-images",
            help="Whether rows with two or three axes are images.",
            show_default="decided from the numbers",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="MODEL",
            help="Model folder, or a file that ends in .isthmus.",
            show_default="isthmus-DATA-FAMILY",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="A field of the family or of the plan (isthmus list plan); repeatable.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", help="Largest number of optimiser steps.", show_default="from the plan of training"),
    ] = None,
    measured: Annotated[
        str,
        typer.Option(
            "--measure", metavar="TIME", help="Time limit for measuring the saved model, such as 90s or 5m, or none."
        ),
    ] = "1m",
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Random seed; the same seed, data and machine give the same numbers.")
    ] = 0,
    checkpoint: Annotated[
        str,
        typer.Option(
            "--checkpoint",
            metavar="TIME",
            help="How often the training is saved, such as 90s or 5m; it is saved too when it is stopped, and the same "
            "command goes on from there. none saves nothing.",
        ),
    ] = "none",
    device: Annotated[
        str,
        typer.Option("--device", metavar="NAME", help="Where the training computes: cpu, cuda, mps or auto."),
    ] = "cpu",
    shard: Annotated[
        bool,
        typer.Option("--shard", help="Spread the units of a wide dictionary over the ranks that torchrun started."),
    ] = False,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            metavar="SIZE",
            help="Leave the rows in their file, read in pieces, and take no more memory than this, such as 2GiB.",
            show_default="all rows are held",
        ),
    ] = None,
    readers: Annotated[
        int,
        typer.Option("--readers", min=1, max=64, help="With --memory: threads that read the file."),
    ] = 2,
    *,
    json: Json = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    debug: Debug = False,
    **options: Any,
) -> int:
    """Train one model until it converges, save it, and measure it on held-out rows next to PCA.

    [bold]isthmus train topk digits --set k=8[/bold]

    [bold]isthmus train plain rows.csv --label kind --set hidden=64,32 --out model[/bold]

    In Python, isthmus.load("model") brings it back.
    """
    from isthmus.ship import artefact
    from isthmus.study.budget import seconds
    from isthmus.study.outline import slug

    asked = None if memory is None else {"memory": memory, "readers": readers}
    limit = 0.0 if measured == "none" else seconds(measured, "measure")
    work = _work(
        family, data, settings or [], steps, (seed, device), asked, options | {"label": label, "images": images}
    )
    place = Path(out or f"isthmus-{slug(work.rows.name)}-{family}").absolute()
    artefact.replaceable(place)  # refused before the work, not after it
    kept = _kept(place, checkpoint)
    training = _training(work, asked or {})
    if dry_run:
        _plan(work, limit, json)
        return ends.DONE
    fitted = _trained(f"{family} on {work.rows.name}", training, work.plan.steps, kept, quiet, shard=shard)
    if fitted is None:
        return ends.DONE
    if fitted.outcome.status == "diverged":
        kept.remove()
        _diverged(fitted)
        return ends.PARTLY
    folder, work, calibration = _saved(fitted, work, place, kept)
    show.note(f"Saved: {folder}", quiet=quiet)
    ills, speed = _ills(fitted, work), _speed(fitted, work)
    try:
        scores, missed = _measured(fitted, work, limit, quiet)
    except KeyboardInterrupt as stop:
        stop.add_note(f"the model is kept in {folder}; it was not measured")
        raise
    if missed and limit:
        show.warn(f"not measured within {show.clock(limit)}: {', '.join(missed)}; give a longer --measure")
    if not json:
        _print(fitted, work, scores, folder, speed)
        return ends.DONE
    show.machine(
        {
            "data": work.rows.name,
            "rows": {**{name: len(part) for name, part in work.splits._asdict().items()}, "calibration": calibration},
            "recipe": work.recipe.to_json(),
            "plan": work.plan.to_json(),
            "findings": {finding.name: finding.evidence for finding in ills},
            "outcome": {name: getattr(fitted.outcome, name) for name in ("status", "steps", "best_step", "seconds")},
            "speed": None if speed is None else {**speed._asdict(), "share": speed.share},
            "test": scores,
            "left_out": missed,
            "model": str(folder),
        }
    )
    return ends.DONE


@dataclass(frozen=True)
class _Work:
    """What is trained, and on which rows."""

    family: str
    recipe: Recipe
    plan: Plan
    rows: Dataset
    splits: Split
    known: Survey | None
    """What one pass told of rows that stay in their file; ``rows`` then are a draw of them."""
    seed: int
    device: str

    @cached_property
    def parts(self) -> Split:
        """Training and validation rows stand as often as they count."""
        return self.rows.as_often(self.splits, self.seed)

    @property
    def usual(self) -> dict[str, Any]:
        """What :func:`isthmus.fit` is told beside the recipe and the rows."""
        told = ("images", "columns", "fields", "series", "counts", "habit")
        return {
            **{name: getattr(self.rows, name) for name in told},
            "valid": self.rows.x[self.parts.valid],
            "plan": self.plan,
            "seed": self.seed,
            "device": self.device,
        }


def _work(
    family: str,
    data: str,
    settings: list[str],
    steps: int | None,
    where: tuple[int, str],
    asked: dict[str, Any] | None,
    options: dict[str, Any],
) -> _Work:
    """The rows, with what is said of them, and what ``settings`` ask for; ``where`` is seed and device."""
    from isthmus.study.design import training_plan

    rows, splits, known = _read(data, where[0], asked, options)
    for said in rows.cautions:
        show.warn(f"{rows.name}: {said}")
    recipe, of_plan = configure(family, rows.extent, settings)
    return _Work(family, recipe, training_plan(of_plan, steps=steps), rows, splits, known, *where)


def _read(
    data: str, seed: int, asked: dict[str, Any] | None, options: dict[str, Any]
) -> tuple[Dataset, Split, Survey | None]:
    """The rows and their parts; of rows that stay in their file (``asked``) draws of them, and what one pass told."""
    from isthmus.data.read import read
    from isthmus.data.source import source
    from isthmus.data.survey import survey
    from isthmus.errors import BadInput
    from isthmus.train.memory import affordable

    if asked is None:
        plain = {name: options.pop(name) for name in ("label", "images")}
        rows = read(data, **plain, **understood(TableOptions, options))
        return rows, rows.split(seed), None
    plain = {"label": options.pop("label"), **understood(TableOptions, {name: options.pop(name) for name in STREAMED})}
    if odd := sorted(name for name, one in options.items() if one not in (None, False, [], ())):
        flag = declared(TableOptions)[odd[0]].flag if odd[0] in declared(TableOptions) else None
        raise BadInput(f"{flag or '--' + odd[0].replace('_', '-')} needs all rows in memory; leave it or --memory out")
    found = source(data, **plain)
    known = survey(found, seed, readers=affordable(found, **asked))
    return *known.dataset(), known


def _training(work: _Work, asked: dict[str, Any]) -> Callable[..., Fitted]:
    """The training; of rows that stay in their file it says what is drawn, what it takes, and how rows are mixed."""
    from isthmus.data.files import told
    from isthmus.train.fitted import fit, fit_survey, foresee

    known, plan = work.known, work.plan
    if known is None:
        return partial(fit, work.recipe, work.rows.x[work.parts.train], **work.usual)
    foretold = foresee(work.recipe, known, plan, **asked, ships=True)
    found, shuffle, _ = foretold
    near = 100 * shuffle.mixing(plan.batch)
    for said in (
        known.said,
        f"memory: at most {told(found.total)}, {told(found.held)} of it for {shuffle.window:,} rows at once; the data "
        f"have {told(known.source.bytes)}",
        f"order: {near:.1f} % of the pairs of rows in a batch lie within 1 % of the file of each other; 2.0 % would "
        "after a full shuffle",
    ):
        show.warn(f"{known.source.name}: {said}")
    return partial(fit_survey, work.recipe, known, plan=plan, device=work.device, foretold=foretold, **asked)


def _diverged(fitted: Fitted) -> None:
    """Say why nothing is saved."""
    from isthmus.doctor.training import cause
    from isthmus.doctor.words import numbers

    steps, why = number_of(fitted.outcome.steps, "step"), numbers(cause(fitted))
    remedy = "try a lower learning rate (--set learning_rate=0.0001)"
    show.warn(f"training diverged after {steps} ({why}) and nothing is saved; {remedy}")


def _kept(place: Path, every: str) -> Checkpoint:
    """Where the training is kept, beside the model to come; ``every`` none never writes."""
    from isthmus.errors import BadInput
    from isthmus.study.budget import seconds
    from isthmus.train.checkpoint import Checkpoint

    path = place.with_name(f"{place.name}.checkpoint")
    if every == "none" and path.exists():
        raise BadInput(f"{path} keeps a training that was stopped: add --checkpoint 5m to go on, or remove the file")
    return Checkpoint(path, math.inf if every == "none" else seconds(every, "checkpoint"))


def _trained(
    title: str, training: Callable[..., Fitted], steps: int, kept: Checkpoint, quiet: bool, *, shard: bool
) -> Fitted | None:
    """The training, with a bar; it goes on where it was stopped, and one that is stopped says what is kept.

    None where several ranks train together and another one does the rest.
    """
    from isthmus.train.ranks import joined
    from isthmus.train.shards import Shards

    if taken := kept.steps():
        show.note(f"Going on after {taken} steps: {kept.path}", quiet=quiet)
    with (
        _keeping(kept),
        joined(Shards if shard else None) as ranks,
        show.progress(title, steps, unit="steps", quiet=quiet or (ranks is not None and ranks.rank > 0)) as tell,
    ):
        fitted = training(
            watch=lambda p: tell(p.step, f"loss {min(p.valid):.4g}"),
            checkpoint=None if kept.every == math.inf else kept,
            ranks=ranks,
        )
    return fitted if ranks is None or ranks.rank == 0 else None


@contextmanager
def _keeping(kept: Checkpoint) -> Iterator[None]:
    """Whoever is stopped here says what is kept of the training."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if taken := kept.steps():
            stop.add_note(f"{taken} steps are kept in {kept.path}; the same command goes on")
        raise


def _saved(fitted: Fitted, work: _Work, place: Path, kept: Checkpoint) -> tuple[Path, _Work, int]:
    """Where the model lies; the work without the test rows that now calibrate it, and how many these are."""
    from isthmus.ship import artefact
    from isthmus.study.deploy import apart

    aside, told = apart(work.rows, work.splits.test, work.seed)
    with _keeping(kept):
        folder = artefact.save(_deployed(fitted, work, aside), place)
        kept.remove()
    return folder, replace(work, splits=work.splits._replace(test=told)), len(aside)


def _deployed(fitted: Fitted, work: _Work, aside: NDArray[np.int64]) -> Deployed:
    """What ships: with a score from training and validation rows, and the rows that were put aside as calibration."""
    from isthmus.ship.deployed import Deployed
    from isthmus.ship.manifest import Origin

    rows, splits, known = work.rows, work.splits, work.known
    about = "half of the rows that were held out, as they came"
    normal = rows.x[aside] if len(aside) else None
    first = None if rows.windows is None else rows.windows.first[aside]
    fitted = replace(fitted, canvas=rows.canvas, network=rows.network)
    made = Deployed.of(
        fitted, rows.x[splits.train], rows.x[splits.valid], normal, first=first, seed=work.seed, about=about
    )
    digest, count = (rows.digest, len(rows.x)) if known is None else (known.digest, known.rows)
    return replace(made, origin=Origin(data=rows.name[:200], digest=digest, rows=count))


def _ills(fitted: Fitted, work: _Work) -> list[Finding]:
    """What is wrong with a training, said as it is found."""
    from isthmus.doctor import diagnose
    from isthmus.train.cut import advised

    if fitted.outcome.status == "cut":
        steps, wanted = fitted.outcome.steps, advised(fitted.outcome.history)
        show.warn(f"training was cut at {number_of(steps, 'step')}, before it converged; give --steps {wanted}")
    ills = diagnose(fitted, *(fitted.layout.apply(work.rows.x[n]) for n in work.splits[:2]))
    for finding in ills:
        if finding.name != "stopped too early":  # said above
            show.warn(str(finding))
    return ills


def _speed(fitted: Fitted, work: _Work) -> Utilisation | None:
    """What the training made of this machine, its steps counted on a batch; None where no step is like the others."""
    import numpy as np
    import torch

    from isthmus.metrics.cost import flops, product_rate, training_step
    from isthmus.train.device import device as found
    from isthmus.train.ranks import size
    from isthmus.train.utilisation import utilisation

    outcome, plan = fitted.outcome, fitted.plan
    if not outcome.steps or plan.stages != "together":
        return None
    rows = fitted.layout.apply(work.rows.x[work.parts.train[: plan.batch]])
    batch = torch.from_numpy(rows[np.resize(np.arange(len(rows)), plan.batch)])
    step = flops(training_step(fitted.model, batch))
    return utilisation(step, outcome.steps, plan.batch, outcome.seconds, product_rate(found(work.device)), size())


def _measured(fitted: Fitted, work: _Work, limit: float, quiet: bool) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The scores of the model and of PCA, which has no more components than rows have columns, and what is left out."""
    from isthmus.families import named
    from isthmus.study.launch.local import one_thread
    from isthmus.study.measured import measure
    from isthmus.train.fitted import fit_many

    if not limit:
        return {work.family: {}}, []
    rows, parts = work.rows, work.parts
    with show.progress(f"measuring {work.family}", limit, unit="s", quiet=quiet) as tell, one_thread():
        began = time.perf_counter()
        pca = fit_many(
            [named("pca").set_params(latents=_components(work))],
            fitted.layout.apply(rows.x[parts.train]),
            fitted.layout.apply(rows.x[parts.valid]),
            [work.plan],
            layout=fitted.layout,
            seed=work.seed,
            columns=rows.columns,
        )[0]
        left = limit - (time.perf_counter() - began)
        models = {work.family: fitted, "pca": pca}
        return measure(models, rows, parts, work.seed, left, lambda s: tell(min(s, limit)))


def _components(work: _Work) -> int:
    """Of PCA: one for each unit of the code, as far as rows have so many columns and there are so many rows."""
    return min(work.recipe.latents, math.prod(work.rows.extent), len(work.splits.train))


def _plan(work: _Work, limit: float, as_json: bool) -> None:
    """What training will take, from a few steps of it, and measuring at most."""
    from isthmus.study.estimate import CHECKS, EACH, pace
    from isthmus.train.fitted import fit

    plan, usual = work.plan, work.usual
    marks, began = list[tuple[int, float]](), time.perf_counter()
    short = replace(plan, steps=CHECKS * EACH, check=EACH, schedule="plateau", patience=CHECKS + 1, warmup=0.0)
    held = max(1, len(work.splits.valid) * EACH // plan.check)
    few: dict[str, Any] = {**usual, "plan": short, "valid": usual["valid"][:held]}
    fit(work.recipe, work.rows.x[work.parts.train], watch=lambda p: marks.append((p.step, time.perf_counter())), **few)
    step = pace(marks)
    start = max(0.0, time.perf_counter() - began - CHECKS * EACH * step)
    whole = start + plan.steps * step
    if as_json:
        found = {"seconds": whole + limit, "training": whole, "measuring": limit}
        asked = {"data": work.rows.name, "recipe": work.recipe.to_json(), "plan": plan.to_json()}
        show.machine(asked | found)
        return
    show.line(f"{work.family} on {work.rows.name}: {work.recipe}")
    steps = number_of(plan.steps, "step")
    show.line(f"  time  at most about {show.clock(whole)} for {steps}, then at most {show.clock(limit)} of measuring")


def _print(
    fitted: Fitted, work: _Work, scores: dict[str, dict[str, float]], folder: Path, speed: Utilisation | None
) -> None:
    """How the training ended, what was measured, and where the model is."""
    from isthmus.metrics import METRICS

    end, width = fitted.outcome.status, fitted.recipe.latents
    if end != "closed form":
        end += f" after {number_of(fitted.outcome.steps, 'step')}"
    names, title = list(scores), f"{work.family} on {work.rows.name}: {end}."
    if not any(scores.values()):
        show.line(title)
        if speed is not None:
            show.line(f"Speed: {speed}.")
        show.line(f"Model: {folder}", apart=True)
        return
    show.line(f"{title} Measured on {number_of(len(work.splits.test), 'row')} that training did not see:")
    show.line()
    better = {True: "higher", False: "lower", None: "neither"}
    lines = [
        [METRICS[metric].title, better[METRICS[metric].higher], *(number(scores[name].get(metric)) for name in names)]
        for metric in dict.fromkeys(metric for name in names for metric in scores[name])
    ]
    show.table(["metric", "better", *names], lines, words=2)
    if len(names) > 1 and _components(work) < width:
        show.line(
            f"PCA has {_components(work):,} components for {width:,} units: rows have no more directions.", apart=True
        )
    if speed is not None:
        show.line(f"Speed: {speed}.", apart=True)
    show.line(f"Model: {folder}", apart=True)


def number(value: float | None) -> str:
    """Three significant digits, thousands apart, a dash where there is no value (PCA takes no steps).

    Examples
    --------
    >>> number(0.012345), number(1234567.0), number(float("nan"))
    ('0.0123', '1,234,567', '–')
    """
    if value is None or not math.isfinite(value):
        return show.BLANK
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
