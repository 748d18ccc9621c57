"""The numbers behind score and threshold of a deployed model, out to a file and in again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isthmus.errors import BadInput
from isthmus.imputer import Reach
from isthmus.scorer import Crowd
from isthmus.ship import calibrate
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.ship.manifest import Calibrated, Hidden, Manifest, Score

Numbers = dict[str, NDArray[Any]]


def said(deployed: Deployed) -> dict[str, Any]:
    """What the manifest says of score and calibration."""
    crowd, own = deployed.crowd, deployed.calibration
    return {
        "score": None
        if crowd is None
        else Score(places=len(crowd.known), calm=crowd.calm, weights=crowd.weights.tolist(), nearest=crowd.nearest),
        "calibration": None if own is None else Calibrated(rows=len(own.scores), rate=own.rate, about=own.about),
        "gaps": deployed.reach
        and [Hidden(column=name, cells=len(one.scores), rows=one.rows) for name, one in deployed.reach.items()],
    }


def numbers(deployed: Deployed) -> Numbers:
    """The arrays behind it; none where there is neither."""
    found: Numbers = {}
    if (crowd := deployed.crowd) is not None and deployed.units is not None:
        found = {"known": crowd.known.astype(np.float32), "reach": crowd.reach, "density": crowd.density}
        found |= {"usual": crowd.usual, "units": deployed.units}
    if deployed.calibration is not None:
        found["calibration"] = deployed.calibration.scores
    if deployed.reach:
        found["gaps"] = np.concatenate([one.scores for one in deployed.reach.values()])
    return {name: np.ascontiguousarray(values) for name, values in found.items()}


def read(manifest: Manifest, found: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Score and calibration from arrays that may come from anywhere.

    Raises
    ------
    BadInput
        If they are not what the manifest says, or make no score.
    """
    score, own, width = manifest.score, manifest.calibration, math.prod(manifest.shape)
    wanted: dict[str, tuple[tuple[int, ...], type]] = {}
    if score is not None:
        count = score.places
        wanted = {"known": ((count, 2 * width), np.float32), "reach": ((count,), np.float64)}
        wanted |= {"density": ((count,), np.float64), "usual": ((3, 2), np.float64), "units": ((width,), np.float64)}
    if own is not None:
        wanted["calibration"] = ((own.rows,), np.float64)
    hidden = manifest.gaps or []
    wanted |= {"gaps": ((sum(one.cells for one in hidden),), np.float64)} if hidden else {}
    if strange := sorted(wanted.keys() ^ found.keys()):
        raise BadInput(f"decision: {'missing' if strange[0] in wanted else 'unexpected'} array {strange[0]!a:.60}")
    for name, (shape, kind) in wanted.items():
        values = found[name]
        if values.shape != shape or values.dtype != kind:
            raise BadInput(f"decision: {name} must be {np.dtype(kind)} of shape {shape}; got {values.shape}")
        if not np.isfinite(values).all():
            raise BadInput(f"decision: {name} holds a number that is not finite")
    made: dict[str, Any] = {}
    if score is not None:
        if min(found["units"].min(), found["density"].min(), found["usual"][:, 1].min()) <= 0:
            raise BadInput("decision: units, densities and deviations must be above 0")
        weights = np.array(score.weights)
        if not (np.isfinite(weights).all() and weights.min() >= 0 < weights.max()):
            raise BadInput("decision: weights must be finite, none below 0 and one above it")
        known = found["known"].astype(np.float64)
        crowd = Crowd(known, found["reach"], found["density"], score.calm, found["usual"], weights, score.nearest)
        made = {"crowd": crowd, "units": found["units"]}
    if own is not None:
        if bool((np.diff(found["calibration"]) < 0).any()):
            raise BadInput("decision: calibration scores must be sorted")
        calibrate.enough(own.rows, own.rate)
        made["calibration"] = Calibration(found["calibration"], own.rate, own.about)
    return made | ({"reach": _reach(manifest, hidden, found["gaps"])} if hidden else {})


def _reach(manifest: Manifest, hidden: list[Hidden], scores: NDArray[Any]) -> dict[str, Reach]:
    """How far off what is filled in is, by column."""
    names = [one.column for one in hidden]
    if len(set(names)) < len(names) or not set(names) <= set(manifest.columns):
        raise BadInput("decision: gaps must be of columns of the model, each once")
    parts = np.split(scores, np.cumsum([one.cells for one in hidden])[:-1])
    if any(part.min() < 0 or bool((np.diff(part) < 0).any()) for part in parts):
        raise BadInput("decision: gaps must be distances in order, none below 0")
    return {one.column: Reach(part, one.rows) for one, part in zip(hidden, parts, strict=True)}
