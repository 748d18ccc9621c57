"""What a GPU makes of the engine: the recipe of SynthSAEBench, workloads W2 to W5, and the best width of a stack.

python benchmarks/gpu.py [--only recipe W2 W3 W4 W5 chunk] [--contenders ours plain bf16 compiled] [--device cuda]
python benchmarks/gpu.py --device cpu --scale 0.02 --seconds 0.1 --compiler aot_eager     # tries it where there is none

A line of JSON for each contender: rows a second on the clock after steps that are not counted, and the share of the
device's own rate of float32 products that the products of the network take (2 x weights x rows forward, twice that
backward; what a sparse step leaves out is counted as if it were done). ``ours`` is the engine's step as ``fit`` takes
it; ``plain`` the same network and loss with ``backward`` and fused Adam by hand, ``bf16`` that under autocast,
``compiled`` that under ``torch.compile`` (whose own compiler takes minutes on a busy processor; ``aot_eager`` traces
the same graphs, and leaves the kernels as they are). The recipe is 768 -> 4,096, k 25, batches of 1,024; SynthSAEBench
publishes 167,000 to 222,000 rows a second on one H100, and the goal is five times the lower one.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from isthmus.errors import BadEnvironment, BadInput
from isthmus.families import named
from isthmus.model import Model, Ramp
from isthmus.train.device import device
from isthmus.train.stack import Stack

PUBLISHED = 167_000
ROWS = 16_384
RATE = 1e-4


class Load(NamedTuple):
    """A workload at full size."""

    family: str
    columns: int
    latents: int
    batch: int
    more: dict[str, Any]
    models: int = 1


LOADS = {
    "recipe": Load("topk", 768, 4096, 1024, {"k": 25}),
    "W2": Load("plain", 784, 64, 256, {"hidden": (256,)}),
    "W3": Load("contractive", 784, 256, 256, {}),
    "W4": Load("topk", 768, 16_384, 4096, {"k": 32}),
    "W5": Load("plain", 64, 32, 128, {}, models=10),
}
CHUNKS = (1, 3, 6, 12, 24, 48)


def built(load: Load, scale: float, count: int) -> tuple[list[Model], Tensor, int]:
    """Models, rows and the size of a batch, all of them made on the processor and scaled down if so asked."""

    def size(full: int) -> int:
        return max(8, round(full * scale))

    more = dict(load.more)
    if "hidden" in more:
        more["hidden"] = tuple(map(size, more["hidden"]))
    if "k" in more:
        more["k"] = max(1, min(more["k"], size(load.latents) // 4))
    recipe = named(load.family).set_params(latents=size(load.latents), **more)
    columns, batch = size(load.columns), size(load.batch)
    rows = torch.randn(max(batch, size(ROWS)), columns, generator=torch.Generator().manual_seed(0))
    models = [recipe.build((columns,), "gaussian", number=number) for number in range(count)]
    for model in models:
        model.start(rows)
    return models, rows, batch


def ours(models: list[Model], rows: Tensor, batch: int) -> Callable[[Tensor], None]:
    """The engine's step."""
    generators = [torch.Generator() for _ in models]
    stack = Stack(
        models, corruption="none", levels=[0.0] * len(models), generators=generators, rows=(rows,), batch=batch
    )
    return lambda numbers: stack.step(numbers, 0.0, [RATE] * len(models), tell=False)


def by_hand(
    models: list[Model], rows: Tensor, batch: int, how: str, compiler: str = "inductor"
) -> Callable[[Tensor], None]:
    """One model after the other, as one writes it."""
    optimisers = [torch.optim.Adam(model.parameters(), lr=RATE, fused=True) for model in models]

    def loss(model: Model, x: Tensor) -> tuple[Tensor, Any]:
        found = model(x, x, None)
        weights = {name: w.end if isinstance(w, Ramp) else w for name, w in model.weights.items()}
        return torch.stack([weights[name] * term for name, term in found.terms.items()]).sum(), found.seen

    run = torch.compile(loss, backend=compiler) if how == "compiled" else loss

    def step(numbers: Tensor) -> None:
        for model, optimiser, own in zip(models, optimisers, numbers.split(batch), strict=True):
            optimiser.zero_grad()
            with torch.autocast(rows.device.type, torch.bfloat16, enabled=how == "bf16"):
                total, seen = run(model, rows[own])
            total.backward()
            optimiser.step()
            with torch.no_grad():
                model.project()
                model.absorb(seen)

    return step


def waited(place: torch.device) -> float:
    """The clock once the device has done what it was given."""
    if place.type != "cpu":
        torch.get_device_module(place).synchronize()
    return time.perf_counter()


def paced(step: Callable[[], Any], place: torch.device, seconds: float) -> float:
    """Seconds of a step, after some that are not counted."""
    for _ in range(3):
        step()
    began, count = waited(place), 0
    while waited(place) - began < seconds or count < 2:
        for _ in range(10):
            step()
        count += 10
    return (waited(place) - began) / count


def products(place: torch.device, scale: float) -> float:
    """Multiply-adds a second of one large float32 product."""
    n = max(64, round(4096 * scale))
    a, b = torch.randn(n, n, device=place), torch.randn(n, n, device=place)
    return n**3 / paced(lambda: a @ b, place, 0.2)


def measured(load: Load, count: int, how: str, place: torch.device, asked: argparse.Namespace) -> dict[str, Any]:
    """One contender on one workload."""
    models, rows, batch = built(load, asked.scale, count)
    rows = rows.to(place)
    for model in models:
        model.to(place)
    step = ours(models, rows, batch) if how == "ours" else by_hand(models, rows, batch, how, asked.compiler)
    draw = torch.Generator().manual_seed(0)
    numbers = [torch.randint(len(rows), (count * batch,), generator=draw).to(place) for _ in range(16)]
    turn = iter(range(10**9))
    each = paced(lambda: step(numbers[next(turn) % 16]), place, asked.seconds)
    weights = sum(p.numel() for p in models[0].parameters())
    return {
        "contender": how,
        "models": count,
        "batch": batch,
        "rows_per_s": round(count * batch / each),
        "share_of_products": round(3 * weights * count * batch / each / products(place, asked.scale), 3),
    }


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="*", choices=[*LOADS, "chunk"], default=[*LOADS, "chunk"])
    options.add_argument("--contenders", nargs="*", default=["ours", "plain", "bf16", "compiled"])
    options.add_argument("--device", default="cuda")
    options.add_argument("--scale", type=float, default=1.0, help="of widths and batches")
    options.add_argument("--seconds", type=float, default=5.0, help="that each contender is measured")
    options.add_argument("--compiler", default="inductor", help="of torch.compile")
    asked = options.parse_args()
    try:
        place = device(asked.device)
    except (BadInput, BadEnvironment) as error:
        print(
            f"gpu.py: {error}; --device cpu --scale 0.02 --seconds 0.1 --compiler aot_eager tries it", file=sys.stderr
        )
        return 3
    for name in asked.only:
        load = LOADS["W5" if name == "chunk" else name]
        for count in CHUNKS if name == "chunk" else [load.models]:
            for how in ["ours"] if name == "chunk" else asked.contenders:
                line = {"what": name, **measured(load, count, how, place, asked)}
                if name == "recipe" and asked.scale == 1.0:
                    line["times_published"] = round(line["rows_per_s"] / PUBLISHED, 2)
                print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
