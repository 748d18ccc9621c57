"""A small vision transformer for images (H, W) or (H, W, C), of any size.

Dosovitskiy et al. (2021), An image is worth 16x16 words, ICLR; as an autoencoder of patches: He et al. (2022), Masked
autoencoders are scalable vision learners, CVPR. Where we deviate: the mean over patches gives the code, there is no
class token, no dropout, and the hidden layer of a block is twice its width, not four times.

Patches are squares of side max(2, ceil(longest side / 8)), or the whole of a shorter axis; images are padded with zeros
at the right and the bottom to a whole number of patches, so there are at most 64. A block has one head for each 16 of
its width, or fewer, as many as divide it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from isthmus.activations import ACTIVATIONS
from isthmus.parts.backbones.conv import grid
from isthmus.parts.backbones.dense import affine

MOST = 8  # patches along the longest side
HEAD = 16  # the width that a head has at least
GROWTH = 2  # width of a block's hidden layer over the width of the block


class Patches:
    """How images are cut: (B, *D) to (B, T, elements of a patch) and back."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.height, self.width, self.channels = grid("vit", shape, 2)
        side = max(2, math.ceil(max(self.height, self.width) / MOST))
        self.tall, self.wide = min(side, self.height), min(side, self.width)
        self.rows, self.columns = math.ceil(self.height / self.tall), math.ceil(self.width / self.wide)
        self.count, self.size = self.rows * self.columns, self.tall * self.wide * self.channels

    def cut(self, x: Tensor) -> Tensor:
        """(B, *D) -> (B, T, size)."""
        right, below = self.columns * self.wide - self.width, self.rows * self.tall - self.height
        image = x.reshape(x.shape[0], self.height, self.width, self.channels)
        image = functional.pad(image, (0, 0, 0, right, 0, below))
        cells = image.reshape(x.shape[0], self.rows, self.tall, self.columns, self.wide, self.channels)
        return cells.transpose(2, 3).reshape(x.shape[0], self.count, self.size)

    def join(self, patches: Tensor) -> Tensor:
        """(B, T, size) -> (B, *D); what was padded is cut off."""
        cells = patches.reshape(-1, self.rows, self.columns, self.tall, self.wide, self.channels)
        image = cells.transpose(2, 3).reshape(-1, self.rows * self.tall, self.columns * self.wide, self.channels)
        return image[:, : self.height, : self.width].reshape(-1, *self.shape)


class Block(nn.Module):
    """Self-attention, then two affine layers for each patch, both normalised before and added: (B, T, W) -> same."""

    def __init__(self, width: int, activation: str) -> None:
        super().__init__()
        self.heads = max(h for h in range(1, max(1, width // HEAD) + 1) if width % h == 0)
        self.activation = activation
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asks = affine(width, 3 * width, bias=False)
        self.mixes = affine(width, width)
        self.widens, self.narrows = affine(width, GROWTH * width), affine(GROWTH * width, width)

    def attend(self, h: Tensor) -> Tensor:
        """Every patch takes from all patches: softmax(Q K' / sqrt(width of a head)) V."""
        batch, count, width = h.shape
        parts = self.asks(h).reshape(batch, count, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        share = torch.softmax(query @ key.transpose(-2, -1) / math.sqrt(width // self.heads), dim=-1)
        return self.mixes((share @ value).transpose(1, 2).reshape(batch, count, width))

    def forward(self, h: Tensor) -> Tensor:
        """``h`` (B, T, W) -> the same shape."""
        h = h + self.attend(self.before(h))
        return h + self.narrows(ACTIVATIONS[self.activation](self.widens(self.between(h))))


class VitEncoder(nn.Module):
    """Rows to raw codes: patches, their positions, blocks, the mean over patches. (B, *D) -> (B, outputs)."""

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], outputs: int, activation: str) -> None:
        super().__init__()
        self.patches = Patches(shape)
        self.embed = affine(self.patches.size, hidden[0], bias=False)
        self.positions = nn.Parameter(0.02 * torch.randn(self.patches.count, hidden[0]))
        self.blocks = nn.ModuleList(Block(width, activation) for width in hidden)
        self.norm = nn.LayerNorm(hidden[-1])
        self.last = affine(hidden[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (B, *D) -> raw codes (B, outputs)."""
        h = self.embed(self.patches.cut(x)) + self.positions
        for block in self.blocks:
            h = block(h)
        return self.last(self.norm(h).mean(1))


class VitDecoder(nn.Module):
    """Codes to raw outputs: one affine layer gives a vector for each patch (its bias is the position), then blocks.

    (B, L) -> (B, *D).
    """

    def __init__(self, shape: Sequence[int], hidden: Sequence[int], latents: int, activation: str) -> None:
        super().__init__()
        self.patches = Patches(shape)
        self.first = affine(latents, self.patches.count * hidden[-1])
        self.blocks = nn.ModuleList(Block(width, activation) for width in reversed(hidden))
        self.norm = nn.LayerNorm(hidden[0])
        self.paint = affine(hidden[0], self.patches.size, bias=False)
        self.last_bias = nn.Parameter(torch.zeros(math.prod(shape)))

    @property
    def dictionary(self) -> Tensor:
        """The weight of the first layer, (width, L): column j is what code element j adds."""
        return self.first.weight

    def forward(self, z: Tensor) -> Tensor:
        """``z`` (B, L) -> raw outputs (B, *D)."""
        h = self.first(z).reshape(z.shape[0], self.patches.count, -1)
        for block in self.blocks:
            h = block(h)
        return self.patches.join(self.paint(self.norm(h))) + self.last_bias.reshape(self.patches.shape)
