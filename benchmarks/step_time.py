"""Step time of every gradient family, one model at a time: the engine against a plain PyTorch loop of the same network.

Both train the same recipe on the same rows in the same order for the same number of steps. The loop is what one writes
by hand: batches by index, ``forward``, ``backward``, ``torch.optim.Adam`` (as it comes, and with its fused kernel). The
engine's time holds the recording of its step and its looks at the validation rows before the first and after the last
step. *half* is the engine with ``precision="bfloat16"``. CPU microseconds per step, one thread, medians of turns; a
ratio below 1 means that the first is faster.

    python benchmarks/step_time.py [family ...]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import torch
from clock import table, turns
from rivals import loop

from isthmus.families import FAMILIES, named
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.task import Task

# data width, hidden layers, code width, batch, steps
SIZES = ((64, (), 32, 64, 1000), (64, (128,), 32, 128, 600), (784, (256,), 64, 256, 150))


def contender(
    name: str, size: tuple, run: Callable[[Task], object], precision: str = "float32"
) -> Callable[[], Callable[[], object]]:
    """A fresh task of a family, ready to be trained."""
    width, hidden, latents, batch, steps = size
    recipe = named(name).set_params(latents=latents, hidden=hidden)
    plan = Plan(steps=steps, batch=batch, learning_rate=1e-3, schedule="constant", check=steps, precision=precision)
    rows = torch.rand(2048, width, generator=torch.Generator().manual_seed(0))

    def ready() -> Callable[[], object]:
        model = recipe.build((width,), "bernoulli", number=0)
        return lambda: run(Task(recipe, model, rows, rows[:256], plan, 0))

    return ready


def main() -> None:
    """A table for all sizes."""
    names = sys.argv[1:] or [n for n in FAMILIES if n != "pca"]
    found = []
    for size in SIZES:
        width, hidden, latents, batch, steps = size
        for name in names:
            seconds = turns(
                {
                    "engine": contender(name, size, lambda task: train([task])),
                    "loop": contender(name, size, loop),
                    "fused": contender(name, size, lambda task: loop(task, fused=True)),
                    "half": contender(name, size, lambda task: train([task]), "bfloat16"),
                },
                rounds=3,
            )
            each = {k: v / steps * 1e6 for k, v in seconds.items()}
            shape = "-".join(map(str, (width, *hidden, latents)))
            ratios = [each["engine"] / each["loop"], each["engine"] / each["fused"], each["half"] / each["engine"]]
            found.append([shape, batch, name, *(round(v) for v in each.values()), *(f"{r:.2f}" for r in ratios)])
            print(*found[-1], file=sys.stderr, flush=True)
    head = ["network", "batch", "family", "engine us", "loop us", "fused loop us", "half us"]
    table([*head, "to loop", "to fused loop", "half to engine"], found)


if __name__ == "__main__":
    main()
