"""What each rank does in ``test_spread_units.py``: dictionaries whose units are spread over the ranks."""

import json
from pathlib import Path

import torch
from sklearn.datasets import load_digits

from isthmus.families import named
from isthmus.train import ranks
from isthmus.train.checkpoint import Checkpoint, Keeper, tensors_of
from isthmus.train.loop import Check, train
from isthmus.train.plan import Plan
from isthmus.train.shards import Shards
from isthmus.train.task import Task

CASES = {
    "topk": ("topk", {"latents": 64, "k": 6, "dead_after": 100, "k_aux": 5}),
    "wide topk": ("topk", {"latents": 2048, "k": 8, "dead_after": 300, "k_aux": 40}),
    "batchtopk": ("batchtopk", {"latents": 64, "k": 6, "dead_after": 100, "k_aux": 5}),
}


class Killed(BaseException):
    """Stands for the end of a process."""


def task(case: str) -> Task:
    name, more = CASES[case]
    rows = torch.tensor(load_digits().data[:500] / 16, dtype=torch.float32)
    recipe = named(name).set_params(**more)
    plan = Plan(steps=60, batch=32, check=20, drops=9, clip=0.05).of(recipe)
    return Task(recipe, recipe.build((64,), "gaussian", number=5), rows[:400], rows[400:], plan, 5)


def trained(
    case: str, group: ranks.Ranks | None = None, kept: Path | None = None, until: int | None = None
) -> tuple[dict[str, list[float]], dict[str, torch.Tensor]]:
    """The history of a training and what its model holds; ended at a check, if asked for, as a kill would."""

    def watch(check: Check) -> None:
        if check.step == until:
            raise Killed

    one = task(case)
    keeper = None if kept is None else Keeper(Checkpoint(kept, every=0.0 if until else 1e9), [one], group)
    try:
        (outcome,) = train([one], watch, keeper, group)
    except Killed:
        return {}, {}
    return outcome.history, tensors_of(one.model)


def rank(out: Path) -> None:
    """Train all cases with the other rank, end one training early, and go on with two; files tell of it."""
    with ranks.joined(Shards) as group:
        found = {}
        for case in CASES:
            history, tensors = trained(case, group)
            found[case] = history
            torch.save(tensors, out / f"{case} {group.rank}.pt")
        trained("topk", group, out / "kept of two", until=40)
        found["continued"] = trained("topk", group, out / "kept of one")[0]
        (out / f"{group.rank}.json").write_text(json.dumps(found))
