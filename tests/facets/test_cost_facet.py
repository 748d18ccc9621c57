import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from subjects import Fixed, digits, pca, split

from isthmus.facets import FACETS, cost
from isthmus.facets.cost import speed
from isthmus.facets.facet import Candidate

X, _ = digits()
FACET = FACETS["cost"]
PARTS = split(X, None)


def test_what_is_read_off_the_model():
    found = FACET.measure(pca(PARTS.train.x, 4), PARTS)
    assert (found["parameters"], found["train_seconds"], found["artefact_bytes"]) == (64 + 4 * 64, 0.5, 1234)
    assert found["rows_per_second"] > 0


def test_products_are_counted_both_ways_for_one_row():
    down, up = torch.zeros(64, 4), torch.zeros(4, 64)
    subject = Fixed(
        lambda x: (torch.from_numpy(x).flatten(1) @ down).numpy(),
        lambda z: (torch.from_numpy(z) @ up).reshape(-1, 8, 8).numpy(),
    )
    assert FACET.measure(subject, PARTS)["flops_per_row"] == 2 * 2 * 64 * 4


def test_speed_is_that_of_encoding_a_whole_batch():
    seen = []

    def encode(x):
        seen.append(len(x))
        return np.zeros((len(x), 2), dtype=np.float32)

    few = PARTS._replace(train=PARTS.train._replace(x=PARTS.train.x[:10]))
    FACET.measure(Fixed(encode, lambda z: np.zeros((len(z), 8, 8))), few)
    assert set(seen[:-1]) == {256}
    assert seen[-1] == 1


def test_speed_is_measured_on_one_thread_and_the_callers_setting_comes_back():
    seen = set()

    def encode(x):
        seen.add(torch.get_num_threads())
        return np.zeros((len(x), 2), dtype=np.float32)

    torch.set_num_threads(2)
    try:
        speed(Fixed(encode, None), PARTS.train.x[:8])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert seen == {1}


def test_a_clock_that_stands_still_gives_no_speed(monkeypatch):
    monkeypatch.setattr(cost, "seconds", lambda function: 0.0)
    assert math.isnan(FACET.measure(pca(PARTS.train.x, 4), PARTS)["rows_per_second"])


@pytest.mark.parametrize(
    ("status", "best_step", "trained"),
    [("converged", 50, True), ("cut", 0, False), ("closed form", 0, True), ("diverged", 0, False)],
)
def test_a_fitted_model_is_a_candidate(status, best_step, trained):
    outcome = SimpleNamespace(status=status, best_step=best_step, seconds=1.5)
    fitted = SimpleNamespace(
        encode_scaled=lambda x: x + 1, decode_scaled=lambda z: z * 2, outcome=outcome, parameters=7
    )
    candidate = Candidate(fitted, artefact_bytes=99)
    assert (candidate.trained, candidate.parameters, candidate.train_seconds) == (trained, 7, 1.5)
    assert (candidate.encode_scaled(1), candidate.decode_scaled(3), candidate.artefact_bytes) == (2, 6, 99)
