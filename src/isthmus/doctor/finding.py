"""A finding, and what the checks look at."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.corrupt import corrupt
from isthmus.data.corrupt import draw as draw_corruption
from isthmus.doctor import words
from isthmus.metrics.fidelity import explained_variance
from isthmus.model import Ramp
from isthmus.train.cause import pulls
from isthmus.train.inference import Inference, in_chunks, tensor
from isthmus.train.stack import free

Array = NDArray[np.float32]
Evidence = Mapping[str, float | str]

SAMPLE = 1024
"""Rows that are looked at, of each part: a unit silent on all of them, or a share of 1 %, is no accident."""
PROBE = 256
"""Array through which a gradient is taken, or of which noise is made: a few batches of any plan."""


@dataclass(frozen=True)
class Finding:
    """One defect of a trained model, of its data or of its record."""

    name: str
    """Which: a key of :data:`isthmus.doctor.words.EN`."""
    evidence: Evidence
    """The numbers and names that show it."""

    @property
    def what(self) -> str:
        """One sentence that says what it means."""
        return words.text(self.name).what

    @property
    def remedy(self) -> str:
        """What to change."""
        return words.text(self.name).remedy

    def __str__(self) -> str:
        return f"{self.name}: {self.what} ({words.numbers(self.evidence)}); {self.remedy}"


@dataclass(frozen=True)
class Seen:
    """A fitted model and some of its scaled rows; what follows from them is computed once, when a check asks."""

    fitted: Inference
    mean: NDArray[np.float64]
    """Of all training rows, (*D)."""
    rows: int
    """How many training rows there were."""
    train: Array
    """At most ``SAMPLE`` of them."""
    valid: Array
    every: Array
    """All training rows, for what a sample cannot tell."""

    @classmethod
    def of(cls, fitted: Inference, train: Array, valid: Array) -> Seen:
        """Take evenly spaced samples of the rows."""
        return cls(fitted, train.mean(axis=0, dtype=np.float64), len(train), sample(train), sample(valid), train)

    @property
    def own(self) -> bool:
        """Whether the model rebuilds the rows that it reads: not so if it has no such term, or another target."""
        model = self.fitted.model
        rebuilds = "reconstruction" in model.weights or not list(model.parameters())
        return rebuilds and self.fitted.target_layout is None

    @cached_property
    def z(self) -> Array:
        """Codes of the training rows, (n, L)."""
        return self.fitted.encode_scaled(self.train)

    def rebuilt(self, rows: Array) -> Array:
        """What the model makes of rows: (n, *D) -> (n, *D)."""
        return in_chunks(self.fitted.model.reconstruct, rows)

    @cached_property
    def made(self) -> Array | None:
        """The validation rows rebuilt, (m, *D); None if there are none or the model does not rebuild its rows."""
        return self.rebuilt(self.valid) if self.own and len(self.valid) else None

    @cached_property
    def gain(self) -> float:
        """Explained variance of the validation rows about the training mean; NaN if they are not rebuilt."""
        return math.nan if self.made is None else explained_variance(self.valid, self.made, self.mean)

    @cached_property
    def pulls(self) -> dict[str, dict[str, Tensor]]:
        """The gradient of each term, times its weight at the end: term -> parameter -> tensor.

        Of a batch of training rows, corrupted and with noise as in training; both are drawn from a fixed seed.
        """
        fitted, model = self.fitted, self.fitted.model
        x, generator = tensor(sample(self.train, PROBE)), torch.Generator().manual_seed(0)
        kind, level = fitted.recipe.corruption, fitted.recipe.corruption_level
        before = model.training
        model.train()
        try:
            seen = corrupt(kind, x, draw_corruption(kind, x.shape, generator), level)
            found = pulls(model, seen, x, model.draw(x, generator))
        finally:
            model.train(before)
        scale = {k: w.end if isinstance(w, Ramp) else w for k, w in model.weights.items()}
        return {term: {p: scale[term] * g for p, g in pull.items()} for term, pull in found.items()}

    @property
    def differentiable(self) -> bool:
        """Whether ``pulls`` can be asked for: the rows are the target, and something was trained."""
        return self.fitted.target_layout is None and len(self.train) > 1 and bool(free(self.fitted.model))


def sample(rows: Array, most: int = SAMPLE) -> Array:
    """At most ``most`` rows, evenly spaced."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]
