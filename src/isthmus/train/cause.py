"""Why a training left the finite numbers: which step, which term of the loss, which element of a row.

The loop looks at its numbers every ``Plan.check`` steps; by then one infinity has spread to all of them. So a training
that diverged is run again, alone, from its first weights, with the same rows and the same noise, and this time every
step is looked at. A training that stays finite pays nothing for it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.data.corrupt import corrupt
from isthmus.dispatch import tree_map
from isthmus.seeds import seed
from isthmus.train.stack import Stack, free
from isthmus.train.task import Task

FAR = 1e3
"""Scaled values beyond this are what no scaler leaves in its own training rows (sqrt(N) at most), and squared they
drown a row."""


class Cause(NamedTuple):
    """Where a training left the finite numbers, or what rose."""

    how: str
    """value: a term of a training batch was not finite; gradient: the term was finite and its gradient was not;
    validation: only the validation rows gave a number that is not finite; rise: all is finite, and ten times worse than
    it was at the start."""
    step: int
    """Optimiser steps before it."""
    term: str
    """The first term of the loss that it touched."""
    column: int | None
    """The element of a row that stands out: not finite, or beyond ``FAR``; None if none does."""


def explain(task: Task, first: Sequence[Tensor], history: Mapping[str, Sequence[float]]) -> Cause:
    """Why the training of ``task``, whose ``history`` ends in divergence, went wrong; ``first`` are its first weights.

    Costs the steps of that training once more if a training batch was not finite, else nothing.
    """
    steps, terms = int(history["step"][-1]), list(task.model.weights)
    trained, held = history["train"][-1], history["valid"][-1]
    if steps and not (math.isfinite(trained) and math.isfinite(held)):
        stood = None if task.stream is None else task.stream.mark()
        found = _again(task, first, history)
        if task.stream is not None and stood is not None:
            task.stream.rewind(stood)  # others of its stack go on
        if found is not None:
            return found
    column = next((c for rows in (task.valid, task.train) if (c := standing_out(rows)) is not None), None)
    for term in terms:
        if not math.isfinite(history[f"valid/{term}"][-1]):
            return Cause("validation", steps, term, column)
    start = {term: history[f"valid/{term}"][0] for term in terms}
    rose = max(terms, key=lambda term: abs(history[f"valid/{term}"][-1]) - abs(start[term]))
    bound = history["valid"][0] + 9 * abs(history["valid"][0])
    late = next((s for s, v in zip(history["step"], history["valid"], strict=True) if not v <= bound), steps)
    return Cause("rise", int(late), rose, column)


def standing_out(rows: Tensor) -> int | None:
    """The first element of a row, flat, that is not finite somewhere, else the farthest one beyond ``FAR``, else None.

    Examples
    --------
    >>> standing_out(torch.tensor([[0.0, 1.0], [0.0, math.nan]])), standing_out(torch.ones(3, 2))
    (1, None)
    """
    size = rows.flatten(1).abs()
    broken = ~size.isfinite().all(0)
    if broken.any():
        return int(broken.int().argmax())
    far = size.amax(0)
    return int(far.argmax()) if float(far.max()) > FAR else None


def _again(task: Task, first: Sequence[Tensor], history: Mapping[str, Sequence[float]]) -> Cause | None:
    """The same training, looked at after every step; None if all its batches give finite numbers."""
    plan, model = task.plan, copy.deepcopy(task.model)
    stack = Stack(
        [model],
        corruption=task.recipe.corruption,
        levels=[task.recipe.corruption_level],
        generators=[torch.Generator().manual_seed(seed(task.seed, "noise"))],
        rows=task.gathered,
        batch=plan.batch,
        weight_decay=plan.weight_decay,
        clip=plan.clip,
        precision=plan.precision,
    )
    stack.restore(0, first)
    order, step = task.order(), 0
    for before, after in zip(range(len(history["step"]) - 1), range(1, len(history["step"])), strict=True):
        count = int(history["step"][after] - history["step"][before])
        share = plan.rate(int(history["step"][after]))  # 0 at the end of a cosine, which has no drops
        rate = history["learning_rate"][after] / share if share else plan.step_size(task.recipe)
        for numbers in order.take(count * plan.batch).view(count, plan.batch):
            good = stack.snapshot(0)
            stack.step(numbers, task.done(step), [rate * plan.rate(step)])
            values = dict(zip(stack.terms, stack.means()[0], strict=True))
            column = standing_out(stack.batch[0][0])
            for term, value in values.items():
                if not math.isfinite(value):
                    return Cause("value", step, term, column)
            if not bool(stack.state.isfinite().all()):
                stack.restore(0, good)
                return Cause("gradient", step, _steepest(stack), column)
            step += 1
    return None


def _steepest(stack: Stack) -> str:
    """The first term whose gradient, for the batch and the noise that the stack holds, is not finite."""
    model, noise = stack.models[0], tree_map(lambda t: t[0], stack.noise)
    clean, target = stack.batch[0][0], stack.batch[-1][0]
    kind = stack.corruption
    x = corrupt(kind, clean, noise["corruption"], stack.levels[0]) if "corruption" in noise else clean
    largest: dict[str, float] = {}
    for term, pull in pulls(model, x, target, noise.get("model")).items():
        size = sum(float(g.double().square().sum()) for g in pull.values())
        if not math.isfinite(size):
            return term
        largest[term] = size
    return max(largest, key=lambda term: largest[term])


def pulls(model: Any, x: Tensor, target: Tensor, noise: Any) -> dict[str, dict[str, Tensor]]:
    """The gradient of every term by itself, unweighted: term -> parameter -> tensor; who gets none is not listed."""
    own = free(model)
    with torch.enable_grad():
        terms = model(x, target, noise).terms
        found = {}
        for name in model.weights:
            asked = list(own.values()) if terms[name].requires_grad else []
            gradients = torch.autograd.grad(terms[name], asked, retain_graph=True, allow_unused=True) if asked else []
            found[name] = {p: g for p, g in zip(own, gradients, strict=bool(asked)) if g is not None}
    return found
