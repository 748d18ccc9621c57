"""In which order rows that do not fit into memory are read: blocks are shuffled, then the rows of some blocks together.

Every epoch shuffles the blocks of the file and deals them out to pools, as many rows as are held in memory at once;
then the rows of each pool are shuffled. That is the order of CorgiPile (Xu, Qiu, Yuan, Jiang, Renggli, Gan, Kara, Li,
Liu, Wu, Ye and Zhang 2022, In-database machine learning with CorgiPile: stochastic gradient descent without full data
shuffle, SIGMOD), which converges nearly as a full shuffle does where a pool holds some blocks from all over the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed

NEAR = 0.01
"""Rows are neighbours if they lie within this share of the file of each other."""
PROBED = 8, 32
"""Pools, and batches of each, by whose rows the mixing is told."""


class Blocks(Protocol):
    """Where blocks of training rows come from; see :class:`isthmus.data.survey.Survey`."""

    @property
    def digest(self) -> str:
        """Names all rows."""

    @property
    def width(self) -> int:
        """E, the elements of a row."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(K,): rows of each block."""

    def load(self, block: int) -> Iterator[NDArray[np.float32]]:
        """The rows of a block, some (n, E) at a time."""

    def numbers(self, block: int) -> NDArray[np.int64]:
        """Which rows these are, in the order of the file."""


class Pool(NamedTuple):
    """Blocks whose rows are mixed."""

    epoch: int
    number: int
    blocks: NDArray[np.int64]


class Shuffle:
    """The order of rows, epoch by epoch; it follows from the seed, the file and the size of a pool alone.

    Parameters
    ----------
    rows : Blocks
    window : int
        Rows that are held in memory: a pool, a block that is read meanwhile, and what was taken last.
    seed : int
        Names the order.
    at_once : int
        Most rows that are taken at once.

    Raises
    ------
    BadInput
        If the window is too small for the blocks of the file.
    """

    def __init__(self, rows: Blocks, window: int, seed: int, at_once: int) -> None:
        self.rows, self.seed, self.count = rows, seed, int(rows.sizes.sum())
        self.largest = int(rows.sizes.max())
        if window < (least := self.least(rows, at_once)):
            raise BadInput(
                f"{window:,} rows in memory are too few for blocks of {self.largest:,} rows; at least {least:,} are "
                "needed: give more memory, or write the file in smaller blocks"
            )
        self.pool = min(window - self.largest - at_once, self.count)
        self.window = self.pool + self.largest + at_once

    @staticmethod
    def least(rows: Blocks, at_once: int) -> int:
        """The smallest window through which such rows can go: one block that is taken, and one that is read."""
        return 2 * int(rows.sizes.max()) + at_once

    @property
    def bound(self) -> dict[str, Any]:
        """What names the order: nothing else has an influence on which rows come when."""
        return {"digest": self.rows.digest, "pool": self.pool, "seed": self.seed}

    def size(self, pool: Pool) -> int:
        """The rows of a pool."""
        return int(self.rows.sizes[pool.blocks].sum())

    def pools(self, epoch: int) -> list[Pool]:
        """The blocks of an epoch as they are mixed: in as few pools as will do, as equal as blocks allow."""
        order = np.random.default_rng(hashed(self.seed, "blocks", epoch)).permutation(len(self.rows.sizes))
        order = order[self.rows.sizes[order] > 0]  # all rows of a block may be held out
        sizes = self.rows.sizes[order]
        few = 1 if self.pool >= self.count else -(-self.count // max(1, self.pool - self.largest))
        cuts = np.flatnonzero(np.diff((np.cumsum(sizes) - sizes) * few // self.count)) + 1
        return [Pool(epoch, i, blocks) for i, blocks in enumerate(np.split(order, cuts))]

    def mixed(self, pool: Pool) -> NDArray[np.int64]:
        """In which order the rows of a pool are taken."""
        return np.random.default_rng(hashed(self.seed, "rows", pool.epoch, pool.number)).permutation(self.size(pool))

    def numbers(self, pool: Pool) -> NDArray[np.int64]:
        """Which rows of the file a pool takes, in its order; none of them is read."""
        return np.concatenate([self.rows.numbers(int(block)) for block in pool.blocks])[self.mixed(pool)]

    def mixing(self, batch: int) -> float:
        """:func:`neighbours` of some batches of the first epoch."""
        pools, (some, batches) = self.pools(0), PROBED
        chosen = [pools[i] for i in np.unique(np.linspace(0, len(pools) - 1, some).astype(int))]
        taken = [self.numbers(pool) for pool in chosen]
        file = int(self.rows.numbers(int(np.flatnonzero(self.rows.sizes)[-1]))[-1]) + 1
        found = [(neighbours(part[: batch * batches], batch, file), len(part)) for part in taken if len(part) >= batch]
        if not found:
            return neighbours(np.concatenate(taken), min(batch, self.count), file)
        return float(np.average([one for one, _ in found], weights=[size for _, size in found]))


def neighbours(numbers: NDArray[np.int64], batch: int, file: int) -> float:
    """How well an order of rows is mixed: the share of the pairs of rows of a batch that are neighbours in the file.

    Parameters
    ----------
    numbers : array (n,)
        Which rows of the file are taken, in their order.
    batch : int
        Rows of a batch.
    file : int
        Rows of the file. Two of them are neighbours if they lie within a hundredth of it of each other.

    Returns
    -------
    float
        About 0.02 for a full shuffle, whatever the file; 1 for rows that are taken as they lie.

    Examples
    --------
    >>> rows = np.arange(64_000)
    >>> neighbours(rows, 64, 64_000), round(neighbours(np.random.default_rng(0).permutation(rows), 64, 64_000), 3)
    (1.0, 0.02)
    """
    whole = numbers[: len(numbers) // batch * batch].reshape(-1, batch)
    near = sum(int((np.abs(one[:, None] - one) <= NEAR * file).sum()) - batch for one in whole)
    return near / (len(whole) * batch * max(1, batch - 1))
