"""What is inside a saved model: its files, what it takes, what it decides by, and where it comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from isthmus.data.dataset import element_names
from isthmus.rivals.rival import Drawing, Rival
from isthmus.ship.artefact import MANIFEST, MOST_MANIFEST, beside, content, load, manifest_of, vouched
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import strict
from isthmus.ship.reference import GROUPS, Reference


def contents(path: str | os.PathLike[str]) -> dict[str, Any]:
    """All that a saved model holds, as plain data; the model is loaded, so that what is told is what works.

    Parameters
    ----------
    path : path
        The folder or the single file of a saved model, or the folder of one run of a study.

    Returns
    -------
    dict
        ``form`` (``folder`` or ``file``), ``format``, ``members`` (name, bytes, SHA-256), ``recipe``, ``shape``,
        ``latents``, ``parameters``, ``head``, ``columns`` (name, kind, values, gaps), ``predicts``, ``score``,
        ``alone`` (what it says to who asks for anything but new rows), ``calibration``, ``gaps`` (column, cells, rows),
        ``reference``, ``draws`` (how new rows are drawn),
        ``training``, ``origin`` (purpose, data, digest, rows, measured) and ``versions``; None where there is nothing.

    Raises
    ------
    BadInput
        As :func:`isthmus.ship.artefact.load`.

    Examples
    --------
    >>> import tempfile
    >>> import isthmus
    >>> import numpy as np
    >>> fitted = isthmus.fit(isthmus.named("pca").set_params(latents=2), np.random.default_rng(0).normal(size=(60, 4)))
    >>> with tempfile.TemporaryDirectory() as place:
    ...     found = contents(isthmus.save(fitted, f"{place}/model"))
    >>> [one["name"] for one in found["members"]], found["recipe"]["family"], found["calibration"]
    (['model.json', 'model.safetensors'], 'pca', None)
    """
    place = Path(path)
    deployed, said = load(place), manifest_of(place)
    text = content(place, MANIFEST, MOST_MANIFEST)
    members = {MANIFEST: vouched(text), **beside(said)}
    calibration = deployed.calibration
    trained = None if said.plan is None else {"plan": said.plan, "outcome": said.outcome and said.outcome.model_dump()}
    return {
        "form": "folder" if place.is_dir() else "file",
        "format": strict(text)["format"],
        "members": [{"name": name, "bytes": one.bytes, "sha256": one.sha256} for name, one in members.items()],
        "recipe": said.recipe,
        "shape": list(deployed.shape),
        "latents": None if isinstance(deployed.model, Rival) else deployed.model.latents,
        "parameters": deployed.parameters,
        "head": deployed.head,
        "columns": _columns(deployed),
        "predicts": None if said.target is None else said.target.shape,
        "alone": deployed.model.alone if isinstance(deployed.model, Drawing) else None,
        "score": {"places": deployed.places} if deployed.places else None,
        "calibration": calibration
        and {
            "rows": len(calibration.scores),
            "rate": calibration.rate,
            "threshold": calibration.threshold,
            "about": calibration.about,
        },
        "gaps": deployed.reach
        and [{"column": name, "cells": len(one.scores), "rows": one.rows} for name, one in deployed.reach.items()],
        "reference": None if deployed.reference is None else _reference(deployed.reference),
        "draws": said.sampler and said.sampler.model_dump(),
        "training": trained,
        "origin": None if said.origin is None else said.origin.model_dump(),
        "versions": said.versions,
    }


def _columns(deployed: Deployed) -> list[dict[str, Any]]:
    """The columns that the model takes."""
    if deployed.fields:
        return [
            {"name": one.name, "kind": one.kind, "values": list(one.values), "gaps": one.gaps}
            for one in deployed.fields
        ]
    names = deployed.columns or element_names(deployed.shape)
    return [{"name": name, "kind": "number", "values": [], "gaps": False} for name in names]


def _reference(reference: Reference) -> dict[str, Any]:
    """How much of each kind is watched, and how many rows were counted."""
    counted = {}
    for group in GROUPS:
        found = [int(one.counts.sum()) for one in reference.channels if one.group == group]
        if found:
            counted[group] = {"watched": len(found), "rows": max(found)}
    return counted
