"""Slope, spectrum, contraction and saturation, on maps whose answers are known."""

import pytest
import torch

from isthmus.errors import BadInput
from isthmus.families.contractive import Contractive
from isthmus.metrics import jacobian
from isthmus.parts import penalties
from isthmus.testing import made, rows

WEIGHT = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = torch.randn(150, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def linear(x):
    return x @ WEIGHT.t()


def test_a_linear_map_has_its_own_norm_and_singular_values():
    assert jacobian.jacobian_norm(linear, X) == pytest.approx(WEIGHT.norm().item())
    torch.testing.assert_close(jacobian.jacobian_spectrum(linear, X), torch.linalg.svdvals(WEIGHT))


def test_as_autograd_has_it_for_a_network_of_two_layers():
    deep = lambda x: torch.tanh(linear(x)) @ WEIGHT  # noqa: E731
    each = torch.stack([torch.autograd.functional.jacobian(deep, row) for row in X])
    assert jacobian.jacobian_norm(deep, X) == pytest.approx(each.flatten(1).norm(dim=1).mean().item())
    torch.testing.assert_close(jacobian.jacobian_spectrum(deep, X), torch.linalg.svdvals(each).mean(0))


def test_the_norm_of_a_sigmoid_layer_is_its_closed_form():
    x = rows((8,), 100)
    model = made(Contractive(latents=4), x, "bernoulli").double()
    x = x.double()
    slope = penalties.slope(model.encode(x), "sigmoid").square() @ model.encoder.last.weight.square().sum(1)
    assert jacobian.jacobian_norm(model.encode, x) == pytest.approx(slope.sqrt().mean().item())


def test_a_slope_that_is_not_finite_is_missing_and_a_step_has_none():
    assert jacobian.jacobian_spectrum(lambda x: x.sqrt(), torch.zeros(3, 2)).isnan().all()
    assert jacobian.jacobian_norm(torch.round, X) == 0
    assert jacobian.jacobian_norm(lambda x: torch.ones_like(x.detach()), X) == 0


def test_images_are_rows_too():
    x = X[:, :4].reshape(-1, 2, 2)
    assert jacobian.jacobian_norm(lambda r: 3 * r.flatten(1), x) == pytest.approx(6.0)


def test_contraction_of_a_scaling_and_of_a_saturating_map():
    radii = torch.tensor([0.01, 1.0, 100.0], dtype=torch.float64)
    torch.testing.assert_close(jacobian.contraction_curve(lambda x: 0.3 * x, X, radii), torch.full((3,), 0.3).double())
    curve = jacobian.contraction_curve(torch.tanh, torch.zeros_like(X), radii)
    assert curve[0] == pytest.approx(1.0, abs=1e-3)
    assert curve[0] > curve[1] > curve[2]
    assert curve[2] < 0.03
    with pytest.raises(BadInput, match="radii must be positive"):
        jacobian.contraction_curve(linear, X, torch.tensor([0.0]))


def test_saturation_counts_both_ends():
    z = torch.tensor([[0.04, 0.06, 0.94, 0.96]])
    assert jacobian.saturated(z, "sigmoid") == 0.5
    assert jacobian.saturated(2 * z - 1, "tanh") == 0.5
    assert jacobian.saturated(z, "sigmoid", margin=0.1) == 1.0
    with pytest.raises(BadInput, match="bounded activations"):
        jacobian.saturated(z, "relu")
