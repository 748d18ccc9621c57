"""The mixture of columns of several kinds, as its components and the values of its columns: it draws rows.

Numbers are normal within a component by their rank, which :class:`Coding` undoes; choices have shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.columns import columns, rows
from isthmus.data.fields import TEXTS, missing
from isthmus.data.layout import Layout
from isthmus.errors import BadInput
from isthmus.mixed import Mixed, MixedMixture
from isthmus.model import Model, knob
from isthmus.rivals.rival import Drawing, Network, RivalRecipe
from isthmus.sampler import decimals, thinned

Cells = NDArray[np.float64]

REPEATED = 0.9
"""Different values, as a share of the cells, below which a new number is one of those that are there."""


class Coding(NamedTuple):
    """How one column becomes what a mixture takes."""

    size: int
    """Values of the choice that it is, or holds beside a number; 0 without one."""
    values: Cells
    """Those values, in order; empty where they are numbered from 0."""
    ranked: Cells
    """Training cells in order whose ranks a number follows; empty where it is a choice alone."""
    repeats: bool
    """Whether a new number is one of those, and not between two of them."""
    gap: bool
    """Whether it says if a cell is missing: the first column of one of the table's that has gaps."""

    @classmethod
    def of(cls, size: int, values: Cells, known: Cells, gap: bool) -> Self:
        """From all values of a number, in order."""
        return cls(size, values, known, len(np.unique(known)) < REPEATED * len(known), gap)

    def fewer(self, most: int) -> Coding:
        """The same, with at most so many ranks, evenly spaced, their ends among them."""
        return self._replace(ranked=thinned(self.ranked, most))


def decoded(made: Mixed, codings: Sequence[Coding], owners: tuple[int, ...]) -> Cells:
    """Columns (n, C) of rows that a mixture drew; ``owners`` as those of :class:`isthmus.data.columns.Columns`."""
    from scipy.special import ndtr

    out = np.empty((len(made.choices), len(codings)))
    number = choice = 0
    missing = np.zeros(len(out), bool)
    for j, (code, owner) in enumerate(zip(codings, owners, strict=True)):
        if j == 0 or owner != owners[j - 1]:
            missing = np.zeros(len(out), bool)
        if code.gap:
            missing = made.choices[:, choice] == 1
            choice += 1
        cells = np.zeros(len(out))
        if len(code.ranked):
            place = ndtr(made.numbers[:, number])
            number += 1
            cells = np.quantile(code.ranked, place, method="inverted_cdf" if code.repeats else "linear")
        if code.size:
            held = made.choices[:, choice]
            choice += 1
            named = held.astype(np.float64) if not len(code.values) else np.append(code.values, 0.0)[held]
            cells = np.where(held == code.size - 1, cells, named) if len(code.ranked) else named
        out[:, j] = np.where(missing, np.nan, cells)
    return out


def _holds(code: Coding, size: int) -> bool:
    """Whether a coding is one of a column of so many values, or of a number, 0."""
    return not size or (code.size == size and not len(code.values) and not len(code.ranked))


class Mixture(Drawing):
    """Components and values of columns."""

    chances: torch.Tensor
    means: torch.Tensor
    variances: torch.Tensor
    shares: torch.Tensor
    values: torch.Tensor
    ranked: torch.Tensor

    def __init__(self, shape: tuple[int, ...], recipe: MixtureOfColumns) -> None:
        super().__init__(shape, recipe.family)
        self.recipe = recipe
        parts, numbers = recipe.components, sum(count > 0 for count in recipe.ranked)
        sizes = {"chances": (parts,), "means": (parts, numbers), "variances": (parts, numbers)}
        sizes |= {"shares": (parts, sum(recipe.sizes)), "values": (sum(recipe.named),), "ranked": (sum(recipe.ranked),)}
        for name, size in sizes.items():
            self.register_buffer(name, torch.ones(size, dtype=torch.float64))

    def rows(self, n: int, seed: int, layout: Layout) -> NDArray[np.float32]:
        table = columns(np.zeros((1, *self.shape), np.float32), layout)
        codings = self._codings()
        if len(codings) != len(table.sizes) or not all(map(_holds, codings, table.sizes)):
            raise BadInput(f"{self.name}: its columns are not those of the layout")
        mixture = MixedMixture(
            self.chances.numpy(), self.means.numpy(), self.variances.numpy(), self.shares.numpy(), self.recipe.sizes
        )
        return rows(decoded(mixture.draw(n, seed), codings, table.owners), layout, self.shape)

    def exact(self, cells: NDArray[Any], layout: Layout) -> NDArray[Any]:
        """Cells (n, F) of drawn rows with as many decimals as the data have: 32 bits hold them up to rounding alone."""
        out, owners = cells.copy(), columns(np.zeros((1, *self.shape), np.float32), layout).owners
        for f, code in zip(owners, self._codings(), strict=True):
            known = np.concatenate([code.values, code.ranked])
            if (kind := layout.parts[f].field.kind) not in TEXTS and len(known):
                there = ~missing(out[:, f])
                out[there, f] = decimals(out[there, f].astype(np.float64), known, dated=kind == "date")
        return out

    def check(self) -> None:
        """Weights and shares are shares of one, variances above 0, values in order."""
        recipe = self.recipe
        parts = [self.chances[None], *self.shares.split(list(recipe.sizes), dim=1)]
        if len({len(recipe.choices), len(recipe.named), len(recipe.ranked), len(recipe.repeats), len(recipe.gaps)}) > 1:
            raise BadInput(f"{self.name}: sizes of columns must be as many as there are columns")
        if any(not (bool((one >= 0).all()) and bool(((one.sum(1) - 1).abs() < 1e-6).all())) for one in parts):
            raise BadInput(f"{self.name}: weights and shares must not be below 0, and sum to 1")
        if not bool((self.variances > 0).all()):
            raise BadInput(f"{self.name}: variances must be above 0")
        for name, counts in (("values", recipe.named), ("ranked", recipe.ranked)):
            if any(bool((part.diff() < 0).any()) for part in self.get_buffer(name).split(list(counts))):
                raise BadInput(f"{self.name}: values of a column must be in order")

    def _codings(self) -> list[Coding]:
        recipe = self.recipe
        values, known = (
            np.split(buffer.numpy(), list(accumulate(counts))[:-1])
            for buffer, counts in ((self.values, recipe.named), (self.ranked, recipe.ranked))
        )
        told = zip(recipe.choices, values, known, recipe.repeats, recipe.gaps, strict=True)
        return [Coding(size, own, of, bool(repeats), bool(gap)) for size, own, of, repeats, gap in told]


@dataclass(kw_only=True, eq=False, repr=False)
class MixtureOfColumns(RivalRecipe):
    """Columns of several kinds, independent within each component of a mixture (Hunt and Jorgensen 2003)."""

    family: ClassVar[str] = "mixed-type mixture"

    components: int = knob(1, "Components.", low=1, high=1 << 16)
    choices: tuple[int, ...] = knob((), "Of each column: values of a choice; 0 if it has none.", low=0, high=1 << 20)
    named: tuple[int, ...] = knob((), "Of each column: values of it that are numbers.", low=0, high=1 << 20)
    ranked: tuple[int, ...] = knob((), "Of each column: values that stand for ranks.", low=0, high=1 << 20)
    repeats: tuple[int, ...] = knob((), "Of each column: 1 if new numbers are among these.", low=0, high=1)
    gaps: tuple[int, ...] = knob((), "Of each column: 1 if it says what is missing.", low=0, high=1)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the choices that the mixture has, gaps among them."""
        pairs = zip(self.gaps, self.choices, strict=False)
        return tuple(size for gap, choice in pairs for size in (2 * gap, choice) if size)

    def _build(self, shape: tuple[int, ...], head: Any) -> Model:
        return Mixture(shape, self)


def network(mixture: MixedMixture, codings: Sequence[Coding]) -> Network:
    """A mixture that was fitted, as what ships."""
    recipe = MixtureOfColumns(
        components=len(mixture.weights),
        choices=tuple(code.size for code in codings),
        named=tuple(len(code.values) for code in codings),
        ranked=tuple(len(code.ranked) for code in codings),
        repeats=tuple(int(code.repeats) for code in codings),
        gaps=tuple(int(code.gap) for code in codings),
    )
    arrays = {"chances": mixture.weights, "means": mixture.means, "variances": mixture.variances}
    joined = {name: np.concatenate([getattr(code, name) for code in codings]) for name in ("values", "ranked")}
    return Network(recipe, {**arrays, "shares": mixture.shares, **joined})
