"""A job and what it leaves: typed, complete, never changed; and the spelling of plain data that hashes stand on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from isthmus.metrics import METRICS
from isthmus.seeds import seed

MOST = 1e150
"""Squares of larger numbers are none; no metric comes near."""
SIZES = {"train", "valid", "test", "duplicates", "constant"}


Count = Annotated[int, Field(ge=0, lt=1 << 53)]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Member = Annotated[str, Field(pattern=r"^([a-z0-9-]+/)?[a-z][a-z0-9_-]*\.[a-z]+$")]
"""A file beside a record, or in one folder beside it; never one elsewhere."""


class Frozen(BaseModel):
    """Data of a record: typed, complete, never changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class JobName(Frozen):
    """Which run this is, in words."""

    kind: Literal["family", "rival"]
    name: str
    facet: str | None = None
    view: Literal["all", "normal"]
    replicate: Annotated[int, Field(ge=0, lt=1 << 20)]
    left_out: str | list[str] | None = None

    @property
    def outliers(self) -> list[str]:
        """The classes that are left out."""
        return [self.left_out] if isinstance(self.left_out, str) else self.left_out or []


class Line(Frozen):
    """A curve that a facet measured."""

    x: list[float | None]
    y: list[float | None]

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if len(self.x) != len(self.y):
            raise ValueError(f"a curve of {len(self.x)} and {len(self.y)} numbers")
        return self


class Choice(Frozen):
    """What one facet chose on validation rows (None: nothing to choose), and what that scored on test rows."""

    config: Count | None = None
    metrics: dict[str, float | None]
    curves: dict[str, Line] = {}


class Config(Frozen):
    """One tuning configuration and its training; ``valid`` is the best validation loss.

    ``capacity`` names what it is made of, where that is not the study's code width and hidden layers.
    ``lowered_from`` is the learning rate that was asked, where the training failed with it and was done again with a
    lower one.
    ``cost`` is what the facet of that name measures, of those that some facet chose.
    """

    recipe: dict[str, Any]
    capacity: str | None = None
    learning_rate: float | None
    lowered_from: float | None = None
    status: str
    steps: Count
    best_step: Count
    seconds: float
    valid: float | None
    criteria: dict[str, float | None]
    cost: dict[str, float | None] = {}
    history: dict[str, list[float | None]]

    @model_validator(mode="after")
    def _checks(self) -> Self:
        """Every look at the rows left one number of each kind, and the looks came one after the other."""
        if not self.history:
            return self
        if missing := {"step", "train", "valid"} - self.history.keys():
            raise ValueError(f"a history without {min(missing)}")
        if len({len(values) for values in self.history.values()}) > 1:
            raise ValueError("a history whose numbers are of unequally many checks")
        steps = [-1.0 if step is None else step for step in self.history["step"]]
        if any(not 0 <= step < 1 << 53 for step in steps) or steps != sorted(steps):
            raise ValueError("a history whose steps do not rise")
        return self


class Finding(Frozen):
    """What the doctor found in one configuration: the name of the defect, and the numbers and names that show it."""

    config: Count
    name: str
    evidence: dict[str, float | str | None]


class Record(Frozen):
    """What one finished run left. ``id`` is the hash of its job, ``files`` the hashes of what lies beside it."""

    format: Literal[1] = 1
    id: Hash
    job: JobName
    status: Literal["ok", "diverged", "failed"]
    message: str = ""
    facets: dict[str, Choice] = {}
    configs: list[Config] = []
    findings: list[Finding] = []
    seconds: float = 0.0
    sizes: dict[str, Count] = {}
    versions: dict[str, str] = {}
    files: dict[Member, Hash] = {}


def finite(value: Any) -> Any:
    """Plain data with null in place of every number that JSON cannot carry.

    Examples
    --------
    >>> finite({"mse": float("nan"), "steps": [1, 2.5]})
    {'mse': None, 'steps': [1, 2.5]}
    """
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def canonical(value: Any) -> str:
    """The one spelling of plain data: the same content gives the same text, and so the same hash."""
    return json.dumps(finite(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """SHA-256 of the canonical text of plain data, in hex."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True)
class Job:
    """One unit of work; ``body`` is plain data and says everything that the result depends on."""

    name: JobName
    body: Mapping[str, Any]

    @cached_property
    def id(self) -> str:
        """The hash that names it."""
        return digest({**self.body, "job": self.name.model_dump()})

    @property
    def facets(self) -> tuple[str, ...]:
        """The questions that it asks: several of a family, one of a rival."""
        return tuple(self.body.get("facets", ())) if self.name.facet is None else (self.name.facet,)

    def seed(self, *purpose: str) -> int:
        """A seed of the replicate this job belongs to: the same for every family and rival, so that they pair."""
        return seed(self.body["seed"], self.body["data"], self.name.replicate, *purpose)


def strange(job: Job, record: Record) -> str:
    """What shows that a record, however well sealed, is not what its job leaves; "" if nothing does."""
    if record.job != job.name:
        return "it is of another job"
    if record.status == "failed":
        return ""
    facets, configs = set(job.body.get("facets", record.facets)), job.body.get("configs")
    if job.name.kind == "rival":
        facets, configs = {str(job.name.facet)}, []
    if not record.facets.keys() <= facets:
        return f"its facet {min(record.facets.keys() - facets)!r:.60} was not asked"
    if unknown := {name for choice in record.facets.values() for name in choice.metrics} - METRICS.keys():
        return f"its metric {min(unknown)!r:.60} is unknown"
    values = [value for choice in record.facets.values() for value in choice.metrics.values() if value is not None]
    if any(abs(value) > MOST for value in values):
        return "it has a metric that nothing measures"
    if record.sizes and not (record.sizes.keys() >= SIZES and record.sizes["train"] and record.sizes["test"]):
        return "its sizes are not those of a split"
    if configs is None:
        return ""
    if [one.recipe for one in record.configs] != [one["recipe"] for one in configs]:
        return "its configurations are not those of its job"
    chosen = [choice.config for choice in record.facets.values()] + [one.config for one in record.findings]
    if any(number is not None and number >= max(1, len(configs)) for number in chosen):
        return "it chose a configuration that is not there"
    if configs and any(choice.config is None for choice in record.facets.values()):
        return "it chose no configuration"
    return ""
