"""What a model answers, and what a request to it looks like: for people, and as OpenAPI has it."""

from __future__ import annotations

from typing import Any

from isthmus.errors import BadInput
from isthmus.rivals.rival import Drawing, Rival
from isthmus.ship import verbs
from isthmus.ship.deployed import Deployed

JSON, CSV = "application/json", "text/csv"


def offered(model: Deployed) -> dict[str, str]:
    """The verbs that a model can answer, and what each says; one that only draws rows is refused."""
    if isinstance(model.model, Drawing):
        raise BadInput(model.model.alone)
    offered: dict[str, str] = {}
    if not isinstance(model.model, Rival):
        offered = {"encode": "The code of each row", "reconstruct": "What the model makes of each row"}
        offered["decode"] = "The rows that codes stand for"
    if model.target_layout is None:
        offered["score"] = "How unlike the training rows each row is"
        if model.calibration is not None:
            offered["flag"] = "Which rows are odd, at a stated rate of false alarms"
    return offered


def columns(model: Deployed) -> list[dict[str, Any]]:
    """The columns of a table, or the channels of a series; none of pictures, whose rows are lists of numbers."""
    if len(model.shape) > 1 and model.series is None:
        return []
    gaps = bool(model.fields)  # else rows with a gap have no answer
    return [{"name": field.name, "kind": field.kind, "gaps": field.gaps and gaps} for field in verbs.wanted(model)]


def beside(model: Deployed) -> tuple[str, ...]:
    """Columns that a series needs besides its channels."""
    return () if model.series is None else model.series.beside


TYPES = {"number": "number", "amount": "number", "count": "integer", "flag": "boolean", "category": "string"}
"""What a cell of a kind is in JSON, as a rule; others are texts."""


def schema(model: Deployed, verb: str) -> dict[str, Any]:
    """What OpenAPI says of a request: the columns of this very model."""
    fields = verbs.codes(model) if verb == "decode" else verbs.wanted(model) if columns(model) else ()
    if fields:
        cells: dict[str, Any] = {}
        for name in beside(model):
            cells[name] = {
                "type": ["string", "number"],
                "description": "when a step was taken, or of which series it is",
            }
        for field in fields:
            cells[field.name] = {"type": [TYPES.get(field.kind, "string"), "null"], "description": field.kind}
            if field.values:
                cells[field.name] = {"type": ["string", "number", "boolean", "null"], "examples": [*field.values[:5]]}
        row: dict[str, Any] = {"type": "object", "properties": cells}
    else:
        row = {"type": "array", "description": f"numbers of shape {model.shape}"}
    body = {"type": "object", "properties": {"rows": {"type": "array", "items": row}}, "required": ["rows"]}
    said: dict[str, Any] = {"requestBody": {"required": True, "content": {JSON: {"schema": body}}}}
    if fields:
        said["requestBody"]["content"][CSV] = {"schema": {"type": "string"}}
    if verb == "flag":
        said["parameters"] = [{"name": "rate", "in": "query", "required": False, "schema": {"type": "number"}}]
    return said
