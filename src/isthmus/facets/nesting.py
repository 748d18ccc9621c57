"""Nesting: how far the first units of a dictionary do by themselves, as they stand and in the order of their use.

A dictionary that is trained to be cut (``matryoshka``) has general features in front; of any other one may at best keep
the units that write most. Both orders are given, so that the gain of nesting is seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Coder, Curve, Found, Splits, held, some
from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.nesting import nested
from isthmus.seeds import seed as hashed

MOST = 500
"""Test rows that are rebuilt, and validation rows that tell which units are used."""
HALVINGS = 6
"""Prefixes of all units, half of them, and so on, down to one in 64."""


def nesting(coder: Coder, splits: Splits, lengths: NDArray[np.float32]) -> Found:
    """``nested``, ``nested_by_use``, and the curve ``prefixes`` of the former.

    Parameters
    ----------
    coder : Coder
    splits : Splits
        Codes are held to their ``k`` units a row, if there is one.
    lengths : array (L,)
        How long a piece each unit writes with a code of 1.
    """
    x, valid = (some(part, MOST, hashed(splits.seed, "nesting")).x for part in (splits.test, splits.valid))
    codes, seen = (_held(coder, coder.encode_scaled(part), splits, lengths) for part in (x, valid))
    width = codes.shape[1]
    counts = sorted({max(1, width >> i) for i in range(HALVINGS + 1)})
    mean = splits.train.x.mean(axis=0, dtype=np.float64)

    def explained(place: NDArray[np.int64]) -> list[float]:
        made = (coder.decode_scaled(np.where(place < m, codes, 0).astype(codes.dtype)) for m in counts)
        return [explained_variance(x, one, mean) for one in made]

    first = explained(np.arange(width))
    use = np.square(seen * lengths).sum(axis=0, dtype=np.float64)
    used = explained(np.argsort(np.argsort(-use, kind="stable")))
    return {
        "nested": nested(counts, first),
        "nested_by_use": nested(counts, used),
        "prefixes": Curve(tuple(map(float, counts)), tuple(first)),
    }


def _held(
    coder: Coder, codes: NDArray[np.float32], splits: Splits, lengths: NDArray[np.float32]
) -> NDArray[np.float32]:
    return codes if splits.k is None else held(coder, codes, splits.k, lengths)
