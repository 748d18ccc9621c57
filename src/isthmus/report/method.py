"""How everything was measured, and what a reader should be warned of."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from isthmus.answers.capacity import lines as capacities
from isthmus.answers.words import Words
from isthmus.data.metadata import FEW_GROUPS
from isthmus.evidence.stats import ALPHA, sure
from isthmus.facets import FACETS
from isthmus.report import tables
from isthmus.report.contests import Contest
from isthmus.report.figures import plain
from isthmus.report.tables import BLANK, Cell, Grid, Row
from isthmus.study.racing import counted, raced

Record = Mapping[str, Any]
FEW = 5
"""Fewer replicates than this deserve a warning."""


def chosen(record: Record) -> Mapping[str, Any] | None:
    """The configuration whose curves are shown: the first facet's choice."""
    for choice in record["facets"].values():
        if choice.get("config") is not None:
            config: Mapping[str, Any] = record["configs"][choice["config"]]
            return config
    return record["configs"][0] if record["configs"] else None


def method(
    design: Mapping[str, Any],
    records: Sequence[Record],
    damaged: int,
    duels: Sequence[Contest],
    t: Words,
    shown: Mapping[str, str],
) -> dict[str, Any]:
    """The section's texts and tables."""
    plan = design["plan"]
    first = next((r for r in records if r["sizes"]), None)
    sizes = first["sizes"] if first else {}
    versions = {plain(k): plain(v, 200) for r in records for k, v in r["versions"].items()}
    return {
        "data": _data(design, t),
        "splits": t("page.gap").join(
            [
                t(
                    "method.splits_text",
                    **{k: f"{sizes[k]:,}" if k in sizes else BLANK for k in ("train", "valid", "test")},
                ),
                *beside(design, t),
            ]
        ),
        "budget": t(
            "method.budget_text",
            configs=design["configs"],
            replicates=design["replicates"],
            steps=f"{plan['steps']:,}",
            batch=plan["batch"],
        ),
        "statistics": _statistics(design, t),
        "purposes": _purposes(duels, t),
        "warnings": _warnings(design, records, damaged, t, shown) or [t("method.warning_none")],
        "failures": _failures(records, t, shown),
        "capacities": list(capacities(records, shown, t).values()),
        "plan": [(plain(k), plain(_value(v))) for k, v in plan.items()],
        "recipes": [(shown[name], _recipe(configs)) for name, configs in design["families"].items()],
        "versions": [(k, v) for k, v in sorted(versions.items())],
    }


def _statistics(design: Mapping[str, Any], t: Words) -> str:
    """How verdicts come about, with the level of the first look."""
    looks = raced(0) if design["racing"] else counted(0)
    return t("method.statistics_text", sure=f"{100 * sure(looks):.1f}%", alpha=f"{ALPHA / looks:.2g}")


def beside(design: Mapping[str, Any], t: Words) -> list[str]:
    """How groups, times and weights shape the splits and the scores, a sentence each."""
    data, asked = design["data"], design.get("reading", {})
    said = []
    if (count := data.get("groups")) is not None:
        said.append(t("method.grouped", column=_column(asked.get("group"), t), n=f"{count:,}"))
        if count < FEW_GROUPS:
            said.append(t("method.few_groups", n=count))
    if data.get("window") is not None:
        numbers = {name: f"{data[name]:,}" for name in ("steps", "window", "stride")}
        said.append(t("method.windows", **numbers))
    if data.get("times") is not None:
        said.append(t("method.timed", column=_column(asked.get("time"), t)))
    if (worth := data.get("worth")) is not None:
        facets = [facet for facet in design["facets"] if FACETS[facet].crowns or FACETS[facet].weighs]
        counted, once = ([f for f in facets if FACETS[f].weighs is whether] for whether in (True, False))
        said.append(
            t(
                "method.weighted",
                column=_column(asked.get("weights"), t),
                rows=f"{data['rows']:,}",
                worth=f"{worth:,.0f}",
            )
        )
        said += [t("method.weighs", names=t.phrase([t.name("facets", f) for f in counted]))] if counted else []
        said += [t("method.weighs_not", names=t.phrase([t.name("facets", f) for f in once]))] if once else []
    return said


def _column(name: str | None, t: Words) -> str:
    """What was asked by a name, or came as an array."""
    return t("method.own_array") if name is None else t("method.of_column", name=plain(name, 40))


def _data(design: Mapping[str, Any], t: Words) -> list[tuple[str, str]]:
    data = design["data"]
    classes = [plain(c, 28) for c in data.get("classes", ())]
    rows = [
        (t("method.file"), plain(data.get("source") or data["name"], 200)),
        (t("method.rows"), f"{data['rows']:,}"),
        (t("method.shape"), " × ".join(map(str, data["shape"]))),
        (
            t("method.labels"),
            t("page.comma").join(classes[:40]) + (" …" if len(classes) > 40 else "") if classes else t("page.none"),
        ),
    ]
    if data.get("anomaly") is not None:
        rows.append((t("method.anomaly"), plain(data["anomaly"])))
    if data.get("factors"):
        rows.append((t("method.factors"), t("page.comma").join(plain(name, 28) for name in data["factors"])))
    rows += [
        (t("method.digest"), plain(data["digest"], 80)),
        (t("method.latents"), str(design["latents"])),
        *([(t("method.backbone"), plain(network))] if (network := design.get("backbone", "mlp")) != "mlp" else []),
        *([(t("method.rivals"), names)] if (names := _rivals(design, t)) else []),
        (t("method.seed"), str(design["seed"])),
    ]
    return rows


def _rivals(design: Mapping[str, Any], t: Words) -> str:
    """Which rivals took part, if not all did."""
    asked = design.get("rivals")
    if asked is None:
        return ""
    return t("page.comma").join(t.title(plain(name, 40)) for name in asked) or t("page.none")


def _purposes(duels: Sequence[Contest], t: Words) -> Grid:
    heads = [("", []), *((t("method." + key), list[str]()) for key in ("metric", "rope", "criterion"))]
    rows = []
    for duel in duels:
        metric = t.name("metrics", duel.verdict.metric)
        cells = [
            Cell(f"{metric} ({tables.direction(duel.higher, t)})", relation="text"),
            Cell(tables.rope(duel)),
            Cell(t.name("sees", duel.verdict.facet, BLANK), relation="text"),
        ]
        rows.append(Row(t.name("facets", duel.verdict.facet), cells))
    return Grid(t("method.purposes"), heads, rows)


def _warnings(
    design: Mapping[str, Any], records: Sequence[Record], damaged: int, t: Words, shown: Mapping[str, str]
) -> list[str]:
    found = [t("method.damaged", n=damaged)] if damaged else []
    most = max((r["sizes"].get("constant", 0) for r in records), default=0)
    if most:
        found.append(t("method.constant", n=f"{most:,}"))
    outliers = [r["job"]["left_out"] or [] for r in records]
    left = {name: None for one in outliers for name in ([one] if isinstance(one, str) else one)}
    if left:
        found.append(t("method.left_out", names=t("page.comma").join(plain(name, 28) for name in left)))
    if not design["data"].get("classes", ()):
        found += [t(f"unlabelled.{f}") for f in design["facets"] if FACETS[f].unlabelled_caveat]
    if share := design.get("contamination"):
        found.append(t("method.contaminated", share=f"{share:.3g}"))
    if (few := design.get("few")) is not None:
        found.append(t("method.known", n=few))
    rivals = [r for r in records if r["job"]["kind"] == "rival" and r["status"] == "ok"]
    bound = dict.fromkeys(r["job"]["name"] for r in rivals if r["message"])
    if bound:
        found.append(t("method.bounded", names=t("page.comma").join(shown[name] for name in bound)))
    ends = [config["status"] for r in records if (config := chosen(r)) is not None]
    if "cut" in ends:
        found.append(t("method.cut", n=ends.count("cut"), total=len(ends)))
    found += _lowered(records, t, shown)
    if design["replicates"] < FEW:
        found.append(t("method.few", n=design["replicates"]))
    return found


def _lowered(records: Sequence[Record], t: Words, shown: Mapping[str, str]) -> list[str]:
    """Whose trainings failed at the learning rate that was asked and were done again at a lower one, a line each."""
    parts: dict[str, list[int]] = {}
    for r in records:
        for config in r["configs"]:
            if config.get("lowered_from"):
                parts.setdefault(r["job"]["name"], []).append(round(config["lowered_from"] / config["learning_rate"]))
    totals = {name: sum(len(r["configs"]) for r in records if r["job"]["name"] == name) for name in parts}
    return [
        t(
            "method.lowered",
            name=shown[name],
            n=len(some),
            total=totals[name],
            shares=t("page.comma").join(f"1/{part}" for part in sorted(set(some))),
        )
        for name, some in parts.items()
    ]


def _failures(records: Sequence[Record], t: Words, shown: Mapping[str, str]) -> Grid | None:
    rows = []
    for r in records:
        if r["status"] != "ok":
            job = r["job"]
            where = [t("method.replicate", n=job["replicate"] + 1)]
            where += [t.name("facets", job["facet"])] if job["facet"] else []
            name = shown[job["name"]] + t("page.comma") + t("page.comma").join(where)
            cells = [Cell(t.name("status", r["status"])), Cell(plain(r["message"], 400) or BLANK, relation="text")]
            rows.append(Row(name, cells))
    heads = [(t("method.failure"), list[str]()), (t("tuning.status"), []), (t("method.message"), [])]
    return Grid(t("method.failures"), heads, rows) if rows else None


def _count(rows: int | None) -> str:
    return BLANK if rows is None else f"{rows:,}"


def _recipe(configs: Sequence[Mapping[str, Any]]) -> str:
    recipe = configs[0]["recipe"]
    return plain(", ".join(f"{k}={_value(v)}" for k, v in recipe.items() if k != "family"), 600)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
