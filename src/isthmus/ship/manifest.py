"""The manifest of a saved model: what stands in ``model.json``, and the seal that vouches for every byte of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from isthmus.data.files import bounded
from isthmus.errors import BadEnvironment, BadInput
from isthmus.scorer import AROUND

FORMAT: Final = 4
"""What is written. 2 is 1 with a target, 3 is 1 with columns of several kinds; 4 has a score, a calibration and a
reference where it can, and may lack how the model was trained."""
KIND: Final = "isthmus model"
OLDER: Final = (1, 2, 3)
SINCE_4 = frozenset(
    {"score", "calibration", "gaps", "decision", "pictures", "sentences", "reference", "origin", "sampler", "draws"}
)
BEFORE_4 = frozenset({"plan", "outcome"})
"""What no older manifest has, and what every one had."""
MOST_RECIPE = 4 << 10  # characters; bounds the number of layers a file can ask for
WHOLE = Field(ge=0, lt=1 << 53)
Shape = Annotated[list[Annotated[int, Field(ge=1, lt=1 << 40)]], Field(min_length=1, max_length=8)]


class Strict(BaseModel):
    """Plain data from a file: nothing is converted, and nothing besides is there."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


Head = Literal["gaussian", "bernoulli", "huber", "student", "table", "poisson", "negative_binomial"]


class Member(Strict):
    """What the manifest says of a file beside it."""

    bytes: int = WHOLE
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Summary(Strict):
    """How the training ended. Seconds and curves stay with the run: equal trainings make equal files."""

    status: str
    steps: int = WHOLE
    best_step: int = WHOLE


class Target(Strict):
    """What the model predicts, if that is not its own rows."""

    shape: Shape
    scaler: dict[str, JsonValue]


class Score(Strict):
    """How the distances to the places of training rows become a score."""

    places: int = Field(ge=2, lt=1 << 24)
    """How many there are."""
    calm: float = Field(gt=0)
    weights: list[float] = Field([2.0, 2.0, 1.0], min_length=3, max_length=3)
    """Of the distance to a neighbour, the outlier factor and the distance to the mean; by default those of models that
    were saved when there was no choice."""
    nearest: int = Field(5, ge=1, le=AROUND)
    """Which neighbour that is; by default that of such models."""


class Calibrated(Strict):
    """Which rows say how rare a score is."""

    rows: int = Field(ge=1, lt=1 << 31)
    rate: float = Field(gt=0, lt=1)
    about: str = Field(max_length=500)


class Hidden(Strict):
    """Of which cells of a column it is known how far off what is filled in is."""

    column: str
    cells: int = Field(ge=1, lt=1 << 31)
    """How many were hidden; of few rows some several times."""
    rows: int = Field(ge=1, lt=1 << 31)
    """Of how many rows."""


class Ranked(Strict):
    """How many values of a column of numbers say what made ones become."""

    column: int = Field(ge=0, lt=1 << 24)
    made: int = Field(ge=1, lt=1 << 24)
    real: int = Field(ge=1, lt=1 << 24)


class Drawn(Strict):
    """How new rows are drawn."""

    codes: Literal["prior", "mixture"]
    components: int = Field(ge=0, lt=1 << 16)
    """Of the mixture; 0 of a prior."""
    axes: int | None = Field(default=None, ge=1, lt=1 << 16)
    """Along which the mixture lies, of wide codes; None: it is of the codes themselves."""
    noise: float = Field(ge=0)
    """In the other directions."""
    noisy: bool
    """Whether rows get the noise that a decoder leaves out."""
    columns: list[Ranked] = Field(default_factory=list, max_length=1 << 20)


class Features(Strict):
    """The graph whose features of pictures rows are, and what the pictures are drawn on."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    height: int = Field(ge=1, lt=1 << 20)
    width: int = Field(ge=1, lt=1 << 20)
    colour: bool


class Pictures(Strict):
    """How encoded pictures become rows, besides the shape of these."""

    crop: bool
    deep: bool
    features: Features | None = None


class Measured(Strict):
    """What a study measured of models like this one, on test rows."""

    metric: str = Field(max_length=60)
    value: float
    """Mean over replicates; of a metric that compares by ratio the geometric one."""
    low: float | None = None
    high: float | None = None
    """Its 95 % interval; none of a single replicate."""
    own: float | None = None
    """In this model's replicate."""


class Origin(Strict):
    """Where a model comes from: for what it was chosen, from which data, and what was measured."""

    purpose: str = Field(default="", max_length=60)
    """The facet that it was chosen for."""
    data: str = Field(max_length=200)
    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the data: equal data, equal digest, and no row can be told from it."""
    rows: int = Field(ge=1, lt=1 << 53)
    replicates: int = Field(default=1, ge=1, lt=1 << 31)
    measured: list[Measured] = Field(default_factory=list, max_length=100)
    refitted: int | None = Field(default=None, ge=1, lt=1 << 53)
    """Rows that this model was trained on again after all that was measured; None: it is one that was measured."""


class Manifest(Strict):
    """The content of ``model.json``, without its seal."""

    kind: Literal["isthmus model"]
    format: Literal[4]
    recipe: dict[str, JsonValue]
    shape: Shape
    head: Head
    scaler: dict[str, JsonValue]
    target: Target | None = None
    columns: list[str]
    plan: dict[str, JsonValue] | None = None
    outcome: Summary | None = None
    score: Score | None = None
    calibration: Calibrated | None = None
    gaps: list[Hidden] | None = None
    pictures: Pictures | None = None
    sentences: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """SHA-256 of the language model whose embeddings of texts rows hold."""
    origin: Origin | None = None
    versions: dict[str, str]
    tensors: Member
    sampler: Drawn | None = None
    decision: Member | None = None
    reference: Member | None = None
    draws: Member | None = None


def seal(manifest: Mapping[str, Any]) -> bytes:
    """The text of a manifest, a line for each key, closed with the SHA-256 of all that stands before."""
    lines = (f" {json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in manifest.items())
    return closed(("{\n" + ",\n".join(lines)).encode())


def closed(text: bytes) -> bytes:
    """A manifest's text without its end, with the seal and the end."""
    return text + b',\n "seal": "' + hashlib.sha256(text).hexdigest().encode() + b'"\n}\n'


TAIL = len(closed(b""))


def parse(path: Path, text: bytes) -> Manifest:
    """The manifest in ``text``, checked; ``path`` is for the messages.

    Raises
    ------
    BadInput
        If one byte of it changed, or it is not what this version writes.
    """
    if text != closed(text[:-TAIL]):
        refuse(path, "damaged or edited: it does not match its own seal")
    try:
        data = strict(text)
    except (ValueError, RecursionError):
        refuse(path, "not the JSON that we write")
    if not isinstance(data, dict) or data.get("kind") != KIND:
        refuse(path, "not the manifest of a model")
    version = data.get("format")
    if isinstance(version, int) and version > FORMAT:
        refuse(path, f"format {version} is newer than this version reads ({FORMAT}): upgrade isthmus")
    if len(json.dumps(data.get("recipe"))) > MOST_RECIPE:
        refuse(path, f"recipe is longer than {MOST_RECIPE} characters")
    try:
        return Manifest.model_validate(_migrated(path, {k: v for k, v in data.items() if k != "seal"}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        refuse(path, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


def strict(text: bytes) -> Any:
    """What JSON says in which no key stands twice and every number is one.

    Raises
    ------
    ValueError, RecursionError
        If it is something else.
    """
    return json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_constant)


def _migrated(path: Path, data: dict[str, Any]) -> dict[str, Any]:
    """A manifest of an older format as this version writes it: the old ones say less, and nothing otherwise."""
    if data.get("format") in OLDER and type(data["format"]) is int:
        for name in SINCE_4 & data.keys():
            refuse(path, f"{name}: not a part of format {data['format']}")
        for name in sorted(BEFORE_4 - data.keys()):
            refuse(path, f"{name}: missing")
        return {**data, "format": FORMAT}
    return data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key occurs twice")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def refuse(path: Path | str, why: str) -> NoReturn:
    """One line of at most a few hundred printable characters, whatever the file says."""
    line = " ".join((f"{path}: {why}" if path else why).split())
    line = line.encode("ascii", "backslashreplace").decode() if not line.isprintable() else line
    raise BadInput(line if len(line) <= 600 else f"{line[:600]} ...")


def plain_file(path: Path, *, most: int) -> bytes:
    """The bytes of a plain file: no link, device or pipe is followed, and no more than ``most`` bytes are read."""
    try:
        return bounded(path, most)
    except FileNotFoundError:
        refuse(path, "missing")
    except PermissionError:
        raise BadEnvironment(f"no permission to read {path}") from None
    except BadInput as error:
        refuse("", str(error))
    except NotADirectoryError as error:
        refuse(path, f"not a plain file ({error.strerror})")
    except OSError as error:  # the disk refuses, which says nothing of the file
        raise BadEnvironment(f"cannot read {path}: {error.strerror}") from None
