"""What the engine is measured against: a plain PyTorch loop, and a stack of autoencoders with its gradient by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from isthmus.data.corrupt import corrupt, draw
from isthmus.model import Model, Ramp
from isthmus.seeds import seed as hashed
from isthmus.train.optim import fused_update
from isthmus.train.order import Order
from isthmus.train.task import Task


def loop(task: Task, steps: int | None = None, *, fused: bool = False, checked: bool = False) -> None:
    """Train as one writes it by hand: data in one tensor, batches by index, autograd, ``torch.optim.Adam``.

    ``checked`` adds the looks at the validation rows every ``plan.check`` steps, with a copy of the weights each time.
    """
    model, plan = task.model, task.plan
    order = Order(len(task.train), hashed(task.seed, "order"))
    generator = torch.Generator().manual_seed(hashed(task.seed, "noise"))
    kind, level = task.recipe.corruption, task.recipe.corruption_level
    model.start(task.train)
    held = model.draw(task.valid, generator)
    optimiser = torch.optim.Adam(model.parameters(), lr=plan.learning_rate, fused=fused)
    for step in range(plan.steps if steps is None else steps):
        target = task.train[order.take(plan.batch)]
        x = corrupt(kind, target, draw(kind, target.shape, generator), level) if kind != "none" else target
        loss = model(x, target, model.draw(target, generator))
        optimiser.zero_grad()
        weighted(model, loss.terms, step / plan.steps).backward()
        optimiser.step()
        with torch.no_grad():
            model.project()
            model.absorb(loss.seen)
            if checked and step % plan.check == 0:
                float(weighted(model, model(task.valid, task.valid, held).terms, 1.0))
                [t.clone() for t in model.state_dict().values()]


def weighted(model: Model, terms: dict[str, Tensor], done: float) -> Tensor:
    """The objective."""
    return sum((w.at(done) if isinstance(w, Ramp) else w) * terms[k] for k, w in model.weights.items())  # type: ignore[return-value]


class Stacked:
    """One-layer autoencoders (relu code, linear output, half mean squared error) side by side, gradient by hand.

    Every product and every intermediate goes to memory that was set aside before; parameters, gradients and moments
    are each one vector, updated by one call of the fused Adam kernel.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.rows, self.plan, self.count = tasks[0].train, tasks[0].plan, len(tasks)
        self.orders = [Order(len(self.rows), hashed(t.seed, "order")) for t in tasks]
        for task in tasks:
            task.model.start(task.train)
        own = [
            torch.stack([p.detach() for p in same]) for same in zip(*(t.model.parameters() for t in tasks), strict=True)
        ]
        # As the products want them: weights input-major, biases as rows; every parameter contiguous over the stack.
        own = [p.mT.contiguous() if p.dim() == 3 else p.unsqueeze(1) for p in own]
        self.flat = torch.cat([p.flatten() for p in own])
        self.gradient, self.mean, self.square = (torch.zeros_like(self.flat) for _ in range(3))
        sizes, shapes = [p.numel() for p in own], [p.shape for p in own]
        self.own, self.slopes = (
            [part.view(s) for part, s in zip(vector.split(sizes), shapes, strict=True)]
            for vector in (self.flat, self.gradient)
        )

    def train(self) -> None:
        """All steps."""
        count, batch, steps = self.count, self.plan.batch, self.plan.steps
        w1, b1, w2, b2 = self.own
        dw1, db1, dw2, db2 = self.slopes
        x, y = torch.empty(count, batch, w1.shape[1]), torch.empty(count, batch, w2.shape[2])
        h, dh, off = (torch.empty(count, batch, w1.shape[2]) for _ in range(3))
        numbers = torch.stack([o.take(batch * steps) for o in self.orders]).view(count, steps, batch)
        numbers = numbers.transpose(0, 1).flatten(1).contiguous()
        taken = torch.zeros(())
        for step in range(steps):
            torch.index_select(self.rows, 0, numbers[step], out=x.flatten(0, 1))
            torch.baddbmm(b1, x, w1, out=h).relu_()
            torch.baddbmm(b2, h, w2, out=y)
            y.sub_(x).mul_(1 / (batch * x.shape[2]))
            torch.bmm(h.mT, y, out=dw2)
            torch.sum(y, 1, keepdim=True, out=db2)
            torch.bmm(y, w2.mT, out=off)
            torch.ops.aten.threshold_backward.grad_input(off, h, 0, grad_input=dh)
            torch.bmm(x.mT, dh, out=dw1)
            torch.sum(dh, 1, keepdim=True, out=db1)
            taken += 1
            vectors = ([v] for v in (self.flat, self.gradient, self.mean, self.square))
            fused_update(*vectors, taken, self.plan.learning_rate, 0.0)
