"""Definitions that torchmetrics and scikit-dimension share with us: their values, from expected/make_overlaps.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from isthmus.metrics import METRICS

KEPT = json.loads((Path(__file__).parent / "expected" / "overlaps.json").read_text(encoding="utf-8"))
SETS = {name: np.array(value) for name, value in KEPT.items() if name != "found"}
ARGUMENTS = {
    "mse": ("x", "x_hat"),
    "explained_variance": ("x", "x_hat", "mean"),
    "auroc": ("label", "score"),
    "average_precision": ("label", "score"),
    "rank_agreement": ("score", "other"),
    "cluster_ari": ("classes", "clusters"),
    "cluster_nmi": ("classes", "clusters"),
    "intrinsic_dimension": ("x",),
}


@pytest.mark.parametrize("name", KEPT["found"])
def test_as_others_have_it(name):
    sets = SETS | {"mean": SETS["x"].mean(axis=0)}
    found = METRICS[name].function(*(sets[one] for one in ARGUMENTS[name]))
    assert found == pytest.approx(KEPT["found"][name], rel=1e-6)  # torchmetrics counts in single precision
