"""The page of an ablation: one sentence for each facet, the table of parts, and the evidence behind it."""

import os
from pathlib import Path
from typing import Any

from isthmus.answers.ablation import change, lines, spelled
from isthmus.answers.words import Words
from isthmus.report.figures import plain
from isthmus.report.html import filled, put_page
from isthmus.report.tables import BLANK, SIGNS, Cell, Grid, Row, chance, direction, number

RELATIONS = {"better": "leader", "equal": "equal", "worse": "worse", "undecided": "undecided"}
"""The colours and signs of the other tables."""


def write(ablation: Any, path: str | os.PathLike[str], lang: str = "en") -> Path:
    """Write the page of an :class:`isthmus.study.ablation.Ablation`: one HTML file that opens offline.

    Parameters
    ----------
    ablation : Ablation
    path : path
        The HTML file to write. It is there whole or not at all.
    lang : {"en", "zh"}

    Returns
    -------
    Path
        The file.
    """
    return put_page(render(ablation, lang), path)


def render(ablation: Any, lang: str = "en") -> str:
    """The page as text."""
    t = Words(lang)
    return filled("ablation.html", t, page(ablation, t))


def page(ablation: Any, t: Words) -> dict[str, Any]:
    """Everything that the template wants, by name."""
    study, design = ablation.study, ablation.study.note
    done, total, copies = len(study.records), study.total, study.copies()
    notices = []
    if done < total:
        notices.append((t("page.half_title"), t("page.half_text", done=done, total=total, missing=total - done)))
    if copies is not None:
        notices.append((t("page.copies_title"), t("page.copies_text", n=f"{copies[0]:,}", total=f"{copies[1]:,}")))
    counted = {"replicates": design["replicates"], "configs": design["configs"], "done": done, "total": total}
    effects = ablation.effects()
    return {
        "title": t("ablation.title", family=t.title(ablation.family), data=plain(design["data"]["name"], 60)),
        "facts": t("ablation.facts", parts=len(ablation.parts), **counted),
        "notices": notices,
        "lines": lines(ablation, t.lang),
        "signs": [(name, relation, SIGNS[relation]) for name, relation in RELATIONS.items()],
        "table": table(ablation, t),
        "evidence": [_evidence(facet, found, t) for facet, found in effects.items()],
        "command": plain(design.get("command") or "", 4000),
    }


def table(ablation: Any, t: Words) -> Grid:
    """Parts down, facets across: the difference, its interval, and what it says."""
    effects = ablation.effects()
    heads: list[tuple[str, list[str]]] = [(t("ablation.part"), [])]
    for facet, found in effects.items():
        better = direction(ablation.study.verdict()[facet].higher, t)
        heads.append((t.title(facet), [t.title(found[0].metric), better] if found else []))
    columns = [[_effect(one) for one in found] for found in effects.values()]
    names = [plain(spelled(part), 60) for part in ablation.parts]
    rows = [Row(name, [column[i] for column in columns]) for i, name in enumerate(names)]
    return Grid(t("ablation.caption"), heads, rows)


def _effect(one: Any) -> Cell:
    if one.pair.mean is None:
        return Cell(BLANK)
    ends = "" if one.pair.low is None else f"{change(one, one.pair.low)} … {change(one, one.pair.high)}"
    relation = RELATIONS.get(one.claim, "")
    return Cell(change(one, one.pair.mean), ends, relation, SIGNS.get(relation, ""))


def _evidence(facet: str, found: list[Any], t: Words) -> Grid:
    keys = ("full", "without", "difference", "p_worth", "p_equal", "p_harm", "p_holm", "verdict")
    heads = [(t("ablation.part"), list[str]()), *((t("ablation." + key), list[str]()) for key in keys)]
    rows = []
    for one in found:
        pair, relation = one.pair, RELATIONS.get(one.claim, "")
        chances = [pair.better, pair.equal, pair.worse, pair.p_adjusted]
        claim = t("ablation." + (one.claim or "described"))
        cells = [Cell(number(one.full)), Cell(number(one.without)), _effect(one)._replace(relation="", sign="")]
        cells += [
            *(Cell(chance(p)) for p in chances),
            Cell(claim, plain(one.ill, 200), f"{relation} text", SIGNS.get(relation, "")),
        ]
        rows.append(Row(plain(spelled(one.part), 60), cells))
    return Grid(t.title(facet), heads, rows)
