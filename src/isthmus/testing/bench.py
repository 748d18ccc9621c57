"""What a check stands on: rows with hidden structure, models, and their step in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad_and_value

from isthmus.dispatch import tree_leaves
from isthmus.model import Loss, Model, Ramp, Recipe, Timed
from isthmus.train.optim import plain_update, update
from isthmus.train.stack import Stack

Shape = tuple[int, ...]
State = dict[str, Tensor]
LOOK = 25
"""Steps between two looks at whether a training has reached what it is for."""


def rows(shape: Shape, n: int = 32, seed: int = 0) -> Tensor:
    """Rows in (0, 1) with two hidden factors: a code of two elements can nearly hold them. (n, *shape)."""
    generator = torch.Generator().manual_seed(seed)
    size = int(torch.Size(shape).numel())
    factors, loadings = torch.randn(n, 2, generator=generator), torch.randn(2, size, generator=generator)
    return torch.sigmoid(1.5 * factors @ loadings).reshape(n, *shape)


def made(recipe: Recipe, x: Tensor, head: Any, seed: int = 0) -> Model:
    """A model for rows ``x``, initialised by ``seed`` and started on ``x``; the global generator is left as it was."""
    model = recipe.build(tuple(x.shape[1:]), head, number=seed)
    model.start(x)
    return model


def weights(model: Model, done: float = 0.0) -> State:
    """The weight of each term when a share ``done`` of the steps has been taken, as tensors; sets the model's clock."""
    if isinstance(model, Timed):
        model.clock.fill_(done)
    return {k: torch.tensor(w.at(done) if isinstance(w, Ramp) else float(w)) for k, w in model.weights.items()}


def noise(model: Model, x: Tensor, seed: int = 0) -> Any:
    """What the model draws for ``x``."""
    return model.draw(x, torch.Generator().manual_seed(seed))


def state(model: Model) -> tuple[State, State]:
    """Parameters and buffers by name, detached."""
    return {k: p.detach() for k, p in model.named_parameters()}, dict(model.named_buffers())


def step(model: Model) -> Callable[..., tuple[State, State, State]]:
    """The pure step of one replicate: (params, buffers, weights, x, target, noise) -> (gradients, terms, seen)."""

    def run(params: State, buffers: State, scale: State, x: Tensor, target: Tensor, drawn: Any) -> Any:
        def total(params: State) -> tuple[Tensor, Loss]:
            loss = functional_call(model, (params, buffers), (x, target, drawn))
            return torch.stack([scale[k] * t for k, t in loss.terms.items()]).sum(), loss

        if not params:
            loss = total(params)[1]
            return {}, loss.terms, loss.seen
        grads, (_, loss) = grad_and_value(total, has_aux=True)(params)
        return grads, {k: t.detach() for k, t in loss.terms.items()}, loss.seen

    return run


def engine(models: Sequence[Model], batches: Sequence[Sequence[Tensor]], rate: float) -> None:
    """The engine's own steps of a stack, in place: ``batches[i][k]`` (B, *D) is what model i reads at step k."""
    count, steps, size = len(models), len(batches[0]), len(batches[0][0])
    stack = Stack(
        models,
        corruption="none",
        levels=[0.0] * count,
        generators=[torch.Generator().manual_seed(i) for i in range(count)],
        rows=(torch.cat([batch for own in batches for batch in own]),),
        batch=size,
    )
    for k in range(steps):
        numbers = torch.cat([(i * steps + k) * size + torch.arange(size) for i in range(count)])
        stack.step(numbers, k / steps, [rate] * count)


def by_hand(model: Model, batches: Sequence[Tensor], rate: float, seed: int) -> None:
    """The same steps of one model, in plain PyTorch."""
    generator = torch.Generator().manual_seed(seed)
    free: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    means, squares = ([torch.zeros_like(p) for p in free] for _ in range(2))
    for k, x in enumerate(batches):
        scale = weights(model, k / len(batches))
        loss = model(x, x, model.draw(x, generator))
        total = torch.stack([scale[name] * term for name, term in loss.terms.items()]).sum()
        gradients = torch.autograd.grad(total, free, materialize_grads=True)
        with torch.no_grad():
            plain_update(free, list(gradients), means, squares, torch.tensor(k + 1.0), rate, 0.0)
            model.project()
            model.absorb(loss.seen)


def train(
    model: Model,
    x: Tensor,
    steps: int,
    rate: float,
    corruption: Callable[[int], Tensor] | None = None,
    enough: Callable[[], bool] = lambda: False,
) -> list[float]:
    """A few full-batch Adam steps; the total loss of each. ``enough``, asked every 25 steps, ends them early."""
    params = [p for p in model.parameters() if p.requires_grad]
    means, squares = ([torch.zeros_like(p) for p in params] for _ in range(2))
    losses = []
    for i in range(steps):
        scale = weights(model, i / steps)
        loss = model(x if corruption is None else corruption(i), x, noise(model, x, i))
        total = torch.stack([w * loss.terms[k] for k, w in scale.items()]).sum()
        losses.append(total.item())
        if params:
            grads = torch.autograd.grad(total, params)
            with torch.no_grad():
                update(list(params), list(grads), means, squares, torch.tensor(i + 1.0), rate, 0.0)
        model.project()
        model.absorb(loss.seen)
        if (i + 1) % LOOK == 0 and enough():
            break
    return losses


def leaves(value: Any) -> Sequence[Tensor]:
    """The tensors in nested dicts and tuples."""
    return [t for t in tree_leaves(value) if isinstance(t, Tensor)]
