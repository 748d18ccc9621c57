"""A contender of a study as it ships: the model that it chose, or the rival fitted again, with calibration rows.

Calibration rows are half of the normal test rows of the replicate, drawn by its seed. They neither trained, nor
stopped, nor chose it. The other half stays unseen by what ships.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.data.dataset import Dataset
from isthmus.data.layout import Table
from isthmus.data.scale import Scaler
from isthmus.errors import BadInput
from isthmus.evidence.purposes import PurposeVerdict, decided_first
from isthmus.evidence.stats import estimate
from isthmus.facets import FACETS
from isthmus.facets.kin import Kin, Lines, Step
from isthmus.metrics import METRICS
from isthmus.rivals.rival import Drawing
from isthmus.rivals.rounding import Rounding
from isthmus.seeds import seed as hashed
from isthmus.ship import rivals
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import Measured, Origin
from isthmus.study.examine import reading_of
from isthmus.study.material import Material, prepare
from isthmus.study.record import Job
from isthmus.study.results import Results

SCALER = "sklearn.preprocessing.StandardScaler"


GAPS = """
gaps = layout.missing(X)
X = layout.unsaid(X)
for part, gone in zip(layout.parts, gaps.T, strict=True):
    X[gone, part.start : part.stop] = float("nan")
"""
"""Python that makes NaN of missing cells of laid out rows."""
FILLED = "layout.filled(model.transform(X))"
"""Python that makes cells of them when they are filled in."""


def deployed(study: Results, name: str, facet: str, replicate: int, data: Dataset) -> Deployed:
    """The model that a family chose for a facet in one replicate, or a rival of the facet, ready for use.

    Parameters
    ----------
    study : Results
    name, facet : str
        A family or a rival, and a facet.
    replicate : int
        Counted from 0.
    data : Dataset
        The rows of the study (:func:`isthmus.study.examine.data_of`).

    Raises
    ------
    BadInput
        If there is no such run, or a rival that cannot be saved.
    """
    rival = name not in study.design.families
    job = _job(study, name, facet, replicate)
    material = prepare(job, data)
    numbers = material.rows
    normal, about = _calibration(job, data, material, replicate)
    usual: dict[str, Any] = {"normal": data.x[normal], "about": about}
    if data.windows is not None:
        usual["first"] = data.windows.first[normal]
    if rival:
        found: Any = rivals.fitted(name, facet, material.splits, material.layout, data.columns)
        if isinstance(found.model, Drawing):
            return Deployed.of(found)
        made = Deployed.of(replace(found, canvas=data.canvas, network=data.network), **usual)
        return replace(made, calibration=None) if name == Rounding.family else made  # it rebuilds all rows
    chosen = replace(study.model(name, facet, replicate), canvas=data.canvas, network=data.network)
    if material.odd is not None:
        usual["odd"] = data.x[material.odd]
    made = Deployed.of(chosen, data.x[numbers.train], data.x[numbers.valid], seed=job.seed("facets"), **usual)
    draws = FACETS[facet].draws
    return made if draws is None else replace(made, draws=draws(chosen, material.splits, None))


def written(
    study: Results, name: str, facet: str, replicate: int, data: Dataset, source: str | None = None
) -> tuple[Kin | Lines, str]:
    """The objects of scikit-learn that a rival is, or lines, as validation rows of a replicate chose them; and Python.

    Parameters as of :func:`deployed`, and where the data are now, if it is not where they were.

    Raises
    ------
    BadInput
        If there is no such run.
    """
    material = prepare(_job(study, name, facet, replicate), data)
    kin = FACETS[facet].kin[name](material.splits)
    if kin.takes == "text":
        return kin, f"# X: the text of each row\n{kin.code()}"
    if kin.takes == "cells":
        return kin, kin.code()
    if kin.takes == "counts":
        return kin, f"# X: the counts of each row, as they come\n{kin.code()}"
    if kin.takes == "gaps":
        return kin, f"{_laying(study, source)}{GAPS}\n{kin.code(ask=FILLED)}"
    rows = "rows" if data.x.ndim == 2 or isinstance(kin, Lines) else "rows, each as one vector"
    about = f"# X: {rows}, as they come"
    first: list[Step] = []
    layout = material.layout
    if layout.kind == "standard":
        own = () if isinstance(kin, Lines) else kin.steps
        first = [(SCALER, {})] if all(step != SCALER for step, _ in own) else []
    elif isinstance(layout, Scaler) and layout.kind == "unit":
        shift, scale = (str(one.tolist()[0] if len(one) == 1 else one.tolist()) for one in (layout.shift, layout.scale))
        about = f"# X: {rows}, minus {shift}, divided by {scale}"
    elif isinstance(layout, Table):
        about = _laying(study, source)
    elif layout.kind != "none":
        about = "# X: rows as isthmus lays them out, one number for each element (docs/data.md)"
    return kin, f"{about}\n{kin.code(first)}"


def _laying(study: Results, source: str | None) -> str:
    """Python that lays the rows of a study's table out, one number for each element."""
    where, told = source or str(study.note["data"]["source"]), reading_of(study.note)
    options = "".join(f", {key}={value!r}" for key, value in told.items() if value not in (None, False))
    return (
        "from isthmus.data.layout import laid_out\n"
        "from isthmus.data.read import cells, read\n\n"
        f"table = read({where!r}{options})\n"
        "layout = laid_out(table.x, table.fields)\n"
        "X, y = layout.apply(table.x), table.y  # of other rows: layout.apply(cells(rows, table.fields))\n"
    )


def origin(study: Results, name: str, facet: str, replicate: int | None) -> Origin:
    """For what a contender was chosen, on which data, and what was measured of it on test rows.

    Parameters
    ----------
    study : Results
    name, facet : str
    replicate : int, optional
        Whose model ships, counted from 0; None if it is none of theirs.
    """
    about, measured = study.design.data, []
    share = study.test_fraction(study.design.view(facet))
    for metric in dict.fromkeys([study.design.primary(facet), *FACETS[facet].metrics]):
        if metric not in METRICS or METRICS[metric].higher is None:
            continue
        scores = study.scores(facet, metric).get(name, np.zeros(0))
        found = estimate(scores, share, relative=METRICS[metric].relative, bounds=METRICS[metric].bounds)
        if found is not None:
            own = math.nan if replicate is None else float(scores[replicate])
            told = own if np.isfinite(own) else None
            measured.append(Measured(metric=metric, value=found.mean, low=found.low, high=found.high, own=told))
    return Origin(
        purpose=facet,
        data=str(about["name"])[:200],
        digest=about["digest"],
        rows=about["rows"],
        replicates=study.replicates,
        measured=measured,
    )


def apart(data: Dataset, rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As :func:`halves`; windows of a series in two halves that share no step, the earlier ones first."""
    return halves(rows, seed) if data.windows is None else data.windows.halves(rows)


def halves(rows: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row numbers in two halves, sorted, drawn by a seed: for calibration, and for the numbers that are told.

    Examples
    --------
    >>> [len(part) for part in halves(np.arange(7), seed=0)]
    [3, 4]
    """
    order = np.random.default_rng(hashed(seed, "calibration")).permutation(rows)
    return np.sort(order[: len(rows) // 2]), np.sort(order[len(rows) // 2 :])


def _job(study: Results, name: str, facet: str, replicate: int) -> Job:
    done = {record.id: record for record in study.records}
    for job in study.design.jobs(study.rounds):
        own = job.name
        if (own.name, own.replicate) == (name, replicate) and job.id in done and facet in done[job.id].facets:
            return job
    raise BadInput(
        f"no run of {name} for {facet} in replicate {replicate + 1}: not done yet, left out for "
        "time, failed or diverged (the report says which); take another"
    )


def _calibration(job: Job, data: Dataset, material: Material, replicate: int) -> tuple[NDArray[np.int64], str]:
    """Numbers of the calibration rows, and which rows they are, in words."""
    test = material.rows.test
    if job.name.view == "normal" and material.splits.test.y is not None:
        test = test[material.splits.test.y == 0]
    elif data.anomaly is not None and data.y is not None:
        test = test[data.y[test] != data.classes.index(str(data.anomaly))]
    found = apart(data, test, job.seed("facets"))[0]
    what = "rows" if data.windows is None else "windows, step by step,"
    kind = f"test {what}" if len(test) == len(material.rows.test) else f"normal test {what}"
    return found, f"half of the {kind} of replicate {replicate + 1}"


def recommended(study: Results, facet: str | None = None) -> PurposeVerdict:
    """The first line of the answer in which a study recommends somebody, or the one that a facet decides.

    Raises
    ------
    BadInput
        If it recommends nobody there.
    """
    for one in decided_first(study.purposes()):
        if facet in (None, one.verdicts[0].facet) and one.take is not None:
            return one
    where = "" if facet is None else f" for {facet}"
    raise BadInput(f"the study recommends nobody{where}: name a family, one of {', '.join(study.design.families)}")
