"""Generation: do rows that the model makes up pass for rows that it never saw?

New rows are decoded codes. These are drawn from a Gaussian mixture fitted to training codes or, where the family has
one, from its prior; rows stay as decoded, or get the noise that decoders leave out: whatever comes nearest to the
validation rows. Rivals: a Gaussian mixture of the rows themselves, on tables of several kinds of columns a mixture that
knows these kinds, and shuffled columns, the floor. The training rows are the ceiling; they are shown and do not
compete.

Rows of a table are judged by boosted trees, too; where its columns are of several kinds, these decide. Where rows have
classes, made rows get classes as well: what trees learn of them must hold for real rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.columns import columns
from isthmus.errors import BadInput
from isthmus.facets.facet import Coder, Contender, Facet, Rows, Splits, known, reconstruct, some
from isthmus.facets.kin import Kin, Lines, Step
from isthmus.facets.mixtures import generator
from isthmus.facets.purpose import NEEDED
from isthmus.facets.rivals import COVARIANCE_FLOOR, gaussian_mixture, mixture_on
from isthmus.metrics.boosted import boosted, taught
from isthmus.metrics.copying import copying
from isthmus.metrics.coverage import prdc
from isthmus.metrics.frechet import frechet, principal
from isthmus.metrics.likelihood import log_likelihood_bound, obstacle
from isthmus.metrics.two_sample import c2st, discrepancy, finite, mmd2
from isthmus.rivals.mixture import network
from isthmus.rivals.rival import Network
from isthmus.said import Said
from isthmus.sampler import Draws, Marginals, density, drawn, of_numbers, outcomes, residual
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
DRAWN, REPEATED = 3, 4
"""How often a model's rows are drawn and judged, for their accuracy varies more from draw to draw than between
replicates; and how often folds are cut for the one draw of a rival."""
KNOWN = 5000
"""Training rows that the mixture is fitted to, and among which a copy is looked for."""
COMPONENTS = 10
LIKELY = 250
"""Rows whose likelihood is bounded."""
DRAWS = 64
"""Of the importance-weighted bound."""
WIDEST = 256
"""Columns up to which rows are given to boosted trees; pictures never are, for trees tell any decoder's output from
grey values by values of exactly 0."""
RANKS = 1000
"""Values of each column of numbers that ship with a model, at most."""
CLASSES = 30
"""Classes up to which made rows get them."""


def makers(coder: Coder, splits: Splits) -> dict[Way, Maker]:
    """The ways to make rows: codes from a mixture, or a prior where there is one, each without and with noise.

    No way if a training code is not finite.
    """
    sources = _sources(coder, _of_codes(coder, splits))
    ways = [way for source in sources for way in (Way(source, False), Way(source, True))]
    return {way: _maker(sources[way.codes], decoded(coder, splits, way, sources[way.codes])) for way in ways}


def _of_codes(coder: Coder, splits: Splits) -> Any:
    """A mixture of the training codes; None if one is not finite."""
    codes, seed = coder.encode_scaled(_some(splits.train, splits, KNOWN)), hashed(splits.seed, "generation", "mixture")
    return density(codes, COMPONENTS, seed) if np.isfinite(codes).all() else None


def _sources(coder: Coder, mixture: Any) -> dict[str, Maker]:
    """Where codes may come from."""
    if mixture is None:
        return {}
    sources: dict[str, Maker] = {"mixture": lambda n, seed: drawn(mixture, n, seed).astype(np.float32)}
    if coder.prior(1, 0) is not None:
        sources["prior"] = lambda n, seed: np.asarray(coder.prior(n, seed))
    return sources


def _maker(codes: Maker, finish: Callable[[Array, int], Array]) -> Maker:
    return lambda n, seed: finish(codes(n, seed), seed)


def decoded(coder: Coder, splits: Splits, way: Way, codes: Maker) -> Callable[[Array, int], Array]:
    """What makes rows (n, *D) of codes (n, L) and a seed in a way: decoded, with noise or without, and settled.

    Columns of several kinds get the marginals of the training rows: what ``codes`` decode to says which value is which.
    """
    bare = _settling(coder, splits, _spread(coder, splits, way))
    marginals = _marginals(_maker(codes, bare), splits)
    return bare if marginals is None else lambda z, seed: marginals.matched(bare(z, seed))


def _spread(coder: Coder, splits: Splits, way: Way) -> NDArray[np.float64] | None:
    """The noise that decoded rows get: the error on validation rows."""
    valid = _some(splits.valid, splits, JUDGED)
    return of_numbers(residual(valid, reconstruct(coder, valid)), splits.layout) if way.noisy else None


def _settling(coder: Coder, splits: Splits, spread: NDArray[np.float64] | None) -> Callable[[Array, int], Array]:
    """What makes rows of codes and a seed, without the marginals of the training rows."""

    def bare(z: Array, seed: int) -> Array:
        rows = coder.decode_scaled(z)
        return outcomes(rows, spread, splits.layout, coder.model, seed) if np.isfinite(rows).all() else rows

    return bare


def draws(coder: Coder, splits: Splits, like: Draws | None = None) -> Draws | None:
    """How rows are made in the way that is best on validation rows, for who ships the model; None if there is none.

    A model that has seen all rows is told the way, and the noise, by ``like``: those of one that has not.
    """
    best = (
        next(iter(judged(makers(coder, splits), splits)), None)
        if like is None
        else Way(like.kind, like.spread is not None)
    )
    mixture = _of_codes(coder, splits)
    if best is None or mixture is None:
        return None
    spread = _spread(coder, splits, best) if like is None else like.spread
    made = _maker(_sources(coder, mixture)[best.codes], _settling(coder, splits, spread))
    marginals = _marginals(made, splits)
    return Draws(
        best.codes,
        mixture if best.codes == "mixture" else None,
        spread,
        None if marginals is None else marginals.fewer(RANKS),
    )


def _marginals(maker: Maker, splits: Splits) -> Marginals | None:
    """What gives made rows of a table the values of the training rows; None where a number is a number."""
    if splits.layout is None or not splits.layout.parts:
        return None
    known, seed = _some(splits.train, splits, KNOWN), _seed(splits, "marginals")
    return Marginals.of(maker(len(known), seed), known, splits.layout)


def _matching(maker: Maker, splits: Splits) -> Maker:
    """The same rows with the values of the training rows, where they are those of a table."""
    marginals = _marginals(maker, splits)
    return maker if marginals is None else lambda n, seed: marginals.matched(maker(n, seed))


def settled(rows: Array, splits: Splits, seed: int) -> Array:
    """New rows as rows that could stand in the data: flags, categories and gaps are drawn, as ``seed`` seeds it."""
    if splits.layout is None or not np.isfinite(rows).all():
        return rows
    return splits.layout.settled(rows, np.random.default_rng(hashed(seed, "outcomes")))


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
    found = compared(made[best], splits, made[best._replace(noisy=False)], repeats=1)
    found["with_noise"], first_draw = float(best.noisy), found["c2st"]
    found["c2st"] = float(np.mean([first_draw, *_redrawn(ways[best], test, splits)]))
    sides = {"smooth": [w for w in order if not w.noisy], "noisy": [w for w in order if w.noisy]}
    if any(way.codes == "prior" for way in ways):
        found["from_prior"] = float(best.codes == "prior")
        sides |= {codes: [w for w in order if w.codes == codes] for codes in ("mixture", "prior")}
    told = {best: first_draw}  # the best way of each side, by the order of the validation rows, each judged once
    for first in {side[0]: None for side in sides.values() if side and side[0] != best}:
        told[first] = c2st(test, made[first], _seed(splits, "folds"))
    found |= {"c2st_" + name: told[side[0]] for name, side in sides.items() if side}
    return found | _teaches(contender, splits, best) | _bounds(contender, splits)


def _teaches(coder: Coder, splits: Splits, way: Way) -> dict[str, float]:
    """What trees learn of rows made in a way, with classes: codes then come from a mixture of each class's own."""
    if not _labelled(splits):
        return {}
    known = some(splits.train, KNOWN, _seed(splits, "rows"))
    codes, y = coder.encode_scaled(known.x), np.asarray(known.y)
    made = []
    for one in np.unique(y):
        seed = hashed(_seed(splits, "class"), str(one))
        mixture = density(codes[y == one], COMPONENTS, seed)
        made.append(drawn(mixture, int((y == one).sum()), seed).astype(np.float32))
    z = np.concatenate(made)
    source: Maker = lambda n, seed: z[np.random.default_rng(seed).permutation(len(z))[:n]]  # noqa: E731
    rows = decoded(coder, splits, way, source)(z, _seed(splits, "taught"))
    if not finite(rows):
        return {"tstr": math.nan}
    return teaching(rows, np.sort(y), splits)


def teaching(made: Array, y: NDArray[np.int64], splits: Splits) -> dict[str, float]:
    """What boosted trees learn of made rows (n, *D) with classes (n,), tested on the test rows."""
    test = some(splits.test, KNOWN, _seed(splits, "rows"))
    real, new = columns(test.x, splits.layout), columns(made, splits.layout)
    return known(
        {"tstr": taught(new.cells, y, real.cells, np.asarray(test.y), real.categories, _seed(splits, "trees"))}
    )


def _labelled(splits: Splits) -> bool:
    """Whether made rows can be asked what they teach: columns for trees, and classes that are known."""
    if not _flat(splits) or splits.train.y is None or splits.test.y is None:
        return False
    return 2 <= len(np.unique(splits.test.y)) <= CLASSES


def _flat(splits: Splits) -> bool:
    """Whether rows are those of a table that trees can take."""
    return splits.test.x.ndim == 2 and splits.test.x.shape[1] <= WIDEST


def _redrawn(make: Maker, test: Array, splits: Splits) -> list[float]:
    """How well further draws are told from the test rows."""
    seeds = [_seed(splits, f"test {k}") for k in range(1, DRAWN)]
    return [c2st(test, make(len(test), seed), hashed(seed, "folds")) for seed in seeds]


def compared(made: Array, splits: Splits, decoded: Array | None = None, *, repeats: int = REPEATED) -> dict[str, float]:
    """The facet's numbers of new rows (n, *D); ``copier`` is 1 if they repeat training rows.

    Real rows are the test rows, at most ``MOST`` of them. Fréchet features are the first 16 principal components of
    the training rows. Copies are looked for in ``decoded``, the rows before noise, which would hide them.
    """
    test, train = (_some(rows, splits, most) for rows, most in ((splits.test, MOST), (splits.train, KNOWN)))
    axes = principal(train)
    features = [x.reshape(len(x), -1).astype(np.float64) @ axes for x in (test, made)]
    trees = {}
    if _flat(splits):
        real, new = columns(test, splits.layout), columns(made, splits.layout)
        seed = _seed(splits, "trees")
        trees["boosted"] = boosted(real.cells, new.cells, real.categories, seed) if finite(made) else math.nan
    return known(
        {
            "c2st": c2st(test, made, _seed(splits, "folds"), repeats=repeats),
            **trees,
            "mmd2": mmd2(test, made),
            **prdc(test, made),
            "frechet": frechet(*features),
            **copying(train, made if decoded is None else decoded, test),
        }
    )


def mixture_of_rows(splits: Splits) -> dict[str, float]:
    """The same of draws from a Gaussian mixture of the training rows; for rows with classes from one of each class."""
    few = splits._replace(train=some(splits.train, 2 * MOST, _seed(splits, "rows")))
    finish = _matching(lambda n, seed: settled(gaussian_mixture(few, n), splits, seed), splits)
    found = compared(finish(len(_some(splits.test, splits, MOST)), _seed(splits, "outcomes")), splits)
    if not _labelled(splits):
        return found
    y, made = np.asarray(few.train.y), []
    for one in np.unique(y):
        own = few._replace(train=few.train.take(np.flatnonzero(y == one)), seed=hashed(splits.seed, str(one)))
        made.append(gaussian_mixture(own, int((y == one).sum())))
    whole = settled(np.concatenate(made), splits, _seed(splits, "classes"))
    return found | teaching(_matching(lambda n, seed: whole[:n], splits)(len(whole), 0), np.sort(y), splits)


def mixture_of_columns(splits: Splits) -> dict[str, float]:
    """The same of draws from a mixture of columns of several kinds; with classes from one with a column of classes."""
    made, _ = generator(splits).draw(len(_some(splits.test, splits, MOST)), _seed(splits, "columns"))
    found = compared(made, splits)
    if not _labelled(splits):
        return found
    rows, y = generator(splits, labelled=True).draw(len(_some(splits.train, splits, KNOWN)), _seed(splits, "columns"))
    return found | teaching(rows, np.asarray(y), splits)


def _network(splits: Splits) -> Network:
    if splits.valid.x is splits.train.x:
        raise BadInput(
            "how many components a mixture has is chosen on validation rows, which training on all rows lacks; "
            "leave --refit out"
        )
    fitted = generator(splits)
    return network(fitted.mixture, [code.fewer(RANKS) for code in fitted.codings])


def training_rows(splits: Splits) -> dict[str, float]:
    """The same of training rows, as many as there are test rows; ``ceiling`` keeps them out of the contest."""
    found = compared(_some(splits.train, splits, len(_some(splits.test, splits, MOST))), splits) | {"ceiling": 1.0}
    if not _labelled(splits):
        return found
    known = some(splits.train, KNOWN, _seed(splits, "rows"))
    return found | teaching(known.x, np.asarray(known.y), splits)


def shuffled_columns(splits: Splits) -> dict[str, float]:
    """The same of training rows whose columns were shuffled one by one: every column right, nothing between them."""
    random = np.random.default_rng(_seed(splits, "shuffled"))
    train, count = _some(splits.train, splits, KNOWN), len(_some(splits.test, splits, MOST))
    parts = () if splits.layout is None else splits.layout.parts
    if parts:  # what stands for one column stays together
        made = np.hstack([random.permutation(train[:, part.start : part.end]) for part in parts])
    else:
        made = random.permuted(train.reshape(len(train), -1), axis=0)
    made = made.reshape(len(made), *train.shape[1:])
    found = compared(made[:count], splits)
    if not _labelled(splits):
        return found
    return found | teaching(made, np.asarray(some(splits.train, KNOWN, _seed(splits, "rows")).y), splits)


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


def _mixture(splits: Splits) -> Kin:
    """Of wide rows it is one of their first principal axes; the noise that they leave scikit-learn has no place for."""
    few = splits._replace(train=some(splits.train, 2 * MOST, _seed(splits, "rows")))
    (mixture, axes), width = mixture_on(few), splits.train.x[0].size
    floor = COVARIANCE_FLOOR * float(axes.down(few.train.x.reshape(-1, width).astype(np.float64)).var(axis=0).mean())
    model = {"n_components": len(mixture.weights), "reg_covar": float(f"{floor:.3g}")}
    count = axes.across.shape[1]
    first: tuple[Step, ...] = (("sklearn.decomposition.PCA", {"n_components": count}),) if count < width else ()
    return Kin("draw", (*first, ("sklearn.mixture.GaussianMixture", model)))


SHUFFLED = """# X: an array of rows, as they come; of a frame X.to_numpy()
import numpy as np

random = np.random.default_rng(0)
np.stack([random.permutation(column) for column in X.reshape(len(X), -1).T], axis=1).reshape(X.shape)"""
THEMSELVES = """# X: an array of rows, as they come: the rows themselves, which are no new ones
import numpy as np

X[np.random.default_rng(0).permutation(len(X))[:1000]]"""


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
    decided={"table": "boosted"},
    view="all",
    labels=False,
    sees=Said("training and validation rows, without labels", "训练集和验证集，不使用标签"),
    criterion=criterion,
    free=criterion,
    widens=False,
    measure=measure,
    draws=draws,
    metrics=(
        "c2st",
        *(f"c2st_{side}" for side in ("smooth", "noisy", "mixture", "prior")),
        "boosted",
        "tstr",
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
    only={"mixed-type mixture": "table"},
    rivals={
        "gaussian mixture": mixture_of_rows,
        "mixed-type mixture": mixture_of_columns,
        "shuffled columns": shuffled_columns,
        "training rows": training_rows,
    },
    kin={
        "gaussian mixture": _mixture,
        "shuffled columns": lambda _: Lines(SHUFFLED, takes="cells"),
        "training rows": lambda _: Lines(THEMSELVES, takes="cells"),
    },
    networks={"mixed-type mixture": _network},
)
