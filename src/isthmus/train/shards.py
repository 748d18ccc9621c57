"""A dictionary wider than one device: its units are spread over ranks, ``torchrun ... isthmus train topk --shard``.

Each rank holds an equal part of the units: their columns of the encoder and of the dictionary, with gradients and
moments. All ranks read the same whole batch. A rank makes the raw codes of its units; candidates for the largest are
gathered, so that those pass that would pass in one process; what the units write is summed. This is tensor parallelism
(Shoeybi et al. 2019, Megatron-LM) with the collectives of :mod:`torch.distributed.tensor`, which carry gradients. What
a checkpoint and a model hold is whole: they are those of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.parts.dictionary import is_affine
from isthmus.parts.gates import SLACK
from isthmus.parts.units import Units
from isthmus.train.checkpoint import tensors_of
from isthmus.train.stack import fixed, free

if TYPE_CHECKING:
    from isthmus.model import Model


VECTORS = {"stack/state", "stack/mean", "stack/square"}
"""What of the state of a training has one entry for each free parameter, side by side."""


class Place(NamedTuple):
    """A parameter in a vector of them."""

    shape: torch.Size
    """In this rank."""
    axis: int | None
    """Of its units, from the last one; None if every rank has all of it."""

    def times(self, parts: int) -> torch.Size:
        """The shape with so many times the units."""
        return torch.Size(n * parts if i - len(self.shape) == self.axis else n for i, n in enumerate(self.shape))


class Shards(Units):
    """The units of this process among those of all; see :class:`isthmus.parts.units.Units`.

    Parameters
    ----------
    rank, size : int
        Of this process, and how many there are.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @cached_property
    def mesh(self) -> Any:
        """All ranks, in a line."""
        from torch.distributed.device_mesh import init_device_mesh

        return init_device_mesh("cpu", (self.size,))

    # ------------------------------------------------------------------------------------------------ in a step

    def shared(self, value: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor, Partial, Replicate

        return DTensor.from_local(value, self.mesh, [Replicate()], run_check=False).to_local(
            grad_placements=[Partial()]
        )

    def summed(self, part: Tensor) -> Tensor:
        from torch.distributed.tensor import DTensor, Partial, Replicate

        there = DTensor.from_local(part, self.mesh, [Partial()], run_check=False)
        return there.redistribute(self.mesh, [Replicate()]).to_local()

    def gathered(self, part: Tensor, axis: int) -> Tensor:
        """The parts of all ranks beside each other, on every rank; without gradient."""
        from torch.distributed.tensor import DTensor, Shard

        axis = axis % part.ndim
        return DTensor.from_local(part.detach().contiguous(), self.mesh, [Shard(axis)], run_check=False).full_tensor()

    def decoded(self, decoder: Any, z: Tensor) -> Tensor:
        whole = self.summed(functional.linear(z, decoder.dictionary)) + decoder.last_bias
        return whole.reshape(len(z), *decoder.shape)

    def chosen(self, values: Tensor, k: Tensor, limit: int) -> Tensor:
        values = values.detach()
        best = values.topk(min(limit, values.shape[-1]), dim=-1).values
        top = self._largest(best, limit)
        border = top.gather(-1, (k - 1).long().expand(*top.shape[:-1], 1))
        gap, slack = values - border, SLACK * top[..., :1].abs()
        sure, close = gap > slack, gap.abs() <= slack
        counts = self.gathered(torch.stack([sure.sum(-1), close.sum(-1)], dim=-1).unsqueeze(-2), -2)
        before = counts[..., 0].sum(-1) + counts[..., : self.rank, 1].sum(-1)  # who surely passes, and earlier ties
        return sure | (close & (close.cumsum(-1) <= (k - before).unsqueeze(-1)))

    def topk(self, values: Tensor, k: Tensor, limit: int) -> Tensor:
        return values * self.chosen(values, k, limit)

    def best(self, values: Tensor, k: int) -> tuple[Tensor, Tensor]:
        own = values.detach().topk(min(k, values.shape[1]), dim=1)
        passes = own.values >= self._largest(own.values, k)[:, -1:]
        return torch.where(passes, values.gather(1, own.indices), -torch.inf), own.indices

    def kept(self, values: Tensor, k: int) -> Tensor:
        return torch.where(values >= self._largest(values, k)[:, -1:], values, 0.0)

    def anywhere(self, flags: Tensor) -> Tensor:
        return self.gathered(flags.any().view(1).to(torch.int32), 0).amax() > 0

    def least(self, value: Tensor) -> Tensor:
        return self.gathered(value.view(1), 0).amin()

    def most(self, value: Tensor) -> Tensor:
        return self.gathered(value.view(1), 0).amax()

    def _largest(self, candidates: Tensor, k: int) -> Tensor:
        """The ``k`` largest of the candidates of all, in their order."""
        everyone = self.gathered(candidates, -1)
        return everyone.topk(min(k, everyone.shape[-1]), dim=-1).values

    # ------------------------------------------------------------------------------------------ around a training

    def split(self, model: Model) -> None:
        """Leave a model its units of this rank.

        Raises
        ------
        BadInput
            If its units cannot be spread, or not equally.
        """
        axes, net = spread(model), cast("Any", model)
        if net.latents % self.size:
            wanted = -(-net.latents // self.size) * self.size
            raise BadInput(
                f"{net.latents} units cannot be divided equally among {self.size} ranks; give --set latents={wanted}"
            )
        for name, tensor in tensors_of(model).items():
            if name in axes:
                tensor.data = self._part(tensor.data, axes[name])
        net.units, net.stacks, net.replays = self, False, False
        self.free = [Place(p.shape, axes.get(name)) for name, p in free(model).items()]
        self.fixed = {name: axes.get(name) for name in fixed(model)}

    def join(self, model: Model) -> None:
        """Give a model the units of all ranks again."""
        axes, net = spread(model), cast("Any", model)
        for name, tensor in tensors_of(model).items():
            tensor.data = self.gathered(tensor.data, axes[name]) if name in axes else tensor.data.clone()
        del net.units, net.stacks, net.replays

    def norms(self, vectors: Tensor) -> Tensor:
        """The lengths (R, 1) of gradients of the free parameters (R, P), with what other ranks have of them."""
        parts = vectors.split([place.shape.numel() for place in self.free], dim=1)
        squares = [part.square().sum(1, keepdim=True) for part in parts]
        each = list(zip(squares, self.free, strict=True))
        own = torch.stack([square for square, place in each if place.axis is not None]).sum(0)
        same = torch.stack([square for square, place in each if place.axis is None]).sum(0)
        return (self.gathered(own, 1).sum(1, keepdim=True) + same).sqrt()

    def whole(self, tensors: Mapping[str, Tensor], *, everywhere: bool = False) -> dict[str, Tensor]:
        """The state of a training as one process has it, on rank 0 or ``everywhere``, from that of each rank."""

        def one(tensor: Tensor, axis: int | None) -> Tensor:
            found = tensor if axis is None else self.gathered(tensor, axis)
            return found if everywhere or self.rank == 0 else tensor  # the others need no room for all of it

        return {name: self._each(name, tensor, one, 1) for name, tensor in tensors.items()}

    def mine(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The state of a training on this rank, from that of one process."""

        def one(tensor: Tensor, axis: int | None) -> Tensor:
            return tensor if axis is None else self._part(tensor, axis)

        return {name: self._each(name, tensor, one, self.size) for name, tensor in tensors.items()}

    def _each(self, name: str, tensor: Tensor, one: Callable[[Tensor, int | None], Tensor], parts: int) -> Tensor:
        """Do something with a tensor of a state along the axis of its units; with each parameter in a vector of them,
        which has so many ``parts`` of the units as were in one rank."""
        kind, _, place = name.partition("/")
        number = int(place.split("/")[1]) if kind == "best" else None
        if name in VECTORS or number == 0:
            shapes = [p.times(parts) for p in self.free]
            flat = tensor.split([shape.numel() for shape in shapes], dim=-1)
            lead = tensor.shape[:-1]
            return torch.cat(
                [
                    one(part.reshape(*lead, *shape), p.axis).flatten(len(lead))
                    for part, shape, p in zip(flat, shapes, self.free, strict=True)
                ],
                dim=-1,
            )
        if number is not None:
            return one(tensor, list(self.fixed.values())[number - 1])
        return one(tensor, self.fixed[place.removeprefix("buffers/")] if place.startswith("buffers/") else None)

    def _part(self, whole: Tensor, axis: int) -> Tensor:
        return whole.chunk(self.size, axis)[self.rank].clone(memory_format=torch.contiguous_format)


def spread(model: Model) -> dict[str, int]:
    """Along which axis, from the last one, each tensor that belongs to units has them.

    Raises
    ------
    BadInput
        If the units of this model cannot be spread.
    """
    net = cast("Any", model)
    if (place := next(model.parameters()).device.type) != "cpu":
        raise BadInput(f"--shard spreads units over ranks on processors so far; got --device {place}: leave it out")
    if not net.shards:
        raise BadInput("--shard spreads the units of topk and of batchtopk, without --set ortho; leave it out")
    if not (is_affine(net.encoder) and is_affine(net.decoder)):
        raise BadInput("--shard spreads the units of one layer; leave --shard, or --set hidden and backbone, out")
    found, dictionary = {}, net.decoder.dictionary
    for name, tensor in tensors_of(model).items():
        if tensor is net.encoder.last.weight or tensor is dictionary:
            found[name] = -1 if tensor is dictionary else -2
        elif tensor is net.encoder.last.bias or tensor is net.idle:
            found[name] = -1
        elif tensor.data_ptr() == dictionary.data_ptr():  # a decoder of rows holds it transposed
            found[name] = -2
    return found
