"""VUS-PR beside the package of its authors, and in cases that can be worked out by hand."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from isthmus.metrics.vus import vus_pr

KNOWN = json.loads(Path(__file__).with_name("expected").joinpath("vus.json").read_text())


@pytest.mark.parametrize("name", KNOWN)
def test_values_are_those_of_the_authors_package(name):
    case = KNOWN[name]
    label = np.zeros(len(case["score"]), int)
    for begin, end in case["ranges"]:
        label[begin : end + 1] = 1
    found = vus_pr(label, np.array(case["score"]), case["window"])
    assert math.isclose(found, case["vus_pr"], rel_tol=0, abs_tol=1e-12)


def test_without_a_buffer_equal_scores_have_the_share_of_anomalies():
    label = np.r_[np.zeros(30), np.ones(10), np.zeros(60)].astype(int)
    assert vus_pr(label, np.zeros(100), 0) == pytest.approx(0.1)
    assert vus_pr(label, label + 0.0, 0) == pytest.approx(1)


def test_what_is_early_counts_more_than_what_is_elsewhere():
    label = np.r_[np.zeros(50), np.ones(10), np.zeros(40)].astype(int)
    near, far = np.roll(label, -5) + 0.0, np.roll(label, -40) + 0.0
    assert vus_pr(label, near, 20) > 2 * vus_pr(label, far, 20)


def test_undefined_without_an_anomaly_or_a_finite_score():
    assert math.isnan(vus_pr(np.zeros(9, int), np.arange(9.0), 3))
    assert math.isnan(vus_pr(np.ones(9, int), np.full(9, np.nan), 3))
