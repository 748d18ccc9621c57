"""One trained model with what its training left, and how to train one."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.dataset import Dataset, element_names
from isthmus.data.fields import Field
from isthmus.data.layout import Layout, laid_out
from isthmus.data.series import Series
from isthmus.data.source import Source
from isthmus.data.survey import Survey, survey
from isthmus.data.wording import number_of
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.parts.heads import Head
from isthmus.seeds import seed as hashed
from isthmus.train.checkpoint import Checkpoint, Keeper
from isthmus.train.device import device as find
from isthmus.train.device import on
from isthmus.train.given import arrays_of, parted
from isthmus.train.inference import Inference, tensor
from isthmus.train.likelihood import likelihood, of_survey, spoken
from isthmus.train.loop import RUN, Outcome, Watch
from isthmus.train.memory import MEMORY, Planned, affordable, planned
from isthmus.train.plan import Plan
from isthmus.train.ranks import Ranks
from isthmus.train.stages import train
from isthmus.train.stream import Stream
from isthmus.train.task import Task, spacing


@dataclass(frozen=True, repr=False, kw_only=True)
class Fitted(Inference):
    """A trained autoencoder, and how it was trained."""

    plan: Plan
    outcome: Outcome

    def __repr__(self) -> str:
        after = f" after {number_of(self.outcome.steps, 'step')}" if self.outcome.steps else ""
        return f"Fitted({self.recipe}, rows of shape {self.shape}, {self.outcome.status}{after})"


def fit_many(
    recipes: Sequence[Recipe],
    train_rows: NDArray[np.float32],
    valid_rows: NDArray[np.float32],
    plans: Sequence[Plan],
    *,
    layout: Layout,
    seed: int | Sequence[int],
    target: NDArray[np.float32] | None = None,
    valid_target: NDArray[np.float32] | None = None,
    target_layout: Layout | None = None,
    columns: Sequence[str] = (),
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks | None = None,
    device: str = "cpu",
    head: Head | None = None,
    stream: Stream | None = None,
) -> list[Fitted]:
    """Train several recipes on the same scaled rows; those of one seed see the same order of rows and the same noise.

    Parameters
    ----------
    recipes, plans : sequences of equal length
    train_rows, valid_rows : arrays (n, *D), (m, *D)
        Already laid out by ``layout``.
    layout : Layout
        Travels with the models.
    seed : int, or one for each recipe
    target, valid_target : arrays (n, *E), (m, *E), optional
        What the rows should become, already scaled by ``target_layout``; by default, themselves.
    target_layout : Layout, optional
        Travels with the models; given with ``target``, and only then.
    columns : sequence of str
        Names of the elements of a row.
    watch : callable, optional
        See :func:`isthmus.train.loop.train`.
    checkpoint : Checkpoint, optional
        Keeps the training on disk while it runs; one that is kept there goes on.
    ranks : Ranks, optional
        Processes that do the same with this one (:func:`isthmus.train.ranks.joined`).
    device : {"cpu", "cuda", "mps", "auto"}
        Where the training computes; the models come back.
    head : Head, optional
        What comes out; by default what the training rows say.
    stream : Stream, optional
        The training rows, where they do not fit into memory; ``train_rows`` then are some of them.
    """
    head = head or likelihood(target_layout or layout, train_rows if target is None else target)
    shape, rows, held = train_rows.shape[1:], tensor(train_rows), tensor(valid_rows)
    aims = [None if t is None else tensor(t) for t in (target, valid_target)]
    out = None if target is None else target.shape[1:]
    seeds = [seed] * len(recipes) if isinstance(seed, int) else seed
    models = [r.build(shape, head, out, number=hashed(s, "weights")) for r, s in zip(recipes, seeds, strict=True)]
    tasks = []
    for r, m, p, s in zip(recipes, models, plans, seeds, strict=True):
        every = spacing(sum(t.numel() for t in m.parameters()), p, len(held))
        seen, aim = (held, aims[1]) if every == 1 else (held[::every], None if aims[1] is None else aims[1][::every])
        tasks.append(Task(r, m, rows, seen, p.of(r, math.prod(shape)), s, aims[0], aim, stream=stream))
    with on(tasks, find(device)) as there:
        keeper = None if checkpoint is None else Keeper(checkpoint, there, ranks)
        with nullcontext() if keeper is None else keeper.listening():
            outcomes = train(there, watch, keeper, ranks)
    return [
        Fitted(
            recipe=t.recipe,
            model=t.model,
            layout=layout,
            head=spoken(t.recipe.likelihood(head)),
            plan=t.plan,
            outcome=o,
            columns=tuple(columns),
            target_layout=target_layout,
        )
        for t, o in zip(tasks, outcomes, strict=True)
    ]


def fit(
    recipe: Recipe,
    x: ArrayLike | Source,
    target: ArrayLike | None = None,
    *,
    valid: ArrayLike | None = None,
    valid_target: ArrayLike | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    scale: str = "auto",
    images: bool | None = None,
    columns: Sequence[str] = (),
    fields: Sequence[Field] = (),
    series: Series | None = None,
    counts: int | None = None,
    habit: str = "",
    group: Any = None,
    time: Any = None,
    weights: Any = None,
    watch: Watch | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    ranks: Ranks | None = None,
    device: str = "cpu",
    memory: str | int = MEMORY,
    readers: int = 2,
) -> Fitted:
    """Scale the rows and train one model on them.

    Parameters
    ----------
    recipe : Recipe
    x : array of shape (N, *D), frame, or Source
        Finite numbers; or the columns of a table, which may be of several kinds and have gaps. A source
        (:func:`isthmus.source`) stays in its file, and a seeded draw of its rows is held out.
    target : array of shape (N, *E), optional
        What each row should become: its clean version, or the next layer of a network. By default, itself. It is
        scaled on its own. Another shape than that of ``x`` needs a family that says so (a transcoder).
    valid : array of shape (M, *D), optional
        Rows for early stopping. By default a seeded fifth of ``x`` is held out; with fewer than 10 rows, all of ``x``
        serves for both, and stopping early then only saves time.
    valid_target : array of shape (M, *E), optional
        Given if ``target`` and ``valid`` are, and only then.
    plan : Plan, optional
    seed : int
        Weights, order and noise follow from it.
    scale : {"auto", "standard", "unit", "none"}
        Fitted on the training rows only.
    images : bool, optional
        Whether rows are images: ``auto`` then scales all elements alike. By default as a study takes the same array;
        what a study would say of these data (:attr:`isthmus.data.dataset.Dataset.cautions`) is then warned of too.
    columns : sequence of str, optional
        Names of the elements of a row.
    fields : sequence of Field, optional
        What the columns are, where ``x`` holds the cells of a table that was read (:func:`isthmus.data.read.read`). A
        frame with gaps, or with columns that are no numbers, is read here.
    series : Series, optional
        What windows the rows are, where they are windows that were read (:func:`isthmus.data.read.read`).
    counts : int, optional
        Most columns that are kept of rows of counts, sparse or not. A sparse matrix is read here where it is not given.
    habit : {"", ",", "."}
        The decimal mark of the file that plain numbers come from, as :func:`isthmus.data.read.read` found it
        (``Dataset.habit``): the saved model reads ``1.234`` in other files as it was meant there. Empty where nothing
        is known; ``fields`` know their own.
    group, time, weights : str or array of shape (N,), optional
        A column that is no part of the rows, or one value for each row (:func:`isthmus.data.read.read`): no group
        stands both among the rows that are trained on and those that are held out, the latest rows are held out, and
        rows count in training as their weights say. Names of columns need a frame.
    watch : callable, optional
        Hears a :class:`isthmus.train.loop.Check` at every check.
    checkpoint : Checkpoint or path, optional
        Where the training is kept every five minutes, or as a :class:`isthmus.train.checkpoint.Checkpoint` says, and
        when a signal asks the program to end. The same call goes on from there, to the same bits. The file stays when
        the training has ended, and then gives the model at once.
    ranks : Ranks, optional
        Processes that make the same call with this one, each with its share of every batch
        (:func:`isthmus.train.ranks.joined`).
    device : {"cpu", "cuda", "mps", "auto"}
        Where the training computes; ``auto`` is the first of cuda, mps and cpu that is there. The model comes back to
        the processor.
    memory : str or int, default "2GiB"
        Of a source alone: most memory that this process may take, in bytes or as in ``"512MiB"``.
    readers : int, default 2
        Of a source alone: threads that read ahead. No result depends on their number.

    Returns
    -------
    Fitted

    Examples
    --------
    >>> from isthmus.families import named
    >>> rows = np.random.default_rng(0).normal(size=(200, 6))
    >>> model = fit(named("pca").set_params(latents=2), rows)
    >>> model.encode(rows).shape
    (200, 2)
    """
    if not isinstance(recipe, Recipe):
        raise BadInput(f"recipe must be a Recipe, such as isthmus.named('plain'); got {recipe!r:.60}")
    beside = {"group": group, "time": time, "weights": weights}
    kept = Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint
    if isinstance(x, Source):
        if odd := [name for name, one in beside.items() if one is not None]:
            raise BadInput(f"name the column of {odd[0]} where the source is made: isthmus.source(FILE, {odd[0]}=NAME)")
        _alone(target=target, valid=valid, images=images, series=series, counts=counts)
        known_rows = survey(x, seed, scale=scale, readers=affordable(x, memory, readers))
        return fit_survey(
            recipe,
            known_rows,
            plan=plan,
            memory=memory,
            readers=readers,
            watch=watch,
            checkpoint=kept,
            ranks=ranks,
            device=device,
        )
    given = arrays_of(x, target, valid, valid_target, columns, fields, counts, images, habit, beside)
    sets, held = parted(given.sets, given.held, given.known, seed)
    kinds = [_data(part).images if given.images is None else given.images for part in sets]
    layouts = [
        laid_out(part, given.fields, kind=scale, images=kind, series=series, counts=given.counts, habit=given.habit)
        for part, kind in zip(sets, kinds, strict=True)
    ]
    if given.images is None:  # nobody has looked at these data yet
        _data(sets[0], given.columns, given.fields).warn()
    (rows, *aims), (held_rows, *held_aims) = (
        [layout.apply(part) for layout, part in zip(layouts, parts, strict=True)] for parts in (sets, held)
    )
    plan = plan or Plan()
    return fit_many(
        [recipe],
        rows,
        held_rows,
        [replace(plan, batch=min(plan.batch, len(rows)))],
        layout=layouts[0],
        seed=seed,
        target=aims[0] if aims else None,
        valid_target=held_aims[0] if aims else None,
        target_layout=layouts[1] if aims else None,
        columns=given.columns,
        watch=watch,
        checkpoint=kept,
        ranks=ranks,
        device=device,
    )[0]


def fit_survey(
    recipe: Recipe,
    known: Survey,
    *,
    plan: Plan | None = None,
    memory: str | int = MEMORY,
    readers: int = 2,
    watch: Watch | None = None,
    checkpoint: Checkpoint | None = None,
    ranks: Ranks | None = None,
    device: str = "cpu",
    foretold: Planned | None = None,
) -> Fitted:
    """Train one model on rows that stay in their file, of which one pass was made; see :func:`fit`.

    ``foretold`` is what :func:`foresee` says of the same training, where it was asked.

    Raises
    ------
    BadInput
        If so little memory will not do.
    """
    plan = plan or Plan()
    _, shuffle, readers = foretold or foresee(recipe, known, plan, memory, readers)
    train, valid, _ = known.laid_out()
    with Stream(shuffle, readers) as stream:
        how = {"watch": watch, "checkpoint": checkpoint, "ranks": ranks, "device": device}
        return _fit_survey(recipe, known, plan, train, valid, stream, **how)


def foresee(
    recipe: Recipe, known: Survey, plan: Plan, memory: str | int, readers: int, *, ships: bool = False
) -> Planned:
    """What a training on rows in a file takes of memory, from a few steps of it, and the order of its rows; see
    :func:`isthmus.train.memory.planned`."""
    plan, run = replace(plan, batch=min(plan.batch, known.count)), min(plan.check, RUN, max(1, plan.steps // 2))
    few = replace(plan, steps=2 * run, check=run, schedule="plateau", patience=3, warmup=0.0)
    laid = known.laid_out()
    tried = partial(_fit_survey, recipe, known, few, laid[0], laid[1])
    together = plan.stages == "together"
    return planned(recipe, known, plan, memory, readers, ships=ships, tried=tried if together else None)


def _fit_survey(
    recipe: Recipe,
    known: Survey,
    plan: Plan,
    train: NDArray[np.float32],
    valid: NDArray[np.float32],
    stream: Stream | None = None,
    **others: Any,
) -> Fitted:
    """Train on a stream of rows, or on those that were drawn alone."""
    return fit_many(
        [recipe],
        train,
        valid,
        [replace(plan, batch=min(plan.batch, known.count))],
        layout=known.layout,
        seed=known.seed,
        columns=known.source.columns,
        head=of_survey(known),
        stream=stream,
        **others,
    )[0]


def _alone(**others: Any) -> None:
    """Refuse what is asked of rows in memory only."""
    if odd := [name for name, one in others.items() if one is not None]:
        raise BadInput(f"{odd[0]} is for rows in memory; rows that stay in their file are trained on without it")


def _data(rows: NDArray[Any], columns: Sequence[str] = (), fields: Sequence[Field] = ()) -> Dataset:
    """Rows as a study takes them."""
    names = tuple(columns) or (element_names(rows.shape[1:]) if rows.ndim == 2 else ())
    return Dataset(name="X", x=rows, y=None, classes=(), columns=names, fields=tuple(fields))
