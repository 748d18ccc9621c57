"""A code of thousands of units of which a few fire: only the encoder's product is dense.

Raw codes are made for a few rows at a time, so that they stay in the caches and never exist all at once. What comes
after the gate is values and the units they belong to. Decoding adds rows of the dictionary; the gradients visit
only what fired, grouped by unit. All of it equals the dense form to rounding (tests hold it to 1e-10 in float64).

On processors that multiply bfloat16 several times faster than float32, a training step may look for the largest codes
in bfloat16: it takes twice as many as can pass, computes these in float32, and lets the largest of them pass.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
def fire(
    x: Tensor, weight: Tensor, bias: Tensor, k: int, *, rough: bool = False, signed: bool = False
) -> tuple[Tensor, Tensor]:
    """The rectified top-k code of an affine encoder: values and units, each (B, k).

    ``x`` (B, D), ``weight`` (L, D), ``bias`` (L,). A row with fewer than k positive raw codes has zeros among its
    values. With ``rough`` the search is in bfloat16: values are exact all the same, and a unit is missed only where
    rounding puts ``(SPARE - 1) k`` others before it. Of ``signed`` codes the farthest from zero pass as they are.
    """
    if not rough:
        values, units = _searched(x, weight, bias, k, signed)
        return values if signed else values.relu_(), units
    _, found = _searched(x.bfloat16(), weight.bfloat16(), bias.bfloat16(), min(SPARE * k, len(weight)), signed)
    values = dots(x, weight, found.flatten(), _rows(found)).view_as(found) + bias[found]
    place = (values.abs() if signed else values).topk(k, dim=1).indices
    values = values.gather(1, place)
    return values if signed else values.relu_(), found.gather(1, place)


def _searched(x: Tensor, weight: Tensor, bias: Tensor, k: int, signed: bool) -> tuple[Tensor, Tensor]:
    scratch = x.new_empty(min(ROWS, len(x)), len(weight))
    parts = []
    for rows in x.split(ROWS):
        raw = scratch[: len(rows)]
        torch.addmm(bias, rows, weight.t(), out=raw)
        values, units = settled(raw.abs() if signed else raw, k)
        parts.append((raw.gather(1, units) if signed else values, units))
    values, units = (torch.cat(part) for part in zip(*parts, strict=True))
    return values, units


def _rows(units: Tensor) -> Tensor:
    """The row of each of ``units`` (B, k), flat."""
    return torch.arange(units.numel(), device=units.device) // units.shape[1]


def dots(x: Tensor, table: Tensor, units: Tensor, bags: Tensor) -> Tensor:
    """<x[bags[i]], table[units[i]]>: (B, D), (L, D), (n,), (n,) in ascending order -> (n,). The gradient of a sum over
    bags is made of these."""
    starts = _starts(bags, len(x))
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(x.contiguous(), table, units, starts, bags, 0)


def gather(values: Tensor, units: Tensor, bags: Tensor, count: int, table: Tensor) -> Tensor:
    """The sum of values[i] * table[units[i]] over each bag, 0 of an empty one: (n,), (n,), (n,) in ascending order,
    number of bags, (L, D) -> (count, D)."""
    return functional.embedding_bag(units, table, _starts(bags, count), mode="sum", per_sample_weights=values)


def _starts(bags: Tensor, count: int) -> Tensor:
    return torch.searchsorted(bags, torch.arange(count, device=bags.device))


class Entries(NamedTuple):
    """The elements of a code that are not zero, and maybe some that are, row by row."""

    values: Tensor
    """(n,)."""
    units: Tensor
    """(n,)."""
    rows: Tensor
    """(n,), ascending."""

    @classmethod
    def of(cls, values: Tensor, units: Tensor) -> Entries:
        """Of as many from each row, (B, k) each."""
        return cls(values.flatten(), units.flatten(), _rows(units))

    @classmethod
    def among(cls, z: Tensor) -> Entries:
        """Of a dense code (B, L)."""
        rows, units = z.nonzero(as_tuple=True)
        return cls(z[rows, units], units, rows)


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
        """``z`` (B, L) -> raw outputs (B, *D)."""
        return torch.addmm(self.last_bias, z, self.rows).reshape(z.shape[0], *self.shape)


class SparseCode(torch.autograd.Function):
    """What the units of a wide linear autoencoder that fire write, with the gradients of its weights.

    ``apply(x, pre, weight, bias, dictionary, values, units, rows, bags, count)``: ``x`` (B, D), ``pre`` (D,),
    ``weight`` (L, D), ``bias`` (L,), ``dictionary`` (L, E); the :class:`Entries` of the code of ``x``, found by these
    weights; ``bags`` (n,) in ascending order, where each entry writes, and how many these are -> (count, E), without
    the decoder's bias. A value that is not zero has the slope 1 in its raw code.
    """

    @staticmethod
    def forward(
        x: Tensor,
        pre: Tensor,
        weight: Tensor,
        bias: Tensor,
        dictionary: Tensor,
        values: Tensor,
        units: Tensor,
        rows: Tensor,
        bags: Tensor,
        count: int,
    ) -> Tensor:
        """What ``apply`` gives, see the class."""
        return gather(values, units, bags, count, dictionary)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep what the gradient needs: of codes only those that fired."""
        x, pre, weight, _, *entries, _ = inputs
        ctx.save_for_backward(x, pre, weight, *entries)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of all weights, and of ``x``, from that of the decoded rows (B, E)."""
        x, pre, weight, dictionary, values, units, rows, bags = ctx.saved_tensors
        gradient = gradient.contiguous()
        slopes = torch.where(values != 0, dots(gradient, dictionary, units, bags), 0.0)
        # The entries of a unit stand together after sorting: its gradient is a sum over one bag of rows.
        ordered, order = units.sort(stable=True)

        def grouped(weights: Tensor, source: Tensor, table: Tensor) -> Tensor:
            return gather(weights[order], source[order], ordered, len(weight), table)

        biases = torch.zeros_like(weight[:, 0]).index_add_(0, units, slopes)
        own = gather(slopes, units, rows, len(x), weight) if ctx.needs_input_grad[0] else None
        found = (own, -(biases @ weight), grouped(slopes, rows, x - pre), biases, grouped(values, bags, gradient))
        return (*found, *[None] * 5)


def sparsely(model: Any, x: Tensor, found: Entries, blocks: Tensor | None = None, count: int = 1) -> Tensor:
    """Raw output (B, *D) of a wide code, from its entries; or, with ``blocks`` (L,), what those of each of ``count``
    blocks write, without the bias, (B, count, *D)."""
    last, decoder = model.encoder.last, model.decoder
    bags = found.rows if blocks is None else found.rows * count + blocks[found.units]
    pre = model.units.shared(model.pre).flatten()
    inputs = (x.flatten(1), pre, last.weight, last.bias, decoder.dictionary.t())
    out = SparseCode.apply(*inputs, *found, bags, len(x) * count)
    if blocks is not None:
        return out.reshape(len(x), count, *x.shape[1:])
    return (model.units.summed(out) + decoder.last_bias).reshape(x.shape)
