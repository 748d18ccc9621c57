"""Recipes that differ in a field, and numbers that tell whether it matters."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

import torch
from torch import Tensor

from isthmus.data.corrupt import corrupt
from isthmus.data.corrupt import draw as draw_corruption
from isthmus.errors import BadInput
from isthmus.model import Model, Recipe
from isthmus.parts.heads import Slot, TableHead
from isthmus.testing.bench import Shape, made, rows, train


class Fingerprints:
    """Numbers that two recipes share only if they do the same, on rows of one shape; each is made once, when asked for.

    The cheapest come first: codes and reconstructions of the start, then a few steps' losses, then what these ended at.
    """

    def __init__(self, shape: Shape, head: str) -> None:
        self.shape, self.head = shape, head
        self._known: dict[str, tuple[list[list[float]], Iterator[list[float]]]] = {}

    def alike(self, one: Recipe, other: Recipe) -> bool:
        """Whether two recipes do the same. Ends at the first difference."""
        return all(mine == theirs for mine, theirs in zip(self._of(one), self._of(other), strict=True))

    def _of(self, recipe: Recipe) -> Iterator[list[float]]:
        name = json.dumps(recipe.to_json())
        told, rest = self._known.setdefault(name, ([], self._made(dataclasses.replace(recipe))))
        for i in count():
            if i == len(told):
                told += islice(rest, 1)
            if i == len(told):
                return
            yield told[i]

    def _made(self, recipe: Recipe) -> Iterator[list[float]]:
        x = rows(self.shape, 12)
        model = made(recipe, x, self.head)

        def corrupted(i: int) -> Tensor:
            drawn = draw_corruption(recipe.corruption, x.shape, torch.Generator().manual_seed(i))
            return x if drawn is None else corrupt(recipe.corruption, x, drawn, torch.tensor(recipe.corruption_level))

        yield _codes(model, x)
        yield train(model, x, steps=4, rate=0.01, corruption=corrupted)
        silent = x[:1]  # what fires on other rows only stays silent, and may count as dead
        yield [*train(model, silent, steps=3, rate=0.01), *_codes(model, x)]
        yield self._with_gaps(recipe)

    def _with_gaps(self, recipe: Recipe) -> list[float]:
        """The losses of a few steps on rows whose first cell may be missing; none where rows are not flat."""
        if len(self.shape) != 1 or self.shape[0] < 3:
            return []
        x, gone = rows(self.shape, 12), torch.arange(12) % 4 == 0
        x[:, 1] = gone.float() - 0.25
        x[gone, 0] = 0.0
        slots = [Slot("number", 0, 1, (), 1.0, 1, 0.25)]
        slots += [Slot("number", i, i + 1, (), 1.0, None, 0.0) for i in range(2, self.shape[0])]
        try:
            return train(made(recipe, x, TableHead(slots)), x, steps=4, rate=0.01)
        except BadInput:  # a family, or a head, that takes no gaps
            return []


def _codes(model: Model, x: Tensor) -> list[float]:
    with torch.no_grad():
        z = model.encode(x)
        return [*z.flatten().tolist(), *model.decode(z).flatten().tolist()]


def changed(recipe: Recipe, fields: dict[str, Any], shape: Shape = (4,)) -> Recipe | None:
    """A copy with other values in these fields, or None if the recipe refuses them."""
    other = dataclasses.replace(recipe, **fields)
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
    others = [dataclasses.replace(recipe), dataclasses.replace(recipe)]
    for name in (f.name for f in dataclasses.fields(recipe) if f.metadata["stacks"]):
        alike = (v for v in proposals(recipe, name) if _alike(recipe, name, v))
        values = list(islice(alike, 2))
        for other, value in zip(others, values * 2, strict=False):
            other.set_params(**{name: value})
    return [recipe, *others]


def _alike(recipe: Recipe, name: str, value: Any) -> bool:
    """Whether the recipe takes a value for a field, and keeps its structure."""
    same = dataclasses.replace(recipe, **{name: value}).structure() == recipe.structure()
    return same and changed(recipe, {name: value}) is not None
