"""The likelihood of a row of a table: one for each column by its kind, and nothing for a gap.

A number has that of a gaussian (or one of the robust ones), a count a negative binomial's, whose dispersion is learnt
as a parameter of the model, a flag a Bernoulli's, a category that of one draw among its values, an ordered one that of
cumulative logits; and whether a cell is missing is a Bernoulli draw of its own. What they cost is measured against what
the shares and means of the training rows would cost, so that every column weighs the same: with nothing learnt, each
costs 0.5, as a standardised number does. A cell that is missing costs exactly 0, whatever the model says of it.

Rows are laid out as :mod:`isthmus.data.layout` does it; raw outputs are logits of flags and values, centres of numbers,
logarithms of the means of counts. A count costs its negative log-likelihood in nats, but for a constant.

Cumulative logits (McCullagh 1980, Regression models for ordinal data, Journal of the Royal Statistical Society B 42):
a row lies at one place, the mean of the raw outputs of the column, and is beyond a step with the logistic function of
its distance to a cut point, which all rows share. Cut points are parameters of the model, kept in order by being sums
of positive gaps; they start where the shares of the training rows have them.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.parts.heads import elements
from isthmus.parts.heads.counts import HIGHEST, LOWEST, negative_binomial

RARE = 0.05
"""Nats. A column that is nearly always the same would otherwise outweigh all others when it is not."""
MOST = 60.0
"""The largest logarithm of a mean."""
CERTAIN = 1e-6
"""No step is taken for surer than this when cut points start."""
SURE = 0.005
"""No share is taken for nearer to 0 or 1 than this when a model starts."""


class Counted(NamedTuple):
    """What the likelihood of a column of counts starts from."""

    shift: float
    """The mean of log1p of the count, which was subtracted."""
    dispersion: float
    """Of the training rows."""
    nothing: float
    """What a row costs with nothing learnt, in nats."""


class Slot(NamedTuple):
    """Where one column lies in a row, and what it is."""

    outcome: str
    """``number``, ``count``, ``bit`` (one element, one of two values), ``choice`` (one element for each value) or
    ``order`` (one element for each step from a value to the next)."""
    start: int
    stop: int
    shares: tuple[float, ...]
    """Of the training rows, for a bit that of 1, for a choice those of its values, for an order of those beyond each
    step; what was subtracted."""
    scale: float
    """What was then divided by."""
    gap: int | None
    """The element that says "missing"."""
    absent: float
    """Share of the training rows in which it is missing."""
    counted: Counted | None = None
    """Given for a count."""


class Steps:
    """The elements of ordered columns, and what their cut points make of them.

    Parameters
    ----------
    slots : sequence of Slot
        Of ordered columns.
    width : int
        E, the elements of a row.
    """

    def __init__(self, slots: Sequence[Slot], width: int) -> None:
        sizes = [slot.stop - slot.start for slot in slots]
        longest, total = max(sizes, default=0), sum(sizes)
        self.own = torch.zeros(width, dtype=torch.bool)
        self.sizes = torch.tensor(sizes, dtype=torch.get_default_dtype())
        self.among = torch.full((len(slots), longest), width)
        """The elements of each column, (C, longest), filled up with one that no row has."""
        self.which = torch.full((len(slots), longest), total)
        """The same of cut points."""
        self.first = torch.zeros(total, dtype=torch.bool)
        """Which cut points are the first of a column."""
        self.flat, self.back = torch.zeros(total, dtype=torch.long), torch.zeros(width, dtype=torch.long)
        """Where each cut point lies in such a table, and the number of each element's."""
        at = 0
        for c, (slot, size) in enumerate(zip(slots, sizes, strict=True)):
            self.own[slot.start : slot.stop], self.first[at] = True, True
            self.among[c, :size] = torch.arange(slot.start, slot.stop)
            self.which[c, :size] = torch.arange(at, at + size)
            self.flat[at : at + size] = c * longest + torch.arange(size)
            self.back[slot.start : slot.stop] = torch.arange(at, at + size)
            at += size
        self.last = torch.roll(self.first, -1)
        self.elements = torch.nonzero(self.own).flatten()
        self.column = self.flat // max(longest, 1)

    def move(self, moved: Callable[[Tensor], Tensor]) -> None:
        """Put all tensors elsewhere."""
        vars(self).update(_moved(vars(self), moved))

    def points(self, cuts: Tensor) -> tuple[Tensor, Tensor]:
        """Cut points, and gaps before them, which mean nothing of the first of a column: both (S,)."""
        gaps = cuts.clamp(LOWEST, HIGHEST).exp()
        padded = functional.pad(torch.where(self.first, cuts, gaps), (0, 1))
        return padded[self.which].cumsum(1).flatten()[self.flat], gaps

    def place(self, each: Tensor, cuts: Tensor) -> Tensor:
        """Where rows lie if each step is beyond by ``each`` (..., E): the same for all steps of a column, (..., E)."""
        points, _ = self.points(cuts)
        return self._mean(each + points.to(each.dtype)[self.back])[..., self.column][..., self.back]

    def beyond(self, raw: Tensor, cuts: Tensor) -> Tensor:
        """The logits of having taken steps: (B, E) -> (B, E)."""
        points, _ = self.points(cuts)
        return (self._mean(raw)[..., self.column] - points.to(raw.dtype))[..., self.back]

    def nll(self, raw: Tensor, truth: Tensor, cuts: Tensor) -> Tensor:
        """What each step adds to -log(P(beyond the last step taken) - P(beyond the next)), (B, E), in nats.

        It is log s(a) + log s(-b) + log(1 - exp(-gap)), with s the logistic function, a and b the logits of those two
        steps: nothing cancels, however near or far cut points are. ``truth`` (B, E) holds 1 where a step was taken.
        """
        _, gaps = self.points(cuts)
        logit, taken = self.beyond(raw, cuts)[:, self.elements], truth[:, self.elements]
        before = torch.where(self.first, 1.0, torch.roll(taken, 1, dims=1))
        after = torch.where(self.last, 0.0, torch.roll(taken, -1, dims=1))
        between = torch.where(self.first, 0.0, -torch.log(-torch.expm1(-gaps))).to(raw.dtype)
        cost = (taken - after) * functional.softplus(-logit, threshold=80.0)
        cost = cost + (before - taken) * (functional.softplus(logit, threshold=80.0) + between)
        return cost[:, self.back]

    def _mean(self, each: Tensor) -> Tensor:
        """Over the elements of each column, (..., E) -> (..., C)."""
        return functional.pad(each, (0, 1))[..., self.among].sum(-1) / self.sizes.to(each.dtype)


class TableHead(nn.Module):
    """A likelihood for each column of a row of ``E`` elements.

    Parameters
    ----------
    slots : sequence of Slot
        In order, without holes.
    numbers : {"gaussian", "huber", "student"}, default "gaussian"
        The likelihood of numbers.

    Examples
    --------
    >>> head = TableHead([Slot("number", 0, 1, (), 1.0, 1, 0.25), Slot("choice", 2, 4, (0.5, 0.5), 0.5**0.5, None, 0)])
    >>> row = torch.tensor([[0.0, 0.75, 0.5**0.5, -(0.5**0.5)]])  # a gap, and the first of two values
    >>> head.nll(torch.tensor([[9.0, 9.0, 0.0, 0.0]]), row)[0].round(decimals=3)
    tensor([0.0000, 0.0000, 0.5000, 0.0000])
    """

    name = "table"

    def __init__(self, slots: Sequence[Slot], numbers: str = "gaussian") -> None:
        if numbers not in {"gaussian", "huber", "student"}:
            raise BadInput(f"head: numbers of a table can be gaussian, huber or student; got {numbers}")
        super().__init__()
        self.slots, self.numbers = tuple(slots), numbers
        width = max(slot.stop if slot.gap is None else slot.gap + 1 for slot in slots)
        self.bits, self.picked = torch.zeros(width, dtype=torch.bool), torch.zeros(width, dtype=torch.bool)
        self.shift, self.scale = torch.zeros(width), torch.ones(width)
        self.weight, self.gap_at = torch.ones(width), torch.full((width,), math.inf)
        self.gap_of, self.choice = torch.arange(width), torch.zeros(width, dtype=torch.long)
        self.first, self.says_gap = torch.arange(width), torch.zeros(width, dtype=torch.bool)
        self.counts, self.order = torch.zeros(width, dtype=torch.bool), torch.zeros(width, dtype=torch.long)
        sizes = list[float]()
        choices = [slot for slot in slots if slot.outcome == "choice"]
        self.binary = any(slot.outcome == "bit" or slot.gap is not None for slot in slots)
        self.among = torch.full((len(choices), max((s.stop - s.start for s in choices), default=0)), width)
        orders = [slot for slot in slots if slot.outcome == "order"]
        self.steps, begun = Steps(orders, width), list[float]()
        for slot in slots:
            part = slice(slot.start, slot.stop)
            self.scale[part], self.first[part] = slot.scale, slot.start
            if slot.outcome == "bit":
                self.bits[part], self.shift[part] = True, slot.shares[0]
                self.weight[part] = 0.5 / max(_nats(slot.shares[0], 1 - slot.shares[0]), RARE)
            if slot.outcome == "choice":
                number = choices.index(slot)
                self.picked[part], self.shift[part] = True, torch.tensor(slot.shares)
                self.weight[part] = 0.5 / max(_nats(*slot.shares), RARE)
                self.choice[part] = number
                self.among[number, : slot.stop - slot.start] = torch.arange(slot.start, slot.stop)
            if slot.outcome == "order":
                self.shift[part] = torch.tensor(slot.shares)
                bounds = (1.0, *slot.shares, 0.0)
                self.weight[part] = 0.5 / max(_nats(*(a - b for a, b in itertools.pairwise(bounds))), RARE)
                begun += _begun(slot.shares)
            if slot.counted is not None:
                self.counts[part], self.shift[part] = True, slot.counted.shift
                self.weight[part], self.order[part] = slot.counted.nothing - 0.5, len(sizes)
                sizes.append(-math.log(slot.counted.dispersion))
            if slot.gap is not None:
                spread = slot.absent * (1 - slot.absent)
                self.bits[slot.gap], self.shift[slot.gap] = True, slot.absent
                self.weight[slot.gap] = 0.5 * spread / max(_nats(slot.absent, 1 - slot.absent), RARE)
                self.gap_of[part], self.gap_at[part], self.says_gap[slot.gap] = slot.gap, 0.5 - slot.absent, True

        self.coin = int(self.says_gap.nonzero()[0]) if bool(self.says_gap.any()) else None
        """The first element that says that a cell is missing; None without gaps."""
        self.which = torch.nonzero(self.counts).flatten()
        self.log_size = nn.Parameter(torch.tensor(sizes).clamp(LOWEST, HIGHEST)) if sizes else None
        self.cuts = nn.Parameter(torch.tensor(begun)) if begun else None
        """For each ordered column its first cut point, and the logarithms of the gaps to the next ones."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TableHead:
        """Masks and numbers of elements go along to another device or type. They are no buffers: of those each model
        of a stack has its own, and all of these share one layout."""
        super()._apply(fn, recurse)
        vars(self).update(_moved(vars(self), fn))
        self.steps.move(fn)
        return self

    def but(self, numbers: str) -> TableHead:
        """Another one, that shares no parameter, with another likelihood of numbers; ``auto`` leaves it as it is."""
        if numbers == "auto":
            return self if self.log_size is None and self.cuts is None else TableHead(self.slots, self.numbers)
        return TableHead(self.slots, numbers)

    def nll(self, raw: Tensor, target: Tensor) -> Tensor:
        """What each element adds to the negative log-likelihood of its row, (B, E); sums over a column are its own."""
        shift, scale, weight = (one.to(raw.dtype) for one in (self.shift, self.scale, self.weight))
        truth = target * scale + shift
        cost = elements.nll(self.numbers, raw, target)
        if self.binary:
            cost = torch.where(self.bits, weight * elements.nll("bernoulli", raw, truth), cost)
        if len(self.among):
            cost = torch.where(self.picked, weight * truth * (self._normaliser(raw) - raw), cost)
        if self.log_size is not None:
            which = self.which
            size = self.log_size.clamp(LOWEST, HIGHEST)
            counted = negative_binomial(raw[:, which], size, torch.expm1(truth[:, which]).clamp(min=0.0))
            cost = torch.where(self.counts, counted[:, self.order] - weight, cost)
        if self.cuts is not None:
            cost = torch.where(self.steps.own, weight * self.steps.nll(raw, truth, self.cuts), cost)
        return torch.where(self.lacks(target), 0.0, cost)

    @property
    def dispersion(self) -> Tensor | None:
        """What was learnt of the columns of counts, (C,), in their order: a variance is mean + dispersion mean^2; None
        without such columns."""
        return None if self.log_size is None else (-self.log_size.detach().clamp(LOWEST, HIGHEST)).exp()

    def lacks(self, row: Tensor) -> Tensor:
        """Which elements are of a cell that laid out rows (B, E) say is missing, (B, E)."""
        return row[:, self.gap_of] > self.gap_at.to(row.dtype)

    def whole(self, noise: Tensor) -> Tensor:
        """Uniform noise (..., E) by which elements are hidden, as noise by which columns are: all of one or none, and
        never what says that a cell is missing."""
        return torch.where(self.says_gap, 1.0, noise[..., self.first])

    def mean(self, raw: Tensor) -> Tensor:
        """The expected row, laid out: (B, E) -> (B, E)."""
        shift, scale = (one.to(raw.dtype) for one in (self.shift, self.scale))
        out = torch.where(self.bits, (torch.sigmoid(raw) - shift) / scale, raw)
        if len(self.among):
            out = torch.where(self.picked, (torch.exp(raw - self._normaliser(raw)) - shift) / scale, out)
        if self.log_size is not None:
            out = torch.where(self.counts, (torch.log1p(raw.clamp(max=MOST).exp()) - shift) / scale, out)
        if self.cuts is not None:
            out = torch.where(self.steps.own, (torch.sigmoid(self.steps.beyond(raw, self.cuts)) - shift) / scale, out)
        return out

    def link(self, value: Tensor) -> Tensor:
        """The raw output whose mean is ``value`` (..., E), shares cut at 0.005; the logits of a category sum to 1. Of
        an ordered one it is the place in the middle of those that its elements ask for."""
        shift, scale = (one.to(value.dtype) for one in (self.shift, self.scale))
        share = (value * scale + shift).clamp(SURE, 1 - SURE)
        counts = torch.expm1(value * scale + shift).clamp(min=SURE).log()
        value = torch.where(self.counts, counts, value)
        if self.cuts is not None:
            value = torch.where(self.steps.own, self.steps.place(torch.logit(share), self.cuts), value)
        return torch.where(self.bits, torch.logit(share), torch.where(self.picked, share.log(), value))

    def _normaliser(self, raw: Tensor) -> Tensor:
        """For each element of a category, the log of the summed exponentials of the category's: (B, E) -> (B, E)."""
        padded = functional.pad(raw, (0, 1), value=-math.inf)
        return torch.logsumexp(padded[:, self.among], dim=2)[:, self.choice]


def _moved(held: Mapping[str, Any], moved: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    return {name: moved(value) for name, value in held.items() if isinstance(value, Tensor)}


def _nats(*shares: float) -> float:
    """The entropy of a draw."""
    return -sum(share * math.log(share) for share in shares if share > 0)


def _begun(shares: Sequence[float]) -> list[float]:
    """The first cut point, and logarithms of gaps, at which a row at 0 is beyond each step with its share."""
    sure = [min(max(share, CERTAIN), 1 - CERTAIN) for share in shares]
    points = [math.log((1 - share) / share) for share in sure]
    return [points[0], *(max(LOWEST, math.log(max(b - a, 1e-6))) for a, b in itertools.pairwise(points))]
