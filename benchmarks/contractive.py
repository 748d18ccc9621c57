"""What the contractive penalty of one sigmoid layer costs: closed form against none, and against autograd's Jacobian.

The engine trains the same network without the penalty (family plain, sigmoid code) and with it (family contractive).
The rival writes the penalty as it is defined, with ``vmap(jacrev(encode))``, in a plain PyTorch loop; it runs a few
steps only. CPU milliseconds per step, one thread, medians of turns, recording of the engine's step included.

    python benchmarks/contractive.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from clock import table, turns
from rivals import loop
from torch import Tensor

from isthmus.families import named
from isthmus.families.contractive import Contractive, ContractiveModel
from isthmus.model import Loss, Recipe
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.task import Task


class ByJacobian(ContractiveModel):
    """The penalty from the Jacobian of every row."""

    def forward(self, x: Tensor, target: Tensor, noise: Tensor | None = None) -> Loss:
        slopes = torch.func.vmap(torch.func.jacrev(lambda row: self.encode(row.unsqueeze(0)).squeeze(0)))(x)
        norm = slopes.square().sum() / len(x)
        return Loss({"reconstruction": self.misfit(self.encode(x), target), "contraction": norm / self.size}, {})


class JacobianRecipe(Contractive):
    """The contractive family with that penalty."""

    def _build(self, shape: tuple[int, ...], head: str) -> ContractiveModel:
        return ByJacobian(self, shape, head)


def contender(recipe: Recipe, width: int, plan: Plan, run: Callable[[Task], object]) -> Callable:
    """A fresh task, ready to be trained."""
    rows = torch.rand(1024, width, generator=torch.Generator().manual_seed(0))

    def ready() -> Callable[[], object]:
        model = recipe.build((width,), "bernoulli", number=0)
        return lambda: run(Task(recipe, model, rows, rows[:64], plan, 0))

    return ready


def main() -> None:
    """A row for each size."""
    found = []
    for width, latents, batch, steps, few in ((64, 32, 64, 1000, 20), (784, 256, 256, 100, 1)):
        plain = named("plain").set_params(latents=latents, code_activation="sigmoid")
        ours = named("contractive").set_params(latents=latents)
        theirs = JacobianRecipe(latents=latents)
        plan, short = (Plan(steps=n, batch=batch, schedule="constant", check=n) for n in (steps, few))
        seconds = turns(
            {
                "without": contender(plain, width, plan, lambda task: train([task])),
                "with": contender(ours, width, plan, lambda task: train([task])),
            },
            rounds=7,
        )
        seconds |= turns({"jacobian": contender(theirs, width, short, loop)}, rounds=3)
        without, with_, jacobian = (s / n * 1e3 for s, n in zip(seconds.values(), (steps, steps, few), strict=True))
        found.append([f"{width}-{latents}", batch, without, with_, jacobian])
        found[-1] += [f"{with_ / without:.2f}", f"{jacobian / with_:.0f}"]
    head = [
        "network",
        "batch",
        "without ms",
        "closed form ms",
        "jacrev loop ms",
        "with / without",
        "jacrev / closed form",
    ]
    table(head, found)


if __name__ == "__main__":
    main()
