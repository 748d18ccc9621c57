"""Contenders in closed form, and splits to measure them on."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from isthmus.facets.facet import Rows, Splits
from isthmus.metrics.fidelity import row_errors
from isthmus.model import Model

Array = NDArray[np.float32]


class Network(Model):
    """Two functions of tensors as a network."""

    def __init__(self, encode, decode):
        super().__init__()
        self.encode, self.decode, self.head = encode, decode, "gaussian"


@dataclass
class Linear:
    """``encode`` is ``(x - mean) @ axes.T``; principal components if they are those."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    shape: tuple[int, ...]
    trained: bool = True
    train_seconds: float = 0.5
    artefact_bytes: int = 1234
    steps: int = 0
    batch: int = 0

    def again(self, splits, *seeds):
        """Nothing of it depends on a seed."""
        return [self] * len(seeds)

    @property
    def parameters(self) -> int:
        return self.mean.size + self.axes.size

    def prior(self, n: int, seed: int) -> None:
        """None to draw from."""

    def encode_scaled(self, x: Array) -> Array:
        return ((x.reshape(len(x), -1) - self.mean) @ self.axes.T).astype(np.float32)

    def compared(self, x: Array, made: Array) -> Array:
        """There are no gaps."""
        return made

    def score_scaled(self, x: Array) -> NDArray[np.float64]:
        return row_errors(x, self.decode_scaled(self.encode_scaled(x)))

    def decode_scaled(self, z: Array) -> Array:
        return (z @ self.axes + self.mean).astype(np.float32).reshape(len(z), *self.shape)

    @property
    def model(self) -> Network:
        mean, axes = torch.tensor(self.mean, dtype=torch.float32), torch.tensor(self.axes, dtype=torch.float32)
        return Network(
            lambda x: (x.flatten(1) - mean) @ axes.t(), lambda z: (z @ axes + mean).reshape(len(z), *self.shape)
        )


def pca(x: Array, latents: int) -> Linear:
    """The principal components of rows ``x`` (n, *D)."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    mean = rows.mean(axis=0)
    axes = np.linalg.svd(rows - mean, full_matrices=False)[2][:latents]
    return Linear(mean, axes, x.shape[1:])


@dataclass
class Fixed:
    """A contender whose codes and reconstructions are given functions of its input."""

    encoder: object
    decoder: object
    trained: bool = True
    parameters: int = 1
    train_seconds: float = 0.0
    artefact_bytes: int = 1
    steps: int = 0
    batch: int = 0

    def again(self, splits, *seeds):
        """Nothing of it depends on a seed."""
        return [self] * len(seeds)

    def prior(self, n: int, seed: int) -> None:
        """None to draw from."""

    def encode_scaled(self, x: Array) -> Array:
        return self.encoder(x)  # type: ignore[operator]

    def compared(self, x: Array, made: Array) -> Array:
        """There are no gaps."""
        return made

    def score_scaled(self, x: Array) -> NDArray[np.float64]:
        return row_errors(x, self.decode_scaled(self.encode_scaled(x)))

    def decode_scaled(self, z: Array) -> Array:
        return self.decoder(z)  # type: ignore[operator]

    @property
    def model(self) -> Network:
        """No gradient goes through it."""
        return Network(
            lambda x: torch.tensor(self.encode_scaled(x.detach().numpy())),
            lambda z: torch.tensor(self.decode_scaled(z.detach().numpy())),
        )


def split(x: Array, y: NDArray[np.int64] | None, seed: int = 0, latents: int = 16) -> Splits:
    """A plain 60/20/20 split."""
    order = np.random.default_rng(seed).permutation(len(x))
    cuts = np.split(order, [int(0.6 * len(x)), int(0.8 * len(x))])
    train, valid, test = (Rows(x[n], None if y is None else y[n]) for n in cuts)
    return Splits(train, valid, test, seed, latents)


def digits() -> tuple[Array, NDArray[np.int64]]:
    """Pixels in 0..1, (1797, 8, 8), and the digits."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32).reshape(-1, 8, 8), y.astype(np.int64)
