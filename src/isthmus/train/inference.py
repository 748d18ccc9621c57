"""A trained network with what it needs to be used: rows in, codes and rows out, in the units of the data."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from isthmus.abilities import HasPrior
from isthmus.data.counts import Counts
from isthmus.data.dataset import element_names
from isthmus.data.fields import Field, missing
from isthmus.data.frames import by_name, framed
from isthmus.data.layout import Layout, Table, cells_of
from isthmus.data.picture import Canvas
from isthmus.data.read import cells
from isthmus.data.series import Series, Windowed
from isthmus.data.sparse import counts_of
from isthmus.errors import BadInput
from isthmus.metrics.fidelity import row_errors
from isthmus.model import Model, Recipe
from isthmus.train.device import device as find

# Rows that are encoded at once: enough to fill the vector units, few enough to stay small beside the data.
CHUNK = 4096
ROUNDS = 2
"""Times that rows go through a model until their gaps are filled in. On adult a second one helps, a third does not."""
DTYPES = {name: getattr(torch, name) for name in ("float32", "bfloat16", "float16", "float64")}
FILLERS = ("masked", "pca")
"""Families that fill gaps in without being trained on corrupted rows."""


@dataclass(frozen=True, repr=False, kw_only=True)
class Inference:
    """A trained autoencoder as it answers rows, without how it was trained. Arrays are in the units of the data."""

    recipe: Recipe
    model: Model
    layout: Layout
    """From the rows of the data to what the network takes, and back."""
    head: str
    """The name of the likelihood that it was trained with: gaussian, bernoulli, huber, student, table, poisson or
    negative_binomial."""
    columns: tuple[str, ...] = ()
    target_layout: Layout | None = None
    """How targets were scaled, if the model was trained to predict something else than its rows; else None."""
    canvas: Canvas | None = None
    """What encoded pictures were drawn on before it was trained on them, and are to be drawn on now."""
    network: str | None = None
    """SHA-256 of the graph whose features of pictures its rows are, or of the language model whose embeddings of texts
    they hold; None of other rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """``*D``, the shape of one row of the data."""
        if isinstance(self.layout, Counts):
            return (self.layout.columns,)
        return (len(self.fields),) if self.fields else self.model.shape

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the columns of a table are; none where all are numbers without gaps."""
        return self.layout.fields if isinstance(self.layout, Table) else ()

    @property
    def series(self) -> Series | None:
        """What windows the model was trained on; None where its rows are no windows of a series."""
        return self.layout.series if isinstance(self.layout, Windowed) else None

    @property
    def elements(self) -> tuple[str, ...]:
        """One name for each element of a row as the network takes it."""
        if isinstance(self.layout, Table):
            return self.layout.names
        if isinstance(self.layout, Counts):
            return self.layout.names(self.columns or element_names(self.shape))
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

    @property
    def precision(self) -> type[np.floating[Any]]:
        """In what numbers the network computes: float32, as it was trained, or float64 (:meth:`precise`)."""
        state = (*self.model.parameters(), *self.model.buffers())
        return np.float64 if any(one.dtype == torch.float64 for one in state) else np.float32

    def precise(self) -> Self:
        """The same with a network that computes in float64: the answer to a row then hangs on no other row.

        In float32 it does in its last digits, by the order in which a product is summed. Weights are copied once, here.

        Examples
        --------
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> model = fit(named("pca").set_params(latents=1), np.random.default_rng(0).normal(size=(50, 3))).precise()
        >>> model.encode(np.zeros((2, 3))).dtype
        dtype('float64')
        """
        return replace(self, model=copy.deepcopy(self.model).double())

    def placed(self, device: str = "cpu", dtype: str = "float32") -> Self:
        """The same with a network that computes elsewhere, or in other numbers: rows go there, answers come back.

        Codes, reconstructions, errors and scores are computed there; what they are compared with is not. Weights are
        copied once, here.

        Parameters
        ----------
        device : {"cpu", "cuda", "mps", "auto"}
            As in training.
        dtype : {"float32", "bfloat16", "float16", "float64"}
            Numbers of the network. In the two short ones answers have two or three digits.

        Raises
        ------
        BadInput
            If there is no such device or dtype.
        BadEnvironment
            If this machine has no such device.

        Examples
        --------
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> model = fit(named("pca").set_params(latents=1), np.random.default_rng(0).normal(size=(50, 3)))
        >>> model.placed("auto", "bfloat16").encode(np.zeros((2, 3))).dtype
        dtype('float32')
        """
        if dtype not in DTYPES:
            raise BadInput(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
        return replace(self, model=copy.deepcopy(self.model).to(find(device), DTYPES[dtype]))

    def encode(self, x: ArrayLike) -> NDArray[np.float32]:
        """The code of each row. ``x`` (N, *D) -> (N, L)."""
        return self.encode_scaled(self.scaled(x))

    def decode(self, z: ArrayLike) -> NDArray[Any]:
        """The rows, or targets, that codes stand for, in their own units. ``z`` (N, L) -> (N, *D).

        Of a table these are cells: see :meth:`frame` for what they mean.
        """
        codes = np.asarray(z, dtype=self.precision)
        if codes.ndim != 2 or codes.shape[1] != self.model.latents:
            raise BadInput(f"codes must have shape (rows, {self.model.latents}); got {codes.shape}")
        return (self.target_layout or self.layout).invert(self.decode_scaled(codes))

    def reconstruct(self, x: ArrayLike) -> NDArray[Any]:
        """What the model makes of rows, ``decode(encode(x))`` for most families: (N, *D) -> (N, *D).

        A model with a target of its own gives its prediction of that, in the target's units. A frame of columns of
        several kinds comes back as a frame of the same kind.
        """
        scaled = self.scaled(x)
        made = (self.target_layout or self.layout).invert(self.reconstruct_scaled(scaled))
        return self.frame(made, x) if self.fields and hasattr(x, "columns") else made

    def impute(self, x: ArrayLike) -> Any:
        """Rows with their gaps filled in by what the model makes of the rest: an array (N, F), or a frame for a frame.

        What is there stays as it is. A gap of a column that had none in training is filled in too. Rows go through the
        model twice, the second time with what was filled in before.

        Warns
        -----
        UserWarning
            If the model was not trained to rebuild what is hidden from it, and one that was may do better.

        Raises
        ------
        BadInput
            If the model was trained on rows of numbers without gaps, or to predict something else than its rows.

        Examples
        --------
        >>> from isthmus.data.read import read
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> height = np.random.default_rng(0).normal(size=(200, 1))
        >>> rows = np.hstack([height, 2 * height, -height])
        >>> rows[:20, 0] = np.nan
        >>> table = read(rows)  # in which the gaps of its first column are noticed
        >>> model = fit(named("pca").set_params(latents=1), table.x, fields=table.fields, columns=table.columns)
        >>> model.impute(np.array([[np.nan, 2.0, -1.0]])).round()
        array([[ 1.,  2., -1.]])
        """
        layout = self.with_gaps()
        given = cells(x, self.fields)
        filled = np.where(missing(given), layout.filled(self.filling(given)), given)
        return self.frame(filled, x, ~missing(given)) if hasattr(x, "columns") else filled

    def with_gaps(self) -> Table:
        """The layout, if the model fills gaps in; a warning where it never learnt to."""
        if not isinstance(self.layout, Table) or self.target_layout is not None:
            raise BadInput("only a model of rows with gaps, or of columns of several kinds, fills gaps in; train one")
        if not self.fills:
            warnings.warn(
                "this model was not trained to rebuild what is hidden from it; one that was may fill gaps in better "
                "(the family masked, or another one with corruption=mask): isthmus compare --for fill_gaps measures it",
                stacklevel=3,
            )
        return self.layout

    @property
    def fills(self) -> bool:
        """Whether it fills gaps in, and learnt to."""
        tabular = isinstance(self.layout, Table) and self.target_layout is None
        return tabular and (self.recipe.corruption == "mask" or self.recipe.family in FILLERS)

    def filling(self, given: NDArray[Any]) -> NDArray[np.float32]:
        """What the model makes of rows of a table, laid out, in the last of the rounds that fill gaps in.

        Cells (N, F), NaN where one is missing -> (N, E).
        """
        layout = self.layout
        assert isinstance(layout, Table)
        gaps, laid = missing(given), layout.unsaid(layout.apply(given))
        for _ in range(ROUNDS):
            made = self.reconstruct_scaled(laid)
            laid = layout.apply(np.where(gaps, layout.filled(made), given))
        return made

    def frame(self, rows: NDArray[Any], like: Any, there: NDArray[np.bool_] | None = None) -> Any:
        """Cells (N, F) of a table as a frame of the kind of ``like``, with its types, categories and index; those that
        are ``there`` (N, F) as they stand in it."""
        return framed(self.fields, cells_of(rows, self.fields), like, there)

    def errors(self, x: ArrayLike, target: ArrayLike | None = None) -> NDArray[np.float64]:
        """Squared error per element of each row, in scaled units: (N, *D) -> (N,). High means unlike the training.

        A model that was trained with a target needs ``target`` (N, *E) to compare with, and no other model takes one.
        """
        if (target is None) != (self.target_layout is None):
            had, get = ("no", "leave target out") if self.target_layout is None else ("a", "give target=")
            raise BadInput(f"this model was trained with {had} target of its own: {get}")
        scaled = self.scaled(x)
        wanted = scaled if target is None or self.target_layout is None else self.target_layout.apply(target)
        made = self.reconstruct_scaled(scaled)
        if made.shape != wanted.shape:
            raise BadInput(f"targets must have shape {made.shape}, one for each row; got {wanted.shape}")
        return row_errors(wanted, made if target is not None else self.compared(scaled, made))

    def encode_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`encode`, for rows that are scaled already."""
        return self._through(self.model.encode, x)

    def decode_scaled(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`decode`, leaving the rows scaled."""
        return self._through(self.model.decode, z)

    def reconstruct_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`reconstruct`, for rows that are scaled already, leaving them scaled."""
        return self._through(self.model.reconstruct, x)

    def prior(self, n: int, seed: int) -> NDArray[np.float32] | None:
        """``n`` codes drawn from what training held them to, (n, L); None if the family has no prior."""
        if not isinstance(self.model, HasPrior):
            return None
        with torch.no_grad():
            return self.model.prior(n, torch.Generator().manual_seed(seed)).numpy()

    def score_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """How unlike the training rows scaled rows are, (n,): the family's own score, or the error per element."""
        if type(self.model).score is not Model.score:
            return self._through(self.model.score, x).astype(np.float64)
        return row_errors(x, self.compared(x, self.reconstruct_scaled(x)))

    def _through(self, function: object, rows: NDArray[Any]) -> NDArray[Any]:
        """``function`` of the network over rows, in its precision."""
        state = (*self.model.parameters(), *self.model.buffers())
        return in_chunks(function, rows, self.precision, next((one for one in state if one.is_floating_point()), None))

    def compared(self, x: NDArray[np.float32], made: NDArray[np.float32]) -> NDArray[np.float32]:
        """What was made of scaled rows, to be compared with them: a gap is compared with nothing. Both (N, *E)."""
        there = self.layout.observed(x)
        return made if there is None else np.where(there, made, x)

    def scaled(self, x: ArrayLike) -> NDArray[np.float32]:
        """Rows as the model takes them: (N, *D), in the units of the data, -> (N, *D).

        Columns of a frame go by their names: their order is free, others are left out. To a model of numbers without
        gaps a frame that has none of the names is an array, and what is not a finite number is refused.
        """
        if self.fields:
            rows = cells(x, self.fields)
            if (doubt := self.layout.astray(rows)) is not None:
                warnings.warn(doubt, stacklevel=3)
            return self.layout.apply(rows)
        x = by_name(x, self.columns)
        if isinstance(self.layout, Counts):
            return self.layout.apply(counts_of("rows", x, self.layout.columns))
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
        return f"{type(self).__name__}({self.recipe}, rows of shape {self.shape})"


def in_chunks(
    function: object,
    rows: NDArray[Any],
    precision: type[np.floating[Any]] = np.float32,
    weights: Tensor | None = None,
) -> NDArray[np.float32]:
    """``function`` over rows, some at a time: (N, *D) -> (N, ...); where its ``weights`` are, and as short as they."""
    place, short = (
        ("cpu", None) if weights is None else (weights.device, weights.dtype if weights.element_size() < 4 else None)
    )
    with torch.no_grad():
        blocks = (tensor(rows[i : i + CHUNK], precision) for i in range(0, max(len(rows), 1), CHUNK))
        parts = [function(block.to(place, short)).cpu() for block in blocks]  # type: ignore[operator]
    made = torch.cat(parts)
    return (made if short is None else made.float()).numpy()


def tensor(rows: NDArray[Any], precision: type[np.floating[Any]] = np.float32) -> Tensor:
    """Rows as a tensor, of float32 where nothing else is asked, without a copy where none is needed."""
    return torch.from_numpy(np.require(rows, precision, ["C", "W"]))
