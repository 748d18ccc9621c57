"""The names of backbones: those of the house, and those a user registers in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from isthmus.errors import BadInput

BACKBONES = ("linear", "mlp", "conv1d", "conv2d", "vit")


class Own(NamedTuple):
    """The two factories of a registered backbone."""

    encoder: Callable[[tuple[int, ...], int], nn.Module]
    decoder: Callable[[int, tuple[int, ...]], nn.Module]


OWN: dict[str, Own] = {}


def register_backbone(
    name: str,
    encoder: Callable[[tuple[int, ...], int], nn.Module],
    decoder: Callable[[int, tuple[int, ...]], nn.Module],
) -> None:
    """Make networks of your own available to every family, as ``backbone=name``.

    The name is known to this process alone: a program that loads a model with this backbone registers it first. A saved
    model holds the name and the weights, never code.

    Parameters
    ----------
    name : str
        A Python identifier that is not taken.
    encoder : callable
        ``encoder(shape, outputs)`` gives a new ``nn.Module`` from rows (B, *shape) to (B, outputs).
    decoder : callable
        ``decoder(latents, shape)`` gives a new ``nn.Module`` from codes (B, latents) to (B, *shape); its output is raw
        (logits under a bernoulli head).

    Raises
    ------
    BadInput
        If the name is taken or no identifier, or a factory cannot be called. What the modules do is checked when a
        model is built.

    Examples
    --------
    >>> import math
    >>> import isthmus
    >>> def encoder(shape, outputs):
    ...     return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), outputs))
    >>> def decoder(latents, shape):
    ...     return nn.Sequential(nn.Linear(latents, math.prod(shape)), nn.Unflatten(1, shape))
    >>> register_backbone("one_layer", encoder, decoder)
    >>> isthmus.named("plain").set_params(backbone="one_layer").backbone
    'one_layer'
    """
    if not isinstance(name, str) or not name.isidentifier():
        raise BadInput(f"the name of a backbone must be a Python identifier; got {name!r}")
    if name in BACKBONES or name in OWN:
        raise BadInput(f"the backbone {name!r} is taken: choose another name")
    for side, factory in (("encoder", encoder), ("decoder", decoder)):
        if not callable(factory):
            raise BadInput(f"backbone {name!r}: {side} must be a function that makes an nn.Module; got {factory!r}")
    OWN[name] = Own(encoder, decoder)
