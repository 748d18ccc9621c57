"""Capacity: the width of every family's code, matched over the families; a rule of thumb, what was asked, or a sweep.

The sweep cannot ask how well rows are rebuilt: every further unit rebuilds more of their noise, so that error falls
until nothing is narrow any more. It asks for what a code has to say about elements that its encoder did not see (Wold
1978, Cross-validatory estimation of the number of components; for networks Batson and Royer 2019, Noise2Self). Noise
is no help there, and units beyond what the elements share buy nothing. Two references are swept, both on the study's
own splits: the family ``masked`` on the study's network, which is the plain autoencoder trained for this very task,
and principal components with the hidden elements at their conditional mean, in closed form. The network decides, by
the one-standard-error rule (Breiman, Friedman, Olshen and Stone 1984): the smallest width whose error is within one
standard error of the best one's.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from isthmus.data.dataset import Dataset
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.families.pca import PCAModel
from isthmus.metrics.dimension import two_nearest
from isthmus.model import Model, Recipe
from isthmus.parts.heads import Head
from isthmus.seeds import seed as hashed
from isthmus.study.launch.local import one_thread
from isthmus.study.material import prepare
from isthmus.study.record import Job, JobName
from isthmus.train.inference import tensor
from isthmus.train.likelihood import likelihood
from isthmus.train.plan import Plan
from isthmus.train.stages import train
from isthmus.train.task import Task

USUAL = "mlp"
WIDEST = 32
"""Elements of a code that nobody asked for, at most."""
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 16, 24, WIDEST)
"""Where a sweep looks first; then between the width that it chooses and the next smaller one."""
HIDDEN = 0.2
"""Share of the elements of a row that are hidden from the encoder, at least one."""
ROUNDING = 1e-9
"""Variance, in scaled units, below which there is none."""
MOST = 5000
"""Training rows that a sweep looks at, a seeded draw; of the validation rows the same share."""
SPLITS = 10
"""Replicates that a sweep uses, at most."""
STARTS = 3
"""Initial weights from which a network with hidden layers is trained in each replicate; its best end counts. With a
code as narrow as a bent surface many trainings end in a poor optimum, which a wider code has no part in."""


def capacity(shape: Sequence[int], backbone: str = USUAL, latents: int | None = None) -> tuple[int, tuple[int, ...]]:
    """Code width and hidden layers that every family gets on rows of this shape, unless told otherwise.

    A code of more ``latents`` than a row has elements comes without hidden layers: a dictionary behind a bottleneck
    could hold no more than passes it.

    Examples
    --------
    >>> capacity((8, 8)), capacity((4,)), capacity((8, 8), "conv2d")
    ((16, ()), (2, ()), (16, (16, 32)))
    >>> capacity((768,), latents=512), capacity((768,), latents=4096)
    ((512, (128,)), (4096, ()))
    """
    width = math.prod(shape)
    if latents is not None:
        wide = isinstance(latents, int) and latents > width and backbone == USUAL  # else it is refused later
        return latents, () if wide else capacity(shape, backbone)[1]
    hidden = {USUAL: () if width < 128 else (128,), "conv1d": (16, 32), "conv2d": (16, 32), "vit": (32, 32)}
    return min(WIDEST, max(2, width // 4), width), hidden.get(backbone, ())


def match(name: str, chosen: Recipe, latents: int, hidden: tuple[int, ...], backbone: str | None = None) -> Recipe:
    """The recipe at the capacity of the study. A capacity that its owner set to something else is refused, not lost."""
    usual: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(chosen)}
    wanted: dict[str, Any] = {"latents": latents}
    if backbone is not None and usual["backbone"] == USUAL:  # what is linear by nature stays so
        wanted |= {"backbone": backbone}
    if wanted.get("backbone", chosen.backbone) != "linear":
        wanted |= {"hidden": hidden}
    for field, value in wanted.items():
        own = getattr(chosen, field)
        if own not in (usual[field], value):
            raise BadInput(
                f"family {name!r} has {field}={own!r}, the study gives every family {value!r}; "
                f"pass {field}={own!r} to compare, a study matches capacity"
            )
    matched = dataclasses.replace(chosen).set_params(**wanted)
    # A default may be too large for a narrow code (the k of topk): it moves to the end of what tuning draws there.
    limits = {field: span.high for field, span in matched.space().items() if span.whole}
    narrow = {f: int(top) for f, top in limits.items() if getattr(matched, f) == usual[f] and (usual[f] or 0) > top}
    return matched.set_params(**narrow)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep of code widths found. Errors are squared, in scaled units, of elements that the encoder did not see.

    Attributes
    ----------
    chosen : int
        The smallest width whose mean error is within one standard error of the best width's.
    widths : list of int
    errors : list of list of float
        The network's error for each width, one for each replicate; None where it diverged.
    linear : list of list of float
        The same of principal components.
    nothing : float
        The error of the training mean, which is what a code of width 0 would give.
    ratio : float
        Validation rows per training row: what overlapping training sets cost in certainty.
    dimension : float or None
        Intrinsic dimension of the training rows (TwoNN), beside the choice; noise counts as dimensions there.
    seconds : float
        What it took on the clock; a budget pays for it.
    """

    chosen: int
    widths: list[int]
    errors: list[list[float | None]]
    linear: list[list[float]]
    nothing: float
    ratio: float
    dimension: float | None
    seconds: float = dataclasses.field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """What ``study.json`` keeps."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Sweep:
        """The sweep that a ``study.json`` holds."""
        return cls(**content)

    @property
    def summary(self) -> list[Point]:
        """Mean and standard error for each width, in the order of the widths."""
        return [Point(w, *mean_and_error(e, self.ratio)) for w, e in zip(self.widths, self.errors, strict=True)]


class Point(NamedTuple):
    """One width; infinite numbers where a replicate diverged."""

    width: int
    error: float
    se: float


def mean_and_error(values: Sequence[float | None], ratio: float) -> tuple[float, float]:
    """The mean over replicates and its standard error, corrected for their overlap (Nadeau and Bengio 2003).

    Examples
    --------
    >>> mean_and_error([1.0, 3.0], 0.0)
    (2.0, 1.0)
    >>> mean_and_error([1.0, None], 0.0)
    (inf, inf)
    """
    known = np.array([v for v in values if v is not None and math.isfinite(v)])
    if len(known) < len(values):
        return math.inf, math.inf
    return float(known.mean()), math.sqrt((1 / len(known) + ratio) * float(known.var(ddof=1)))


def one_standard_error(points: Sequence[Point]) -> int:
    """The smallest width whose error is within one standard error of the smallest error.

    Examples
    --------
    >>> one_standard_error([Point(1, 5.0, 0.1), Point(2, 1.1, 0.1), Point(3, 1.0, 0.2)])
    2
    """
    best = min(points, key=lambda point: point.error)
    if not math.isfinite(best.error):
        raise BadInput("every width diverged in the sweep of --latents auto; give a number, or a lower learning rate")
    return min(point.width for point in points if point.error <= best.error + best.se)


def sweep(
    data: Dataset, *, replicates: int, hidden: Sequence[int], backbone: str | None, plan: Plan, seed: int
) -> Sweep:
    """Choose the width of the code for a study; the arguments are the study's.

    Widths 1, 2, 3, 4, 6, 8, 12, 16, 24 and 32 (as far as rows have elements) are tried first, then those between the
    chosen one and its smaller neighbour, by halving. Only training and validation rows are looked at.
    """
    began = time.perf_counter()
    with one_thread():
        splits = [_Split.of(data, replicate, seed) for replicate in range(min(replicates, SPLITS))]
        elements = math.prod(data.extent)
        found: dict[int, list[float | None]] = {}
        for width in (w for w in WIDTHS if w <= elements):
            found[width] = _network(splits, width, tuple(hidden), backbone, plan)
        ratio = len(splits[0].valid) / len(splits[0].train)
        while True:
            points = [Point(w, *mean_and_error(e, ratio)) for w, e in sorted(found.items())]
            chosen = one_standard_error(points)
            below = max((w for w in found if w < chosen), default=0)
            if chosen - below <= 1:
                break
            found[(below + chosen) // 2] = _network(splits, (below + chosen) // 2, tuple(hidden), backbone, plan)
        widths = sorted(found)
        linear = [_components(split, widths) for split in splits]
        dimension = two_nearest(splits[0].train.numpy())
    return Sweep(
        chosen=chosen,
        widths=widths,
        errors=[found[w] for w in widths],
        linear=[list(one) for one in zip(*linear, strict=True)],
        nothing=float(np.mean([split.error(split.train.mean(0).expand_as(split.valid)) for split in splits])),
        ratio=ratio,
        dimension=dimension if math.isfinite(dimension) else None,
        seconds=time.perf_counter() - began,
    )


@dataclass(frozen=True)
class _Split:
    """The scaled rows of a replicate, and which elements of its validation rows are hidden."""

    train: Tensor
    valid: Tensor
    hidden: Tensor
    """(m, *D), true where hidden: the same number of elements in every row."""
    head: Head
    seed: int

    @classmethod
    def of(cls, data: Dataset, replicate: int, seed: int) -> _Split:
        """The very rows that the study's replicate trains and validates on, or a draw of them if they are many."""
        name = JobName(kind="family", name="masked", view="all", replicate=replicate)
        job = Job(name, {"data": data.digest, "seed": seed, "latents": 1})
        material = prepare(job, data)
        draw = np.random.default_rng(job.seed("sweep"))
        splits = material.splits.train.x, material.splits.valid.x
        kept = min(1.0, MOST / len(splits[0]))
        train, valid = (x[np.sort(draw.permutation(len(x))[: math.ceil(kept * len(x))])] for x in splits)
        ranks = draw.random((len(valid), math.prod(valid.shape[1:]))).argsort(axis=1)
        hidden = torch.from_numpy(ranks < count(valid.shape[1:])).reshape(valid.shape)
        head = likelihood(material.layout, train)
        return cls(tensor(train), tensor(valid), hidden, head, job.seed("training"))

    def error(self, x_hat: Tensor) -> float:
        """Mean squared error of the hidden elements of the validation rows."""
        return float((x_hat.double() - self.valid.double())[self.hidden].square().mean())


def count(shape: Sequence[int]) -> int:
    """How many elements of a row are hidden.

    Examples
    --------
    >>> count((8, 8)), count((3,))
    (13, 1)
    """
    return max(1, round(HIDDEN * math.prod(shape)))


def _network(
    splits: Sequence[_Split], width: int, hidden: tuple[int, ...], backbone: str | None, plan: Plan
) -> list[float | None]:
    """The error of one width in every replicate, the least over its starts; all of them train side by side."""
    shape = tuple(splits[0].train.shape[1:])
    share = min(count(shape) / math.prod(shape), 0.5)
    reference = named("masked").set_params(share=share)
    recipe = match("masked", reference, width, hidden, backbone)
    plan = dataclasses.replace(plan, batch=min(plan.batch, *(len(split.train) for split in splits)))
    starts = [(split, number) for split in splits for number in range(STARTS if hidden else 1)]
    tasks = [
        Task(
            recipe,
            recipe.build(shape, s.head, number=hashed(s.seed, "weights", n)),
            s.train,
            s.valid,
            plan,
            s.seed,
        )
        for s, n in starts
    ]
    train(tasks)
    with torch.no_grad():
        ends = [s.error(_filled(task.model, s, share)) for (s, _), task in zip(starts, tasks, strict=True)]
    each = np.array(ends).reshape(len(splits), -1)
    return [min(filter(math.isfinite, some), default=None) for some in each.tolist()]


def _filled(model: Model, split: _Split, share: float) -> Tensor:
    """What the model makes of validation rows without their hidden elements, whose place the others fill in size."""
    return model.decode(model.encode(split.valid * ~split.hidden / (1 - share)))


def _components(split: _Split, widths: Sequence[int]) -> list[float]:
    """The error of principal components for each width: hidden elements at their mean given those that are seen.

    Probabilistic principal components (Tipping and Bishop 1999): what the leading components leave is noise, equal in
    all directions.
    """
    recipe = named("pca").set_params(latents=max(widths))
    model = cast(PCAModel, recipe.build(tuple(split.train.shape[1:]), "gaussian", number=0))
    model.start(split.train)
    axes, mean = model.components.double().numpy(), model.mean.double().numpy()
    rows = split.train.flatten(1).double().numpy() - mean
    variances = np.square(rows @ axes.T).mean(axis=0)
    total, elements = float(np.square(rows).sum(axis=1).mean()), rows.shape[1]
    seen = (~split.hidden).flatten(1).numpy()
    given = (split.valid.flatten(1).double().numpy() - mean) * seen
    errors = []
    for width in widths:
        noise = max(total - float(variances[:width].sum()), 0.0) / max(elements - width, 1) + ROUNDING
        loads = axes[:width].T * np.sqrt(np.maximum(variances[:width] - noise, 0.0))
        pairs = (loads[:, :, None] * loads[:, None, :]).reshape(elements, width * width)
        inner = (seen @ pairs).reshape(len(seen), width, width) + noise * np.eye(width)
        codes = np.linalg.solve(inner, (given @ loads)[:, :, None])[:, :, 0]
        errors.append(split.error(torch.from_numpy(codes @ loads.T + mean).reshape(split.valid.shape)))
    return errors
