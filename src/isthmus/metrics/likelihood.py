"""How likely rows are under a model with a posterior: bounds on log p(x), in nats per row."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from isthmus.errors import BadInput

ROWS = 2_000_000
"""Elements of decoded rows that are held at once."""


@torch.no_grad()
def log_likelihood_bound(model: Any, x: Tensor, k: int = 100, seed: int = 0) -> Tensor:
    """The importance-weighted bound on log p(x) of each row with ``k`` draws: (N, *D) -> (N,), float64, in nats.

    With k = 1 it is a draw of the evidence bound; it grows with k on average, towards log p(x). A gaussian head counts
    with its variance and all constants, so this is the logarithm of a density; a bernoulli head as it is, which is
    normalised for zeros and ones only.

    Parameters
    ----------
    model : Model
        With a posterior to draw from and a gaussian or bernoulli head: ``vae``, ``iwae``, ``vamp``, ``flow``,
        ``ladder`` and others of their camp. Of ``cvae`` it is the likelihood given the condition.
    x : Tensor (N, *D)
        Scaled rows.
    k : int, default 100
    seed : int, default 0

    Raises
    ------
    BadInput
        If the model has no posterior, or a head that is not normalised.

    References
    ----------
    Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders, ICLR, equation 8.
    """
    if not hasattr(model, "proposals"):
        raise BadInput(f"{type(model).__name__} has no posterior to draw from, so there is no bound on its likelihood")
    if model.head not in {"gaussian", "bernoulli"}:
        raise BadInput(f"a bound on the likelihood needs a gaussian or bernoulli head; got {model.head}")
    if not isinstance(k, int) or k < 1:
        raise BadInput(f"k must be a whole number of at least 1; got {k!r}")
    generator = torch.Generator().manual_seed(seed)
    size = math.prod(x.shape[1:])
    constant = 0.5 * size * math.log(2 * math.pi) if model.head == "gaussian" else 0.0
    found = []
    for rows in x.split(max(1, ROWS // (k * size))):
        z, ratio = model.proposals(rows, torch.randn((len(rows), k, model.noises), generator=generator, dtype=x.dtype))
        wide = rows.unsqueeze(1).expand(-1, k, *rows.shape[1:]).flatten(0, 1)
        error = model.scaled(model.row_misfit(z.flatten(0, 1), wide)).view(len(rows), k)
        weight = -error.double() * size + ratio.double()
        found.append(torch.logsumexp(weight, dim=1) - math.log(k) - constant)
    return torch.cat(found)
