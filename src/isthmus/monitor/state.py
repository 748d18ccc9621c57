"""What a watch remembers, as one file: sealed, put in place whole, and refused if it is not what was written.

The file is JSON and ends with the SHA-256 of its own text. It names the model's reference and calibration, the level,
the rate and the block, so that a watch goes on with what it began with; and how many rows of which files were counted,
so that the same file, grown or not, is counted once.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, JsonValue, ValidationError

from isthmus.durable import whole
from isthmus.errors import BadInput
from isthmus.monitor.drift import LONGEST
from isthmus.monitor.martingale import STAKES, Capital, Ranks
from isthmus.monitor.watch import AGAIN, STRANGERS, Alarm, Watch, Watched, Window
from isthmus.ship.manifest import TAIL, WHOLE, Strict, closed, plain_file, refuse, seal, strict

KIND = "isthmus monitor"
FORMAT = 1
MOST = 256 << 20
"""Bytes of a state, at most."""
HEAD = 1 << 16
"""Bytes at the beginning of a file by which it is known again."""
SOURCES = 64
"""Files that are remembered, the latest."""

Share = Annotated[float, Field(ge=0, le=1e300)]


class Source(Strict):
    """A file of which rows were counted."""

    path: str = Field(max_length=10_000)
    head: int = Field(ge=0, le=HEAD)
    """Bytes of its beginning that ``sha256`` is of."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    rows: int = WHOLE
    suspect: int | None = Field(default=None, ge=0, lt=1 << 53)
    """From which of its rows on, counted from 0, the threshold was in question."""


class Held(Strict):
    """A :class:`isthmus.monitor.watch.Window`."""

    counts: list[Annotated[int, WHOLE]]
    sums: list[list[float]]


class Raised(Strict):
    """An :class:`isthmus.monitor.watch.Alarm`."""

    row: int = WHOLE
    group: Literal["column", "code", "score", "threshold"]
    channel: str
    what: str = Field(max_length=20)
    rows: int = WHOLE
    p: float = Field(ge=0, le=1)
    numbers: dict[str, JsonValue]


class State(Strict):
    """The content of the file, without its seal."""

    kind: Literal["isthmus monitor"]
    format: Literal[1]
    about: dict[str, JsonValue]
    """What the watch stands on: digest of the reference and of the calibration, level, rate, block."""
    sources: list[Source] = Field(max_length=SOURCES)
    rows: int = WHOLE
    flagged: int = WHOLE
    answered: int = WHOLE
    waiting: int = WHOLE
    pending: Held | None
    levels: list[Held | None] = Field(max_length=LONGEST)
    looks: list[Annotated[int, WHOLE]] = Field(max_length=LONGEST)
    alarms: list[Raised] = Field(max_length=1 << 20)
    fresh: dict[str, Annotated[int, Field(ge=1, le=AGAIN)]]
    strangers: dict[str, Annotated[list[str], Field(max_length=STRANGERS)]]
    stakes: list[Share] = Field(min_length=STAKES, max_length=STAKES)
    kept: float = Field(ge=0, le=1)
    ranks: list[Share] | None


class Kept(NamedTuple):
    """Where a watch stands in its files."""

    sources: tuple[Source, ...]

    def known(self, path: Path) -> Source | None:
        """A file that was read before: of this name, and with the beginning that it had."""
        where = str(path.absolute())
        for one in self.sources:
            if one.path == where and head(path, one.head) == (one.head, one.sha256):
                return one
        return None

    def at(self, path: Path, rows: int, suspect: int | None = None) -> Kept:
        """The same, with so many rows of a file counted, from one of them on with the threshold in question."""
        size, digest = head(path)
        where = str(path.absolute())
        made = Source(path=where, head=size, sha256=digest, rows=rows, suspect=suspect)
        return Kept((*(one for one in self.sources if one.path != where), made)[-SOURCES:])


def head(path: Path, most: int = HEAD) -> tuple[int, str]:
    """How many bytes the beginning of a file has, at most ``most``, and their SHA-256."""
    with path.open("rb") as file:
        content = file.read(most)
    return len(content), hashlib.sha256(content).hexdigest()


def about(watch: Watch) -> dict[str, Any]:
    """What a watch stands on."""
    own = watch.calibration
    scores = None if own is None else hashlib.sha256(own.scores.tobytes()).hexdigest()
    said = {"reference": watch.reference.digest, "calibration": scores, "level": watch.level, "batch": watch.batch}
    return {**said, "rate": None if own is None else watch.rate, "seed": watch.seed}


def save(path: Path, watch: Watch, kept: Kept) -> None:
    """Put the state in place: all of it, on the disk, or what was there before."""
    whole(path, content(watch, kept))


def content(watch: Watch, kept: Kept) -> bytes:
    """The bytes of a state."""
    now = watch.progress
    state = State(
        kind="isthmus monitor",
        format=1,
        about=about(watch),
        sources=list(kept.sources),
        rows=now.rows,
        flagged=now.flagged,
        answered=now.answered,
        waiting=now.waiting,
        pending=_out(now.pending),
        levels=[_out(one) for one in now.levels],
        looks=now.looks,
        alarms=[Raised(**one.to_json()) for one in now.alarms],
        fresh=now.fresh,
        strangers=now.strangers,
        stakes=now.capital.stakes,
        kept=now.capital.kept,
        ranks=None if now.ranks is None else now.ranks.weights.tolist(),
    )
    return seal(state.model_dump(mode="json"))


def load(path: Path, watch: Watch) -> Kept:
    """Let a new watch go on where the file says that it was.

    Raises
    ------
    BadInput
        If the file is damaged, edited, or of another watch: another model, calibration, level, rate or block.
    """
    text = plain_file(path, most=MOST)
    state = _parsed(path, text)
    for name, own in about(watch).items():
        if state.about.get(name) != own:
            what = {"reference": "model", "calibration": "calibration"}.get(name, name)
            remedy = "begin a new one (--state FILE) or give what it began with"
            had = "" if name in ("reference", "calibration") else f" ({state.about.get(name)!a:.40}, now {own!a})"
            refuse(path, f"the state is of a watch with another {what}{had}: {remedy}")
    size, columns = int(watch.starts[-1]), sum(one.group == "column" for one in watch.reference.channels)
    try:
        watch.progress = Watched(
            rows=state.rows,
            flagged=state.flagged,
            answered=state.answered,
            pending=_in(state.pending, size, columns),
            waiting=state.waiting,
            levels=[_in(one, size, columns) for one in state.levels],
            looks=list(state.looks),
            alarms=[Alarm(**one.model_dump()) for one in state.alarms],
            fresh=dict(state.fresh),
            strangers={name: list(names) for name, names in state.strangers.items()},
            capital=Capital(list(state.stakes), state.kept),
            ranks=_ranks(watch, state.ranks),
        )
        good = len(state.looks) == len(state.levels) and (state.pending is None) == (state.waiting == 0)
        if not good or state.waiting >= watch.batch or state.flagged > state.answered:
            raise ValueError("its numbers do not fit each other")
    except ValueError as error:
        refuse(path, f"not the state of a watch ({error})")
    return Kept(tuple(state.sources))


def _parsed(path: Path, text: bytes) -> State:
    if text != closed(text[:-TAIL]):
        refuse(path, "damaged or edited: it does not match its own seal; restore it, or begin a new one")
    try:
        data = strict(text)
    except (ValueError, RecursionError):
        refuse(path, "not the JSON that we write")
    if not isinstance(data, dict) or data.get("kind") != KIND:
        refuse(path, "not the state of a watch")
    if isinstance(data.get("format"), int) and data["format"] > FORMAT:
        refuse(path, f"format {data['format']} is newer than this version reads ({FORMAT}): upgrade isthmus")
    try:
        return State.model_validate({name: value for name, value in data.items() if name != "seal"})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        refuse(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def _out(window: Window | None) -> Held | None:
    return None if window is None else Held(counts=window.counts.tolist(), sums=window.sums.tolist())


def _in(held: Held | None, size: int, columns: int) -> Window | None:
    if held is None:
        return None
    if len(held.counts) != size or len(held.sums) != columns or any(len(one) != 8 for one in held.sums):
        raise ValueError("a window does not fit the model")
    return Window(np.array(held.counts, np.int64), np.array(held.sums).reshape(columns, 8))


def _ranks(watch: Watch, weights: list[float] | None) -> Ranks | None:
    own = watch.progress.ranks
    if (own is None) != (weights is None):
        raise ValueError("it has ranks, or has none, unlike the model")
    if own is None or weights is None:
        return None
    if len(weights) != len(own.weights) or not math.isfinite(sum(weights)) or np.any(np.array(weights) < own.weights):
        raise ValueError("its ranks do not fit the calibration")
    return Ranks(own.edges, np.array(weights))


def refused(path: Path) -> None:
    """Refuse a place that no state can be put at."""
    if path.is_dir() or not path.parent.is_dir():
        raise BadInput(f"{path}: no place for a state: name a file in a folder that is there (--state)")
