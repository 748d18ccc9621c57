"""A training is killed after a hundred random steps and goes on, family by family: are the bits those of who was not?

python benchmarks/resume.py [--kills 100] [--streamed 100] [--only plain topk ...] [--out resume.jsonl]

A kill is an error that nothing catches, right after a step: nothing of the training is used again but its file, written
in front of random steps. ``memory`` has its rows in memory. ``streamed`` reads them from a Parquet file, each time with
another number of readers. A line is written when a family has ended, and what stands in the file is not done again.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

from isthmus.data.source import source
from isthmus.families import FAMILIES
from isthmus.train.checkpoint import Checkpoint, Keeper, tensors_of
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan
from isthmus.train.stack import Stack

STEPS = 240
PLAN = Plan(steps=STEPS, batch=16, check=17, patience=100, drops=0)
ROWS = (load_digits().data[:300] / 16).astype(np.float32)


class Killed(BaseException):
    """Caught by nobody."""


def disturbed(
    train: Callable[[Checkpoint], Fitted], place: Path, kills: int, dice: random.Random
) -> tuple[Fitted, int]:
    """Train, killed after so many random steps; the steps that were taken in all."""
    own, ask, taken, kept = Stack.step, Keeper.due, 0, False
    after = set(dice.sample(range(1, STEPS - 1), kills))

    def step(stack: Stack, *given: Any, **more: Any) -> None:
        nonlocal taken, kept
        own(stack, *given, **more)
        if kept:  # and no step of which only memory is measured
            kept, taken = False, taken + 1
            if taken in after:
                raise Killed

    def due(keeper: Keeper) -> bool:
        nonlocal kept
        kept = True
        return dice.random() < 0.7

    Stack.step, Keeper.due = step, due  # type: ignore[method-assign]
    try:
        while True:
            try:
                return train(Checkpoint(place, every=0.0)), taken
            except Killed:
                continue
    finally:
        Stack.step, Keeper.due = own, ask  # type: ignore[method-assign]


def bits(fitted: Fitted) -> tuple[Any, ...]:
    """All that a training left: its weights and what it tells, but for its seconds."""
    weights = {name: t.contiguous().view(-1).view(torch.uint8).tolist() for name, t in tensors_of(fitted.model).items()}
    told = {name: fact for name, fact in vars(fitted.outcome).items() if name != "seconds"}
    return weights, json.dumps(told, default=str)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=100, help="of each family with its rows in memory")
    options.add_argument("--streamed", type=int, default=100, help="of each family with its rows in a file")
    options.add_argument("--only", nargs="*", default=[name for name in FAMILIES if name != "pca"])
    options.add_argument("--out", type=Path, default=Path("resume.jsonl"))
    asked = options.parse_args()
    torch.set_num_threads(1)
    lines = [json.loads(line) for line in asked.out.read_text().splitlines()] if asked.out.exists() else []
    readers = cycle((1, 2, 4))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.parquet")
        columns = {f"x{i}": np.tile(ROWS, (5, 1))[:, i] for i in range(ROWS.shape[1])}
        pq.write_table(pa.table(columns), file, row_group_size=200)
        ways: dict[str, tuple[int, Callable[..., Any]]] = {
            "memory": (asked.kills, lambda recipe, **how: fit(recipe, ROWS, plan=PLAN, images=False, **how)),
            "streamed": (
                asked.streamed,
                lambda recipe, **how: fit(recipe, source(file), plan=PLAN, memory="1GiB", readers=next(readers), **how),
            ),
        }
        for name in asked.only:
            for where, (kills, train) in ways.items():
                if not kills or any((line["family"], line["rows"]) == (name, where) for line in lines):
                    continue
                dice, began = random.Random(f"{name} {where}"), time.process_time()
                whole = train(clone(FAMILIES[name]))
                place = Path(folder, f"{name} {where}")
                found, steps = disturbed(
                    lambda kept, train=train, name=name: train(clone(FAMILIES[name]), checkpoint=kept),
                    place,
                    kills,
                    dice,
                )
                line = {
                    "family": name,
                    "rows": where,
                    "kills": kills,
                    "steps": steps,
                    "of": whole.outcome.steps,
                    "equal": bits(found) == bits(whole),
                    "cpu_s": round(time.process_time() - began, 1),
                }
                lines.append(line)
                print(json.dumps(line), flush=True)
                with asked.out.open("a") as out:
                    out.write(json.dumps(line) + "\n")
    for where in ways:
        chosen = [line for line in lines if line["rows"] == where]
        same = sum(line["equal"] for line in chosen)
        print(f"{where}: {same} of {len(chosen)} families equal after {sum(line['kills'] for line in chosen)} kills")
    raise SystemExit(int(not all(line["equal"] for line in lines)))


if __name__ == "__main__":
    main()
