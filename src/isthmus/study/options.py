"""What a study may be asked. Each option stands here once, with its type, default and help.

The signature of :func:`isthmus.compare` and the options of the command line follow from it. Importing this file loads
nothing heavy, so that ``--help`` comes at once.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ForwardRef, Literal, NamedTuple, TypedDict, TypeVar

from isthmus.errors import BadInput

if TYPE_CHECKING:
    from isthmus.model import Recipe
    from isthmus.train.plan import Plan

CAPACITIES = MATCHED, FREE = "matched", "free"
FIXES = ("latents", "hidden", "backbone")
"""Options that fix the capacity of every family."""

F = TypeVar("F", bound=Callable[..., Any])


def _width(text: str) -> int | str:
    """A code width from text, or "auto".

    Examples
    --------
    >>> _width("12"), _width("auto")
    (12, 'auto')
    """
    if text.strip() == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"--latents takes a whole number, or auto; got {text!r}") from None


def _widths(text: str) -> list[int]:
    """Hidden layers from text.

    Examples
    --------
    >>> _widths("64,32"), _widths("none")
    ([64, 32], [])
    """
    if text.strip() in {"", "none"}:
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(f"--hidden takes widths with commas, like 64,64, or none; got {text!r}") from None


def _capacity(text: str) -> str:
    """One of the two capacities.

    Examples
    --------
    >>> _capacity("free")
    'free'
    """
    if text not in CAPACITIES:
        raise BadInput(f"--capacity takes {' or '.join(CAPACITIES)}; got {text!r}")
    return text


def _kinds(texts: Sequence[str]) -> dict[str, str]:
    """Kinds of columns from text.

    Examples
    --------
    >>> _kinds(["zip=category"])
    {'zip': 'category'}
    """
    found = {}
    for text in texts:
        column, equals, kind = text.rpartition("=")
        if not equals or not column:
            raise BadInput(f"--kind takes COLUMN=KIND; got {text!r}")
        found[column] = kind
    return found


def value(text: str, *, listed: bool = False) -> Any:
    """What a person types behind ``=``: a number, true, false, none, a word, or a list of numbers with commas.

    Examples
    --------
    >>> value("0.5"), value("none"), value("tanh"), value("64,32", listed=True), value("none", listed=True)
    (0.5, None, 'tanh', [64, 32], [])
    """
    import json

    if listed:
        return [] if text in {"", "none"} else [value(part.strip()) for part in text.strip("[]()").split(",")]
    words = {"none": None, "true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        return json.loads(text)
    except ValueError:
        return text


def _of_plan(texts: Sequence[str]) -> dict[str, Any]:
    """Fields of the plan from text; what they may be, the plan knows.

    Examples
    --------
    >>> _of_plan(["steps=300", "schedule=cosine"])
    {'steps': 300, 'schedule': 'cosine'}
    """
    return _fields("--plan", texts, lists=False)


def _settings(texts: Sequence[str]) -> dict[str, Any]:
    """Fields of recipes from text; what they may be, the families know.

    Examples
    --------
    >>> _settings(["k=32", "prefixes=64,256"])
    {'k': 32, 'prefixes': [64, 256]}
    """
    return _fields("--set", texts, lists=True)


def _fields(flag: str, texts: Sequence[str], *, lists: bool) -> dict[str, Any]:
    """What ``FIELD=VALUE`` says, each field once; where there are ``lists``, a comma makes one."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, given = text.partition("=")
        if not equals:
            raise BadInput(f"{flag} takes FIELD=VALUE; got {text!r}")
        if name in found:
            raise BadInput(f"{flag} {name} is given twice; give it once")
        found[name] = value(given, listed=lists and "," in given)
    return found


class Option(NamedTuple):
    """The default of an option, and what it is on a command line."""

    default: Any
    help: str = ""
    metavar: str | None = None
    kind: Any = str
    """Its type on a command line; None: it has no place there."""
    shown: str | None = None
    """What stands in the help for a default that is worked out."""
    flag: str | None = None
    """What is typed; by default two dashes and the name."""
    read: Callable[[Any], Any] | None = None
    """What is made of the text that was typed."""


class Columns(TypedDict, total=False):
    """What the columns of a table are."""

    kinds: Annotated[
        Mapping[str, str] | None,
        Option(
            None,
            "What a column is: number, amount (with a long tail), count (whole), flag, category, ordered, date, text "
            "(by its words), characters (text by groups of them) or hashed (text in buckets); repeatable.",
            "COLUMN=KIND",
            kind=list[str],
            shown="from the cells",
            flag="--kind",
            read=_kinds,
        ),
    ]
    drop: Annotated[
        str | Iterable[str] | None, Option(None, "A column to leave out; repeatable.", "COLUMN", kind=list[str])
    ]
    missing: Annotated[
        Iterable[float] | None,
        Option(None, "A number that means a missing value; repeatable.", "NUMBER", kind=list[float]),
    ]
    terms: Annotated[
        int | None,
        Option(
            None,
            "How many terms of each column of free text are kept, or how many buckets a hashed one has.",
            "N",
            kind=int,
            shown="from the number of rows",
        ),
    ]


class Beside(TypedDict, total=False):
    """What is known of rows besides their columns; models never see it."""

    group: Annotated[
        Any,
        Option(None, "Column of the groups: rows of one group never stand on both sides of a split.", "COLUMN"),
    ]
    time: Annotated[
        Any,
        Option(
            None,
            "Column of the time, or the word rows if rows are in order of time: train on the past, test on the future.",
            "COLUMN|rows",
        ),
    ]
    weights: Annotated[Any, Option(None, "Column of the weights: how much each row counts.", "COLUMN")]


class Pictures(TypedDict, total=False):
    """How encoded pictures become rows."""

    size: Annotated[
        Any,
        Option(
            None,
            "Height and width that pictures are resized to: 32, or 32x48.",
            "N|HEIGHTxWIDTH",
            shown="their own, at most 64",
        ),
    ]
    crop: Annotated[
        bool, Option(False, "Cut out the middle of pictures of another shape, instead of stretching them.", kind=bool)
    ]
    gray: Annotated[
        bool | None,
        Option(
            None,
            "Read pictures with one channel, or with three.",
            kind=bool,
            shown="three if any has colours",
            flag="--gray/--color",
        ),
    ]
    features: Annotated[
        str | os.PathLike[str] | None,
        Option(
            None,
            "ONNX graph that turns each picture into features, which are then the row; or folder of a language model "
            "whose embeddings replace free text.",
            "PATH",
            kind=Path,
        ),
    ]
    skip_damaged: Annotated[
        bool, Option(False, "Leave out pictures that cannot be read, instead of refusing them.", kind=bool)
    ]


class Arrays(TypedDict, total=False):
    """What the axes of arrays mean."""

    axes: Annotated[
        Literal["first", "last"] | None,
        Option(
            None,
            "Which axis of rows with three axes holds the channels.",
            "first|last",
            kind=Literal["first", "last"],
            shown="asked of the shape",
        ),
    ]


class Counting(TypedDict, total=False):
    """Whether rows are counts, and how many of their columns are learnt from."""

    counts: Annotated[
        bool | None,
        Option(
            None,
            "Whether rows are counts, each with a total of its own, such as the genes of a cell.",
            kind=bool,
            shown="yes for sparse matrices of whole numbers",
            flag="--counts/--no-counts",
        ),
    ]
    most: Annotated[
        int | None,
        Option(
            None,
            "How many columns of counts are kept: those that vary most on training rows.",
            "N",
            kind=int,
            shown="2000",
        ),
    ]


class Windowing(TypedDict, total=False):
    """What windows are made of a series, where a row is one step of it."""

    window: Annotated[
        int | None,
        Option(
            None,
            "For a series with one row for each step: how many steps make a window, which is what models see as a "
            "row; with --time.",
            "STEPS",
            kind=int,
        ),
    ]
    stride: Annotated[int | None, Option(None, "Steps from one window to the next.", "STEPS", kind=int, shown="1")]


class TableOptions(Columns, Beside, Pictures, Arrays, Windowing, Counting, total=False):
    """What may be asked of a table, of pictures, of a series, of counts or of an array, besides its labels."""


class Reading(TableOptions, total=False):
    """How the data are read."""

    label: Annotated[str | None, Option(None, "Column of the labels.", "COLUMN")]
    anomaly: Annotated[str | None, Option(None, "The class whose rows are anomalies.", "LABEL")]
    factors: Annotated[
        Any, Option(None, "Columns with known factors of variation, to judge codes by; models never see them.", "A,B")
    ]
    truth: Annotated[
        Any,
        Option(
            None,
            "For rows that were simulated: the true features that made them (.npy; or .npz or .safetensors with "
            "features and, where known, present and parents), to which the facet recovery compares each dictionary.",
            "FILE",
            kind=Path,
        ),
    ]
    images: Annotated[
        bool | None,
        Option(
            None,
            "Whether rows with two or three axes are images.",
            kind=bool,
            shown="decided from the numbers",
            flag="--images/--no-images",
        ),
    ]
    rows: Annotated[
        int | None,
        Option(
            None,
            "Largest number of rows: of a longer file (Parquet, .npy, .safetensors, shards) so many are drawn.",
            "N",
            kind=int,
            shown="those of 1 GiB of numbers",
        ),
    ]
    memory: Annotated[
        str | int | None,
        Option(
            None,
            "Instead of --rows: memory for the rows, such as 2GiB. A study holds about eight copies of them, so as "
            "many are read as fit into it eight times; each process takes 350 MiB besides.",
            "SIZE",
        ),
    ]


class Asking(TypedDict, total=False):
    """What is asked, and how often."""

    facets: Annotated[
        str | Iterable[str], Option("all", "Facets (questions) to measure.", "A,B", shown="all that data can answer")
    ]
    replicates: Annotated[
        int | None, Option(None, "Random splits of the data, at least 2.", kind=int, shown="5; 3 of a costly study")
    ]
    steps: Annotated[
        int | None,
        Option(None, "Largest number of optimiser steps of one training.", kind=int, shown="from the plan of training"),
    ]
    seed: Annotated[int, Option(0, "Random seed; the same seed, data and machine give the same numbers.", kind=int)]
    learning_rate: Annotated[
        float | None,
        Option(
            None,
            "Adam's step size, for every family; tuning tries from 0.4 to 6 times as much.",
            "RATE",
            kind=float,
            shown="0.005, or the family's own",
        ),
    ]
    plan: Annotated[
        "Plan | Mapping[str, Any] | None",
        Option(
            None,
            "A field of the plan of training (isthmus list plan); repeatable.",
            "FIELD=VALUE",
            kind=list[str],
            read=_of_plan,
        ),
    ]


class Compared(TypedDict, total=False):
    """Who is compared, and for what."""

    purpose: Annotated[
        str | None,
        Option(
            None,
            "What the codes are for: compress, classify, find_anomalies, generate, fill_gaps or interpret. Measures "
            "only what bears on it; interpret compares wide sparse dictionaries at one number of active units, "
            "fill_gaps the family masked too.",
            "PURPOSE",
            shown="all purposes",
            flag="--for",
        ),
    ]

    families: Annotated[
        "str | Recipe | Iterable[str | Recipe] | Mapping[str, Recipe]",
        Option("default", "Families to compare.", "A,B|all", shown="nine, one for each idea"),
    ]
    rivals: Annotated[
        str | Iterable[str],
        Option("all", "Rivals that autoencoders must beat, pca among them: names, all or none.", "A,B|none"),
    ]
    configs: Annotated[
        int | None,
        Option(None, "Hyper-parameter settings tried for each family.", kind=int, shown="6; 3 of a costly study"),
    ]
    capacity: Annotated[
        Literal["matched", "free"] | None,
        Option(
            None,
            "Whether every family keeps one code width, or chooses its network for each purpose on validation rows.",
            "matched|free",
            shown="free where families may choose for all questions",
            read=_capacity,
        ),
    ]
    latents: Annotated[
        int | Literal["auto"] | None,
        Option(None, "Code width of every family; auto tries several.", "N|auto", shown="from the data", read=_width),
    ]
    hidden: Annotated[
        Sequence[int] | None,
        Option(None, "Widths of the hidden layers, or none.", "64,64", shown="from the data", read=_widths),
    ]
    backbone: Annotated[str | None, Option(None, "Network: linear, mlp, conv1d, conv2d or vit.", "NAME", shown="mlp")]
    settings: Annotated[
        Mapping[str, Any] | None,
        Option(
            None,
            "A field, for every family that has it, which is then not tuned; repeatable. With k=N rows are rebuilt "
            "from N active units in every family.",
            "FIELD=VALUE",
            kind=list[str],
            shown="each family's own",
            flag="--set",
            read=_settings,
        ),
    ]
    contamination: Annotated[
        float,
        Option(0.0, "Share of anomalies left among the training rows: 0.05 is 5%.", "SHARE", kind=float),
    ]
    few: Annotated[
        int | None,
        Option(
            None,
            "How many anomalies are known in advance: scores are chosen by them, trees learn from them, and they are "
            "never tested.",
            "N",
            kind=int,
            shown="all that are not tested choose scores",
        ),
    ]


class Running(TypedDict, total=False):
    """Where and how it runs."""

    jobs: Annotated[int | None, Option(None, "Worker processes.", kind=int, shown="one for each core")]
    cluster: Annotated[
        str | None,
        Option(
            None,
            "Dask cluster that does the runs: tcp://HOST:PORT, a scheduler file, or local:N for N processes here.",
            "ADDRESS",
        ),
    ]
    checkpoint: Annotated[
        str | float | None,
        Option(
            None,
            "How often unfinished trainings are saved, such as 5m: a study that is stopped goes on in their middle.",
            "TIME",
            shown="runs that are cut begin anew",
        ),
    ]
    out: Annotated[str | os.PathLike[str] | None, Option(None, "Study folder.", "DIR", kind=Path, shown="isthmus-DATA")]
    command: Annotated[str, Option("", kind=None)]


class DesignOptions(Asking, Compared, total=False):
    """What fixes a study of data that are read."""


class CompareOptions(Reading, Compared, Asking, Running, total=False):
    """What :func:`isthmus.compare` may be asked."""

    budget: Annotated[
        str | float | None,
        Option(
            None,
            "Time limit, such as 90s, 5m or 1.5h; spare time adds replicates where the answer is undecided.",
            "TIME",
        ),
    ]
    more: Annotated[
        int | None,
        Option(
            None,
            "How many replicates to add to the finished study in --out, where its verdicts are undecided; DATA and all "
            "other options may be left out, for the folder knows them.",
            "N",
            kind=int,
        ),
    ]


class PartOptions(Asking, total=False):
    """What fixes an ablation of data that are read."""

    configs: Annotated[int, Option(1, "Hyper-parameter settings tried; 1 is the recipe as given.", kind=int)]


class AblateOptions(Reading, PartOptions, Running, total=False):
    """What :func:`isthmus.ablate` may be asked."""


def declared(kind: type) -> dict[str, Option]:
    """The options of one of the classes above, in their order."""
    return {name: hint.__metadata__[0] for name, hint in kind.__annotations__.items()}


def running(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Of the options of a study, where and how its runs are done, as :func:`isthmus.study.run.run` takes it.

    Examples
    --------
    >>> running({"jobs": 2, "checkpoint": "5m", "seed": 0})
    {'workers': 2, 'cluster': None, 'checkpoint': '5m'}
    """
    return {"workers": asked.get("jobs"), "cluster": asked.get("cluster"), "checkpoint": asked.get("checkpoint")}


def filled(kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every option: as given, or its default.

    Raises
    ------
    TypeError
        For an option that there is not, as Python says it.

    Examples
    --------
    >>> filled(AblateOptions, {"seed": 3})["seed"], filled(AblateOptions, {})["configs"]
    (3, 1)
    """
    known = declared(kind)
    if unknown := sorted(set(given) - known.keys()):
        raise TypeError(f"there is no option {unknown[0]!r}; the options are {', '.join(known)}")
    return {name: given.get(name, option.default) for name, option in known.items()}


def signed(kind: type) -> Callable[[F], F]:
    """For a function that takes options as ``**options``: its signature shows each of them, with its default."""

    def sign(function: F) -> F:
        """The function with all options in its signature, which ``help`` and editors show."""
        own = inspect.signature(function)
        kept = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        shown = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=_spelled(kind.__annotations__[name].__origin__),
            )
            for name, option in declared(kind).items()
        ]
        whole = own.replace(parameters=sorted([*kept, *shown], key=lambda p: p.kind))
        vars(function)["__signature__"] = whole
        return function

    return sign


def _spelled(hint: Any) -> Any:
    return hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
