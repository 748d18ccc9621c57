"""A model as it ships: what answers rows, how odd a row is, and how rare that is among normal rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isthmus.data.read import steps_of
from isthmus.data.windows import Order, begun, per_step, seen
from isthmus.errors import BadInput
from isthmus.imputer import Imputer, Reach
from isthmus.rivals.rival import Among, Drawing
from isthmus.sampler import Draws, Sampler
from isthmus.scorer import Crowd, Scorer
from isthmus.seeds import seed as hashed
from isthmus.ship import calibrate
from isthmus.ship.manifest import Origin
from isthmus.ship.reference import Reference
from isthmus.train.inference import Inference

Scores = NDArray[np.float64]

TIE = 1e-5
"""Scores that differ by less, as a share of the larger of them and 1, tie. A row's score differs in its last bits with
the rows beside it, the processor, and whoever runs the network; a row on the edge is flagged everywhere or nowhere.
"""
AT_ONCE = 4096
"""Windows that are scored at once."""
HIDDEN = 500
"""Cells of each column that are hidden to tell how far off what is filled in is."""
RATE = 0.01
"""False-alarm rate where nobody names one, as far as there are calibration rows enough for it."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Scores of normal rows that neither trained the model, nor stopped its training, nor chose it.

    Examples
    --------
    >>> Calibration.of(np.arange(19.0), "19 rows").rate
    0.05
    """

    scores: Scores
    """(n,), sorted."""
    rate: float
    """The false-alarm rate of the threshold that ships."""
    about: str
    """Which rows those were, in words."""

    @classmethod
    def of(cls, scores: ArrayLike, about: str, rate: float | None = None) -> Self:
        """From scores (n,) in any order; by default at a rate of 0.01, or the least that so many rows can tell."""
        known = np.sort(np.asarray(scores, np.float64))
        if not len(known) or not np.isfinite(known).all():
            raise BadInput("calibration needs finite scores of at least one row; leave out rows without a score")
        made = cls(known, max(RATE, 1 / (len(known) + 1)) if rate is None else float(rate), about)
        calibrate.enough(len(known), made.rate)
        return made

    @property
    def threshold(self) -> float:
        """The score above which a row is flagged, by more than a tie."""
        return calibrate.threshold(self.scores, self.rate)

    def p_values(self, scores: ArrayLike) -> Scores:
        """How rare so high a score is among normal rows, (N,) -> (N,); what ties counts as higher."""
        return calibrate.p_values(self.scores, tied(scores))


def tied(scores: ArrayLike) -> Scores:
    """Scores (N,) as they are compared with others: lower by as much as ties with them."""
    found = np.asarray(scores, np.float64)
    return found - TIE * np.maximum(1, np.abs(found))


def untied(score: float) -> float:
    """The score that :func:`tied` takes to this one.

    Examples
    --------
    >>> [float(np.round(tied(untied(one)), 9)) for one in (-7.0, -1.0, 0.5, 1.0, 7.0)]
    [-7.0, -1.0, 0.5, 1.0, 7.0]
    """
    return score / (1 - TIE) if score >= 1 - TIE else score / (1 + TIE) if score <= -1 - TIE else score + TIE


@dataclass(frozen=True, repr=False, kw_only=True)
class Deployed(Inference):
    """A trained model, or a rival of autoencoders, ready for use; made by :meth:`of`, saved and loaded by ``ship``.

    It holds no plan, no history and no row of the training data.
    """

    crowd: Crowd | None = None
    """Where training rows lie, by places between them; None where the network's own score is all there is."""
    units: Scores | None = None
    """What a step in each element counts beside others, (D,); given with ``crowd``."""
    calibration: Calibration | None = None
    reference: Reference | None = None
    """What normal rows look like, in counts."""
    reach: Mapping[str, Reach] | None = None
    """How far off what it fills in is, by column, among rows that did not train it: intervals of gaps follow."""
    origin: Origin | None = None
    """For what it was chosen, from which data, and what was measured."""
    draws: Draws | None = None
    """How new rows are drawn, where it was chosen for that; None: from the family's prior."""

    @classmethod
    def of(
        cls,
        fitted: Inference,
        train: ArrayLike | None = None,
        held: ArrayLike | None = None,
        normal: ArrayLike | None = None,
        *,
        first: NDArray[np.int64] | None = None,
        odd: ArrayLike | None = None,
        seed: int = 0,
        rate: float | None = None,
        about: str = "",
    ) -> Self:
        """What ships of a fitted model.

        Parameters
        ----------
        fitted : Inference
            What :func:`isthmus.train.fitted.fit` gave.
        train, held : arrays (n, *D), (m, *D), optional
            Normal rows, those that it was trained on and others, in the units of the data: from them comes the score
            (:class:`isthmus.scorer.Scorer`). Without them it is the squared error per element.
        normal : array (k, *D), optional
            Calibration rows: normal ones of their own. Without them there are scores, but no p-values and flags. Their
            codes and scores, and the columns of all rows given, are the reference that new rows are compared with.
        first : array (k,), optional
            Where these are windows of a series, the first step of each: steps are calibrated then.
        odd : array (j, *D), optional
            Anomalies that are known: the score is the one that tells them best (:meth:`isthmus.scorer.Crowd.told`).
        seed : int, default 0
            Of the places between training rows.
        rate : float, optional
            False-alarm rate of the threshold that ships; by default 0.01, or the least that so many rows can tell.
        about : str
            Which rows the calibration rows are.

        Examples
        --------
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> x = np.random.default_rng(0).normal(size=(500, 4))
        >>> model = fit(named("pca").set_params(latents=2), x[:200], valid=x[200:300])
        >>> ships = Deployed.of(model, x[:200], x[200:300], x[300:])
        >>> bool(ships.p_values(9 * x[:1])[0] <= 0.01), ships.calibration.rate
        (True, 0.01)
        """
        parts = {name: getattr(fitted, name) for name in Inference.__dataclass_fields__}
        made = cls(**parts)
        if train is not None and held is not None and made.target_layout is None:
            known = None if odd is None else made.scaled(odd)
            scorer = Scorer.fit(made, made.scaled(train), made.scaled(held), seed, odd=known, between=True)
            made = cls(**parts, crowd=scorer.crowd, units=None if scorer.crowd is None else scorer.units)
        if normal is None:
            return made
        own = made.calibrated(normal, first=first, rate=rate, about=about)
        own = own.reaching(normal) if own.fills else own
        if made.series is not None:  # windows that overlap are no draws of rows, which a reference is of
            return own
        return replace(own, reference=Reference.of(made, [x for x in (train, held, normal) if x is not None], normal))

    def calibrated(
        self,
        normal: ArrayLike,
        *,
        first: NDArray[np.int64] | None = None,
        rate: float | None = None,
        about: str = "",
    ) -> Self:
        """The same, with calibration rows (k, *D) of its own; of windows of a series the first step of each as well."""
        scores = self.scores(normal)
        if self.series is not None:
            if first is None or not len(first):
                raise BadInput("a model of windows is calibrated by steps: give the first step of each window")
            scores = per_step(scores, first - first.min(), self.series.length, int(np.ptp(first)) + self.series.length)
            scores = scores[~np.isnan(scores)]
        return replace(self, calibration=Calibration.of(scores, about or f"{len(scores):,} rows", rate))

    def reaching(self, held: Any) -> Self:
        """The same, with what intervals of gaps are told by: known cells of rows that did not train it are hidden.

        Parameters
        ----------
        held : array (n, F), or frame

        Examples
        --------
        >>> from isthmus.data.read import read
        >>> from isthmus.families import named
        >>> from isthmus.train.fitted import fit
        >>> rows = np.random.default_rng(0).normal(size=(400, 1)) * [[1.0, 2.0]]
        >>> rows[:9, 0] = np.nan
        >>> table = read(rows)
        >>> model = fit(named("pca").set_params(latents=1), table.x[:300], fields=table.fields, columns=table.columns)
        >>> list(Deployed.of(model).reaching(table.x[300:]).reach)
        ['x0', 'x1']
        """
        return replace(self, reach=Imputer.of(self, held, draws=HIDDEN).reach)

    def scores(self, x: ArrayLike) -> Scores:
        """How unlike the training rows each row is, (N, *D) -> (N,); high means anomalous."""
        return self.score_laid_out(self.scaled(x))

    def score_laid_out(self, x: NDArray[np.float32]) -> Scores:
        """As :meth:`scores`, for rows that are scaled already."""
        if self.target_layout is not None:
            raise BadInput("a model with a target of its own does not score rows; take errors(x, target)")
        if self.crowd is None or self.units is None:
            return self.score_scaled(x)
        return Scorer(self, self.crowd, self.units).scores(x)

    def step_scores(self, x: Any) -> Scores:
        """How unlike the training each step of a series is, (S,): the mean score of the windows that hold it.

        Parameters
        ----------
        x : array (S, C), frame or file
            Steps; in a table the columns of time and series are looked for as in training. A step with a missing value,
            or in a run shorter than a window, has the score NaN.

        Raises
        ------
        BadInput
            If the model was not trained on windows of a series, or these are no steps of such a series.
        """
        if self.series is None:
            raise BadInput(
                "this model was not trained on windows of a series, so it has no scores of steps: take scores"
            )
        return self.ordered_scores(*steps_of(x, self.series))

    def ordered_scores(self, cells: NDArray[np.float64], order: Order) -> Scores:
        """The same of channels (S, C) whose order is known."""
        assert self.series is not None
        length, stride = self.series.length, self.series.stride
        first = begun(order.stretches, length, stride, ends=True)
        out = np.full(len(cells), np.nan)
        if len(first):
            steps = np.nan_to_num(cells[order.rows]).astype(np.float32)
            parts = (first[i : i + AT_ONCE] for i in range(0, len(first), AT_ONCE))
            scores = np.concatenate([self.scores(seen(steps, part, length)) for part in parts])
            out[order.rows] = per_step(scores, first, length, len(cells))
        return out

    def p_values(self, x: ArrayLike) -> Scores:
        """How rare so high a score is among normal rows, (N, *D) -> (N,): see :mod:`isthmus.ship.calibrate`.

        Of a model of windows, ``x`` are steps, as in :meth:`step_scores`.
        """
        return self.needed().p_values(self.scores(x) if self.series is None else self.step_scores(x))

    def flags(self, x: ArrayLike, rate: float | None = None) -> NDArray[np.bool_]:
        """Which rows are flagged, at a false-alarm rate, by default that of the threshold that ships.

        Of a model of windows, ``x`` are steps, as in :meth:`step_scores`.
        """
        own = self.needed()
        wanted = own.rate if rate is None else rate
        calibrate.enough(len(own.scores), wanted)
        return calibrate.flags(self.p_values(x), wanted)

    def sample(self, n: int, seed: int = 0) -> NDArray[Any]:
        """``n`` new rows in the units of the data, (n, *D); the same for the same seed.

        They are drawn as it was measured, where the model was chosen for that, else from the family's prior.

        Raises
        ------
        BadInput
            If the family has no prior, and the model was not chosen to make rows.
        """
        if isinstance(self.model, Drawing):
            rows = self.model.rows(n, hashed(seed, "sample"), self.layout)
            return self.model.exact(self.layout.invert(rows), self.layout)
        if self.draws is not None:
            return self.draws.of(self).draw(n, seed)
        if self.prior(1, 0) is None:
            raise BadInput(
                f"{self.recipe.family} has no prior to draw from; take it from a study for its new rows (isthmus take "
                "DIR FAMILY --for generation), or fit a density to codes in Python (isthmus.sampler.Sampler.fit)"
            )
        return Sampler.fit(self, kind="prior").draw(n, seed)

    @property
    def places(self) -> int:
        """Places between training rows that it keeps to compare rows with; 0 if it compares with none."""
        own = self.recipe.places if isinstance(self.recipe, Among) else 0
        return own if self.crowd is None else len(self.crowd.known)

    def needed(self) -> Calibration:
        """The calibration.

        Raises
        ------
        BadInput
            If there is none.
        """
        if self.calibration is None:
            raise BadInput(
                "this model has no calibration rows, so that no score can be called rare; give normal rows that it was "
                "not trained on: .calibrated(rows) in Python, --against FILE in the shell"
            )
        return self.calibration
