"""``isthmus monitor``: a stream of new rows beside what a saved model knows of normal ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isthmus.cli import ends, show
from isthmus.cli.answers import Against
from isthmus.cli.options import Debug, Lang
from isthmus.cli.stream import Data, Graph, Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from isthmus.data.blocks import Block
    from isthmus.monitor.state import Kept
    from isthmus.monitor.watch import Alarm, Watch
    from isthmus.ship.deployed import Deployed

SUSPECT = {("score", "score"), ("threshold", "threshold")}
"""What calls the threshold into question."""
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
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE", help="Write a page, as .html, that opens offline.")
    ] = None,
    adapt: Annotated[
        Literal["recalibrate"] | None,
        typer.Option(
            "--adapt", help="Calibrate the model anew on rows since the alarm, if they are normal; see --out."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="MODEL", help="Model folder or .isthmus file for --adapt.", show_default="MODEL-new"
        ),
    ] = None,
    features: Graph = None,
    json: Annotated[bool, typer.Option("--json", help="A JSON object a line, on stdout.")] = False,
    lang: Lang = "en",
    debug: Debug = False,
) -> int:
    """Watch new rows: drift of columns, codes and scores, breaks of quality, and whether the threshold still holds.

    An alarm is a line as soon as it is raised, and advice stands at the end; --json gives a JSON object a line. With
    --state the same file, grown or not, goes on where it ended, also after a kill: no row is lost or counted twice.

    [bold]isthmus monitor model new.csv --state watch.json[/bold]

    --adapt recalibrate takes half of the rows that came since the threshold was called into question as calibration
    rows, and writes a new model if its flags are no further from their rate on the other half. It needs normal rows.

    Ends with code 1 if an alarm was raised, now or before.
    """
    from isthmus.errors import BadInput
    from isthmus.monitor import state as states
    from isthmus.monitor.watch import Watch
    from isthmus.ship import artefact, verbs

    if report is not None and report.suffix not in {".html", ".htm"}:
        raise BadInput(f"--report must end in .html; got {report.name}")
    deployed = artefact.load(model)
    reference, calibration = _against(deployed, against, features)
    watch = Watch(deployed, reference, calibration, level=level, rate=rate, batch=batch)
    kept = states.Kept(())
    if state is not None:
        states.refused(state)
        if data.is_dir():
            raise BadInput(f"{data}: a folder has no end to go on from, as a file has; leave --state out")
        if state.exists():
            kept = states.load(state, watch)
    if out is not None and adapt is None:
        raise BadInput("--out is where --adapt writes a model; give --adapt recalibrate too")
    place = out if out is not None else model.absolute().with_name(f"{model.absolute().stem}-new{model.suffix}")
    if adapt is not None:
        artefact.replaceable(place)  # refused before the work, not after it
        watch.deployed.needed()
    if not json:
        for alarm in watch.progress.alarms:
            _tell(alarm, lang, json)
    recent = Recent()
    graph = verbs.drawn(deployed, data, features)
    _watched(watch, data, graph, state, kept, lambda alarm: _tell(alarm, lang, json), recent if adapt else None)
    found = _adapted(watch, recent, place, lang) if adapt else {}
    if report is not None:
        from isthmus.report.monitor import write

        write(watch, data.name, report, lang)
    _end(watch, state, lang, json, found)
    return ends.PARTLY if watch.progress.alarms else ends.DONE


class Recent:
    """The latest rows since the threshold was called into question, as many as are needed."""

    def __init__(self) -> None:
        self.pieces: list[NDArray[Any]] = []

    def put(self, rows: NDArray[Any]) -> None:
        """Take the next rows (n, *D); rows that are no longer needed go."""
        from isthmus.monitor.adapt import RECENT

        self.pieces.append(rows)
        while sum(map(len, self.pieces[1:])) >= RECENT:
            del self.pieces[0]

    def rows(self) -> NDArray[Any]:
        """The latest of them, in their order; none if none came."""
        import numpy as np

        from isthmus.monitor.adapt import RECENT

        return np.concatenate(self.pieces)[-RECENT:] if self.pieces else np.zeros(0)


def _adapted(watch: Watch, recent: Recent, place: Path, lang: str) -> dict[str, Any]:
    """Calibrate anew where that is what should be done."""
    from isthmus.answers.words import Words
    from isthmus.monitor.adapt import recalibrated
    from isthmus.monitor.advice import advice
    from isthmus.ship import artefact

    t, do = Words(lang), {one.do for one in advice(watch.progress.alarms)}
    if not do & {"recalibrate", "retrain"}:
        return {"adapted": False, "text": t("monitor.broken" if "look" in do else "monitor.unneeded")}
    made = recalibrated(watch.deployed, recent.rows(), about=f"rows {watch.progress.rows:,} and before of a stream")
    if made.model is not None:
        artefact.save(made.model, place)
    told = {
        "rows": f"{made.rows:,}",
        **{key: f"{100 * getattr(made, key):.3g} %" for key in ("rate", "before", "after")},
    }
    text = t("monitor.adapted" if made.model is not None else "monitor.kept", **told)
    return {**made.to_json(), "model": str(place) if made.model is not None else None, "text": text}


def _watched(
    watch: Watch, data: Path, graph: Any, state: Path | None, kept: Kept, tell: Any, recent: Recent | None
) -> None:
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
    seen, last, whole = 0, 0.0, True

    def save() -> None:
        if state is not None:
            states.save(state, watch, kept.at(data, seen) if named else kept)

    try:
        for block in blocks(data, wanted, *graph, lenient=True):
            rows, good = verbs.rows_of(deployed, block)
            absent, start = _absent(wanted, block), min(len(rows), skip - seen) if skip > seen else 0
            seen += start
            while start < len(rows):
                stop = min(len(rows), start + watch.room)
                strangers = _strangers(deployed, block, start, stop)
                if recent is not None and watch.open & SUSPECT:
                    recent.put(rows[start:stop][good[start:stop]])
                whole = False
                raised = watch.feed(rows[start:stop], good[start:stop], absent=absent, strangers=strangers)
                seen, start, whole = seen + stop - start, stop, True
                if raised or time.monotonic() - last > PAUSE:
                    save()
                    last = time.monotonic()
                for alarm in raised:
                    tell(alarm)
    except BadInput:
        if seen > skip:
            save()  # what came before the row that could not be read
        raise
    except KeyboardInterrupt as stopped:
        if whole and seen > skip:
            save()
        told = f"the watch of {seen:,} rows is kept " + (f"in {state}" if state else "nowhere (--state FILE)")
        if not whole:  # numbers are half of one state and half of the next
            told = "rows since the last state are not kept"
        stopped.add_note(told + ("" if named else "; what else came through the pipe was not looked at"))
        raise
    if seen < skip:
        raise BadInput(
            f"{place(data)}: {seen:,} rows, but {skip:,} were counted before: the file was cut; give another --state"
        )
    save()


def _absent(wanted: Sequence[Any], block: Block) -> list[str]:
    """Columns that the stream does not have; pictures, beside whose names no column stands, have them all."""
    there = set() if block.table is None else set(block.table.column_names)
    return [one.name for one in wanted if one.name not in there] if there & {one.name for one in wanted} else []


def _strangers(deployed: Deployed, block: Block, start: int, stop: int) -> dict[str, list[str]]:
    """New values of categories in some rows of a block, as they are written there."""
    import numpy as np

    found: dict[str, list[str]] = {}
    if block.table is None:
        return found
    for j, one in enumerate(deployed.fields):
        if one.values and one.name in block.table.column_names:
            at = np.flatnonzero(block.rows[start:stop, j].astype(float) < 0)  # beside text, cells are objects
            texts = block.table.column(one.name).take(at + start).to_pylist() if len(at) else []
            if texts:
                found[one.name] = list(dict.fromkeys(str(text).strip()[:100] for text in texts))
    return found


def _against(deployed: Deployed, path: Path | None, features: Path | None) -> tuple[Any, Any]:
    """Reference and calibration of normal rows in a file; those of the model where there is none."""
    import numpy as np

    from isthmus.data.blocks import blocks
    from isthmus.ship import verbs
    from isthmus.ship.deployed import Calibration
    from isthmus.ship.reference import Reference

    if path is None:
        return None, None
    found: list[NDArray[Any]] = []
    for block in blocks(path, verbs.wanted(deployed), *verbs.drawn(deployed, path, features)):
        rows, good = verbs.rows_of(deployed, block)
        found.append(rows[good])
    rows = np.concatenate(found)
    about = f"rows of {path.name}"
    own = None if deployed.target_layout is not None else Calibration.of(deployed.scores(rows), about)
    return Reference.of(deployed, [rows], rows), own


def _tell(alarm: Alarm, lang: str, json: bool) -> None:
    from isthmus.answers.words import Words
    from isthmus.monitor.advice import sentence

    text = sentence(alarm, lang)
    if json:
        show.machine({"event": "alarm", **alarm.to_json(), "text": text}, line=True)
    else:
        show.line(Words(lang)("monitor.at", row=f"{alarm.row:,}", text=text))


def _end(watch: Watch, state: Path | None, lang: str, json: bool, adapted: dict[str, Any]) -> None:
    """What came, and what to do."""
    from isthmus.answers.words import Words
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
        told |= {"adapt": adapted} if adapted else {}
        show.machine({"event": "end", **told, "state": None if state is None else str(state)}, line=True)
        return
    t = Words(lang)
    counts = {"rows": now.rows, "flagged": now.flagged, "answered": now.answered, "alarms": len(now.alarms)}
    show.line(t("monitor.counts", **{name: f"{count:,}" for name, count in counts.items()}))
    for one in found:
        show.line(f"-> {one.of(lang)}")
    if adapted:
        show.line(f"-> {adapted['text']}" + (f": {adapted['model']}" if adapted.get("model") else ""))
    if state is not None:
        show.line(t("monitor.state", state=state))
