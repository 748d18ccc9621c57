"""Tables of the page: numbers become text here, once, with as many digits as they deserve."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import Any, NamedTuple

from isthmus.answers.words import Words
from isthmus.evidence.purposes import standing
from isthmus.metrics import METRICS
from isthmus.report.contests import Contest, Standing
from isthmus.report.figures import Interval, plain

SIGNS = {"leader": "★", "equal": "≈", "undecided": "?", "worse": "▽", "excluded": "×"}
"""A sign beside each colour, so that meaning does not hang on colour alone."""
PARETO = "◆"
"""Beside the name of a contender that no other is shown to dominate, if there are dominated ones."""
BLANK = "–"


class Cell(NamedTuple):
    """One cell: a number with its interval underneath and a mark, or a text."""

    mean: str
    interval: str = ""
    relation: str = ""
    sign: str = ""
    rank: int | None = None
    """Its place in the order of its own column, the best first; None: as the number says."""


class Row(NamedTuple):
    """One line of a table; ``first_rival`` draws the line that parts autoencoders from rivals."""

    name: str
    cells: list[Cell]
    first_rival: bool = False
    mark: str = ""
    """A sign beside the name."""


class Grid(NamedTuple):
    """A table: ``heads`` are (title, lines under it)."""

    caption: str
    heads: list[tuple[str, list[str]]]
    rows: list[Row]

    @property
    def texts(self) -> list[bool]:
        """Which columns hold text, that of the names aside: their heads begin where their texts do."""
        held = [{c.relation for c in column} for column in zip(*(row.cells for row in self.rows), strict=True)]
        return [False, *("text" in relations for relations in held or [set[str]()] * (len(self.heads) - 1))]


def decimals(values: Sequence[float]) -> int:
    """Decimals that give the typical value of a column three significant digits.

    Examples
    --------
    >>> decimals([0.0123, 0.0150]), decimals([12.3]), decimals([4567.0])
    (4, 1, 0)
    """
    sizes = [abs(v) for v in values if v and math.isfinite(v)]
    if not sizes:
        return 2
    return max(0, 2 - math.floor(math.log10(statistics.median_low(sizes))))


def number(value: float | None, places: int | None = None) -> str:
    """A number for people: ``places`` decimals (default: three significant digits), true minus, spaced thousands.

    Examples
    --------
    >>> number(0.012345), number(-3.14159), number(1234567.0), number(None), number(2e-9)
    ('0.0123', '−3.14', '1,234,567', '–', '2e−9')
    """
    if value is None or not math.isfinite(value):
        return BLANK
    places = decimals([value]) if places is None else places
    if value and (abs(value) < 1e-5 or abs(value) >= 1e10):
        mantissa, _, power = f"{value:.2e}".partition("e")
        text = f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
    elif value and abs(value) < 0.5 * 10**-places:
        text = f"{value:.1g}" if abs(value) >= 1e-4 else f"{value:.0e}".replace("e-0", "e-")
    else:
        text = f"{value:,.{places}f}"
    return text.replace("-", "−")


def interval(estimate: Interval | None, places: int | None = None) -> str:
    """``low … high``, or nothing where there is no interval."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    places = decimals([estimate.mean]) if places is None else places
    return f"{number(estimate.low, places)} … {number(estimate.high, places)}"


def share(value: float | None) -> str:
    """A difference that is a share, in per cent, with its sign.

    Examples
    --------
    >>> share(0.1234), share(-0.5), share(0.0), share(None)
    ('+12.3%', '−50.0%', '0.0%', '–')
    """
    if value is None or not math.isfinite(value):
        return BLANK
    return f"{value * 100:+,.1f}%".replace("-", "−") if value else "0.0%"


def rope(contest: Contest) -> str:
    """The half-width of practical equivalence as people read it."""
    half = contest.verdict.rope
    return f"±{half * 100:g}%" if contest.verdict.relative else f"±{half:g}"


def overview(contests: Sequence[Contest], t: Words, shown: Mapping[str, str]) -> Grid:
    """Contenders down, facets across: mean, interval and standing of the primary metric."""
    heads: list[tuple[str, list[str]]] = [(t("table.contender"), [])]
    columns: list[dict[str, Cell]] = []
    for contest in contests:
        places = decimals([s.estimate.mean for s in contest.ranked if s.estimate])
        named = contest.decides and not contest.verdict.useless
        columns.append({s.name: _standing(s, i, places, t, named) for i, s in enumerate(contest.standings)})
        better = direction(contest.higher, t) if contest.decides else t("table.described")
        under = [t.name("metrics", contest.verdict.metric), better]
        heads.append((t.name("facets", contest.verdict.facet), under))
    rows: list[Row] = []
    left = standing(contest.verdict for contest in contests)
    for name, rival in order(contests).items():
        cells = [column.get(name, Cell(BLANK)) for column in columns]
        first = rival and not any(row.first_rival for row in rows)
        rows.append(Row(shown[name], cells, first, PARETO if left.behind and name in left.members else ""))
    floors = [contest.verdict.floor for contest in contests]
    if any(floor is not None for floor in floors):
        rows.append(Row(t("table.floor"), [Cell(number(floor)) for floor in floors]))
    return Grid(t("table.caption"), heads, rows)


def folded(grid: Grid, most: int) -> tuple[Grid, Grid]:
    """A table with those worth seeing first, and one with the others.

    The others are autoencoders after the first ``most``, and rivals that are asked in one column of several and are not
    at its top: a row of dashes.
    """
    first = next((i for i, row in enumerate(grid.rows) if row.first_rival), len(grid.rows))

    def dashes(row: Row) -> bool:
        there = [cell for cell in row.cells if cell.mean != BLANK]
        return len(row.cells) > 2 and len(there) < 2 and not any(c.relation in {"leader", "equal"} for c in there)

    away = [i >= most if i < first else dashes(row) for i, row in enumerate(grid.rows)]
    seen, others = ([row for row, gone in zip(grid.rows, away, strict=True) if gone == kind] for kind in (False, True))
    start = next((i for i, row in enumerate(seen) if row in grid.rows[first:]), None)
    seen = [row._replace(first_rival=i == start) for i, row in enumerate(seen)]
    return grid._replace(rows=seen), _filled(grid._replace(rows=[row._replace(first_rival=False) for row in others]))


def _filled(grid: Grid) -> Grid:
    """A table without the columns in which nobody has anything."""
    kept = [any(row.cells[i].mean != BLANK for row in grid.rows) for i in range(len(grid.heads) - 1)]
    rows = [row._replace(cells=list(compress(row.cells, kept))) for row in grid.rows]
    return grid._replace(heads=list(compress(grid.heads, [True, *kept])), rows=rows)


def order(contests: Sequence[Contest]) -> dict[str, bool]:
    """All contenders: autoencoders by how well they stand on average, PCA, other rivals; the value says: a rival."""
    ranks: dict[str, list[float]] = {}
    rival = {}
    for contest in contests:
        for i, s in enumerate(contest.standings):
            ranks.setdefault(s.name, []).append(i / len(contest.standings))
            rival[s.name] = s.rival
    names = sorted(ranks, key=lambda name: (rival[name], name != "pca", statistics.fmean(ranks[name]), name))
    return {name: rival[name] for name in names}


def direction(higher: bool | None, t: Words) -> str:
    """Which way is better, in words."""
    return t("table.neither") if higher is None else t("table.higher" if higher else "table.lower")


def details(
    contest: Contest,
    estimates: Mapping[str, Mapping[str, Interval]],
    t: Words,
    shown: Mapping[str, str],
) -> Grid:
    """All metrics of one facet, its leader first: ``estimates[contender][metric]``."""
    metrics = list(dict.fromkeys(metric for row in estimates.values() for metric in row))
    heads: list[tuple[str, list[str]]] = [(t("table.contender"), [])]
    heads += [(t.name("metrics", m), [direction(METRICS[m].higher, t)] if m in METRICS else []) for m in metrics]
    places = {m: decimals([row[m].mean for row in estimates.values() if m in row]) for m in metrics}
    rows: list[Row] = []
    for s in contest.standings:
        row = estimates.get(s.name, {})
        cells = [
            Cell(number(row[m].mean, places[m]), interval(row[m], places[m])) if m in row else Cell(BLANK)
            for m in metrics
        ]
        rows.append(Row(shown[s.name], cells))
    return Grid(t("table.details_caption", facet=t.name("facets", contest.verdict.facet)), heads, rows)


def evidence(contest: Contest, t: Words, shown: Mapping[str, str]) -> Grid:
    """Differences to the leader with intervals and probabilities."""
    keys = ("difference", "p_leader", "p_equal", "p_other", "p_value", "verdict")
    heads: list[tuple[str, list[str]]] = [(t("evidence.contender"), [])]
    heads += [(t("evidence." + key), [t("evidence.interval")] if key == "difference" else []) for key in keys]
    rows: list[Row] = []
    for s in contest.ranked:
        if s.difference is not None:
            chances = [Cell(chance(p)) for p in (s.p_leader, s.p_equal, s.p_other, s.p_value)]
            verdict = Cell(t("relation." + s.relation), relation=s.relation, sign=SIGNS[s.relation])
            rows.append(Row(shown[s.name], [_difference(s.difference, contest.verdict.relative), *chances, verdict]))
    return Grid(t.name("facets", contest.verdict.facet), heads, rows)


def chance(p: float | None) -> str:
    """A probability with three decimals, never a false 0 or 1.

    Examples
    --------
    >>> chance(0.99999), chance(0.0), chance(0.25), chance(None)
    ('> 0.999', '< 0.001', '0.250', '–')
    """
    if p is None or not math.isfinite(p):
        return BLANK
    return "< 0.001" if p < 0.0005 else "> 0.999" if p > 0.9995 else f"{p:.3f}"


def configurations(name: str, records: Sequence[Mapping[str, Any]], t: Words) -> Grid:
    """What one family tried: each configuration's knobs, how its trainings ended, and for what it was chosen."""
    tried: dict[int, list[Mapping[str, Any]]] = {}
    chosen: dict[int, dict[str, int]] = {}
    for record in records:
        for i, config in enumerate(record["configs"]):
            tried.setdefault(i, []).append(config)
        for facet, choice in record["facets"].items():
            if choice.get("config") is not None:
                counts = chosen.setdefault(choice["config"], {})
                counts[facet] = counts.get(facet, 0) + 1
    asked = [{*record["facets"], *(name for c in record["configs"] for name in c["criteria"])} for record in records]
    askers = Counter(facet for facets in asked for facet in facets)
    everything = [config for configs in tried.values() for config in configs]
    knobs = [k for k in everything[0]["recipe"] if len({repr(c["recipe"].get(k)) for c in everything}) > 1]
    heads: list[tuple[str, list[str]]] = [(t("tuning.config"), [])] + [(plain(k), list[str]()) for k in knobs]
    heads += [(t("tuning." + key), []) for key in ("learning_rate", "status", "steps", "valid", "chosen_for")]
    rows: list[Row] = []
    for i, configs in sorted(tried.items()):
        cells = [Cell(_values([c["recipe"].get(k) for c in configs])) for k in knobs]
        ends = Counter(c["status"] for c in configs)
        cells += [
            Cell(_values([c["learning_rate"] for c in configs])),
            Cell(t("page.comma").join(f"{t.name('status', end)} {n}" for end, n in ends.items())),
            Cell(_values([c["steps"] for c in configs])),
            Cell(_values([c["valid"] for c in configs])),
            Cell(
                t("page.stop").join(
                    t("tuning.chosen_times", facet=t.name("facets", facet), n=n, total=askers[facet])
                    for facet, n in chosen.get(i, {}).items()
                )
                or BLANK,
                relation="text",
            ),
        ]
        rows.append(Row(str(i + 1), cells))
    return Grid(t("tuning.caption", name=name, n=len(records)), heads, rows)


def _values(values: Sequence[Any]) -> str:
    """The one value, or the median of numbers, or the values side by side."""
    kept = [v for v in values if v is not None]
    if not kept:
        return BLANK
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in kept):
        middle = statistics.median(kept)
        return number(float(middle), 0 if all(isinstance(v, int) for v in kept) else None)
    return plain(", ".join(dict.fromkeys(str(v) for v in kept)))


def _difference(d: Interval, relative: bool) -> Cell:
    if not relative:
        return Cell(number(d.mean), interval(d))
    return Cell(share(d.mean), "" if d.low is None else f"{share(d.low)} … {share(d.high)}")


def _standing(s: Standing, rank: int, places: int, t: Words, decides: bool) -> Cell:
    if s.estimate is None:
        return Cell(t("relation.excluded"), "", "excluded", SIGNS["excluded"], rank)
    mark = (s.relation, SIGNS[s.relation]) if decides else ("", "")
    return Cell(number(s.estimate.mean, places), interval(s.estimate, places), *mark, rank)
