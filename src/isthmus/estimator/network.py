"""What all estimators share: their settings, the rows of a fit, a training, and what answers new rows afterwards."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from isthmus.data.axes import doubts, pictures
from isthmus.data.dataset import Dataset
from isthmus.data.fields import Field
from isthmus.data.labels import aligned
from isthmus.data.layout import coded
from isthmus.data.metadata import in_proportion
from isthmus.data.read import cells, read
from isthmus.data.sparse import counts_of, scattered
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.model import Recipe
from isthmus.train.cut import advised
from isthmus.train.fitted import Fitted, fit
from isthmus.train.given import mixed
from isthmus.train.inference import Inference
from isthmus.train.loop import Check, Outcome
from isthmus.train.plan import Plan

T = TypeVar("T", bound=Inference)

CLOSED = frozenset({"pca"})
"""Families without steps."""
PLAN = tuple(Plan.__dataclass_fields__)
DTYPES = ("float64", "float32")
NUMBERS = [np.float64, np.float32]
"""What rows of numbers may be."""


class FitRows(NamedTuple):
    """The rows of a fit, each as often as it counts, in the order of :func:`in_order`."""

    x: Any
    """(n, *D), or the cells of a table (n, F); of counts :class:`isthmus.data.sparse.SparseRows`."""
    fields: tuple[Field, ...] = ()
    columns: tuple[str, ...] = ()
    images: bool = False
    counts: int | None = None
    """Most columns that are kept of rows of counts; None of others."""


class Network(BaseEstimator):
    """An autoencoder with its settings; :meth:`_rows` and :meth:`_train` serve the estimators that people use."""

    fitted_: Fitted
    _like: Any
    _counts: bool = False
    """Of a table, what frames it came in; None of rows of numbers."""
    mean_: NDArray[np.float64]

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
        self.precision = precision
        self.scale = scale
        self.shape = shape
        self.images = images
        self.validation = validation
        self.device = device
        self.dtype = dtype
        self.random_state = random_state
        self.verbose = verbose

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``recipe__field`` works on a family's name too, which becomes its default recipe first."""
        recipe = params.get("recipe", self.recipe)
        if isinstance(recipe, str) and any(name.startswith("recipe__") for name in params):
            params["recipe"] = named(recipe)
        return super().set_params(**params)

    # ------------------------------------------------------------------------------------------------------- rows in

    def _rows(self, X: Any, sample_weight: ArrayLike | None = None) -> FitRows:
        """The rows of a first fit; what is known of them is set."""
        self._counts = False
        sample_weight = beside(X, sample_weight, "weights")
        if mixed(X):
            return self._table(X, sample_weight)
        self._like = None
        if scattered(X) and (data := read(X)).counts is not None:
            return self._counted(data, sample_weight)
        given = axes(X)
        x = np.asarray(validate_data(self, flat(X), dtype=NUMBERS, ensure_min_samples=2))
        self._axes, self._shape = given, self._wanted(given, x.shape[1])
        numbers = in_order(x, weights(sample_weight, x))
        x = x[numbers].reshape(-1, *self._shape)
        images = pictures(x) if self.images is None else plain(self.images)
        if self.images is None and len(given) > 1 and (doubt := doubts(x, images)) is not None:
            warnings.warn(doubt, stacklevel=3)
        return FitRows(x, columns=tuple(getattr(self, "feature_names_in_", ())), images=bool(images))

    def _table(self, X: Any, sample_weight: ArrayLike | None) -> FitRows:
        """The same of a frame whose columns are of several kinds, or have gaps."""
        for name, usual in (("scale", "auto"), ("shape", None), ("images", None)):
            if getattr(self, name) != usual:
                raise BadInput(f"{name} is for rows of numbers; leave it at {usual!r} for columns of several kinds")
        data = read(X)
        data.warn()
        self._like = X[:0]
        self.feature_names_in_, self.n_features_in_ = np.array(X.columns, dtype=object), len(X.columns)
        table = coded(data.x, data.fields)
        numbers = in_order(table, weights(sample_weight, table))
        # Numbers written as texts, all of them without a gap, are numbers to a study; new rows are such texts again.
        fields = data.fields or tuple(Field(name, "number", habit=data.habit) for name in data.columns)
        return FitRows(data.x[numbers], fields, tuple(data.columns))

    def _counted(self, data: Dataset, sample_weight: ArrayLike | None) -> FitRows:
        """The same of a sparse matrix of counts."""
        for name, usual in (("scale", "auto"), ("shape", None), ("images", None)):
            if getattr(self, name) != usual:
                raise BadInput(f"{name} is for rows of numbers; leave it at {usual!r} for counts")
        data.warn()
        self._counts, self.n_features_in_ = True, data.shape[0]
        self._axes = self._shape = data.shape
        # A number for each row that says which it is: equal rows have equal ones, in whatever order they stand.
        told_apart = data.x.matrix @ np.random.default_rng(0).random(data.shape[0])
        numbers = in_order(told_apart[:, None], weights(sample_weight, told_apart[:, None]))
        return FitRows(data.x[numbers], counts=data.counts)

    def _asked(self, X: Any) -> Any:
        """New rows, as the network takes them: (n, *D) of numbers, sparse rows of counts, or the frame."""
        check_is_fitted(self)
        if self._like is not None:
            return X
        if self._counts:
            return counts_of("X", X, self.n_features_in_)
        if len(own := axes(X)) > 1 and own != self._shape:
            raise BadInput(f"rows must have shape {self._shape}, as in fit; got {own}")
        x = np.asarray(validate_data(self, flat(X), dtype=NUMBERS, reset=False))
        return x.reshape(-1, *self._shape)

    def given(self, X: Any) -> NDArray[Any]:
        """New rows as one array: (n, *D) of numbers, or the cells of a table (n, F)."""
        rows = self._asked(X)
        return rows if self._like is None else cells(rows, self.fitted_.fields)

    def _wanted(self, given: tuple[int, ...], columns: int) -> tuple[int, ...]:
        """The shape of a row as the network sees it."""
        if self.shape is None:
            return given if len(given) > 1 else (columns,)
        shape = tuple(int(side) for side in self.shape)
        if math.prod(shape) != columns or (len(given) > 1 and given != shape):
            raise BadInput(f"shape={shape} does not fit rows of shape {given}; give the shape of one row")
        return shape

    # -------------------------------------------------------------------------------------------------------- training

    def _train(self, rows: FitRows, train: NDArray[np.int64], valid: NDArray[np.int64], number: int) -> Fitted:
        """A model of some of the rows, whose training others stop."""
        parts = ("fields", "columns", "images", "counts")
        own = {name: getattr(rows, name) for name in parts}
        fitted = fit(
            self._recipe(),
            rows.x[train],
            valid=rows.x[valid],
            plan=self._plan(),
            seed=number,
            scale=self.scale,
            device=self.device,
            watch=_say if self.verbose else None,
            **own,
        )
        told(fitted.outcome, fitted.plan, stacklevel=4)
        return fitted

    def answering(self, network: T) -> T:
        """What answers new rows: in float64, unless float32 was asked for."""
        if self.dtype not in DTYPES:
            raise BadInput(f"dtype must be float64 or float32; got {self.dtype!r}")
        return network.precise() if self.dtype == "float64" else network

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
        return recipe.set_params(**{name: plain(value) for name, value in recipe.get_params(deep=False).items()})

    def _plan(self) -> Plan:
        return Plan(**{name: plain(getattr(self, name)) for name in PLAN})

    def _split(self, rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Row numbers for training and for early stopping, and the seed of all else."""
        aside = share("validation", self.validation)
        random = check_random_state(self.random_state)
        order = random.permutation(rows)
        held = min(rows - 1, max(1, round(aside * rows)))
        return np.sort(order[held:]), np.sort(order[:held]), int(random.randint(2**31 - 1))


def share(name: str, value: Any) -> float:
    """A parameter that is a share, as a float; refused with BadInput if it is none."""
    if not isinstance(value, numbers.Real) or not 0 < float(value) < 1:
        raise BadInput(f"{name} must lie between 0 and 1, both excluded; got {value!r}")
    return float(value)


def in_order(x: NDArray[Any], weight: NDArray[np.float64] | None = None, beside: Any = None) -> NDArray[np.int64]:
    """Row numbers by what stands in the rows, each as often as its weight says.

    What is drawn from rows in this order, such as those that are held out, hangs neither on the order in which they
    came nor on whether a row came twice or counts twice.

    Parameters
    ----------
    x : array (n, *D)
    weight : array (n,), optional
        Not negative. See :func:`isthmus.data.metadata.in_proportion`.
    beside : array (n,), optional
        A number for each row that counts as one more column, such as its label.

    Examples
    --------
    >>> x = np.array([[3.0], [1.0], [2.0]])
    >>> one = x[in_order(x, np.array([1.0, 0.0, 2.0]))]
    >>> two = x[[2, 2, 0]]
    >>> np.array_equal(one, two[in_order(two)])
    True
    """
    flat_rows = np.asarray(x, np.float64).reshape(len(x), -1)
    columns = flat_rows if beside is None else np.column_stack([flat_rows, np.asarray(beside, np.float64)])
    kept = np.arange(len(x)) if weight is None else np.flatnonzero(weight > 0)
    kept = kept[np.argsort(_digests(columns[kept]), kind="stable")]
    return kept if weight is None else kept[in_proportion(weight[kept], 0)]


def _digests(rows: NDArray[np.float64]) -> NDArray[np.uint64]:
    """64 bits for each row (n, C): the mixing function of SplitMix64, through the columns one after the other."""
    bits = np.ascontiguousarray(rows + 0.0).view(np.uint64)  # -0.0 is 0.0
    found = np.zeros(len(rows), np.uint64)
    with np.errstate(over="ignore"):
        for column in bits.T:
            found = (found ^ column) + np.uint64(0x9E3779B97F4A7C15)
            found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            found ^= found >> np.uint64(31)
    return found


def weights(sample_weight: ArrayLike | None, x: NDArray[Any]) -> NDArray[np.float64] | None:
    """A weight for each of the rows (n, *D), checked; None if they count alike."""
    if sample_weight is None:
        return None
    found = np.asarray(_check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True))
    if np.count_nonzero(found) < 2:
        raise BadInput("sample_weight must be above 0 for two rows or more: nothing can be learnt from fewer")
    return found


def beside(X: Any, other: Any, what: str) -> Any:
    """Labels or weights in the order of the rows ``X``, which pandas' index tells; where it moved them, that is said.

    Raises
    ------
    BadInput
        If both have an index, and the two do not name the same rows.
    """
    found, moved = aligned(X, other, what)
    if moved is not None:
        warnings.warn(moved, stacklevel=3)
    return found


def axes(X: Any) -> tuple[int, ...]:
    """The shape of one row, as far as ``X`` tells."""
    return tuple(getattr(X, "shape", ()))[1:] if getattr(X, "ndim", 0) > 1 else ()


def flat(X: Any) -> Any:
    """Rows (n, *D) as (n, columns); what has two axes, or none that it tells, as it is.

    Raises
    ------
    BadInput
        If cells are masked, which numpy would show.
    """
    if np.ma.is_masked(X):
        raise BadInput(
            "X has masked cells; gaps are learnt as gaps in a frame: give pandas.DataFrame(X.astype(float).filled(nan))"
        )
    return X.reshape(len(X), -1) if len(axes(X)) > 1 else X


def plain(value: Any) -> Any:
    """A numpy scalar, as a grid search may give it, as Python's own."""
    return value.item() if isinstance(value, np.generic) else value


def told(outcome: Outcome, plan: Plan, what: str = "", *, stacklevel: int) -> None:
    """Warn of a training that did not end as it should."""
    if outcome.status == "diverged":
        advice = (
            f"training diverged at step {outcome.steps}; the best weights before that (step "
            f"{outcome.best_step}) are kept: lower learning_rate, or set clip"
        )
    elif outcome.status == "cut":
        wanted = advised(outcome.history)
        advice = f"training was cut at {plan.steps} steps before it converged: raise steps, for instance to {wanted}"
    else:
        return
    warnings.warn(what + advice, ConvergenceWarning, stacklevel=stacklevel)


def _say(progress: Check) -> None:
    print(f"[Autoencoder] step {progress.step} of {progress.steps}: validation {progress.valid[0]:.6g}")
