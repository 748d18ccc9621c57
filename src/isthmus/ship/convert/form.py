"""A sparse dictionary as numbers, free of any library's names: what every layout spells in its own way.

raw = weight (x - pre) + bias,   z = gate(raw),   y = dictionary z + offset (+ skip x)
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional

Gate = Literal["relu", "topk", "threshold", "gated", "pursuit"]


@dataclass(frozen=True, eq=False)
class Form:
    """D elements in, L units, E elements out; all tensors are float32."""

    gate: Gate
    """relu; the k largest of a row pass, rectified (topk); what exceeds ``threshold`` passes, rectified; two paths
    (gated); k steps of matching pursuit, where the encoder is the dictionary."""
    weight: Tensor
    """(L, D)."""
    bias: Tensor
    """(L,); of ``gated``, that of the path that opens."""
    pre: Tensor
    """(D,), subtracted from a row before the encoder reads it."""
    dictionary: Tensor
    """(E, L)."""
    offset: Tensor
    """(E,)."""
    k: int | None = None
    """Units that pass; of ``threshold``, how many passed on average in training, if one threshold is to see to that."""
    threshold: Tensor | None = None
    """(L,), at least 0."""
    stretch: Tensor | None = None
    """(L,), of ``gated``: the other path is ``exp(stretch) * weight (x - pre) + strength``, rectified."""
    strength: Tensor | None = None
    prefixes: tuple[int, ...] = ()
    """Widths of nested dictionaries, without the whole."""
    transcodes: bool = False
    """Whether it was made to predict something else than its rows; then it has no pre-bias."""
    skip: Tensor | None = None
    """(E, D), a linear map beside the dictionary."""

    @property
    def units(self) -> int:
        """L."""
        return len(self.bias)

    @property
    def wide(self) -> tuple[int, int]:
        """D and E."""
        return len(self.pre), len(self.offset)

    def referred(self, pre: Tensor) -> Form:
        """The same with another pre-bias (D,): the biases make up for it. Computed in float64, rounded once."""
        if torch.equal(pre, self.pre):
            return self
        moved = self.weight.double() @ (pre.double() - self.pre.double())
        strength = self.strength
        if strength is not None and self.stretch is not None:
            strength = (strength + moved * self.stretch.double().exp()).float()
        return dataclasses.replace(self, pre=pre, bias=(self.bias + moved).float(), strength=strength)

    def unscaled(self, shift: Tensor, scale: Tensor, shift_out: Tensor, scale_out: Tensor) -> Form:
        """The same for rows in the units of the data, where this one takes ``(x - shift) / scale`` and gives
        ``(y - shift_out) / scale_out``: (D,), (D,), (E,), (E,) in float64. Codes stay what they are, up to rounding."""
        skip, offset = self.skip, self.offset * scale_out + shift_out
        if skip is not None:
            wider = scale_out.unsqueeze(1) * skip / scale
            skip, offset = wider.float(), offset - wider @ shift
        if self.transcodes:  # it has no pre-bias that could take the shift
            weight, pre = self.weight / scale, self.pre
            bias = self.bias - weight @ shift
        else:
            weight, pre, bias = self.weight / scale, self.pre * scale + shift, self.bias.double()
        return dataclasses.replace(
            self,
            weight=weight.float(),
            bias=bias.float(),
            pre=pre.float(),
            dictionary=(self.dictionary * scale_out.unsqueeze(1)).float(),
            offset=offset.float(),
            skip=skip,
        )


class Product(Protocol):
    """``x @ weight.T + bias``: (B, D), (L, D), (L,) or 0 -> (B, L)."""

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor: ...


def along(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A :class:`Product` with the weight's rows together in memory."""
    return functional.linear(x, weight.contiguous(), bias)


def across(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A :class:`Product` with the weight's columns together in memory."""
    return torch.addmm(bias, x, weight.t().contiguous())


def apart(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """A :class:`Product` with the bias added last."""
    return x @ weight.t().contiguous() + bias


PRODUCTS: tuple[Product, ...] = (along, across, apart)
"""A sum of products has no one value in float32: it depends on the order of the terms, which BLAS takes from how
matrices lie in memory. Libraries differ in that, and a library of ours does with the width of a code."""


Config = dict[str, Any]
Tensors = dict[str, Tensor]


class Spec(Protocol):
    """What a header says of a tensor."""

    @property
    def dtype(self) -> str:
        """``F32``, ``I64`` and so on."""

    @property
    def shape(self) -> tuple[int, ...]:
        """As torch has it."""


class Foreign(Protocol):
    """The layout of another library: two files of a folder, and what that library computes from them."""

    @property
    def name(self) -> str:
        """As it is asked for."""

    @property
    def title(self) -> str:
        """As its authors write it."""

    @property
    def files(self) -> tuple[str, str]:
        """The names of the JSON file and of the safetensors file."""

    @property
    def opens(self) -> tuple[str, ...]:
        """Lines of Python that open the two files of the folder DIR in that library."""

    def expected(self, config: Config, header: dict[str, Spec]) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The type and shape of each tensor that must be there; refuses a configuration that can't be expressed."""

    def parse(self, config: Config, tensors: Tensors) -> Form:
        """What they mean; refuses what can't be expressed."""

    def spell(self, form: Form) -> tuple[Config, Tensors]:
        """The files' content; refuses what this library can't express, and refers the pre-bias if it must."""

    def encode(self, config: Config, tensors: Tensors, x: Tensor, product: Product) -> Tensor:
        """The codes (B, L) that the library gives rows (B, D): its formula, written out."""

    def decode(self, config: Config, tensors: Tensors, codes: Tensor, x: Tensor, product: Product) -> Tensor:
        """The rows (B, E) that it makes of codes, and of the rows themselves where it has a skip."""
