"""Does the code say anything: collapsed, silent and constant codes."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from isthmus.abilities import Discrete, HasPosterior
from isthmus.doctor.finding import Evidence, Seen
from isthmus.doctor.outputs import LEAST_GAIN
from isthmus.metrics.symbols import perplexity, usage
from isthmus.train.inference import CHUNK, tensor

STILL = 1e-6
"""A code whose standard deviation over rows is below this, relative to its size, is float32 rounding."""
ACTIVE = 0.01
"""A unit is active if the variance of its posterior mean over rows is above this (Burda et al. 2016)."""
FEW_ACTIVE = 0.1
"""Share of active units up to which a posterior has collapsed. A VAE switches off units it does not need, so some
inactive ones are healthy."""
MOST = 0.5
"""Share of silent units from which most of a code is dead."""
LEAST_BITS = 0.1
"""Share of the bits of a symbol that must be used: perplexity 1.5 out of 64 entries, 1.07 out of 2."""


def constant_code(seen: Seen) -> Evidence | None:
    """No element of the code varies beyond rounding."""
    if len(seen.train) < 2:
        return None
    spread = float(seen.z.std(axis=0, dtype=np.float64).max())
    return {"largest_spread": spread} if spread <= STILL * (1 + float(np.abs(seen.z).max())) else None


def posterior_collapse(seen: Seen) -> Evidence | None:
    """Units without variance *and* a decoder that got nothing out of them."""
    if not isinstance(seen.fitted.model, HasPosterior) or len(seen.train) < 2:
        return None
    share = float((seen.z.var(axis=0, dtype=np.float64) > ACTIVE).mean())
    if share > FEW_ACTIVE or not seen.gain < 10 * LEAST_GAIN:
        return None
    return {"active_units": round(share * seen.z.shape[1]), "units": seen.z.shape[1], "explained_variance": seen.gain}


def dead_units(seen: Seen) -> Evidence | None:
    """Only a sparse code holds exact zeros; of a symbol's vector zero is a value like any other.

    Rows are looked at until most units have fired, all of them at most. A unit that fired on a single row speaks for
    one that as many rows again would show (Good and Toulmin 1956): so many of the silent ones are rare, not dead.
    """
    if isinstance(seen.fitted.model, Discrete) or not len(seen.train):
        return None
    units, looked, fired = seen.z.shape[1], len(seen.z), np.count_nonzero(seen.z, axis=0)
    if _dead(fired) > MOST * units and len(seen.every) > looked:
        looked, fired = 0, np.zeros(units, np.int64)
        for start in range(0, len(seen.every), CHUNK):
            part = seen.every[start : start + CHUNK]
            looked, fired = looked + len(part), fired + np.count_nonzero(seen.fitted.encode_scaled(part), axis=0)
            if _dead(fired) <= MOST * units:
                return None
    silent = _dead(fired)
    return {"dead_units": silent, "units": units, "rows": looked} if silent > MOST * units else None


def _dead(fired: NDArray[np.int64]) -> int:
    """Units that are silent, less those that may be rare; from how often each fired, (L,).

    Examples
    --------
    >>> _dead(np.array([0, 0, 0, 1, 7]))
    2
    """
    return int((fired == 0).sum()) - int((fired == 1).sum())


def codebook_collapse(seen: Seen) -> Evidence | None:
    """Symbols whose choice says next to nothing."""
    model = seen.fitted.model
    if not isinstance(model, Discrete) or len(seen.train) < 2:
        return None
    with torch.no_grad():
        tokens = model.tokens(tensor(seen.train)).numpy()
    spent = perplexity(tokens)
    if math.log(spent) >= LEAST_BITS * math.log(min(model.entries, len(tokens))):
        return None
    return {"perplexity": spent, "entries": float(model.entries), "usage": usage(tokens, model.entries)}
