"""An encoder and its mirror image with a likelihood: what nearly every family starts from."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from isthmus.model import Model, Recipe
from isthmus.parts import heads
from isthmus.parts.backbones import ACTIVATIONS, STACKS, AnyDecoder, AnyEncoder, decoder, encoder

BLOCK = 8192  # training rows that go through the network at once when a model starts
STARTED = 1 << 25
"""Numbers of the training rows by which it starts, at most; of more, rows evenly spread, for their outputs are kept."""


class EncoderDecoder(Model):
    """``encode`` is the backbone followed by a code activation, ``decode`` the mean of the likelihood.

    Parameters
    ----------
    recipe : Recipe
        Gives latents and all that shapes the network.
    shape : tuple of int
        ``*D``.
    head : {"gaussian", "bernoulli", "huber", "student"}
        The likelihood of the output.
    code : str, default "identity"
        The code activation.
    tied : bool, default False
        Whether the decoder uses the encoder's weights, transposed.
    outputs : int, optional
        Width of the encoder's last layer, if it is not ``latents``.
    """

    encoder: AnyEncoder
    decoder: AnyDecoder

    def __init__(
        self,
        recipe: Recipe,
        shape: tuple[int, ...],
        head: str,
        *,
        code: str = "identity",
        tied: bool = False,
        outputs: int | None = None,
    ) -> None:
        super().__init__()
        self.size = math.prod(shape)
        self.shape, self.latents, self.head, self.code = shape, recipe.latents, head, code
        self.weights = {"reconstruction": 1.0}
        self.stacks = recipe.backbone in STACKS
        self.encoder = encoder(recipe, shape, outputs or recipe.latents)
        self.decoder = decoder(recipe, shape, self.encoder if tied else None)

    def encode(self, x: Tensor) -> Tensor:
        """(B, *D) -> (B, L)."""
        return ACTIVATIONS[self.code](self.encoder(x))

    def decode(self, z: Tensor) -> Tensor:
        """(B, L) -> (B, *D), in the data's units."""
        return heads.mean(self.head, self.decoder(z))

    def misfit(self, z: Tensor, target: Tensor) -> Tensor:
        """The negative log-likelihood of ``target`` given codes ``z``: sum over elements, mean over rows, over D."""
        return heads.nll(self.head, self.decoder(z), target).mean()

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Two biases, from the training rows ``x`` (N, *D).

        The encoder's last one centres the raw code, so that a rectified unit fires on some rows and a sigmoid starts in
        its linear range; the decoder's last one lets the average raw output predict the mean of the data.
        """
        blocks = x[:: math.ceil(x.numel() / STARTED) or 1].split(BLOCK)
        self.encoder.last.bias.sub_(torch.cat([self.encoder(rows) for rows in blocks]).mean(0))
        raw = torch.cat([self.decoder(self.encode(rows)) for rows in blocks])
        self.decoder.last_bias.add_((heads.link(self.head, x.mean(0)) - raw.mean(0)).flatten())
