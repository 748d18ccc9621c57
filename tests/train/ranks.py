"""What each rank does in ``test_several_ranks.py``: families trained by it and its like; who saw what."""

import json
from pathlib import Path

import torch
from sklearn.datasets import load_digits

from isthmus.families import named
from isthmus.train import ranks
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.stack import Stack
from isthmus.train.task import Task

NAMES = ("plain", "topk", "batchtopk", "vae", "vq", "contractive")
MORE = {"vae": {"corruption": "mask", "corruption_level": 0.2}, "plain": {"corruption": "salt"}}


def losses(name: str, group: ranks.Ranks | None = None) -> tuple[list[float], list[list[int]]]:
    """The validation losses of a training, and the rows of its steps."""
    rows = torch.tensor(load_digits().data[:500] / 16, dtype=torch.float32)
    recipe = named(name).set_params(**MORE.get(name, {}))
    plan = Plan(steps=50, batch=32, check=10, drops=9).of(recipe)
    seen: list[list[int]] = []
    own = Stack.step

    def step(stack, numbers, *args, **more):
        seen.append(numbers.tolist())
        own(stack, numbers, *args, **more)

    Stack.step = step
    try:
        model = recipe.build((64,), "bernoulli", number=5)
        (outcome,) = train([Task(recipe, model, rows[:400], rows[400:], plan, 5)], ranks=group)
    finally:
        Stack.step = own
    return outcome.history["valid"], seen


def rank(folder: Path) -> None:
    """Train all families with the other ranks, and tell of it in a file."""
    with ranks.joined() as group:
        found = {name: losses(name, group) for name in NAMES}
        Path(folder, f"{group.rank}.json").write_text(json.dumps(found))
