import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from contenders import Fixed, digits, pca, split

from isthmus.facets import FACETS, cost
from isthmus.facets.cost import encode_bytes, speed, train_bytes
from isthmus.facets.facet import FittedContender
from isthmus.families import FAMILIES, named
from isthmus.metrics.cost import flops, training_step
from isthmus.model import Loss, Model, Ramp

X, _ = digits()
FACET = FACETS["cost"]
SPLITS = split(X, None)


def test_what_is_read_off_the_model():
    found = FACET.measure(pca(SPLITS.train.x, 4), SPLITS)
    assert (found["parameters"], found["train_seconds"], found["artefact_bytes"]) == (64 + 4 * 64, 0.5, 1234)
    assert found["rows_per_second"] > 0


def test_products_are_counted_both_ways_for_one_row():
    down, up = torch.zeros(64, 4), torch.zeros(4, 64)
    contender = Fixed(
        lambda x: (torch.from_numpy(x).flatten(1) @ down).numpy(),
        lambda z: (torch.from_numpy(z) @ up).reshape(-1, 8, 8).numpy(),
    )
    assert FACET.measure(contender, SPLITS)["flops_per_row"] == 2 * 2 * 64 * 4


def test_speed_is_that_of_encoding_a_whole_batch():
    seen = []

    def encode(x):
        seen.append(len(x))
        return np.zeros((len(x), 2), dtype=np.float32)

    few = SPLITS._replace(train=SPLITS.train._replace(x=SPLITS.train.x[:10]))
    FACET.measure(Fixed(encode, lambda z: np.zeros((len(z), 8, 8))), few)
    assert set(seen) == {1, 256}
    assert seen.count(1) == 1


def test_speed_is_measured_on_one_thread_and_the_callers_setting_comes_back():
    seen = set()

    def encode(x):
        seen.add(torch.get_num_threads())
        return np.zeros((len(x), 2), dtype=np.float32)

    torch.set_num_threads(2)
    try:
        speed(Fixed(encode, None), SPLITS.train.x[:8])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert seen == {1}


def test_a_clock_that_stands_still_gives_no_speed(monkeypatch):
    monkeypatch.setattr(cost, "seconds", lambda function: 0.0)
    assert math.isnan(FACET.measure(pca(SPLITS.train.x, 4), SPLITS)["rows_per_second"])


@pytest.mark.parametrize(
    ("status", "best_step", "trained"),
    [("converged", 50, True), ("cut", 0, False), ("closed form", 0, True), ("diverged", 0, False)],
)
def test_a_fitted_model_is_a_candidate(status, best_step, trained):
    outcome = SimpleNamespace(status=status, best_step=best_step, seconds=1.5, steps=60)
    fitted = SimpleNamespace(
        encode_scaled=lambda x: x + 1,
        decode_scaled=lambda z: z * 2,
        outcome=outcome,
        parameters=7,
        plan=SimpleNamespace(batch=32),
    )
    contender = FittedContender(fitted, artefact_bytes=99)
    assert (contender.trained, contender.parameters, contender.train_seconds) == (trained, 7, 1.5)
    assert (contender.steps, contender.batch) == (60, 32)
    assert (contender.encode_scaled(1), contender.decode_scaled(3), contender.artefact_bytes) == (2, 6, 99)


B, D, L = 32, 64, 4


class OneLayer(Model):
    """The sum of all codes, z = x W: its gradient is one product, and everything in it can be counted by hand."""

    def __init__(self, frozen=False):
        super().__init__()
        self.shape, self.latents, self.weights = (D,), L, {"sum": 1.0}
        self.matrix = torch.nn.Parameter(torch.ones(D, L), requires_grad=not frozen)
        self.own = torch.nn.Parameter(torch.ones(3))
        self.register_buffer("seen", torch.zeros(10))

    def encode(self, x):
        return x @ self.matrix

    def decode(self, z):
        return z @ self.matrix.t()

    def forward(self, x, target, noise=None):
        return Loss({"sum": self.encode(x).sum() + self.own.sum()}, {})


ROWS = torch.ones(B, D)


def test_the_flops_of_a_step_are_those_of_two_products():
    assert flops(training_step(OneLayer(), ROWS)) == 2 * (2 * B * D * L)  # x W, and x^T g for the gradient
    assert flops(training_step(OneLayer(frozen=True), ROWS)) == 2 * B * D * L


def test_a_plain_autoencoder_takes_five_products_a_step():
    model = named("plain").set_params(latents=L).build((D,), "gaussian")
    # Two forward; back through the decoder to its matrix and to the code; to the encoder's matrix, not to the rows.
    assert flops(training_step(model, ROWS)) == 5 * 2 * B * D * L


def test_memory_of_a_training_step_counted_by_hand():
    held = 4 * (D * L + 3 + 10)  # parameters and buffer
    moments, batch = 2 * 4 * (D * L + 3), 4 * B * D
    # At the end of the step: the three sums, the 1 that the backward pass starts from, and both gradients, of which
    # that of a sum is a view of the 1. Forward is less: the codes and their sum.
    backward = 4 * (3 + 1 + D * L)
    assert backward > 4 * (B * L + 1)
    assert train_bytes(OneLayer(), ROWS) == held + moments + batch + backward
    frozen = train_bytes(OneLayer(frozen=True), ROWS)
    assert frozen == held + 2 * 4 * 3 + batch + 4 * (B * L + 1)  # no gradient: the peak is forward, codes and a sum


def test_memory_of_encoding_counted_by_hand():
    assert encode_bytes(OneLayer(), ROWS) == 4 * (D * L + 3 + 10 + B * D + B * L)
    assert encode_bytes(OneLayer(), ROWS[:1]) == 4 * (D * L + 3 + 10 + D + L)


def test_counting_leaves_the_model_as_it_was():
    model = OneLayer().eval()
    train_bytes(model, ROWS)
    assert not model.training
    assert all(p.grad is None for p in model.parameters())


def test_the_weight_of_a_term_at_its_end_is_what_counts():
    model = OneLayer()
    model.weights = {"sum": Ramp(2.0, 0.1)}
    gradient = training_step(model, ROWS)()[0]
    assert torch.equal(gradient, torch.full((D, L), 2.0 * B))


def test_a_training_is_its_step_times_its_steps_and_a_closed_form_has_none():
    contender = pca(SPLITS.train.x, 4)
    assert not {"step_flops", "train_flops", "train_bytes"} & set(FACET.measure(contender, SPLITS))
    network = named("plain").set_params(latents=4).build((8, 8), "gaussian")
    trained = SimpleNamespace(
        **{name: getattr(contender, name) for name in ("encode_scaled", "decode_scaled", "compared", "parameters")},
        train_seconds=1.0,
        artefact_bytes=1,
        model=network,
        steps=70,
        batch=B,
    )
    found = FACET.measure(trained, SPLITS)
    assert found["step_flops"] == 5 * 2 * B * 64 * 4
    assert found["train_flops"] == 70 * found["step_flops"]
    assert found["train_bytes"] == train_bytes(network, torch.tensor(SPLITS.train.x[:B]))
    assert found["encode_bytes"] == encode_bytes(network, torch.tensor(SPLITS.train.x[:256]))
    trained.batch = 2 * B
    assert FACET.measure(trained, SPLITS)["step_flops"] == 2 * found["step_flops"]


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name, recipe in FAMILIES.items() if not recipe.wants and name != "pca"])
def test_every_family_is_counted_and_twice_the_same(family):
    torch.manual_seed(0)
    model = named(family).set_params(latents=8).build((8, 8), "gaussian")
    rows = torch.tensor(SPLITS.train.x[:B])
    took, again = train_bytes(model, rows), train_bytes(model, rows)
    moments = 2 * 4 * sum(p.numel() for p in model.parameters())
    assert took == again >= encode_bytes(model, rows) + moments
    assert flops(training_step(model, rows)) > 2 * flops(lambda: model.encode(rows))
