"""The content of the page, section by section, from a study's folder: texts, tables and drawings, no HTML."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from markupsafe import Markup

from isthmus.answers import advice, cut, racing, spoilers
from isthmus.answers import findings as finds
from isthmus.answers.brief import brief
from isthmus.answers.capacity import lines as capacities
from isthmus.answers.words import Words
from isthmus.evidence.purposes import PurposeVerdict
from isthmus.facets import FACETS
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.metrics import METRICS
from isthmus.report import (
    answers,
    capacity,
    facet_curves,
    figures,
    findings,
    illustrations,
    method,
    oddities,
    profile,
    tables,
)
from isthmus.report.contests import Contest, contests, estimates
from isthmus.report.drawing import NARROW, svg
from isthmus.report.figures import Figure, Interval, plain
from isthmus.report.illustrations import Drawn

MOST = 12
"""Contenders that a section shows openly, the best first; what is there of the others unfolds."""
OPENED = ("answer", "table")
"""Sections that are read at once; the others unfold."""
Record = Mapping[str, Any]


@dataclass(eq=False)
class _Given:
    """What all parts of a page are drawn from."""

    study: Any
    t: Words
    records: list[dict[str, Any]]
    """All runs, as plain data, in the order of the design."""
    trained: list[dict[str, Any]]
    """Those of families."""
    duels: list[Contest]
    shown: dict[str, str]
    """What contenders are called."""

    @classmethod
    def of(cls, study: Any, t: Words) -> _Given:
        """Read a study once."""
        records = _sorted(map(_plain, study.records), list(study.note["families"]))
        trained = [r for r in records if r["job"]["kind"] == "family"]
        return cls(study, t, records, trained, contests(study, records, t), shown_names(study, t))

    @property
    def design(self) -> Mapping[str, Any]:
        """What ``study.json`` says."""
        return cast(Mapping[str, Any], self.study.note)

    @property
    def classes(self) -> list[str]:
        """The names of the classes; none without labels."""
        return [plain(c, 28) for c in self.design["data"].get("classes", ())]

    @property
    def view(self) -> str:
        """The view whose models are shown: ``normal`` where there is no other."""
        return "normal" if self.trained and all(r["job"]["view"] == "normal" for r in self.trained) else "all"

    @cached_property
    def asked(self) -> list[Contest]:
        """Facets in which somebody has a score."""
        return [d for d in self.duels if d.ranked]

    @cached_property
    def rank(self) -> Mapping[str, bool]:
        """Contenders, the best all in all first, and whether each is a rival."""
        return tables.order(self.asked)

    @cached_property
    def seen(self) -> list[dict[str, Any]]:
        """The runs whose models are shown: PCA first, then the best."""
        place = {name: i for i, name in enumerate(self.rank)}
        there = [r for r in self.trained if r["job"]["view"] == self.view]
        return sorted(there, key=lambda r: (r["job"]["name"] != RIVAL_FAMILY, place.get(r["job"]["name"], len(place))))

    @cached_property
    def purposes(self) -> list[PurposeVerdict]:
        """What follows for each purpose."""
        return list(self.study.purposes())

    @cached_property
    def ills(self) -> list[finds.Counted]:
        """Defects of chosen models."""
        return finds.count(self.trained)

    @cached_property
    def numbers(self) -> dict[str, Mapping[str, Mapping[str, Interval]]]:
        """Facet -> contender -> metric -> mean and interval."""
        return {d.verdict.facet: estimates(self.study, d, _metrics(d, self.records)) for d in self.asked}


def page(study: Any, t: Words) -> dict[str, Any]:
    """Everything the templates want, by name."""
    given = _Given.of(study, t)
    content = _answered(given) | _measured(given) | _looked_at(given) | _told(given)
    return content | {"sections": _sections(content, given), "opened": OPENED}


def _answered(s: _Given) -> dict[str, Any]:
    """What a reader sees first: what must be known before, and the answer."""
    study, t, shown = s.study, s.t, s.shown
    early = _cut(s.duels, t, shown)
    spoiled = [plain(line, 2000) for line in spoilers.first(study, Words(t.lang, shown))]
    cards, together = answers.answers(s.duels, s.purposes, t, shown)
    taken = dict.fromkeys(one.take for one in s.purposes if one.take)
    made_of = capacities(s.records, shown, t)
    return {
        "data": plain(s.design["data"]["name"], 80),
        "facts": _facts(s.design, study.replicates, shown, t),
        "early": early,
        "spoilers": spoiled,
        "notices": _spoiled(spoiled, t) + early + _notices(study, s.records, t) + _ills(s.ills, t, shown),
        "brief": brief(s.purposes, study.design.families, t.lang, shown),
        "answers": cards + answers.skipped(s.design.get("skipped", {}), t),
        "together": together + racing.lines(study, t.lang),
        "taken": [shown[one.take] for one in s.purposes if one.take],
        "chose": [made_of[name] for name in taken if name in made_of],
    }


def _measured(s: _Given) -> dict[str, Any]:
    """The tables, and the evidence behind them."""
    study, t, shown = s.study, s.t, s.shown
    overview = tables.overview(s.asked, t, shown)
    return {
        "overview": overview,
        "folded": tables.folded(overview, MOST),
        "marks": sorted({row.mark for row in overview.rows} - {""}),
        "signs": list(tables.SIGNS.items()),
        "proscons": _proscons(study, list(s.rank), t, shown),
        "excluded": _excluded(s.duels, t, shown),
        "details": [tables.details(d, s.numbers[d.verdict.facet], t, shown) for d in s.asked],
        "evidence": _evidence([d for d in s.asked if d.decides], t, shown),
        "facet_curves": facet_curves.drawn(s.asked, s.records, s.rank, MOST, t, shown),
        "scatters": _scatters(s.numbers, s.duels, t, shown),
        "most": MOST,
    }


def _looked_at(s: _Given) -> dict[str, Any]:
    """What models make of single rows."""
    t, shown, design = s.t, s.shown, s.design
    shows = illustrations.read(s.study.folder, s.seen)
    pictured = shows if design["data"]["images"] else []  # a series has axes too
    labels = s.classes if s.view == "all" else [t("codes.normal"), t("codes.anomaly")]
    odd = illustrations.read(s.study.folder, _of_rows(s.study, s.trained))
    maps = illustrations.maps(shows, labels, t, shown)
    return {
        "reconstructions": illustrations.reconstructions(pictured, t, shown),
        "filters": illustrations.filters(pictured, t, shown),
        "oddities": oddities.oddities(odd, design, t, shown),
        "maps": maps,
        "legend": _legend(labels) if labels and maps else [],
    }


def _told(s: _Given) -> dict[str, Any]:
    """How it was done: the data, the trainings, the method."""
    study, t, shown, design = s.study, s.t, s.shown, s.design
    return {
        "profile": None if study.profile is None else profile.section(study.profile, design["data"]["name"], t),
        "capacity": None if study.sweep is None else capacity.chosen(study.sweep, t),
        "curves": _curves(s.seen, t, shown),
        "tunings": _tunings(s.trained, design, t, shown),
        "configurations": _configurations(s.seen, t, shown),
        "method": method.method(design, s.records, len(study.damaged), s.duels, t, shown),
        "findings": findings.table(s.ills, t, shown),
        "command": plain(design.get("command") or "", 4000),
    }


def _sections(content: Mapping[str, Any], s: _Given) -> list[str]:
    """The sections that have something to show, in their order."""
    wanted = {
        "answer": True,
        "table": True,
        "evidence": content["evidence"],
        "proscons": content["proscons"],
        "facet_curves": content["facet_curves"],
        "profile": content["profile"],
        "capacity": content["capacity"],
        "curves": content["curves"],
        "pictures": content["reconstructions"] or content["filters"],
        "oddities": content["oddities"],
        "codes": content["maps"],
        "scatters": content["scatters"],
        "tuning": s.trained,
        "method": True,
        "repeat": True,
    }
    return [key for key, there in wanted.items() if there]


def _of_rows(study: Any, trained: Sequence[Record]) -> list[Record]:
    """The runs of families that answered a facet which is about single rows."""
    views = {facet: study.design.view(facet) for facet in study.design.facets if FACETS[facet].shows_rows}
    return [r for r in trained if any(r["job"]["view"] == view and f in r["facets"] for f, view in views.items())]


def _plain(record: Any) -> dict[str, Any]:
    return record if isinstance(record, dict) else record.model_dump(mode="json")


def _sorted(records: Iterable[dict[str, Any]], families: Sequence[str]) -> list[dict[str, Any]]:
    """In the order of the design, whatever order the disk gave: the same study gives the same page."""

    def place(record: Record) -> tuple[Any, ...]:
        job = record["job"]
        rank = families.index(job["name"]) if job["name"] in families else len(families)
        return rank, job["kind"], job["name"], job["facet"] or "", job["view"], job["replicate"]

    return sorted(records, key=place)


def shown_names(study: Any, t: Words) -> dict[str, str]:
    """What each contender is called on the page, in the order of the design; names that coincide keep their own."""
    names = dict.fromkeys(name for facet in study.note["facets"] for name in study.contenders(facet))
    shown = {name: t.name("contenders", name, plain(name, 40)) for name in names}
    twice = {text for text in shown.values() if list(shown.values()).count(text) > 1}
    return {name: f"{text} ({plain(name, 40)})" if text in twice else text for name, text in shown.items()}


def _facts(design: Mapping[str, Any], replicates: int, shown: Mapping[str, str], t: Words) -> str:
    data = design["data"]
    shape, classes = data["shape"], data.get("classes", ())
    size = "×".join(map(str, shape))
    key, fill = ("page.shape_table", {"n": size}) if len(shape) < 2 else ("page.shape_image", {"shape": size})
    return t(
        "page.facts",
        rows=f"{data['rows']:,}",
        shape=t(key, **fill),
        classes=t("page.classes", n=len(classes)) if classes else "",
        contenders=len(shown),
        replicates=replicates,
        configs=design["configs"],
    )


def _notices(study: Any, records: Sequence[Record], t: Words) -> list[tuple[str, str]]:
    """What a reader must know before the answer: that the study is half done, runs went wrong, rows are copies."""
    found = []
    done, total = len(records), study.total
    if not records:
        found.append((t("page.half_title"), t("page.half_empty")))
    elif done < total and study.design.racing:
        found.append((t("budget.title"), t("budget.ended", missing=total - done, total=total)))
    elif done < total:
        text = t("page.half_text", done=done, total=total, missing=total - done)
        found.append((t("page.half_title"), text))
    bad = [r["status"] for r in records if r["status"] != "ok"]
    if bad:
        text = t("page.trouble_text", failed=bad.count("failed"), diverged=bad.count("diverged"))
        found.append((t("page.trouble_title"), text))
    if (copies := study.copies()) is not None:
        text = t("page.copies_text", n=f"{copies[0]:,}", total=f"{copies[1]:,}")
        found.append((t("page.copies_title"), text))
    return found


def _spoiled(lines: Sequence[str], t: Words) -> list[tuple[str, str]]:
    """What may make the answer worthless."""
    return [(t("spoil.title"), line) for line in lines]


def _cut(duels: Sequence[Contest], t: Words, shown: Mapping[str, str]) -> list[tuple[str, str]]:
    """That trainings were cut while they were still getting better."""
    text = cut.notice([duel.verdict for duel in duels], Words(t.lang, shown))
    return [(t("cut.title"), text)] if text else []


def _ills(ills: Sequence[finds.Counted], t: Words, shown: Mapping[str, str]) -> list[tuple[str, str]]:
    """That chosen models have defects which spoil their scores."""
    said = finds.lines(ills, t.lang, shown)
    return [(t("findings.notice"), t("page.gap").join(said))] if said else []


def _excluded(duels: Sequence[Contest], t: Words, shown: Mapping[str, str]) -> list[str]:
    """One line for each contender and reason, with the facets that it concerns."""
    found: dict[tuple[str, str], list[str]] = {}
    for duel in duels:
        for s in duel.standings:
            if s.reason:
                found.setdefault((s.name, s.reason), []).append(t.name("facets", duel.verdict.facet))
    return [
        t("table.excluded_line", name=shown[name], facet=t.phrase(facets), reason=plain(reason, 300))
        for (name, reason), facets in found.items()
    ]


def _metrics(duel: Contest, records: Sequence[Record]) -> list[str]:
    """What a facet measured, its deciding metric first, then in the order of the table of metrics."""
    facet, first = duel.verdict.facet, duel.verdict.metric
    measured = {metric for r in records if facet in r["facets"] for metric in r["facets"][facet]["metrics"]}
    order = [first, *METRICS, *sorted(measured)]
    return [metric for metric in dict.fromkeys(order) if metric in measured and metric not in FACETS[facet].flags]


def _evidence(duels: Sequence[Contest], t: Words, shown: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for duel in duels:
        rows = [(shown[s.name], s.difference, s.rival) for s in duel.ranked if s.difference is not None]
        if not rows or duel.verdict.leader is None:
            continue
        leader, metric = shown[duel.verdict.leader], t.name("metrics", duel.verdict.metric)
        facet = t.name("facets", duel.verdict.facet)
        axis = t("evidence.axis_higher" if duel.higher else "evidence.axis_lower", leader=leader, metric=metric)
        half, relative = duel.verdict.rope, duel.verdict.relative
        figure = figures.forest(rows[:MOST], half, axis, relative=relative)
        rope = t("evidence.rope", rope=tables.rope(duel))
        more = t("evidence.more", n=len(rows) - MOST) if len(rows) > MOST else ""
        found.append(
            {
                "title": f"{facet}{t('page.colon')}{metric}",
                "text": t("page.gap").join([rope, more]).rstrip(),
                "figure": svg(figure, t("evidence.alt", facet=facet, n=min(len(rows), MOST), leader=leader)),
                "table": tables.evidence(duel, t, shown),
            }
        )
    return found


def _proscons(
    study: Any, order: Sequence[str], t: Words, shown: Mapping[str, str]
) -> list[tuple[str, list[str], list[str]]]:
    """What speaks for and against each family; those that nothing sets apart come last."""
    say, found = Words(t.lang, shown), study.proscons()
    rows = []
    for name in order:
        if name in found:
            pros, cons = ([advice.claim(one, say) for one in claims] for claims in found[name])
            rows.append((shown[name], pros, cons))
    return sorted(rows, key=lambda row: not (row[1] or row[2])) if any(row[1] or row[2] for row in rows) else []


def _curves(seen: Sequence[Record], t: Words, shown: Mapping[str, str]) -> list[Drawn]:
    found = []
    for name, records in _by_family(seen).items():
        chosen = [config for record in records if (config := method.chosen(record)) is not None]
        if not chosen:
            continue
        histories = [(c["history"], c["best_step"]) for c in chosen]
        figure = figures.curves(histories, t("curves.steps"), t("curves.train"), t("curves.valid"))
        drawn = svg(figure, t("curves.alt", name=shown[name]), NARROW) if _moves(figure) else Markup("")
        found.append(Drawn(shown[name], drawn, _ends(chosen, t)))
    return sorted(found, key=lambda drawn: not drawn.figure)


def _moves(figure: Figure) -> bool:
    return any(len(trace["x"]) > 1 for trace in figure["data"])


def _ends(chosen: Sequence[Mapping[str, Any]], t: Words) -> str:
    """How the chosen trainings ended: converged, cut or diverged, and which weights were kept."""
    ends = [c["status"] for c in chosen]
    if set(ends) == {"closed form"}:
        return t("curves.closed")
    said = [
        t("curves." + end, n=ends.count(end), total=len(ends))
        for end in ("converged", "cut", "diverged")
        if end in ends
    ]
    low, high = min(c["best_step"] for c in chosen), max(c["best_step"] for c in chosen)
    said.append(t("curves.best", low=low) if low == high else t("curves.best_range", low=low, high=high))
    return t("page.stop").join(said)


def _by_family(seen: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in seen:
        if record["configs"]:
            found.setdefault(record["job"]["name"], []).append(record)
    return found


def _legend(classes: Sequence[str]) -> list[tuple[str, str, str]]:
    marks = [figures.label_mark(i, len(classes)) for i in range(len(classes))]
    return [(name, colour, figures.SHAPES[symbol]) for name, (colour, symbol) in zip(classes, marks, strict=True)]


def _scatters(
    every: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    duels: Sequence[Contest],
    t: Words,
    shown: Mapping[str, str],
) -> list[dict[str, Any]]:
    rival = {s.name: s.rival for d in duels for s in d.standings}
    found = []
    for facet, drawn in ((facet.name, facet.against) for facet in FACETS.values() if facet.against):
        xmetric, (other, ymetric) = drawn.metric, drawn.other
        xs, ys = every.get(facet, {}), every.get(other, {})
        points = [
            (shown[name], xs[name][xmetric], ys[name][ymetric], rival.get(name, False))
            for name in xs
            if xmetric in xs[name] and ymetric in ys.get(name, {})
        ]
        if len(points) > 1:
            x, y = t.name("metrics", xmetric), t.name("metrics", ymetric)
            figure = figures.scatter(points, x, y, log=drawn.log)
            found.append(
                {
                    "title": t(f"against.{facet}"),
                    "text": t(f"against_text.{facet}"),
                    "figure": svg(figure, t("scatters.alt", x=x, y=y, n=len(points))),
                }
            )
    return found


def _tunings(trained: Sequence[Record], design: Mapping[str, Any], t: Words, shown: Mapping[str, str]) -> list[Drawn]:
    found = []
    for facet in design["facets"]:
        rows = []
        for record in trained:
            choice = record["facets"].get(facet, {}).get("config")
            for i, config in enumerate(record["configs"]):
                value = config["criteria"].get(facet)
                if value is not None and len(record["configs"]) > 1:
                    rows.append((shown[record["job"]["name"]], value, i == choice))
        if rows:
            name = t.name("facets", facet)
            figure = figures.tuning(_within(rows), t("tuning.axis", facet=name), t("tuning.chosen"), t("tuning.tried"))
            found.append(Drawn(name, svg(figure, t("tuning.alt", facet=name))))
    return found


def _within(rows: Sequence[tuple[str, float, bool]]) -> list[tuple[str, float, bool]]:
    """Without the dots so far out that they would squeeze all others; every chosen one stays."""
    values = [value for _, value, _ in rows]
    low, _, high = statistics.quantiles(values, n=4) if len(values) > 1 else (values[0],) * 3
    most = high + 6 * (high - low)
    return [row for row in rows if row[2] or row[1] <= most]


def _configurations(seen: Sequence[Record], t: Words, shown: Mapping[str, str]) -> list[tuple[str, tables.Grid]]:
    found = []
    for name, records in _by_family(seen).items():
        grid = tables.configurations(shown[name], records, t)
        found.append((t("tuning.details", name=shown[name], n=len(grid.rows)), grid))
    return found
