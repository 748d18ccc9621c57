"""What went wrong in a training, by name, with the numbers that show it and what to change.

Every check is a pure function of the fitted model and of some of its scaled rows, so the same run always gets the same
findings. A finding names a defect: a healthy run has none. Thresholds stand beside their reasons, one theme of checks
in each file.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from isthmus.doctor import codes, outputs, training, words
from isthmus.doctor.finding import Array, Evidence, Finding, Seen
from isthmus.train.fitted import Fitted
from isthmus.train.inference import Inference

CHECKS: dict[str, Callable[[Seen], Evidence | None]] = {
    "parameters without gradient": training.without_gradient,
    "regulariser without effect": training.idle_regulariser,
    "posterior collapse": codes.posterior_collapse,
    "codebook collapse": codes.codebook_collapse,
    "dead units": codes.dead_units,
    "constant code": codes.constant_code,
    "constant output": outputs.constant_output,
    "constant scorer": outputs.constant_scorer,
    "identity copying": outputs.identity_copying,
    "output out of reach": outputs.out_of_reach,
    "over-capacity": outputs.over_capacity,
    "stopped too early": training.stopped_early,
}
"""Name -> check of a model whose weights, rows, codes and outputs are finite."""


def diagnose(fitted: Inference, train: Array, valid: Array) -> list[Finding]:
    """Everything that went wrong with a model, the gravest first; an empty list for a healthy one.

    Parameters
    ----------
    fitted : Inference
    train, valid : arrays (n, *D), (m, *D)
        Rows scaled by ``fitted.layout``. At most 1024 of each are encoded, evenly spaced.

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
    found = list(training.unlearnt(fitted)) if isinstance(fitted, Fitted) else []
    broken = training.broken_column(fitted, {"training rows": train, "validation rows": valid})
    found += [("broken column", broken)] if broken else []
    if not broken and training.sound(fitted):
        seen = Seen.of(fitted, train, valid)
        if not np.isfinite(seen.z).all() or not (seen.made is None or np.isfinite(seen.made).all()):
            found = [("diverged", {"finite": 0.0}), *(one for one in found if one[0] != "diverged")]
        else:
            found += [(name, evidence) for name, check in CHECKS.items() if (evidence := check(seen)) is not None]
    order = list(words.EN)
    found.sort(key=lambda one: order.index(one[0]))
    return [Finding(name, {k: v if isinstance(v, str) else float(v) for k, v in e.items()}) for name, e in found]
