"""What a facet is: one question, how a model is chosen for it, how the answer is measured, and who must be beaten."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from isthmus.data.counts import Counts
from isthmus.facets.kin import Kin, Lines
from isthmus.facets.purpose import Role
from isthmus.metrics.deviance import explained_deviance
from isthmus.metrics.fidelity import mse, row_errors
from isthmus.said import Said

if TYPE_CHECKING:
    from isthmus.data.layout import Layout
    from isthmus.data.truth import Truth
    from isthmus.model import Model
    from isthmus.rivals.rival import Network
    from isthmus.sampler import Draws
    from isthmus.train.fitted import Fitted


RIVAL_FAMILY = "pca"
"""The family that is a rival: it stands in every table."""
BLOCK = 512
"""Units that are decoded at once."""


class Rows(NamedTuple):
    """Some rows of the data."""

    x: NDArray[np.float32]
    """(n, *D), scaled."""
    y: NDArray[np.int64] | None
    """(n,) class codes, or None. In view ``normal`` 1 says anomaly and 0 normal."""
    factors: NDArray[np.float64] | None = None
    """(n, F), what made each row, or None."""
    weight: NDArray[np.float64] | None = None
    """(n,), how much each row counts, or None where all count alike."""
    before: NDArray[np.int64] | None = None
    """(n,) the class of the row before in time, -1 where there is none; None where time is not known."""
    first: NDArray[np.int64] | None = None
    """(n,) the first step of each window of a series; None where rows are no windows."""
    text: NDArray[np.object_] | None = None
    """(n,) the free text of each row; None where there is none."""
    truth: Truth | None = None
    """The features that rows are made of, and which are in each; None where nobody knows."""

    def take(self, numbers: NDArray[np.int64] | slice) -> Rows:
        """Some of them."""
        y, before, first = (None if part is None else part[numbers] for part in (self.y, self.before, self.first))
        factors, weight = (None if part is None else part[numbers] for part in (self.factors, self.weight))
        text = None if self.text is None else self.text[numbers]
        truth = None if self.truth is None else self.truth.take(numbers)
        return Rows(self.x[numbers], y, factors, weight, before, first, text, truth)


class Splits(NamedTuple):
    """One split of the data, and what else must be shared by all who are compared."""

    train: Rows
    valid: Rows
    test: Rows
    seed: int
    """For what is drawn while measuring: the same for every contender."""
    latents: int
    """Width of the code, matched over the families."""
    layout: Layout | None = None
    """How the rows were laid out; None where nobody asks what their elements mean."""
    steps: NDArray[np.int64] | None = None
    """Of a series in view ``normal``: 1 for each anomalous step, 0 for a normal one, (S,); None elsewhere."""
    odd: NDArray[np.float32] | None = None
    """In view ``normal`` anomalies that are known and not tested, (k, *D), scaled: a score may be chosen by them."""
    k: int | None = None
    """Units of a row that fire on average, at most, in every code that is rebuilt; None: as many as do."""

    @property
    def active(self) -> int:
        """Units of a row that fire where nothing else says so."""
        from isthmus.parts.gates import usual  # torch takes a second to load

        return usual(self.latents) if self.k is None else min(self.k, self.latents)


class CurveTitle(NamedTuple):
    """What a curve that a facet measures is called, and what its axes say."""

    title: Said
    x: Said
    y: Said
    log: bool = False
    """Whether its horizontal axis is logarithmic."""
    bounds: tuple[float, float] = (-math.inf, math.inf)
    """The least and the largest value that its line can have: no interval goes beyond."""


class Curve(NamedTuple):
    """How one number moves along an axis; the report draws it, its texts name the axes."""

    x: tuple[float, ...]
    y: tuple[float, ...]


class Kept(NamedTuple):
    """A number of every test row that a run keeps beside its record, and how it is found again; neither: it is not."""

    of_model: Callable[[Coder, Splits], NDArray[np.generic]] | None = None
    of_rows: Callable[[Splits], NDArray[np.generic] | None] | None = None


class Against(NamedTuple):
    """A metric that a report draws against one of another facet."""

    metric: str
    """Across."""
    other: tuple[str, str]
    """Up: facet and metric."""
    title: Said
    text: Said
    log: bool = False
    """Whether the horizontal axis is logarithmic."""


Found = Mapping[str, float | Curve | NDArray[np.generic]]
"""What a measurement gives, by name: metrics, curves, and scores of every test row, from which metrics can be computed
again."""

Raw = Mapping[str, NDArray[Any]]
"""Numbers of every test row by name, as a run keeps them; among them their weights, as ``test_weight``, where they have
some."""

Form = Literal["pictures", "times", "windows", "text", "table", "counts", "dictionaries", "known"]
"""What makes other rivals or metrics the right ones: rows that are images of one or three channels, have times, are
windows of a series, have free text, have columns of several kinds or gaps, or are counts; or families that are sparse
dictionaries, of which whoever does not beat such a rival is not compared; or of which few anomalies are known."""


class Coder(Protocol):
    """What a criterion may ask of a model: rows in, codes out, and back, all in scaled units."""

    def encode_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``x`` (n, *D) -> (n, L)."""

    def decode_scaled(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        """``z`` (n, L) -> (n, *D)."""

    def score_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """How unlike the training rows each row of ``x`` (n, *D) is, (n,); high means anomalous."""

    @property
    def model(self) -> Model:
        """The trained network, for what follows gradients through it, or asks a discrete one for its symbols."""

    def prior(self, n: int, seed: int) -> NDArray[np.float32] | None:
        """``n`` codes drawn from what training held them to, (n, L); None if the family has no prior."""

    def compared(self, x: NDArray[np.float32], made: NDArray[np.float32]) -> NDArray[np.float32]:
        """What was made of rows, to be compared with them: where a row has a gap, the row. Both (n, *D)."""


class Contender(Coder, Protocol):
    """What a facet may ask of a fitted model that is to be measured."""

    def again(self, splits: Splits, *seeds: int) -> Sequence[Contender]:
        """The same recipe and plan, trained anew on ``splits`` from each of the seeds, side by side."""

    @property
    def trained(self) -> bool:
        """False if no step of its training was kept."""

    @property
    def parameters(self) -> int:
        """Number of trained values."""

    @property
    def train_seconds(self) -> float:
        """Seconds its training took."""

    @property
    def steps(self) -> int:
        """Optimiser steps that its training took; 0 in closed form."""

    @property
    def batch(self) -> int:
        """Rows of a step."""

    @property
    def artefact_bytes(self) -> int:
        """What it takes on disk."""


@dataclass(frozen=True)
class FittedContender:
    """A fitted model as a contender."""

    fitted: Fitted
    artefact_bytes: int
    """Only who writes files knows it."""

    def encode_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.fitted.encode_scaled(x)

    def decode_scaled(self, z: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.fitted.decode_scaled(z)

    def prior(self, n: int, seed: int) -> NDArray[np.float32] | None:
        return self.fitted.prior(n, seed)

    def compared(self, x: NDArray[np.float32], made: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.fitted.compared(x, made)

    def score_scaled(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.fitted.score_scaled(x)

    def again(self, splits: Splits, *seeds: int) -> list[FittedContender]:
        from isthmus.train.fitted import fit_many

        one, rows, count = self.fitted, (splits.train.x, splits.valid.x), len(seeds)
        made = fit_many([one.recipe] * count, *rows, [one.plan] * count, layout=one.layout, seed=seeds)
        return [replace(self, fitted=fitted) for fitted in made]

    @property
    def model(self) -> Model:
        return self.fitted.model

    @property
    def trained(self) -> bool:
        return self.fitted.outcome.status == "closed form" or self.fitted.outcome.best_step > 0

    @property
    def parameters(self) -> int:
        return self.fitted.parameters

    @property
    def train_seconds(self) -> float:
        return self.fitted.outcome.seconds

    @property
    def steps(self) -> int:
        return self.fitted.outcome.steps

    @property
    def batch(self) -> int:
        return self.fitted.plan.batch


@dataclass(frozen=True)
class Facet:
    """One question asked of a fitted model."""

    name: str
    title: Said
    question: Said
    primary: str
    """The metric that decides."""
    view: str
    """``all``: trained on everything; ``normal``: trained without the anomalies."""
    labels: bool
    """Whether it needs labels."""
    sees: Said
    """What the criterion may see, in words."""
    criterion: Callable[[Coder, Splits], float]
    """Smaller is better; it never looks at ``splits.test``. NaN never wins."""
    measure: Callable[[Contender, Splits], Found]
    """Metrics and curves of the chosen model on the test rows; NaN where one has no value."""
    metrics: tuple[str, ...]
    """All that it may measure of a model or a rival, or chooses by: their versions are part of a run's name."""
    free: Callable[[Coder, Splits], float] | None = None
    """The criterion where families choose their capacity for this question; None: it is answered at one capacity."""
    widens: bool = True
    """Whether a code wider than the study's may be chosen then; else only another network around one of its width."""
    draws: Callable[[Coder, Splits, Draws | None], Draws | None] | None = None
    """How a model that is taken for it makes new rows, as it was measured, or like another one; it never looks at
    ``splits.test``."""
    rivals: Mapping[str, Callable[[Splits], Found]] = field(default_factory=dict)
    """What is not an autoencoder and must be beaten, besides the family ``pca``, which always runs."""
    kin: Mapping[str, Callable[[Splits], Kin | Lines]] = field(default_factory=dict)
    """The other rivals, as Python: objects of scikit-learn, or lines of it, with the settings that the validation rows
    of a split choose."""
    networks: Mapping[str, Callable[[Splits], Network]] = field(default_factory=dict)
    """Rivals that ``isthmus take`` saves as models, fitted on training rows as they are measured
    (:mod:`isthmus.rivals`)."""
    purposes: Mapping[str, Role] = field(default_factory=dict)
    """For which purposes of :data:`isthmus.facets.purpose.PURPOSES` it speaks, and how."""
    wanted: Said | None = None
    """Who wants this, where it is no purpose of its own: "To rebuild rows"."""
    wanted_by: Mapping[str, Said] = field(default_factory=dict)
    """The same where another metric than usual decides."""
    simplest: str = RIVAL_FAMILY
    """The rival that takes least: what a choice gains is told against it."""
    floor: float | str | None = None
    """What the metric that decides comes to without learning anything: a value, the name of another of ``metrics`` that
    measures it, or that of a rival. Whoever does not beat it is of no use; None where there is no such thing."""
    floor_title: Said | None = None
    """What it is to do so: "always naming the commonest class"."""
    crowns: bool = True
    """Whether it names a winner. Neither sparser nor more repeatable is better in itself, and clocks are noisy: such a
    facet describes."""
    stands_out: Said | None = None
    """What is said of the best of a facet that describes, with places for leader and metric."""
    caveat: Said | None = None
    """What is added to it: why nobody wins."""
    faults: bool = True
    """Whether a bad value speaks against a contender."""
    flags: Mapping[str, Said] = field(default_factory=dict)
    """Measurements that say with 1.0 that a score must not compete, and why."""
    spoiled_by: tuple[str, ...] = ()
    """Defects with which a model is not compared here, for it would win by being degenerate: one that copies rebuilds
    everything, anomalies included; a code whose units are mostly dead is sparse for the wrong reason. One that learned
    nothing is compared nowhere (:data:`isthmus.doctor.words.HOPELESS`)."""
    prices: tuple[str, ...] = ()
    """Metrics that tell what a choice costs. Such a facet is always measured, a cut training or not."""
    unlabelled: str = ""
    """The metric that decides where there are no labels, in view ``all``; empty if the facet then has none."""
    unlabelled_caveat: Said | None = None
    """What is said of the answer then."""
    of_steps: tuple[str, str] | None = None
    """The metric that decides where rows are windows of a series with labels, and the metric that is its floor."""
    decided: Mapping[Form, str] = field(default_factory=dict)
    """The metric that decides where rows have such a form."""
    weighs: bool = False
    """Whether its metrics count test rows by their weights; else each counts once."""
    only: Mapping[str, Form] = field(default_factory=dict)
    """Rivals that are asked only where rows have such a form."""
    extras: frozenset[str] = frozenset()
    """Rivals that need an extra, and take part where a study names them."""
    factors: bool = False
    """Whether it needs to know what made the rows; data that do not say are not asked."""
    truth: bool = False
    """Whether it needs to know the features that rows are sums of; data that do not say are not asked."""
    tables: bool = False
    """Whether it needs a table whose columns are of several kinds, or have gaps; asked with all others where there are
    gaps."""
    curves: Mapping[str, CurveTitle] = field(default_factory=dict)
    """The curves that it measures, by name."""
    against: Against | None = None
    """What of it is drawn against another facet."""
    trains: int = 0
    """How often measuring trains the recipe again, so that it takes the longer the more steps there are."""
    kept: Mapping[str, Kept] = field(default_factory=dict)
    """The numbers of every test row that a run keeps, among what it measures, by name."""
    recomputed: Callable[[Raw, Mapping[str, float | None], Splits | None], dict[str, float]] | None = None
    """Metrics as they follow from all that is kept, to be held against the record; splits where they are at hand."""
    shows_rows: bool = False
    """Whether it is about single rows, so that a report shows those with the highest scores."""

    def rivals_on(self, *forms: Form) -> list[str]:
        """Names of the rivals that are asked where rows have these forms and no other."""
        there = {name for name in self.rivals if name not in self.only or self.only[name] in forms}
        return [name for name in self.rivals if name in there - self.extras]

    def again(
        self, raw: Raw, recorded: Mapping[str, float | None], splits: Splits | None = None
    ) -> Mapping[str, float]:
        """Metrics as they follow from what a run kept, with the weights of its rows; none if it kept too little."""
        if self.recomputed is None or not self.kept.keys() <= raw.keys():
            return {}
        return self.recomputed(raw, recorded, splits)


def numbers(found: Found) -> dict[str, float]:
    """The metrics among what was measured.

    Examples
    --------
    >>> numbers({"mse": 0.5, "decay": Curve((1.0, 2.0), (0.5, 0.25))})
    {'mse': 0.5}
    """
    return {name: value for name, value in found.items() if not isinstance(value, Curve | np.ndarray)}


def some(rows: Rows, most: int, seed: int) -> Rows:
    """All rows, or a seeded draw of so many of them, in the order in which they stand."""
    if len(rows.x) <= most:
        return rows
    return rows.take(np.sort(np.random.default_rng(seed).permutation(len(rows.x))[:most]))


def reconstruct(coder: Coder, x: NDArray[np.float32], k: int | None = None) -> NDArray[np.float32]:
    """``decode(encode(x))`` in scaled units, and the row where it has a gap: (n, *D) -> (n, *D).

    With ``k``, from codes that are :func:`held` to so many units a row.
    """
    codes = coder.encode_scaled(x)
    return coder.compared(x, coder.decode_scaled(codes if k is None else held(coder, codes, k)))


def held(
    coder: Coder, codes: NDArray[np.float32], k: int, long: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Codes (n, L) without the smallest pieces that they write, so that ``k`` units of a row are left on average.

    Codes with no more than that are as they were. What is left may differ from row to row, as in ``batchtopk``. Who has
    the :func:`lengths` of the coder gives them as ``long``: to find them takes as long as to decode L rows.
    """
    wanted = k * len(codes)
    if np.count_nonzero(codes) <= wanted or not np.isfinite(codes).all():
        return codes
    sizes = np.abs(codes) * (lengths(coder, codes.shape[1]) if long is None else long)
    border = np.partition(sizes, sizes.size - wanted, axis=None)[sizes.size - wanted]
    return np.where(sizes >= border, codes, 0).astype(codes.dtype)


def lengths(coder: Coder, width: int) -> NDArray[np.float32]:
    """How long a piece each unit writes into a row with a code of 1, (width,)."""
    return np.concatenate([np.linalg.norm(block, axis=1) for block in pieces(coder, width)])


def pieces(coder: Coder, width: int) -> Iterator[NDArray[np.float32]]:
    """What each unit writes into a row with a code of 1, in blocks of units, (n, prod(D)) each."""
    none = coder.decode_scaled(np.zeros((1, width), np.float32)).reshape(1, -1)
    for start in range(0, width, BLOCK):
        units = np.eye(min(BLOCK, width - start), width, start, dtype=np.float32)
        with np.errstate(invalid="ignore"):  # a diverged model: the caller sees what is not finite
            yield coder.decode_scaled(units).reshape(len(units), -1) - none


def atoms(coder: Coder, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """What each code element adds to a row, (L, *D), in scaled units.

    The reconstruction with the element one standard deviation above its mean, minus the one at the mean, all other
    elements at their means. For a linear decoder this is a multiple of its weights; it means the same for any other.
    """
    wide = codes.astype(np.float64)
    with np.errstate(all="ignore"):  # a diverged model: the caller sees what is not finite
        centre, spread = wide.mean(axis=0), wide.std(axis=0)
        decoded = coder.decode_scaled(np.vstack([centre + np.diag(spread), centre]).astype(np.float32))
        return decoded[:-1] - decoded[-1:]


def row_error(coder: Coder, x: NDArray[np.float32], k: int | None = None) -> NDArray[np.float64]:
    """Squared error per element of each scaled row, (n,): the raw scores behind reconstruction; ``k`` as there."""
    return row_errors(x, reconstruct(coder, x, k))


def known(metrics: Mapping[str, float]) -> dict[str, float]:
    """The same numbers, NaN in place of the infinities that a diverged model leaves: NaN never wins."""
    return {name: value if math.isfinite(value) else math.nan for name, value in metrics.items()}


SMALLEST_ERROR = Said(
    "validation rows, without labels: the setting with the smallest reconstruction error",
    "验证集，不使用标签：取重构误差最小的一组超参数",
)
"""What tuning sees by :func:`validation_error` for a facet that only describes."""


def validation_error(coder: Coder, splits: Splits) -> float:
    """Mean squared error per element on the validation rows, without labels, or of counts the share of deviance that is
    not explained; NaN if there are none."""
    x = splits.valid.x
    made = reconstruct(coder, x, splits.k)
    if isinstance(layout := splits.layout, Counts):
        left = 1 - explained_deviance(layout.counted(x), layout.rates(made), layout.shares[layout.kept])
        return known({"left": left})["left"]
    return known({"mse": mse(x, made)})["mse"]
