"""A dictionary that learnt nothing: random directions, of which the k most like a row speak for it.

The frozen baselines of arXiv 2602.14111 (2026): a random dictionary comes close to trained ones in probing (0.69
against 0.72) and in how interpretable its units seem (0.87 against 0.90). So it stands in every table of sparse
dictionaries, and whoever does not beat it has shown nothing.

Whatever can be had without learning directions is given to it, for even white noise is rebuilt better from directions
that fit its draw than from others by the same products. Directions stand at right angles in blocks. Units are found by
matching pursuit, several at a time where many speak; their number varies from row to row, and is k on average over
training rows, as in ``batchtopk``. The decoder is the best for these codes in closed form, or the directions
themselves, whichever rebuilds validation rows better.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Found, Splits
from isthmus.facets.kin import Lines
from isthmus.facets.once import once
from isthmus.metrics.fidelity import mse, row_errors
from isthmus.seeds import seed as hashed

Array = NDArray[np.float32]

NAME = "random dictionary"
PENALTIES = (0.01, 1.0)
"""Ridge of the decoder, as a share of the mean square of a unit's code."""
SPARE = 2
"""Units that are tried for each that fires on average."""
ROUNDS = 8
"""Of the pursuit, at most."""
ROTATED = 1024
"""Columns up to which directions stand at right angles in blocks; the work grows with their cube."""
WORK, LEAST_ROWS = 2e11, 1000
"""Multiplications of the pursuit over training rows, and how few of these there may be: seconds of one core."""
TINY = 1e-30
SOLVED = 4096
"""Units up to which the decoder is solved: the work grows with their cube. Wider ones write their directions."""


@dataclass(frozen=True)
class RandomDictionary:
    """Frozen directions and a pursuit; of :class:`isthmus.facets.facet.Contender` what facets ask of it."""

    directions: Array
    """(L, D), of unit norm."""
    decoder: Array
    """(L, D)."""
    mean: Array
    """(D,), of the training rows."""
    k: int
    """Units of a row that fire, on average over training rows."""
    least: float
    """The smallest code that counts."""
    shape: tuple[int, ...]
    trained: bool = True

    @classmethod
    def of(cls, splits: Splits, seed: int | None = None) -> RandomDictionary:
        """As many units as the study's codes have elements; as many speak for a row as of any dictionary there."""
        own = hashed(splits.seed, NAME) if seed is None else seed
        return cls.fit(splits.train.x, splits.valid.x, units=splits.latents, active=splits.active, seed=own)

    @classmethod
    def fit(cls, x: Array, held: Array, *, units: int, active: int, seed: int = 0) -> RandomDictionary:
        """For scaled training rows (n, *D); others (m, *D) choose how it decodes.

        Examples
        --------
        >>> rows = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
        >>> RandomDictionary.fit(rows[:60], rows[60:], units=6, active=2).encode_scaled(rows).shape
        (90, 6)
        """
        wide = units * max(1, x[0].size)
        train, valid = (spaced(rows, wide) for rows in (x, held))
        directions = turned(units, train.shape[1], seed)
        bare = cls(directions, directions, train.mean(axis=0), active, 0.0, x.shape[1:])
        codes = bare.encode_scaled(train)
        fire, wanted = codes[codes > 0], active * len(codes)
        if len(fire) > wanted:
            bare = replace(bare, least=float(np.partition(fire, -wanted)[-wanted]))
            codes[codes < bare.least] = 0
        made = [replace(bare, decoder=decoder) for decoder in _decoders(bare, codes, train - bare.mean)]
        flat = valid.shape
        return min(made, key=lambda one: mse(valid, one.decode_scaled(one.encode_scaled(valid)).reshape(flat)))

    def again(self, splits: Splits, *seeds: int) -> list[RandomDictionary]:
        """Other directions."""
        return [self.of(splits, seed) for seed in seeds]

    def encode_scaled(self, x: Array) -> Array:
        """(n, *D) -> (n, L), nowhere negative."""
        left = x.reshape(len(x), -1) - self.mean
        codes = pursued(left, self.directions, min(SPARE * self.k, len(self.directions)))
        return np.where(codes >= self.least, codes, 0)

    def decode_scaled(self, z: Array) -> Array:
        """(n, L) -> (n, *D)."""
        return (z @ self.decoder + self.mean).reshape(len(z), *self.shape)

    def compared(self, x: Array, made: Array) -> Array:
        """Gaps are not known here: as it was made."""
        return made

    def score_scaled(self, x: Array) -> NDArray[np.float64]:
        """The squared error of each row."""
        return row_errors(x, self.decode_scaled(self.encode_scaled(x)).reshape(x.shape))


def spaced(x: Array, wide: int) -> Array:
    """Rows (n, *D) flat; of more than ``WORK`` allows with ``wide`` products in a row, evenly spaced ones.

    Examples
    --------
    >>> spaced(np.zeros((20_000, 2), np.float32), 768 * 4096).shape, spaced(np.zeros((900, 2)), 10**9).shape
    ((3334, 2), (900, 2))
    """
    most = max(LEAST_ROWS, int(WORK / (2 * ROUNDS * wide)))
    return x.reshape(len(x), -1)[:: -(-len(x) // most)]


def turned(units: int, width: int, seed: int) -> Array:
    """Random directions of unit norm, (units, width): the axes of random rotations, one after the other, which are
    better spread than independent draws; of rows wider than ``ROTATED``, these.

    Examples
    --------
    >>> a = turned(6, 4, seed=0)
    >>> np.allclose(a[:4] @ a[:4].T, np.eye(4), atol=1e-6), a.shape
    (True, (6, 4))
    """
    draw = np.random.default_rng(seed)
    if width > ROTATED:
        free = draw.standard_normal((units, width))
        return (free / np.linalg.norm(free, axis=1, keepdims=True)).astype(np.float32)
    blocks = [np.linalg.qr(draw.standard_normal((width, width)))[0] for _ in range(-(-units // width))]
    return np.concatenate(blocks)[:units].astype(np.float32)


def pursued(left: Array, directions: Array, units: int) -> Array:
    """The code of rows ``left`` (n, D) by so many ``units`` at most, (n, L), nowhere negative.

    Matching pursuit (Mallat and Zhang 1993) in ``ROUNDS`` rounds at most: in each the units whose directions (L, D) of
    unit norm are most like what is left of a row, times the length that leaves least of it.
    """
    codes = np.zeros((len(left), len(directions)), np.float32)
    rounds = min(ROUNDS, units)
    for taken in np.diff(np.linspace(0, units, rounds + 1).astype(int)):
        raw = left @ directions.T
        border = np.partition(raw, -taken, axis=1)[:, -taken, None]
        step = np.where(raw >= border, raw, 0).clip(min=0)
        made = step @ directions
        length = (made * left).sum(axis=1) / np.maximum(np.square(made).sum(axis=1), TINY)
        codes += length[:, None] * step
        left = left - length[:, None] * made
    return codes


def _decoders(bare: RandomDictionary, codes: Array, rows: Array) -> list[Array]:
    """The directions themselves, and ridge regressions of centred training rows (n, D) on their codes (n, L)."""
    found = [bare.directions]
    if codes.shape[1] <= SOLVED and codes.any():
        from scipy.linalg import cho_factor, cho_solve

        scatter, cross = (codes.T @ codes).astype(np.float64), (codes.T @ rows).astype(np.float64)
        for penalty in PENALTIES:
            ridge = penalty * np.trace(scatter) / len(scatter)
            whole = cho_factor(scatter + ridge * np.eye(len(scatter)), overwrite_a=True)
            found.append(cho_solve(whole, cross).astype(np.float32))
    return found


def random_dictionary(measure: Callable[[Any, Splits], Found]) -> Callable[[Splits], Found]:
    """The rival of a facet with this measure; the dictionary of a split is made for the first facet that asks."""
    return lambda splits: measure(of_splits(splits), splits)


def written(splits: Splits) -> Lines:
    """Python that draws the same directions."""
    own = f"units={splits.latents}, active={splits.active}, seed={hashed(splits.seed, NAME)}"
    return Lines(
        "from isthmus.facets.random_dictionary import RandomDictionary\n\n"
        "X = X.astype('float32')\n"
        f"model = RandomDictionary.fit(X[::2], X[1::2], {own})\n"
        "model.encode_scaled(X)  # model.decode_scaled gives rows"
    )


of_splits = once(RandomDictionary.of)
