"""What modern sparse autoencoders share: a dictionary, silent units that are brought back, and a folded form.

A unit reads a row, minus a pre-bias, through one column of the encoder and writes through one column of the decoder,
its entry of the dictionary. The training form is ``forward``; the inference form is ``encode``, which treats every row
alone; :meth:`Dictionary.folded` is the latter with all constants multiplied out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.abilities import Layered
from isthmus.errors import BadInput
from isthmus.model import Loss, Model, Recipe, knob
from isthmus.parts import heads
from isthmus.parts.encoder_decoder import EncoderDecoder
from isthmus.parts.gates import farthest, topk
from isthmus.parts.units import HERE, Units

STARTING = 2048  # rows, evenly spaced, that set biases and scales at the start: enough for a mean, cheap at any width
TINY = 1e-12
LARGE = 2048
"""Units from which a step with an affine decoder does nothing for dead units where there are none."""
CALM = 192 * 768
"""Elements of a row times units, up to which a dictionary learns best at the usual rate."""


@dataclass(kw_only=True, eq=False, repr=False)
class Revived(Recipe):
    """A recipe whose dead units are brought back by an auxiliary term (Gao et al. 2024, appendix A.2)."""

    aux: float = knob(
        0.03125,
        "Weight of the auxiliary loss, the error rebuilt from dead units (alpha, 1/32 in Gao et al. 2024).",
        stacks=True,
        low=0.0,
    )
    k_aux: int | None = knob(
        None,
        "Dead units of the auxiliary loss in one row (k_aux); null: half as many as a row has elements.",
        low=1,
    )
    dead_after: int = knob(5000, "Training rows without firing after which a unit counts as dead.", stacks=True, low=1)


class Reviving(Model):
    """A dictionary that knows which of its units are dead, and what these may add. A family calls :meth:`wind` once.

    Seen: how often each unit fired, and rows. Remembered: ``idle`` (L,), rows since each unit fired.
    """

    size: int
    idle: Tensor
    dead_after: Tensor
    units: Units = HERE
    resting: tuple[str, ...] = ("auxiliary",)
    fresh: tuple[str, ...] = ("idle",)

    def wind(self, recipe: Revived, units: int, k_aux: int | None = None) -> None:
        """The clock of so many units, and the weight of the term that brings them back."""
        self.weights |= {"auxiliary": recipe.aux}
        self.k_aux = min(units, recipe.k_aux or k_aux or max(1, self.size // 2))
        self.register_buffer("dead_after", torch.tensor(float(recipe.dead_after)), persistent=False)
        self.register_buffer("idle", torch.zeros(units))

    def dead(self) -> Tensor:
        """Which units have not fired for ``dead_after`` training rows, (L,) of bool."""
        return self.idle > self.dead_after

    def helping(self, raw: Tensor) -> Tensor:
        """What dead units add to a code: their largest ``k_aux`` raw codes, as :func:`offered`; (B, L) -> (B, L)."""
        best, index = self.units.best(torch.where(self.dead(), raw, -math.inf), self.k_aux)
        values = torch.where(best > -math.inf, offered(raw).gather(1, index), 0.0)
        return torch.zeros_like(raw).scatter(1, index, values)

    def facts(self, raw: Tensor, z: Tensor) -> dict[str, Tensor]:
        """What ``absorb`` wants, additive over batches."""
        return {"fired": (z > 0).sum(0).to(z.dtype).detach(), "rows": z.new_full((), len(z))}

    @torch.no_grad()
    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Wind the clock of the units that stayed silent, reset the others."""
        self.idle.add_(seen["rows"]).mul_(seen["fired"] == 0)


class Dictionary(Reviving, EncoderDecoder):
    """``encode`` is ``gate(encoder(x - pre))``; families give the gate and what sparsity costs.

    Terms: reconstruction, auxiliary and those of ``costs``. Seen: how often each unit fired, and rows. Remembered:
    ``idle`` (L,), rows since each unit fired. At the start the encoder is the decoder transposed, with unit norm, and
    scaled so that reconstructions are as long as the rows are (Gao et al. 2024, appendix A.1); or both as short as
    they were made.

    Parameters
    ----------
    recipe : Revived
    shape : tuple of int
        ``*D``.
    head : {"gaussian", "bernoulli"}
    unit : bool, default False
        Whether the columns of the dictionary are put back to unit norm after each step.
    short : bool, default False
        Whether an affine encoder and decoder start as short as they were made. Adam moves every element by about the
        learning rate, whatever its size, so that a short column turns faster: a wide dictionary, whose units fire
        seldom, has no steps to spare (docs/dictionaries.md has figures).
    """

    def __init__(
        self, recipe: Revived, shape: tuple[int, ...], head: str, *, unit: bool = False, short: bool = False
    ) -> None:
        super().__init__(recipe, shape, head)
        self.unit = unit
        affine = is_affine(self.encoder) and is_affine(self.decoder)
        self.short, self.large = short and affine, affine and recipe.latents >= LARGE
        if self.large:  # a step asks whether anybody is dead, which a recorded one cannot
            self.stacks = self.replays = False
        self.wind(recipe, recipe.latents)
        self.pre = nn.Parameter(torch.zeros(shape))
        if not self.short:
            normalise(self.decoder.dictionary)
        tie(self)

    def gate(self, raw: Tensor) -> Tensor:
        """The code, from raw ones; each row alone. (B, L) -> (B, L)."""
        return torch.relu(raw)

    def train_gate(self, raw: Tensor) -> Tensor:
        """The code in training, where it may depend on the batch; by default, ``gate``."""
        return self.gate(raw)

    def costs(self, raw: Tensor, z: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Further named terms, over D: what a code costs; by default none."""
        return {}

    def encode(self, x: Tensor) -> Tensor:
        return self.gate(self.raw(x))

    def raw(self, x: Tensor) -> Tensor:
        """What the gate sees: (B, *D) -> (B, L)."""
        return self.encoder(x - self.units.shared(self.pre))

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        raw = self.raw(x)
        z = self.train_gate(raw) if self.training else self.gate(raw)
        out = self.units.decoded(self.decoder, z)
        misfit = heads.nll(self.head, out, target).mean()
        terms = {"reconstruction": misfit, "auxiliary": self.revival(raw, z, out, target)}
        return Loss(terms | self.costs(raw, z, target), self.facts(raw, z))

    def revival(self, raw: Tensor, z: Tensor, out: Tensor, target: Tensor) -> Tensor:
        """What the largest ``k_aux`` raw codes of dead units leave of the error when they are added to ``out``; 0-dim.

        They count as :func:`offered`, and as :func:`helped`: the term moves dead units only. Zero if no unit is dead.
        """
        if self.large and self.units is HERE:
            dead = self.dead().nonzero().flatten()
            return self.revived(raw[:, dead], dead, out, target)
        better = helped(self.decoder, z, out, self.helping(raw), self.units)
        return heads.nll(self.head, better, target).mean() * self.units.anywhere(self.dead())

    def revived(self, raw: Tensor, dead: Tensor, out: Tensor, target: Tensor) -> Tensor:
        """The same of an affine decoder, from the raw codes (B, n) of the n units that are ``dead`` and no others."""
        if not len(dead):
            return out.new_zeros(())
        index = raw.topk(min(self.k_aux, len(dead)), dim=1).indices
        helping = torch.zeros_like(raw).scatter(1, index, offered(raw).gather(1, index))
        added = functional.linear(helping, self.decoder.dictionary[:, dead]).reshape(out.shape)
        return heads.nll(self.head, out.detach() + added, target).mean()

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """The pre-bias is the mean row; raw codes have mean 0; reconstructions are centred and as long as the rows,
        unless the dictionary starts short."""
        self.pre.copy_(x.mean(0))
        some = sampled(x)
        self.encoder.last.bias.sub_(self.raw(some).mean(0))
        if not self.short:
            self.lengthen(some)
        self.level(some)

    def lengthen(self, some: Tensor) -> None:
        """Scale raw codes until reconstructions of ``some`` rows are as long as these are."""
        back = self.decoder(self.train_gate(self.raw(some)))
        long, short = (some - self.pre).square().sum(), (back - back.mean(0)).square().sum()
        scale = torch.where((long > 0) & (short > 0), (long / short.clamp_min(TINY)).sqrt(), 1.0)
        self.encoder.last.weight.mul_(scale)
        self.encoder.last.bias.mul_(scale)

    def level(self, x: Tensor) -> None:
        """Move the decoder's last bias until the average raw output on rows ``x`` predicts the mean row."""
        raw = self.decoder(self.train_gate(self.raw(x))).mean(0)
        self.decoder.last_bias.add_((heads.link(self.head, self.pre) - raw).flatten())

    @torch.no_grad()
    def project(self) -> None:
        """Columns of the dictionary back to unit norm, if they are held there."""
        if self.unit:
            normalise(self.decoder.dictionary)

    def pre_bias(self) -> Tensor:
        """What is subtracted from a row before the encoder reads it, (*D)."""
        return self.pre

    def affine(self) -> tuple[Tensor, Tensor, Tensor | int]:
        """Weight (L, D) and bias (L,) of the raw code of a linear encoder, before the pre-bias is folded in, and its
        gate: a threshold for each unit (L,), or the number of units that pass."""
        last = self.encoder.last
        return last.weight, last.bias, torch.zeros_like(last.bias)

    def folded(self) -> Folded:
        """See :func:`folded`."""
        return folded(self)


@torch.no_grad()
def folded(model: Any, *, signed: bool = False) -> Folded:
    """The inference form of a linear dictionary as a small module of its own, with a unit-norm dictionary.

    ``model`` is a :class:`isthmus.parts.encoder_decoder.EncoderDecoder` that is :class:`isthmus.abilities.Foldable`, as
    :class:`Dictionary` is; ``signed`` where the k codes of the largest size pass, with their signs.

    Raises
    ------
    BadInput
        If the encoder or the decoder is not one affine layer: there is nothing that constants could fold into.
    """
    if not (is_affine(model.encoder) and is_affine(model.decoder)):
        raise BadInput(
            "only a linear encoder and decoder can be folded; this model has more layers, or others: use its encode "
            "and decode, or train with backbone linear"
        )
    weight, bias, gate = model.affine()
    columns = model.decoder.dictionary
    norms = columns.norm(dim=0).clamp_min(TINY)
    bias = bias - weight @ model.pre_bias().flatten()
    about = (norms, columns / norms, model.decoder.last_bias, model.head, model.shape)
    return Folded(weight, bias, gate, *about, signed=signed)


class Folded(nn.Module):
    """A sparse autoencoder as it ships: an affine map, a gate, and a dictionary with unit norm.

    A unit's code is how long a piece of the reconstruction it writes: that of the training form times the norm of its
    column, which a threshold follows. The number of units that pass does not depend on it.

    Parameters
    ----------
    weight, bias : Tensors (L, D), (L,)
        Of the encoder; the pre-bias is folded into ``bias``.
    gate : Tensor (L,) or int
        What a raw code must exceed to pass, at least 0; or how many of a row pass, if positive.
    norms : Tensor (L,)
        The norms that the columns of the dictionary had.
    dictionary, offset : Tensors (D, L), (D,)
        Of the decoder; the columns have unit norm.
    head : {"gaussian", "bernoulli"}
    shape : tuple of int
        ``*D``.
    signed : bool, default False
        Whether those of the largest size pass, with their signs.
    """

    weight: Tensor
    bias: Tensor
    threshold: Tensor
    scale: Tensor
    dictionary: Tensor
    offset: Tensor

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor,
        gate: Tensor | int,
        norms: Tensor,
        dictionary: Tensor,
        offset: Tensor,
        head: str,
        shape: tuple[int, ...],
        *,
        signed: bool = False,
    ) -> None:
        super().__init__()
        self.head, self.shape, self.signed = head, shape, signed
        self.k = gate if isinstance(gate, int) else None
        inside = torch.ones_like(norms) if self.k else norms  # a scale would change which raw codes are the largest
        threshold = torch.zeros_like(norms) if isinstance(gate, int) else gate
        held = {
            "weight": weight * inside.unsqueeze(1),
            "bias": bias * inside,
            "threshold": threshold * inside,
            "scale": norms / inside,
            "dictionary": dictionary,
            "offset": offset,
        }
        for name, value in held.items():
            self.register_buffer(name, value.detach().clone())

    def encode(self, x: Tensor) -> Tensor:
        """(B, *D) -> (B, L)."""
        raw = functional.linear(x.flatten(1), self.weight, self.bias)
        if self.k and self.signed:
            return farthest(raw, torch.tensor(self.k), self.k) * self.scale
        if self.k:
            return torch.relu(topk(raw, torch.tensor(self.k), self.k)) * self.scale
        return torch.where(raw > self.threshold, raw, 0.0)

    def decode(self, z: Tensor) -> Tensor:
        """(B, L) -> (B, *D), in the data's units."""
        raw = functional.linear(z, self.dictionary, self.offset)
        return heads.mean(self.head, raw.reshape(z.shape[0], *self.shape))

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction, (B, *D) -> (B, *D)."""
        return self.decode(self.encode(x))


def sampled(x: Tensor) -> Tensor:
    """At most ``STARTING`` of the rows, evenly spaced."""
    return x[:: -(-len(x) // STARTING)]


def offered(raw: Tensor) -> Tensor:
    """What dead units may add to rows, from their raw codes: (B, L) -> (B, L), rectified as the code itself is.

    Without a rectifier the units would only have to be good together, as a linear map, and would not learn to fire: of
    512 on MNIST most stay dead. But a unit that is negative in every row of the batch would get no gradient through a
    rectifier, and is taken as it is.

    Examples
    --------
    >>> offered(torch.tensor([[1.0, -2.0], [-3.0, -1.0]]))
    tensor([[ 1., -2.],
            [ 0., -1.]])
    """
    return torch.where((raw > 0).any(0), torch.relu(raw), raw)


def helped(decoder: Any, z: Tensor, out: Tensor, helping: Tensor, units: Units = HERE) -> Tensor:
    """Raw output (B, *D) with ``helping`` (B, L) of the ``units`` added to the code, of which alone it has a gradient.

    ``out`` is what ``decoder`` makes of ``z``. It stands still, as the residual does in Gao et al. (2024) and in the
    two codes that are taken as reference: else the term would also ask live units to leave room for dead ones.
    """
    if is_affine(decoder):
        return out.detach() + units.summed(helping @ decoder.dictionary.t()).reshape(out.shape)
    still = z.detach()
    return out.detach() + decoder(still + helping) - decoder(still)


def tempo(recipe: Recipe, size: int) -> float:
    """What the learning rate of a dictionary is multiplied by, for rows of ``size`` elements: by measurement, the cube
    root of how much larger than ``CALM`` it is, downwards.

    Adam moves each element of a column by the rate, so that a long column turns further in a step.

    Examples
    --------
    >>> from isthmus.families import named
    >>> [round(tempo(named("topk").set_params(latents=n), 512), 2) for n in (16, 256, 2048)]
    [1.0, 1.0, 0.52]
    """
    inner = recipe.hidden[-1] if recipe.hidden else size
    return recipe.pace * min(1.0, (CALM / (inner * recipe.latents)) ** (1 / 3))


def is_affine(network: object) -> bool:
    """Whether an encoder or a decoder is one affine layer."""
    return isinstance(network, Layered) and network.depth() == 1


@torch.no_grad()
def tie(model: EncoderDecoder) -> None:
    """Start the encoder as the decoder transposed (Gao et al. 2024, appendix A.1): a unit reads what it writes."""
    weight, wanted = model.encoder.last.weight, model.decoder.dictionary.t()
    if weight.shape == wanted.shape:  # a user's own network may differ
        weight.copy_(wanted)


@torch.no_grad()
def normalise(dictionary: Tensor) -> None:
    """Columns of ``dictionary`` (width, L) to unit norm, in place."""
    dictionary.div_(dictionary.norm(dim=0, keepdim=True).clamp_min(TINY))
