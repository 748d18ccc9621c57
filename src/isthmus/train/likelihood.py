"""The likelihood of rows, by how they are laid out."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.data.counts import Counts
from isthmus.data.fields import Column
from isthmus.data.fields.count import Count
from isthmus.data.layout import Layout
from isthmus.data.survey import Survey
from isthmus.parts.heads import Counted, CountHead, Head, Slot, TableHead
from isthmus.parts.heads.counts import NEGATIVE_BINOMIAL


def likelihood(layout: Layout, rows: NDArray[np.float32]) -> Head:
    """What the head ``auto`` stands for: bernoulli if the scaled training rows are bounded data in [0, 1], gaussian if
    they are other numbers, one for each column of a table, and a negative binomial for counts."""
    if isinstance(layout, Counts):
        return of_counts(layout)
    if layout.parts:
        return of_table(layout)
    bounded = layout.kind in {"unit", "none"} and float(rows.min()) >= 0 and float(rows.max()) <= 1
    return "bernoulli" if bounded else "gaussian"


def of_table(layout: Layout) -> TableHead:
    """The likelihood of rows that are laid out as a table."""
    return TableHead(
        [
            Slot(p.column.outcome, p.start, p.stop, p.column.shares, p.column.scale, p.gap, p.absent, _begun(p.column))
            for p in layout.parts
        ]
    )


def _begun(column: Column) -> Counted | None:
    """What the likelihood of a column of counts starts from; None of other columns."""
    return Counted(column.shift, column.dispersion, column.nothing) if isinstance(column, Count) else None


def of_counts(layout: Counts) -> CountHead:
    """The likelihood of rows that are laid out as counts."""
    shift, dispersion = (torch.tensor(one, dtype=torch.float32) for one in (layout.shift, layout.dispersion))
    return CountHead(NEGATIVE_BINOMIAL, shift, layout.scale, layout.usual, layout.total, dispersion)


def spoken(head: Head) -> str:
    """The name of a likelihood."""
    return head if isinstance(head, str) else head.name


def of_survey(known: Survey) -> Head:
    """What the head ``auto`` stands for of rows that stay in their file, by the ends of all training rows."""
    if known.moments is None:
        return likelihood(known.layout, known.laid_out()[0])
    ends = np.stack([known.moments.low, known.moments.high]).astype(np.float32)
    return likelihood(known.layout, known.layout.apply(ends))
