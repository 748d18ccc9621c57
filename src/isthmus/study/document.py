"""What may stand in ``study.json`` and ``race.json``: every field, its type and its bounds.

The seal of a file proves damage, not origin: whoever can change the file can seal it again. So what is sealed well is
checked field by field before anything is expanded from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from isthmus.data.layout import field
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.families import recipe
from isthmus.model import BACKBONES
from isthmus.study.profile import Profile
from isthmus.study.racing import LOOKS
from isthmus.train.plan import Plan

MOST = 10_000
"""Replicates, configurations, contenders: more than any study has, few enough to be listed."""
LARGEST = 1 << 40
"""Elements of a row, rows."""


def _known(name: str) -> str:
    if name not in FACETS:
        raise ValueError(f"there is no facet {name!r:.60}")
    return name


Count = Annotated[int, Field(ge=0, lt=LARGEST)]
Some = Annotated[int, Field(ge=1, lt=LARGEST)]
Few = Annotated[int, Field(ge=1, le=MOST)]
Seconds = Annotated[float, Field(ge=0)]
Facet = Annotated[str, AfterValidator(_known)]


class _Sealed(BaseModel):
    """Fields that this version does not know are of no consequence: nothing reads them."""

    model_config = ConfigDict(strict=True, frozen=True, allow_inf_nan=False)


class DataNote(_Sealed):
    """The data, as a study remembers them."""

    name: str
    digest: str
    rows: Some
    shape: list[Some] = Field(min_length=1, max_length=8)
    images: bool
    columns: list[str]
    classes: list[str]
    class_rows: list[Count]
    anomaly: str | None
    factors: list[str] = []
    fields: list[dict[str, JsonValue]] = []
    counts: Some | None = None
    truth: Some | None = None
    groups: Annotated[int, Field(ge=3, lt=LARGEST)] | None = None
    times: Annotated[int, Field(ge=3, lt=LARGEST)] | None = None
    worth: Annotated[float, Field(ge=1, lt=LARGEST)] | None = None
    steps: Some | None = None
    window: Some | None = None
    stride: Some | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if math.prod(self.shape) >= LARGEST:
            raise ValueError("the shape has too many elements")
        if len(self.class_rows) != len(self.classes) or len(set(self.classes)) < len(self.classes):
            raise ValueError("classes and their rows do not fit together")
        if self.anomaly is not None and self.anomaly not in self.classes:
            raise ValueError("the anomaly is none of the classes")
        if self.fields and [field(one).name for one in self.fields] != self.columns:
            raise ValueError("fields do not fit the columns")
        if self.columns and len(self.columns) != math.prod(self.shape):
            raise ValueError("columns do not fit the shape")
        return self


class Reading(_Sealed):
    """What was asked for when a table, or pictures, were read; the data are read again with all of it, so a field that
    this version does not know is refused.
    """

    model_config = ConfigDict(extra="forbid")

    kinds: dict[str, str] = {}
    drop: list[str] = []
    missing: list[float] = []
    terms: Some | None = None
    group: str | None = None
    time: str | None = None
    weights: str | None = None
    size: list[Annotated[int, Field(ge=1)]] | None = None
    crop: bool = False
    gray: bool | None = None
    skip_damaged: bool = False
    axes: Literal["first", "last"] | None = None
    window: Some | None = None
    stride: Some | None = None
    features: str | None = None
    counts: bool | None = None
    most: Some | None = None
    rows: Some | None = None
    truth: str | None = None


class Tuned(_Sealed):
    """One configuration of a family."""

    recipe: dict[str, JsonValue]
    learning_rate: Annotated[float, Field(gt=0)] | None
    stages: Literal["together", "layerwise"] = "together"
    capacity: str | None = None

    @model_validator(mode="after")
    def _builds(self) -> Self:
        fields: dict[str, Any] = dict(self.recipe)
        if (
            isinstance(own := fields.get("backbone"), str) and own not in BACKBONES
        ):  # who reads need not know the network
            fields["backbone"] = "mlp"
        recipe(fields)  # its own check of every field
        return self


class TakenAway(_Sealed):
    """What an ablation took away."""

    family: str
    parts: list[Annotated[list[JsonValue], Field(min_length=3, max_length=3)]]
    refused: dict[str, str]


class Swept(_Sealed):
    """A sweep of code widths, see :class:`isthmus.study.capacity.Sweep`."""

    widths: list[Some] = Field(min_length=1, max_length=MOST)
    errors: list[list[float | None]]
    linear: list[list[float]]
    nothing: float
    ratio: Annotated[float, Field(ge=0)]
    dimension: float | None
    seconds: Seconds
    chosen: Some

    @model_validator(mode="after")
    def _agree(self) -> Self:
        tables: list[list[Any]] = [*self.errors, *self.linear]
        sizes = {len(one) for one in tables}
        if not (len(self.widths) == len(self.errors) == len(self.linear) and len(sizes) == 1 and tables[0]):
            raise ValueError("errors do not fit the widths")
        if self.chosen not in self.widths:
            raise ValueError("the chosen width was not tried")
        return self


class Prices(_Sealed):
    """What the pieces of a study were thought to take, see :class:`isthmus.study.estimate.Estimate`."""

    families: dict[str, Annotated[list[Seconds], Field(min_length=2, max_length=2)]]
    criteria: dict[str, Seconds]
    facets: dict[str, Seconds]
    rivals: dict[str, dict[str, Seconds]]
    split: Seconds
    workers: Few


class Document(_Sealed):
    """The content of ``study.json`` without its seal."""

    format: int
    data: DataNote
    families: dict[str, Annotated[list[Tuned], Field(min_length=1, max_length=MOST)]] = Field(
        min_length=1, max_length=MOST
    )
    facets: list[Facet] = Field(min_length=1)
    skipped: dict[Facet, str]
    replicates: Annotated[int, Field(ge=2, le=MOST)]
    configs: Few
    plan: dict[str, JsonValue]
    latents: Some
    hidden: list[Some]
    seed: Annotated[int, Field(ge=0)]
    backbone: str
    contamination: Annotated[float, Field(ge=0, lt=0.5)]
    racing: bool
    capacity: Literal["matched", "free"] = "matched"
    k: Some | None = None
    few: Annotated[int, Field(ge=0, lt=1 << 53)] | None = None
    rivals: list[str] | None = None
    source: str = ""
    label: str | None = None
    reading: Reading = Reading()
    budget: Annotated[float, Field(gt=0)] | None = None
    command: str = ""
    planning: Seconds = 0.0
    prices: Prices | None = None
    sweep: Swept | None = None
    ablation: TakenAway | None = None
    profile: Profile | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        plan = Plan.from_json(dict(self.plan))
        if self.plan.keys() != plan.to_json().keys():
            raise ValueError("plan: a field is missing")
        if max(plan.steps, plan.check, plan.batch) >= LARGEST:
            raise ValueError("plan: larger than any training")
        if len(set(self.facets)) < len(self.facets):
            raise ValueError("a facet occurs twice")
        if self.racing and self.budget is None:
            raise ValueError("a race needs a budget")
        if self.ablation is not None:
            wanted = {"full", *(f"without {field}" for field, _, _ in self.ablation.parts)}
            if not wanted <= self.families.keys():
                raise ValueError(f"ablation: there is no contender {min(wanted - self.families.keys())!r:.60}")
        unlabelled = [facet for facet in self.facets if not FACETS[facet].labels or FACETS[facet].unlabelled]
        if not self.data.classes and len(unlabelled) < len(self.facets):
            raise ValueError("a facet needs labels, and there are none")
        return self


class Added(_Sealed):
    """Replicates that a race added, or questions."""

    replicates: list[Annotated[int, Field(ge=2, le=MOST)]] = Field(max_length=MOST)
    doubts: dict[str, list[str]]
    asked: list[Facet] = []

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.replicates) == bool(self.asked):
            raise ValueError("replicates were added, or questions")
        first = min(self.replicates, default=0)
        if self.replicates != list(range(first, first + len(self.replicates))):
            raise ValueError("replicates do not follow each other")
        return self


class Race(_Sealed):
    """The content of ``race.json``."""

    format: Literal[1]
    rounds: list[Added] = Field(max_length=LOOKS + len(FACETS))

    @model_validator(mode="after")
    def _agree(self) -> Self:
        ends = [(one.replicates[0], one.replicates[-1] + 1) for one in self.rounds if one.replicates]
        asked = [facet for one in self.rounds for facet in one.asked]
        if len(ends) > LOOKS or len(set(asked)) < len(asked):
            raise ValueError("more rounds than a race has")
        if any(end != start for (_, end), (start, _) in pairwise(ends)):
            raise ValueError("rounds do not follow each other")
        return self


def check(path: Path, content: Mapping[str, Any]) -> None:
    """Refuse a ``study.json`` with an impossible field.

    Raises
    ------
    BadInput
        One line that names the field.
    """
    try:
        Document.model_validate(dict(content))
    except (ValidationError, ValueError, TypeError, RecursionError, OverflowError) as error:
        refuse(path, error)


def refuse(path: Path, error: Exception) -> NoReturn:
    """One line for what pydantic, or a recipe's own check, found."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        said = f"{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}".lstrip(": ")
    else:
        said = str(error) or type(error).__name__
    said = " ".join(said.split())
    raise BadInput(f"{path} is damaged or was edited ({said:.300}); restore it, or choose another --out") from None
