"""Does what comes out depend on what went in, as it should: constant, copying, out of reach, over-fitted, rankless."""

from __future__ import annotations

import math

import numpy as np

from isthmus.doctor.finding import PROBE, Array, Evidence, Seen, sample
from isthmus.metrics.fidelity import explained_variance, mse
from isthmus.metrics.ranking import degenerate, rounding

LEAST_GAIN = 0.01
"""Explained variance below which a reconstruction is no better than the mean: the rope of that metric."""
AS_WELL, COPY = 0.01, 0.9
"""Noise is rebuilt as well as the data if its explained variance is within the rope of theirs, and it is copied if
that is at least 0.9. Independent columns are noise themselves: there a good model rebuilds both alike, and few."""
SAME, BEYOND, PINNED = 0.01, 0.05, 0.1
"""An output is at its bound if within a hundredth of the range of outputs from its end, and the data is out of reach
there if beyond by more than a twentieth of that range; a tenth of all elements must be so. Of an output without bounds
one element in all is at its end."""
GAP = 2.0
"""Validation error over training error from which a model that its rows cannot determine has learnt them by heart; the
difference must be more than the rope of explained variance, too: twice nothing is nothing."""


def constant_output(seen: Seen) -> Evidence | None:
    """No better than the training mean."""
    return {"explained_variance": seen.gain} if seen.gain < LEAST_GAIN else None


def constant_scorer(seen: Seen) -> Evidence | None:
    """Scores of the validation rows that are equal, or differ by rounding only."""
    if len(seen.valid) < 2 or seen.fitted.target_layout is not None:
        return None
    score = seen.fitted.score_scaled(seen.valid)
    if degenerate(score, rounding(seen.train)) is None:
        return None
    return {"lowest": float(score.min()), "highest": float(score.max()), "rows": len(score)}


def noises(rows: Array) -> dict[str, Array]:
    """Rows that share nothing with the data but their columns: normal ones, and each column shuffled by itself."""
    some, rng = sample(rows, PROBE), np.random.default_rng(0)
    normal = rng.normal(some.mean(axis=0), some.std(axis=0), some.shape)
    inside = np.clip(normal, some.min(axis=0), some.max(axis=0)).astype(np.float32)
    return {"noise": inside, "shuffled": rng.permuted(some, axis=0)}


def identity_copying(seen: Seen) -> Evidence | None:
    """Noise and shuffled columns come back as well as the data do."""
    if not seen.gain >= COPY or len(seen.train) < 2:
        return None
    gains = {k: explained_variance(rows, seen.rebuilt(rows), seen.mean) for k, rows in noises(seen.train).items()}
    least = min(gains.values())
    return {"explained_variance": seen.gain, **gains} if least >= max(COPY, seen.gain - AS_WELL) else None


def out_of_reach(seen: Seen) -> Evidence | None:
    """A bernoulli head on data outside [0, 1], or outputs that pile up at an end beyond which the data go on."""
    if seen.made is None:
        return None
    low, high = float(seen.train.min()), float(seen.train.max())
    if seen.fitted.model.head == "bernoulli" and (low < 0 or high > 1):
        outside = float(np.mean((seen.train < 0) | (seen.train > 1)))
        return {"lowest": low, "highest": high, "beyond": outside}
    bottom, top = float(seen.made.min()), float(seen.made.max())
    span = top - bottom
    for end, side in ((bottom, -1), (top, 1)):
        at_end = np.abs(seen.made - end) <= SAME * span
        gone = float(np.mean(at_end & (side * (seen.valid - end) > BEYOND * span)))
        # A collapsed model's outputs pile up too, amid the data; that has a name of its own.
        if gone >= (PINNED if seen.gain >= LEAST_GAIN else COPY):
            return {"limit": end, "lowest": low, "highest": high, "beyond": gone}
    return None


def over_capacity(seen: Seen) -> Evidence | None:
    """More freedom than rows, and twice the error on new ones."""
    if seen.made is None or len(seen.train) < 2:
        return None
    width = math.prod(seen.fitted.model.shape)
    free, told = seen.fitted.parameters, seen.rows * width
    if free <= told and seen.fitted.model.latents < width:
        return None
    trained, held = mse(seen.train, seen.rebuilt(seen.train)), mse(seen.valid, seen.made)
    spread = float(np.square(seen.train - seen.mean).mean())
    if not (held > GAP * trained and held - trained > LEAST_GAIN * spread):
        return None
    return {
        "parameters": free,
        "training_values": told,
        "latents": seen.fitted.model.latents,
        "width": width,
        "training_error": trained,
        "validation_error": held,
    }
