"""In which order rows are read: one permutation per epoch, cut into full batches across epoch borders."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor


class Batches(Protocol):
    """An endless stream of training rows: :class:`Order` is one of rows in memory, and
    :class:`isthmus.train.stream.Stream` of rows in a file."""

    def take(self, count: int) -> Tensor:
        """Where the next ``count`` rows stand in memory, int64 of shape (count,), until the next ones are taken."""

    def mark(self) -> tuple[Tensor, ...]:
        """Where the stream stands."""

    def rewind(self, mark: tuple[Tensor, ...]) -> None:
        """Stand where the stream stood at a mark; ``ValueError`` if it is no mark of such a stream."""


class Order:
    """An endless stream of row numbers.

    Every row is read once per epoch. A batch may span the border of two epochs, so that batches are always full and a
    training set smaller than one batch still trains.

    Parameters
    ----------
    rows : int
        Number of training rows.
    seed : int
        Names the stream.

    Examples
    --------
    >>> Order(3, seed=0).take(6).sort().values.tolist()
    [0, 0, 1, 1, 2, 2]
    """

    def __init__(self, rows: int, seed: int) -> None:
        self.rows = rows
        self.generator = torch.Generator().manual_seed(seed)
        self.left = torch.empty(0, dtype=torch.int64)

    def take(self, count: int) -> Tensor:
        """The next ``count`` row numbers, int64 of shape (count,)."""
        parts, have = [self.left], len(self.left)
        while have < count:
            parts.append(torch.randperm(self.rows, generator=self.generator))
            have += self.rows
        stream = torch.cat(parts)
        self.left = stream[count:]
        return stream[:count]

    def mark(self) -> tuple[Tensor, ...]:
        """Where the stream stands, for :meth:`rewind`."""
        return self.generator.get_state(), self.left

    def rewind(self, mark: tuple[Tensor, ...]) -> None:
        """Stand where the stream stood at a mark.

        Raises
        ------
        ValueError
            If it is no mark of such a stream.

        Examples
        --------
        >>> order = Order(50, seed=0)
        >>> mark, first = order.mark(), order.take(60)
        >>> order.rewind(mark)
        >>> torch.equal(order.take(60), first)
        True
        """
        state, left = mark
        if left.dtype != torch.int64 or left.ndim != 1 or bool(((left < 0) | (left >= self.rows)).any()):
            raise ValueError(f"expected numbers of {self.rows} rows; got {left.dtype} of shape {tuple(left.shape)}")
        if state.shape != self.generator.get_state().shape:
            raise ValueError("expected the state of a generator")
        self.generator.set_state(state)
        self.left = left
