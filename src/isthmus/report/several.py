"""The page over several data sets: the answer over all, the ranks behind it, and the answer of each data set."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from isthmus.answers.ranking import lines
from isthmus.answers.recommendation import recommendation
from isthmus.answers.words import Words
from isthmus.evidence.ranking import LEAST_SETS, Ranking, RankPair
from isthmus.report import diagram
from isthmus.report.answers import Answer
from isthmus.report.figures import plain
from isthmus.report.html import filled, put_page
from isthmus.report.page import shown_names
from isthmus.report.tables import BLANK, SIGNS, Cell, Grid, Row, chance, decimals, direction, number


class Ranked(NamedTuple):
    """What the page shows of one facet."""

    facet: str
    diagram: Markup | None
    scores: Grid
    pairs: Grid


class Each(NamedTuple):
    """What the page shows of one data set."""

    name: str
    facts: str
    link: str
    lines: list[str]


def write(several: Any, path: str | os.PathLike[str], lang: str = "en") -> Path:
    """Write the page of a :class:`isthmus.study.several.Several`: one HTML file that opens offline.

    It links to the report of each study, which lies in the study's own folder.

    Parameters
    ----------
    several : Several
    path : path
        The HTML file to write. It is there whole or not at all.
    lang : {"en", "zh"}

    Returns
    -------
    Path
        The file.
    """
    return put_page(render(several, Path(path).absolute().parent, lang), path)


def render(several: Any, place: Path, lang: str = "en") -> str:
    """The page as text; links to reports are relative to the folder ``place``."""
    t = Words(lang)
    return filled("several.html", t, page(several, place, t))


def page(several: Any, place: Path, t: Words) -> dict[str, Any]:
    """Everything that the template wants, by name."""
    found: Mapping[str, Ranking] = several.rankings()
    shown = _shown(several, t)
    said = lines(found.values(), _alike(several), t.lang, shown)
    return {
        "title": t("several.title", n=len(several.studies)),
        "facts": t("several.facts", sets=t.phrase([plain(name, 40) for name in several.studies])),
        "notices": _notices(several, said[len(found) :], t),
        "answers": [_answer(one, line, t) for one, line in zip(found.values(), said, strict=False)],
        "together": [],
        "ranked": [_ranked(one, t, shown) for one in found.values()],
        "each": [_each(name, study, place, t, shown) for name, study in several.studies.items()],
        "command": plain(several.command, 4000),
    }


def overview(several: Any, t: Words) -> tuple[list[str], list[list[str]], list[str]]:
    """For a terminal: heads and rows of a table of mean ranks, contenders down and facets across; and the answers."""
    found: Mapping[str, Ranking] = several.rankings()
    names = dict.fromkeys(name for one in found.values() for name in one.ranks)
    shown = _shown(several, t)
    heads = [t("table.contender"), *(t.name("facets", facet) for facet in found)]
    ranks = {name: [one.ranks.get(name) for one in found.values()] for name in names}
    rows = [[shown[name], *(BLANK if r is None else f"{r:.2f}" for r in row)] for name, row in ranks.items()]
    return heads, rows, lines(found.values(), _alike(several), t.lang, shown)


def _shown(several: Any, t: Words) -> dict[str, str]:
    """What contenders are called."""
    return {name: text for study in several.studies.values() for name, text in shown_names(study, t).items()}


def _alike(several: Any) -> list[tuple[str, str, float]]:
    """Pairs that share rows, by names that are harmless to layout."""
    return [(plain(a, 40), plain(b, 40), share) for a, b, share in several.alike()]


def _notices(several: Any, alike: list[str], t: Words) -> list[tuple[str, str]]:
    """What a reader must know before the answer."""
    found = []
    undone = [name for name, study in several.studies.items() if not study.complete]
    if undone:
        found.append((t("page.half_title"), t("several.undone", sets=t.phrase([plain(name, 40) for name in undone]))))
    if alike:
        found.append((t("several.overlap"), t("page.gap").join(alike)))
    copied = {name: copies for name, study in several.studies.items() if (copies := study.copies()) is not None}
    for name, (n, total) in copied.items():
        text = t("page.copies_text", n=f"{n:,}", total=f"{total:,}")
        found.append((f"{plain(name, 40)}{t('page.colon')}{t('page.copies_title')}", text))
    if len(several.studies) < LEAST_SETS:
        found.append((t("several.few_title"), t("several.few", least=LEAST_SETS)))
    return found


def kind(one: Ranking) -> str:
    """The colour of a card, and its badge: what the ranks say of "which autoencoder, if any"."""
    best, rival = one.autoencoder, next(iter(one.rivals), None)
    if one.first is None or best is None or rival is None or not one.enough:
        return "undecided"
    relation = one.relation(best, rival)
    if relation in {"worse", "equal"}:
        return "rival"
    if any(one.relation(best, name) != "better" for name in one.rivals):
        return "undecided"
    return "which" if one.undecided else "equal" if one.equal else "best"


def _answer(one: Ranking, line: str, t: Words) -> Answer:
    facet = t.name("facets", one.facet)
    said = line.removeprefix(facet + t("page.colon"))
    badge = t("answer.badge_" + kind(one))
    return Answer(facet, t.name("questions", one.facet, ""), kind(one), badge, said[:1].upper() + said[1:], [])


def _ranked(one: Ranking, t: Words, shown: Mapping[str, str]) -> Ranked:
    facet = t.name("facets", one.facet)
    drawn = None
    if one.critical is not None and len(one.ranks) > 1:
        words = {"facet": facet, "n": len(one.sets), "cd": f"{one.critical:.2f}"}
        caption, label = t("several.diagram", **words), t("several.critical", cd=words["cd"])
        drawn = diagram.critical_difference(one.ranks, one.critical, one.rivals, shown, caption, label)
    return Ranked(facet, drawn, _scores(one, t, shown), _pairs(one, t, shown))


def _scores(one: Ranking, t: Words, shown: Mapping[str, str]) -> Grid:
    """Contenders down, best mean rank first; data sets across."""
    heads: list[tuple[str, list[str]]] = [(t("table.contender"), []), (t("several.rank"), [])]
    heads += [(plain(name, 48), list[str]()) for name in one.sets]
    places = [decimals([v for v in column if v is not None]) for column in zip(*one.scores.values(), strict=True)]
    rows = []
    for name, values in one.scores.items():
        relation = "leader" if name == one.first else _relation(one, name)
        cells = [Cell(f"{one.ranks[name]:.2f}", relation=relation, sign=SIGNS[relation])]
        cells += [Cell(number(v, p)) for v, p in zip(values, places, strict=True)]
        rows.append(Row(shown[name], cells))
    words = {"metric": t.name("metrics", one.metric), "better": direction(one.higher, t)}
    return Grid(t("several.caption", **words), heads, rows)


def _relation(one: Ranking, name: str) -> str:
    return "worse" if name in one.worse else "equal" if name in one.equal else "undecided"


def _pairs(one: Ranking, t: Words, shown: Mapping[str, str]) -> Grid:
    """The first against every other: all tests side by side."""
    keys = ("wins", "p_nemenyi", "p_holm", "p_better", "p_equal", "p_worse", "claim")
    heads = [(t("several.against", first=shown[one.first] if one.first else BLANK), list[str]())]
    heads += [(t("several." + key), list[str]()) for key in keys]
    rows = [Row(shown[pair.b], _pair(pair, t)) for pair in one.pairs if pair.a == one.first]
    return Grid(t("several.pairs", facet=t.name("facets", one.facet)), heads, rows)


def _pair(pair: RankPair, t: Words) -> list[Cell]:
    relation = {"better": "worse", "equal": "equal"}.get(pair.relation, "undecided")  # told of the other one
    chances = (pair.p_nemenyi, pair.p_holm, pair.better, pair.equal, pair.worse)
    wins = f"{pair.wins} / {pair.losses} / {pair.ties}"
    claim = Cell(t("relation." + relation), relation=relation, sign=SIGNS[relation])
    return [Cell(wins), *(Cell(chance(p)) for p in chances), claim]


def _each(name: str, study: Any, place: Path, t: Words, shown: Mapping[str, str]) -> Each:
    data = study.note["data"]
    size = "×".join(map(str, data["shape"]))
    shape = t("page.shape_table", n=size) if len(data["shape"]) < 2 else t("page.shape_image", shape=size)
    facts = t("several.rows", rows=f"{data['rows']:,}", shape=shape, done=len(study.records), total=study.total)
    link = quote(os.path.relpath((study.folder / "report.html").absolute(), place).replace(os.sep, "/"))
    return Each(plain(name, 60), facts, link, recommendation(study, t.lang, shown))
