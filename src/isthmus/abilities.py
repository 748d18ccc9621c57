"""What a model may be able to do beyond the protocol that all of them speak (:mod:`isthmus.model`).

Each ability is a small protocol. A model has it by giving its methods: nothing is inherited and nothing registered, and
whoever needs one asks ``isinstance(model, HasPrior)``. The contract (:mod:`isthmus.testing`) refuses half an ability.
Members are methods, or plain numbers and strings: parameters, buffers and submodules of a ``torch.nn.Module`` are not
attributes that Python 3.12 and later find when they check a protocol. Shapes are those of :mod:`isthmus.model`.

Examples
--------
>>> from isthmus.families import named
>>> [isinstance(named(name).build((6,), "gaussian"), HasPrior) for name in ("vae", "plain")]
[True, False]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@runtime_checkable
class HasPrior(Protocol):
    """Codes can be drawn from what training held them to. Asked for by ``Fitted.prior``, and so by the sampler."""

    def prior(self, n: int, generator: torch.Generator) -> Tensor:
        """``n`` codes, (n, L), that follow from the generator alone."""
        ...


@runtime_checkable
class HasPosterior(Protocol):
    """A code is a normal distribution, which can collapse. Asked for by the doctor."""

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x): (B, *D) -> (B, L), (B, L)."""
        ...


@runtime_checkable
class HasProposals(Protocol):
    """Codes can be drawn for a row and weighed. Asked for by bounds on the likelihood and by bits-back coding."""

    @property
    def noises(self) -> int:
        """Width W of the noise of one draw."""
        ...

    @property
    def size(self) -> int:
        """How many elements of a row the likelihood is of: D, less what is given."""
        ...

    @property
    def head(self) -> str:
        """The likelihood of the output; only gaussian and bernoulli are normalised."""
        ...

    def proposals(self, x: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """``k`` codes for each row, and log p(z) - log q(z | x) of each: (B, *D), (B, k, W) -> (B, k, L), (B, k)."""
        ...

    def row_misfit(self, z: Tensor, target: Tensor) -> Tensor:
        """The head's unit-variance error of each row per element: (B, L), (B, *D) -> (B,)."""
        ...

    def scaled(self, error: Tensor) -> Tensor:
        """-log p per element from the head's unit-variance error, up to a constant; same shape."""
        ...


@runtime_checkable
class Discrete(Protocol):
    """A code is a row of symbols. Asked for by the codec and the doctor."""

    @property
    def entries(self) -> int:
        """How many symbols there are."""
        ...

    def tokens(self, x: Tensor) -> Tensor:
        """The symbols of rows ``x`` (B, *D): (B, positions), int64, from 0 to ``entries - 1``."""
        ...

    def embed(self, tokens: Tensor) -> Tensor:
        """The code that symbols (B, positions) stand for, (B, L): ``embed(tokens(x))`` is ``encode(x)``."""
        ...


@runtime_checkable
class HasPreBias(Protocol):
    """Something is subtracted from a row before the encoder reads it. Asked for by layer-wise training and folding."""

    def pre_bias(self) -> Tensor:
        """What is subtracted, (*D)."""
        ...


@runtime_checkable
class Foldable(HasPreBias, Protocol):
    """A sparse dictionary that has an inference form with all constants multiplied out. Asked for by who ships it."""

    def affine(self) -> tuple[Tensor, Tensor, Tensor | int]:
        """Weight (L, D) and bias (L,) of the raw code of a linear encoder, before the pre-bias is folded in, and its
        gate: a threshold for each unit (L,), or the number of units that pass."""
        ...

    def folded(self) -> nn.Module:
        """The inference form; refused with ``BadInput`` where the encoder or the decoder is no affine map."""
        ...


@runtime_checkable
class Layered(Protocol):
    """A network, encoder or decoder, of affine layers between flat rows and codes. Asked for by sparse dictionaries."""

    def depth(self) -> int:
        """How many layers; with one, the network is an affine map."""
        ...


OF_MODELS = (HasPrior, HasPosterior, HasProposals, Discrete, HasPreBias, Foldable)
"""The abilities of models; :class:`Layered` is one of their networks."""
