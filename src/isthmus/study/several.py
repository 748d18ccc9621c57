"""The same comparison on several data sets: their folders, and who ranks where over all of them.

Each data set has an ordinary study of its own in ``sets/`` of one folder, so everything that holds for a study holds
here: runs that finished are never lost or done again, and the same call continues. A data set may be added later; one
that is no longer named keeps its study and is not counted.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from isthmus.data.dataset import Dataset
from isthmus.data.overlaps import Overlap, groups, overlaps
from isthmus.data.read import read
from isthmus.durable import put, sync
from isthmus.errors import BadInput, NoSuchClass, NoSuchColumn
from isthmus.evidence.ranking import Ranking, rank
from isthmus.evidence.verdict import FacetVerdict
from isthmus.facets import FACETS, crowns
from isthmus.facets.facet import RIVAL_FAMILY
from isthmus.study.budget import seconds
from isthmus.study.options import Reading, declared
from isthmus.study.outline import Outline, outline, slug
from isthmus.study.record import Frozen
from isthmus.study.results import Results
from isthmus.study.store import environment

LIST = "several.json"
DRAFT = ".several.json.tmp"
OURS = {LIST, DRAFT, "sets", "report.html"}
Options = Mapping[str, str]


class Listed(Frozen):
    """A data set that counts: its name, and the folder of its study in ``sets/``."""

    name: str
    folder: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


class Contents(Frozen):
    """What ``several.json`` keeps."""

    format: Literal[1] = 1
    sets: list[Listed]
    overlaps: list[tuple[int, int, float]]
    command: str = ""

    @model_validator(mode="after")
    def _places(self) -> Self:
        if any(not 0 <= place < len(self.sets) for one in self.overlaps for place in one[:2]):
            raise ValueError("overlaps do not fit the data sets")
        return self


class Plans(NamedTuple):
    """Studies that are planned and not begun, by the name of their data set."""

    studies: dict[str, Outline]
    overlaps: list[Overlap]
    folder: Path
    command: str


class SeveralResults:
    """What a folder of studies over several data sets holds, and what follows from it.

    Parameters
    ----------
    folder : path
        As :func:`isthmus.compare_many` makes it.

    Attributes
    ----------
    folder : Path
    studies : dict of str to Results
        The study of each data set.
    overlaps : list of Overlap
        Pairs of data sets that share rows, by their places in ``studies``. Such sets count once in the ranks.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        contents = _contents(self.folder)
        self.studies: Mapping[str, Results] = {
            one.name: Results(self.folder / "sets" / one.folder) for one in contents.sets
        }
        self.overlaps = [Overlap(*one) for one in contents.overlaps]
        self.command = contents.command

    @property
    def complete(self) -> bool:
        """Whether every study is."""
        return all(study.complete for study in self.studies.values())

    def rankings(self) -> dict[str, Ranking]:
        """For each facet that decides: ranks over the data sets that can answer it.

        The score of a contender on a data set is its mean over replicates. A contender that the study's own verdict
        excludes, or that has no score there, is last on that data set. Where a facet is decided by another metric on
        some data sets, because they lack labels, these have a ranking of their own, ``facet (metric)``.
        """
        groups: dict[str, dict[str, FacetVerdict]] = {}
        for name, study in self.studies.items():
            for facet, found in study.verdict().items():
                if crowns(facet):
                    first = next(iter(groups.setdefault(facet, {name: found}).values()))
                    key = facet if first.metric == found.metric else f"{facet} ({found.metric})"
                    groups.setdefault(key, {})[name] = found
        return {key: self._ranking(known) for key, known in groups.items()}

    def _ranking(self, known: Mapping[str, FacetVerdict]) -> Ranking:
        """Of data sets whose verdicts are about the same metric."""
        first, one = next(iter(known.items()))
        places = {i: list(known).index(name) for i, name in enumerate(self.studies) if name in known}
        alike = groups(len(self.studies), self.overlaps)
        return rank(
            {who: [v.means.get(who) for v in known.values()] for who in self.studies[first].contenders(one.facet)},
            list(known),
            facet=one.facet,
            metric=one.metric,
            higher=one.higher,
            rope=one.rope,
            relative=one.relative,
            rivals={RIVAL_FAMILY, *FACETS[one.facet].rivals},
            together=[kept for group in alike if (kept := [places[i] for i in group if i in places])],
            seed=self.studies[first].design.seed,
        )

    def alike(self) -> list[tuple[str, str, float]]:
        """Pairs that share rows, by name."""
        names = list(self.studies)
        return [(names[one.a], names[one.b], one.share) for one in self.overlaps]


def plans(
    sources: Iterable[Any] | Mapping[str, Any],
    *,
    labels: Mapping[str, Any] | None = None,
    label: str | Options | None = None,
    anomaly: str | Options | None = None,
    group: str | Options | None = None,
    time: str | Options | None = None,
    weights: str | Options | None = None,
    out: str | os.PathLike[str] | None = None,
    budget: str | float | None = None,
    command: str = "",
    **options: Any,
) -> Plans:
    """Read all data and plan all studies; nothing is written. Arguments as in :func:`isthmus.compare_many`."""
    if isinstance(sources, str | os.PathLike):
        raise BadInput(f"sources must be several data sets; got the one {str(sources)!r}: use compare for it")
    choices = {"labels": labels, "label": label, "anomaly": anomaly, "group": group, "time": time, "weights": weights}
    data = _read(
        sources,
        choices,
        {name: options.pop(name) for name in declared(Reading) if name in options and name != "images"},
    )
    if len(data) < 2:
        raise BadInput(f"ranks over data sets need at least 2 of them; got {len(data)}: use compare for one")
    first, part = next(iter(data)), None if budget is None else seconds(budget) / len(data)
    folder = Path(out if out is not None else f"isthmus-{slug(first)}-and-{len(data) - 1}-more").absolute()
    places = _unique([slug(name) for name in data], "-{}")
    studies = {
        name: outline(replace(one, name=name), out=folder / "sets" / place, budget=part, command=command, **options)
        for (name, one), place in zip(data.items(), places, strict=True)
    }
    return Plans(studies, overlaps([one.x for one in data.values() if not one.fields]), folder, command)


def begin(planned: Plans) -> None:
    """Make the folder, or make sure that it is one of ours, and write down which data sets count."""
    folder = planned.folder
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; a folder is needed: choose another --out")
    strange = sorted(set(os.listdir(folder)) - OURS) if folder.exists() else []
    if strange:
        raise BadInput(
            f"{folder} holds something other than {LIST} and its studies ({strange[0]}): choose another --out"
        )
    sets = [Listed(name=name, folder=one.folder.name) for name, one in planned.studies.items()]
    content = Contents(
        sets=sets, overlaps=[(one.a, one.b, one.share) for one in planned.overlaps], command=planned.command
    )
    with environment(folder):
        folder.mkdir(parents=True, exist_ok=True)
        put(folder / DRAFT, content.model_dump_json(indent=1).encode())
        os.replace(folder / DRAFT, folder / LIST)
        sync(folder)


def _contents(folder: Path) -> Contents:
    """What ``several.json`` says."""
    path = folder / LIST
    try:
        return Contents.model_validate_json(path.read_bytes())
    except OSError:
        raise BadInput(f"{folder} holds no studies of several data sets (no {LIST}); give their folder") from None
    except ValidationError:
        raise BadInput(f"{path} is damaged; the same command writes it again") from None


def _read(
    sources: Iterable[Any] | Mapping[str, Any], asked: Mapping[str, Any], shared: Mapping[str, Any]
) -> dict[str, Dataset]:
    """All data by name; ``asked`` holds labels, label, anomaly and the columns of groups, times and weights: one for
    all, or by the name of the data set. ``shared`` is how all are read."""
    given = list(sources.items()) if isinstance(sources, Mapping) else [(None, one) for one in sources]
    called = [_called(source) if name is None else [name] for name, source in given]
    for option, choices in asked.items():
        unknown = set(choices) - {name for names in called for name in names} if isinstance(choices, Mapping) else ()
        if unknown:
            there = ", ".join(names[-1] for names in called if names)
            raise BadInput(f"{option}: there is no data set {min(unknown)!r}; the data sets are {there}")
    found: list[Dataset] = []
    missed: dict[tuple[str, str], list[BadInput]] = {}
    for (name, source), names in zip(given, called, strict=True):
        own = {**shared, **{option: choices for option, choices in asked.items() if not isinstance(choices, Mapping)}}
        named = {o: c[n] for o, c in asked.items() if isinstance(c, Mapping) for n in names if n in c}
        if "labels" in named:
            own["label"] = None
        one = _open(source, {**own, **named}, named, missed)
        found.append(one if name is None else replace(one, name=name))
    for errors in missed.values():
        if len(errors) == len(found):  # what nobody has is a slip of the pen
            raise errors[0]
    return dict(zip(_unique([one.name for one in found], " ({})"), found, strict=True))


def _open(
    source: Any, options: dict[str, Any], named: Mapping[str, Any], missed: dict[tuple[str, str], list[BadInput]]
) -> Dataset:
    """One data set. A label, a class, or a column to drop or of a kind, that was asked of all and is not there, is left
    out and counts as missed. Nobody may do without one that was asked of it alone, or one of groups, times or weights.
    """
    try:
        return read(source, **options)
    except NoSuchClass as error:
        option, name, rest = "anomaly", str(options["anomaly"]), {**options, "anomaly": None}
        found: BadInput = error
    except NoSuchColumn as error:
        option, name, found = error.option, error.column, error
        if option == "label":
            rest = {**options, "label": None}
        elif option == "kinds":
            kinds = {column: kind for column, kind in (options.get("kinds") or {}).items() if column != name}
            drop = options.get("drop") or ()
            rest = {
                **options,
                "kinds": kinds,
                "drop": [c for c in ((drop,) if isinstance(drop, str) else drop) if c != name],
            }
        else:
            raise
    if option in named:
        raise found
    missed.setdefault((option, name), []).append(found)
    return _open(source, rest, named, missed)


def _called(source: Any) -> list[str]:
    """What a person may call a data set: the file as given, its name, and that without its endings."""
    if not isinstance(source, str | os.PathLike):
        return []
    text = os.fsdecode(source)
    return [text, Path(text).name, Path(text).name.split(".")[0]]


def _unique(names: Sequence[str], suffix: str) -> list[str]:
    """The names, each once: the second of a name gets ``suffix`` with a 2 in it.

    Examples
    --------
    >>> _unique(["a", "b", "a"], "-{}")
    ['a', 'b', 'a-2']
    """
    found: list[str] = []
    for name in names:
        tries = (name if i == 1 else name + suffix.format(i) for i in range(1, len(names) + 1))
        found.append(next(one for one in tries if one not in found))
    return found
