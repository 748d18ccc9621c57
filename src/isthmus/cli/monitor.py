"""``isthmus monitor``: a stream of new rows beside what a saved model knows of normal ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from isthmus.cli import ends, show
from isthmus.cli.answers import Against, Device, loaded
from isthmus.cli.feed import Feed
from isthmus.cli.options import Debug, Lang
from isthmus.cli.stream import Data, Graph, Model
from isthmus.errors import BadInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from isthmus.monitor.adapt import Adapted, Trained
    from isthmus.monitor.gathered import Gathered
    from isthmus.monitor.state import Kept
    from isthmus.monitor.watch import Alarm, Watch
    from isthmus.ship.deployed import Deployed


def monitor(
    model: Model,
    data: Data,
    state: Annotated[
        Path | None,
        typer.Option(
            "--state",
            metavar="FILE",
            help="File that remembers how far the stream was watched: the next call goes on from there.",
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
        Literal["recalibrate", "train"] | None,
        typer.Option(
            "--adapt",
            help="Calibrate the model anew on rows since the alarm, or train it further with them and then calibrate "
            "it, if they are normal; see --out.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="MODEL", help="Model folder or .isthmus file for --adapt.", show_default="MODEL-new"
        ),
    ] = None,
    features: Graph = None,
    device: Device = "cpu",
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

    --adapt train also goes on training, and writes a new model if it is no worse on rows from before, of --against or
    of the stream, and better on new ones; else the old one stays.

    Ends with code 1 if an alarm was raised, now or before.
    """
    from isthmus.monitor.gathered import Gathered
    from isthmus.ship import artefact, verbs

    _possible(report, out, adapt)
    deployed = loaded(model, device)
    normal = None if against is None else _normal(deployed, against, features)
    watch = _watch(deployed, normal, against, level=level, rate=rate, batch=batch)
    kept = _kept(watch, data, state)
    place = out if out is not None else model.absolute().with_name(f"{model.absolute().stem}-new{model.suffix}")
    gathered = None
    if adapt is not None:
        artefact.replaceable(place)  # refused before the work, not after it
        watch.deployed.needed()
        gathered = Gathered()
    if not json:
        for alarm in watch.progress.alarms:
            _tell(alarm, lang, json)
    feed = Feed(watch, data, state, kept, gathered)
    feed.run(verbs.drawn(deployed, data, features), lambda alarm: _tell(alarm, lang, json))
    found = {} if adapt is None or gathered is None else _adapted(watch, adapt, gathered, normal, place, lang, device)
    if report is not None:
        from isthmus.report.monitor import write

        write(watch, data.name, report, lang)
    _end(watch, state, lang, json, found)
    return ends.PARTLY if watch.progress.alarms else ends.DONE


def _possible(report: Path | None, out: Path | None, adapt: str | None) -> None:
    """Refuse options that do not go together."""
    if report is not None and report.suffix not in {".html", ".htm"}:
        raise BadInput(f"--report must end in .html; got {report.name}")
    if out is not None and adapt is None:
        raise BadInput("--out is where --adapt writes a model; give --adapt recalibrate or --adapt train too")


def _normal(deployed: Deployed, path: Path, features: Path | None) -> NDArray[Any]:
    """Normal rows of a file that the model can answer."""
    import numpy as np

    from isthmus.data.blocks import blocks
    from isthmus.ship import verbs

    found: list[NDArray[Any]] = []
    for block in blocks(path, verbs.wanted(deployed), *verbs.drawn(deployed, path, features)):
        rows, good = verbs.rows_of(deployed, block)
        found.append(rows[good])
    return np.concatenate(found)


def _watch(deployed: Deployed, normal: NDArray[Any] | None, against: Path | None, **options: Any) -> Watch:
    """A watch against what the model knows, or against normal rows that are given."""
    from isthmus.monitor.watch import Watch
    from isthmus.ship.deployed import Calibration
    from isthmus.ship.reference import Reference

    if normal is None or against is None:
        return Watch(deployed, **options)
    scored = deployed.target_layout is None
    own = Calibration.of(deployed.scores(normal), f"rows of {against.name}") if scored else None
    return Watch(deployed, Reference.of(deployed, [normal], normal), own, **options)


def _kept(watch: Watch, data: Path, state: Path | None) -> Kept:
    """Where the watch stands in its files; it goes on from there."""
    from isthmus.monitor import state as states

    if state is None:
        return states.Kept(())
    states.refused(state)
    if data.is_dir():
        raise BadInput(f"{data}: a folder has no end to go on from, as a file has; leave --state out")
    return states.load(state, watch) if state.exists() else states.Kept(())


def _adapted(
    watch: Watch,
    adapt: str,
    gathered: Gathered,
    normal: NDArray[Any] | None,
    place: Path,
    lang: str,
    device: str,
) -> dict[str, Any]:
    """Calibrate anew, or train further, where that is what should be done; what came of it, with a sentence."""
    from isthmus.answers.words import Words
    from isthmus.monitor.adapt import recalibrated, retrained
    from isthmus.monitor.advice import advice
    from isthmus.ship import artefact

    t, do = Words(lang), {one.do for one in advice(watch.progress.alarms)}
    if not do & {"recalibrate", "retrain"}:
        return {"adapted": False, "text": t("monitor.broken" if "look" in do else "monitor.unneeded")}
    about, since = f"rows {watch.progress.rows:,} and before of a stream", gathered.since()
    made: Adapted | Trained
    if adapt == "train":
        before = gathered.before() if normal is None else normal
        made = retrained(watch.deployed, since, before, about=about, device=device)
    else:
        made = recalibrated(watch.deployed, since, about=about)
    if made.model is not None:
        artefact.save(made.model, place)
    return {**made.to_json(), "model": str(place) if made.model is not None else None, "text": _outcome(made, t)}


def _outcome(made: Adapted | Trained, t: Any) -> str:
    """What an adaptation came to, as a sentence without its full stop."""
    numbers: dict[str, Any] = made._asdict()
    told: dict[str, str] = {name: f"{numbers[name]:,}" for name in ("rows", "held") if name in numbers}
    told |= {name: f"{value:.3g}" for name, value in numbers.items() if "error" in name}
    shares = {
        name: numbers[name] for name in ("rate", "before", "after", "held_before", "held_after") if name in numbers
    }
    told |= {name: f"{100 * share:.3g} %" for name, share in shares.items()}
    why = numbers.get("why")
    if why is None:
        return str(t("monitor.adapted" if made.model is not None else "monitor.kept", **told))
    return str(t(f"monitor.refused_{why}" if why else "monitor.trained", **told))


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
