"""Training rows that stay in their file, read ahead by other threads and handed out in a seeded order.

The order is that of :class:`isthmus.train.shuffle.Shuffle`: it does not depend on the number of readers, nor on when
they come. Where it stands is one number, so a training that was stopped goes on by reading one pool again.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from isthmus.data.source import release
from isthmus.train.shuffle import Pool, Shuffle


class _Filling(NamedTuple):
    """A pool on its way into the window."""

    pool: Pool
    slots: list[NDArray[np.int64]]
    """Where the rows of its first blocks are put."""
    loading: list[Future[None]]

    @property
    def whole(self) -> bool:
        """Whether all its blocks are there, or are being read."""
        return len(self.loading) == len(self.pool.blocks)


class Stream:
    """An endless stream of training rows, as :class:`isthmus.train.order.Order` is one of rows in memory.

    Who asks gets numbers of rows of :attr:`window`; these rows stand there until the next ones are asked for.

    Parameters
    ----------
    shuffle : Shuffle
    readers : int
        Threads that read ahead.
    """

    START = (torch.zeros(1, dtype=torch.int64),)
    """The mark of a stream of which nothing has been taken."""

    def __init__(self, shuffle: Shuffle, readers: int = 1) -> None:
        self.shuffle, self.rows = shuffle, shuffle.rows
        self.window = torch.empty(shuffle.window, shuffle.rows.width)
        self._free = self._lent = self._slots = np.empty(0, np.int64)
        self._filling: deque[_Filling] = deque()
        self._taken = 0
        self._threads = ThreadPoolExecutor(readers, "isthmus-reader")
        self._start(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.window = self.window[:0].clone()
        release()

    def take(self, count: int) -> Tensor:
        """Numbers of the next ``count`` rows in the window, int64 of shape (count,)."""
        self._free = np.concatenate([self._free, self._lent])
        self._lent, parts, self._taken = self._slots[:0], [], self._taken + count
        self._read_ahead()
        while count:
            if not len(self._slots):
                self._slots = self._next()
            parts.append(self._slots[:count])
            self._slots, count = self._slots[count:], count - len(parts[-1])
        self._lent = np.concatenate([self._lent, *parts])
        return torch.from_numpy(self._lent.copy())

    def mark(self) -> tuple[Tensor, ...]:
        """Where the stream stands, for :meth:`rewind`."""
        return (torch.tensor([self._taken]),)

    def rewind(self, mark: tuple[Tensor, ...]) -> None:
        """Stand where the stream stood at a mark; rows that were taken before are no longer held.

        Raises
        ------
        ValueError
            If it is no mark of such a stream.
        """
        (taken,) = mark
        if taken.dtype != torch.int64 or taken.shape != (1,) or int(taken) < 0:
            raise ValueError("expected how many rows were taken")
        if int(taken) == self._taken:
            return
        for loading in (one for filling in self._filling for one in filling.loading):
            if not loading.cancel():
                loading.exception()
        self._start(int(taken))

    def _start(self, taken: int) -> None:
        """Stand where ``taken`` rows have been taken."""
        epoch, over = divmod(taken, self.shuffle.count)
        left = self.shuffle.pools(epoch)
        while over >= (size := self.shuffle.size(left[0])):
            over, left = over - size, left[1:]
        self._pools = itertools.chain(left, self._later(epoch + 1))
        self._filling = deque()
        self._free = np.arange(len(self.window))
        self._lent = self._free[:0]
        self._taken = taken
        self._slots = self._next() if over else self._free[:0]
        self._lent, self._slots = self._slots[:over], self._slots[over:]
        self._read_ahead()

    def _later(self, epoch: int) -> Iterator[Pool]:
        """The pools of an epoch, and of all that follow it."""
        while True:
            yield from self.shuffle.pools(epoch)
            epoch += 1

    def _read_ahead(self) -> None:
        """Let blocks be read as far as there is room for them."""
        while True:
            if not self._filling or self._filling[-1].whole:
                self._filling.append(_Filling(next(self._pools), [], []))
            pool, slots, loading = self._filling[-1]
            block = int(pool.blocks[len(loading)])
            if (size := int(self.rows.sizes[block])) > len(self._free):
                return
            here, self._free = self._free[:size], self._free[size:]
            slots.append(here)
            loading.append(self._threads.submit(self._load, block, here))

    def _load(self, block: int, slots: NDArray[np.int64]) -> None:
        window, done = self.window.numpy(), 0
        for rows in self.rows.load(block):
            window[slots[done : done + len(rows)]] = rows
            done += len(rows)

    def _next(self) -> NDArray[np.int64]:
        """Where the rows of the next pool stand, in the order in which they are taken, once they are there."""
        self._read_ahead()
        pool, slots, loading = self._filling.popleft()
        for one in loading:
            one.result()
        return np.concatenate(slots)[self.shuffle.mixed(pool)]
