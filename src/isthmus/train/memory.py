"""What a training on rows in a file will take of memory, foretold; and how many rows are held so that it is kept.

How many rows are held follows from sums that are on the safe side, since the order of rows hangs on it and must be the
same every time. What is then foretold is measured where the system tells a peak of memory: a few steps on rows that
were drawn, and the reading of blocks; to which what is known to the byte is added.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from isthmus.data.files import size, told
from isthmus.data.holdout import BESIDE
from isthmus.data.source import Source, release
from isthmus.data.survey import Survey
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.seeds import seed
from isthmus.train.likelihood import of_survey
from isthmus.train.loop import RUN
from isthmus.train.plan import Plan
from isthmus.train.shuffle import Shuffle

MEMORY = "2GiB"
"""What a training on rows in a file may take, where nobody says so."""
BASE = 440 << 20
"""Bytes of a process that has loaded all that trains and saves, and has read the rows once, of which it kept none."""
SHIPS, MEASURES = 40 << 20, 140 << 20
"""Bytes of what is loaded to fit a score, and of measuring the saved model."""
FIRST = 32 << 20
"""Bytes of what the first step of a process loads."""
PLACES = 8
"""Times that places of validation rows are there, when a score is fitted to them."""
SPARE = 0.06
"""Share of the memory that is left free, for what allocators keep."""
MEASURED = 0.05
"""The same, of what was measured."""
LAID = 3
"""Times that what passes through a network is there more of cells than of numbers."""
READERS = 4
"""Readers for which there is room whatever their number, so that no order hangs on it."""
NUMBERS = 32
"""Bytes for each row of the window besides its own: where it stands, and in which order it comes."""
WEIGHTS = 10
"""Times that weights are there: themselves, their gradient, Adam's moments, first, best and kept ones."""


class Peak(NamedTuple):
    """Bytes that a training takes at most, by what takes them."""

    base: int
    """The process itself."""
    draws: int
    """Rows that were drawn."""
    model: int
    reading: int
    held: int
    """Rows that are held."""
    after: int
    """What the score of a saved model takes in the stead of the model, the reading and the rows that are held."""

    spare: float = SPARE

    @property
    def total(self) -> int:
        """All of it, with what is left free."""
        return int((self.base + self.draws + max(self.model + self.reading + self.held, self.after)) / (1 - self.spare))


class Planned(NamedTuple):
    """A training on rows in a file, before it begins."""

    peak: Peak
    shuffle: Shuffle
    readers: int
    """For how many there is room."""


def affordable(found: Source, memory: str | int, readers: int) -> int:
    """How many readers, at most as many as are asked for, may read a source at once.

    Raises
    ------
    BadInput
        If there is no room for the blocks of one.
    """
    most, base = size(memory), BASE + _apart(found)
    room = (most - base) // found.most
    if room < 1:
        raise BadInput(
            f"{found.place}: {told(most)} of memory is too little to read a block of it; at least "
            f"{told(base + found.most)} is needed: give more (--memory), or write the file in smaller blocks (pyarrow: "
            "row_group_size=16384)"
        )
    return min(readers, room)


def planned(
    recipe: Recipe,
    known: Survey,
    plan: Plan,
    memory: str | int,
    readers: int,
    *,
    ships: bool = False,
    tried: Callable[[], object] | None = None,
) -> Planned:
    """What a training takes at most, the order of its rows, of which so many are held that memory suffices, and for how
    many readers there is room.

    With ``ships`` the model is then saved with a score and measured, as on the command line. ``tried`` trains a few
    steps on the rows that were drawn, which are laid out, and what that takes is measured where the system tells it.

    Raises
    ------
    BadInput
        If it cannot be kept to ``memory``.
    """
    most, at_once = size(memory), plan.batch * min(plan.check, RUN)
    draws, model, after = _draws(known), _model(recipe, known, plan), _after(known) if ships else 0
    after = max(after, _apart(known.source))  # before the training, and gone then
    row = 4 * known.width + NUMBERS
    least, wanted = Shuffle.least(known, at_once), known.count + int(known.sizes.max()) + at_once
    free = int(most * (1 - SPARE)) - BASE - draws - model
    # Room for as many readers as the blocks allow: how many there are must not change the window.
    room = max([n for n in range(1, READERS + 1) if free - n * known.source.most >= least * row], default=1)
    fixed, readers = BASE + draws + model + room * known.source.most, min(readers, room)
    window = min((int(most * (1 - SPARE)) - fixed) // row, wanted)
    need = max(fixed + least * row, BASE + draws + after) / (1 - SPARE)
    if need > most:
        raise BadInput(
            f"{known.source.place}: {told(most)} of memory is too little for blocks of {int(known.sizes.max()):,} rows "
            f"x {known.width:,} columns; at least {told(need)} is needed: give more (--memory), or write the file in "
            "smaller blocks (pyarrow: row_group_size=16384)"
        )
    found = _measured(known, tried, readers, draws)
    if found is None:
        base = max(0, resident() - known.x.nbytes) or BASE
        found = Peak(base, draws, model, readers * known.source.most, 0, 0)
    found = found._replace(held=window * row, after=after)
    if found.total > most:
        raise BadInput(
            f"{known.source.place}: {told(found.total)} would be taken, and {told(most)} may be: this process holds "
            f"{told(resident())} already; give more (--memory), or start a new one"
        )
    return Planned(found, Shuffle(known, window, seed(known.seed, "order"), at_once), readers)


def _measured(known: Survey, tried: Callable[[], object] | None, readers: int, draws: int) -> Peak | None:
    """What the parts of a training take, measured; None where nobody tells."""
    if tried is None or _peak(tried) is None:  # what is loaded once is there then
        return None
    release()
    largest = np.argsort(-known.sizes, kind="stable")[:readers].tolist()

    def read() -> None:
        with ThreadPoolExecutor(readers) as threads:
            list(threads.map(lambda block: deque(known.load(block), maxlen=0), largest))

    model, reading = _peak(tried), _peak(read)
    release()
    return Peak(max(0, resident() - draws), draws, model or 0, reading or 0, 0, 0, MEASURED)


def _peak(work: Callable[[], object]) -> int | None:
    """Bytes that some work takes at most, besides what is there before it; None where the system does not tell."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
    except OSError:
        return None
    before = resident()
    work()
    return max(0, resident("VmHWM") - before) if before else None


def _apart(found: Source) -> int:
    """What it takes to tell by groups, times or weights which rows are held out."""
    return BESIDE * int(found.starts[-1]) if found.asked.beside else 0


def _draws(known: Survey) -> int:
    """Rows that were drawn, as they are and laid out; and which rows are trained on."""
    return known.x.nbytes + len(known.x) * 4 * known.width + known.holdout.nbytes


def _after(known: Survey) -> int:
    """What it takes to fit the score of a model to the validation rows: places of theirs, each of two numbers for each
    element, in several copies."""
    return SHIPS + max(MEASURES, PLACES * 2 * 8 * known.width * len(known.drawn.valid))


def _model(recipe: Recipe, known: Survey, plan: Plan) -> int:
    """The weights in all their copies, and what passes through the network at once."""
    model = recipe.build((known.width,), of_survey(known), None, number=0)
    weights = sum(p.numel() for p in model.parameters())
    wide = known.width + sum(p.shape[0] for p in model.parameters() if p.ndim > 1)
    times = 2 + LAID if known.source.fields else 2
    return FIRST + 4 * (WEIGHTS * weights + times * wide * max(len(known.drawn.valid), 3 * plan.batch))


def resident(what: str = "VmRSS") -> int:
    """Bytes of memory that this process holds, or held at most (``VmHWM``); 0 where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"{what}:\s+(\d+) kB", text)
    return int(found[1]) << 10 if found else 0
