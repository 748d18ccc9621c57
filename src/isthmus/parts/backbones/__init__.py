"""The networks between data and code: an encoder and its mirror image, made from a recipe's fields.

Every encoder has ``last``, the layer that gives the raw code, whose ``bias`` a model may move. Every decoder has
``dictionary``, the weight of its first layer (width, L), and ``last_bias``, the bias of its output (D,). Their outputs
are raw: what follows (code activation, likelihood) is not the backbone's business.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from isthmus.activations import ACTIVATIONS
from isthmus.errors import BadInput
from isthmus.model import Recipe
from isthmus.parts.backbones.conv import ConvDecoder, ConvEncoder
from isthmus.parts.backbones.dense import Decoder, Encoder, TiedDecoder
from isthmus.parts.backbones.own import OwnDecoder, OwnEncoder
from isthmus.parts.backbones.vit import VitDecoder, VitEncoder

__all__ = [
    "ACTIVATIONS",
    "STACKS",
    "AnyDecoder",
    "AnyEncoder",
    "Decoder",
    "Encoder",
    "TiedDecoder",
    "decoder",
    "encoder",
]

AnyEncoder = Encoder | ConvEncoder | VitEncoder | OwnEncoder
AnyDecoder = Decoder | TiedDecoder | ConvDecoder | VitDecoder | OwnDecoder

STACKS = ("linear", "mlp", "vit")
"""Backbones whose models train faster side by side. Stacked convolutions gain nothing; strangers may not bear it."""


def encoder(recipe: Recipe, shape: Sequence[int], outputs: int) -> AnyEncoder:
    """The recipe's encoder for rows of ``shape``: (B, *D) -> (B, outputs).

    Raises
    ------
    BadInput
        If the backbone cannot take such rows, or the recipe's other fields do not go with it.
    """
    name, hidden, activation = recipe.backbone, recipe.hidden, recipe.activation
    _agree(recipe)
    if name in {"conv1d", "conv2d"}:
        return ConvEncoder(name, shape, hidden, outputs, activation, recipe.norm)
    if name == "vit":
        return VitEncoder(shape, hidden, outputs, activation)
    if name in {"linear", "mlp"}:
        return Encoder(shape, hidden, outputs, activation, recipe.norm, recipe.residual)
    return OwnEncoder(name, shape, outputs)


def decoder(recipe: Recipe, shape: Sequence[int], tied: AnyEncoder | None = None) -> AnyDecoder:
    """The recipe's decoder: (B, L) -> (B, *D), raw. With ``tied`` it reads that encoder's weights, transposed."""
    name, hidden, latents, activation = recipe.backbone, recipe.hidden, recipe.latents, recipe.activation
    _agree(recipe)
    if tied is not None:
        if not isinstance(tied, Encoder):
            raise BadInput(f"{recipe.family}: tied weights need backbone linear or mlp; got {name!r}")
        return TiedDecoder(tied, shape)
    if name in {"conv1d", "conv2d"}:
        return ConvDecoder(name, shape, hidden, latents, activation, recipe.norm)
    if name == "vit":
        return VitDecoder(shape, hidden, latents, activation)
    if name in {"linear", "mlp"}:
        return Decoder(shape, hidden, latents, activation, recipe.norm, recipe.residual)
    return OwnDecoder(name, shape, latents)


def _agree(recipe: Recipe) -> None:
    """Refuse fields that would have no effect with this backbone, or none that makes sense."""
    name, hidden, family = recipe.backbone, recipe.hidden, recipe.family
    own = name not in {"linear", "mlp", "conv1d", "conv2d", "vit"}
    fixed = ("hidden", "activation", "norm", "residual") if own else ("norm", "residual") if name == "vit" else ()
    for field in fixed:
        default = getattr(type(recipe), field)
        if getattr(recipe, field) != default:
            why = "it is a network of your own" if own else "its blocks always have them"
            raise BadInput(
                f"{family}: backbone {name} takes no {field} ({why}): leave it at {default!r}; "
                f"got {getattr(recipe, field)!r}"
            )
    if name in {"conv1d", "conv2d", "vit"} and not hidden:
        what = "widths of its blocks, such as (32, 32)" if name == "vit" else "channels of its layers, such as (16, 32)"
        raise BadInput(f"{family}: backbone {name} needs hidden: the {what}; got ()")
    if name == "vit" and len(set(hidden)) > 1:
        raise BadInput(f"{family}: the blocks of backbone vit have one width; got hidden={hidden!r}")
    if name == "vit" and hidden[0] < 2:
        raise BadInput(f"{family}: the blocks of backbone vit must be at least 2 wide; got hidden={hidden!r}")
    if recipe.norm == "layer" and (not hidden or min(hidden) < 2):
        raise BadInput(f"{family}: norm layer needs hidden layers of at least 2 elements; got hidden={hidden!r}")
    if recipe.residual and (name != "mlp" or not any(a == b for a, b in itertools.pairwise(hidden))):
        raise BadInput(
            f"{family}: residual needs backbone mlp with neighbouring hidden layers of equal width, such as (64, 64); "
            f"got backbone {name} with hidden={hidden!r}"
        )
