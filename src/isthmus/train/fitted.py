"""One trained model together with what it needs to be used: its recipe, its scaling, and what its training left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from isthmus.data.scale import Scaler
from isthmus.errors import BadInput
from isthmus.model import Model, Recipe
from isthmus.seeds import seed as hashed
from isthmus.train.loop import Outcome, Task, Watch, initialise, train
from isthmus.train.plan import Plan

# Rows that are encoded at once: enough to fill the vector units, few enough to stay small beside the data.
CHUNK = 4096


@dataclass(frozen=True)
class Fitted:
    """A trained autoencoder. Arrays go in and come out in the units of the data."""

    recipe: Recipe
    model: Model
    scaler: Scaler
    head: str
    """The likelihood that it was trained with: gaussian or bernoulli."""
    plan: Plan
    outcome: Outcome
    columns: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """``*D``, the shape of one row."""
        return self.model.shape

    @property
    def parameters(self) -> int:
        """Number of trained values; the buffers of closed-form models count."""
        own = sum(p.numel() for p in self.model.parameters())
        return own or sum(b.numel() for b in self.model.buffers())

    def encode(self, x: ArrayLike) -> NDArray[np.float32]:
        """The code of each row. ``x`` (N, *D) -> (N, L)."""
        return self.encode_scaled(self.scaler.apply(self._rows(x)))

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """The rows that codes stand for. ``z`` (N, L) -> (N, *D)."""
        codes = np.asarray(z, dtype=np.float32)
        if codes.ndim != 2 or codes.shape[1] != self.model.latents:
            raise BadInput(f"codes must have shape (rows, {self.model.latents}); got {codes.shape}")
        return self.scaler.invert(self.decode_scaled(codes))

    def reconstruct(self, x: ArrayLike) -> NDArray[np.float32]:
        """``decode(encode(x))``: (N, *D) -> (N, *D)."""
        return self.decode(self.encode(x))

    def errors(self, x: ArrayLike) -> NDArray[np.float64]:
        """Squared error per element of each row, in scaled units: (N, *D) -> (N,). High means unlike the training."""
        scaled = self.scaler.apply(self._rows(x))
        gap = self.decode_scaled(self.encode_scaled(scaled)).astype(np.float64) - scaled
        return np.square(gap).reshape(len(gap), -1).mean(axis=1)

    def encode_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`encode`, for rows that are scaled already."""
        return _in_chunks(self.model.encode, x)

    def decode_scaled(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :meth:`decode`, leaving the rows scaled."""
        return _in_chunks(self.model.decode, z)

    def _rows(self, x: ArrayLike) -> NDArray[np.float32]:
        rows = np.asarray(x)
        if rows.shape[1:] != self.shape:
            raise BadInput(f"rows must have shape {self.shape}, as in training; got {rows.shape[1:]}")
        return rows


def _in_chunks(function: object, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        parts = [function(tensor(rows[i : i + CHUNK])) for i in range(0, max(len(rows), 1), CHUNK)]  # type: ignore[operator]
    return torch.cat(parts).numpy()


def tensor(rows: NDArray[np.float32]) -> Tensor:
    """Rows as a float32 tensor, without a copy where none is needed."""
    return torch.from_numpy(np.require(rows, np.float32, ["C", "W"]))


def likelihood(scaler: Scaler, rows: NDArray[np.float32]) -> str:
    """What the head ``auto`` stands for: bernoulli if the scaled training rows are bounded data in [0, 1]."""
    bounded = scaler.kind != "standard" and float(rows.min()) >= 0 and float(rows.max()) <= 1
    return "bernoulli" if bounded else "gaussian"


def fit_many(
    recipes: Sequence[Recipe],
    train_rows: NDArray[np.float32],
    valid_rows: NDArray[np.float32],
    plans: Sequence[Plan],
    *,
    scaler: Scaler,
    seed: int,
    columns: Sequence[str] = (),
    watch: Watch | None = None,
) -> list[Fitted]:
    """Train several recipes on the same scaled rows, from the same seed: same order of rows, same noise.

    Parameters
    ----------
    recipes, plans : sequences of equal length
    train_rows, valid_rows : arrays (n, *D), (m, *D)
        Already scaled by ``scaler``.
    scaler : Scaler
        Travels with the models.
    seed : int
    columns : sequence of str
        Names of the elements of a row.
    watch : callable, optional
        See :func:`isthmus.train.loop.train`.
    """
    head = likelihood(scaler, train_rows)
    shape, rows, held = train_rows.shape[1:], tensor(train_rows), tensor(valid_rows)
    models = [initialise(r, shape, head, hashed(seed, "weights")) for r in recipes]
    tasks = [Task(r, m, rows, held, p, seed) for r, m, p in zip(recipes, models, plans, strict=True)]
    return [
        Fitted(t.recipe, t.model, scaler, head if t.recipe.head == "auto" else t.recipe.head, t.plan, o, tuple(columns))
        for t, o in zip(tasks, train(tasks, watch), strict=True)
    ]


def fit(
    recipe: Recipe,
    x: ArrayLike,
    *,
    valid: ArrayLike | None = None,
    plan: Plan | None = None,
    seed: int = 0,
    scale: str = "auto",
    images: bool = False,
    columns: Sequence[str] = (),
    watch: Watch | None = None,
) -> Fitted:
    """Scale the rows and train one model on them.

    Parameters
    ----------
    recipe : Recipe
    x : array of shape (N, *D)
        Finite numbers.
    valid : array of shape (M, *D), optional
        Rows for early stopping. By default a seeded fifth of ``x`` is held out; with fewer than 10 rows, all of ``x``
        serves for both, and stopping early then only saves time.
    plan : Plan, optional
    seed : int
        Weights, order and noise follow from it.
    scale : {"auto", "standard", "unit", "none"}
        Fitted on the training rows only.
    images : bool
        Whether rows are images: ``auto`` then scales all elements alike.

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
    rows = np.asarray(x)
    if valid is not None:
        held = np.asarray(valid)
    elif len(rows) < 10:
        held = rows
    else:
        order = np.random.default_rng(hashed(seed, "holdout")).permutation(len(rows))
        held, rows = rows[np.sort(order[: len(rows) // 5])], rows[np.sort(order[len(rows) // 5 :])]
    scaler = Scaler.fit(rows, kind=scale, images=images)
    plan = plan or Plan()
    plan = replace(plan, batch=min(plan.batch, len(rows)))
    return fit_many(
        [recipe],
        scaler.apply(rows),
        scaler.apply(held),
        [plan],
        scaler=scaler,
        seed=seed,
        columns=columns,
        watch=watch,
    )[0]
