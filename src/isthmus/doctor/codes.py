"""Does the code say anything: collapsed, silent and constant codes."""

from __future__ import annotations

import math

import numpy as np
import torch

from isthmus.doctor.finding import Evidence, Seen
from isthmus.doctor.outputs import LEAST_GAIN
from isthmus.metrics.symbols import perplexity, usage
from isthmus.parts.codebooks import Discrete
from isthmus.train.fitted import tensor

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
    if not hasattr(seen.fitted.model, "posterior") or len(seen.train) < 2:
        return None
    share = float((seen.z.var(axis=0, dtype=np.float64) > ACTIVE).mean())
    if share > FEW_ACTIVE or not seen.gain < 10 * LEAST_GAIN:
        return None
    return {"active_units": round(share * seen.z.shape[1]), "units": seen.z.shape[1], "explained_variance": seen.gain}


def dead_units(seen: Seen) -> Evidence | None:
    """Only a sparse code holds exact zeros; of a symbol's vector zero is a value like any other."""
    if isinstance(seen.fitted.model, Discrete) or not len(seen.train):
        return None
    rows, units = seen.z.shape
    silent = units - int(np.count_nonzero(np.count_nonzero(seen.z, axis=0)))
    return {"dead_units": silent, "units": units, "rows": rows} if silent > MOST * units else None


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
