"""A model that is made to fit the rows that come now, under a guard: a new calibration, or more training as well."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import betabinom
from scipy.stats import t as student

from isthmus.errors import BadInput
from isthmus.seeds import seed as hashed
from isthmus.ship import calibrate
from isthmus.ship.deployed import Deployed
from isthmus.ship.reference import Reference
from isthmus.train.fitted import Fitted
from isthmus.train.further import further
from isthmus.train.plan import Plan

Rows = NDArray[Any]

LEVEL = 0.05
"""Chance that one test of the guard lets through what it should not, one-sided."""
MARGIN = 0.1
"""Share of the old error on the held reference by which the new one may not be larger, as far as its interval tells."""
OFTEN = 2.0
"""Times the rate that the held reference may be flagged after: beside rows that have moved, those of before lie farther
out than in the middle of their own."""
FEWEST = 100
"""Rows before the alarm, at least: half of them are the held reference."""


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


class Trained(NamedTuple):
    """A model that was trained further, and what the guard saw on rows that neither trained nor calibrated it."""

    model: Deployed | None
    """None where the guard refused it."""
    why: str
    """What the guard refused it for: ``held`` or ``flags`` (worse on the held reference: more error, or flagged too
    often), ``new`` or ``rate`` (no better on new rows); empty where it did not."""
    rows: int
    """New rows that it was trained on."""
    held: int
    """Rows of the held reference."""
    rate: float
    before: float
    """Share of new rows that the old model flags."""
    after: float
    error_before: float
    """Mean error of new rows in the old model: its own score, without places of training rows."""
    error_after: float
    held_before: float
    """Share of the held reference that the old model flags."""
    held_after: float
    held_error_before: float
    held_error_after: float

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
    new, held = _parts(given, (1, 1), hashed(seed, "adapt"))
    if not len(new):
        raise BadInput("no rows came after the alarm, so that nothing can be calibrated anew; wait for some")
    calibrate.enough(len(new), own.rate)
    made = deployed.calibrated(new, rate=own.rate, about=about)
    made = replace(made, reference=Reference.of(deployed, [new], new))
    before, after = float(deployed.flags(held).mean()), float(made.flags(held).mean())
    good = abs(after - own.rate) <= abs(before - own.rate)
    return Adapted(made if good else None, len(new), own.rate, before, after)


def retrained(
    deployed: Deployed,
    rows: ArrayLike,
    normal: ArrayLike,
    *,
    plan: Plan | None = None,
    seed: int = 0,
    about: str = "",
    device: str = "cpu",
) -> Trained:
    """Go on training a model with new rows, calibrate it on others, and keep that only where a guard finds it no worse.

    Half of the new rows are trained on (a fifth of them says when to stop), a quarter calibrates, a quarter is the
    guard's. Of the rows from before the change, half are trained on beside them, so that they are not forgotten, and
    half are the held reference. The guard keeps the new model if

    - *held*: on the held reference its mean error is no larger, and the upper end of the one-sided 95 % interval of the
      mean of paired differences (Student's t) lies below :data:`MARGIN` of the old error;
    - *flags*: there it flags no more rows than the old one, or at most :data:`OFTEN` times the rate, as far as chance
      tells (a beta-binomial tail, at :data:`LEVEL`);
    - *new*: on new rows its error is lower: the upper end of that interval lies below 0;
    - *rate*: on new rows the share of its flags lies no further from the rate.

    Parameters
    ----------
    deployed : Deployed
        With a calibration, of a family that is trained step by step.
    rows : array (n, *D)
        Normal rows that came after the change, all of which the model can answer.
    normal : array (m, *D)
        Normal rows from before it, at least 100, which neither trained nor calibrated the model.
    plan : Plan, optional
    seed : int, default 0
        Draws the parts, and names all noise of the training.
    about : str, optional
        Which rows the calibration rows are.
    device : {"cpu", "cuda", "mps", "auto"}, default "cpu"
        Where it is trained; what comes out computes on the processor.

    Raises
    ------
    BadInput
        If there is nothing to go on with, too few rows, or the family is in closed form.

    Examples
    --------
    >>> import isthmus
    >>> random = np.random.default_rng(0)
    >>> factors = random.normal(size=(2600, 2)) * [1, 0.1]
    >>> factors[1000:2000, 1] *= 10  # what hardly varied does
    >>> x = np.repeat(factors, 2, axis=1) + 0.1 * random.normal(size=(2600, 4))
    >>> fitted = isthmus.fit(isthmus.named("plain").set_params(latents=2), x[:800], plan=Plan(steps=200))
    >>> model = Deployed.of(fitted, normal=x[800:1000], rate=0.05)
    >>> found = retrained(model, x[1000:2000], x[2000:], plan=Plan(steps=400))
    >>> found.model is not None, found.error_after < found.error_before, found.after < found.before
    (True, True, True)
    """
    own, given, known = deployed.needed(), np.asarray(rows), np.asarray(normal)
    if deployed.series is not None:
        raise BadInput("a model of windows of a series is not trained further on single rows: train it anew")
    if len(known) < FEWEST:
        raise BadInput(
            f"the guard needs {FEWEST} normal rows or more from before the alarm, half of them as its held reference; "
            f"got {len(known):,}: give some (--against FILE)"
        )
    train, new, guard = _parts(given, (2, 1, 1), hashed(seed, "adapt"))
    calibrate.enough(len(new), own.rate)
    past, held = _parts(known, (1, 1), hashed(seed, "held"))
    train_rows, valid = _parts(np.concatenate([train, past[: len(train)]]), (4, 1), hashed(seed, "validation"))
    laid = [deployed.layout.apply(part) for part in (train_rows, valid)]
    fitted = further(deployed, laid[0], laid[1], plan or Plan(), seed=seed, device=device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that rows are not like those of the training is why this is done
        made = _ships(deployed, fitted, train_rows, valid, new, about)
    asked = [deployed.layout.apply(part) for part in (guard, held)]
    flags = [[_flags(one, part) for one in (deployed, made)] for part in asked]
    errors = [[one.score_scaled(part) for one in (deployed, made)] for part in asked]
    why = _worse(own.rate, len(new), flags, errors)
    told, shares = ([float(one.mean()) for pair in both for one in pair] for both in (errors, flags))
    return Trained(
        None if why else made, why, len(train), len(held), own.rate, *shares[:2], *told[:2], *shares[2:], *told[2:]
    )


def _ships(deployed: Deployed, fitted: Fitted, train: Rows, valid: Rows, new: Rows, about: str) -> Deployed:
    """What ships of a model that was trained further: its score as it was made, with calibration and reference anew."""
    rate, crowd = deployed.needed().rate, deployed.crowd
    made = Deployed.of(fitted, *(() if crowd is None else (train, valid)))
    if crowd is not None and made.crowd is not None:  # anomalies that were known chose these
        made = replace(made, crowd=replace(made.crowd, weights=crowd.weights, nearest=crowd.nearest))
    made = made.calibrated(new, rate=rate, about=about)
    origin = deployed.origin
    if origin is not None:
        origin = origin.model_copy(update={"refitted": len(train) + len(valid)})
    return replace(made, reference=Reference.of(made, [new], new), origin=origin)


def _worse(
    rate: float, calibrated: int, flags: list[list[NDArray[np.bool_]]], errors: list[list[NDArray[np.float64]]]
) -> str:
    """What the guard refuses a model for; flags and errors are of new rows and of held ones, each before and after."""
    (before, after), (held_before, held_after) = flags
    (error, new_error), (held_error, new_held_error) = errors
    more = new_held_error - held_error
    if not (more.mean() <= 0 and bound(more) <= MARGIN * held_error.mean()):
        return "held"
    flagged, allowed = int(held_after.sum()), min(OFTEN * rate, (1 + rate) / 2)
    if flagged > held_before.sum() and excess(flagged, len(more), calibrated, allowed) <= LEVEL:
        return "flags"
    if not bound(new_error - error) < 0:
        return "new"
    return "rate" if abs(after.mean() - rate) > abs(before.mean() - rate) else ""


def bound(differences: ArrayLike, level: float = LEVEL) -> float:
    """The upper end of the one-sided interval of a mean, (n,), by Student's t.

    Examples
    --------
    >>> round(bound([-1.0, 0.0, 1.0]), 3), bound([0.5, 0.5])
    (1.686, 0.5)
    """
    found = np.asarray(differences, np.float64)
    n = len(found)
    return float(found.mean() + student.ppf(1 - level, n - 1) * found.std(ddof=1) / math.sqrt(n)) if n > 1 else math.inf


def excess(flagged: int, rows: int, calibrated: int, rate: float) -> float:
    """The chance that so many of ``rows`` normal rows or more are flagged at a threshold of ``calibrated`` others.

    That is the tail of a beta-binomial law, for the threshold is drawn as well.

    Examples
    --------
    >>> round(excess(1, 1, 99, 0.1), 3), round(excess(0, 50, 99, 0.1), 3)
    (0.1, 1.0)
    """
    rank = calibrate.most(calibrated, rate) + 1
    return float(betabinom.sf(flagged - 1, rows, rank, calibrated + 1 - rank))


def _flags(deployed: Deployed, laid: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows are flagged, that are laid out already."""
    own = deployed.needed()
    return calibrate.flags(own.p_values(deployed.score_laid_out(laid)), own.rate)


def _parts(rows: Rows, sizes: tuple[int, ...], seed: int) -> list[Rows]:
    """Rows in parts drawn at random, of sizes in proportion; each in the order in which they came."""
    order = np.random.default_rng(seed).permutation(len(rows))
    cuts = np.cumsum(sizes[:-1]) * len(rows) // sum(sizes)
    return [rows[np.sort(part)] for part in np.split(order, cuts)]
