"""A user's networks: what their factories made is tried on a few rows, and given the biases that every model starts.

What is refused would break training silently: a module that changes its buffers or draws random numbers as it runs, or
in which rows of a batch see each other.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from isthmus.dispatch import drawing
from isthmus.errors import BadInput
from isthmus.registry import OWN

# Their output depends on the batch or on chance; nn.Module names no common class for them.
UNFIT = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
)


class Shift(nn.Module):
    """An additive bias, (width,), zero at first."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    @property
    def weight(self) -> Tensor:
        """Refused: a family that sets or reads it cannot take a network whose last layer nobody knows."""
        raise BadInput("the last layer of a registered backbone is not known: this family needs backbone mlp")


class OwnEncoder(nn.Module):
    """A registered encoder with a bias at its end: (B, *D) -> (B, outputs)."""

    def __init__(self, name: str, shape: Sequence[int], outputs: int) -> None:
        super().__init__()
        shape = tuple(shape)
        self.module = _made(f"backbone {name!r}: encoder", lambda: OWN[name].encoder(shape, outputs), shape, (outputs,))
        self.last = Shift(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> raw codes (B, outputs)."""
        return self.module(x) + self.last.bias


class OwnDecoder(nn.Module):
    """A registered decoder with a bias at its end: (B, L) -> (B, *D)."""

    def __init__(self, name: str, shape: Sequence[int], latents: int) -> None:
        super().__init__()
        self.name, self.shape = name, tuple(shape)
        make = OWN[name].decoder
        self.module = _made(f"backbone {name!r}: decoder", lambda: make(latents, self.shape), (latents,), self.shape)
        self.last_bias = nn.Parameter(torch.zeros(math.prod(shape)))

    @property
    def dictionary(self) -> Tensor:
        """Refused: nobody knows which of its weights each code element reaches first."""
        raise BadInput(
            f"backbone {self.name!r} is a registered network without a dictionary: this family needs one; take "
            "backbone linear, mlp, conv1d, conv2d or vit"
        )

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (B, L) -> raw outputs (B, *D)."""
        return self.module(z) + self.last_bias.reshape(self.shape)


def _made(label: str, make: Callable[[], object], takes: tuple[int, ...], gives: tuple[int, ...]) -> nn.Module:
    """The module that a factory makes, once it has shown on a few rows that it can be trained."""
    try:
        found = make()
    except Exception as error:
        raise BadInput(f"{label}: the factory failed: {_line(error)}") from error
    if not isinstance(found, nn.Module):
        raise BadInput(f"{label} must be a torch.nn.Module; the factory gave {type(found).__name__}")
    for part in found.modules():
        if isinstance(part, UNFIT):
            raise BadInput(
                f"{label} holds {type(part).__name__}, which makes rows depend on chance or on each other: take "
                "LayerNorm or GroupNorm instead of a batch's statistics, a corruption of the recipe instead of dropout"
            )
    module = copy.deepcopy(found)  # a factory that gives one module twice must not tie two models
    with torch.no_grad(), drawing(0):
        try:
            _try(label, module, torch.randn((3, *takes), generator=torch.Generator().manual_seed(0)), gives)
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError, AssertionError) as error:
            if isinstance(error, BadInput):
                raise
            raise BadInput(f"{label} failed on rows of shape {takes}: {_line(error)}") from error
    return module


def _try(label: str, module: nn.Module, rows: Tensor, gives: tuple[int, ...]) -> None:
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    out = module(rows)
    if not isinstance(out, Tensor) or not out.is_floating_point():
        kind = out.dtype if isinstance(out, Tensor) else type(out).__name__
        raise BadInput(f"{label} must give a tensor of real numbers; got {kind}")
    if tuple(out.shape[1:]) != gives or len(out) != len(rows):
        raise BadInput(f"{label} must give shape {(len(rows), *gives)} for {len(rows)} rows; got {tuple(out.shape)}")
    if not torch.equal(out, module(rows)):
        raise BadInput(f"{label} gives another result the second time: it must not draw random numbers")
    if any(not torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items()):
        raise BadInput(f"{label} changes its own tensors as it runs: it must leave them alone")
    alone = torch.cat([module(row.unsqueeze(0)) for row in rows])
    if not torch.allclose(alone, out, rtol=1e-3, atol=1e-4):
        raise BadInput(f"{label} lets rows of a batch see each other: a row's result must not depend on other rows")


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
