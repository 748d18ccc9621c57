"""How much of what a machine can multiply a training used: model FLOPs utilisation (Chowdhery et al. 2022, PaLM)."""

from __future__ import annotations

from typing import NamedTuple


class Utilisation(NamedTuple):
    """What a training did each second, checks and all, beside what the machine does in one large product.

    Attributes
    ----------
    rows_per_second : float
        Rows of training batches.
    flops_per_second : float
        Of the products of its steps; a multiply and its add count as two.
    peak : float
        Of a large float32 product alone, on all ranks together.
    """

    rows_per_second: float
    flops_per_second: float
    peak: float

    @property
    def share(self) -> float:
        """From 0 to 1; small networks spend their time in memory and between products, and reach a few per cent."""
        return self.flops_per_second / self.peak

    def __str__(self) -> str:
        done, peak = (f"{flops / 1e9:,.3g}" for flops in (self.flops_per_second, self.peak))
        return (
            f"{self.rows_per_second:,.0f} rows a second; {done} of the {peak} GFLOP/s of a large product on this "
            f"machine ({100 * self.share:.3g} %)"
        )


def utilisation(step: float, steps: int, batch: int, seconds: float, peak: float, ranks: int = 1) -> Utilisation:
    """The utilisation of a training.

    Parameters
    ----------
    step : float
        FLOPs of one step, of the whole batch.
    steps : int
    batch : int
        Rows of a step, of all ranks together.
    seconds : float
        On the clock, of all steps.
    peak : float
        FLOPs a second of one rank's machine (:func:`isthmus.metrics.cost.product_rate`).
    ranks : int, default 1

    Examples
    --------
    >>> found = utilisation(step=2e9, steps=100, batch=256, seconds=10.0, peak=4e10, ranks=2)
    >>> found.share
    0.25
    >>> print(found)
    2,560 rows a second; 20 of the 80 GFLOP/s of a large product on this machine (25 %)
    """
    return Utilisation(steps * batch / seconds, step * steps / seconds, peak * ranks)
