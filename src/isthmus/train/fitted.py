"""One trained model with what its training left, and how to train one."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.arrays import memory as in_memory
from isthmus.data.dataset import Dataset, element_names
from isthmus.data.fields import Field
from isthmus.data.layout import Layout, laid_out
from isthmus.data.metadata import IN_ORDER, NONE, Metadata, counted, in_proportion
from isthmus.data.metadata import known as metadata
from isthmus.data.read import cells, read
from isthmus.data.series import Series
from isthmus.data.source import Source
from isthmus.data.sparse import SparseRows, counts_of, scattered
from isthmus.data.split import grouped, ordered
from isthmus.data.survey import Survey, survey
from isthmus.data.wording import number_of
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.parts.heads import Head
from isthmus.seeds import seed as hashed
from isthmus.train.checkpoint import Checkpoint, Keeper
from isthmus.train.device import device as find
from isthmus.train.device import on
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
        raise BadInput(f"the recipe must be one, such as isthmus.named('plain'); got {recipe!r:.60}")
    beside = {"group": group, "time": time, "weights": weights}
    kept = Checkpoint(checkpoint) if isinstance(checkpoint, str | os.PathLike) else checkpoint
    if isinstance(x, Source):
        if odd := [name for name, one in beside.items() if one is not None]:
            raise BadInput(
                f"say where the source is made which column gives {odd[0]}: isthmus.source(FILE, {odd[0]}=NAME)"
            )
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
    given = _given(x, target, valid, valid_target, columns, fields, counts, images, beside)
    sets, held = _parted(given.sets, given.held, given.known, seed)
    kinds = [_data(part).images if given.images is None else given.images for part in sets]
    layouts = [
        laid_out(part, given.fields, kind=scale, images=kind, series=series, counts=given.counts)
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


class _Given(NamedTuple):
    """What somebody gave, as arrays."""

    sets: list[Any]
    """The rows; and what they should become, where that is something else."""
    held: list[Any] | None
    """The same of rows for early stopping, where they were given."""
    known: Metadata
    columns: Sequence[str]
    fields: Sequence[Field]
    counts: int | None
    images: bool | None


def _given(
    x: Any,
    target: Any,
    valid: Any,
    valid_target: Any,
    columns: Sequence[str],
    fields: Sequence[Field],
    counts: int | None,
    images: bool | None,
    beside: dict[str, Any],
) -> _Given:
    """See :func:`fit`; frames of several kinds, with gaps or with named columns of metadata are read as files are."""
    named = [name for name, one in beside.items() if isinstance(one, str) and one != IN_ORDER]
    if named and (target is not None or valid is not None or not hasattr(x, "columns")):
        raise BadInput(f"{named[0]} names a column, and that needs a frame alone; give one value for each row")
    known, unread = NONE, counts is None and scattered(x)
    if read_here := not fields and target is None and (mixed(x) or bool(named) or unread):
        read_in = read(x, **beside)
        read_in.warn()
        counts = read_in.counts
        images = False if read_in.fields or counts is not None else images
        x, columns, fields, known = read_in.x, columns or read_in.columns, read_in.fields, read_in.metadata
    if counts is not None:
        x, valid = _counted(x, valid, target)
        images = False
    if fields:
        valid = None if valid is None else cells(valid, fields)
    sets: list[Any] = [_array(x)] if target is None else _pair(x, target)
    if not read_here and any(one is not None for one in beside.values()):
        _, known, positive = counted(*metadata(x, in_memory(np.zeros((len(sets[0]), 1))), **beside))
        sets = sets if positive is None else [part[positive] for part in sets]
    if (valid_target is None) != (valid is None or target is None):
        raise BadInput("valid_target goes with target and valid: give it if both are given, and only then")
    held = None if valid is None else [_array(valid)] if valid_target is None else _pair(valid, valid_target)
    return _Given(sets, held, known, columns, fields, counts, images)


def _parted(sets: list[Any], held: list[Any] | None, known: Metadata, seed: int) -> tuple[list[Any], list[Any]]:
    """Rows to train on, as often as weights say, and those held out: as given, a fifth, or all of fewer than 10."""
    if held is not None or len(sets[0]) < 10:
        often = slice(None) if known.weight is None else in_proportion(known.weight, hashed(seed, "weights"))
        sets = [part[often] for part in sets]
        return sets, sets if held is None else held
    stay, aside = _held_out(len(sets[0]), known, seed)
    return [part[stay] for part in sets], [part[aside] for part in sets]


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
    if device != "cpu":
        raise BadInput("rows that stay in their file train on the processor; leave --device out")
    plan = plan or Plan()
    _, shuffle, readers = foretold or foresee(recipe, known, plan, memory, readers)
    train, valid, _ = known.laid_out()
    with Stream(shuffle, readers) as stream:
        return _fit_survey(recipe, known, plan, train, valid, stream, watch=watch, checkpoint=checkpoint, ranks=ranks)


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


def _held_out(rows: int, known: Metadata, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of the rows that are trained on and of those held out, a fifth, each as often as its weight says."""
    if known.time is not None:
        stay, aside, later = ordered(known.time)
        stay, aside = np.sort(np.append(stay, aside)), later
    elif known.group is not None:
        stay, aside, more = grouped(known.group, hashed(seed, "holdout"))
        stay, aside = np.sort(np.append(stay, aside)), more
    else:
        order = np.random.default_rng(hashed(seed, "holdout")).permutation(rows)
        aside, stay = np.sort(order[: rows // 5]), np.sort(order[rows // 5 :])
    if known.weight is not None:
        stay, aside = (
            part[in_proportion(known.weight[part], hashed(seed, "weights", k))] for k, part in enumerate((stay, aside))
        )
    return stay, aside


def mixed(x: Any) -> bool:
    """Whether these are columns of several kinds, or with gaps: a frame that is no matrix of finite numbers."""
    if not hasattr(x, "columns"):
        return False
    try:
        return not np.isfinite(np.asarray(x, np.float64)).all()
    except (TypeError, ValueError):
        return True


def _data(rows: NDArray[Any], columns: Sequence[str] = (), fields: Sequence[Field] = ()) -> Dataset:
    """Rows as a study takes them."""
    names = tuple(columns) or (element_names(rows.shape[1:]) if rows.ndim == 2 else ())
    return Dataset(name="X", x=rows, y=None, classes=(), columns=names, fields=tuple(fields))


def _counted(x: Any, valid: Any, target: Any) -> tuple[SparseRows, SparseRows | None]:
    """Rows of counts and those held out, checked."""
    if target is not None:
        raise BadInput("rows of counts are their own target; leave target out")
    return counts_of("X", x), None if valid is None else counts_of("valid", valid)


def _array(x: Any) -> Any:
    """Rows as an array; sparse ones as they are."""
    return x if isinstance(x, SparseRows) else np.asarray(x)


def _pair(x: Any, target: ArrayLike) -> list[NDArray[Any]]:
    """Rows and their targets, one for each."""
    rows, aims = np.asarray(x), np.asarray(target)
    if len(rows) != len(aims):
        raise BadInput(f"expected one target for each row; got {len(rows)} rows and {len(aims)} targets")
    return [rows, aims]
