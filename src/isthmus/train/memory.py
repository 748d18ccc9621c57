"""What a training on rows in a file will take of memory, foretold; and how many rows are held so that it is kept."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from isthmus.data.files import size, told
from isthmus.data.source import Source
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
SHIPS, MEASURES = 80 << 20, 140 << 20
"""Bytes of what is loaded to fit a score, and of measuring the saved model."""
FIRST = 32 << 20
"""Bytes of what the first step of a process loads."""
PLACES = 8
"""Times that places of validation rows are there, when a score is fitted to them."""
SPARE = 0.06
"""Share of the memory that is left free, for what allocators keep."""
READERS = 4
"""Readers for which there is room whatever their number, so that no order hangs on it."""
NUMBERS = 36
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

    @property
    def total(self) -> int:
        """All of it, with what is left free."""
        return int((self.base + self.draws + max(self.model + self.reading + self.held, self.after)) / (1 - SPARE))


def affordable(found: Source, memory: str | int, readers: int) -> int:
    """How many readers, at most as many as are asked for, may read a source at once.

    Raises
    ------
    BadInput
        If there is no room for the blocks of one.
    """
    most = size(memory)
    room = (most - BASE) // found.most
    if room < 1:
        raise BadInput(
            f"{found.place}: {told(most)} of memory is too little to read a block of it; at least "
            f"{told(BASE + found.most)} is needed: give more (--memory), or write the file in smaller blocks (pyarrow: "
            "row_group_size=16384)"
        )
    return min(readers, room)


def planned(
    recipe: Recipe, known: Survey, plan: Plan, memory: str | int, readers: int, *, ships: bool = False
) -> tuple[Peak, Shuffle, int]:
    """What a training takes at most, the order of its rows, of which so many are held that memory suffices, and for how
    many readers there is room.

    With ``ships`` the model is then saved with a score and measured, as on the command line.

    Raises
    ------
    BadInput
        If it cannot be kept to ``memory``.
    """
    most, at_once = size(memory), plan.batch * min(plan.check, RUN)
    draws, model, after = _draws(known), _model(recipe, known, plan), _after(known) if ships else 0
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
    base = max(0, resident() - known.x.nbytes) or BASE
    found = Peak(base, draws, model, readers * known.source.most, window * row, after)
    if found.total > most:
        raise BadInput(
            f"{known.source.place}: {told(found.total)} would be taken, and {told(most)} may be: this process holds "
            f"{told(resident())} already; give more (--memory), or start a new one"
        )
    return found, Shuffle(known, window, seed(known.seed, "order"), at_once), readers


def _draws(known: Survey) -> int:
    """Rows that were drawn, as they are and laid out."""
    return len(known.x) * 4 * (known.x.shape[1] + known.width)


def _after(known: Survey) -> int:
    """What it takes to fit the score of a model to the validation rows: places of theirs, each of two numbers for each
    element, in several copies."""
    return SHIPS + max(MEASURES, PLACES * 2 * 8 * known.width * len(known.drawn.valid))


def _model(recipe: Recipe, known: Survey, plan: Plan) -> int:
    """The weights in all their copies, and what passes through the network at once."""
    model = recipe.build((known.width,), of_survey(known), None, number=0)
    weights = sum(p.numel() for p in model.parameters())
    wide = known.width + sum(p.shape[0] for p in model.parameters() if p.ndim > 1)
    return FIRST + 4 * (WEIGHTS * weights + 2 * wide * max(len(known.drawn.valid), 3 * plan.batch))


def resident() -> int:
    """Bytes of memory that this process holds; 0 where the system does not tell."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    return int(found[1]) << 10 if found else 0
