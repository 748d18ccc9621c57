"""How likely rows are under a model with a posterior: bounds on log p(x), in nats per row."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from isthmus.abilities import HasProposals
from isthmus.errors import BadInput
from isthmus.metrics.metric import Metric
from isthmus.said import Said

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 2_000_000
"""Elements of decoded rows that are held at once."""


def obstacle(model: Any) -> str:
    """Why the likelihood of a model has no bound, or ""."""
    if not isinstance(model, HasProposals):
        return f"{type(model).__name__} has no posterior to draw from, so there is no bound on its likelihood"
    if model.head not in {"gaussian", "bernoulli"}:
        return f"a bound on the likelihood needs a gaussian or bernoulli head; got {model.head}"
    return ""


def log_likelihood_bound(model: Any, x: Tensor, k: int = 100, seed: int = 0) -> Tensor:
    """The importance-weighted bound on log p(x) of each row with ``k`` draws: (N, *D) -> (N,), float64, in nats.

    With k = 1 it is a draw of the evidence bound; it grows with k on average, towards log p(x). A gaussian head counts
    with its variance and all constants, so this is the logarithm of a density; a bernoulli head as it is, which is
    normalised for zeros and ones only.

    Parameters
    ----------
    model : Model
        :class:`isthmus.abilities.HasProposals`, with a gaussian or bernoulli head: ``vae``, ``iwae``, ``vamp``,
        ``flow``, ``ladder`` and others of their camp. Of ``cvae`` it is the likelihood given the condition.
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
    import torch

    if reason := obstacle(model):
        raise BadInput(reason)
    if not isinstance(k, int) or k < 1:
        raise BadInput(f"k must be a whole number of at least 1; got {k!r}")
    generator = torch.Generator().manual_seed(seed)
    size = math.prod(x.shape[1:])
    constant = 0.5 * model.size * math.log(2 * math.pi) if model.head == "gaussian" else 0.0
    with torch.no_grad():
        found = [_weights(model, rows, k, generator) for rows in x.split(max(1, ROWS // (k * size)))]
    return torch.logsumexp(torch.cat(found), dim=1) - math.log(k) - constant


def _weights(model: HasProposals, rows: Tensor, k: int, generator: Any) -> Tensor:
    """Log importance weights of ``k`` draws for each row, up to the head's constant: (n, *D) -> (n, k), float64."""
    import torch

    z, ratio = model.proposals(rows, torch.randn((len(rows), k, model.noises), generator=generator, dtype=rows.dtype))
    wide = rows.unsqueeze(1).expand(-1, k, *rows.shape[1:]).flatten(0, 1)
    error = model.scaled(model.row_misfit(z.flatten(0, 1), wide)).view(len(rows), k)
    return -error.double() * model.size + ratio.double()


TABLE = [
    Metric(
        "elbo",
        log_likelihood_bound,
        True,
        "nats per row",
        Said("evidence lower bound", "证据下界"),
        1.0,
        "Kingma and Welling 2014",
    ),
    Metric(
        "iwae_bound",
        log_likelihood_bound,
        True,
        "nats per row",
        Said("importance-weighted bound", "重要性加权下界"),
        1.0,
        "Burda et al. 2016",
    ),
]
"""What the numbers of this file mean."""
