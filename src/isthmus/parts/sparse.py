"""A code of thousands of units of which a few fire: only the encoder's product is dense.

Raw codes are made for a few rows at a time, so that they stay in the caches and never exist all at once. What comes
after the gate is (B, k) values and the units they belong to. Decoding adds rows of the dictionary; the gradients visit
only what fired, grouped by unit. All of it equals the dense form to rounding (tests hold it to 1e-10 in float64).

On processors that multiply bfloat16 several times faster than float32, a training step may look for the largest codes
in bfloat16: it takes twice as many as can pass, computes these in float32, and lets the largest of them pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.parts.gates import chosen, tied

ROWS = 256  # rows whose raw codes exist at once: 16 MiB at 16,384 units in float32
SPARE = 2  # codes looked at in float32 for each that passes, where the search was in bfloat16
GROUP = 16  # raw codes that share one maximum in the search for the largest


def largest(raw: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest elements of each row and where they stand: what ``raw.topk(k)`` gives, sooner on wide rows.

    Exact: the k largest elements lie in the k groups with the largest maxima. ``raw`` (n, L) -> (n, k), (n, k).

    Examples
    --------
    >>> largest(torch.tensor([[3.0, 1.0, 2.0]]), 2)[1]
    tensor([[0, 2]])
    """
    n, width = raw.shape
    if width % GROUP or width // GROUP < 2 * k:
        return raw.topk(k, dim=1)
    groups = raw.view(n, GROUP, -1)  # members of a group stand apart, so that maxima are taken over whole lines
    chosen = groups.amax(1).topk(k, dim=1).indices
    members = groups.gather(2, chosen.unsqueeze(1).expand(-1, GROUP, -1)).flatten(1)
    values, place = members.topk(k, dim=1)
    return values, place // k * groups.shape[2] + chosen.gather(1, place % k)


def settled(raw: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The same; of those that tie for the last place, the first pass, as in :func:`isthmus.parts.gates.chosen`."""
    if k == raw.shape[1]:
        return largest(raw, k)
    values, units = largest(raw, k + 1)
    open_ = tied(values[:, k], values[:, k - 1], values[:, 0]).nonzero().flatten()
    values, units = values[:, :k], units[:, :k].clone()
    if len(open_):
        units[open_] = chosen(raw[open_], torch.tensor(k), k).nonzero()[:, 1].view(-1, k)
        values = raw.gather(1, units)
    return values, units


def quick(x: Tensor) -> bool:
    """Whether these numbers would be multiplied much faster in bfloat16: float32 on a CPU that has it built in."""
    return x.dtype == torch.float32 and x.device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


@torch.no_grad()
def fire(x: Tensor, weight: Tensor, bias: Tensor, k: int, *, rough: bool = False) -> tuple[Tensor, Tensor]:
    """The rectified top-k code of an affine encoder: values and units, each (B, k).

    ``x`` (B, D), ``weight`` (L, D), ``bias`` (L,). A row with fewer than k positive raw codes has zeros among its
    values. With ``rough`` the search is in bfloat16: values are exact all the same, and a unit is missed only where
    rounding puts ``(SPARE - 1) k`` others before it.
    """
    if not rough:
        values, units = _searched(x, weight, bias, k)
        return values.relu_(), units
    _, found = _searched(x.bfloat16(), weight.bfloat16(), bias.bfloat16(), min(SPARE * k, len(weight)))
    values, place = (dots(x, weight, found) + bias[found]).topk(k, dim=1)
    return values.relu_(), found.gather(1, place)


def _searched(x: Tensor, weight: Tensor, bias: Tensor, k: int) -> tuple[Tensor, Tensor]:
    scratch = x.new_empty(min(ROWS, len(x)), len(weight))
    parts = []
    for rows in x.split(ROWS):
        raw = scratch[: len(rows)]
        torch.addmm(bias, rows, weight.t(), out=raw)
        parts.append(settled(raw, k))
    values, units = (torch.cat(part) for part in zip(*parts, strict=True))
    return values, units


def dots(x: Tensor, table: Tensor, units: Tensor) -> Tensor:
    """<x[b], table[units[b, s]]>: (B, D), (L, D), (B, s) -> (B, s). The gradient of a gather is made of these."""
    bags = torch.arange(units.numel(), device=x.device)
    width = units.shape[1]
    starts = bags[::width].contiguous()
    found = torch.ops.aten._embedding_bag_per_sample_weights_backward(
        x.contiguous(), table, units.flatten(), starts, bags // width, 0
    )
    return found.view_as(units)


def gather(values: Tensor, units: Tensor, table: Tensor) -> Tensor:
    """sum_s values[b, s] * table[units[b, s]]: (B, k), (B, k), (L, D) -> (B, D)."""
    return functional.embedding_bag(units, table, mode="sum", per_sample_weights=values)


class RowDecoder(nn.Module):
    """A linear decoder that keeps what a unit writes in one row, where a gather finds it: (B, L) -> (B, *E).

    Takes over the weights of ``decoder``, one affine layer.
    """

    def __init__(self, decoder: Any) -> None:
        super().__init__()
        self.rows = nn.Parameter(decoder.dictionary.detach().t().contiguous())
        self.last_bias = nn.Parameter(decoder.last_bias.detach().clone())
        self.shape = decoder.shape

    @property
    def dictionary(self) -> Tensor:
        """(E, L): column j is what code element j adds."""
        return self.rows.t()

    def depth(self) -> int:
        """One layer, affine."""
        return 1

    def forward(self, z: Tensor) -> Tensor:
        return torch.addmm(self.last_bias, z, self.rows).reshape(z.shape[0], *self.shape)


class TopKCode(torch.autograd.Function):
    """Encoder, top-k, relu and decoder of a wide linear autoencoder.

    ``apply(x, pre, weight, bias, dictionary, k, rough)``: ``x`` (B, D), ``pre`` (D,), ``weight`` (L, D), ``bias``
    (L,), ``dictionary`` (L, E), ``rough`` as in :func:`fire` -> the decoded rows without the decoder's bias (B, E),
    then values and units (B, k), which carry no gradient.
    """

    @staticmethod
    def forward(
        x: Tensor, pre: Tensor, weight: Tensor, bias: Tensor, dictionary: Tensor, k: int, rough: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        values, units = fire(x - pre, weight, bias, k, rough=rough)
        return gather(values, units, dictionary), values, units

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, values, units = output
        ctx.mark_non_differentiable(values, units)
        x, pre, weight, _, dictionary, *_ = inputs
        ctx.save_for_backward(x, pre, weight, dictionary, values, units)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, pre, weight, dictionary, values, units = ctx.saved_tensors
        rows, k = values.shape
        gradient = gradient.contiguous()
        flat, passed = units.flatten(), values.flatten()
        slopes = torch.where(passed > 0, dots(gradient, dictionary, units).flatten(), 0.0)
        # The entries of a unit stand together after sorting: its gradient is a sum over one bag of rows.
        ordered, order = flat.sort(stable=True)
        starts = torch.searchsorted(ordered, torch.arange(len(weight), device=x.device))
        source = order // k

        def grouped(weights: Tensor, table: Tensor) -> Tensor:
            return functional.embedding_bag(source, table, starts, mode="sum", per_sample_weights=weights[order])

        biases = torch.zeros_like(weight[:, 0]).index_add_(0, flat, slopes)
        own = gather(slopes.view(rows, k), units, weight) if ctx.needs_input_grad[0] else None
        return own, -(biases @ weight), grouped(slopes, x - pre), biases, grouped(passed, gradient), None, None
