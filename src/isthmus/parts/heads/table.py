"""The likelihood of a row of a table: one for each column by its kind, and nothing for a gap.

A number has that of a gaussian (or one of the robust ones), a count a negative binomial's, whose dispersion is learnt
as a parameter of the model, a flag a Bernoulli's, a category that of one draw among its values; and whether a cell is
missing is a Bernoulli draw of its own. What they cost is measured against what the shares and means of the training
rows would cost, so that every column weighs the same: with nothing learnt, each costs 0.5, as a standardised number
does. A cell that is missing costs exactly 0, whatever the model says of it.

Rows are laid out as :mod:`isthmus.data.layout` does it; raw outputs are logits of flags and values, centres of numbers,
logarithms of the means of counts. A count costs its negative log-likelihood in nats, but for a constant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

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
    """``number``, ``count``, ``bit`` (one element, one of two values) or ``choice`` (one element for each value)."""
    start: int
    stop: int
    shares: tuple[float, ...]
    """Of the training rows, for a bit that of 1, for a choice those of its values; what was subtracted."""
    scale: float
    """What was then divided by."""
    gap: int | None
    """The element that says "missing"."""
    absent: float
    """Share of the training rows in which it is missing."""
    counted: Counted | None = None
    """Given for a count."""


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

    def but(self, numbers: str) -> TableHead:
        """Another one, that shares no parameter, with another likelihood of numbers; ``auto`` leaves it as it is."""
        if numbers == "auto":
            return self if self.log_size is None else TableHead(self.slots, self.numbers)
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
        return torch.where(self.lacks(target), 0.0, cost)

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
        return out

    def link(self, value: Tensor) -> Tensor:
        """The raw output whose mean is ``value`` (..., E), shares cut at 0.005; the logits of a category sum to 1."""
        shift, scale = (one.to(value.dtype) for one in (self.shift, self.scale))
        share = (value * scale + shift).clamp(SURE, 1 - SURE)
        counts = torch.expm1(value * scale + shift).clamp(min=SURE).log()
        value = torch.where(self.counts, counts, value)
        return torch.where(self.bits, torch.logit(share), torch.where(self.picked, share.log(), value))

    def _normaliser(self, raw: Tensor) -> Tensor:
        """For each element of a category, the log of the summed exponentials of the category's: (B, E) -> (B, E)."""
        padded = functional.pad(raw, (0, 1), value=-math.inf)
        return torch.logsumexp(padded[:, self.among], dim=2)[:, self.choice]


def _nats(*shares: float) -> float:
    """The entropy of a draw."""
    return -sum(share * math.log(share) for share in shares if share > 0)
