"""A stack: R models of one structure, side by side in memory, stepping together.

Parameters live in one matrix (R, P), buffers in one tensor each with a leading R; every model's own tensors are views
of its row, so a model of the stack can be used, saved and validated as if it were alone. A parameter that is frozen
(``requires_grad`` is False) travels as a buffer does: it has no gradient, no moments and no decay.

The step is ``vmap`` over plain single-replicate code, recorded once (:mod:`isthmus.train.tape`). A stack is an
optimisation, never a meaning: each replicate ends as it would have ended alone (tests hold this for every family).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from isthmus.data.corrupt import corrupt
from isthmus.data.corrupt import draw as draw_corruption
from isthmus.dispatch import tree_map
from isthmus.model import Model, Ramp, Timed
from isthmus.parts.heads import whole
from isthmus.train.device import Carrier
from isthmus.train.optim import Adam
from isthmus.train.ranks import Ranks
from isthmus.train.tape import Tape, record


def lengths(vectors: Tensor) -> Tensor:
    """(R, P) -> (R, 1)."""
    return torch.linalg.vector_norm(vectors, dim=1, keepdim=True)


class Stack:
    """R models that take their steps together.

    Parameters
    ----------
    models : sequence of Model
        Of one structure; their tensors are moved into the stack.
    corruption : str
        Kind of corruption of the training input.
    levels : sequence of float
        Its level for each model.
    generators : sequence of torch.Generator
        One for each model; models that share a generator object share their noise.
    rows : tuple of one or two Tensors of shape (S, *D)
        All training rows, then their targets if these differ; batches are gathered from here by number.
    batch : int
        Rows of a batch; with ranks, my share of them.
    weight_decay, clip, precision
        As in :class:`isthmus.train.plan.Plan`.
    adam : Adam, optional
        Moments to go on with.
    ranks : Ranks, optional
        Who shares each batch.
    norms : callable, optional
        The lengths (R, 1) of gradients (R, P); other than usual where parts of them are in other processes.
    """

    def __init__(
        self,
        models: Sequence[Model],
        *,
        corruption: str,
        levels: Sequence[float],
        generators: Sequence[torch.Generator],
        rows: tuple[Tensor, ...],
        batch: int,
        weight_decay: float = 0.0,
        clip: float | None = None,
        precision: str = "float32",
        adam: Callable[[Tensor], Adam] | None = None,
        ranks: Ranks | None = None,
        norms: Callable[[Tensor], Tensor] = lengths,
    ) -> None:
        self.models, self.norms = list(models), norms
        self.corruption, self.generators, self.clip = corruption, list(generators), clip
        self.rows, count, self.ranks, self.precision = rows, len(models), ranks, precision
        self.state, self.parameters = _side_by_side(models)
        dtype, device = rows[0].dtype, self.state.device  # rows of a file stay with the processor
        self.levels = torch.tensor(levels, dtype=dtype, device=device)
        self.buffers = _shared(models)
        self.adam = adam(self.state) if adam else Adam(self.state, weight_decay)
        self.batch = tuple(torch.zeros((count, batch, *r.shape[1:]), dtype=r.dtype, device=device) for r in rows)
        self._carriers = [Carrier(r, b.flatten(0, 1)) for r, b in zip(rows, self.batch, strict=True)]
        # The processor draws the noise, for the whole batch: the same on every device and for any number of ranks.
        whole_batch = batch if ranks is None else batch * ranks.size
        self.like = torch.zeros((), dtype=dtype).expand(whole_batch, *rows[0].shape[1:])
        noise = self._draw([torch.Generator()] * count, self.like[:batch])
        self.noise = tree_map(lambda t: t.to(device), noise)  # buffers of the right shapes; every step refills them
        self.terms = list(models[0].weights)
        self.weights = torch.zeros((count, len(self.terms)), dtype=dtype, device=device)
        self.ramps = any(isinstance(w, Ramp) for m in models for w in m.weights.values())
        self.weigh(0.0)
        self.clocks = self.buffers["clock"] if isinstance(models[0], Timed) else None
        self.sums, self.told = torch.zeros_like(self.weights), 0
        self.replays = all(model.replays for model in models)
        self._step: Tape | None = None
        self._after: Tape | None = None
        self._seen: dict[str, Tensor] | None = None
        own = type(models[0])
        self._remembers = own.absorb is not Model.absorb or own.project is not Model.project

    def step(self, numbers: Tensor, done: float, rates: Sequence[float], tell: bool = True) -> None:
        """One optimiser step on the rows ``numbers`` (R * batch,); models of rate 0 keep their parameters.

        ``done`` is the share of the plan's steps that has been taken: the schedules of the loss follow it.
        With ``tell`` the terms of the loss are added to ``sums``; without it they need not be computed at all, only
        their gradient.
        """
        for carry in self._carriers:
            carry(numbers)
        if self.noise:
            self._draw_again()
        if self.ramps:
            self.weigh(done)
        if self.clocks is not None:
            self.clocks.fill_(done)
        (gradient, seen), terms = self._stepped(tell)
        if self.ranks is not None:
            seen, terms = self._shared_out(self.ranks, gradient, seen, terms)
        if self.clip is not None:
            norms = self.norms(gradient)
            gradient.mul_((self.clip / norms.clamp_min(1e-30)).clamp_max_(1.0))
        self.adam.step(gradient, rates)
        if self._after is not None:
            self._after.replay()
        elif self._remembers and self.replays:
            self._after = record(self._remember, [self.parameters, self.buffers, seen])
        elif self._remembers:
            with torch.no_grad():
                self._remember(self.parameters, self.buffers, seen)
        if tell:
            self.sums += terms
            self.told += 1

    def _shared_out(self, ranks: Ranks, gradient: Tensor, seen: Any, terms: Tensor) -> tuple[Any, Tensor]:
        """Means of gradients and terms, and sums of what was seen, over all ranks."""
        if self._seen is None:
            self._seen = tree_map(torch.clone, seen)  # of our own: what is constant in a step is recorded once
        else:
            tree_map(Tensor.copy_, self._seen, seen)
        terms = terms.clone()
        ranks.add([gradient, terms, *self._seen.values()])
        gradient.div_(ranks.size)
        return self._seen, terms.div_(ranks.size)

    def _stepped(self, tell: bool) -> Any:
        """What ``_gradient`` gives for what the buffers hold now: from the record, if the models can be replayed."""
        varying = [self.parameters, self.buffers, self.batch, self.noise]
        varying += [self.weights] if self.ramps else []
        if not self.replays:
            return self._gradient(*varying)
        if self._step is None:
            self._step = record(self._gradient, varying)
        else:
            self._step.replay(None if tell else self._step.result[0])
        return self._step.result

    def _gradient(self, parameters: Any, buffers: Any, batch: Any, noise: Any, weights: Any = None) -> Any:
        """Gradients (R, P), what was seen, and terms (R, T), for the batch in the buffers."""
        weights = self.weights if weights is None else weights
        inputs = (parameters, buffers, batch, noise, weights, self.levels)
        alone = len(self.models) == 1  # then plain products serve, which are faster than batched ones of one
        parameters, *rest = tree_map(lambda t: t[0], inputs) if alone else inputs
        parameters = {name: p.detach().requires_grad_() for name, p in parameters.items()}
        halves = self.precision == "bfloat16"
        half = torch.autocast(self.state.device.type, torch.bfloat16) if halves else nullcontext()
        with torch.enable_grad(), half:
            objective = self._objective if alone else vmap(self._objective)
            total, terms, seen = objective(parameters, *rest)
            # The replicates share nothing, so the gradient of the sum is each one's own gradient.
            # What no term reads gets zeros here, and is named by the doctor.
            gradients = torch.autograd.grad(total.sum(), list(parameters.values()), materialize_grads=True)
        first = 0 if alone else 1
        found = (torch.cat([g.reshape(*g.shape[:first], -1) for g in gradients], dim=first), seen), terms
        return tree_map(lambda t: t.unsqueeze(0), found) if alone else found

    def _objective(self, parameters: Any, buffers: Any, batch: Any, noise: Any, weights: Any, level: Any) -> Any:
        """The weighted loss of one replicate: the only place where terms meet their weights."""
        clean, target = batch[0], batch[-1]
        x = corrupt(self.corruption, clean, noise["corruption"], level) if "corruption" in noise else clean
        loss = functional_call(self.models[0], (parameters, buffers), (x, target, noise.get("model")))
        terms = torch.stack([loss.terms[name] for name in self.terms])
        return (terms * weights).sum(), terms, loss.seen

    def _remember(self, parameters: Any, buffers: Any, seen: Any) -> None:
        """What follows a step: constraints on parameters, then buffers."""

        def one(parameters: Any, buffers: Any, seen: Any) -> Tensor:
            tensors = {f"model.{name}": t for name, t in (parameters | buffers).items()}
            functional_call(_AfterStep(self.models[0]), tensors, (seen,))
            return torch.zeros(())  # vmap wants an output

        if len(self.models) > 1:
            vmap(one, out_dims=None)(parameters, buffers, seen)
        else:
            one(*tree_map(lambda t: t[0], (parameters, buffers, seen)))

    def weigh(self, done: float) -> None:
        """Set the weights of the terms to those that they have when a share ``done`` of the steps has been taken."""
        values = [[w.at(done) if isinstance(w, Ramp) else w for w in m.weights.values()] for m in self.models]
        self.weights.copy_(torch.tensor(values, dtype=self.weights.dtype))

    def _draw_again(self) -> None:
        """Fill the buffers with fresh noise: of the whole batch, of which each rank takes its part."""
        drawn = self._draw(self.generators, self.like)
        if self.ranks is not None:
            mine = self.ranks.mine
            drawn = tree_map(lambda there, here: mine(there, here.shape), drawn, self.noise)
        tree_map(Tensor.copy_, self.noise, drawn)

    def _draw(self, generators: Sequence[torch.Generator], x: Tensor) -> Any:
        """Fresh noise of the whole stack for batches like ``x`` (B, *D), each tensor with a leading R; without an entry
        where nobody wants any."""
        drawn: dict[torch.Generator, dict[str, Any]] = {}
        for model, generator in zip(self.models, generators, strict=True):
            if generator not in drawn:
                both = {
                    "corruption": draw_corruption(self.corruption, x.shape, generator),
                    "model": model.draw(x, generator),
                }
                if self.corruption == "mask":
                    both["corruption"] = whole(model.head, both["corruption"])
                drawn[generator] = {name: noise for name, noise in both.items() if noise is not None}
        return tree_map(lambda *same: torch.stack(same), *(drawn[g] for g in generators))

    def means(self) -> list[list[float]]:
        """The mean of each term since the last call, for each model, over the steps that told."""
        means = (self.sums / max(self.told, 1)).tolist()
        self.sums.zero_()
        self.told = 0
        return means

    def tensors(self) -> dict[str, Tensor]:
        """All that a step changes and a later one reads, by name; but for the random streams, and what was told."""
        own = {"state": self.state, "mean": self.adam.mean, "square": self.adam.square, "steps": self.adam.steps}
        return own | {"sums": self.sums} | {f"buffers/{name}": b for name, b in self.buffers.items()}

    @property
    def stepped(self) -> bool:
        """Whether a step was taken: the first one records, and may round otherwise than those that replay it."""
        return self._step is not None

    def snapshot(self, row: int) -> list[Tensor]:
        """A copy of one model: its free parameters in one vector, then its frozen ones and its buffers."""
        return [self.state[row].clone(), *(b[row].clone() for b in self.buffers.values())]

    def restore(self, row: int, snapshot: Sequence[Tensor]) -> None:
        """Put one model back to a snapshot, in place."""
        for here, value in zip([self.state[row], *(b[row] for b in self.buffers.values())], snapshot, strict=True):
            here.copy_(value)

    def release(self, row: int, snapshot: list[Tensor]) -> None:
        """Let one model go, as it was at a snapshot, with tensors of its own."""
        parameters, *buffers = snapshot
        start = 0
        for parameter in free(self.models[row]).values():
            parameter.data = parameters[start : start + parameter.numel()].view(parameter.shape)
            start += parameter.numel()
        for buffer, value in zip(fixed(self.models[row]).values(), buffers, strict=True):
            buffer.data = value

    def keep(self, rows: Sequence[int]) -> Stack:
        """A narrower stack of some of the models, going on exactly where they are."""
        return Stack(
            [self.models[r] for r in rows],
            corruption=self.corruption,
            levels=self.levels[list(rows)].tolist(),
            generators=[self.generators[r] for r in rows],
            rows=self.rows,
            batch=self.batch[0].shape[1],
            clip=self.clip,
            precision=self.precision,
            adam=lambda state: self.adam.keep(state, rows),
            ranks=self.ranks,
            norms=self.norms,
        )


class _AfterStep(nn.Module):
    """Lets ``functional_call``, which only knows ``forward``, reach the two hooks that write."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, seen: dict[str, Tensor]) -> None:
        """Call them, in the order of a step."""
        self.model.project()
        self.model.absorb(seen)


def free(model: Model) -> dict[str, nn.Parameter]:
    """The parameters that training moves, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def fixed(model: Model) -> dict[str, Tensor]:
    """Frozen parameters and buffers, by name: what no gradient reaches."""
    frozen = {name: p for name, p in model.named_parameters() if not p.requires_grad}
    return {**frozen, **dict(model.named_buffers())}


def _side_by_side(models: Sequence[Model]) -> tuple[Tensor, dict[str, Tensor]]:
    """Move free parameters into the rows of one matrix (R, P); also by name, each (R, *shape)."""
    state = torch.stack([torch.cat([p.detach().flatten() for p in free(m).values()]) for m in models])
    named, start = {}, 0
    for name, first in free(models[0]).items():
        named[name] = state[:, start : start + first.numel()].view(len(models), *first.shape)
        start += first.numel()
    for row, model in enumerate(models):
        for name, parameter in free(model).items():
            parameter.data = named[name][row]
    return state, named


def _shared(models: Sequence[Model]) -> dict[str, Tensor]:
    """Move what no gradient reaches into one tensor for each name, (R, *shape)."""
    named, held = {}, [fixed(model) for model in models]
    for name in held[0]:
        own = [tensors[name] for tensors in held]
        named[name] = torch.stack([b.detach() for b in own])
        for row, buffer in enumerate(own):
            buffer.data = named[name][row]
    return named
