"""Any family as a scikit-learn detector of anomalies, with thresholds that keep a stated rate of false alarms."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from isthmus.data.counts import Counts
from isthmus.errors import BadInput
from isthmus.estimator.network import CLOSED, FitRows, Network, plain, share
from isthmus.explain import explain
from isthmus.model import Recipe
from isthmus.seeds import seed as hashed
from isthmus.ship import artefact, calibrate
from isthmus.ship.deployed import Calibration, Deployed, Scores, tied, untied
from isthmus.ship.reference import Reference
from isthmus.train.plan import Plan

RATE = 0.05
"""False-alarm rate where none is named, as far as there are calibration rows enough for it."""
CALIBRATIONS = ("split", "cross", "jackknife+")


class AnomalyDetector(OutlierMixin, Network):
    """An autoencoder that flags rows unlike those it was fitted on, at a false-alarm rate that holds.

    A row's score is that of the facet anomaly (:mod:`isthmus.scorer`): where the model puts the row among training
    rows, and what it leaves of it. The threshold comes from rows that neither trained the model nor stopped its
    training: a new normal row is flagged with probability at most ``rate``, whatever the model
    (:mod:`isthmus.ship.calibrate`).

    Parameters
    ----------
    recipe : str or Recipe, default "plain"
        A family's name, or a recipe. See :class:`isthmus.Autoencoder`, also for all that is not named here. ``pca`` by
        name keeps fewer components than there are columns: with all of them it would leave nothing of any row.
    rate : float, optional
        The false-alarm rate. By default 0.05, or the least that the calibration rows can tell. A rate that they are too
        few for is refused.
    contamination : float, optional
        By default all rows given to ``fit`` count as normal. Else the share of anomalies among them, at most 0.5.
        Without a ``rate`` so many of the given rows are flagged, the highest scores, and p-values are ranks among them:
        there is no calibration then. With one, that share of the calibration rows, the highest scores, is left out.
    calibration : {"split", "cross", "jackknife+"}, default "split"
        ``split`` keeps a share of the rows for calibration alone. The others train ``folds`` models, each of which
        scores the rows that it did not see, so that no row is spent: a new row's mean score meets all of these
        (``cross``), or its score by each model meets those of that model (``jackknife+``; its proven bound is twice the
        rate).
    aside : float, default 0.25
        Share of the rows that calibrate, of ``split``.
    folds : int, default 5
        Models of ``cross`` and ``jackknife+``.

    Attributes
    ----------
    offset_ : float
        ``decision_function`` is ``score_samples`` less this.
    rate_ : float
        The false-alarm rate of the threshold.
    deployed_ : Deployed
        What ships: network, score and calibration; of ``calibration="split"`` alone.
    n_iter_ : int
        Optimiser steps taken, of all models.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    References
    ----------
    Laxhammar and Falkman (2010); Bates, Candes, Lei, Romano and Sesia (2023), Annals of Statistics 51; Vovk (2015);
    Barber, Candes, Ramdas and Tibshirani (2021), Annals of Statistics 49.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> detector = AnomalyDetector("pca", latents=2, random_state=0).fit(X)
    >>> detector.predict([[5.0, 3.4, 1.5, 0.2], [9.0, 0.1, 0.1, 9.0]])
    array([ 1, -1])
    """

    def __init__(
        self,
        recipe: str | Recipe = "plain",
        *,
        rate: float | None = None,
        contamination: float | None = None,
        calibration: str = "split",
        aside: float = 0.25,
        folds: int = 5,
        latents: int | None = None,
        steps: int = Plan.steps,
        batch: int = Plan.batch,
        learning_rate: float | None = Plan.learning_rate,
        schedule: str = Plan.schedule,
        warmup: float = Plan.warmup,
        clip: float | None = Plan.clip,
        weight_decay: float = Plan.weight_decay,
        check: int = Plan.check,
        patience: int = Plan.patience,
        tolerance: float = Plan.tolerance,
        factor: float = Plan.factor,
        drops: int = Plan.drops,
        stages: str = Plan.stages,
        precision: str = Plan.precision,
        scale: str = "auto",
        shape: tuple[int, ...] | None = None,
        images: bool | None = None,
        validation: float = 0.2,
        device: str = "cpu",
        dtype: str = "float64",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            recipe,
            latents=latents,
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            schedule=schedule,
            warmup=warmup,
            clip=clip,
            weight_decay=weight_decay,
            check=check,
            patience=patience,
            tolerance=tolerance,
            factor=factor,
            drops=drops,
            stages=stages,
            precision=precision,
            scale=scale,
            shape=shape,
            images=images,
            validation=validation,
            device=device,
            dtype=dtype,
            random_state=random_state,
            verbose=verbose,
        )
        self.rate = rate
        self.contamination = contamination
        self.calibration = calibration
        self.aside = aside
        self.folds = folds

    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows (n, n_features), and calibrate; ``y`` is ignored.

        Parameters
        ----------
        X : array or frame (n, n_features)
        y : ignored
        sample_weight : array (n,), optional
            How often each row counts, as if it stood there so often: small whole numbers are counts.

        Raises
        ------
        BadInput
            A ``ValueError``: if a parameter makes no sense, or there are too few calibration rows for the rate.
        """
        self._sensible()
        rows = self._rows(X, sample_weight)
        if len(rows.x) < 3:
            raise BadInput(f"a detector needs three rows or more; got n_samples = {len(rows.x)}")
        random = check_random_state(self.random_state)
        order, number = random.permutation(len(rows.x)), int(random.randint(2**31 - 1))
        whole = self.contamination is not None and self.rate is None
        self._how = "split" if whole else self.calibration
        if self._how != "split":
            return self._folded(rows, order, number)
        normal, rest = np.split(order, [0 if whole else max(1, round(share("aside", self.aside) * len(order)))])
        normal, rest = (normal, rest) if len(rest) > 1 else (normal[:-2], order[-2:])
        if not whole:
            self._enough(len(calibrate.trimmed(np.zeros(len(normal)), self.contamination or 0)))
        made = self._one(rows, rest, number)
        if whole:
            own = self._flagging(self._scores_of(made, rows.x))
        else:
            known = calibrate.trimmed(self._scores_of(made, rows.x[np.sort(normal)]), self.contamination or 0)
            own = Calibration.of(known, f"{len(known):,} of the rows given to fit, kept aside", self._rated(len(known)))
        usual = Reference.of(made, [rows.x], rows.x if whole else rows.x[np.sort(normal)])
        self.deployed_ = replace(made, calibration=own, reference=usual)
        return self._ready([self.deployed_], [own.scores], own.rate)

    def _folded(self, rows: FitRows, order: NDArray[np.int64], number: int) -> Self:
        """Every row is scored by a model that did not see it."""
        count = plain(self.folds)
        if not (isinstance(count, int) and count >= 2):
            raise BadInput(f"folds must be a whole number of at least 2; got {count!r}")
        parts = [np.sort(part) for part in np.array_split(order, min(count, len(order)))]
        sizes = [len(calibrate.trimmed(np.zeros(len(part)), self.contamination or 0)) for part in parts]
        self._enough(sum(sizes))
        models, scores = [], []
        for k, part in enumerate(parts):
            made = self._one(rows, np.setdiff1d(order, part), hashed(number, "fold", k))
            models.append(made)
            scores.append(calibrate.trimmed(self._scores_of(made, rows.x[part]), self.contamination or 0))
        return self._ready(models, scores, self._rated(sum(sizes)))

    def _one(self, rows: FitRows, rest: NDArray[np.int64], number: int) -> Deployed:
        """A model of some of the rows, of which a share stops the training."""
        rest = np.random.default_rng(number).permutation(np.sort(rest))
        held = min(len(rest) - 1, max(1, round(share("validation", self.validation) * len(rest))))
        valid, train = np.sort(rest[:held]), np.sort(rest[held:])
        fitted = self._train(rows, train, valid, number % 2**31)
        self.n_iter_ = fitted.outcome.steps
        return Deployed.of(fitted, rows.x[train], rows.x[valid])

    def _scores_of(self, made: Deployed, x: NDArray[Any]) -> Scores:
        return self.answering(made).scores(x)

    def _flagging(self, scores: Scores) -> Calibration:
        """The rows themselves as calibration, at the rate that flags the share of them that is taken for anomalous."""
        wanted = max(1, round(float(self.contamination or 0) * len(scores)))
        about = f"the {len(scores):,} rows given to fit, of which {wanted:,} are taken for anomalous"
        return Calibration.of(scores, about, (wanted + 1) / (len(scores) + 1))

    def _ready(self, models: Sequence[Deployed], scores: Sequence[Scores], rate: float) -> Self:
        """What is known after training."""
        pooled = np.sort(np.concatenate(scores))
        self.rate_, self._held = rate, [np.sort(part) for part in scores]
        self._above = calibrate.most(len(pooled), rate)
        self._answers = [self.answering(one) for one in models]
        edge = float(pooled[len(pooled) - 1 - self._above])
        self.offset_ = -edge if self._how == "jackknife+" else -untied(edge)
        return self

    def decision_function(self, X: ArrayLike) -> Scores:
        """How far each row is from being flagged, (n,): below 0 it is."""
        return self.score_samples(X) - self.offset_

    def score_samples(self, X: ArrayLike) -> Scores:
        """How normal each row is, (n,): minus its score, or the mean of those by the models of ``cross``.

        Of ``jackknife+``, where no single score decides: how far it is from being flagged, plus ``offset_``.
        """
        asked = self._asked_scores(X)
        if self._how != "jackknife+":
            return -np.mean(asked, axis=0)
        # Flagged are rows with at most `above` held-out scores as high as theirs: the next higher one decides.
        gaps = [held - tied(one)[:, None] for held, one in zip(self._held, asked, strict=True)]
        every = np.concatenate(gaps, axis=1)
        place = every.shape[1] - 1 - self._above
        return np.partition(every, place, axis=1)[:, place] + self.offset_

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """-1 for rows that are flagged, 1 for others, (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def p_values(self, X: ArrayLike) -> Scores:
        """How rare so odd a row is among normal ones, (n,), in (0, 1]: rows of at most ``rate_`` are flagged.

        For batches see :meth:`discoveries` and :meth:`false_share`.
        """
        asked = self._asked_scores(X)
        if self._how == "split":
            return calibrate.p_values(self._held[0], tied(asked[0]))
        plus = self._how == "jackknife+"
        met = [tied(one) for one in asked] if plus else [tied(np.mean(asked, axis=0))] * len(asked)
        return calibrate.cross_p_values(self._held, met, plus=plus)

    def discoveries(self, X: ArrayLike, share: float = 0.1) -> NDArray[np.int64]:
        """-1 for rows of a batch that are flagged, with a stated share of false flags on average at most, else 1, (n,).

        Benjamini and Hochberg (1995), of conformal p-values (Bates et al. 2023). The more anomalies there are, the more
        rows are flagged; ``rate`` has no part in it.

        Parameters
        ----------
        X : array or frame (n, n_features)
        share : float, default 0.1
        """
        return np.where(calibrate.discoveries(self.p_values(X), share), -1, 1)

    def false_share(self, X: ArrayLike, rate: float | None = None, confidence: float = 0.95) -> calibrate.Bound:
        """How many of the flags in a batch are false at most, for whatever rate was picked after looking.

        Parameters
        ----------
        X : array or frame (n, n_features)
        rate : float, optional
            Rows of p-values up to here are flagged; by default that of the threshold.
        confidence : float, default 0.95
            With this probability none of the bounds, for all rates at once, is too small (Gazin et al. 2024).

        Raises
        ------
        BadInput
            Of ``cross`` and ``jackknife+``, whose p-values have no such law.
        """
        p = self.p_values(X)
        self._split_alone("a bound on false flags")
        return calibrate.false_share(p, self.rate_ if rate is None else rate, len(self._held[0]), confidence)

    def anomalous_share(self, X: ArrayLike, confidence: float = 0.95) -> calibrate.Contamination:
        """How many of some rows are anomalous, with its uncertainty (Storey 2002).

        Parameters
        ----------
        X : array or frame (n, n_features)
        confidence : float, default 0.95

        Raises
        ------
        BadInput
            Of ``cross`` and ``jackknife+``, whose scores are not of one model.
        """
        asked = self._asked_scores(X)
        self._split_alone("a share of anomalies")
        return calibrate.contamination(self._held[0], tied(asked[0]), confidence=confidence)

    def _split_alone(self, what: str) -> None:
        if self._how != "split":
            raise BadInput(f"{what} needs calibration rows of its own: fit with calibration='split', "
                           f"not {self._how!r}")  # fmt: skip

    def explain(self, X: ArrayLike) -> NDArray[np.float64]:
        """What each column makes of each row's score, (n, n_features): see :func:`isthmus.explain.explain`.

        The sizes of a row sum to 1; above 0 is above what the model expects. Of several models the mean.
        """
        rows = self._asked(X)
        found = np.mean([explain(one, rows) for one in self._answers], axis=0)
        return found.reshape(len(found), -1)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Save what ships as a model folder, or as a file that ends in ``.isthmus``.

        ``isthmus score`` and ``isthmus flag`` take both.

        Raises
        ------
        BadInput
            If there are several models: a folder holds one.
        """
        check_is_fitted(self)
        if self._how != "split":
            raise BadInput(f"calibration={self.calibration!r} has {len(self._answers)} models, and a folder holds one: "
                           "fit with calibration='split'")  # fmt: skip
        return artefact.save(self.deployed_, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """A detector from a model folder or file that holds a calibration, whoever wrote it.

        Raises
        ------
        BadInput
            If there is no such model.
        """
        deployed = artefact.load(path)
        own, made = deployed.needed(), cls(deployed.recipe)
        made.deployed_, made.n_iter_, made._how = deployed, 0, "split"
        made._like, made._counts = deployed.fields or None, isinstance(deployed.layout, Counts)
        made._shape = deployed.shape
        made.n_features_in_ = math.prod(deployed.shape)
        if deployed.columns:
            made.feature_names_in_ = np.array(deployed.columns, dtype=object)
        return made._ready([deployed], [own.scores], own.rate)

    def _asked_scores(self, X: Any) -> list[Scores]:
        """Scores of new rows by each model."""
        rows = self._asked(X)
        return [one.scores(rows) for one in self._answers]

    def _recipe(self) -> Recipe:
        recipe = super()._recipe()
        if isinstance(self.recipe, str) and self.latents is None and recipe.family in CLOSED:
            recipe.set_params(latents=max(1, min(recipe.latents, self.n_features_in_ - 1)))
        return recipe

    def _sensible(self) -> None:
        """Refuse parameters that make no sense, before any work."""
        if self.calibration not in CALIBRATIONS:
            raise BadInput(f"calibration must be one of {', '.join(CALIBRATIONS)}; got {self.calibration!r}")
        own = self.contamination
        if own is not None and not (isinstance(own, numbers.Real) and 0 < float(own) <= 0.5):
            raise BadInput(f"contamination must be above 0 and at most 0.5; got {own!r}")

    def _rated(self, rows: int) -> float:
        """The rate, or the usual one as far as so many calibration rows can tell it."""
        return max(RATE, 1 / (rows + 1)) if self.rate is None else float(self.rate)

    def _enough(self, rows: int) -> None:
        calibrate.enough(rows, self._rated(rows))
