"""``isthmus list``: what there is to choose from."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import typer

from isthmus.cli import show
from isthmus.cli.options import Debug, Json

Kind = Literal["families", "facets", "metrics", "datasets", "plan"]
Rows = list[dict[str, Any]]


def catalogue(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="families, facets, metrics, datasets or plan.")],
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show all details of this one.")] = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List families, facets, metrics, bundled data sets, or the fields of the training plan.

    [bold]isthmus list families[/bold]

    [bold]isthmus list families topk[/bold] shows the fields that --set takes.
    """
    lists = {"families": _families, "facets": _facets, "metrics": _metrics, "datasets": _datasets, "plan": _plan}
    found = lists[kind]()
    if name is not None:
        found = [_one(kind, name, found)]
    if json:
        show.machine({kind: found})
    elif name is not None:
        _details(found[0])
    elif kind == "plan":
        _table(found)
    else:
        heads = {"name": kind[:-1] if kind != "families" else "family", "camp": "camp", "about": "about"}
        heads = {key: head for key, head in heads.items() if key in found[0]}
        show.table(list(heads.values()), [[row[key] for key in heads] for row in found], words=len(heads))


def _one(kind: str, name: str, found: Rows) -> dict[str, Any]:
    import difflib

    from isthmus.errors import BadInput

    by_name = {row["name"]: row for row in found}
    if name not in by_name:
        close = difflib.get_close_matches(name, by_name, n=2, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"choose one of {', '.join(by_name)}"
        raise BadInput(f"nothing called {name!r} among the {kind}: {hint}")
    return by_name[name]


def _details(row: dict[str, Any]) -> None:
    """Everything about one: its plain entries, then its fields as a table."""
    plain = {key: value for key, value in row.items() if key != "fields" and value not in (None, "", [])}
    for key, value in plain.items():
        show.line(f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    if fields := row.get("fields"):
        show.line()
        _table(fields)


def _table(fields: Rows) -> None:
    """What ``--set`` takes."""
    heads = {"name": "field", "default": "default", "takes": "takes", "search": "tuned within", "about": "meaning"}
    heads = {key: head for key, head in heads.items() if key in fields[0]}
    lines = [[_spell(f[key]) if key == "default" else f[key] or "" for key in heads] for f in fields]
    show.table(list(heads.values()), lines, words=len(heads))


def _spell(value: Any) -> str:
    """A default as ``--set`` would take it."""
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _families() -> Rows:
    from isthmus.families import ABOUT, DEFAULT, FAMILIES

    return [
        {
            "name": name,
            "camp": recipe.camp,
            "about": ABOUT[name],
            "wants": recipe.wants,
            "in a default study": "yes" if name in DEFAULT else "no",
            "fields": [_tuned(recipe, f) for f in dataclasses.fields(recipe)],
        }
        for name, recipe in FAMILIES.items()
    ]


def _plan() -> Rows:
    from isthmus.train.plan import Plan

    plan = Plan()
    return [_field(plan, f, dataclasses.asdict(plan)) for f in dataclasses.fields(plan)]


def _field(made: Any, field: Any, values: dict[str, Any]) -> dict[str, Any]:
    from isthmus.model import takes

    need = field.metadata["only"]
    about = field.metadata["text"] + (f" Only where {need.words}." if need else "")
    return {"name": field.name, "default": values[field.name], "takes": takes(made, field), "about": about}


def _tuned(recipe: Any, field: Any) -> dict[str, Any]:
    span = recipe.space().get(field.name)
    search = None if span is None else f"{span.low:g} to {span.high:g}{', log' if span.log else ''}"
    return {**_field(recipe, field, recipe.to_json()), "search": search}


def _facets() -> Rows:
    from isthmus.facets import FACETS

    return [
        {
            "name": facet.name,
            "about": facet.question,
            "decided by": facet.primary,
            "rivals": ["pca", *facet.rivals],
            "trained on": "rows without the anomalies" if facet.view == "normal" else "all training rows",
            "needs labels": "yes" if facet.labels and not facet.unlabelled else "no",
            "needs known factors": "yes" if facet.factors else "no",
            "needs the features that made the rows": "yes" if facet.truth else "no",
            **({"needs gaps or columns of several kinds": "yes"} if facet.tables else {}),
            **({"without labels decided by": facet.unlabelled} if facet.unlabelled else {}),
            **({"of columns of several kinds decided by": one} if (one := facet.decided.get("table")) else {}),
            **({"of counts decided by": one} if (one := facet.decided.get("counts")) else {}),
            "tuning sees": facet.sees,
        }
        for facet in FACETS.values()
    ]


def _metrics() -> Rows:
    from isthmus.metrics import METRICS

    better = {True: "higher", False: "lower", None: "neither"}
    return [
        {
            "name": metric.name,
            "about": metric.title,
            "better": better[metric.higher],
            "unit": metric.unit,
            "practically equal within": f"{metric.rope:.0%} of the value" if metric.relative else metric.rope,
            "definition": metric.citation,
            "version": metric.version,
        }
        for metric in METRICS.values()
    ]


def _datasets() -> Rows:
    from isthmus.data.read import DATASETS

    return [{"name": name, "about": about} for name, about in DATASETS.items()]
