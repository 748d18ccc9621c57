"""Generation: do rows that the model makes up pass for rows that it never saw?

New rows are decoded codes. These are drawn from a Gaussian mixture fitted to training codes or, where the family has
one, from its prior; rows stay as decoded, or get the noise that decoders leave out: whatever comes nearest to the
validation rows. Rivals: a Gaussian mixture of the rows themselves, and shuffled columns, the floor. The training rows
are the ceiling; they are shown and do not compete.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.facets.facet import Coder, Contender, Facet, Rows, Splits, known, reconstruct, some
from isthmus.facets.purpose import NEEDED
from isthmus.facets.rivals import gaussian_mixture
from isthmus.metrics.copying import copying
from isthmus.metrics.coverage import prdc
from isthmus.metrics.frechet import frechet, principal
from isthmus.metrics.likelihood import log_likelihood_bound, obstacle
from isthmus.metrics.two_sample import c2st, discrepancy, mmd2
from isthmus.said import Said
from isthmus.sampler import density, drawn, noised, residual
from isthmus.seeds import seed as hashed

Array = NDArray[np.float32]
Maker = Callable[[int, int], Array]
"""How many rows, and a seed -> new rows (n, *D) in scaled units."""


class Way(NamedTuple):
    """How rows are made."""

    codes: str
    """Where codes come from: ``mixture`` or ``prior``."""
    noisy: bool
    """Whether decoded rows get noise, in each element as large as the error on validation rows."""


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


def makers(coder: Coder, splits: Splits) -> dict[Way, Maker]:
    """The ways to make rows: codes from a mixture, or a prior where there is one, each without and with noise.

    No way if a training code is not finite.
    """
    known, valid = _some(splits.train, splits, KNOWN), _some(splits.valid, splits, JUDGED)
    codes = coder.encode_scaled(known)
    if not np.isfinite(codes).all():
        return {}
    mixture = density(codes, COMPONENTS, hashed(splits.seed, "generation", "mixture"))
    sources: dict[str, Maker] = {"mixture": lambda n, seed: drawn(mixture, n, seed).astype(np.float32)}
    if coder.prior(1, 0) is not None:
        sources["prior"] = lambda n, seed: np.asarray(coder.prior(n, seed))
    spread = residual(valid, reconstruct(coder, valid))

    def maker(way: Way) -> Maker:
        def make(n: int, seed: int) -> Array:
            rows = coder.decode_scaled(sources[way.codes](n, seed))
            if not way.noisy:
                return settled(rows, splits)
            return settled(noised(rows, spread, hashed(seed, "noise")), splits, hashed(seed, "outcomes"))

        return make

    return {way: maker(way) for source in sources for way in (Way(source, False), Way(source, True))}


def settled(rows: Array, splits: Splits, seed: int | None = None) -> Array:
    """New rows as rows that could stand in the data: the likeliest ones, or draws from what ``seed`` seeds."""
    if splits.layout is None or not np.isfinite(rows).all():
        return rows
    return splits.layout.settled(rows, None if seed is None else np.random.default_rng(seed))


def judged(ways: Mapping[Way, Maker], splits: Splits) -> dict[Way, float]:
    """The squared discrepancy of each way from the validation rows, the least first; without what has no number."""
    valid = _some(splits.valid, splits, JUDGED)
    far = discrepancy(valid)
    found = {way: far(make(len(valid), _seed(splits, "valid"))) for way, make in ways.items() if len(valid)}
    return dict(sorted(((w, gap) for w, gap in found.items() if math.isfinite(gap)), key=lambda item: item[1]))


def criterion(coder: Coder, splits: Splits) -> float:
    """The least squared discrepancy of new rows from validation rows over the ways to make them, without labels."""
    return next(iter(judged(makers(coder, splits), splits).values()), math.nan)


def measure(contender: Contender, splits: Splits) -> dict[str, float]:
    """Numbers of rows made in the way that was best on validation rows, what the other ways would give, and bounds."""
    ways, test = makers(contender, splits), _some(splits.test, splits, MOST)
    order = list(judged(ways, splits))
    if not order:
        return compared(np.full_like(test, np.nan), splits)
    best, made = order[0], {way: make(len(test), _seed(splits, "test")) for way, make in ways.items()}
    found = compared(made[best], splits, made[best._replace(noisy=False)]) | {"with_noise": float(best.noisy)}
    sides = {"smooth": [w for w in order if not w.noisy], "noisy": [w for w in order if w.noisy]}
    if any(way.codes == "prior" for way in ways):
        found["from_prior"] = float(best.codes == "prior")
        sides |= {codes: [w for w in order if w.codes == codes] for codes in ("mixture", "prior")}
    told = {best: found["c2st"]}  # the best way of each side, by the order of the validation rows
    for first in {side[0]: None for side in sides.values() if side and side[0] != best}:
        told[first] = c2st(test, made[first], _seed(splits, "folds"))
    found |= {"c2st_" + name: told[side[0]] for name, side in sides.items() if side}
    return found | _bounds(contender, splits)


def compared(made: Array, splits: Splits, decoded: Array | None = None) -> dict[str, float]:
    """The facet's numbers of new rows (n, *D); ``copier`` is 1 if they repeat training rows.

    Real rows are the test rows, at most ``MOST`` of them. Fréchet features are the first 16 principal components of
    the training rows. Copies are looked for in ``decoded``, the rows before noise, which would hide them.
    """
    test, train = (_some(rows, splits, most) for rows, most in ((splits.test, MOST), (splits.train, KNOWN)))
    axes = principal(train)
    features = [x.reshape(len(x), -1).astype(np.float64) @ axes for x in (test, made)]
    return known(
        {
            "c2st": c2st(test, made, _seed(splits, "folds")),
            "mmd2": mmd2(test, made),
            **prdc(test, made),
            "frechet": frechet(*features),
            **copying(train, made if decoded is None else decoded, test),
        }
    )


def mixture_of_rows(splits: Splits) -> dict[str, float]:
    """The same of draws from a Gaussian mixture of the training rows."""
    few = splits._replace(train=some(splits.train, 2 * MOST, _seed(splits, "rows")))
    return compared(settled(gaussian_mixture(few, len(_some(splits.test, splits, MOST))), splits), splits)


def training_rows(splits: Splits) -> dict[str, float]:
    """The same of training rows, as many as there are test rows; ``ceiling`` keeps them out of the contest."""
    return compared(_some(splits.train, splits, len(_some(splits.test, splits, MOST))), splits) | {"ceiling": 1.0}


def shuffled_columns(splits: Splits) -> dict[str, float]:
    """The same of training rows whose columns were shuffled one by one: every column right, nothing between them."""
    random = np.random.default_rng(_seed(splits, "shuffled"))
    train, count = _some(splits.train, splits, KNOWN), len(_some(splits.test, splits, MOST))
    parts = () if splits.layout is None else splits.layout.parts
    if parts:  # what stands for one column stays together
        made = np.hstack([random.permutation(train[:, part.start : part.end])[:count] for part in parts])
    else:
        made = random.permuted(train.reshape(len(train), -1), axis=0)[:count]
    return compared(made.reshape(len(made), *train.shape[1:]), splits)


def _bounds(contender: Contender, splits: Splits) -> dict[str, float]:
    """Bounds on the likelihood of test rows, in nats per row, where the family has them."""
    from isthmus.train.inference import tensor

    if obstacle(contender.model):
        return {}
    x, seed = tensor(_some(splits.test, splits, LIKELY)), _seed(splits, "bounds")
    draws = {"elbo": 1, "iwae_bound": DRAWS}
    return known({name: float(log_likelihood_bound(contender.model, x, k, seed).mean()) for name, k in draws.items()})


def _some(rows: Rows, splits: Splits, most: int) -> Array:
    """At most so many of them, the same for every contender."""
    return some(rows, most, _seed(splits, "rows")).x


def _seed(splits: Splits, use: str) -> int:
    return hashed(splits.seed, "generation", use)


GENERATION = Facet(
    name="generation",
    title=Said("Generation", "生成"),
    question=Said(
        "Can generated rows be told from real ones?",
        "生成的数据能否与真实数据区分开？",
    ),
    purposes={"generate": NEEDED},
    flags={
        "ceiling": Said(
            "it is the training set itself: an upper bound, not a generator", "它就是训练集本身：是上限，不是生成模型"
        ),
        "copier": Said("the rows it generates are copies of training rows", "生成的数据是训练数据的复制品"),
    },
    spoiled_by=("constant output",),
    primary="c2st",
    view="all",
    labels=False,
    sees=Said("training and validation rows, without labels", "训练集和验证集，不使用标签"),
    criterion=criterion,
    free=criterion,
    widens=False,
    measure=measure,
    metrics=(
        "c2st",
        *(f"c2st_{side}" for side in ("smooth", "noisy", "mixture", "prior")),
        "mmd2",
        "precision",
        "recall",
        "density",
        "coverage",
        "frechet",
        "copied",
        "nearness",
        "copier",
        "with_noise",
        "from_prior",
        "elbo",
        "iwae_bound",
        "ceiling",
    ),
    floor="shuffled columns",
    floor_title=Said("shuffling each column", "逐列打乱"),
    simplest="shuffled columns",
    rivals={
        "gaussian mixture": mixture_of_rows,
        "shuffled columns": shuffled_columns,
        "training rows": training_rows,
    },
)
