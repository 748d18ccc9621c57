"""What rows cost in bits per element, at one distortion or over a range of them.

A distortion is a squared error per element as a share of the variance about the training mean. A curve is a set of
measured points. Between two points lies what coding some rows the one way and the others the other way takes, so rates
are those of the lower convex hull; and nobody needs more bits for more error: a better point serves for a worse one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.metric import Metric
from isthmus.said import Said

TARGET = 0.1
"""The distortion at which rates are compared: a tenth of the variance, a signal 10 dB above the error."""
RANGE = (0.02, 0.4)
"""Distortions over which rates are averaged, evenly in their logarithm."""
LEAST_LOGIT = 1e-7


def hull(distortion: Sequence[float], bits: Sequence[float]) -> list[tuple[float, float]]:
    """The points (distortion, bits) worth having, distortion rising and bits falling; none if one is not finite.

    Examples
    --------
    >>> hull([0.5, 0.3, 0.1, 0.6], [1.0, 2.9, 3.0, 1.5])
    [(0.1, 3.0), (0.5, 1.0)]
    """
    points = sorted(zip(distortion, bits, strict=True))
    if not all(math.isfinite(value) for point in points for value in point):
        return []
    found: list[tuple[float, float]] = []
    for d, b in points:
        if found and b >= found[-1][1]:
            continue
        while len(found) > 1 and _turns(found[-2], found[-1], (d, b)) <= 0:
            found.pop()
        if found and d == found[-1][0]:
            found.pop()
        found.append((d, b))
    return found


def rate_at(distortion: Sequence[float], bits: Sequence[float], target: float = TARGET) -> float:
    """Bits per element at a distortion, from measured points of one coder.

    Returns
    -------
    float
        NaN if no point is as good as ``target``, or one is not finite.

    Examples
    --------
    >>> round(rate_at([0.4, 0.1, 0.02], [1.0, 2.0, 3.0], 0.25), 12)
    1.5
    """
    return float(_rates(distortion, bits, np.array([target]))[0])


def mean_rate(distortion: Sequence[float], bits: Sequence[float], span: tuple[float, float] = RANGE) -> float:
    """Bits per element on average over a range of distortions, even in their logarithm: the area under the curve.

    The difference of two such means is that of Bjontegaard (2001, Calculation of average PSNR differences between
    RD-curves, VCEG-M33), on the hull of the measured points instead of a fitted polynomial.

    Examples
    --------
    >>> round(mean_rate([0.4, 0.001], [1.5, 1.5], (0.1, 0.4)), 12)
    1.5
    """
    return float(_rates(distortion, bits, np.geomspace(*span, 129)).mean())


def _rates(distortion: Sequence[float], bits: Sequence[float], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    points = hull(distortion, bits)
    if not points:
        return np.full(len(targets), math.nan)
    d, b = np.transpose(points)
    return np.where(targets < d[0] * (1 - 1e-12), math.nan, np.interp(targets, d, b))


def _turns(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    """Positive if the way from a over b to c turns left."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def bits_back(model: Any, x: NDArray[np.float32], width: float, seed: int = 0) -> float:
    """Bits per element that bits-back coding takes on average, for rows rounded to multiples of ``width``.

    It is the negative evidence bound in bits: a code is drawn from the posterior with bits that are got back, and costs
    what the prior says; then the cells of the elements cost what the likelihood says (Hinton and van Camp 1993;
    Townsend, Bird and Barber 2019, Practical lossless compression with latent variables using bits back coding, ICLR).
    One draw for each row. A bernoulli head is read as a continuous Bernoulli, which is a density on [0, 1]
    (Loaiza-Ganem and Cunningham 2019, The continuous Bernoulli, NeurIPS).

    Parameters
    ----------
    model : Model
        :class:`isthmus.abilities.HasProposals`, with a gaussian or bernoulli head. Of ``cvae`` it is the rate
        given the condition.
    x : array (n, *D)
        Scaled rows.
    width : float
        Of the cells, in scaled units.
    seed : int, default 0
        Of the draws.
    """
    import torch

    rows = torch.from_numpy(x)
    noise = torch.randn((len(x), 1, model.noises), generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        z, ratio = model.proposals(rows, noise)
        mean = model.decode(z.flatten(0, 1)).flatten(1).double().numpy()
        spread = math.exp(float(model.scaled(torch.zeros(()))))
    cells = np.rint(x.reshape(len(x), -1).astype(np.float64) / width) * width
    edges = cells - width / 2, cells + width / 2
    given = unit_cells(mean, *edges) if model.head == "bernoulli" else normal_cells(mean, spread, *edges)
    coded = model.size  # what follows is a condition, which is given
    nats = -given[:, :coded].sum(axis=1) - ratio.flatten().double().numpy()
    return float(nats.mean()) / (coded * math.log(2))


def normal_cells(
    mean: NDArray[np.float64], spread: float, low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Logarithm of the probability that a normal variable falls between ``low`` and ``high``; same shape as ``mean``.

    Examples
    --------
    >>> float(np.exp(normal_cells(np.zeros(1), 1.0, np.array([-1.959964]), np.array([1.959964])))[0].round(6))
    0.95
    """
    from scipy.special import log_ndtr

    a, b = (low - mean) / spread, (high - mean) / spread
    a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)  # in the lower tail differences keep their digits
    top = log_ndtr(b)
    return top + np.log1p(-np.exp(np.minimum(log_ndtr(a) - top, -1e-300)))


def unit_cells(mean: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same of a continuous Bernoulli variable with parameter ``mean``; cells are cut to [0, 1].

    Examples
    --------
    >>> float(np.exp(unit_cells(np.array([0.5]), np.array([-0.1]), np.array([0.25])))[0].round(4))
    0.25
    """
    from scipy.special import logit

    a, b = low.clip(0, 1), high.clip(0, 1)
    slope = logit(mean.clip(1e-12, 1 - 1e-12))
    fall = np.maximum(np.abs(slope), LEAST_LOGIT)
    start, length = np.where(slope > 0, 1 - b, a), b - a  # mirrored, so that the density falls
    with np.errstate(divide="ignore"):
        return -fall * start + np.log(-np.expm1(-fall * length)) - np.log(-np.expm1(-fall))


TABLE = [
    Metric(
        "bits_per_element",
        rate_at,
        False,
        "bits per element",
        Said("bits per element at 10% error", "误差 10% 时每个元素的比特数"),
        0.05,
        "bytes of the coded rows",
        version=2,
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "bits_with_model",
        None,
        False,
        "bits per element",
        Said("bits per element, model included", "每个元素的比特数（含模型）"),
        0.05,
        "count",
        version=2,
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "bits_mean",
        mean_rate,
        False,
        "bits per element",
        Said("bits per element, mean from 40% to 2% error", "每个元素的比特数（误差 40% 至 2% 的平均）"),
        0.05,
        "Bjontegaard 2001, on measured points",
        version=2,
        relative=True,
        bounds=(0.0, math.inf),
    ),
    Metric(
        "bits_back",
        bits_back,
        False,
        "bits per element",
        Said("bits per element by bits-back coding (ELBO)", "bits-back 编码下每个元素的比特数（ELBO）"),
        0.05,
        "Townsend, Bird and Barber 2019",
        version=2,
        relative=True,
        bounds=(0.0, math.inf),
    ),
]
"""What the numbers of this file mean."""
