"""Rows of a stream that a model may be adapted to, and rows from before that it is guarded by: bounded, whatever comes.

Nothing of it is in the state of a watch, which holds no rows. The state tells from which row of a file on the threshold
was called into question, so that a watch that goes on gathers the same rows from the file again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.seeds import seed as hashed

RECENT = 20_000
"""Rows since the alarm, at most: the latest. As many from before it, at most: a draw of all."""


class Gathered:
    """Takes rows as they come; how they are cut changes nothing.

    Parameters
    ----------
    most : int, default 20,000
    seed : int, default 0
        Of the draw of rows before the alarm.

    Examples
    --------
    >>> rows = Gathered(most=3)
    >>> rows.put(np.arange(9)[:, None], since=False)
    >>> rows.put(np.arange(9, 20)[:, None], since=True)
    >>> rows.since().ravel().tolist(), len(rows.before())
    ([17, 18, 19], 3)
    """

    def __init__(self, most: int = RECENT, seed: int = 0) -> None:
        self.most, self._random = most, np.random.default_rng(hashed(seed, "before"))
        self._since: list[NDArray[Any]] = []
        self._before: list[NDArray[Any]] = []
        self._keys: list[NDArray[np.float64]] = []

    def put(self, rows: NDArray[Any], *, since: bool) -> None:
        """Rows (n, *D) in order, before the threshold was called into question or since."""
        if since:
            self._since.append(rows)
            while sum(map(len, self._since[1:])) >= self.most:
                del self._since[0]
        else:
            self._before.append(rows)
            self._keys.append(self._random.random(len(rows)))
            if sum(map(len, self._keys)) > 2 * self.most:
                self._thin()

    def since(self) -> NDArray[Any]:
        """The latest rows since then."""
        return np.concatenate(self._since)[-self.most :] if self._since else np.zeros(0)

    def before(self) -> NDArray[Any]:
        """Rows from before, as they came."""
        if self._keys:
            self._thin()
        return self._before[0] if self._before else np.zeros(0)

    def _thin(self) -> None:
        """Of the rows before, those with the least keys: a uniform draw, whatever it was made from in between."""
        rows, keys = np.concatenate(self._before), np.concatenate(self._keys)
        if len(keys) > self.most:
            stay = np.sort(np.argpartition(keys, self.most)[: self.most])
            rows, keys = rows[stay], keys[stay]
        self._before, self._keys = [rows], [keys]
