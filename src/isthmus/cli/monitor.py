"""``isthmus monitor``: a stream of new rows beside what a saved model knows of normal ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show
from isthmus.cli.answers import Against
from isthmus.cli.options import Debug, Json, Lang, Quiet
from isthmus.cli.stream import Data, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isthmus.data.blocks import Block
    from isthmus.monitor.state import Kept
    from isthmus.monitor.watch import Alarm, Watch
    from isthmus.ship.deployed import Deployed

PAUSE = 1.0
"""Seconds between two states on the disk, at least, where nothing is to be told."""


def monitor(
    model: Model,
    data: Data,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="Where it is kept how far the stream was watched, to go on from there.",
            show_default="nothing is kept",
        ),
    ] = None,
    batch: Annotated[int, typer.Option("--batch", metavar="N", help="Rows of a block.")] = 64,
    against: Against = None,
    level: Annotated[
        float,
        typer.Option("--level", metavar="P", help="Chance that normal rows ever raise an alarm, however many come."),
    ] = 0.01,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", metavar="RATE", help="False alarms per normal row, of flags.", show_default="the model's own"
        ),
    ] = None,
    json: Json = False,
    lang: Lang = "en",
    quiet: Quiet = False,
    debug: Debug = False,
) -> int:
    """Watch new rows: drift of columns, codes and scores, breaks of quality, and whether the threshold still holds.

    An alarm is a line as soon as it is raised, and advice stands at the end; --json gives a JSON object a line. With
    --state the same file, grown or not, goes on where it ended, also after a kill: no row is lost or counted twice.

    [bold]isthmus monitor model new.csv --state watch.json[/bold]

    Ends with code 1 if an alarm was raised, now or before.
    """
    from isthmus.monitor import state as states
    from isthmus.monitor.watch import Watch
    from isthmus.ship import artefact

    deployed = artefact.load(model)
    reference, calibration = _against(deployed, against)
    watch = Watch(deployed, reference, calibration, level=level, rate=rate, batch=batch)
    kept = states.Kept(())
    if state is not None:
        states.refused(state)
        if state.exists():
            kept = states.load(state, watch)
    if not json:
        for alarm in watch.progress.alarms:
            show.line(_told(alarm, lang))
    _watched(watch, data, state, kept, lambda alarm: _tell(alarm, lang, json))
    _end(watch, state, lang, json)
    return ends.PARTLY if watch.progress.alarms else ends.DONE


def _watched(watch: Watch, data: Path, state: Path | None, kept: Kept, tell: Any) -> None:
    """Feed the stream, and keep the state: before an alarm is told, once in a while, and at the end."""
    from isthmus.data.blocks import STDIN, blocks
    from isthmus.data.wording import place
    from isthmus.errors import BadInput
    from isthmus.monitor import state as states
    from isthmus.ship import verbs

    deployed, named = watch.deployed, data != Path(STDIN)
    wanted = verbs.wanted(deployed)
    before = kept.known(data) if named and data.is_file() else None
    skip = 0 if before is None else before.rows
    seen, last = 0, 0.0

    def save() -> None:
        if state is not None:
            states.save(state, watch, kept.at(data, seen) if named else kept)

    try:
        for block in blocks(data, wanted, lenient=True):
            rows, good = verbs.rows_of(deployed, block)
            absent, start = _absent(wanted, block), min(len(rows), skip - seen) if skip > seen else 0
            seen += start
            while start < len(rows):
                stop = min(len(rows), start + watch.room)
                strangers = _strangers(deployed, block, start, stop)
                raised = watch.feed(rows[start:stop], good[start:stop], absent=absent, strangers=strangers)
                seen, start = seen + stop - start, stop
                if raised or time.monotonic() - last > PAUSE:
                    save()
                    last = time.monotonic()
                for alarm in raised:
                    tell(alarm)
    except BadInput:
        if seen > skip:
            save()  # what came before the row that could not be read
        raise
    if seen < skip:
        raise BadInput(
            f"{place(data)}: {seen:,} rows, but {skip:,} were counted before: the file was cut; give another --state"
        )
    save()


def _absent(wanted: Sequence[Any], block: Block) -> list[str]:
    """Columns that the stream does not have."""
    return [] if block.table is None else [one.name for one in wanted if one.name not in block.table.column_names]


def _strangers(deployed: Deployed, block: Block, start: int, stop: int) -> dict[str, list[str]]:
    """New values of categories in some rows of a block, as they are written there."""
    import numpy as np

    found: dict[str, list[str]] = {}
    if block.table is None:
        return found
    for j, one in enumerate(deployed.fields):
        if one.values and one.name in block.table.column_names:
            at = np.flatnonzero(block.rows[start:stop, j] < 0)
            texts = block.table.column(one.name).take(at + start).to_pylist() if len(at) else []
            if texts:
                found[one.name] = list(dict.fromkeys(str(text).strip()[:100] for text in texts))
    return found


def _against(deployed: Deployed, path: Path | None) -> tuple[Any, Any]:
    """Reference and calibration of normal rows in a file; those of the model where there is none."""
    import numpy as np

    from isthmus.data.blocks import blocks
    from isthmus.ship import verbs
    from isthmus.ship.deployed import Calibration
    from isthmus.ship.reference import Reference

    if path is None:
        return None, None
    found: list[NDArray[Any]] = []
    for block in blocks(path, verbs.wanted(deployed)):
        rows, good = verbs.rows_of(deployed, block)
        found.append(rows[good])
    rows = np.concatenate(found)
    about = f"rows of {path.name}"
    own = None if deployed.target_layout is not None else Calibration.of(deployed.scores(rows), about)
    return Reference.of(deployed, rows), own


def _told(alarm: Alarm, lang: str) -> str:
    from isthmus.monitor.advice import sentence

    return (
        f"row {alarm.row:,}: {sentence(alarm, lang)}"
        if lang == "en"
        else f"第 {alarm.row:,} 行：{sentence(alarm, lang)}"
    )


def _tell(alarm: Alarm, lang: str, json: bool) -> None:
    from isthmus.monitor.advice import sentence

    if json:
        show.machine({"event": "alarm", **alarm.to_json(), "text": sentence(alarm, lang)}, line=True)
    else:
        show.line(_told(alarm, lang))


def _end(watch: Watch, state: Path | None, lang: str, json: bool) -> None:
    """What came, and what to do."""
    from isthmus.monitor.advice import advice

    now = watch.progress
    found = advice(now.alarms)
    if json:
        told: dict[str, Any] = {
            "rows": now.rows,
            "waiting": now.waiting,
            "flagged": now.flagged,
            "answered": now.answered,
        }
        told |= {"level": watch.level, "capital": now.capital.total, "alarms": [one.to_json() for one in now.alarms]}
        told |= {"advice": [{"do": one.do, "columns": one.columns, "text": one.of(lang)} for one in found]}
        show.machine({"event": "end", **told, "state": None if state is None else str(state)}, line=True)
        return
    words = (
        ("{rows} rows watched, {alarms} alarms; {flagged} of {answered} flagged", "State: {state}")
        if lang == "en"
        else ("已观察 {rows} 行，{alarms} 个警报；{answered} 行中标记了 {flagged} 行", "状态：{state}")
    )
    counts = {"rows": now.rows, "flagged": now.flagged, "answered": now.answered, "alarms": len(now.alarms)}
    show.line(words[0].format(**{name: f"{count:,}" for name, count in counts.items()}))
    for one in found:
        show.line(f"-> {one.of(lang)}")
    if state is not None:
        show.line(words[1].format(state=state))
