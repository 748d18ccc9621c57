"""From scores to decisions: how rare a score is among normal rows, and what may be said of the rows that are flagged.

Everything here compares scores (high means anomalous) with those of *calibration rows*: normal rows that neither
trained the model, nor stopped its training, nor chose it. Where they and a new normal row are exchangeable, its p-value
is at most ``a`` with probability at most ``a``, whatever the score (Vovk, Gammerman and Shafer 2005, Algorithmic
learning in a random world; for outliers Laxhammar and Falkman 2010, and Bates et al. 2023, Annals of Statistics 51).
Pure functions of arrays, in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.errors import BadInput

Scores = NDArray[np.float64]

DRAWS = 2000
"""Simulated batches whose sorted counts an envelope is one row of."""
FRESH = 8000
"""Simulated batches that say which row."""
SURE = 0.999
"""How sure it is that the row they say is high enough, so that an envelope holds as often as it is said to."""
AT = 0.2
"""Above this p-value hardly any anomaly is looked for; the higher it is, the less is known of how many there are."""
RANKS = 200
"""Ranks of p-values that an envelope looks at, at most; between two of them the larger one's bound stands."""

CELLS = 1 << 22
"""Numbers that are held at once while a batch is weighed row by row."""


def p_values(calibration: ArrayLike, scores: ArrayLike, *, random: np.random.Generator | None = None) -> Scores:
    """Split-conformal p-values of new rows: the share of normal rows, the new one among them, that score as high.

    Parameters
    ----------
    calibration : array (n,)
        Scores of calibration rows.
    scores : array (m,)
        Scores of new rows; NaN stays NaN.
    random : Generator, optional
        Breaks ties, the row's own place among them, at random: p-values of normal rows are then uniform, and not only
        at most so. By default a tie counts as higher.

    Returns
    -------
    array (m,)
        In [1 / (n + 1), 1], or (0, 1] with random ties.

    Examples
    --------
    >>> p_values([1.0, 2.0, 3.0, 4.0], [2.5, 9.0]).tolist()
    [0.6, 0.2]
    """
    known, asked = _calibration(calibration), np.asarray(scores, np.float64)
    above = len(known) - np.searchsorted(known, asked, side="right")
    alike = len(known) - np.searchsorted(known, asked, side="left") - above
    share = 1.0 if random is None else random.uniform(size=asked.shape)
    return np.where(np.isnan(asked), np.nan, (above + (alike + 1) * share) / (len(known) + 1))


def highest(scores: ArrayLike, length: int) -> Scores:
    """The highest score of each block of ``length`` rows that follow each other, (n,) -> (n // length,).

    Rows of a series come in runs that are alike, so they are no draws one by one; blocks longer than what a row
    remembers nearly are (Chernozhukov, Wuthrich and Zhu 2018, Exact and robust conformal inference methods for
    predictive machine learning with dependent data, COLT). Against these, a block of as many normal rows has any flag
    with probability ``rate``. Of rows that fill no block the first are left out, and so is a block without a score.

    Examples
    --------
    >>> highest([9.0, 1.0, 3.0, 2.0, np.nan], 2).tolist()
    [3.0, 2.0]
    """
    given = np.asarray(scores, np.float64)
    if length < 1:
        raise BadInput(f"a block has one row or more; got {length}")
    blocks = given[len(given) % length :].reshape(-1, length)
    blocks = blocks[~np.isnan(blocks).all(axis=1)]
    if len(blocks):
        return np.asarray(np.nanmax(blocks, axis=1))
    raise BadInput(f"expected calibration rows for one block of {length:,} or more; got {len(given):,}: give more rows")


def weighted_p_values(
    calibration: ArrayLike,
    scores: ArrayLike,
    weights: ArrayLike,
    asked: ArrayLike,
    *,
    random: np.random.Generator | None = None,
) -> Scores:
    """The same where new rows are drawn otherwise than calibration rows, by a known ratio of densities.

    Tibshirani, Barber, Candes and Ramdas (2019), Conformal prediction under covariate shift, NeurIPS.

    Parameters
    ----------
    calibration, scores : arrays (n,), (m,)
    weights, asked : arrays (n,), (m,)
        Density among new rows over that among calibration rows, at each of them, up to a common factor; for instance
        odds of a classifier that tells the two apart.
    random : Generator, optional
        Breaks ties at random.

    Examples
    --------
    >>> weighted_p_values([1.0, 2.0, 3.0], [2.5], [1.0, 1.0, 2.0], [1.0]).tolist()
    [0.6]
    """
    known, rows = np.asarray(calibration, np.float64), np.asarray(scores, np.float64)
    mass, own = np.asarray(weights, np.float64), np.asarray(asked, np.float64)
    if mass.shape != known.shape or own.shape != rows.shape:
        raise BadInput(f"expected one weight for each score; got {mass.shape} for {known.shape}, {own.shape}")
    if not (np.isfinite(mass).all() and np.isfinite(own).all() and min(mass.min(), own.min(initial=0)) >= 0):
        raise BadInput("weights must be finite numbers of at least 0: ratios of densities")
    whole = _mass(mass)
    order = np.argsort(known, kind="stable")
    known = _calibration(known[order])
    tails = np.append(np.cumsum(mass[order][::-1])[::-1], 0.0)
    above, at_least = (tails[np.searchsorted(known, rows, side=side)] for side in ("right", "left"))
    share = 1.0 if random is None else random.uniform(size=rows.shape)
    return np.where(np.isnan(rows), np.nan, (above + (at_least - above + own) * share) / (whole + own))


def worth(weights: ArrayLike) -> int:
    """How many rows of the new population weighted calibration rows (n,) are worth (Kish 1965, Survey sampling).

    Examples
    --------
    >>> worth(np.ones(99)), worth([1.0, 0.0, 1.0])
    (99, 2)
    """
    mass = np.asarray(weights, np.float64)
    return max(1, int(_mass(mass) ** 2 / float((mass**2).sum()) * (1 + 1e-12)))


def _mass(weights: Scores) -> float:
    """The sum of the weights of calibration rows."""
    if not (found := float(weights.sum())) > 0:
        raise BadInput("weights of the calibration rows must not all be 0: calibrate on rows like the new ones")
    return found


def cross_p_values(folds: list[Scores], asked: list[Scores], *, plus: bool = False) -> Scores:
    """P-values where each row is held out once, so that no row is spent on calibration alone.

    Vovk (2015), Cross-conformal predictors, Annals of Mathematics and AI 74. With ``plus`` the comparison is the
    jackknife+ (Barber, Candes, Ramdas and Tibshirani 2021, Annals of Statistics 49), in which each held-out score meets
    the new row's score under the very model that did not see it; without, all held-out scores meet the mean of the new
    row's scores. Both are close to exact in practice; what is proven of jackknife+ is twice the level.

    Parameters
    ----------
    folds : list of arrays (n_k,)
        Scores of the rows of fold k by the model that did not train on them; folds of one row are the jackknife.
    asked : list of arrays (m,)
        Scores of the new rows by the same models.
    plus : bool, default False

    Examples
    --------
    >>> cross_p_values([np.array([1.0, 3.0]), np.array([2.0])], [np.array([2.5]), np.array([1.5])], plus=True).tolist()
    [0.75]
    """
    if len(folds) != len(asked) or len(folds) < 2:
        raise BadInput(f"expected two folds or more, each with scores of the new rows; got {len(folds)}, {len(asked)}")
    count = sum(map(len, folds))
    mean = np.mean(asked, axis=0)
    met = asked if plus else [mean] * len(folds)
    found = [len(fold) - np.searchsorted(_calibration(fold), one) for fold, one in zip(folds, met, strict=True)]
    return np.where(np.isnan(mean), np.nan, (1 + np.sum(found, axis=0)) / (count + 1))


def threshold(calibration: ArrayLike, rate: float) -> float:
    """The score above which a row is flagged, so that a normal row is with probability at most ``rate``.

    A row is flagged if and only if its (deterministic) p-value is at most ``rate``.

    Raises
    ------
    BadInput
        If there are too few calibration rows for the rate: none of them could say that a row is so rare.

    Examples
    --------
    >>> threshold(np.arange(99.0), 0.02)
    97.0
    """
    known = _calibration(calibration)
    enough(len(known), rate)
    return float(known[len(known) - 1 - most(len(known), rate)])


def enough(rows: int, rate: float) -> None:
    """Refuse a false-alarm rate of which so many calibration rows say nothing."""
    if not 0 < rate < 1:
        raise BadInput(f"the false-alarm rate must lie between 0 and 1, both excluded; got {rate!r}")
    if most(rows, rate) < 0:
        need = math.ceil(1 / rate - 1e-9) - 1
        raise BadInput(
            f"{rows:,} calibration rows say nothing of a false-alarm rate of {rate:g}: expected at least {need:,} "
            f"rows, or a rate of at least {_up(1 / (rows + 1))}"
        )


def _up(rate: float) -> str:
    """A rate in three digits, never less than it is."""
    digits = 3 - math.floor(math.log10(rate)) - 1
    return f"{math.ceil(rate * 10**digits) / 10**digits:g}"


def most(rows: int, rate: float) -> int:
    """Calibration rows that may score as high as a flagged row; -1 if even none is too many."""
    return math.floor(rate * (rows + 1) * (1 + 1e-12)) - 1


def flags(p: ArrayLike, rate: float) -> NDArray[np.bool_]:
    """Which rows are flagged at a false-alarm rate: those whose p-value is at most the rate. NaN is not."""
    return np.asarray(p, np.float64) <= rate * (1 + 1e-12)


def per_day(alarms: float, rows: float) -> float:
    """The false-alarm rate at which ``rows`` normal rows a day raise ``alarms`` false alarms on average.

    Examples
    --------
    >>> per_day(5, 20_000)
    0.00025
    """
    if not (0 < alarms < rows and math.isfinite(rows)):
        raise BadInput(f"expected fewer alarms a day than rows a day, and more than 0; got {alarms:g} of {rows:g}")
    return alarms / rows


def discoveries(p: ArrayLike, level: float) -> NDArray[np.bool_]:
    """Which rows of a batch to flag, so that on average at most a share ``level`` of the flags is false.

    Benjamini and Hochberg (1995), JRSS B 57. Conformal p-values of a batch against one calibration set are positively
    dependent, under which the procedure holds (Bates et al. 2023, theorem 2).

    Examples
    --------
    >>> discoveries([0.01, 0.9, 0.02, 0.04], 0.05).tolist()
    [True, False, True, False]
    """
    _share(level)
    given = np.asarray(p, np.float64)
    known = np.sort(given[~np.isnan(given)])
    fits = np.flatnonzero(known <= level * np.arange(1, len(known) + 1) / max(1, len(known)) * (1 + 1e-12))
    return given <= known[fits[-1]] if len(fits) else np.zeros(given.shape, bool)


def weighted_discoveries(
    calibration: ArrayLike, scores: ArrayLike, weights: ArrayLike, asked: ArrayLike, level: float, *, seed: int = 0
) -> NDArray[np.bool_]:
    """The same for :func:`weighted_p_values`, which need not be positively dependent.

    Jin and Candes (2023, Model-free selective inference under covariate shift via weighted conformal p-values), with
    their homogeneous pruning. For each row the procedure of Benjamini and Hochberg is run on p-values of the others
    that know of its weight and not of theirs, its own being 0. A row whose p-value is small enough for as many as
    that flags is a candidate, and candidates that count on too many others are dropped, by one random number; the
    average is over it too. With equal weights that is :func:`discoveries`.

    Parameters
    ----------
    calibration, scores : arrays (n,), (m,)
        A row without a score (NaN) is not flagged.
    weights, asked : arrays (n,), (m,)
        As of :func:`weighted_p_values`.
    level : float
    seed : int, default 0
        Of the random number.

    Examples
    --------
    >>> known, new = np.linspace(0, 1, 99), np.r_[np.full(10, 2.0), np.linspace(0, 0.8, 10)]
    >>> int(weighted_discoveries(known, new, np.ones(99), np.ones(20), 0.1).sum())
    10
    """
    _share(level)
    p = weighted_p_values(calibration, scores, weights, asked)
    there = np.flatnonzero(~np.isnan(p))
    there = there[np.argsort(-np.asarray(scores, np.float64)[there], kind="stable")]  # the oddest first
    rows, own, p = np.asarray(scores, np.float64)[there], np.asarray(asked, np.float64)[there], p[there]
    found = np.zeros(np.shape(scores), bool)
    ask = np.flatnonzero(p <= level * (1 + 1e-12))
    if not len(ask):
        return found
    known, mass = np.asarray(calibration, np.float64), np.asarray(weights, np.float64)
    order = np.argsort(known, kind="stable")
    tails = np.append(np.cumsum(mass[order][::-1])[::-1], 0.0)
    above = tails[np.searchsorted(known[order], rows)]  # the weight of calibration rows as odd as each row
    ends = np.append(np.flatnonzero(np.diff(above)), len(rows) - 1)  # the last of rows between the same two of them
    ends = ends[above[ends] <= level * (mass.sum() + own[ask].max()) * (1 + 1e-12)]
    odder = np.searchsorted(-rows, -rows[ask])  # rows that are odder than each that is asked
    sizes = np.ones(len(ask), np.int64)
    for at in range(0, len(ask), step := max(1, CELLS // max(1, len(ends)))):
        part = slice(at, at + step)
        first, mine = odder[part, None], own[ask[part], None]
        before = ends < first
        values = np.hstack([above[ends] + np.where(before, 0.0, mine), above[np.maximum(first - 1, 0)]])
        ranks = np.hstack([ends + 1 + before, first + 1])
        fits = values <= level * ranks / len(rows) * (mass.sum() + mine) * (1 + 1e-12)
        sizes[part] = np.maximum(1, np.where(fits, ranks, 0).max(axis=1))
    chosen = p[ask] <= level * sizes / len(rows) * (1 + 1e-12)
    ask, needs = ask[chosen], np.random.default_rng(seed).random() * sizes[chosen]
    counts = np.arange(1, len(ask) + 1)
    fits = np.flatnonzero(np.searchsorted(np.sort(needs), counts, side="right") >= counts)
    found[there[ask[needs <= (counts[fits[-1]] if len(fits) else 0)]]] = True
    return found


class Bound(NamedTuple):
    """What may be said of a threshold that was picked after looking."""

    flagged: int
    """Rows at or below the threshold."""
    false: int
    """How many of them are normal, at most."""
    share: float
    """``false / flagged``, 0 where nothing is flagged."""


def envelope(calibration: int, batch: int, confidence: float = 0.95, *, seed: int = 0) -> NDArray[np.int64]:
    """For each rank of p-values how many normal rows of a batch have one so small, at most, all ranks at once.

    With n calibration rows, p-values of normal rows are multiples of 1 / (n + 1), and the numbers of them up to each
    multiple have a law that no score changes: that of ranks of n and m draws (Gazin, Blanchard and Roquain 2024,
    Transductive conformal inference with adaptive scores, AISTATS; Bates et al. 2023). It is simulated, and bounded by
    one quantile at all ranks, the least that keeps ``confidence`` for all of them together, and a margin for the chance
    in the simulation.

    Parameters
    ----------
    calibration, batch : int
        Rows n and m.
    confidence : float, default 0.95
    seed : int, default 0
        Of the simulation.

    Returns
    -------
    array (n + 1,)
        Entry k: how many of m normal rows have a p-value of at most ``(k + 1) / (n + 1)``.
    """
    from scipy.stats import binom

    if calibration < 1 or batch < 1 or not 0 < confidence < 1:
        raise BadInput(f"expected rows and a confidence between 0 and 1; got {calibration}, {batch}, {confidence!r}")
    random = np.random.default_rng(seed)
    every = np.arange(1, calibration + 2)
    # Small ranks, where thresholds lie, one by one; large ones by equal factors.
    ranks = (
        every if len(every) <= RANKS else np.unique(np.geomspace(1, calibration + 1, RANKS).round().astype(np.int64))
    )
    gaps = np.diff(ranks, prepend=0).astype(np.float64)
    # Given n uniform scores, spacings between them are the shares of normal rows with each p-value.
    drawn = (np.cumsum(random.multinomial(batch, random.dirichlet(gaps, n)), axis=1) for n in (DRAWS, FRESH))
    counts, fresh = np.sort(next(drawn), axis=0), next(drawn)
    # The place among sorted draws that a fresh batch needs, at its worst rank, decides: a quantile of a quantile.
    needed = np.zeros(FRESH, np.int64)
    for k in range(len(ranks)):
        np.maximum(needed, np.searchsorted(counts[:, k], fresh[:, k], side="left"), out=needed)
    # The quantile of the draws may lie below that of their law; this one of them does hardly ever.
    last = int(binom.ppf(SURE, FRESH, confidence))
    place = int(np.sort(needed)[last]) if last < FRESH else DRAWS
    most = counts[place] if place < DRAWS else np.full(len(ranks), batch)
    bounds: NDArray[np.int64] = np.minimum(np.maximum.accumulate(most), batch)[np.searchsorted(ranks, every)]
    return bounds


@dataclass
class Tally:
    """How many rows of a batch have each p-value: all that is asked of a batch, however long, in constant memory.

    Examples
    --------
    >>> batch = Tally.of(99)
    >>> batch.add(np.r_[np.full(20, 0.01), np.linspace(0.02, 1, 180)])
    >>> batch.rows, batch.discovered(0.1), batch.false_share(0.01).flagged
    (200, 0.01, 20)
    """

    counts: NDArray[np.int64]
    """(n + 1,): entry k has rows of p-value ``(k + 1) / (n + 1)``."""

    @classmethod
    def of(cls, calibration: int) -> Self:
        """Of no row yet, against so many calibration rows."""
        return cls(np.zeros(calibration + 1, np.int64))

    @property
    def rows(self) -> int:
        """Rows with a p-value."""
        return int(self.counts.sum())

    def add(self, p: ArrayLike) -> None:
        """Split-conformal p-values (m,) of more rows, without random ties; NaN is left out."""
        given = np.asarray(p, np.float64)
        size = len(self.counts)
        self.counts += np.bincount(self._rank(given[~np.isnan(given)]) - 1, minlength=size)[:size]

    def discovered(self, level: float) -> float:
        """The p-value up to which :func:`discoveries` flags at a level; 0 where it flags nothing."""
        _share(level)
        upto, ranks = np.cumsum(self.counts), np.arange(1, len(self.counts) + 1)
        fits = np.flatnonzero(
            (ranks / len(ranks) <= level * upto / max(1, self.rows) * (1 + 1e-12)) & (self.counts > 0)
        )
        return float(ranks[fits[-1]] / len(ranks)) if len(fits) else 0.0

    def fewest(self, level: float) -> int:
        """Rows odder than all calibration rows that :func:`discoveries` needs at a level to flag any of them."""
        _share(level)
        return math.ceil(self.rows / (len(self.counts) * level) * (1 - 1e-12))

    def false_share(self, threshold: float, confidence: float = 0.95, *, seed: int = 0) -> Bound:
        """As :func:`false_share`."""
        rank = min(int(self._rank(np.array([threshold]))[0]), len(self.counts))
        flagged = int(self.counts[:rank].sum())
        if not flagged:
            return Bound(0, 0, 0.0)
        bounds = envelope(len(self.counts) - 1, self.rows, confidence, seed=seed)
        false = min(flagged, int(bounds[rank - 1]))
        return Bound(flagged, false, false / flagged)

    def anomalous(self, confidence: float = 0.95) -> Contamination:
        """How many of the rows are anomalous, as :func:`contamination` tells it."""
        at = max(1, round(AT * len(self.counts)))
        high = int(self.counts[at:].sum())
        return _anomalous(high, self.rows, len(self.counts) - 1, at / len(self.counts), confidence)

    def _rank(self, p: Scores) -> NDArray[np.int64]:
        """Which multiple of 1 / (n + 1) each p-value is, or the next below."""
        return np.floor(p * len(self.counts) * (1 + 1e-12)).astype(np.int64)


def false_share(p: ArrayLike, threshold: float, calibration: int, confidence: float = 0.95, *, seed: int = 0) -> Bound:
    """An upper bound on the share of false discoveries in a batch, for whatever threshold was picked after looking.

    Valid for all thresholds at once: with probability ``confidence`` over calibration rows and batch, none of the
    bounds is too small (:func:`envelope`).

    Parameters
    ----------
    p : array (m,)
        Split-conformal p-values of the batch, without random ties.
    threshold : float
        Rows of p-values up to here are flagged.
    calibration : int
        Rows n that the p-values are against.
    confidence : float, default 0.95
    seed : int, default 0
        Of the simulation.

    Examples
    --------
    >>> false_share(np.r_[np.full(20, 0.01), np.linspace(0.02, 1, 180)], 0.01, 99).flagged
    20
    """
    batch = Tally.of(calibration)
    batch.add(p)
    return batch.false_share(threshold, confidence, seed=seed)


class Contamination(NamedTuple):
    """The share of anomalies among rows that should be normal, with its uncertainty."""

    share: float
    low: float
    high: float


def contamination(clean: ArrayLike, mixed: ArrayLike, *, at: float = AT, confidence: float = 0.95) -> Contamination:
    """How many of some rows are anomalous, told by their p-values against clean rows.

    Storey (2002), JRSS B 64: normal p-values are spread evenly above ``at``, where anomalies hardly have any; those
    that do count as normal, so that the share is rather too low. The interval joins that of a binomial share of the
    mixed rows (Clopper and Pearson 1934) with that of the part of normal rows above ``at``, whose law is a beta with n
    clean rows, each at half of what may be missed.

    Parameters
    ----------
    clean, mixed : arrays (n,), (m,)
        Scores; NaN among the mixed ones is left out.
    at : float, default 0.2
    confidence : float, default 0.95

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> found = contamination(random.normal(size=2000), np.r_[random.normal(size=4500), random.normal(5, 1, 500)])
    >>> found.low < 0.1 < found.high, round(found.share, 1)
    (True, 0.1)
    """
    p, n = p_values(clean, mixed, random=np.random.default_rng(0)), len(np.asarray(clean))
    if not 0 < at < 1:
        raise BadInput(f"the place above which p-values are counted must lie between 0 and 1; got {at!r}")
    return _anomalous(int((p > at).sum()), int((~np.isnan(p)).sum()), n, at, confidence)


def _anomalous(high: int, count: int, n: int, at: float, confidence: float) -> Contamination:
    """The share of anomalies among ``count`` rows of which ``high`` have p-values above a place."""
    from scipy.stats import beta

    if not count or not 0 < confidence < 1:
        raise BadInput(f"expected rows with a score, and a confidence between 0 and 1; got {count}, {confidence!r}")
    tail = (1 - confidence) / 4
    low = float(beta.ppf(tail, high, count - high + 1)) if high else 0.0
    most = float(beta.ppf(1 - tail, high + 1, count - high)) if high < count else 1.0
    above = [float(one) for one in beta.ppf([tail, 1 - tail], (n + 1) * (1 - at), (n + 1) * at)]
    share, least, largest = (
        min(1.0, max(0.0, 1 - part)) for part in (high / count / (1 - at), most / above[0], low / above[1])
    )
    return Contamination(share, least, largest)


def trimmed(calibration: ArrayLike, share: float) -> Scores:
    """Calibration scores without the highest ones, where a share of the rows is known to be anomalous.

    Kept as they are, anomalies among calibration rows make flags rarer: the false-alarm rate is kept, power is lost.
    With them cut off, it is kept only as far as they score above normal rows; a share too large makes false alarms.

    Examples
    --------
    >>> trimmed([3.0, 1.0, 2.0, 9.0], 0.25).tolist()
    [1.0, 2.0, 3.0]
    """
    if not 0 <= share < 1:
        raise BadInput(f"the share of anomalies must be at least 0 and below 1; got {share!r}")
    known = _calibration(calibration)
    return known[: max(1, len(known) - math.floor(share * len(known)))]


def _share(level: float) -> None:
    if not 0 < level < 1:
        raise BadInput(f"the share of false discoveries must lie between 0 and 1, both excluded; got {level!r}")


def _calibration(scores: ArrayLike) -> Scores:
    """Scores of calibration rows, sorted; refused if there are none, or one is not finite."""
    known = np.sort(np.asarray(scores, np.float64))
    if known.ndim != 1 or not len(known) or not np.isfinite(known).all():
        raise BadInput("calibration needs finite scores of at least one row; leave out rows without a score")
    return known
