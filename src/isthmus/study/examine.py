"""``isthmus doctor``: a finished study, or one run of it, examined again from what its folder holds and from its data.

The records say what was found when a run ended. Here every number that raw scores give is computed again; and where
the data are still what they were, so are split, models, codes and reconstructions, and the doctor looks at all of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from isthmus.data.axes import channels_lead
from isthmus.data.blocks import TABLES
from isthmus.data.dataset import Dataset, element_names
from isthmus.data.encoded import gallery
from isthmus.data.read import cells, read, steps_of
from isthmus.data.series import Series
from isthmus.data.windows import begun, seen
from isthmus.data.wording import meant, shown, some
from isthmus.doctor import diagnose
from isthmus.doctor.evidence import inconsistencies, leakage, unlike
from isthmus.doctor.finding import Finding
from isthmus.errors import BadInput, NoSuchColumn
from isthmus.facets import FACETS
from isthmus.facets.facet import Splits
from isthmus.ship import artefact
from isthmus.ship.verbs import wanted
from isthmus.study.material import Material, prepare
from isthmus.study.record import Config, JobName, Record
from isthmus.study.results import Results
from isthmus.study.store import Store
from isthmus.train.fitted import Fitted
from isthmus.train.inference import Inference
from isthmus.train.loop import Outcome

SCORES = "scores.safetensors"
RAW = {"test_rows": "", "test_weight": ""} | {kept: name for name, facet in FACETS.items() for kept in facet.kept}
"""Name of raw scores -> the facet that they are of, if they are of one."""
DOUBTS = ("leakage between splits", "metric inconsistency")
"""Findings that do not concern a model, and that are always looked for anew."""


class Complaint(NamedTuple):
    """One finding in one run."""

    run: str
    """The hash of its job."""
    job: JobName
    config: int | None
    """Which tuning configuration; None for a rival."""
    finding: Finding


def data_of(study: Results, source: str | None = None, label: str | None = None) -> tuple[Dataset | None, str]:
    """The data of a study, and why there are none if they cannot be had.

    Parameters
    ----------
    study : Results
    source, label : str, optional
        A file and its column of labels, if the study's own note of them no longer serves.

    Raises
    ------
    BadInput
        If ``source`` is given and cannot be read, or holds other data.
    """
    note = study.note
    where = source or str(note["data"]["source"])
    try:
        found = data_where(where, note, label)
    except BadInput as error:
        if source is not None:
            raise
        return None, str(error)
    if found.digest != note["data"]["digest"]:
        reason = f"{where} no longer holds the rows and labels of the study in {study.folder}"
        if source is not None:
            raise BadInput(f"{reason}; give the file, and --label, that the study was made from")
        return None, reason
    return found, ""


def reading_of(note: Mapping[str, Any], label: str | None = None) -> dict[str, Any]:
    """What a study's data were read with, as options of :func:`isthmus.data.read.read`."""
    return {
        "label": label or note.get("label"),
        "anomaly": note["data"]["anomaly"],
        "images": note["data"]["images"],
        **note.get("reading", {}),
    }


def data_where(where: str, note: Mapping[str, Any], label: str | None = None) -> Dataset:
    """What lies in a place, read as the note of a study says that its data were."""
    options = reading_of(note, label)
    found = read(where, **options)
    named = list(note["data"].get("factors", []))
    if named != list(found.factor_names):  # columns that were named, rather than a file's own factors
        found = read(where, **options, factors=named)
    return found


def examine(study: Results, data: Dataset | None = None, run: str | None = None) -> Iterator[Complaint]:
    """Everything that is wrong with the finished runs of a study, in the order of its jobs.

    Parameters
    ----------
    study : Results
    data : Dataset, optional
        Its rows, as :func:`data_of` gives them. Without them models are not looked at again: their recorded findings
        stand.
    run : str, optional
        The hash of one job, to examine that one only.
    """
    known = {record.id: record for record in study.records}
    held: dict[tuple[Any, ...], Material] = {}
    for job in study.design.jobs(study.rounds):
        if job.id not in known or run not in (None, job.id):
            continue
        record, material = known[job.id], None
        if data is not None:
            split = (job.name.view, job.name.replicate)
            material = held[split] = held.get(split) or prepare(job, data)
        place = Store(study.folder).runs / job.id
        raw = _scores(place, record)
        for config, finding in (*_models(place, record, material), *_numbers(place, record, raw, material)):
            yield Complaint(job.id, job.name, config, finding)


def _scores(place: Path, record: Record) -> dict[str, NDArray[Any]]:
    """The raw scores of a run: one number for each test row under each name."""
    if SCORES not in record.files:
        return {}
    try:
        found = load_file(place / SCORES)
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError, OSError) as error:
        raise BadInput(f"{place / SCORES}: not readable ({type(error).__name__}); repeat that run") from None
    rows = (record.sizes.get("test"),)
    sound = all(one.shape == rows and one.dtype.kind in "iuf" for one in found.values())
    known = {"test_rows"} <= found.keys() <= RAW.keys() and {RAW[name] for name in found} <= {"", *record.facets}
    if not (sound and known):
        raise BadInput(f"{place / SCORES}: these are not the scores of its test rows; repeat that run")
    return found


def _models(place: Path, record: Record, material: Material | None) -> Iterator[tuple[int | None, Finding]]:
    """What is wrong with the models that were kept, or with those that were not, as recorded."""
    kept = {choice.config for choice in record.facets.values()} - {None} if material is not None else set()
    for one in record.findings:
        if one.name not in DOUBTS and one.config not in kept:
            evidence = {key: value for key, value in one.evidence.items() if value is not None}
            yield one.config, Finding(one.name, evidence)
    for number in sorted(config for config in kept if config is not None):
        if material is not None:
            fitted = fitted_of(place, record, number)
            if fitted.model.shape != material.splits.train.x.shape[1:]:
                raise BadInput(f"{place}: its model was trained on rows of another shape; repeat that run")
            for finding in diagnose(fitted, material.splits.train.x, material.splits.valid.x):
                yield number, finding


def fitted_of(place: Path, record: Record, number: int) -> Fitted:
    """A kept model of a run, with what its record knows of its training."""
    other, config = place / f"config-{number}", record.configs[number]
    return replace(artefact.trained(other if other.is_dir() else place), outcome=_outcome(config))


def _outcome(config: Config) -> Outcome:
    history = {k: [math.nan if v is None else v for v in values] for k, values in config.history.items()}
    return Outcome(config.status, config.steps, config.best_step, config.seconds, history)


def _numbers(
    place: Path, record: Record, raw: Mapping[str, NDArray[Any]], material: Material | None
) -> Iterator[tuple[int | None, Finding]]:
    """What is wrong with the split and with recorded numbers."""
    of_these = material is not None and _of_these(raw, material)
    splits = material.splits if material is not None and of_these else None
    for facet, choice in record.facets.items():
        again = FACETS[facet].again(raw, choice.metrics, splits)
        for finding in inconsistencies(choice.metrics, again):
            yield choice.config, finding
    if record.sizes:
        leak = leakage(record.sizes, {} if material is None else material.rows._asdict())
        if leak is not None:
            yield (0 if record.configs else None), leak
    if material is not None and raw and not of_these:
        yield None, Finding("metric inconsistency", {"metric": "test rows"})
    if splits is not None:
        yield from _kept(place, record, raw, splits)


def _of_these(raw: Mapping[str, NDArray[Any]], material: Material) -> bool:
    """Whether raw scores are of the test rows of a split, with their weights."""
    weight = material.splits.test.weight
    weighed = "test_weight" not in raw if weight is None else np.array_equal(raw.get("test_weight", ()), weight)
    return bool(raw) and weighed and np.array_equal(raw["test_rows"], material.rows.test)


def _kept(
    place: Path, record: Record, raw: Mapping[str, NDArray[Any]], splits: Splits
) -> Iterator[tuple[int | None, Finding]]:
    """What was kept of every row and is not what rows and models give."""
    for facet, choice in record.facets.items():
        for name, kept in FACETS[facet].kept.items():
            again = None
            if name in raw and kept.of_model is not None:
                again = kept.of_model(fitted_of(place, record, choice.config or 0), splits)
            elif name in raw and kept.of_rows is not None:
                again = np.asarray(kept.of_rows(splits))
            finding = None if again is None else unlike(name.replace("_", " "), raw[name], again)
            if finding is not None:
                yield choice.config, finding


def windows_of(source: str, series: Series) -> NDArray[np.float32]:
    """The windows of a file of steps."""
    cells, order = steps_of(source, series)
    first = begun(order.stretches, series.length, series.stride)
    if not len(first):
        raise BadInput(f"{source}: no window of {series.length} steps in it with nothing missing; give more steps")
    return seen(np.nan_to_num(cells[order.rows]).astype(np.float32), first, series.length)


def examine_model(
    folder: str | os.PathLike[str], source: str, label: str | None = None, features: Path | None = None
) -> list[Finding]:
    """What is wrong with a saved model, as far as rows show it.

    Parameters
    ----------
    folder : path
        Of a saved model.
    source, label : str
        Rows like those that it was trained on, and the column to leave out; so are all other columns that the model
        does not know. A saved model does not know which rows those were, nor how its loss fell: all rows serve as
        training and validation rows, and over-capacity, leakage and an end too early cannot be seen.
    features : path, optional
        The graph whose features of pictures the model was trained on.
    """
    fitted = artefact.load(folder)
    rows = fitted.scaled(_known(fitted, source, label, features))
    return diagnose(fitted, rows, rows)


def _known(fitted: Inference, source: str, label: str | None, features: Path | None) -> NDArray[Any]:
    """The columns that a model knows; all, where its columns or those of the rows have no names of their own."""
    if fitted.series is not None:
        return windows_of(source, fitted.series)
    if source.lower().endswith(TABLES) and any(field.habit for field in wanted(fitted)):  # meant as in training
        return cells(source, wanted(fitted))
    if fitted.fields:
        return cells(source, fitted.fields)
    drawn = fitted.canvas if gallery(Path(source)) is not None else None
    axes = "last" if channels_lead(fitted.shape) else None  # as they stood in training
    data = read(source, label=label, size=drawn, features=features, axes=axes)
    bare = {element_names(data.shape), element_names(fitted.shape), ()}
    if len(data.shape) > 1 or fitted.columns in bare or data.columns in bare:
        return data.x
    for name in fitted.columns:
        if name not in data.columns:
            raise NoSuchColumn(
                f"{data.name}: no column {shown(name)}, which the model was trained on{meant(name, data.columns)}; "
                f"the columns are {some(data.columns)}",
                name,
                "fields",
            )
    return data.x[:, [data.columns.index(name) for name in fitted.columns]]
