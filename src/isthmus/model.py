"""The protocol that every autoencoder of this house speaks, and the recipe that builds one.

Shapes, everywhere: ``B`` rows of a batch, ``*D`` the shape of one row (``(64,)`` a table, ``(8, 8)`` or ``(32, 32, 3)``
an image), ``D`` its number of elements, ``L`` the width of the code, ``R`` the replicates of a stack. Model code never
sees ``R``: the engine adds that axis from outside.

Every loss term is a *sum over the elements of a row, averaged over the batch, divided by D*: the ratio between two
terms is the paper's, and a weight means the same on narrow and on wide data.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType, NoneType, UnionType
from typing import Any, ClassVar, NamedTuple, Self, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from isthmus.activations import ACTIVATIONS
from isthmus.dispatch import drawing
from isthmus.errors import BadInput
from isthmus.registry import BACKBONES, OWN

OF_PICTURES = ("shift", "flip", "crop")
"""Corruptions of rows (height, width) or (height, width, channels) alone."""


class Loss(NamedTuple):
    """What one forward pass says of one batch."""

    terms: dict[str, Tensor]
    """Named scalars, unweighted, differentiable; the keys are those of ``Model.weights``."""
    seen: dict[str, Tensor]
    """Additive facts (sums, counts), detached: what the model may remember in ``absorb``."""


@dataclass(frozen=True)
class Ramp:
    """A weight that goes linearly from ``start`` to ``end`` over a ``share`` of the plan's steps (warm-up, annealing).

    Examples
    --------
    >>> Ramp(2.0, share=0.5).at(0.25), Ramp(2.0, share=0.5).at(0.7)
    (1.0, 2.0)
    """

    end: float
    share: float
    """Above 0, at most 1."""
    start: float = 0.0

    def at(self, done: float) -> float:
        """The weight when a share ``done`` of the plan's steps, 0 to 1, has been taken."""
        if done >= self.share:
            return self.end
        return self.start + (self.end - self.start) * done / self.share


Weight = float | Ramp


class Model(nn.Module):
    """One autoencoder. Subclasses give ``encode``, ``decode`` and ``forward``; the four hooks do nothing by default.

    Attributes
    ----------
    shape : tuple of int
        ``*D``, the shape of one row.
    latents : int
        ``L``, the width of the code.
    weights : dict of str to float or Ramp
        One for each term of the loss. The engine multiplies; the model does not.
    """

    shape: tuple[int, ...]
    latents: int
    weights: dict[str, Weight]
    stacks: bool = True
    """Whether it may step beside others under ``vmap``. A model with False is always trained alone."""
    head: Any
    """The likelihood of the output: gaussian (squared error), bernoulli, huber or student; or that of a table, or of
    counts, which may have parameters and so is set by each model, not here."""
    replays: bool = True
    """Whether its step is recorded once and replayed. A model with False may read values in ``forward``, and runs it
    anew each time; it is for steps so large that Python costs nothing beside them."""
    shards: bool = False
    """Whether its units may be spread over processes: it then asks its ``units`` for what needs all of them
    (:mod:`isthmus.parts.units`)."""
    resting: tuple[str, ...] = ()
    """Terms that cost nothing while all is well, such as the revival of dead units."""
    fresh: tuple[str, ...] = ()
    """Buffers of training alone that a saved model may lack; it then has them as a new one does."""
    inner_weights: tuple[str, ...] = ()
    """Buffers that hold the weight of a penalty which cannot be a term of its own."""
    estimated_gradients: tuple[str, ...] = ()
    """Prefixes of parameters whose gradient is an estimate by design (straight-through)."""
    sides: ClassVar[Mapping[str, tuple[str, ...]]] = MappingProxyType({})
    """Adversarial terms, each with the prefixes of parameters that it sees detached."""
    judged: str = "shipped"
    """The form whose loss on validation rows decides when training stops and which weights are kept: ``shipped``
    (``training`` off), or ``trained`` where the form that ships has no loss that training lowers: winner-take-all ships
    without the competition that its decoder learns from."""

    @property
    def settles(self) -> float:
        """The share of the plan's steps, 0 to 1, after which nothing of the loss is scheduled any more.

        Patience begins there, and no weights from before it are kept. A :class:`Timed` model adds what it does itself.
        """
        return max((w.share for w in self.weights.values() if isinstance(w, Ramp)), default=0.0)

    def encode(self, x: Tensor) -> Tensor:
        """The code that ships: deterministic. ``x`` (B, *D) -> (B, L)."""
        raise TypeError(f"{type(self).__name__} has no encode: a family must define it")

    def decode(self, z: Tensor) -> Tensor:
        """The reconstruction in the units of the data. ``z`` (B, L) -> (B, *D)."""
        raise TypeError(f"{type(self).__name__} has no decode: a family must define it")

    def reconstruct(self, x: Tensor) -> Tensor:
        """What the model makes of rows: ``decode(encode(x))``, unless its output has a way past the code (a skip)."""
        return self.decode(self.encode(x))

    def score(self, x: Tensor) -> Tensor:
        """How unlike the training rows each row is: by default its squared error per element. (B, *D) -> (B,)."""
        return (self.reconstruct(x) - x).square().flatten(1).mean(1)

    def forward(self, x: Tensor, target: Tensor, noise: Any = None) -> Loss:
        """The loss of a batch. Pure: reads buffers, writes nothing. With ``training`` off, that of the form that ships.

        ``x`` and ``target`` (B, *D): they differ when the input is corrupted, or something else is to be predicted;
        ``noise`` is what ``draw`` gave.
        """
        raise TypeError(f"{type(self).__name__} has no forward: a family must define it")

    def draw(self, x: Tensor, generator: torch.Generator) -> Any:
        """All randomness that ``forward`` wants for a batch shaped like ``x``: a tensor, a dict of tensors, or None."""
        return None

    def start(self, x: Tensor) -> None:
        """Initialise from training rows ``x`` (N, *D), once, before the first step."""

    def absorb(self, seen: Mapping[str, Tensor]) -> None:
        """Update buffers, in place, from what the last forward saw. The only place where buffers change."""

    def project(self) -> None:
        """Put parameters back on their constraint, in place, after a step."""


class Timed(Model):
    """A model whose ``forward`` follows a schedule: a temperature that falls, an exponent, how many units pass.

    Attributes
    ----------
    clock : Tensor
        A 0-dim buffer: the share of the plan's steps that has been taken. The engine sets it before each step, and to 1
        for validation; a model at rest has its schedules behind it. It is not saved.
    """

    clock: Tensor

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.register_buffer("clock", torch.ones(()), persistent=False)


class Range(NamedTuple):
    """Where the tuning of a recipe field looks: ``low`` to ``high``, on a linear or a logarithmic scale."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, u: float) -> float | int:
        """The value at ``u`` in [0, 1).

        Examples
        --------
        >>> Range(0.01, 1.0, log=True).at(0.5)
        0.1
        >>> Range(1, 4, whole=True).at(0.99)
        4
        """
        low, high = (self.low, self.high + 1) if self.whole else (self.low, self.high)
        value = math.exp(math.log(low) + u * (math.log(high) - math.log(low))) if self.log else low + u * (high - low)
        return min(int(value), int(self.high)) if self.whole else float(f"{value:.6g}")


OF_COUNTS = ("poisson", "negative_binomial")
"""Likelihoods of rows of counts alone."""
HEADS = ("auto", "gaussian", "bernoulli", "huber", "student", *OF_COUNTS)

WIDEST = 4096
"""Units of a code that is chosen, at most."""
WEIGHTS = 1 << 19
"""Weights of the layer behind such a code, at most: on rows of 784 elements 512 units."""
CHANNELS = (16, 32)
"""Of the two convolutions of a capacity that has them."""
LAYER = (16, 256)
"""Units of the hidden layer of a capacity without one before: twice the elements of a row, but between these."""

KEPT = dataclasses.MISSING
"""What ``off`` is where a field is no part that could be taken away."""


class Bounds(NamedTuple):
    """What a field, or each item of a tuple, may be: a finite number within bounds, or one of a few values."""

    low: float | None = None
    """The least value."""
    high: float | None = None
    """The largest value."""
    above: float | None = None
    """What the value must exceed."""
    below: float | None = None
    """What the value must stay under."""
    choices: Sequence[Any] | Callable[[], Sequence[Any]] = ()
    """The only values, or a function that gives them where they may grow; none: any."""

    @property
    def among(self) -> tuple[Any, ...]:
        """The choices as they are now."""
        return tuple(self.choices() if callable(self.choices) else self.choices)

    @property
    def words(self) -> str:
        """What may be given, to stand after "a number".

        Examples
        --------
        >>> Bounds(low=0.0, below=1.0).words
        'of at least 0 and below 1'
        """
        if self.choices:
            return f"one of {', '.join(map(str, self.among))}"
        named = {"of at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{word} {value:g}" for word, value in named.items() if value is not None)

    def hold(self, value: Any) -> bool:
        """Whether a value of the right type is within the bounds."""
        if self.choices:
            return value in self.among
        if isinstance(value, bool | str):
            return True
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


class Only(NamedTuple):
    """When a field has an effect."""

    words: str
    """The condition, to stand after "unless"."""
    holds: Callable[[Any], bool]
    """Whether a recipe meets it."""


def knob(
    default: Any,
    text: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Sequence[Any] | Callable[[], Sequence[Any]] = (),
    only: tuple[str, Callable[[Any], bool]] | None = None,
    search: Range | None = None,
    stacks: bool = False,
    off: Any = KEPT,
) -> Any:
    """A recipe field with its help text, and with what it may be: checks, help and the JSON schema follow from it.

    Parameters
    ----------
    default : object
        Its default; plain data that JSON can carry (tuples come back as tuples).
    text : str
        One sentence: what it does, its unit, its paper's symbol. Help, docs and the command line come from it.
    low, high, above, below : float, optional
        Bounds, with and without the bound itself, of the number or of each item of a tuple. The type is the
        annotation's; NaN and infinity are never taken.
    choices : sequence, or function that gives one
        The only values.
    only : (str, function of the recipe), optional
        When the field has an effect, in words that go on "does nothing unless", and as a test. Another value than the
        default is refused where it has none. A weight of 0 is no such case: it is the end of a scale, and a sweep may
        pass through it with all other fields as they are.
    search : Range, optional
        Where tuning looks; without it the field is not tuned.
    stacks : bool, default False
        True if two models that differ only in this field have the same graph (it enters as a weight, a buffer or a
        corruption level), so that they can be trained in one stack.
    off : object, optional
        The value at which the field does nothing, or a function of the recipe that gives it: a field with one is a part
        that can be taken away. Without it the field is no part of its own (a level, a width, a choice among equals).
    """
    bounds = Bounds(low, high, above, below, choices)
    about = {"text": text, "search": search, "stacks": stacks, "off": off, "bounds": bounds}
    return dataclasses.field(default=default, metadata=about | {"only": only and Only(*only)})


def _power(most: float) -> int:
    """The largest power of two up to ``most``, at least 1.

    Examples
    --------
    >>> _power(269.5), _power(0.3)
    (256, 1)
    """
    return 1 << max(0, int(most).bit_length() - 1)


def types_of(kind: type) -> dict[str, Any]:
    """The type of each field of a recipe, or of a plan."""
    return _types(kind)


@functools.cache
def _types(kind: type) -> dict[str, Any]:  # reading the annotations takes longer than all else about them
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in dataclasses.fields(kind)}


@functools.cache
def _plain(kind: Any) -> tuple[Any, bool, bool]:
    """An annotation as (type of the value or of an item, whether a tuple of them, whether null may stand for it)."""
    options = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    (kind,) = (option for option in options if option is not NoneType)
    many = get_origin(kind) is tuple
    return get_args(kind)[0] if many else kind, many, len(options) > 1


NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
SCHEMA = {int: "integer", float: "number", bool: "boolean", str: "string"}


def _allowed(kind: Any, bounds: Bounds) -> str:
    """What a field takes, in words."""
    item, many, null = _plain(kind)
    name = "whole numbers" if many and item is int else "numbers" if many and item is float else NAMES[item]
    words = bounds.words if bounds.choices else f"{name} {bounds.words}".strip()
    return words + (", or null" if null else "")


def _fits(kind: Any, bounds: Bounds, value: Any) -> bool:
    """Whether a field may have this value."""
    item, many, null = _plain(kind)
    if value is None:
        return null
    if many:
        return isinstance(value, list | tuple) and all(_fits(item, bounds, part) for part in value)
    right = (int, float) if item is float else item
    return isinstance(value, right) and isinstance(value, bool) == (item is bool) and bounds.hold(value)


def within(made: Any, name: str) -> None:
    """Refuse what a field of ``made``, all of whose fields are knobs, does not take; ``name`` is what it is called."""
    kinds = types_of(type(made))
    for f in dataclasses.fields(made):
        value, bounds = getattr(made, f.name), f.metadata["bounds"]
        if not _fits(kinds[f.name], bounds, value):
            hint = " Register a network of your own first (isthmus.register_backbone)."
            raise BadInput(
                f"{name}: {f.name} must be {_allowed(kinds[f.name], bounds)}; got {value!r}: {f.metadata['text']}"
                + hint * (f.name == "backbone")
            )


def idle(made: Any) -> dict[str, str]:
    """The fields that have no effect beside the others, each with what it needs to have one."""
    needs = {f.name: f.metadata["only"] for f in dataclasses.fields(made)}
    return {name: need.words for name, need in needs.items() if need is not None and not need.holds(made)}


def heard(made: Any, name: str) -> None:
    """Refuse a field of another value than its default where it has no effect."""
    defaults = {f.name: f.default for f in dataclasses.fields(made)}
    for field, need in idle(made).items():
        if (value := getattr(made, field)) != defaults[field]:
            raise BadInput(
                f"{name}: {field} does nothing unless {need}; got {field}={value!r}: leave it at "
                f"{defaults[field]!r}, or make sure that {need}"
            )


@dataclass(kw_only=True, eq=False, repr=False)
class Recipe:
    """A family with its hyper-parameters: plain data, nothing computed at construction.

    It speaks scikit-learn's protocol of parameters, so ``clone``, ``GridSearchCV`` and ``recipe__strength`` work. It
    does not inherit from ``BaseEstimator``, whose import would double the start-up of a short fit. Subclasses are
    ``@dataclass(kw_only=True, eq=False, repr=False)``, name their ``family``, declare fields with :func:`knob` and
    give ``_build``.
    """

    family: ClassVar[str] = ""
    camp: ClassVar[str] = ""
    """Where it stands in a list: classical, generative, discrete, sparse dictionary, robust, or rival."""
    pace: ClassVar[float] = 1.0
    """What learning rates are multiplied by where none is given, by measurement: how much faster than others it learns
    best. Where that hangs on the rows, see :meth:`tempo`."""
    wants: ClassVar[str] = ""
    """What it needs besides rows, in words; a family that wants something cannot take part in a study."""
    targets: ClassVar[bool] = False
    """Whether what comes out may have another shape than a row: then ``_build(shape, head, out)`` is called with the
    shape of the target, and ``Model.start(x, target)`` with training targets (None where they are the rows)."""

    latents: int = knob(16, "Width L of the code.", low=1)
    backbone: str = knob(
        "mlp",
        "Network between data and code: linear, mlp, conv1d, conv2d, vit, or a name you registered.",
        choices=lambda: (*BACKBONES, *OWN),
    )
    hidden: tuple[int, ...] = knob(
        (),
        "Widths of the encoder's hidden layers (channels of conv1d and conv2d, blocks of vit), mirrored in the "
        "decoder; () is one layer each way.",
        low=1,
        off=(),
    )
    activation: str = knob(
        "relu",
        f"Activation of the hidden layers: {', '.join(ACTIVATIONS)}.",
        choices=tuple(ACTIVATIONS),
        only=("there are hidden layers (hidden=32)", lambda recipe: recipe.deep),
    )
    norm: str = knob(
        "none",
        "Normalisation in each hidden layer, before its activation: none, layer.",
        choices=("none", "layer"),
        off="none",
    )
    residual: bool = knob(
        False,
        "Whether a hidden layer of the mlp gets a skip where it is as wide as the hidden layer before it.",
        off=False,
    )
    head: str = knob(
        "auto",
        "Likelihood of the output: gaussian, bernoulli, huber or student (both robust), of counts poisson or "
        "negative_binomial, or auto: negative_binomial of counts, bernoulli if the data lie in [0, 1], else gaussian.",
        choices=HEADS,
        off="gaussian",
    )
    corruption: str = knob(
        "none",
        "Corruption of the training input; the target stays clean: none, gaussian, mask, salt; of pictures also shift, "
        "flip, crop.",
        choices=("none", "gaussian", "mask", "salt", *OF_PICTURES),
        off="none",
    )
    corruption_level: float = knob(
        0.0,
        "Standard deviation of gaussian corruption, or share: of elements that mask or salt replace, of a side that "
        "shift moves or crop cuts off at most, of pictures that flip mirrors.",
        low=0.0,
        only=("there is a corruption", lambda recipe: recipe.corruption != "none"),
        search=Range(0.05, 0.5),
        stacks=True,
    )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """All fields by name, sorted. ``deep`` is part of scikit-learn's protocol; fields hold nothing deeper."""
        return {name: getattr(self, name) for name in sorted(f.name for f in dataclasses.fields(self))}

    def set_params(self, **params: Any) -> Self:
        """Change fields in place and return the recipe. An unknown name is refused."""
        fields = {f.name for f in dataclasses.fields(self)}
        for name, value in params.items():
            if name not in fields:
                raise BadInput(f"{self.family} has no field {name!r}; its fields are {', '.join(sorted(fields))}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        own = (f"{name}={value!r}" for name, value in self.get_params().items() if value != defaults[name])
        return f"{type(self).__name__}({', '.join(own)})"

    def tempo(self, size: int) -> float:
        """What the learning rate is multiplied by where none is given, for rows of ``size`` elements."""
        return self.pace

    def space(self) -> dict[str, Range]:
        """The fields that tuning draws, each with its range: those that have an effect beside the others."""
        ranges = {f.name: f.metadata["search"] for f in dataclasses.fields(self) if f.metadata["search"] is not None}
        return {name: where for name, where in ranges.items() if name not in self.idle()}

    def removable(self) -> dict[str, Any]:
        """The parts that can be taken away: each with the value at which it does nothing, and not at it already.

        Examples
        --------
        >>> Recipe(corruption="mask", corruption_level=0.2, norm="layer", head="gaussian").removable()
        {'norm': 'none', 'corruption': 'none'}
        """
        declared = {f.name: f.metadata["off"] for f in dataclasses.fields(self)}
        values = {name: off(self) if callable(off) else off for name, off in declared.items() if off is not KEPT}
        idle = self.idle()
        return {name: off for name, off in values.items() if getattr(self, name) != off and name not in idle}

    def without(self, part: str, off: Any) -> Self:
        """A copy with a part at the value at which it does nothing, and at their default what then does nothing either.

        Examples
        --------
        >>> Recipe(corruption="mask", corruption_level=0.2).without("corruption", "none")
        Recipe()
        """
        bare = dataclasses.replace(self).set_params(**{part: off})
        defaults = {f.name: f.default for f in dataclasses.fields(self)}
        return bare.set_params(**{name: defaults[name] for name in bare.idle()})

    def idle(self) -> dict[str, str]:
        """The fields that have no effect beside the others, each with what it needs to have one.

        Examples
        --------
        >>> Recipe(hidden=(8,)).idle()
        {'corruption_level': 'there is a corruption'}
        """
        return idle(self)

    def capacities(self, shape: Sequence[int], rows: int, near: str | None = None) -> dict[str, dict[str, Any]]:
        """What it may be made of besides this: names, each with the fields that then stand at another value.

        A study that chooses capacity freely tries them. ``deeper`` has one more hidden layer, the same code and comes
        first. ``wide`` has more units than this and no hidden layer, and is called ``overcomplete`` where they are more
        than a row has elements: four times as many as these, but at most one for eight training rows, ``WIDEST``, and
        ``WEIGHTS`` in a layer. ``convolutional`` has the same code behind convolutions, where neighbours in a row lie
        near each other.

        Parameters
        ----------
        shape : sequence of int
            ``*D``, the shape of a row.
        rows : int
            Training rows.
        near : {"conv1d", "conv2d"}, optional
            The convolutions that rows are made for: those of pictures, or of windows of a series.

        Examples
        --------
        >>> Recipe(latents=16).capacities((8, 8), 1080)
        {'deeper': {'hidden': (128,)}, 'overcomplete': {'latents': 128, 'hidden': ()}}
        """
        elements = math.prod(shape)
        layer = min(max(_power(2 * elements), LAYER[0]), LAYER[1])
        found: dict[str, dict[str, Any]] = {
            "deeper": {"hidden": (2 * self.hidden[0], *self.hidden) if self.hidden else (layer,)}
        }
        width = _power(min(4 * elements, rows / 8, WIDEST, WEIGHTS / elements))
        if width > self.latents:
            found["overcomplete" if width > elements else "wide"] = {"latents": width, "hidden": ()}
        if near is not None and type(self).backbone == "mlp":
            found["convolutional"] = {"backbone": near, "hidden": CHANNELS}
        return found

    @property
    def deep(self) -> bool:
        """Whether there is more than one affine layer each way, as far as the recipe says."""
        return bool(self.hidden) or self.backbone not in {"linear", "mlp"}

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """A JSON schema (draft 2020-12) of what :func:`isthmus.families.recipe` takes for this family.

        Types, bounds, choices, defaults and help are there; rules between fields are not.

        Examples
        --------
        >>> Recipe.schema()["properties"]["latents"]
        {'description': 'Width L of the code.', 'default': 16, 'type': 'integer', 'minimum': 1}
        """
        fields = {f.name: _described(f, types_of(cls)[f.name]) for f in dataclasses.fields(cls)}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": cls.family,
            "type": "object",
            "properties": {"family": {"const": cls.family}, **fields},
            "required": ["family"],
            "additionalProperties": False,
        }

    def structure(self) -> dict[str, Any]:
        """What fixes the graph: two recipes of equal structure can be trained in one stack."""
        fixed = {f.name for f in dataclasses.fields(self) if not f.metadata["stacks"]}
        return {"family": self.family} | {k: v for k, v in self.to_json().items() if k in fixed}

    def to_json(self) -> dict[str, Any]:
        """Plain data that :func:`isthmus.families.recipe` turns back into an equal recipe."""
        fields = {k: list(v) if isinstance(v, tuple) else v for k, v in self.get_params().items()}
        return {"family": self.family, **fields}

    def build(self, shape: tuple[int, ...], head: Any, out: tuple[int, ...] | None = None, *, number: int = 0) -> Model:
        """An untrained model for rows of ``shape``.

        Its initial weights come from a generator of their own: no global random state is read or moved, so threads may
        build at once. What a registered network draws with torch follows ``number`` too; what it draws elsewhere does
        not.

        Parameters
        ----------
        shape : tuple of int
            ``*D``, the shape of one row.
        head : {"gaussian", "bernoulli"}, TableHead or CountHead
            The likelihood that ``auto`` stands for on these data; an explicit ``self.head`` wins, in a table for its
            numbers.
        out : tuple of int, optional
            Shape of a row of the target; by default, and for a family without ``targets`` always, ``shape``.
        number : int, default 0
            The seed of the initial weights.

        Raises
        ------
        BadInput
            If a field's value makes no sense, or the family cannot give rows of another shape; the message names it.
        """
        self._check()
        shape, out = tuple(shape), tuple(out or shape)
        if self.corruption in OF_PICTURES and len(shape) not in (2, 3):
            raise BadInput(
                f"{self.family}: corruption {self.corruption} is for pictures, rows (height, width) or (height, width, "
                f"channels); got rows of shape {shape}; take gaussian, mask or salt"
            )
        if out != shape and not self.targets:
            raise BadInput(
                f"{self.family} gives back rows of the shape it takes, {shape}; got a target of shape {out}: take a "
                "family whose target may differ (a transcoder), or a target of the same shape"
            )
        other = (out,) if self.targets else ()
        with drawing(number):
            return self._build(shape, self.likelihood(head), *other)

    def likelihood(self, head: Any) -> Any:
        """The likelihood of the output on data where ``auto`` stands for ``head``."""
        if not isinstance(head, str):
            return head.but(self.head)
        if self.head in OF_COUNTS:
            raise BadInput(
                f"{self.family}: head {self.head} is for rows of counts, which these are not; read them as such "
                "(counts=True, --counts), or take gaussian"
            )
        return head if self.head == "auto" else self.head

    def _check(self) -> None:
        """Refuse what a field does not take, and what would be ignored. Families add rules between fields."""
        name = self.family
        within(self, name)
        if self.backbone == "linear" and self.hidden:
            raise BadInput(
                f"{name}: backbone linear has no hidden layers; got hidden={self.hidden!r}; use backbone mlp"
            )
        if self.corruption not in {"none", "gaussian"} and self.corruption_level > 1:
            raise BadInput(
                f"{name}: corruption_level must be at most 1, a share, for {self.corruption}; "
                f"got {self.corruption_level!r}"
            )
        heard(self, name)

    def _build(self, shape: tuple[int, ...], head: str) -> Model:
        raise TypeError(f"{type(self).__name__} has no _build: a family must define it")


def takes(made: Any, field: Any) -> str:
    """What a field of a recipe, or of a plan, may be, in words."""
    return _allowed(types_of(type(made))[field.name], field.metadata["bounds"])


def _described(field: Any, kind: Any) -> dict[str, Any]:
    """The JSON schema of one field."""
    item, many, null = _plain(kind)
    bounds: Bounds = field.metadata["bounds"]
    limits = {
        "minimum": bounds.low,
        "maximum": bounds.high,
        "exclusiveMinimum": bounds.above,
        "exclusiveMaximum": bounds.below,
    }
    value: dict[str, Any] = {"type": SCHEMA[item]} | {k: v for k, v in limits.items() if v is not None}
    if bounds.choices:
        value = {"enum": list(bounds.among)}
    if many:
        value = {"type": "array", "items": value}
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    about = {"description": field.metadata["text"], "default": default}
    return about | ({"anyOf": [value, {"type": "null"}]} if null else value)
