"""Does the code say anything: collapsed, silent and constant codes."""

from __future__ import annotations

import math

import numpy as np
import torch

from isthmus.abilities import Discrete, HasPosterior
from isthmus.doctor.finding import Evidence, Seen, sample
from isthmus.doctor.outputs import LEAST_GAIN
from isthmus.metrics.symbols import perplexity, usage
from isthmus.train.fitted import CHUNK, tensor

STILL = 1e-6
"""A code whose standard deviation over rows is below this, relative to its size, is float32 rounding."""
ACTIVE = 0.01
"""A unit is active if the variance of its posterior mean over rows is above this (Burda et al. 2016)."""
FEW_ACTIVE = 0.1
"""Share of active units up to which a posterior has collapsed. A VAE switches off units it does not need, so some
inactive ones are healthy."""
MOST = 0.5
"""Share of silent units from which most of a code is dead."""
RARE, MISSED = 0.1, 0.05
"""A unit that fires at a tenth of the rate of all is rare, not dead: one in twenty of those may be taken for dead."""
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
    """Only a sparse code holds exact zeros; of a symbol's vector zero is a value like any other."""
    if isinstance(seen.fitted.model, Discrete) or not len(seen.train):
        return None
    fires, units = np.count_nonzero(seen.z, axis=0) > 0, seen.z.shape[1]
    needed = rows_to_tell(np.count_nonzero(seen.z) / seen.z.size)
    looked, more = len(seen.z), sample(seen.every, needed)
    if np.mean(~fires) > MOST and len(more) > looked:
        looked = len(more)
        for start in range(0, len(more), CHUNK):
            fires |= np.count_nonzero(seen.fitted.encode_scaled(more[start : start + CHUNK]), axis=0) > 0
    silent = units - int(fires.sum())
    return {"dead_units": silent, "units": units, "rows": looked} if silent > MOST * units else None


def rows_to_tell(rate: float) -> int:
    """Array on which a unit that fires at a tenth of the usual rate is silent with probability below ``MISSED``.

    With n rows a unit that fires on a share p of them is missed with probability (1 - p)^n.

    Examples
    --------
    >>> rows_to_tell(0.1), rows_to_tell(32 / 4096)
    (299, 3834)
    """
    rare = RARE * rate
    return math.ceil(math.log(MISSED) / math.log1p(-rare)) if 0 < rare < 1 else 0


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
