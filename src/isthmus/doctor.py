"""What went wrong in a training, by name, with the numbers that show it and what to change.

Every check is a pure function of the fitted model and of some of its scaled rows, so the same run always gets the same
findings. A finding names a defect: a healthy run has none. Thresholds stand beside their reasons.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.metrics.fidelity import explained_variance
from isthmus.metrics.symbols import perplexity, usage
from isthmus.parts.codebooks import Discrete
from isthmus.train.fitted import Fitted, tensor

Rows = NDArray[np.float32]

SAMPLE = 1024
"""Rows that are looked at, of each part: a unit silent on all of them, or a share of 1 %, is no accident."""
STILL = 1e-6
"""A code whose standard deviation over rows is below this, relative to its size, is float32 rounding."""
LEAST_GAIN = 0.01
"""Explained variance below which a reconstruction is no better than the mean: the rope of that metric."""
ACTIVE = 0.01
"""A unit is active if the variance of its posterior mean over rows is above this (Burda et al. 2016)."""
FEW_ACTIVE = 0.1
"""Share of active units up to which a posterior has collapsed. A VAE switches off units it does not need, so some
inactive ones are healthy."""
MOST = 0.5
"""Share of silent units from which most of a code is dead."""
LEAST_BITS = 0.1
"""Share of the bits of a symbol that must be used: perplexity 1.5 out of 64 entries, 1.07 out of 2."""
LATE, STILL_FALLING = 0.8, 0.05
"""A run was cut too early if more than 5 % of its whole improvement came in the last fifth of its steps."""


@dataclass(frozen=True)
class Finding:
    """One defect of a trained model."""

    name: str
    """Which: a key of ``CHECKS``."""
    what: str
    """One sentence that says what it means."""
    evidence: dict[str, float]
    """The numbers that show it."""
    remedy: str
    """What to change."""

    def __str__(self) -> str:
        numbers = ", ".join(f"{key.replace('_', ' ')} {value:.3g}" for key, value in self.evidence.items())
        return f"{self.name}: {self.what} ({numbers}); {self.remedy}"


class Seen(NamedTuple):
    """What the checks look at; ``z`` and ``made`` belong to the training and the validation rows."""

    fitted: Fitted
    mean: NDArray[np.float64]
    """Of all training rows, (*D)."""
    train: Rows
    z: Rows
    valid: Rows
    made: Rows | None
    """Reconstructed validation rows; None if the model does not reconstruct its rows."""

    @property
    def gain(self) -> float:
        """Explained variance of the reconstruction about the training mean."""
        return math.nan if self.made is None else explained_variance(self.valid, self.made, self.mean)


Evidence = dict[str, float] | None


def diagnose(fitted: Fitted, train: Rows, valid: Rows) -> list[Finding]:
    """Everything that went wrong, the gravest first; an empty list for a healthy run.

    Parameters
    ----------
    fitted : Fitted
    train, valid : arrays (n, *D), (m, *D)
        Rows scaled by ``fitted.scaler``. At most ``SAMPLE`` of each are encoded, evenly spaced.

    Examples
    --------
    >>> from isthmus.families import named
    >>> from isthmus.train.fitted import fit
    >>> from isthmus.train.plan import Plan
    >>> rows = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    >>> wild = fit(named("plain"), rows, plan=Plan(steps=300, learning_rate=1e6))
    >>> [finding.name for finding in diagnose(wild, rows, rows)]
    ['diverged', 'not trained']
    """
    found = list(_unlearnt(fitted))
    if any(name == "diverged" for name, _ in found) and not sound(fitted):
        return [_finding(*one) for one in found]
    some, held = _sample(train), _sample(valid)
    own = "reconstruction" in fitted.model.weights or not list(fitted.model.parameters())
    made = None
    if len(held) and own and fitted.target_scaler is None:
        with torch.no_grad():
            made = fitted.model.reconstruct(tensor(held)).numpy()
    seen = Seen(fitted, train.mean(axis=0, dtype=np.float64), some, fitted.encode_scaled(some), held, made)
    if not np.isfinite(seen.z).all() or not (made is None or np.isfinite(made).all()):
        return [_finding("diverged", {"finite": 0.0})]
    for name, check in CHECKS.items():
        if (evidence := check(seen)) is not None:
            found.append((name, evidence))
    return [_finding(*one) for one in found]


def sound(fitted: Fitted) -> bool:
    """Whether all trained weights are finite."""
    return all(bool(value.isfinite().all()) for value in fitted.model.parameters())


def _unlearnt(fitted: Fitted) -> Iterator[tuple[str, dict[str, float]]]:
    outcome = fitted.outcome
    if outcome.status == "diverged" or not sound(fitted):
        yield "diverged", {"steps": outcome.steps, "learning_rate": fitted.plan.learning_rate}
    if outcome.status != "closed form" and outcome.best_step == 0:
        yield "not trained", {"steps": outcome.steps, "best_step": 0}


def _sample(rows: Rows) -> Rows:
    """At most ``SAMPLE`` rows, evenly spaced."""
    return rows if len(rows) <= SAMPLE else rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(np.int64)]


def _constant_code(seen: Seen) -> Evidence:
    if len(seen.train) < 2:
        return None
    spread = float(seen.z.std(axis=0, dtype=np.float64).max())
    return {"largest_spread": spread} if spread <= STILL * (1 + float(np.abs(seen.z).max())) else None


def _constant_output(seen: Seen) -> Evidence:
    gain = seen.gain
    return {"explained_variance": gain} if gain < LEAST_GAIN else None


def _posterior_collapse(seen: Seen) -> Evidence:
    """Units without variance *and* a decoder that got nothing out of them."""
    if not hasattr(seen.fitted.model, "posterior") or len(seen.train) < 2:
        return None
    share = float((seen.z.var(axis=0, dtype=np.float64) > ACTIVE).mean())
    if share > FEW_ACTIVE or not seen.gain < 10 * LEAST_GAIN:
        return None
    return {"active_units": round(share * seen.z.shape[1]), "units": seen.z.shape[1], "explained_variance": seen.gain}


def _dead_units(seen: Seen) -> Evidence:
    """Only a sparse code holds exact zeros; of a symbol's vector zero is a value like any other."""
    if isinstance(seen.fitted.model, Discrete) or not len(seen.train):
        return None
    rows, units = seen.z.shape
    silent = units - int(np.count_nonzero(np.count_nonzero(seen.z, axis=0)))
    return {"dead_units": silent, "units": units, "rows": rows} if silent > MOST * units else None


def _codebook_collapse(seen: Seen) -> Evidence:
    model = seen.fitted.model
    if not isinstance(model, Discrete) or len(seen.train) < 2:
        return None
    with torch.no_grad():
        tokens = model.tokens(tensor(seen.train)).numpy()
    spent = perplexity(tokens)
    if math.log(spent) >= LEAST_BITS * math.log(min(model.entries, len(tokens))):
        return None
    return {"perplexity": spent, "entries": float(model.entries), "usage": usage(tokens, model.entries)}


def _stopped_early(seen: Seen) -> Evidence:
    outcome = seen.fitted.outcome
    steps, valid = outcome.history.get("step", []), outcome.history.get("valid", [])
    if outcome.status != "cut" or len(valid) < 2:
        return None
    before = min(v for step, v in zip(steps, valid, strict=True) if step <= LATE * outcome.steps)
    end = min(valid)
    share = (before - end) / (valid[0] - end) if valid[0] > end else 0.0
    return {"steps": outcome.steps, "late_share": share} if share > STILL_FALLING else None


CHECKS: dict[str, Callable[[Seen], Evidence]] = {
    "posterior collapse": _posterior_collapse,
    "codebook collapse": _codebook_collapse,
    "dead units": _dead_units,
    "constant code": _constant_code,
    "constant output": _constant_output,
    "stopped too early": _stopped_early,
}
"""Name -> check, besides ``diverged`` and ``not trained``, which need no rows."""

MEANING: dict[str, tuple[str, str]] = {
    "diverged": ("the loss or the weights left the finite numbers", "lower the learning rate, or set clip"),
    "not trained": ("no step was better than the first weights", "lower the learning rate"),
    "posterior collapse": (
        "the code says next to nothing about a row and the decoder ignores it",
        "lower beta, or let it grow with warmup",
    ),
    "codebook collapse": (
        "nearly all rows get the same symbol",
        "raise least, start with k-means, or take fsq, which has no codebook",
    ),
    "dead units": (
        "most units fire on no training row",
        "lower the penalty on the code, raise k, or shorten dead_after",
    ),
    "constant code": ("all rows get the same code", "lower the weights of the penalties"),
    "constant output": (
        "the reconstruction is no better than the mean of the training rows",
        "lower the weights of the penalties or widen the code; if nothing helps, the columns may share nothing",
    ),
    "stopped too early": ("the steps ran out while the validation loss still fell clearly", "give more steps"),
}
"""Name -> what it means and what to change."""


def _finding(name: str, evidence: dict[str, float]) -> Finding:
    what, remedy = MEANING[name]
    return Finding(name, what, {key: float(value) for key, value in evidence.items()}, remedy)
