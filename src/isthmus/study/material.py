"""The rows of a split, scaled: prepared once, for all jobs that work on it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import Dataset
from isthmus.data.layout import Layout, laid_out, written
from isthmus.data.split import Split, duplicates
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.normal import normal_view, turn
from isthmus.study.record import Job

MOST_BYTES = 256 * 2**20
"""Of prepared rows that a process keeps; the split in use is kept whatever its size."""


class Material(NamedTuple):
    """What a job works on."""

    splits: Splits
    """The scaled rows of its split; training and validation rows as often as their weights say."""
    layout: Layout
    """Fitted on the training rows only."""
    rows: Split
    """Their numbers in the data, each once."""
    sizes: dict[str, int]
    """How many there are, how many held-out rows are copies, how many columns are constant."""
    odd: NDArray[np.int64] | None = None
    """Numbers of the anomalies that are in none of the three, where they are tested in turn."""


def rows(job: Job, data: Dataset) -> tuple[Split, NDArray[np.int64] | None]:
    """Row numbers of the job's split, and the labels of all rows as its view sees them.

    In view ``normal`` the anomalies (the labelled ones, or the classes left out) leave the training and validation
    rows, all but the share that the study leaves in training; labels say 1 for them and 0 for normal rows. Where rows
    stand alone, without groups and times, a third of all anomalies is tested (:func:`isthmus.facets.normal.turn`).

    Raises
    ------
    BadInput
        If there are too few rows.
    """
    found = data.split(job.seed("split"), job.name.replicate)
    if job.name.view == "all" or data.y is None:
        return found, data.y
    outliers = _outliers(job, data)
    outlier, y = outliers[0], np.where(np.isin(data.y, outliers), outliers[0], data.y)
    if data.windows is not None:
        y = np.where(np.any([data.windows.holding(one) for one in outliers], axis=0), outlier, y)
    tested = turn(np.flatnonzero(y == outlier), job.name.replicate, job.body["seed"]) if _dealt(job, data) else None
    seen = normal_view(found, y, outlier, job.body["contamination"], job.seed("contamination"), tested)
    return Split(*seen[:3]), (y == outlier).astype(np.int64)


def prepare(job: Job, data: Dataset) -> Material:
    """The job's rows, scaled by what its training rows say. Jobs on the same split share the arrays: write to none."""
    key = (data.digest, *(job.body.get(name) for name in ("data", "seed", "latents", "contamination", "few", "k")))
    return _kept.get((*key, job.name.view, job.name.replicate, *job.name.outliers), lambda: _prepare(job, data))


def _prepare(job: Job, data: Dataset) -> Material:
    numbers, labels = rows(job, data)
    weight = data.metadata.weight
    counted = data.as_often(numbers, job.seed("split"))
    layout = laid_out(data.x[counted.train], **data.laid)
    before, text = data.before if job.name.view == "all" else None, written(data.x, data.fields)
    first = None if data.windows is None else data.windows.first
    every = Rows(data.x, labels, data.factors, weight, before, first, text, data.truth)
    train, valid = (every._replace(truth=None).take(part) for part in counted[:2])  # nobody learns from the truth
    train, valid, test = (one._replace(x=layout.apply(one.x)) for one in (train, valid, every.take(counted.test)))
    sizes = {name: len(part) for name, part in zip(Split._fields, numbers, strict=True)}
    known, held = train.x, valid.x
    if weight is not None:  # a row that stands several times is no copy
        known, held = (layout.apply(data.x[part]) for part in numbers[:2])
        train, valid = (one._replace(weight=None) for one in (train, valid))
    copies = sum(duplicates(known, rows) for rows in (held, test.x))
    sizes |= {"duplicates": copies, "constant": layout.constant}
    if job.name.view == "normal" and labels is not None:
        sizes["anomalies"] = int(labels[numbers.test].sum())
    splits = Splits(train, valid, test, seed=job.seed("facets"), latents=job.body["latents"], layout=layout)
    splits = splits._replace(steps=_steps(job, data), k=job.body.get("k"))
    if labels is None or data.anomaly is None or not _dealt(job, data):
        return Material(splits, layout, numbers, sizes)
    odd = np.setdiff1d(np.flatnonzero(labels), np.concatenate(numbers))
    if (few := job.body.get("few")) is not None:
        odd = np.sort(np.random.default_rng(job.seed("few")).permutation(odd)[:few])
    if not len(odd):
        return Material(splits, layout, numbers, sizes)
    return Material(splits._replace(odd=layout.apply(data.x[odd])), layout, numbers, sizes, odd)


def _dealt(job: Job, data: Dataset) -> bool:
    """Whether replicates test anomalies in turn: nobody trains on them, and nothing ties them to other rows."""
    return (
        job.name.view == "normal"
        and data.windows is None
        and data.metadata.time is None
        and data.metadata.group is None
    )


def _steps(job: Job, data: Dataset) -> NDArray[np.int64] | None:
    """Which steps of a series are anomalous in view ``normal``; None where nobody says so."""
    if data.windows is None or data.windows.label is None or job.name.view == "all":
        return None
    return np.isin(data.windows.label, _outliers(job, data)).astype(np.int64)


def _outliers(job: Job, data: Dataset) -> list[int]:
    """The classes that play the anomaly."""
    return [data.classes.index(name) for name in job.name.outliers or [str(data.anomaly)]]


class _Kept:
    """What was prepared last, as much of it as fits."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.found: OrderedDict[Hashable, Material] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Material]) -> Material:
        """What was prepared under a key, made now if it is not there."""
        with self.lock:
            if key in self.found:
                self.found.move_to_end(key)
                return self.found[key]
        made = make()
        with self.lock:
            self.found[key] = made
            while len(self.found) > 1 and sum(map(_bytes, self.found.values())) > MOST_BYTES:
                self.found.popitem(last=False)
        return made


def _bytes(material: Material) -> int:
    known = material.splits.test.truth
    present = None if known is None else known.present
    return sum(part.x.nbytes for part in material.splits[:3]) + (0 if present is None else present.nbytes)


_kept = _Kept()
