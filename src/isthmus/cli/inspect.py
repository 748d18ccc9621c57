"""``isthmus inspect``: what is inside a saved model."""

from __future__ import annotations

from typing import Any

from isthmus.cli import ends, show
from isthmus.cli.options import Debug, Json
from isthmus.cli.stream import Model

SHOWN = 20
"""Columns that are listed for people."""
VALUES = 3
"""Values of a category that are."""


def inspect(model: Model, json: Json = False, debug: Debug = False) -> int:
    """Say what is inside a saved model: files, recipe, columns, threshold, what it was counted on, where it comes from.

    [bold]isthmus inspect model[/bold]

    Every file is checked against its hash and read, so a model that is listed is whole. A row of the training data is
    not among what is saved.
    """
    from isthmus.ship.contents import contents

    found = contents(model)
    if json:
        show.machine(found)
        return ends.DONE
    for name, text in _lines(found).items():
        show.say(f"{name + ':':<13} {text}", indent=14)
    show.line()
    show.table(
        ["file", "bytes", "SHA-256"],
        [[one["name"], f"{one['bytes']:,}", one["sha256"][:16] + "…"] for one in found["members"]],
    )
    show.line()
    show.table(["column", "kind", "gaps", "values"], [_column(one) for one in found["columns"][:SHOWN]], words=4)
    if (more := len(found["columns"]) - SHOWN) > 0:
        show.line(f"… and {more:,} more (--json lists them)")
    return ends.DONE


def _lines(found: dict[str, Any]) -> dict[str, str]:
    """What is told of a model, a line each."""
    recipe = dict(found["recipe"])
    family = recipe.pop("family")
    shape = "×".join(map(str, found["shape"]))
    code = "no codes" if found["latents"] is None else f"code of {found['latents']}"
    own, known, ended = found["calibration"], found["reference"], (found["training"] or {}).get("outcome")
    scores = {
        "score": "the network's own" if found["score"] is None else _places(found["score"]["places"]),
        "threshold": "none: no calibration rows" if own is None else _threshold(own),
        **({} if found["gaps"] is None else {"gaps": _gaps(found["gaps"])}),
        "reference": "none: monitor needs --against"
        if known is None
        else "; ".join(
            f"{one['watched']:,} {_plural(group, one['watched'])} of {one['rows']:,} rows"
            for group, one in known.items()
        ),
    }
    return {
        "model": f"{family}, {found['parameters']:,} parameters, {code}, format {found['format']}"
        + ", a single file" * (found["form"] == "file"),
        "recipe": ", ".join(f"{name}={_value(value)}" for name, value in recipe.items()) or "none",
        "rows": f"{shape} {'columns' if len(found['shape']) == 1 else 'elements'}, head {found['head']}",
        "predicts": "its own rows" if found["predicts"] is None else f"a target of shape {found['predicts']}",
        **(scores if found["alone"] is None else {"new rows": found["alone"]}),
        **({} if found["draws"] is None else {"new rows": _draws(found["draws"])}),
        "comes from": "not told" if found["origin"] is None else _origin(found["origin"]),
        **({} if ended is None else {"training": f"{ended['status']} after {ended['steps']:,} steps"}),
        "made by": ", ".join(f"{name} {version}" for name, version in found["versions"].items()),
    }


def _draws(draws: dict[str, Any]) -> str:
    """How new rows are drawn, and what is kept for it."""
    mixture = f"a mixture of {draws['components']} normal distributions of codes"
    told = "the family's prior" if draws["codes"] == "prior" else mixture
    told += ", with the noise that a decoder leaves out" if draws["noisy"] else ""
    if kept := draws["columns"]:
        sizes = {one["real"] for one in kept}
        told += f"; {f'up to {max(sizes):,}' if len(sizes) > 1 else f'{max(sizes):,}'} values of each of "
        told += f"{len(kept)} {'columns' if len(kept) > 1 else 'column'} of numbers are kept, and no row"
    return told


def _origin(origin: dict[str, Any]) -> str:
    told = f"{origin['rows']:,} rows of {origin['data'] or 'data without a name'}"
    told += f", SHA-256 {origin['digest'][:16]}…" if origin["digest"] else ""
    measured = [f"{one['metric']} {one['value']:.3g}" for one in origin["measured"]]
    return "; ".join([told, *([f"chosen for {origin['purpose']}"] if origin["purpose"] else []), *measured])


def _places(count: int) -> str:
    return f"distances to {count:,} places between training rows, none of which is a row"


def _threshold(own: dict[str, Any]) -> str:
    told = f"{own['threshold']:.6g} at a false-alarm rate of {own['rate']:g}"
    return f"{told}, from {own['rows']:,} rows: {own['about']}"


def _gaps(gaps: list[dict[str, Any]]) -> str:
    """By what intervals of gaps are told."""
    cells, rows = sum(one["cells"] for one in gaps), [one["rows"] for one in gaps]
    few = f"{min(rows):,}" if min(rows) == max(rows) else f"{min(rows):,} to {max(rows):,}"
    told = f"intervals of {len(gaps):,} {_plural('column', len(gaps))}"
    return f"{told}, from {cells:,} hidden cells, of {few} rows a column"


def _plural(group: str, count: int) -> str:
    return group if count == 1 else f"{group}s"


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _column(one: dict[str, Any]) -> list[str]:
    values = ", ".join(one["values"][:VALUES]) + (f" … ({len(one['values'])})" if len(one["values"]) > VALUES else "")
    return [one["name"], one["kind"], "yes" if one["gaps"] else "no", values or show.BLANK]
