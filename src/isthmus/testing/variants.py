"""Recipes that differ in a field, and numbers that tell whether it matters."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor

from isthmus.data.corrupt import corrupt
from isthmus.data.corrupt import draw as draw_corruption
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.testing.bench import Shape, made, rows, train


def fingerprint(recipe: Recipe, shape: Shape, head: str) -> list[float]:
    """Numbers that two recipes share only if they do the same: a few steps' losses, then codes and reconstructions."""
    x = rows(shape, 12)
    model = made(recipe, x, head)

    def corrupted(i: int) -> Tensor:
        drawn = draw_corruption(recipe.corruption, x.shape, torch.Generator().manual_seed(i))
        return x if drawn is None else corrupt(recipe.corruption, x, drawn, torch.tensor(recipe.corruption_level))

    losses = train(model, x, steps=4, rate=0.01, corruption=corrupted)
    losses += train(model, x[:1], steps=3, rate=0.01)  # what fires elsewhere stays silent, and may count as dead
    with torch.no_grad():
        z = model.encode(x)
        return [*losses, *z.flatten().tolist(), *model.decode(z).flatten().tolist()]


def changed(recipe: Recipe, fields: dict[str, Any], shape: Shape = (4,)) -> Recipe | None:
    """A copy with other values in these fields, or None if the recipe refuses them."""
    other = clone(recipe).set_params(**fields)
    try:
        other.build(shape, "bernoulli")
    except BadInput:
        return None
    return other


def alternatives(recipe: Recipe, name: str, shape: Shape = (4,)) -> list[Any]:
    """Other values that the recipe accepts for a field, on rows of ``shape``."""
    return [v for v in proposals(recipe, name) if changed(recipe, {name: v}, shape) is not None]


def proposals(recipe: Recipe, name: str) -> list[Any]:
    """Other values for a field: from its search range, its type, the least it may be, the words of its help text."""
    field = next(f for f in dataclasses.fields(recipe) if f.name == name)
    value = getattr(recipe, name)
    found: list[Any] = [field.metadata["search"].at(u) for u in (0.1, 0.9)] if field.metadata["search"] else []
    if isinstance(value, bool):
        found += [not value]
    elif isinstance(value, int):
        found += [value + 1, 1, value * 2]
    elif isinstance(value, float):
        least = field.metadata["bounds"].low
        found += [value / 2, value + 0.4, value + 2.0, *([] if least is None else [least])]
    elif isinstance(value, str):
        found += re.findall(r"\w+", field.metadata["text"])
    elif isinstance(value, tuple):
        found += [(5,), (5, 5)]
    elif value is None:
        found += [1, 2]
    return [v for v in dict.fromkeys(found) if v != value]


def spread(recipe: Recipe) -> list[Recipe]:
    """Three recipes of one structure that differ in every field that stacks."""
    fields = [f.name for f in dataclasses.fields(recipe) if f.metadata["stacks"]]
    others = []
    for pick in (0, 1):
        other = clone(recipe)
        for name in fields:
            values = alternatives(recipe, name)
            same = [v for v in values if clone(recipe).set_params(**{name: v}).structure() == recipe.structure()]
            if same:
                other.set_params(**{name: same[pick % len(same)]})
        others.append(other)
    return [recipe, *others]
