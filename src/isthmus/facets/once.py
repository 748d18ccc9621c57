"""What several facets want to know of the same rows is found out once for each split that a process works on."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import ref

from isthmus.facets.facet import Splits

T = TypeVar("T")

MOST = 4
"""Splits whose results are kept: replicates that are asked about in turn."""


def once(make: Callable[[Splits], T]) -> Callable[[Splits], T]:
    """The same function of splits, which gives what it gave before where the splits are the same.

    The same are splits of the same arrays, not of equal ones, with equal seed, width and number of units. What was made
    is shared: nobody may write to it. It is forgotten when one of the arrays is gone, and when ``MOST`` others came.

    Examples
    --------
    >>> import numpy as np
    >>> from isthmus.facets.facet import Rows
    >>> part, asked = Rows(np.ones((2, 1), np.float32), None), []
    >>> seen = once(lambda splits: asked.append(splits.seed) or splits.seed)
    >>> [seen(Splits(part, part, part, seed=seed, latents=1)) for seed in (3, 3, 4)], asked
    ([3, 3, 4], [3, 4])
    """
    kept: OrderedDict[tuple[int | None, ...], tuple[list[ref[object]], T]] = OrderedDict()

    @wraps(make)
    def made(splits: Splits) -> T:
        arrays = [part.x for part in splits[:3]]
        key = (*map(id, arrays), splits.seed, splits.latents, splits.k)
        found = kept.get(key)
        if found is not None and all(there() is array for there, array in zip(found[0], arrays, strict=True)):
            return found[1]
        value = make(splits)
        kept[key] = [ref(array, lambda _: kept.pop(key, None)) for array in arrays], value
        while len(kept) > MOST:
            kept.popitem(last=False)
        return value

    return made
