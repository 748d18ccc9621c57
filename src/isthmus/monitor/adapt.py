"""New calibration rows for a model whose threshold no longer holds, under a guard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed
from isthmus.ship import calibrate
from isthmus.ship.deployed import Deployed
from isthmus.ship.reference import Reference

RECENT = 20_000
"""Rows from which a model is calibrated anew, at most: the latest."""


class Adapted(NamedTuple):
    """A model calibrated anew, and what the guard saw on rows that calibrated neither."""

    model: Deployed | None
    """None where the guard refused it."""
    rows: int
    """Calibration rows, as many as the guard had."""
    rate: float
    before: float
    """Share of the guard's rows that the old threshold flags."""
    after: float
    """The same of the new one."""

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the model."""
        return {"adapted": self.model is not None, **{k: v for k, v in self._asdict().items() if k != "model"}}


def recalibrated(deployed: Deployed, rows: ArrayLike, *, seed: int = 0, about: str = "") -> Adapted:
    """Calibrate a model on half of some normal rows, and keep that only if it is no worse on the other half.

    Worse is a share of flags that lies further from the rate. Network, head and score stay as they are; calibration and
    reference are of the new rows.

    Parameters
    ----------
    deployed : Deployed
        With a calibration.
    rows : array (n, *D)
        Normal rows that came after the change, all of which the model can answer.
    seed : int, default 0
        Draws the halves.
    about : str, optional
        Which rows these are.

    Raises
    ------
    BadInput
        If half of the rows say nothing of the rate.

    Examples
    --------
    >>> import isthmus
    >>> random = np.random.default_rng(0)
    >>> x = random.normal(size=(500, 3))
    >>> model = Deployed.of(isthmus.fit(isthmus.named("pca").set_params(latents=2), x[:300]), normal=x[300:], rate=0.1)
    >>> found = recalibrated(model, 2 * random.normal(size=(400, 3)))
    >>> found.model is not None, found.before > 0.2, abs(found.after - 0.1) < 0.1
    (True, True, True)
    """
    own, given = deployed.needed(), np.asarray(rows)
    order = np.random.default_rng(hashed(seed, "adapt")).permutation(len(given))
    new, held = given[np.sort(order[: len(given) // 2])], given[np.sort(order[len(given) // 2 :])]
    if not len(new):
        raise BadInput("no rows came after the alarm, so that nothing can be calibrated anew; wait for some")
    calibrate.enough(len(new), own.rate)
    made = deployed.calibrated(new, rate=own.rate, about=about)
    made = replace(made, reference=Reference.of(deployed, [new], new))
    before, after = float(deployed.flags(held).mean()), float(made.flags(held).mean())
    good = abs(after - own.rate) <= abs(before - own.rate)
    return Adapted(made if good else None, len(new), own.rate, before, after)
