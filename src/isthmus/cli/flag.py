"""``isthmus flag``: which rows are anomalies, at a rate of false alarms or with a share of false flags."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import show, stream
from isthmus.cli.answers import Against, Device, Shifted, Weighted, done, known_of, loaded
from isthmus.cli.options import Debug, Quiet
from isthmus.cli.stream import Data, Graph, Model, Out

if TYPE_CHECKING:
    from isthmus.data.blocks import Block
    from isthmus.ship.deployed import Calibration, Deployed
    from isthmus.ship.shift import Shift
    from isthmus.ship.verbs import Answer


def flag(
    model: Model,
    data: Data,
    out: Out = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="RATE", help="False alarms per normal row.", show_default="the model's own"),
    ] = None,
    per_day: Annotated[
        float | None, typer.Option("--per-day", metavar="N", help="False alarms a day, with --rows-per-day.")
    ] = None,
    rows_per_day: Annotated[
        float | None, typer.Option("--rows-per-day", metavar="N", help="Rows that come in a day.")
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            "--fdr",
            metavar="SHARE",
            help="Instead of a rate: at most such a share of the flags in this file is false, on average "
            "(Benjamini-Hochberg). The file is read twice.",
        ),
    ] = None,
    bound: Annotated[
        float | None,
        typer.Option(
            "--bound",
            metavar="CONFIDENCE",
            help="Say how many flags are false at most, and how many rows are anomalous, at this confidence: it holds "
            "for whatever rate was picked after looking.",
        ),
    ] = None,
    adapt: Annotated[
        bool,
        typer.Option(
            "--adapt",
            help="Rows depend on those before them, as in a series: the level follows what was flagged, so that in the "
            "long run the rate is the share of alarms.",
        ),
    ] = False,
    blocks: Annotated[
        int | None,
        typer.Option(
            "--blocks",
            metavar="N",
            min=2,
            help="Rows depend on those before them, and alarms come together: the rate is that of blocks of N rows "
            "with any flag. The rows of --against stand in their order.",
            show_default=False,
        ),
    ] = None,
    against: Against = None,
    shift: Shifted = None,
    weights: Weighted = None,
    contamination: Annotated[
        str | None,
        typer.Option(
            "--contamination",
            metavar="SHARE",
            help="The share of anomalies among the rows of --against, whose highest scores are left out; auto: as the "
            "model's own calibration rows tell.",
            show_default="all are normal",
        ),
    ] = None,
    features: Graph = None,
    device: Device = "cpu",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Write which rows are odd, so that a stated share of normal rows is flagged, and no more.

    A rate that so few calibration rows can say nothing of is refused: give more normal rows with --against.

    [bold]isthmus flag model new.csv --rate 0.01 -o flagged.csv[/bold]

    [bold]isthmus flag model new.csv --fdr 0.1 --bound 0.95 -o flagged.csv[/bold]
    """
    from isthmus.errors import BadInput
    from isthmus.ship import calibrate, verbs
    from isthmus.ship.adaptive import Follower

    if (per_day is None) != (rows_per_day is None) or (rate is not None and per_day is not None):
        raise BadInput("give --rate, or --per-day together with --rows-per-day")
    if fdr is not None and (rate is not None or per_day is not None or adapt):
        raise BadInput("--fdr takes the place of a rate, for rows that do not depend on each other: leave --rate out")
    if adapt and bound is not None:
        raise BadInput("--bound is for rows that do not depend on each other; leave --adapt or --bound out")
    _apart(shift, weights, blocks, adapt=adapt, bound=bound, contamination=contamination)
    deployed = loaded(model, device)
    own, weighted = known_of(deployed, against, shift, weights, features, quiet, contamination, blocks)
    if per_day is not None and rows_per_day is not None:
        rate = calibrate.per_day(per_day, rows_per_day / (blocks or 1))
    level = own.rate if rate is None else rate
    known = len(own.scores) if weighted is None else weighted.rows
    calibrate.enough(known, level)
    batch, flagged = _Batch(len(own.scores), blocks or 1), _Flagged(blocks or 1)
    if adapt:
        answer: Callable[[Block], Answer] = partial(verbs.follow, deployed, follower=Follower(own, level))
    elif fdr is not None and weighted is not None:
        answer = _chosen(deployed, data, features, weights, own, weighted, fdr)
    else:
        level = level if fdr is None else _discovered(deployed, data, features, own, fdr, blocks or 1)
        answer = partial(verbs.flag, deployed, own=own, rate=level, shift=weighted)

    def counted(block: Block) -> Answer:
        found = answer(block)
        flagged.add(found.columns["flag"])
        if weighted is None and not adapt:
            batch.add(found.columns["p_value"])
        return found

    stream.run(data, out, verbs.blocks_of(deployed, data, features, weights), verbs.wanted(deployed), counted)
    tally = batch.whole()
    if fdr is not None and not flagged.flags:
        needed = tally.fewest(fdr) if weighted is None else math.ceil(flagged.rows / (known * fdr))
        _none_flagged(fdr, known, needed, "rows" if blocks is None else "blocks", weighed=weighted is not None)
    show.note(_said(flagged, own, level, fdr, adapt=adapt), quiet=quiet)
    if bound is not None and tally.rows:
        most, odd = tally.false_share(level, bound), tally.anomalous(bound)
        flags, every = ("flags", "rows") if blocks is None else ("blocks with a flag", "blocks")
        show.warn(
            f"with confidence {bound:g} at most {most.false:,} of the {most.flagged:,} {flags} are false; "
            f"{odd.low:.3g} to {odd.high:.3g} of all {every} are anomalous"
        )
    return done(out, quiet)


def _none_flagged(fdr: float, known: float, needed: int, what: str, *, weighed: bool) -> None:
    """Say why no row is flagged, if so few calibration rows, or blocks, are the reason."""
    if needed > 1:
        show.warn(
            f"no row is flagged: {'worth' if weighed else 'with'} {known:,} calibration {what} "
            f"--fdr {fdr:g} needs {needed:,} {what} odder than all of them; give more normal rows (--against)"
        )


def _apart(
    shift: Path | None,
    weights: str | None,
    blocks: int | None,
    *,
    adapt: bool,
    bound: float | None,
    contamination: str | None,
) -> None:
    """Refuse what does not go together, with the reason."""
    from isthmus.errors import BadInput

    weighing = {
        "--blocks": "a weight is a ratio of the laws of one row, and a block needs that of all its rows at once",
        "--adapt": "one weighs calibration rows, and the other compares with the latest rows alone",
        "--bound": "its law is that of ranks among rows that are drawn alike, and another one for all other weights",
        "--contamination": "a small share of the rows may hold most of the weight",
    }
    reasons = {(one, other): why for one in ("--shift", "--weights") for other, why in weighing.items()} | {
        ("--blocks", "--adapt"): "one is for a series that stands still, the other for one that drifts",
        ("--blocks", "--contamination"): "a share of rows says nothing of how many blocks hold one",
    }
    given: dict[str, object] = {
        "--shift": shift,
        "--weights": weights,
        "--blocks": blocks,
        "--adapt": adapt or None,
        "--bound": bound,
        "--contamination": contamination,
    }
    for (one, other), why in reasons.items():
        if given[one] is not None and given[other] is not None:
            raise BadInput(f"{one} and {other} do not go together: {why}; leave one out")


class _Batch:
    """How many rows, or blocks of so many rows, of a batch have each p-value: of a block, that of its oddest row."""

    def __init__(self, calibration: int, length: int) -> None:
        from isthmus.ship.calibrate import Tally

        self.tally, self.length = Tally.of(calibration), length
        self._held: list[float] = []

    def add(self, p: Any) -> None:
        """P-values of more rows."""
        if self.length == 1:
            self.tally.add(p)
            return
        self._held += p.tolist()
        ends = range(self.length, len(self._held) + 1, self.length)
        self._put([self._held[end - self.length : end] for end in ends])
        del self._held[: len(ends) * self.length]

    def whole(self) -> Any:
        """The counts, when all rows have passed; the last rows are a block, however few."""
        self._put([self._held] if self._held else [])
        self._held = []
        return self.tally

    def _put(self, blocks: list[list[float]]) -> None:
        lowest = (min((p for p in block if not math.isnan(p)), default=math.nan) for block in blocks)
        self.tally.add([*lowest])


class _Flagged:
    """Rows, flags, and blocks of so many rows with a flag, counted while they pass."""

    def __init__(self, length: int) -> None:
        self.length, self.rows, self.flags, self.blocks, self._last = length, 0, 0, 0, -1

    def add(self, flags: Any) -> None:
        """Rows behind those before."""
        there = [int(at) for at in flags.nonzero()[0]]
        for at in there:
            block = (self.rows + at) // self.length
            self.blocks += block != self._last
            self._last = block
        self.rows, self.flags = self.rows + len(flags), self.flags + len(there)


def _said(flagged: _Flagged, own: Calibration, level: float, fdr: float | None, *, adapt: bool) -> str:
    """What was flagged, and at which rate."""
    told, known = f"{flagged.flags:,} of {flagged.rows:,} rows flagged", f"{len(own.scores):,} calibration rows"
    known += f" ({own.about})"
    if fdr is not None and flagged.length > 1:
        return (
            f"{told}, in {flagged.blocks:,} blocks of {flagged.length:,} rows, of which a share of {fdr:g} is false on "
            f"average, at most, from {len(own.scores):,} {own.about}"
        )
    if fdr is not None:
        return f"{told}, of which a share of {fdr:g} is false on average, at most, from {known}"
    if adapt:
        return f"{told} at a rate of alarms of {level:g} in the long run, from {known}"
    if flagged.length > 1:
        blocks = -(-flagged.rows // flagged.length)
        return (
            f"{told}, in {flagged.blocks:,} of {blocks:,} blocks of {flagged.length:,} rows, at a rate of false alarms "
            f"of {level:g} a block, from {len(own.scores):,} {own.about}; of normal blocks alone {level * blocks:.3g} "
            "would be"
        )
    return (
        f"{told} at a false-alarm rate of {level:g}, from {known}; of normal rows alone {level * flagged.rows:.3g} "
        "would be"
    )


def _discovered(
    deployed: Deployed, data: Path, features: Path | None, own: Calibration, fdr: float, length: int
) -> float:
    """The p-value up to which rows of a file are flagged, so that a share ``fdr`` of the flags is false on average.

    With blocks of a ``length`` above 1, a share of the blocks that have any.
    """
    from isthmus.ship import verbs

    batch = _Batch(len(own.scores), length)
    _before(deployed, data, features, lambda block: batch.add(own.p_values(verbs.scored(deployed, block))))
    found: float = batch.whole().discovered(fdr)
    return found


def _chosen(
    deployed: Deployed,
    data: Path,
    features: Path | None,
    column: str | None,
    known: Calibration,
    shift: Shift,
    fdr: float,
) -> Callable[[Block], Answer]:
    """Answers with those rows of a file flagged of which a share ``fdr`` is false on average in its population."""
    import numpy as np

    from isthmus.ship import verbs

    found = _before(deployed, data, features, lambda block: verbs.weighed(deployed, block, shift), column)
    scores, own = (np.concatenate([np.zeros(0), *(one[k] for one in found)]) for k in (0, 1))
    chosen, passed = shift.discoveries(scores, own, fdr), 0

    def answer(block: Block) -> Answer:
        nonlocal passed
        passed += len(block.rows)
        return verbs.marked(verbs.score(deployed, block, known, shift), chosen[passed - len(block.rows) : passed])

    return answer


def _before(
    deployed: Deployed, data: Path, features: Path | None, take: Callable[[Block], Any], column: str | None = None
) -> list[Any]:
    """What is taken of each block of a file that is read again later, which says then what there is to say."""
    from isthmus.data.blocks import STDIN
    from isthmus.errors import BadInput
    from isthmus.ship import verbs

    if data == Path(STDIN):
        raise BadInput("--fdr decides when all rows are known, and reads them twice: give a file instead of -")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [take(block) for block in verbs.blocks_of(deployed, data, features, column)]
