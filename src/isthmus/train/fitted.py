"""One trained model together with what it needs to be used: its recipe, its scaling, and what its training left."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from isthmus.abilities import HasPrior
from isthmus.data.arrays import memory
from isthmus.data.dataset import Dataset, element_names
from isthmus.data.fields import Field
from isthmus.data.frames import framed
from isthmus.data.layout import Layout, Table, laid_out
from isthmus.data.metadata import IN_ORDER, NONE, Metadata, counted, in_proportion
from isthmus.data.metadata import known as metadata
from isthmus.data.read import cells, read
from isthmus.data.split import grouped, ordered
from isthmus.errors import BadInput
from isthmus.metrics.fidelity import row_errors
from isthmus.model import Model, Recipe
from isthmus.parts.heads import Head, Slot, TableHead
from isthmus.seeds import seed as hashed
from isthmus.train.loop import Outcome, Watch
from isthmus.train.plan import Plan
from isthmus.train.stages import train
from isthmus.train.task import Task

# Rows that are encoded at once: enough to fill the vector units, few enough to stay small beside the data.
CHUNK = 4096
ROUNDS = 2
"""Times that rows go through a model until their gaps are filled in. On adult a second one helps, a third does not."""
FILLERS = ("masked", "pca")
"""Families that fill gaps in without being trained on corrupted rows."""


@dataclass(frozen=True, repr=False)
class Fitted:
    """A trained autoencoder. Arrays go in and come out in the units of the data."""

    recipe: Recipe
    model: Model
    layout: Layout
    """From the rows of the data to what the network takes, and back."""
    head: str
    """The name of the likelihood that it was trained with: gaussian, bernoulli, huber, student or table."""
    plan: Plan
    outcome: Outcome
    columns: tuple[str, ...] = ()
    target_layout: Layout | None = None
    """How targets were scaled, if the model was trained to predict something else than its rows; else None."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``*D``, the shape of one row of the data."""
        return (len(self.fields),) if self.fields else self.model.shape

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the columns of a table are; none where all are numbers without gaps."""
        return self.layout.fields if isinstance(self.layout, Table) else ()

    @property
    def elements(self) -> tuple[str, ...]:
        """One name for each element of a row as the network takes it."""
        if isinstance(self.layout, Table):
            return self.layout.names
        return self.columns or element_names(self.shape)

    @property
    def out(self) -> tuple[int, ...]:
        """``*E``, the shape of what comes out: ``*D`` unless the model was trained with a target."""
        if self.target_layout is None:
            return self.shape
        return self.decode_scaled(np.zeros((1, self.model.latents), np.float32)).shape[1:]

    @property
    def parameters(self) -> int:
        """Number of trained values; the buffers of closed-form models count."""
        own = sum(p.numel() for p in self.model.parameters())
        return own or sum(b.numel() for b in self.model.buffers())

    def encode(self, x: ArrayLike) -> NDArray[np.float32]:
        """The code of each row. ``x`` (N, *D) -> (N, L)."""
        return self.encode_scaled(self.scaled(x))

    def decode(self, z: ArrayLike) -> NDArray[Any]:
        """The rows, or targets, that codes stand for, in their own units. ``z`` (N, L) -> (N, *D).

        Of a table these are cells: see :meth:`frame` for what they mean.
        """
        codes = np.asarray(z, dtype=np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.model.latents:
            raise BadInput(f"codes must have shape (rows, {self.model.latents}); got {codes.shape}")
        return (self.target_layout or self.layout).invert(self.decode_scaled(codes))

    def reconstruct(self, x: ArrayLike) -> NDArray[Any]:
        """What the model makes of rows, ``decode(encode(x))`` for most families: (N, *D) -> (N, *D).

        A model with a target of its own gives its prediction of that, in the target's units. A frame of columns of
        several kinds comes back as a frame of the same kind.
        """
        scaled = self.scaled(x)
        made = (self.target_layout or self.layout).invert(in_chunks(self.model.reconstruct, scaled))
        return self.frame(made, x) if self.fields and hasattr(x, "columns") else made

    def impute(self, x: ArrayLike) -> Any:
        """Rows with their gaps filled in by what the model makes of the rest: an array (N, F), or a frame for a frame.

        What is there stays as it is. A gap of a column that had none in training is filled in too. Rows go through the
        model twice, the second time with what was filled in before.

        Warns
        -----
        UserWarning
            If the model was not trained to rebuild what is hidden from it, so that it fills in poorly.

        Raises
        ------
        BadInput
            If the model was trained on rows of numbers without gaps, or to predict something else than its rows.

        Examples
        --------
        >>> from isthmus.families import named
        >>> height = np.random.default_rng(0).normal(size=(200, 1))
        >>> rows = np.hstack([height, 2 * height, -height])
        >>> rows[:20, 0] = np.nan
        >>> table = read(rows)  # in which the gaps of its first column are noticed
        >>> model = fit(named("pca").set_params(latents=1), table.x, fields=table.fields, columns=table.columns)
        >>> model.impute(np.array([[np.nan, 2.0, -1.0]])).round()
        array([[ 1.,  2., -1.]])
        """
        layout = self.layout
        if not isinstance(layout, Table) or self.target_layout is not None:
            raise BadInput("only a model of rows with gaps, or of columns of several kinds, fills gaps in; train one")
        if self.recipe.corruption != "mask" and self.recipe.family not in FILLERS:
            warnings.warn(
                "this model never learnt to rebuild what is hidden from it, and fills gaps in poorly: train the family "
                "masked, or another one with corruption=mask and a corruption_level such as 0.2",
                stacklevel=2,
            )
        given = cells(x, self.fields)
        gaps, laid = np.isnan(given), layout.unsaid(layout.apply(given))
        for _ in range(ROUNDS):
            filled = np.where(gaps, layout.filled(in_chunks(self.model.reconstruct, laid)), given)
            laid = layout.apply(filled)
        return self.frame(filled, x) if hasattr(x, "columns") else filled

    def frame(self, rows: NDArray[Any], like: Any) -> Any:
        """Cells (N, F) of a table as a frame of the kind of ``like``, with its types, categories and index."""
        return framed(self.fields, np.asarray(rows, np.float64), like)

    def errors(self, x: ArrayLike, target: ArrayLike | None = None) -> NDArray[np.float64]:
        """Squared error per element of each row, in scaled units: (N, *D) -> (N,). High means unlike the training.

        A model that was trained with a target needs ``target`` (N, *E) to compare with, and no other model takes one.
        """
        if (target is None) != (self.target_layout is None):
            had, get = ("no", "leave target out") if self.target_layout is None else ("a", "give target=")
            raise BadInput(f"this model was trained with {had} target of its own: {get}")
        scaled = self.scaled(x)
        wanted = scaled if target is None or self.target_layout is None else self.target_layout.apply(target)
        made = in_chunks(self.model.reconstruct, scaled)
        if made.shape != wanted.shape:
            raise BadInput(f"targets must have shape {made.shape}, one for each row; got {wanted.shape}")
        return row_errors(wanted, made if target is not None else self.compared(scaled, made))

    def encode_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`encode`, for rows that are scaled already."""
        return in_chunks(self.model.encode, x)

    def decode_scaled(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`decode`, leaving the rows scaled."""
        return in_chunks(self.model.decode, z)

    def prior(self, n: int, seed: int) -> NDArray[np.float32] | None:
        """``n`` codes drawn from what training held them to, (n, L); None if the family has no prior."""
        if not isinstance(self.model, HasPrior):
            return None
        with torch.no_grad():
            return self.model.prior(n, torch.Generator().manual_seed(seed)).numpy()

    def score_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """How unlike the training rows scaled rows are, (n,): the family's own score, or the error per element."""
        if type(self.model).score is not Model.score:
            return in_chunks(self.model.score, x).astype(np.float64)
        return row_errors(x, self.compared(x, in_chunks(self.model.reconstruct, x)))

    def compared(self, x: NDArray[np.float32], made: NDArray[np.float32]) -> NDArray[np.float32]:
        """What was made of scaled rows, to be compared with them: a gap is compared with nothing. Both (N, *E)."""
        there = self.layout.observed(x)
        return made if there is None else np.where(there, made, x)

    def scaled(self, x: ArrayLike) -> NDArray[np.float32]:
        """Rows as the model takes them: (N, *D), in the units of the data, -> (N, *D).

        A frame whose columns are those of the training in another order, or some of them, is refused, and so is what is
        not a finite number. Columns of several kinds go by their names: their order is free, others are left out.
        """
        if self.fields:
            rows = cells(x, self.fields)
            if (doubt := self.layout.astray(rows)) is not None:
                warnings.warn(doubt, stacklevel=3)
            return self.layout.apply(rows)
        names = tuple(getattr(x, "columns", ()))
        if set(self.columns) & {name for name in names if isinstance(name, str)} and names != self.columns:
            raise BadInput("columns must be those of the training in their order: give x[list(model.columns)]")
        rows = np.asarray(x)
        if rows.shape[1:] != self.shape:
            raise BadInput(f"rows must have shape {self.shape}, as in training; got {rows.shape[1:]}")
        if rows.dtype.kind not in "biuf":
            raise BadInput(f"rows must be numbers; got dtype {rows.dtype}: drop or encode other columns")
        if not (good := np.isfinite(rows)).all():
            i = int(np.argmin(good.reshape(len(good), -1).all(axis=1)))
            raise BadInput(f"row {i + 1} (position {i}): a value is missing or infinite; fill it in or drop the row")
        if (doubt := self.layout.astray(rows, self.head == "bernoulli")) is not None:
            warnings.warn(doubt, stacklevel=3)
        return self.layout.apply(rows)

    def __repr__(self) -> str:
        after = f" after {self.outcome.steps} steps" if self.outcome.steps else ""
        return f"Fitted({self.recipe}, rows of shape {self.shape}, {self.outcome.status}{after})"


def in_chunks(function: object, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """``function`` over rows, some at a time: (N, *D) -> (N, ...)."""
    with torch.no_grad():
        parts = [function(tensor(rows[i : i + CHUNK])) for i in range(0, max(len(rows), 1), CHUNK)]  # type: ignore[operator]
    return torch.cat(parts).numpy()


def tensor(rows: NDArray[np.float32]) -> Tensor:
    """Rows as a float32 tensor, without a copy where none is needed."""
    return torch.from_numpy(np.require(rows, np.float32, ["C", "W"]))


def likelihood(layout: Layout, rows: NDArray[np.float32]) -> Head:
    """What the head ``auto`` stands for: bernoulli if the scaled training rows are bounded data in [0, 1], gaussian if
    they are other numbers, and one for each column of a table."""
    if layout.parts:
        return of_table(layout)
    bounded = layout.kind in {"unit", "none"} and float(rows.min()) >= 0 and float(rows.max()) <= 1
    return "bernoulli" if bounded else "gaussian"


def of_table(layout: Layout) -> TableHead:
    """The likelihood of rows that are laid out as a table."""
    return TableHead(
        [
            Slot(p.column.outcome, p.start, p.stop, p.column.shares, p.column.scale, p.gap, p.absent)
            for p in layout.parts
        ]
    )


def spoken(head: Head) -> str:
    """The name of a likelihood."""
    return head if isinstance(head, str) else head.name


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
    """
    head = likelihood(target_layout or layout, train_rows if target is None else target)
    shape, rows, held = train_rows.shape[1:], tensor(train_rows), tensor(valid_rows)
    aims = [None if t is None else tensor(t) for t in (target, valid_target)]
    out = None if target is None else target.shape[1:]
    seeds = [seed] * len(recipes) if isinstance(seed, int) else seed
    models = [r.build(shape, head, out, number=hashed(s, "weights")) for r, s in zip(recipes, seeds, strict=True)]
    tasks = [
        Task(r, m, rows, held, p.of(r), s, aims[0], aims[1])
        for r, m, p, s in zip(recipes, models, plans, seeds, strict=True)
    ]
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
        for t, o in zip(tasks, train(tasks, watch), strict=True)
    ]


def fit(
    recipe: Recipe,
    x: ArrayLike,
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
    group: Any = None,
    time: Any = None,
    weights: Any = None,
    watch: Watch | None = None,
) -> Fitted:
    """Scale the rows and train one model on them.

    Parameters
    ----------
    recipe : Recipe
    x : array of shape (N, *D), or frame
        Finite numbers; or the columns of a table, which may be of several kinds and have gaps.
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
    group, time, weights : str or array of shape (N,), optional
        A column that is no part of the rows, or one value for each row (:func:`isthmus.data.read.read`): no group
        stands both among the rows that are trained on and those that are held out, the latest rows are held out, and
        rows count in training as their weights say. Names of columns need a frame.

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
    named = {name: one for name, one in beside.items() if isinstance(one, str) and one != IN_ORDER}
    if named and (target is not None or valid is not None or not hasattr(x, "columns")):
        raise BadInput(f"{next(iter(named))} names a column, and that needs a frame alone; give one value for each row")
    known = NONE
    if read_here := not fields and target is None and (mixed(x) or bool(named)):
        read_in = read(x, **beside)
        read_in.warn()
        images = False if read_in.fields else images
        x, columns, fields, known = read_in.x, read_in.columns, read_in.fields, read_in.metadata
    if fields:
        valid = None if valid is None else cells(valid, fields)
    sets = [np.asarray(x)] if target is None else _pair(x, target)
    if not read_here and any(one is not None for one in beside.values()):
        _, known, positive = counted(*metadata(x, memory(np.zeros((len(sets[0]), 1))), **beside))
        sets = sets if positive is None else [part[positive] for part in sets]
    if (valid_target is None) != (valid is None or target is None):
        raise BadInput("valid_target goes with target and valid: give it if both are given, and only then")
    few = len(sets[0]) < 10
    if valid is not None or few:
        often = slice(None) if known.weight is None else in_proportion(known.weight, hashed(seed, "weights"))
        sets = [part[often] for part in sets]
    if valid is not None:
        held = [np.asarray(valid)] if valid_target is None else _pair(valid, valid_target)
    elif few:
        held = sets
    else:
        stay, aside = _held_out(len(sets[0]), known, seed)
        held, sets = [part[aside] for part in sets], [part[stay] for part in sets]
    kinds = [_data(part).images if images is None else images for part in sets]
    layouts = [laid_out(part, fields, kind=scale, images=kind) for part, kind in zip(sets, kinds, strict=True)]
    if images is None:  # nobody has looked at these data yet
        _data(sets[0], columns).warn()
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
        columns=columns,
        watch=watch,
    )[0]


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


def _data(rows: NDArray[Any], columns: Sequence[str] = ()) -> Dataset:
    """Rows as a study takes them."""
    names = tuple(columns) or (element_names(rows.shape[1:]) if rows.ndim == 2 else ())
    return Dataset(name="X", x=rows, y=None, classes=(), columns=names)


def _pair(x: ArrayLike, target: ArrayLike) -> list[NDArray[Any]]:
    """Rows and their targets, one for each."""
    rows, aims = np.asarray(x), np.asarray(target)
    if len(rows) != len(aims):
        raise BadInput(f"expected one target for each row; got {len(rows)} rows and {len(aims)} targets")
    return [rows, aims]
