"""How unlike the training rows a row is, by all that a trained autoencoder knows of it.

An error alone is blind to a row that is far out on the surface that the codes draw, and a density of codes to one that
lies off it. So a row is placed by both at once: what the model makes of it, and what that leaves. There it is asked how
far the nearest training row is (Ramaswamy, Rastogi and Shim 2000), which follows any shape; how much sparser it
lies than its neighbours do (the local outlier factor of Breunig, Kriegel, Ng and Sander 2000), which knows that some
regions are dense; and how far it is from the mean in units of the covariance (Mahalanobis 1936), which is calm where
rows are few. Each is standardised, as a logarithm, over held-out normal rows, and they are added, as Denouden et al.
(2018, arXiv:1812.02765) add error and density. Nothing is chosen where no anomaly is known;
where some are, the second or the third alone takes the place of the sum if it tells them clearly better.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from isthmus.metrics.probes import lengths, neighbours
from isthmus.metrics.ranking import degenerate, rounding
from isthmus.model import Model
from isthmus.seeds import seed as hashed

Rows = NDArray[np.float32]
Scores = NDArray[np.float64]

RIDGE = 1e-6
"""Of the mean variance: what an element that never moved is taken to vary."""
CALM = 1e-3
"""The same where residuals stand beside what was rebuilt, with directions of hardly any variance."""
SAME = 5e-3
"""Of the usual distance between neighbours: what rows that are the same lie apart. Beside less, last bits would
count, in which a model and its graph differ."""
STILL = 0.03
"""Of the spread of all columns: what a column that hardly moved in training is taken to have."""
NEAREST, AROUND = 1, 20
"""Which neighbour's distance counts, and how many neighbours a row's density is compared with."""
WEIGHTS = np.array([1.0, 0.25, 0.25])
"""Of distance, outlier factor and distance to the mean, where nothing is known of anomalies."""
ALONE = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
"""What may take their place where anomalies are known: the second and the third alone. The first is most of the sum."""
KNOWN, CELLS = 5_000, 20_000_000
"""Training rows that a row is compared with, at most: a seeded draw; fewer where rows are wide."""
WIDEST = 512
"""Columns up to which the covariance is a full one; of wider rows it is its diagonal."""
BLOCK, FEW = 1024, 32
"""Rows that are scored, and explained, at once."""
TINY = 1e-150
"""A distance that divides."""
MATES, APART = 3, (0.25, 0.75)
"""Neighbours with one of which a row is blended, and how far from itself the blend may lie."""


class Coded(Protocol):
    """What is asked of a model: a :class:`isthmus.train.fitted.Fitted`, or what facets compare."""

    def encode_scaled(self, x: Rows) -> Rows:
        """(n, *D) -> (n, L)."""

    def decode_scaled(self, z: Rows) -> Rows:
        """(n, L) -> (n, *D)."""

    def compared(self, x: Rows, made: Rows) -> Rows:
        """What was made of rows, to be compared with them: where a row has a gap, the row. Both (n, *D)."""

    def score_scaled(self, x: Rows) -> Scores:
        """(n, *D) -> (n,): the family's own score, or the squared error per element."""

    @property
    def model(self) -> Model:
        """The network: whether its family has a score of its own."""


@runtime_checkable
class Placed(Protocol):
    """A model that carries where its training rows lie (:class:`isthmus.ship.deployed.Deployed`)."""

    @property
    def crowd(self) -> Crowd | None:
        """None where the model's own score is all there is."""

    @property
    def units(self) -> NDArray[np.float64] | None:
        """(D,), given with the crowd."""


@dataclass(frozen=True)
class Scorer:
    """Scores of rows by what a fitted model knows of them; made by :meth:`fit`.

    Attributes
    ----------
    fitted : Coded
    crowd : Crowd or None
        Where the training rows lie; None where the model's own score is all there is: its family has one (``svdd``), or
        its errors on held-out rows are rounding, so that it copies its rows and knows nothing of them.
    units : array (D,)
        What a step in each element counts.
    """

    fitted: Coded
    crowd: Crowd | None
    units: NDArray[np.float64]

    @classmethod
    def fit(
        cls, fitted: Coded, train: Rows, held: Rows, seed: int = 0, *, odd: Rows | None = None, between: bool = False
    ) -> Scorer:
        """From normal rows, already scaled (``fitted.scaled(x)``).

        Parameters
        ----------
        fitted : Coded
        train : array (n, *D)
            The training rows, of which at most 5,000 are kept.
        held : array (m, *D)
            Normal rows that were not trained on: over them the three distances are standardised.
        seed : int, default 0
            Of the draw of training rows.
        odd : array (k, *D), optional
            Anomalies that are known, scaled: they choose the weights (:meth:`Crowd.told`).
        between : bool, default False
            Whether places between neighbours are kept (:func:`blended`), so that the scorer holds no training row.

        Examples
        --------
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> x = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
        >>> model = fit(named("pca").set_params(latents=2), x[:200])
        >>> scorer = Scorer.fit(model, model.scaled(x[:200]), model.scaled(x[200:]))
        >>> bool(scorer.scores(model.scaled(9 * x[:1])) > scorer.scores(model.scaled(x[:1])))
        True
        """
        units = steps(train)
        own = type(fitted.model).score is not Model.score
        if own or len(held) < 2 or len(train) < 2 or degenerate(fitted.score_scaled(held), rounding(train)) is not None:
            return cls(fitted, None, units)
        known, apart = (places(fitted, rows, units) for rows in (drawn(train, seed), held))
        usable = np.isfinite(known).all() and np.isfinite(apart).all()
        if usable and between:
            known = blended(known, seed)
        if not usable:
            return cls(fitted, None, units)
        crowd = Crowd.fit(known, apart)
        return cls(fitted, crowd if odd is None else crowd.told(apart, places(fitted, odd, units)), units)

    def scores(self, x: Rows) -> Scores:
        """How unlike the training rows scaled rows are, (n, *D) -> (n,); high means anomalous. Each row for itself."""
        if self.crowd is None:
            return self.fitted.score_scaled(x)
        blocks = [x[i : i + BLOCK] for i in range(0, len(x), BLOCK)]
        found = [self.crowd.scores(places(self.fitted, block, self.units)) for block in blocks]
        return np.concatenate([np.zeros(0), *found])

    def shares(self, x: Rows) -> NDArray[np.float64]:
        """What each element of scaled rows makes of their scores, (n, *D) -> (n, *D), where there is a crowd.

        By how much the score would rise if the row lay a little farther out along that element, from its neighbours
        and from the mean: of a distance that is each element's share of the square. The sizes of a row sum to 1; the
        sign is that of the row minus its neighbours.
        """
        crowd = self.crowd
        if crowd is None:
            raise ValueError("no crowd: the score is the model's own")
        asked = places(self.fitted, x, self.units)
        blocks = [crowd.pulls(asked[i : i + FEW]) for i in range(0, len(x), FEW)]
        pull, away = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        # A place is what was rebuilt and what that leaves: one element has two coordinates.
        size, side = (part.reshape(len(x), 2, -1).sum(axis=1) for part in (pull, away))
        whole = size.sum(axis=1, keepdims=True)
        found = np.where(side < 0, -1.0, 1.0) * size / np.where(whole > 0, whole, 1.0)
        return found.reshape(x.shape)


@dataclass(frozen=True)
class Crowd:
    """Places of normal rows, and how far from them others are, in three ways that are added."""

    known: NDArray[np.float64]
    """(n, C)."""
    reach: NDArray[np.float64]
    """How far the last of its neighbours is from each, (n,)."""
    density: NDArray[np.float64]
    """One over the mean reachability distance of each, (n,)."""
    calm: float
    """What is added to distances."""
    usual: NDArray[np.float64]
    """Means and standard deviations of the logarithms of the three over held-out rows, (3, 2)."""
    weights: NDArray[np.float64] = field(default_factory=WEIGHTS.copy)
    """Of the three, (3,)."""
    nearest: int = NEAREST
    """Which neighbour's distance is the first of the three."""

    @classmethod
    def fit(cls, known: NDArray[np.float64], held: NDArray[np.float64]) -> Crowd:
        """From the places of training rows (n, C), n at least 2, and of held-out ones (m, C); all finite."""
        from sklearn.neighbors import NearestNeighbors

        finder = NearestNeighbors(n_neighbors=min(AROUND, len(known) - 1), algorithm="brute").fit(known)
        numbers = finder.kneighbors(return_distance=False)  # of the rows themselves, each without itself
        distances = lengths(known, known, numbers)
        reach = distances.max(axis=1)
        calm = SAME * float(np.median(reach)) or SAME
        density = 1 / (np.maximum(distances, reach[numbers]).mean(axis=1) + calm)
        found = cls(known, reach, density, calm, np.tile([0.0, 1.0], (3, 1)))
        logs = found.logs(held)
        spread = logs.std(axis=1)
        return replace(found, usual=np.stack([logs.mean(axis=1), np.where(spread > 0, spread, 1.0)], axis=1))

    def told(self, held: NDArray[np.float64], odd: NDArray[np.float64]) -> Crowd:
        """The same, with the weights that tell known anomalies (k, C) best from held-out normal rows (m, C).

        The usual ones stay unless others do better by more than a standard error over the anomalies (the rule of
        Breiman, Friedman, Olshen and Stone 1984), so that a few of them, alike by chance, change nothing.

        Examples
        --------
        >>> random = np.random.default_rng(0)
        >>> known, held, odd = (random.normal(size=(n, 6)) * np.array([9, 9, 9, 9, 9, 0.1]) for n in (200, 50, 20))
        >>> odd[:, 5] *= 9
        >>> Crowd.fit(known, held).told(held, odd).weights.tolist()
        [0.0, 0.0, 1.0]
        """
        if len(odd) < 2 or not np.isfinite(odd).all():
            return self
        ways = [replace(self, weights=weights) for weights in (self.weights, *ALONE)]
        ranks = np.stack([_ranks(way.scores(held), way.scores(odd)) for way in ways])
        gain = ranks - ranks[0]
        best = int(gain.mean(axis=1).argmax())
        return ways[best] if gain[best].mean() > gain[best].std(ddof=1) / math.sqrt(len(odd)) else self

    def scores(self, asked: NDArray[np.float64]) -> Scores:
        """The weighted sum of the three, each in deviations over held-out rows: (m, C) -> (m,); NaN if not finite."""
        if not len(asked) or not np.isfinite(asked).all():
            return np.full(len(asked), math.nan)
        found: Scores = self.weights @ ((self.logs(asked) - self.usual[:, :1]) / self.usual[:, 1:])
        return found

    def pulls(self, asked: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """How much the score rises with the logarithm of each coordinate's distance, and from which side: two (m, C).

        Neighbours stay the same, and so do their densities: the derivative of what is written in ``logs``.
        """
        distances, numbers = self._near(asked)
        gaps = asked[:, None] - self.known[numbers]  # (m, K, C)
        apart = np.square(gaps)
        place = min(self.nearest, distances.shape[1]) - 1
        near = distances[:, place]
        first = apart[:, place] / (np.maximum(near, TINY) * (near + self.calm))[:, None]
        beyond = (distances > self.reach[numbers]) / np.maximum(distances, TINY)
        sparse = np.maximum(distances, self.reach[numbers]).mean(axis=1) + self.calm
        second = np.einsum("mk,mkc->mc", beyond, apart) / (distances.shape[1] * sparse)[:, None]
        whiten, mean = self._centre
        out = asked - mean
        turned = out * np.square(whiten) if whiten.ndim == 1 else out @ whiten @ whiten.T
        squares = out * turned
        far = np.sqrt(np.maximum(squares.sum(axis=1), TINY))
        third = np.maximum(squares, 0) / (far * (far + CALM))[:, None]
        rates = self.weights / self.usual[:, 1]
        return rates[0] * first + rates[1] * second + rates[2] * third, gaps.mean(axis=1)

    def logs(self, asked: NDArray[np.float64]) -> NDArray[np.float64]:
        """Logarithms of distance, outlier factor and distance to the mean, (3, m)."""
        distances, numbers = self._near(asked)
        near = distances[:, min(self.nearest, distances.shape[1]) - 1]
        sparse = np.maximum(distances, self.reach[numbers]).mean(axis=1) + self.calm
        factor = self.density[numbers].mean(axis=1) * sparse
        return np.log(np.stack([near + self.calm, factor, away(asked, *self._centre) + CALM]))

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: what is cached is made again."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @cached_property
    def _near(self) -> Callable[[NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.int64]]]:
        """Distances and numbers of the known rows around others."""
        return neighbours(self.known, min(AROUND, len(self.known) - 1))

    @cached_property
    def _centre(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What distances to the mean are measured by, and the mean."""
        return whitening(self.known, CALM), self.known.mean(axis=0)


def _ranks(normal: Scores, odd: Scores) -> Scores:
    """The share of normal scores (m,) that each of others (k,) is above, a tie counting one half; the mean is AUROC."""
    ordered = np.sort(normal)
    below, there = np.searchsorted(ordered, odd, side="left"), np.searchsorted(ordered, odd, side="right")
    found: Scores = (below + there) / (2 * len(normal))
    return found


def places(fitted: Coded, x: Rows, units: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where rows lie: what the model makes of them, and what that leaves. Scaled rows (n, *D) -> (n, 2 D)."""
    with np.errstate(all="ignore"):  # a diverged model: the caller sees what is not finite
        made = fitted.compared(x, fitted.decode_scaled(fitted.encode_scaled(x)))
        rebuilt = np.asarray(made, dtype=np.float64)
        return np.hstack([part.reshape(len(x), -1) / units for part in (rebuilt, x - rebuilt)])


def blended(places: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """As many places as there are rows, each somewhere between a row and one of its three nearest: (n, C) -> (n, C).

    They lie where the rows lie, as dense as these, and none of them is a row, unless it has a twin (SMOTE: Chawla,
    Bowyer, Hall and Kegelmeyer 2002, JAIR 16). To be no row is no proof against whoever wants to guess at one. They are
    32-bit numbers, as they are saved.

    Examples
    --------
    >>> blended(np.array([[0.0], [1.0], [9.0]]), seed=0).shape
    (3, 1)
    """
    count = min(MATES, len(places) - 1)
    if count < 1:
        return places
    from sklearn.neighbors import NearestNeighbors

    mates = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(places).kneighbors(return_distance=False)
    random = np.random.default_rng(hashed(seed, "between"))
    other = places[mates[np.arange(len(places)), random.integers(0, count, len(places))]]
    part = random.uniform(*APART, (len(places), 1))
    return (places + part * (other - places)).astype(np.float32).astype(np.float64)


def steps(rows: Rows) -> NDArray[np.float64]:
    """What a step in each element of scaled rows (n, *D) counts, (D,): the column's spread; one for all of a picture.

    Columns of a table have units of their own, and one that varies little may tell much. Pixels have one unit, and
    those of an edge that never lights up tell nothing.
    """
    flat = rows.reshape(len(rows), -1)
    spread = flat.std(axis=0, dtype=np.float64)
    size = float(np.sqrt(np.square(spread).mean())) or 1.0
    return np.full(flat.shape[1], size) if rows.ndim > 2 else np.hypot(spread, STILL * size)


def drawn(rows: Rows, seed: int) -> Rows:
    """All rows (n, *D), or a seeded draw of 5,000 of them, fewer where they are wide."""
    most = min(KNOWN, max(AROUND + 1, CELLS // max(1, 2 * math.prod(rows.shape[1:]))))
    if len(rows) <= most:
        return rows
    return rows[np.sort(np.random.default_rng(hashed(seed, "known rows")).permutation(len(rows))[:most])]


def mahalanobis(known: NDArray[np.floating], asked: NDArray[np.floating], ridge: float = RIDGE) -> Scores:
    """Distance of each asked row to the mean of the known ones, in units of their covariance.

    Parameters
    ----------
    known, asked : arrays (n, L), (m, L)
    ridge : float, default 1e-6
        What is added to each variance, as a share of the mean variance, so that elements that stand still have a
        distance too.

    Returns
    -------
    array (m,)
        NaN everywhere if a code is not finite. Above 512 columns only variances count.

    Examples
    --------
    >>> mahalanobis(np.array([[-2.0], [2.0]]), np.array([[4.0]])).round(3).tolist()
    [2.0]
    """
    wide, aims = known.astype(np.float64), asked.astype(np.float64)
    if not (np.isfinite(wide).all() and np.isfinite(aims).all()):
        return np.full(len(asked), math.nan)
    return away(aims, whitening(wide, ridge), wide.mean(axis=0))


def away(asked: NDArray[np.float64], whiten: NDArray[np.float64], mean: NDArray[np.float64]) -> Scores:
    """Distance of rows (m, L) to a mean, in units of what :func:`whitening` gave: (m,)."""
    gap = asked - mean
    found: Scores = np.sqrt(np.square(gap * whiten if whiten.ndim == 1 else gap @ whiten).sum(axis=1))
    return found


def whitening(known: NDArray[np.float64], ridge: float = RIDGE) -> NDArray[np.float64]:
    """What centred rows are multiplied by so that their distances to 0 are :func:`mahalanobis`: (n, L) -> (L, L).

    Above 512 columns (L,), factors of the columns.
    """
    centred = known - known.mean(axis=0)
    if known.shape[1] > WIDEST:
        variance = np.square(centred).mean(axis=0)
        return 1 / np.sqrt(variance + ridge * (float(variance.mean()) or 1.0))
    covariance = centred.T @ centred / len(known)
    size = float(np.trace(covariance)) / len(covariance) or 1.0
    values, axes = np.linalg.eigh(covariance + ridge * size * np.eye(len(covariance)))
    return axes / np.sqrt(np.maximum(values, np.finfo(np.float64).tiny))
