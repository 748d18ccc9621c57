"""Top-k sparse autoencoder.

Makhzani and Frey (2014), k-sparse autoencoders, ICLR; Gao et al. (2024), Scaling and evaluating sparse autoencoders
(auxiliary loss for dead units).

    min  E[ -log p(x | z) + aux * -log p(x | sg(z) + z_dead) ] / D,   z = relu(top_k(f(x - pre)))

Exactly the k largest pre-activations pass, then relu: a row may use fewer than k units, never more. A unit is dead
when it has not fired for ``dead_after`` training rows; z_dead are the rectified pre-activations of at most ``k_aux``
dead units, and sg stops the gradient, so that the second term moves dead units alone. The encoder starts as the decoder
transposed. Where we deviate: a dead unit that is negative in every row of
a batch is not rectified there, for it would get no gradient. Gao et al. fit dead units to the residual, with a linear
decoder; we let them add to the code and ask for the same reconstruction again, which is the same thing for a linear
decoder with a gaussian head and has a meaning for every other. Where more than k_aux units are dead, they take the
largest pre-activations of each row; we take the units that have been silent longest, the same for all rows, whose part
is then a plain matrix product.
The pre-bias is not tied to the decoder's bias, because under a bernoulli head the two have different units; both start
from the mean of the training rows. The decoder has no unit norm: without a penalty on the code's size nothing is gained
by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.errors import BadInput
from isthmus.model import Loss, Model, Range, knob
from isthmus.parts import heads
from isthmus.parts.dictionary import Folded, Revived, Reviving, folded, helped, offered, sampled, tempo, tie
from isthmus.parts.encoder_decoder import BLOCK, EncoderDecoder
from isthmus.parts.gates import SHARE, counts, usual
from isthmus.parts.penalties import crowding
from isthmus.parts.sparse import Entries, RowDecoder, fire, quick, sparsely
from isthmus.registry import OWN

WIDE = 2048  # units from which the sparse step is faster on a CPU, if at most one in SPARSE fires (benchmarks/wide.py)
SPARSE = 64
CHUNK = 2048  # entries of a dictionary among which the nearest is looked for


@dataclass(kw_only=True, eq=False, repr=False)
class TopK(Revived):
    """Sparse by construction: only the k largest code elements of a row pass."""

    family: ClassVar[str] = "topk"
    camp: ClassVar[str] = "sparse dictionary"

    k: int | None = knob(
        None,
        "Code elements that pass, 1 to latents; null: 4 (at most half), and one in 32 of a code wider than 128.",
        search=Range(1, 8, whole=True),
        stacks=True,
        off=lambda recipe: recipe.latents,
        low=1,
    )
    k_aux: int | None = knob(
        None,
        "Dead units of the auxiliary loss, the longest silent first (k_aux); null: half as many as a row has elements.",
        low=1,
    )

    ortho: float = knob(
        0.0,
        "Weight of the largest cosine of each entry of the dictionary with another one (gamma; 0.25 in OrtSAE).",
        off=0.0,
        low=0.0,
    )

    def tempo(self, size: int) -> float:
        """Wide dictionaries of long rows learn in smaller steps: :func:`isthmus.parts.dictionary.tempo`."""
        return tempo(self, size)

    def space(self) -> dict[str, Range]:
        """``k`` is drawn as the width has it: :func:`isthmus.parts.gates.counts`."""
        return super().space() | {"k": counts(self.latents)}

    def capacities(self, shape: Sequence[int], rows: int, near: str | None = None) -> dict[str, dict[str, Any]]:
        """A wider code passes one in ``SHARE`` of its units, or ``k`` if that is more."""
        found = super().capacities(shape, rows, near)
        return {name: {**one, "k": max(self.passing, one.get("latents", 0) // SHARE)} for name, one in found.items()}

    def structure(self) -> dict[str, Any]:
        return super().structure() | {"limit": self.limit}

    @property
    def passing(self) -> int:
        """How many elements pass."""
        return usual(self.latents) if self.k is None else self.k

    @property
    def limit(self) -> int:
        """The largest k that shares a graph with this one: half or all of a small code, else the next power of two."""
        if self.latents <= 256:
            half = max(1, self.latents // 2)
            return half if self.passing <= half else self.latents
        return min(self.latents, 1 << (self.passing - 1).bit_length())

    def _check(self) -> None:
        super()._check()
        if self.passing > self.latents:
            raise BadInput(
                f"{self.family}: k must be a whole number from 1 to latents = {self.latents}; got {self.k!r}"
            )

    @property
    def wide(self) -> bool:
        """Whether the code is so wide, and so few units fire, that visiting only these is faster (measured)."""
        plain = self.backbone in {"linear", "mlp"} and not self.hidden
        return plain and self.latents >= WIDE and self.latents >= SPARSE * self.passing

    def _build(self, shape: tuple[int, ...], head: str) -> Model:
        return TopKModel(self, shape, head)


class TopKModel(Reviving, EncoderDecoder):
    """Two terms: reconstruction and auxiliary. Seen: firings, rows. Remembered: rows since each unit fired.

    A wide code is never made dense in training (:mod:`isthmus.parts.sparse`); terms and gradients are the same.
    """

    k: Tensor
    signed: ClassVar[bool] = False
    """Whether those farthest from zero pass, with their signs."""
    shards = True

    def __init__(self, recipe: TopK, shape: tuple[int, ...], head: str) -> None:
        super().__init__(recipe, shape, head)
        if recipe.backbone not in OWN:  # a user's own network starts as it was made
            tie(self)
        self.wind(recipe, recipe.latents)
        if recipe.ortho:
            self.weights |= {"orthogonality": recipe.ortho}
            self.shards = False
        self.limit, self.passing = recipe.limit, recipe.passing
        self.wide = recipe.wide
        if self.wide:
            self.stacks = self.replays = False
            self.decoder = RowDecoder(self.decoder)  # type: ignore[assignment]
        self.pre = nn.Parameter(torch.zeros(shape))
        self.register_buffer("k", torch.tensor(recipe.passing), persistent=False)

    def encode(self, x: Tensor) -> Tensor:
        if self.wide:
            values, units = self._fired(x)
            return values.new_zeros(x.shape[0], self.latents).scatter_(1, units, values)
        return self.gate(self.encoder(x - self.pre))

    def gate(self, raw: Tensor) -> Tensor:
        """The code, from raw ones; each row alone. (B, L) -> (B, L)."""
        return torch.relu(self.units.topk(raw, self.k, self.limit))

    def offered(self, raw: Tensor) -> Tensor:
        """What dead units may add, from raw codes: :func:`isthmus.parts.dictionary.offered`."""
        return offered(raw)

    def apart(self) -> dict[str, Tensor]:
        """The term that keeps entries of the dictionary apart, if there is one."""
        weighs = "orthogonality" in self.weights
        return {"orthogonality": crowding(self.decoder.dictionary, CHUNK)} if weighs else {}

    def reconstruct(self, x: Tensor) -> Tensor:
        return heads.mean(self.head, self._decoded(x)[0]) if self.wide else super().reconstruct(x)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        if self.wide:
            return self._sparsely(x, target)
        raw = self.encoder(x - self.units.shared(self.pre))
        z = self.gate(raw)
        dead = self.dead()
        if self.k_aux < self.latents:
            dead = dead & self.longest()
        out = self.units.decoded(self.decoder, z)
        better = helped(self.decoder, z, out, torch.where(dead, self.offered(raw), 0.0), self.units)
        auxiliary = heads.nll(self.head, better, target).mean() * self.units.anywhere(dead)
        seen = {"fired": (z != 0).sum(0).to(z.dtype).detach(), "rows": z.new_full((), len(z))}
        misfit = heads.nll(self.head, out, target).mean()
        return Loss({"reconstruction": misfit, "auxiliary": auxiliary, **self.apart()}, seen)

    def longest(self) -> Tensor:
        """The ``k_aux`` units that have been silent longest, of those that tie the first: (L,) of bool."""
        return self.units.chosen(self.idle, torch.full((), self.k_aux, device=self.idle.device), self.k_aux)

    def _decoded(self, x: Tensor, *, rough: bool = False) -> tuple[Tensor, Tensor, Tensor]:
        """Raw output (B, *D), values and units (B k,), when the code is wide; ``rough`` as in :func:`fire`."""
        found = Entries.of(*self._fired(x, rough=rough))
        return sparsely(self, x, found), found.values, found.units

    def _fired(self, x: Tensor, *, rough: bool = False) -> tuple[Tensor, Tensor]:
        """Values and units, (B, k) each."""
        last = self.encoder.last
        rows = x.flatten(1) - self.pre.flatten()
        here = min(self.passing, len(last.weight))
        values, units = fire(rows, last.weight, last.bias, here, rough=rough, signed=self.signed)
        return self.units.kept(values, self.passing), units

    def _sparsely(self, x: Tensor, target: Tensor) -> Loss:
        """``forward`` for a wide code. What dead units could add is computed only if there are any."""
        out, values, units = self._decoded(x, rough=self.training and quick(x))
        auxiliary = out.new_zeros(())
        dead = (self.longest() & self.dead()).nonzero().flatten()
        if self.units.anywhere(dead >= 0):
            centred, last = (x - self.units.shared(self.pre)).flatten(1), self.encoder.last
            raw = functional.linear(centred, last.weight[dead], last.bias[dead])
            added = functional.linear(self.offered(raw), self.decoder.dictionary[:, dead])
            added = self.units.summed(added).reshape(out.shape)
            auxiliary = heads.nll(self.head, out.detach() + added, target).mean()
        fired = torch.zeros_like(self.idle).index_add_(0, units, (values != 0).to(self.idle.dtype))
        seen = {"fired": fired, "rows": out.new_full((), len(out))}
        misfit = heads.nll(self.head, out, target).mean()
        return Loss({"reconstruction": misfit, "auxiliary": auxiliary, **self.apart()}, seen)

    def pre_bias(self) -> Tensor:
        """What is subtracted from a row before the encoder reads it, (*D)."""
        return self.pre

    def affine(self) -> tuple[Tensor, Tensor, int]:
        """Weight (L, D) and bias (L,) of the raw code, and how many elements pass: what :func:`folded` wants."""
        return self.encoder.last.weight, self.encoder.last.bias, self.passing

    def folded(self) -> Folded:
        """See :func:`isthmus.parts.dictionary.folded`."""
        return folded(self)

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """The pre-bias is the mean row; raw codes have mean 0; the average raw output predicts the mean row."""
        mean, some = x.mean(0), sampled(x) if self.latents >= WIDE else x
        self.pre.copy_(mean)
        last = self.encoder.last
        if self.wide:
            last.bias.zero_()  # affine: the mean of codes is that of the mean row, which is 0 without the pre-bias
            out = self._decoded(some)[0].mean(0)
        else:
            last.bias.sub_(torch.cat([self.encoder(rows - mean) for rows in some.split(BLOCK)]).mean(0))
            out = torch.cat([self.decoder(self.encode(rows)) for rows in some.split(BLOCK)]).mean(0)
        self.decoder.last_bias.add_((heads.link(self.head, mean) - out).flatten())
