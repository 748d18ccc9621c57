"""The plan of a comparison: who is asked what, how often, at which budget; expanded into jobs before anything runs.

A job is one family (or one rival of one facet) on one split. A family's job trains all its tuning configurations, so
that the choice among them never leaves the job, and every family gets the same number of configurations, the same
steps and the same batches. A job is named by the hash of its own content: what may change its result is in there.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Unpack

import numpy as np

from isthmus.data.dataset import Dataset
from isthmus.data.fields import TEXTS
from isthmus.data.wording import meant
from isthmus.errors import BadInput
from isthmus.facets import ALWAYS, FACETS
from isthmus.facets.facet import RIVAL_FAMILY, Form
from isthmus.facets.normal import PARTS
from isthmus.facets.pictures import drawable
from isthmus.families import DEFAULT, FAMILIES, named, recipe
from isthmus.metrics import METRICS
from isthmus.model import Range, Recipe, within
from isthmus.parts.bounded import installed, needed
from isthmus.seeds import seed as hashed
from isthmus.study.capacity import USUAL, capacity, match
from isthmus.study.options import CAPACITIES, FIXES, FREE, MATCHED, DesignOptions, filled, signed
from isthmus.study.purpose import affordable, meant_for
from isthmus.study.racing import Round
from isthmus.study.record import Job, JobName
from isthmus.study.store import FORMAT
from isthmus.train.plan import RATE, Plan

LEARNING_RATES = Range(2e-3, 3e-2, log=True)
"""Where tuning looks around the usual rate; around another one in proportion."""
DICTIONARY = "sparse dictionary"
"""The camp of the families that are."""
LEAST_SIDE = 8
"""Pixels of a side of a picture, or steps of a window, from which convolutions are among the capacities."""
TRAINING = 0.6
"""Share of the rows that train."""
LEAST_OUTLIERS = 10
"""Rows that a class needs to play the anomaly: about two of them will be test rows."""
CLASSES_LEFT_OUT = 5
"""One in so many classes plays the anomaly in a replicate where none is declared."""
LEASTS = {"replicates": 2, "configs": 1, "seed": 0}
"""Options that are whole numbers, and what each must be at least."""
OBSTACLES = {
    "no factors": "needs known factors: name their columns (--factors)",
    "no truth": "needs the features that made the rows: give their file (--truth)",
    "no table": "needs a table with gaps, or with columns of several kinds",
    "no labels": "needs labels: give a label column or a second array",
    "one class": "needs at least two classes",
    "classes too small": f"needs a class of at least {LEAST_OUTLIERS} rows that can be left out",
    "few anomalies": f"needs at least {LEAST_OUTLIERS} anomalies",
}
"""Why data cannot answer a question. These sentences are what study files keep; reports say them in other languages."""
LEFT_OUT = "left out for the time that was asked for"
"""Why a facet is skipped that a budget has no time for."""


@dataclass(frozen=True, kw_only=True)
class Design:
    """What fixes a study. Plain data: two studies of equal design have the same jobs.

    Attributes
    ----------
    data : dict
        Name, digest and shape of the data set.
    families : dict of str to list of dict
        For each family its tuning configurations: ``{"recipe": ..., "learning_rate": ...}``, the default first.
    facets : list of str
        The questions asked.
    skipped : dict of str to str
        Questions that these data cannot answer, and why.
    replicates, configs : int
        Splits, and tuning configurations of each family.
    plan : dict
        How every model is trained.
    latents : int
        Width of every code.
    hidden : list of int
        Hidden layers of every encoder.
    seed : int
        What every other seed is hashed from.
    backbone : str
        The network of every encoder; PCA has none.
    contamination : float
        Share of anomalies among the training rows of view ``normal``.
    racing : bool
        Whether time goes where the verdict is open, see :mod:`isthmus.study.racing`.
    rivals : list of str, optional
        Which rivals take part, PCA among them; None: all that the facets bring.
    capacity : str
        ``matched``, or ``free``: configurations with another capacity than that above name it as ``capacity``, and
        facets that say so (``Facet.free``) choose among all of them.
    few : int, optional
        Anomalies that are known in each replicate, of those that it does not test; None: all of these.
    k : int, optional
        Units of a row that fire on average, at most, in every code that is rebuilt; None: as many as do.
    later : tuple of tuple of str
        Facets that were left out for time and taken back, those together that were taken back together. They are no
        part of what was planned: rounds tell them (:meth:`asking`), and trainings are done again for them.
    """

    data: dict[str, Any]
    families: dict[str, list[dict[str, Any]]]
    facets: list[str]
    skipped: dict[str, str]
    replicates: int
    configs: int
    plan: dict[str, Any]
    latents: int
    hidden: list[int]
    seed: int
    backbone: str = USUAL
    contamination: float = 0.0
    racing: bool = False
    rivals: list[str] | None = None
    capacity: str = MATCHED
    k: int | None = None
    few: int | None = None
    later: tuple[tuple[str, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What ``study.json`` keeps: the study as it was planned."""
        kept = dataclasses.asdict(self.asking(()))
        del kept["later"]
        return {"format": FORMAT, **kept}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Design:
        """The design that a ``study.json`` holds."""
        fields = [f for f in dataclasses.fields(cls) if f.name != "later"]
        names = [f.name for f in fields if f.default is dataclasses.MISSING or f.name in content]
        missing = [name for name in names if name not in content]
        if missing:
            raise BadInput(f"study.json lacks {missing[0]!r}; it is damaged, or not the file of a study")
        return cls(**{name: content[name] for name in names})

    def asking(self, rounds: Sequence[Round]) -> Design:
        """The same with the questions that rounds took back, and no others.

        Raises
        ------
        BadInput
            If one of them was not left out for time.
        """
        later = tuple(one.asked for one in rounds if one.asked)
        if later == self.later:
            return self
        before = {facet for some in self.later for facet in some}
        back = {facet for some in later for facet in some}
        left = {**self.skipped, **dict.fromkeys(before, LEFT_OUT)}
        for facet in back:
            if left.pop(facet, None) != LEFT_OUT:
                raise BadInput(f"a round asks about {facet}, which was not left out for time; delete race.json")
        facets = [facet for facet in FACETS if facet in back or facet in set(self.facets) - before]
        return dataclasses.replace(self, facets=facets, skipped=left, later=later)

    def trainings(self) -> list[tuple[str, list[str]]]:
        """Which facets share a training, and its view: ``all`` rows, or ``normal`` rows only."""
        first = [facet for facet in self.facets if not any(facet in some for some in self.later)]
        views = [(view, some) for some in (first, *self.later) for view in ("all", "normal")]
        found = [(view, [f for f in self.facets if f in some and self.view(f) == view]) for view, some in views]
        return [(view, facets) for view, facets in found if facets]

    def view(self, facet: str) -> str:
        """The training that a facet looks at; without labels there is one only."""
        return FACETS[facet].view if self.data["classes"] else "all"

    def primary(self, facet: str) -> str:
        """The metric that decides in a facet: another one where there are no labels."""
        asked = FACETS[facet]
        for form, metric in asked.decided.items():
            if form in self.forms:
                return metric
        if not self.data["classes"]:
            return asked.unlabelled or asked.primary
        return asked.of_steps[0] if asked.of_steps is not None and self.windows else asked.primary

    def floor(self, facet: str) -> float | str | None:
        """What that metric comes to without learning anything: see :class:`isthmus.facets.facet.Facet`."""
        asked = FACETS[facet]
        by_steps = asked.of_steps is not None and self.primary(facet) == asked.of_steps[0]
        return asked.of_steps[1] if asked.of_steps is not None and by_steps else asked.floor

    @property
    def forms(self) -> list[Form]:
        """What the rows are, besides rows of numbers, as far as it makes other rivals or metrics the right ones."""
        data, fields = self.data, self.data.get("fields", ())
        there: dict[Form, bool] = {
            "pictures": data["images"] and drawable(data["shape"]),
            "times": data.get("times") is not None,
            "windows": self.windows,
            "text": any(field["kind"] in TEXTS for field in fields),
            "table": bool(fields),
            "counts": data.get("counts") is not None,
            "dictionaries": self.of_dictionaries,
            "known": bool(self.few),
        }
        return [form for form, so in there.items() if so]

    @property
    def windows(self) -> bool:
        """Whether rows are windows of a series."""
        return self.data.get("window") is not None

    @property
    def dictionaries(self) -> frozenset[str]:
        """The families that are sparse dictionaries."""
        camps = {name: recipe(every[0]["recipe"]).camp for name, every in self.families.items()}
        return frozenset(name for name, camp in camps.items() if camp == DICTIONARY)

    @property
    def of_dictionaries(self) -> bool:
        """Whether the tables are of sparse dictionaries: half of the families at least, besides PCA."""
        others = [name for name in self.families if name != RIVAL_FAMILY]
        return bool(others) and 2 * len(self.dictionaries) >= len(others)

    def narrow(self, config: Mapping[str, Any]) -> bool:
        """Whether a configuration's code is no wider than the study's."""
        return bool(config["recipe"]["latents"] <= self.latents)

    def left_out(self, view: str, replicate: int) -> str | list[str] | None:
        """The classes that play the anomaly in a replicate, in a seeded order: one in five of them, one at least.

        Other ones in each replicate, until all had their turn. How hard a class is to find differs more than replicates
        do, and the mean over several of them differs less; that they are drawn without putting back makes what is
        claimed of their mean the safer.
        """
        if view == "all" or self.data["anomaly"] is not None:
            return None
        counts = zip(self.data["classes"], self.data["class_rows"], strict=True)
        classes = [name for name, rows in counts if rows >= LEAST_OUTLIERS]
        order = np.random.default_rng(hashed(self.seed, self.data["digest"], "left out")).permutation(len(classes))
        count = max(1, len(classes) // CLASSES_LEFT_OUT)
        names = [str(classes[order[(replicate * count + i) % len(classes)]]) for i in range(count)]
        return names if count > 1 else names[0]

    def rivals_of(self, facet: str) -> list[str]:
        """Names of the rivals of a facet that take part, besides the family ``pca``."""
        there = FACETS[facet].rivals_on(*self.forms)
        if self.rivals is None:
            return there
        extras = [name for name in FACETS[facet].rivals if name in FACETS[facet].extras]
        return [name for name in (*there, *extras) if name in self.rivals]

    def jobs(self, rounds: Sequence[Round] = ()) -> list[Job]:
        """All jobs: families before rivals, a replicate of every training before the next one; then those of rounds.

        Who comes back into a race catches up on the replicates that it missed.
        """
        if (whole := self.asking(rounds)) is not self and rounds:
            return whole.jobs(rounds)
        facets = {f: (*self.families, *self.rivals_of(f)) for f in self.facets}
        jobs = self.part(range(self.replicates), facets)
        for one in [some for some in rounds if some.replicates]:
            jobs += self.part(range(one.end), one.doubts)
        return list({job.id: job for job in jobs}.values())

    def part(self, replicates: Iterable[int], contenders: Mapping[str, Sequence[str]]) -> list[Job]:
        """The jobs of some replicates, of those contenders that are named for a facet."""
        common = {
            "format": FORMAT,
            "data": self.data["digest"],
            "seed": self.seed,
            "latents": self.latents,
            **({} if self.k is None else {"k": self.k}),
        }
        families: list[Job] = []
        rivals: list[Job] = []
        for replicate in replicates:
            for view, facets in self.trainings():
                asked = {name for facet in facets for name in contenders.get(facet, ())}
                seen = common | ({"contamination": self.contamination, "parts": PARTS} if view == "normal" else {})
                seen |= {"few": self.few} if view == "normal" and self.few is not None else {}
                where: dict[str, Any] = {
                    "view": view,
                    "replicate": replicate,
                    "left_out": self.left_out(view, replicate),
                }
                wider = any(FACETS[facet].free and FACETS[facet].widens for facet in facets)
                for family, every in self.families.items():
                    if family not in asked:
                        continue
                    configs = [one for one in every if wider or not one.get("capacity") or self.narrow(one)]
                    body = {**seen, "facets": facets, "plan": self.plan, "configs": configs, "racing": self.racing}
                    body["metrics"] = versions([*facets, *ALWAYS])  # it is measured whatever is asked
                    body |= {"capacity": FREE, "places": places(self.configs)} if self.capacity == FREE else {}
                    families.append(Job(JobName(kind="family", name=family, **where), body))
                for facet in facets:
                    names = [n for n in self.rivals_of(facet) if n in contenders.get(facet, ())]
                    body = seen | {"metrics": versions([facet])}
                    rivals += [Job(JobName(kind="rival", name=name, facet=facet, **where), body) for name in names]
        return families + rivals


@signed(DesignOptions)
def design(data: Dataset, *, racing: bool = False, **options: Unpack[DesignOptions]) -> Design:
    """Expand what was asked into a design.

    Parameters
    ----------
    data : Dataset
        Rows, and labels if there are any.
    racing : bool, default False
        Whether configurations and contenders race, see :mod:`isthmus.study.racing`.
    **options
        As in :func:`isthmus.compare`. Questions that the data cannot answer are listed with the reason in ``skipped``;
        ``facets="all"`` asks about known factors only where there are some, and about gaps likewise.

    Raises
    ------
    BadInput
        If a name is unknown, a number makes no sense, or no question can be asked of these data.
    MissingExtra
        If a rival is named whose extra is not installed.
    """
    asked = filled(DesignOptions, options)
    typed = dict(asked["settings"] or {})
    asked = meant_for(asked, data.extent, len(data.x), factors=data.factors is not None, truth=data.truth is not None)
    for name, least in LEASTS.items():
        _whole(asked, name, least)
    if data.still:
        raise BadInput(f"{data.name}: all rows are the same, so there is nothing to learn; give rows that differ")
    plan = training_plan(asked["plan"], **{name: asked[name] for name in ("steps", "learning_rate")})
    backbone = asked["backbone"]
    latents, usual = capacity(data.extent, backbone or USUAL, asked["latents"])
    hidden = usual if asked["hidden"] is None else tuple(asked["hidden"])
    facets, skipped = _facets(asked["facets"], data)
    capacity_ = capacity_asked(asked) or usually(facets)
    against = _rivals(asked["rivals"], facets)
    _polluted(asked["contamination"], facets, data)
    _known(asked["few"], float(asked["contamination"]), facets, data)
    settings = dict(asked["settings"] or {})
    chosen = with_settings(_families(asked["families"]), settings, typed)
    width = 2 * math.prod(data.extent) * latents
    counts, plan = affordable(asked, plan, width, chosen, facets, budgeted=racing)
    replicates, configs, seed = counts["replicates"], counts["configs"], int(asked["seed"])
    if RIVAL_FAMILY not in chosen and (against is None or RIVAL_FAMILY in against):
        chosen[RIVAL_FAMILY] = named(RIVAL_FAMILY)
    matched = {name: match(name, r, latents, hidden, backbone) for name, r in chosen.items()}
    narrow = configs - places(configs) if capacity_ == FREE else configs
    families = {name: configurations(name, r, data.shape, plan, narrow, seed, settings) for name, r in matched.items()}
    if capacity_ == FREE and places(configs) and any(FACETS[facet].free for facet in facets):
        families = {
            name: [*found, *others(matched[name], data, found[0]["learning_rate"])] for name, found in families.items()
        }
    return Design(
        data=_about(data),
        families=families,
        facets=facets,
        skipped=skipped,
        replicates=replicates,
        configs=configs,
        plan=plan.to_json(),
        latents=latents,
        hidden=list(hidden),
        seed=seed,
        backbone=backbone or USUAL,
        contamination=float(asked["contamination"]),
        racing=racing,
        rivals=against,
        capacity=capacity_,
        k=settings.get("k"),
        few=asked["few"],
    )


def with_settings(
    chosen: Mapping[str, Recipe], settings: Mapping[str, Any], typed: Iterable[str] = ()
) -> dict[str, Recipe]:
    """The recipes with fields that were set for all that have them; the number of active units is ``k`` or ``target``.
    A field that was ``typed`` must be one of some family.

    Examples
    --------
    >>> made = with_settings({name: named(name) for name in ("topk", "jumprelu", "sae")}, {"k": 3}, ["k"])
    >>> made["topk"].k, made["jumprelu"].target
    (3, 3.0)
    """
    known: set[str] = set()
    found = {}
    if "k" in settings and (type(settings["k"]) is not int or settings["k"] < 1):
        raise BadInput(f"k must be a whole number of at least 1; got {settings['k']!r}")
    for name, one in chosen.items():
        fields = one.get_params()
        own = {field: value for field, value in settings.items() if field in fields}
        known |= own.keys()
        if "k" in settings and "target" in fields:
            known.add("k")
            own["target"] = float(settings["k"])
        found[name] = dataclasses.replace(one).set_params(**own)
        within(found[name], name)
    for name in typed:
        if name in FIXES:
            raise BadInput(f"{name} is an option of its own: use --{name}")
        if name not in known:
            every = sorted({field for one in chosen.values() for field in one.get_params()})
            raise BadInput(f"no family of the study has a field {name!r}{meant(name, every)}")
    return found


def capacity_asked(asked: Mapping[str, Any]) -> str | None:
    """Matched or free, or None where nothing says so; who says what networks are made of leaves nothing to choose."""
    fixed = [name for name in FIXES if asked[name] is not None]
    wanted = asked["capacity"]
    if wanted is not None and wanted not in CAPACITIES:
        raise BadInput(f"capacity must be {' or '.join(CAPACITIES)}; got {wanted!r}")
    if wanted == FREE and fixed:
        raise BadInput(f"capacity free chooses what {fixed[0]} fixes; leave {fixed[0]} out, or take capacity matched")
    return MATCHED if fixed else wanted


def usually(facets: Iterable[str]) -> str:
    """The capacity of a study of which nobody says it: free where families may choose for every question.

    Examples
    --------
    >>> usually(["features", "anomaly"]), usually(["features", "reconstruction"])
    ('free', 'matched')
    """
    return FREE if all(FACETS[facet].free for facet in facets) else MATCHED


def training_plan(plan: Plan | Mapping[str, Any] | None, **options: Any) -> Plan:
    """How every model is trained: the plan, its fields, or the usual one, with what options say of single fields.

    An option replaces a field of a plan that is given whole; a field that was named is not replaced but refused.

    Examples
    --------
    >>> training_plan({"batch": 32}, steps=100, learning_rate=None).steps
    100
    """
    given = {name: value for name, value in options.items() if value is not None}
    if not isinstance(plan, Plan):
        fields = dict(plan or {})
        if twice := sorted(fields.keys() & given.keys()):
            raise BadInput(f"{twice[0]} is given twice, as an option and as a field of the plan; give it once")
        plan = Plan.from_json(fields)
    return dataclasses.replace(plan, **given)


def _whole(asked: Mapping[str, Any], name: str, least: int) -> None:
    value = asked[name]
    if value is None and name != "seed":
        return
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise BadInput(f"{name} must be a whole number of at least {least}; got {value!r}")


def _about(data: Dataset) -> dict[str, Any]:
    """What a design keeps of its data."""
    return {
        "name": data.name,
        "digest": data.digest,
        "rows": len(data.x),
        "shape": list(data.shape),
        "images": data.images,
        "columns": [] if data.images else list(data.columns),
        "classes": list(data.classes),
        "class_rows": _counts(data),
        "anomaly": data.anomaly,
        "factors": list(data.factor_names),
        **({"fields": [field.to_json() for field in data.fields]} if data.fields else {}),
        **({} if data.counts is None else {"counts": data.counts}),
        **({} if data.truth is None else {"truth": len(data.truth.features)}),
        **data.metadata.sizes,
        **({} if data.windows is None else data.windows.sizes),
    }


def places(configs: int) -> int:
    """How many of so many configurations are of other capacities where these are free: those that train to their end.

    Examples
    --------
    >>> places(6), places(3), places(2)
    (2, 1, 0)
    """
    return configs // 3


def versions(facets: Iterable[str]) -> dict[str, int]:
    """Of the metrics that some facets measure or choose by."""
    return {name: METRICS[name].version for facet in facets for name in FACETS[facet].metrics}


def configurations(
    name: str,
    default: Recipe,
    shape: Sequence[int],
    plan: Plan,
    count: int,
    seed: int,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """The tuning configurations of one family: its default, then a quasi-random design over its declared space.

    Points of a scrambled Halton sequence (Halton 1960; scrambling after Owen 2017) fill the space more evenly than
    independent draws do. The learning rate is tuned with the recipe, around the one that the plan gives it. A
    family with nothing to tune has one configuration. The draw depends on the family's name and the seed of the study,
    so replicates share it. Fields that ``settings`` gave are not drawn.

    Returns
    -------
    list of dict
        ``recipe`` (plain data) and ``learning_rate`` (None for a model without parameters).
    """
    trains = any(True for _ in dataclasses.replace(default, head="auto").build(tuple(shape), "gaussian").parameters())
    usual = plan.step_size(default, math.prod(shape))
    pace = usual / RATE
    rates = LEARNING_RATES._replace(low=LEARNING_RATES.low * pace, high=LEARNING_RATES.high * pace)
    space = {field: span for field, span in default.space().items() if field not in settings}
    space |= {"learning_rate": rates} if trains else {}
    rate = usual if trains else None
    found = [{"recipe": default.to_json(), "learning_rate": rate}]
    if not space:
        return found
    from scipy.stats import qmc  # half a second, and whoever estimates a training loads this file

    stream = np.random.default_rng(hashed(seed, "configurations", name))
    points = qmc.Halton(len(space), scramble=True, seed=stream).random(count - 1)
    for point in points:
        drawn = {field: span.at(float(u)) for (field, span), u in zip(space.items(), point, strict=True)}
        rate = drawn.pop("learning_rate", None)
        found.append({"recipe": recipe(default.to_json() | drawn).to_json(), "learning_rate": rate})
    return found


def near(data: Dataset) -> str | None:
    """The convolutions that rows are made for, where they are long enough for two that halve them; else None."""
    if data.windows is not None:
        return "conv1d" if data.extent[0] >= LEAST_SIDE else None
    pictures = data.images and len(data.extent) in (2, 3)
    return "conv2d" if pictures and min(data.extent[:2]) >= LEAST_SIDE else None


def others(matched: Recipe, data: Dataset, rate: float | None) -> list[dict[str, Any]]:
    """The other capacities of a family on these data, each at the family's defaults and rate, as far as it can be so.

    Returns
    -------
    list of dict
        As :func:`configurations` gives them, and ``capacity``: its name.
    """
    found = []
    for name, fields in matched.capacities(data.extent, int(TRAINING * len(data.x)), near(data)).items():
        try:
            one = recipe(dataclasses.replace(matched).set_params(**fields).to_json())
        except BadInput:  # a rule between its fields: this family has no such form
            continue
        found.append({"recipe": one.to_json(), "learning_rate": rate, "capacity": name})
    return found


def _families(asked: str | Recipe | Iterable[str | Recipe] | Mapping[str, Recipe]) -> dict[str, Recipe]:
    """The families by name."""
    if isinstance(asked, Mapping):
        chosen = {str(name): r for name, r in asked.items()}
    else:
        if isinstance(asked, str):
            groups = {"default": DEFAULT, "all": [name for name, r in FAMILIES.items() if not r.wants]}
            asked = groups.get(asked) or _names(asked)
        listed = [asked] if isinstance(asked, Recipe) else list(asked)
        pairs = [(r.family, r) if isinstance(r, Recipe) else (r, named(r)) for r in listed]
        chosen = dict(pairs)
        if len(chosen) < len(pairs):
            raise BadInput("two recipes of one family need names of their own: give a dict of name -> recipe")
    if not chosen:
        raise BadInput(f"no family given; choose some of {', '.join(FAMILIES)}")
    for name, r in chosen.items():
        if not isinstance(r, Recipe):
            raise BadInput(f"family {name!r} must be a name or a recipe; got {type(r).__name__}")
        if r.wants:
            raise BadInput(f"family {name!r} cannot take part in a study, which provides rows only: it needs {r.wants}")
    return chosen


def _rivals(asked: str | Iterable[str], facets: Sequence[str]) -> list[str] | None:
    """The rivals that were asked for by name; None: all but those that need an extra.

    Those of an extra that is installed take part too; a study then keeps all names, for it may be read elsewhere.
    """
    if asked == "none":
        return []
    known = [RIVAL_FAMILY, *dict.fromkeys(name for facet in FACETS.values() for name in facet.rivals)]
    extras = {name for facet in FACETS.values() for name in facet.extras}
    if asked == "all":
        there = {name for facet in facets for name in FACETS[facet].extras} & set(installed())
        return [name for name in known if name in there or name not in extras] if there else None
    wanted = _names(asked) if isinstance(asked, str) else list(asked)
    for name in wanted:
        if name not in known:
            hint = meant(str(name), known) or f"; choose all, none or some of {', '.join(known)}"
            raise BadInput(f"unknown rival {name!r}{hint}")
        if name in extras:
            needed(name)
    return [name for name in known if name in wanted]


def _facets(asked: str | Iterable[str], data: Dataset) -> tuple[list[str], dict[str, str]]:
    """The facets that these data can answer, in the table's order, and why they cannot answer the others."""
    if isinstance(asked, str):
        gaps = any(field.gaps for field in data.fields)
        known = [
            name
            for name, facet in FACETS.items()
            if (not facet.factors or data.factors is not None)
            and (not facet.truth or data.truth is not None)
            and (not facet.tables or gaps)
        ]
        asked = known if asked == "all" else _names(asked)
    wanted = list(asked)
    for name in wanted:
        if name not in FACETS:
            close = difflib.get_close_matches(str(name), FACETS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else f"choose some of {', '.join(FACETS)}"
            raise BadInput(f"unknown facet {name!r}: {hint}")
    skipped = {name: reason for name, reason in obstacles(data).items() if name in wanted}
    answered = [name for name in FACETS if name in wanted and name not in skipped]
    if not answered:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items()) or "none was given"
        raise BadInput(f"no facet can be measured on {data.name} ({reasons})")
    return answered, skipped


def obstacles(data: Dataset) -> dict[str, str]:
    """The facets that these data cannot answer, with the reason."""
    return {name: reason for name in FACETS if (reason := _obstacle(name, data))}


def _obstacle(name: str, data: Dataset) -> str:
    """Why a facet cannot be measured on these data, or ""."""
    if FACETS[name].factors and data.factors is None:
        return OBSTACLES["no factors"]
    if FACETS[name].truth and data.truth is None:
        return OBSTACLES["no truth"]
    if FACETS[name].tables and not data.fields:
        return OBSTACLES["no table"]
    if not FACETS[name].labels:
        return ""
    if data.y is None:
        return "" if FACETS[name].unlabelled else OBSTACLES["no labels"]
    counts = _counts(data)
    if len(counts) < 2:
        return OBSTACLES["one class"]
    normal = FACETS[name].view == "normal"
    if normal and data.anomaly is None and max(counts) < LEAST_OUTLIERS:
        return OBSTACLES["classes too small"]
    if normal and data.anomaly is not None and counts[data.classes.index(data.anomaly)] < LEAST_OUTLIERS:
        return OBSTACLES["few anomalies"]
    return ""


def _polluted(share: float, facets: Sequence[str], data: Dataset) -> None:
    """Refuse a share of anomalies that makes no sense, or that no facet of the study would notice."""
    if not isinstance(share, int | float) or isinstance(share, bool) or not 0 <= share < 0.5:
        raise BadInput(f"contamination must be a share of at least 0 and below 0.5; got {share!r}")
    if share and (data.y is None or not any(FACETS[facet].view == "normal" for facet in facets)):
        why = "these data have no labels" if data.y is None else "the facet anomaly is not asked"
        raise BadInput(f"contamination leaves labelled anomalies in the training of the facet anomaly, but {why}")


def _known(few: int | None, share: float, facets: Sequence[str], data: Dataset) -> None:
    """Refuse a number of known anomalies that nobody would learn from, or that there are not."""
    if few is None:
        return
    if not isinstance(few, int | np.integer) or isinstance(few, bool) or few < 0:
        raise BadInput(f"few must be a whole number of anomalies, 0 or more; got {few!r}")
    apart = data.windows is None and data.metadata.time is None and data.metadata.group is None
    if data.anomaly is None or not any(FACETS[facet].view == "normal" for facet in facets):
        why = "these data name none (--anomaly)" if data.anomaly is None else "the facet anomaly is not asked"
        raise BadInput(f"few is how many anomalies are known, but {why}")
    if not apart or share:
        why = "contamination" if apart else "rows that hang together in groups or time"
        raise BadInput(f"few leaves the known anomalies out of training and test, which {why} rules out; leave one out")
    there = _counts(data)[data.classes.index(str(data.anomaly))]
    if few > (most := there - math.ceil(there / PARTS)):
        raise BadInput(
            f"few is {few}, but of {there} anomalies only {most} are not tested in a replicate; ask for fewer"
        )


def _counts(data: Dataset) -> list[int]:
    """Rows of each class."""
    return [] if data.y is None else np.bincount(data.y, minlength=len(data.classes)).tolist()


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]
