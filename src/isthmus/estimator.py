"""The scikit-learn face: any family as a transformer, or under labels, in pipelines, grid searches and frames."""

from __future__ import annotations

import copy
import dataclasses
import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    clone,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from isthmus.data.axes import doubts, pictures
from isthmus.data.read import read
from isthmus.data.scale import FARTHEST, Scaler
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.model import Model, Recipe
from isthmus.train.cut import advised
from isthmus.train.finetune import Finetuned, finetune
from isthmus.train.fitted import Fitted, fit, mixed
from isthmus.train.loop import Check, Outcome
from isthmus.train.plan import Plan

BLOCK = 4096  # rows encoded at a time: bounds memory, whatever comes in
PLAN = tuple(Plan.__dataclass_fields__)


class Autoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An autoencoder as a scikit-learn transformer: ``transform`` gives the code, ``inverse_transform`` the data.

    Parameters
    ----------
    recipe : str or Recipe, default "plain"
        A family's name, or a recipe with its hyper-parameters. They are reachable as ``recipe__strength``, also when
        a name was given.
    latents : int, optional
        Width of the code; None leaves it to the recipe.
    steps, batch, learning_rate, schedule, warmup, clip, weight_decay, check, patience, tolerance, factor, drops,
    stages
        How to train: the fields of :class:`isthmus.train.plan.Plan`, with its defaults.
    scale : {"auto", "standard", "unit", "none"}, default "auto"
        Scaling of the columns, fitted on the training rows and undone by ``inverse_transform``.
    shape : tuple of int, optional
        What the columns of a row are put in the shape of, such as ``(28, 28)`` for a convolutional network behind a
        scaler that wants flat rows. Rows (n, *shape) may be given as they are, and come back so from
        ``inverse_transform``; to the rest of scikit-learn they are their columns.
    images : bool, optional
        Whether rows of two axes (three, with channels last) are pictures, whose elements share one scale; by default
        where it is plausible, and a warning says where it is not. Columns of a table are not looked at, as a study
        does: here they may come from other steps of a pipeline.
    validation : float, default 0.2
        Share of the rows that early stopping looks at and training does not.
    random_state : int, RandomState or None, default None
        Fixes the validation rows, the initial weights, the order of the rows and all noise. torch's global random
        state, thread count and default dtype are left alone.
    verbose : int, default 0
        1 prints a line at every check.

    Attributes
    ----------
    fitted_ : Fitted
        Model, recipe, scaler, plan and outcome; what :func:`isthmus.save` takes.
    mean_ : ndarray of shape (n_features_in_,)
        Mean of the rows given to ``fit``: the reconstruction that ``score`` counts as zero. Of columns of several
        kinds, that of the elements that the network takes.
    n_iter_ : int
        Optimiser steps taken; 0 for a family in closed form.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Notes
    -----
    A frame with columns of texts, dates or flags, or with gaps, is taken as it is: see ``docs/data.md``.

    Codes and reconstructions have the dtype of their input. Training is in float32; float64 input is encoded in
    float64, so that a row's code does not depend on the rows beside it beyond 1e-15.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X = load_iris().data
    >>> codes = Autoencoder("pca", latents=2, random_state=0).fit_transform(X)
    >>> codes.shape
    (150, 2)
    """

    def __init__(
        self,
        recipe: str | Recipe = "plain",
        *,
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
        scale: str = "auto",
        shape: tuple[int, ...] | None = None,
        images: bool | None = None,
        validation: float = 0.2,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.recipe = recipe
        self.latents = latents
        self.steps = steps
        self.batch = batch
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.warmup = warmup
        self.clip = clip
        self.weight_decay = weight_decay
        self.check = check
        self.patience = patience
        self.tolerance = tolerance
        self.factor = factor
        self.drops = drops
        self.stages = stages
        self.scale = scale
        self.shape = shape
        self.images = images
        self.validation = validation
        self.random_state = random_state
        self.verbose = verbose

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``recipe__field`` works on a family's name too, which becomes its default recipe first."""
        recipe = params.get("recipe", self.recipe)
        if isinstance(recipe, str) and any(name.startswith("recipe__") for name in params):
            params["recipe"] = named(recipe)
        return super().set_params(**params)

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Train on the rows of ``X`` (n, n_features); ``y`` is ignored.

        Raises
        ------
        BadInput
            A ``ValueError``: if a parameter makes no sense, or ``X`` cannot be used as given.
        """
        if mixed(X):
            return self._fit_table(X)
        self._like = None
        given = _axes(X)
        X = np.asarray(validate_data(self, flat(X), dtype=[np.float64, np.float32], ensure_min_samples=2))
        self._axes, self._shape = given, self._wanted(given, X.shape[1])
        X = X.reshape(-1, *self._shape)
        images = pictures(X) if self.images is None else _plain(self.images)
        if self.images is None and len(given) > 1 and (doubt := doubts(X, images)) is not None:
            warnings.warn(doubt, stacklevel=2)
        train, valid, number = self._split(len(X))
        plan = Plan(**{name: _plain(getattr(self, name)) for name in PLAN})
        self.fitted_: Fitted = fit(
            self._recipe(),
            X[train],
            valid=X[valid],
            plan=plan,
            seed=number,
            scale=self.scale,
            images=images,
            columns=getattr(self, "feature_names_in_", ()),
            watch=_say if self.verbose else None,
        )
        self._precise = _Precise(self.fitted_.model)
        self.mean_ = X.mean(axis=0, dtype=np.float64).ravel()
        return self._fitted(plan)

    def _fit_table(self, X: Any) -> Self:
        """Train on a frame whose columns are of several kinds, or have gaps."""
        for name, usual in (("scale", "auto"), ("shape", None), ("images", None)):
            if getattr(self, name) != usual:
                raise BadInput(f"{name} is for rows of numbers; leave it at {usual!r} for columns of several kinds")
        data = read(X)
        data.warn()
        train, valid, number = self._split(len(data.x))
        plan = Plan(**{name: _plain(getattr(self, name)) for name in PLAN})
        self.fitted_ = fit(
            self._recipe(),
            data.x[train],
            valid=data.x[valid],
            plan=plan,
            seed=number,
            images=False,
            columns=data.columns,
            fields=data.fields,
            watch=_say if self.verbose else None,
        )
        self._like = X[:0]
        self.feature_names_in_, self.n_features_in_ = np.array(X.columns, dtype=object), len(X.columns)
        self.mean_ = self.fitted_.layout.apply(data.x).mean(axis=0, dtype=np.float64)
        return self._fitted(plan)

    def _fitted(self, plan: Plan) -> Self:
        """What is known after training, whatever was trained on."""
        self.n_iter_ = self.fitted_.outcome.steps
        self._n_features_out = self.fitted_.model.latents
        if self.fitted_.outcome.status in {"cut", "diverged"}:
            warnings.warn(_advice(self.fitted_.outcome, plan), ConvergenceWarning, stacklevel=3)
        return self

    def transform(self, X: ArrayLike) -> NDArray[Any]:
        """The codes of rows: (n, n_features) -> (n, latents)."""
        check_is_fitted(self)
        if self._like is not None:
            return self.fitted_.encode(X)
        return self._encode(self._scaled(self._rows(X)))

    def inverse_transform(self, X: ArrayLike) -> NDArray[Any]:
        """The rows that codes stand for, in the units of the data: (n, latents) -> (n, n_features).

        A frame of the kind that was given to ``fit``, where its columns are of several kinds or have gaps.
        """
        check_is_fitted(self)
        Z = np.asarray(check_array(X, dtype=[np.float64, np.float32]))
        if Z.shape[1] != self._n_features_out:
            raise BadInput(f"X has {Z.shape[1]} columns, but the code of this autoencoder has {self._n_features_out}")
        if self._like is not None:
            found: Any = self.fitted_.frame(self.fitted_.decode(Z), self._like)
            return found
        scaler, most = self._scaler, np.finfo(Z.dtype).max
        rows = self._decode(Z)
        rows = np.clip(flat(rows) * scaler.scale + scaler.shift, -most, most).astype(Z.dtype)
        return rows.reshape(-1, *self._axes)

    def score_samples(self, X: ArrayLike) -> NDArray[Any]:
        """How like the training rows each row is, (n,): minus its squared error per element, in scaled units, or minus
        the score of a family that has its own (``svdd``).

        Higher is more normal, as in scikit-learn's outlier detectors.
        """
        check_is_fitted(self)
        if self._like is not None:
            return -self.fitted_.score_scaled(self.fitted_.scaled(X))
        scaled = self._scaled(self._rows(X))
        return -_in_blocks(self._model(scaled.dtype).score, scaled)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Explained variance about the training mean, in scaled units: 1 is perfect, 0 is as good as the mean.

        If no row differs from the training mean, a perfect reconstruction scores 1 and any other 0.
        """
        check_is_fitted(self)
        if self._like is not None:
            rows, fitted = self.fitted_.scaled(X), self.fitted_
            made = fitted.decode_scaled(fitted.encode_scaled(rows))
            means = np.broadcast_to(self.mean_, rows.shape).astype(np.float32)
            error, spread = (float(np.square(rows - fitted.compared(rows, one)).sum()) for one in (made, means))
        else:
            scaled = self._scaled(self._rows(X))
            error = float(self._squares(scaled).sum())
            spread = float(np.square(scaled - self._standard(self.mean_[None])).sum())
        if spread == 0:
            return float(error == 0)
        return 1 - error / spread

    def impute(self, X: Any) -> Any:
        """A frame with its gaps filled in by what the model makes of the rest of each row; all else as it is.

        Only where ``fit`` saw a frame with gaps, or with columns of several kinds.
        """
        check_is_fitted(self)
        return self.fitted_.impute(X)

    def _recipe(self) -> Recipe:
        """A fresh recipe: what ``fit`` does must not show in the parameters."""
        if isinstance(self.recipe, str):
            recipe = named(self.recipe)
        elif isinstance(self.recipe, Recipe):
            recipe = clone(self.recipe)
        else:
            raise BadInput(f"recipe must be the name of a family or a Recipe; got {self.recipe!r}")
        if self.latents is not None:
            recipe.set_params(latents=self.latents)
        return recipe.set_params(**{name: _plain(value) for name, value in recipe.get_params(deep=False).items()})

    def _split(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Row numbers for training and for early stopping, and the seed of all else."""
        if not (isinstance(self.validation, numbers.Real) and 0 < self.validation < 1):
            raise BadInput(f"validation must lie between 0 and 1, both excluded; got {self.validation!r}")
        random = check_random_state(self.random_state)
        order = random.permutation(rows)
        aside = min(rows - 1, max(1, round(self.validation * rows)))
        return np.sort(order[aside:]), np.sort(order[:aside]), int(random.randint(2**31 - 1))

    def _wanted(self, given: tuple[int, ...], columns: int) -> tuple[int, ...]:
        """The shape of a row as the network sees it."""
        if self.shape is None:
            return given if len(given) > 1 else (columns,)
        shape = tuple(int(side) for side in self.shape)
        if math.prod(shape) != columns or (len(given) > 1 and given != shape):
            raise BadInput(f"shape={shape} does not fit rows of shape {given}; give the shape of one row")
        return shape

    def _rows(self, X: ArrayLike) -> NDArray[Any]:
        if len(axes := _axes(X)) > 1 and axes != self._shape:
            raise BadInput(f"rows must have shape {self._shape}, as in fit; got {axes}")
        return np.asarray(validate_data(self, flat(X), dtype=[np.float64, np.float32], reset=False))

    def _scaled(self, X: NDArray[Any]) -> NDArray[Any]:
        """Flat rows as the network takes them; a warning if they hardly are in the unit of the training rows."""
        if (doubt := self.fitted_.layout.astray(X, self.fitted_.head == "bernoulli")) is not None:
            warnings.warn(doubt, stacklevel=3)
        return self._standard(X)

    def _standard(self, X: NDArray[Any]) -> NDArray[Any]:
        """As the scaler does it, but in the dtype of ``X`` rather than in float32."""
        scaler = self._scaler
        scaled = np.clip((X - scaler.shift) / scaler.scale, -FARTHEST, FARTHEST).astype(X.dtype)
        return scaled.reshape(-1, *self._shape)

    @property
    def _scaler(self) -> Scaler:
        scaler = self.fitted_.layout
        assert isinstance(scaler, Scaler)  # arrays of numbers come in, and nothing else
        return scaler

    def _squares(self, scaled: NDArray[Any]) -> NDArray[Any]:
        return np.square(self._decode(self._encode(scaled)) - scaled)

    def _encode(self, scaled: NDArray[Any]) -> NDArray[Any]:
        return _in_blocks(self._model(scaled.dtype).encode, scaled)

    def _decode(self, codes: NDArray[Any]) -> NDArray[Any]:
        return _in_blocks(self._model(codes.dtype).decode, codes)

    def _model(self, dtype: np.dtype[Any]) -> Model:
        if self._precise.model is not self.fitted_.model:
            self._precise = _Precise(self.fitted_.model)
        return self._precise(dtype)


class AutoencoderClassifier(ClassifierMixin, BaseEstimator):
    """An autoencoder trained on all rows, then fine-tuned on the labelled ones, as a scikit-learn classifier.

    Rows whose label is -1 (where labels are numbers) have none, as in scikit-learn's semi-supervised estimators: the
    autoencoder learns from them, the labels are learnt from the others. Beside one other label only, -1 is a label too.

    Parameters
    ----------
    autoencoder : Autoencoder, optional
        What is trained on all rows first, by default ``Autoencoder()``; reachable as ``autoencoder__latents``. Its
        plan serves for the fine-tuning too, but for steps, learning rate and stages.
    frozen : bool, default False
        Whether the encoder stays as it is, and only the linear layer on its code learns from the labels.
    corrupt : bool, default False
        Whether rows are corrupted in the fine-tuning as the recipe says, as they are before.
    steps : int, default 2000
        Most optimiser steps of the fine-tuning.
    learning_rate : float, default 3e-3
        Of the fine-tuning.
    random_state : int, RandomState or None, default None
        Fixes the fine-tuning, and the autoencoder if that has none of its own.

    Attributes
    ----------
    autoencoder_ : Autoencoder
        As it was before the fine-tuning.
    finetuned_ : Finetuned
        The network with its labels.
    classes_ : ndarray of shape (K,)
        The labels.
    n_iter_ : int
        Optimiser steps of the fine-tuning.
    n_features_in_, feature_names_in_
        As everywhere in scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> y[::2] = -1
    >>> model = AutoencoderClassifier(Autoencoder(latents=4, steps=200), learning_rate=0.01, random_state=0)
    >>> model.fit(X, y).predict(X[:2])
    array([0, 0])
    """

    def __init__(
        self,
        autoencoder: Autoencoder | None = None,
        *,
        frozen: bool = False,
        corrupt: bool = False,
        steps: int = 2000,
        learning_rate: float = 3e-3,
        random_state: Any = None,
    ) -> None:
        self.autoencoder = autoencoder
        self.frozen = frozen
        self.corrupt = corrupt
        self.steps = steps
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Train on the rows of ``X`` (n, n_features) and on those labels ``y`` (n,) that are not -1.

        Raises
        ------
        BadInput
            A ``ValueError``: if a parameter makes no sense, or no row has a label.
        """
        rows, labels = validate_data(self, flat(X), y, dtype=[np.float64, np.float32], ensure_min_samples=2)
        check_classification_targets(labels)
        known = _known(labels)
        random = check_random_state(self.random_state)
        base = Autoencoder() if self.autoencoder is None else clone(self.autoencoder)
        seeds = [int(s) for s in random.randint(2**31 - 1, size=2)]
        if base.random_state is None:
            base.set_params(random_state=seeds[0])
        self.autoencoder_ = base.fit(X)
        self.classes_, found = np.unique(labels[known], return_inverse=True)
        fitted = self.autoencoder_.fitted_
        rate, steps = _plain(self.learning_rate), _plain(self.steps)
        self.finetuned_: Finetuned = finetune(
            fitted,
            rows[known].reshape(-1, *fitted.shape),
            found,
            classes=len(self.classes_),
            plan=dataclasses.replace(fitted.plan, steps=steps, learning_rate=rate, stages="together"),
            seed=seeds[1],
            frozen=self.frozen,
            corrupt=self.corrupt,
        )
        self._precise = _Precise(self.finetuned_.model)
        outcome = self.finetuned_.outcome
        self.n_iter_ = outcome.steps
        if outcome.status in {"cut", "diverged"}:
            warnings.warn("fine-tuning: " + _advice(outcome, self.finetuned_.plan), ConvergenceWarning, stacklevel=2)
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """The probability of each label: (n, n_features) -> (n, K), in the order of ``classes_``."""
        check_is_fitted(self)
        rows = np.asarray(validate_data(self, flat(X), dtype=[np.float64, np.float32], reset=False))
        return _in_blocks(self._precise(rows.dtype).reconstruct, self.autoencoder_._scaled(rows))

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The most probable label of each row: (n, n_features) -> (n,)."""
        numbers = self.predict_proba(X).argmax(1)
        return self.classes_[numbers]


def _axes(X: Any) -> tuple[int, ...]:
    """The shape of one row, as far as ``X`` tells."""
    return tuple(getattr(X, "shape", ()))[1:] if getattr(X, "ndim", 0) > 1 else ()


def flat(X: Any) -> Any:
    """Rows (n, *D) as (n, columns); what has two axes, or none that it tells, as it is."""
    return X.reshape(len(X), -1) if len(_axes(X)) > 1 else X


def _known(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have a label: all but those of -1, unless that would leave a single label and nothing to tell."""
    known = np.asarray(labels != -1) if labels.dtype.kind in "iuf" else np.ones(len(labels), bool)
    if not known.any():
        raise BadInput("no row has a label: every y is -1")
    return known if len(np.unique(labels[known])) > 1 else np.ones(len(labels), bool)


class _Precise:
    """A fitted model in both precisions: in float64 a row's code does not depend on its neighbours.

    The float64 one is made when it is first asked for, and again where the weights were changed in place since; it does
    not travel in a pickle.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self._double: Model | None = None
        self._made_at: tuple[int, ...] = ()

    def __call__(self, dtype: np.dtype[Any]) -> Model:
        if dtype != np.float64:
            return self.model
        now = tuple(t._version for t in (*self.model.parameters(), *self.model.buffers()))
        if self._double is None or now != self._made_at:
            self._double, self._made_at = copy.deepcopy(self.model).double(), now
        return self._double

    def __getstate__(self) -> dict[str, Any]:
        return {"model": self.model, "_double": None, "_made_at": ()}


@torch.no_grad()
def _in_blocks(function: Callable[[Tensor], Tensor], rows: NDArray[Any]) -> NDArray[Any]:
    """``function`` over rows, a block at a time."""
    blocks = [torch.from_numpy(rows[i : i + BLOCK].copy()) for i in range(0, len(rows), BLOCK)]
    return np.concatenate([function(block).numpy() for block in blocks])


def _plain(value: Any) -> Any:
    """A numpy scalar, as a grid search may give it, as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def _say(progress: Check) -> None:
    print(f"[Autoencoder] step {progress.step} of {progress.steps}: validation {progress.valid[0]:.6g}")


def _advice(outcome: Outcome, plan: Plan) -> str:
    if outcome.status == "diverged":
        return (
            f"training diverged at step {outcome.steps}; the best weights before that (step "
            f"{outcome.best_step}) are kept: lower learning_rate, or set clip"
        )
    wanted = advised(outcome.history)
    return f"training was cut at {plan.steps} steps before it converged: raise steps, for instance to {wanted}"
