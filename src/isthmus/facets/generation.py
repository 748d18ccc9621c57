"""Generation: do rows that the model makes up pass for rows that it never saw?

New rows are decoded codes. These are drawn from a Gaussian mixture fitted to training codes or, where the family has
one, from its prior: whichever comes nearer to the validation rows. Rivals: a Gaussian mixture of the rows themselves,
and shuffled columns, the floor. The training rows are the ceiling; they are shown and do not compete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Coder, Facet, Parts, Subject, known, reconstruct
from isthmus.facets.rivals import gaussian_mixture
from isthmus.metrics.copying import copying
from isthmus.metrics.coverage import prdc
from isthmus.metrics.frechet import frechet, principal
from isthmus.metrics.likelihood import log_likelihood_bound, obstacle
from isthmus.metrics.two_sample import c2st, mmd2
from isthmus.sampler import density, drawn
from isthmus.seeds import seed as hashed

Array = NDArray[np.float32]
Maker = Callable[[int, int], Array]
"""How many rows, and a seed -> new rows (n, *D) in scaled units."""

MOST = 1000
"""Rows on a side of every comparison."""
JUDGED = 500
"""Validation rows by which a configuration and a way to make rows are chosen."""
KNOWN = 5000
"""Training rows that the mixture is fitted to, and among which a copy is looked for."""
COMPONENTS = 10
LIKELY = 250
"""Rows whose likelihood is bounded."""
DRAWS = 64
"""Of the importance-weighted bound."""


def makers(coder: Coder, parts: Parts) -> dict[str, Maker]:
    """The ways to make rows: ``mixture``, and ``prior`` where the family has one; none if a code is not finite."""
    codes = coder.encode_scaled(_some(parts.train.x, parts, KNOWN))
    if not np.isfinite(codes).all():
        return {}
    mixture = density(codes, COMPONENTS, hashed(parts.seed, "generation", "mixture"))
    found: dict[str, Maker] = {
        "mixture": lambda n, seed: coder.decode_scaled(drawn(mixture, n, seed).astype(np.float32))
    }
    if coder.prior(1, 0) is not None:
        found["prior"] = lambda n, seed: coder.decode_scaled(np.asarray(coder.prior(n, seed)))
    return found


def judged(ways: Mapping[str, Maker], parts: Parts) -> dict[str, float]:
    """The squared discrepancy of each way from the validation rows, the least first; without what has no number."""
    valid = _some(parts.valid.x, parts, JUDGED)
    found = {kind: mmd2(valid, make(len(valid), _seed(parts, "valid"))) for kind, make in ways.items() if len(valid)}
    return dict(sorted(((k, v) for k, v in found.items() if math.isfinite(v)), key=lambda item: item[1]))


def criterion(coder: Coder, parts: Parts) -> float:
    """The least squared discrepancy of new rows from validation rows over the ways to make them, without labels."""
    return next(iter(judged(makers(coder, parts), parts).values()), math.nan)


def measure(subject: Subject, parts: Parts) -> dict[str, float]:
    """Numbers of rows made in the way that was best on validation rows; of both ways where there are two; bounds."""
    ways, test = makers(subject, parts), _some(parts.test.x, parts, MOST)
    best = next(iter(judged(ways, parts)), None)
    if best is None:
        return compared(np.full_like(test, np.nan), parts)
    made = {kind: make(len(test), _seed(parts, "test")) for kind, make in ways.items()}
    found = compared(made[best], parts)
    if len(ways) > 1:
        other = {kind: c2st(test, rows, _seed(parts, "folds")) for kind, rows in made.items() if kind != best}
        found |= {"c2st_" + kind: value for kind, value in {best: found["c2st"], **other}.items()}
        found["from_prior"] = float(best == "prior")
    return found | {"c2st_noisy": noised(subject, made[best], parts)} | _bounds(subject, parts)


def noised(coder: Coder, made: Array, parts: Parts) -> float:
    """``c2st`` of new rows (n, *D) with the noise that means lack: in each column as large as the validation error."""
    valid = _some(parts.valid.x, parts, MOST)
    error = np.square(valid - reconstruct(coder, valid), dtype=np.float64).mean(axis=0)
    noise = np.random.default_rng(_seed(parts, "noise")).normal(size=made.shape) * np.sqrt(error)
    return c2st(_some(parts.test.x, parts, MOST), made + noise, _seed(parts, "folds"))


def compared(made: Array, parts: Parts) -> dict[str, float]:
    """The facet's numbers of new rows (n, *D); ``copier`` is 1 if they repeat training rows.

    Real rows are the test rows, at most ``MOST`` of them. Fréchet features are the first 16 principal components of
    the training rows.
    """
    test, train = (_some(rows.x, parts, most) for rows, most in ((parts.test, MOST), (parts.train, KNOWN)))
    axes = principal(train)
    features = [x.reshape(len(x), -1).astype(np.float64) @ axes for x in (test, made)]
    return known(
        {
            "c2st": c2st(test, made, _seed(parts, "folds")),
            "mmd2": mmd2(test, made),
            **prdc(test, made),
            "frechet": frechet(*features),
            **copying(train, made, test),
        }
    )


def mixture_of_rows(parts: Parts) -> dict[str, float]:
    """The same of draws from a Gaussian mixture of the training rows."""
    few = parts._replace(train=parts.train._replace(x=_some(parts.train.x, parts, 2 * MOST)))
    return compared(gaussian_mixture(few, len(_some(parts.test.x, parts, MOST))), parts)


def training_rows(parts: Parts) -> dict[str, float]:
    """The same of training rows, as many as there are test rows; ``ceiling`` keeps them out of the contest."""
    return compared(_some(parts.train.x, parts, len(_some(parts.test.x, parts, MOST))), parts) | {"ceiling": 1.0}


def shuffled_columns(parts: Parts) -> dict[str, float]:
    """The same of training rows whose columns were shuffled one by one: every column right, nothing between them."""
    random = np.random.default_rng(_seed(parts, "shuffled"))
    train = _some(parts.train.x, parts, KNOWN)
    made = random.permuted(train.reshape(len(train), -1), axis=0)[: len(_some(parts.test.x, parts, MOST))]
    return compared(made.reshape(len(made), *train.shape[1:]), parts)


def _bounds(subject: Subject, parts: Parts) -> dict[str, float]:
    """Bounds on the likelihood of test rows, in nats per row, where the family has them."""
    from isthmus.train.fitted import tensor

    if obstacle(subject.model):
        return {}
    x, seed = tensor(_some(parts.test.x, parts, LIKELY)), _seed(parts, "bounds")
    draws = {"elbo": 1, "iwae_bound": DRAWS}
    return known({name: float(log_likelihood_bound(subject.model, x, k, seed).mean()) for name, k in draws.items()})


def _some(x: Array, parts: Parts, most: int) -> Array:
    """All rows, or a seeded draw of the most we look at: the same for every contestant."""
    if len(x) <= most:
        return x
    return x[np.sort(np.random.default_rng(_seed(parts, "rows")).permutation(len(x))[:most])]


def _seed(parts: Parts, use: str) -> int:
    return hashed(parts.seed, "generation", use)


GENERATION = Facet(
    name="generation",
    title="Generation",
    question="Do rows that the model makes up pass for rows that it never saw?",
    primary="c2st",
    view="all",
    labels=False,
    sees="rows of the training and validation splits, no labels",
    criterion=criterion,
    measure=measure,
    rivals={
        "gaussian mixture": mixture_of_rows,
        "shuffled columns": shuffled_columns,
        "training rows": training_rows,
    },
)
