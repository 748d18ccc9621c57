"""What a checkpoint costs: seconds and bytes of a write, and its share of the training at a write every ``--every`` s.

python benchmarks/checkpoint.py [--every 5]
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from isthmus.families import named
from isthmus.train.checkpoint import Checkpoint, Keeper
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.task import Task

CASES = {  # family, its fields, columns, batch, steps
    "vae, 64 columns": ("vae", {"hidden": (64,), "latents": 8}, 64, 64, 20_000),
    "plain, 784 columns, 512-256": ("plain", {"hidden": (512, 256), "latents": 32}, 784, 128, 1_500),
    "topk, 768 columns, 4,096 units": ("topk", {"latents": 4096, "k": 25}, 768, 256, 120),
}


def measured(family: str, fields: dict[str, Any], columns: int, batch: int, steps: int, every: float) -> str:
    """One line of the table."""
    rows = torch.tensor(np.random.default_rng(0).normal(size=(4000, columns)), dtype=torch.float32)
    recipe = named(family).set_params(**fields)
    plan = Plan(steps=steps, batch=batch, schedule="cosine", check=50).of(recipe)
    one = Task(recipe, recipe.build((columns,), "gaussian", number=0), rows[:3600], rows[3600:], plan, 0)
    with tempfile.TemporaryDirectory() as place:
        keeper, sizes = Keeper(Checkpoint(path := Path(place, "kept"), every), [one]), [0]
        began = time.perf_counter()
        train([one], lambda _: sizes.append(path.stat().st_size if path.exists() else 0), keeper)
        took = time.perf_counter() - began
    weights = sum(p.numel() for p in one.model.parameters())
    each, share = keeper.seconds / keeper.written, keeper.seconds / took
    return f"{weights:10,} {max(sizes):12,} {keeper.written:6} {each:9.3f} {share:7.2%}"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--every", type=float, default=5.0, help="seconds between two writes")
    every = options.parse_args().every
    torch.set_num_threads(1)
    print(f"{'':32} {'weights':>10} {'bytes':>12} {'writes':>6} {'s a write':>9} {'share':>7}")
    for name, case in CASES.items():
        print(f"{name:32} {measured(*case, every)}", flush=True)


if __name__ == "__main__":
    main()
