"""``isthmus doctor``: what went wrong, by name, with the numbers that show it and what to change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Json, Lang

if TYPE_CHECKING:
    from isthmus.doctor.finding import Finding
    from isthmus.study.examine import Complaint


def doctor(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="The folder of a study, of a run in it, or of a model.", show_default=False),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="FILE", help="The data: needed for a saved model, or if the data of the study were moved."
        ),
    ] = None,
    label: Annotated[
        str | None, typer.Option("--label", metavar="COLUMN", help="Column of the labels in FILE.")
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            "--features",
            metavar="PATH",
            help="The ONNX graph whose features of pictures the model was trained on.",
        ),
    ] = None,
    json: Json = False,
    lang: Lang = "en",
    debug: Debug = False,
) -> int:
    """Examine finished runs, or a saved model: what is wrong, what shows it, and what to change.

    [bold]isthmus doctor isthmus-digits[/bold]

    [bold]isthmus doctor model --data rows.csv --label kind[/bold]
    """
    from isthmus.answers.words import Words
    from isthmus.errors import BadInput
    from isthmus.study.several import LIST

    t, place = Words(lang), run.absolute()
    if features is not None and not (place / "model.json").exists():
        raise BadInput("--features is for a saved model; a study remembers its own graph: leave it out")
    if (place / "study.json").exists():
        return _study(place, None, data, label, t, json)
    if (place / "record.json").exists():
        return _study(place.parent.parent, place.name, data, label, t, json)
    if (place / LIST).exists():
        raise BadInput(f"{run} holds several studies; give the folder of one of them, below {run / 'sets'}")
    if not (place / "model.json").exists():
        raise BadInput(f"{run} holds no study, no run of one and no saved model; give the folder of one")
    if data is None:
        raise BadInput(f"{run} is a saved model, which holds no data; give --data FILE of rows to examine it on")
    from isthmus.study.examine import examine_model

    findings = examine_model(place, data, label, features)
    if json:
        show.machine({"folder": str(place), "data": data, "findings": [_plain(one, lang) for one in findings]})
    else:
        show.line(f"{t('doctor.model', rows=data)}{_ending(findings, t)}")
        for one in findings:
            _say(one, "", t)
    return ends.PARTLY if findings else ends.DONE


def _study(folder: Path, run: str | None, source: str | None, label: str | None, t: Any, as_json: bool) -> int:
    """A whole study, or one of its runs."""
    from isthmus.api.study import Study
    from isthmus.errors import BadInput
    from isthmus.study.examine import data_of, examine

    study = Study(folder)
    rows, reason = data_of(study, source, label)
    damaged = {name: why for name, why in study.damaged.items() if run in (None, name)}
    for name, why in damaged.items():
        show.warn(f"run {name[:8]} cannot be examined: {why}")
    seen = [record for record in study.records if run in (None, record.id)]
    failed = [record for record in seen if record.status == "failed"]
    for record in failed:
        show.warn(f"{record.job.name} failed in replicate {record.job.replicate + 1}: {record.message}")
    if not seen and not damaged:
        raise BadInput(f"{folder} holds no finished run that this version knows; run isthmus compare again")
    if run is None and len(seen) < study.total:
        show.warn(f"only {len(seen)} of {study.total} runs are done; these are examined")
    found = list(examine(study, rows, run))
    if as_json:
        facts = {"folder": str(folder), "runs": len(seen), "damaged": damaged, "rows": rows is not None}
        show.machine({**facts, "without_rows": reason, "findings": [_entry(one, t.lang) for one in found]})
    else:
        if rows is None:
            show.line(t("doctor.no_rows", reason=reason))
        show.line(f"{t('doctor.examined', n=len(seen))}{_ending(found, t)}")
        _groups(found, t)
    return ends.PARTLY if found or damaged or failed else ends.DONE


def _groups(found: list[Complaint], t: Any) -> None:
    """One paragraph for each contender and defect, with the replicates that have it; one for what the data share."""
    from isthmus.doctor.words import OF_DATA

    groups: dict[tuple[str | None, str], list[Complaint]] = {}
    for one in found:
        who = None if one.finding.name in OF_DATA else one.job.name
        groups.setdefault((who, one.finding.name), []).append(one)
    for (who, _), group in groups.items():
        replicates = t("page.comma").join(str(n + 1) for n in sorted({one.job.replicate for one in group}))
        key = "doctor.splits" if who is None else "doctor.runs"
        places = {"replicates": replicates} | ({} if who is None else {"who": t.title(who)})
        _say(group[0].finding, t(key, **places), t)


def _say(finding: Finding, where: str, t: Any) -> None:
    from isthmus.doctor.words import numbers, text

    told, colon = text(finding.name, t.lang), "：" if t.lang == "zh" else ": "
    show.say(f"{where}{colon}{told.title}" if where else told.title, strong=True, apart=True)
    show.say(f"  {t('doctor.means', text=told.what)}", indent=4)
    if finding.evidence:
        show.say(f"  {t('doctor.shows', text=numbers(finding.evidence, t.lang))}", indent=4)
    show.say(f"  {t('doctor.change', text=told.remedy)}", indent=4)


def _ending(found: list[Any], t: Any) -> str:
    return "" if found else t("page.stop") + t("doctor.healthy")


def _entry(one: Complaint, lang: str) -> dict[str, Any]:
    return {"run": one.run, **one.job.model_dump(), "config": one.config, **_plain(one.finding, lang)}


def _plain(finding: Finding, lang: str) -> dict[str, Any]:
    """A finding as plain data; its ``defect`` is the same name in every language."""
    from isthmus.doctor.words import text

    told = text(finding.name, lang)
    return {
        "defect": finding.name,
        "what": told.what,
        "evidence": dict(finding.evidence),
        "remedy": told.remedy,
    }
