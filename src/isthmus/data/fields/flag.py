"""Yes or no, as 1 or 0."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from isthmus.data.fields.field import Cells
from isthmus.data.fields.number import Number


class Flag(Number):
    """Yes (1) or no (0): the number, standardised; what comes back is the likelier of the two.

    Examples
    --------
    >>> from isthmus.data.fields.field import Field
    >>> paid = Flag.fit(np.array([0.0, 1.0, 1.0, 1.0]), Field("paid", "flag"))
    >>> paid.decode(np.array([[-1.0], [0.1]]))
    array([0., 1.])
    """

    kind: ClassVar[str] = "flag"
    outcome: ClassVar[str] = "bit"

    @property
    def shares(self) -> tuple[float, ...]:
        return (min(max(self.shift, 0.0), 1.0),)

    def decode(self, x: NDArray[np.float64]) -> Cells:
        return (super().decode(x) > 0.5).astype(np.float64)
