"""Stack or loop? R models in one stack against one after the other, and the ten-seed study against code by hand.

First table: CPU microseconds per step and model for stacks of R, next to the engine training models one at a time and
to a plain PyTorch loop, for several sizes; work is parameters x rows of a batch. It grounds ``STACK_BELOW`` and
``WIDEST`` in ``isthmus.train.loop``. Second table: wall milliseconds per step of one stack with one and two threads,
which grounds ``THREADS_ABOVE`` (it needs an idle machine). Third: 10 seeds of 64-32-64 (relu, squared error) on the
digits, 750 steps of batch 128 each, against a stacked step with its gradient by hand and a plain loop; the engine's
weights and those by hand are compared at the end.

    python benchmarks/stack.py [widths] [threads] [seeds]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import torch
from clock import table, turns
from rivals import Stacked, loop
from sklearn.datasets import load_digits

from isthmus.families import named
from isthmus.train import loop as engine
from isthmus.train.plan import Plan
from isthmus.train.task import Task

WIDTHS = (1, 3, 6, 10, 20)
SIZES = ((16, (), 8, 32), (64, (), 32, 64), (64, (), 32, 256), (64, (128,), 32, 64), (64, (128,), 32, 256))
SIZES += ((256, (128,), 32, 128), (256, (256,), 64, 256), (784, (256,), 64, 128))


def tasks(width: int, hidden: tuple[int, ...], latents: int, plan: Plan, count: int) -> list[Task]:
    """Fresh plain autoencoders on random rows, each with its own seed."""
    recipe = named("plain").set_params(latents=latents, hidden=hidden, code_activation="relu", head="gaussian")
    rows = torch.rand(1024, width, generator=torch.Generator().manual_seed(0))
    if width == 64:
        rows = torch.from_numpy(load_digits().data / 16).float()
    models = [recipe.build((width,), "gaussian", number=i) for i in range(count)]
    return [Task(recipe, model, rows, rows[:128], plan, i) for i, model in enumerate(models)]


def together(some: list[Task], widest: int) -> None:
    """Train with the engine, ``widest`` at once whatever their size."""
    engine.STACK_BELOW, engine.WIDEST = 10**15, widest
    engine.train(some)


def contender(count: int, size: tuple, run: Callable[[list[Task]], None]) -> Callable[[], Callable[[], None]]:
    """Fresh models, ready to be trained."""

    def ready() -> Callable[[], None]:
        fresh = tasks(*size, count)
        return lambda: run(fresh)

    return ready


def widths() -> None:
    """The crossover between stack and loop."""
    found = []
    for width, hidden, latents, batch in SIZES:
        work = sum(p.numel() for p in tasks(width, hidden, latents, Plan(), 1)[0].model.parameters()) * batch
        steps = int(min(400, max(40, 4e8 // work)))
        plan = Plan(steps=steps, batch=batch, schedule="constant", check=steps)
        size = (width, hidden, latents, plan)
        contenders = {str(r): contender(r, size, lambda ready: together(ready, len(ready))) for r in WIDTHS}
        contenders |= {"loop": contender(1, size, lambda ready: loop(ready[0]))}
        seconds = turns(contenders, rounds=3)
        each = {name: s / steps / (1 if name == "loop" else int(name)) * 1e6 for name, s in seconds.items()}
        network = "-".join(map(str, (width, *hidden, latents)))
        found.append([network, batch, f"{work / 1e6:.2f}", *(round(v) for v in each.values())])
        print(*found[-1], file=sys.stderr, flush=True)
    table(["network", "batch", "work, million", *(f"R = {r}" for r in WIDTHS), "plain loop"], found)


def threads() -> None:
    """Wall time of a step with one thread and with two."""
    found = []
    engine.THREADS_ABOVE = 0
    for width, hidden, latents, batch in SIZES:
        steps = 60
        plan = Plan(steps=steps, batch=batch, schedule="constant", check=steps)
        work = sum(p.numel() for p in tasks(width, hidden, latents, plan, 1)[0].model.parameters()) * batch
        best = {1: float("inf"), 2: float("inf")}
        for _ in range(4):
            for count, fastest in best.items():
                torch.set_num_threads(count)
                ready = tasks(width, hidden, latents, plan, 1)
                began = time.perf_counter()
                together(ready, 1)
                best[count] = min(fastest, (time.perf_counter() - began) / steps * 1e3)
        network = "-".join(map(str, (width, *hidden, latents)))
        found.append([network, batch, f"{work / 1e6:.2f}", best[1], best[2], f"{best[1] / best[2]:.2f}"])
    table(["network", "batch", "work, million", "1 thread ms", "2 threads ms", "gain"], found)


def seeds() -> None:
    """Ten seeds of one small autoencoder."""
    plan = Plan(steps=750, batch=128, learning_rate=1e-3, schedule="constant", check=750)
    size = (64, (), 32, plan, 10)
    kept: dict[str, list[Task]] = {}

    def ready(name: str):
        kept[name] = tasks(*size)
        if name == "by hand":
            stacked = Stacked(kept[name])
            kept[name] = stacked  # type: ignore[assignment]
            return stacked.train
        if name == "engine":
            return lambda: together(kept[name], 12)
        if name == "engine, one at a time":
            return lambda: together(kept[name], 1)
        return lambda: [loop(t) for t in kept[name]]

    names = ("by hand", "engine", "engine, one at a time", "plain loop")
    seconds = turns({name: (lambda name=name: ready(name)) for name in names}, rounds=5)
    rows = [
        [name, s, f"{s / seconds['by hand']:.2f}", f"{seconds['plain loop'] / s:.1f}"] for name, s in seconds.items()
    ]
    table(["10 seeds x 750 steps", "CPU s", "x by hand", "faster than plain loop"], rows)
    ours = torch.stack([t.model.encoder.layers[0].weight.detach().mT for t in kept["engine"]])
    print("largest difference of a weight, engine and by hand:", float((ours - kept["by hand"].own[0]).abs().max()))


if __name__ == "__main__":
    for part in sys.argv[1:] or ["widths", "threads", "seeds"]:
        {"widths": widths, "threads": threads, "seeds": seeds}[part]()
