"""What a rank holds of a dictionary whose units are spread over ranks, and what a step takes.

python benchmarks/shards.py [--units 32768] [--columns 512]
torchrun --nproc-per-node 2 benchmarks/shards.py ...

Memory is that of the process beyond what it has before there is a model, as the system tells it: while steps are taken,
and at most. At most is when the first weights are made, whole on each rank, or while steps are taken.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch
import torch.distributed.tensor  # its own memory is not that of a model

from isthmus.families import named
from isthmus.train.loop import Check, train
from isthmus.train.plan import Plan
from isthmus.train.ranks import joined
from isthmus.train.shards import Shards
from isthmus.train.task import Task


def held(what: str) -> float:
    """MB of this process: VmRSS now, VmHWM at most."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1]) / 1024


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--units", type=int, default=32_768)
    options.add_argument("--columns", type=int, default=512)
    options.add_argument("--passing", type=int, default=32)
    options.add_argument("--batch", type=int, default=256)
    options.add_argument("--steps", type=int, default=8)
    asked = options.parse_args()
    torch.set_num_threads(1)
    rows = torch.randn(1024, asked.columns, generator=torch.Generator().manual_seed(0))
    recipe = named("topk").set_params(latents=asked.units, k=asked.passing)
    plan = Plan(steps=asked.steps, batch=asked.batch, check=asked.steps // 2).of(recipe)
    with joined(Shards if "WORLD_SIZE" in os.environ else None) as ranks:
        before, seen = held("VmRSS"), list[tuple[float, float]]()

        def watch(check: Check) -> None:
            seen.append((time.perf_counter(), held("VmRSS") - before))

        model = recipe.build((asked.columns,), "gaussian", number=1)
        weights = sum(p.numel() for p in model.parameters())
        train([Task(recipe, model, rows[:768], rows[768:], plan, 1)], watch, None, ranks)
        line = {
            "units": asked.units,
            "columns": asked.columns,
            "rank": 0 if ranks is None else ranks.rank,
            "ranks": 1 if ranks is None else ranks.size,
            "weights_mb": round(4 * weights / 2**20),
            "in_steps_mb": round(seen[-1][1]),
            "at_most_mb": round(held("VmHWM") - before),
            "step_s": round((seen[-1][0] - seen[0][0]) / (asked.steps - asked.steps // 2), 2),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
