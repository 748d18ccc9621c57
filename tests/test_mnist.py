"""A linear autoencoder is PCA: 13.87 squared error per MNIST test image at 30 units (Hinton and Salakhutdinov 2006)."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.families import named
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan


@pytest.fixture(scope="module")
def images(shared):
    folder = shared("data/mnist")
    return [read(folder / f"{part}-images-idx3-ubyte.gz").x / np.float32(255) for part in ("train", "t10k")]


def per_image(fitted, images):
    return fitted.errors(images).mean() * 784


@pytest.mark.slow
def test_pca_and_a_trained_linear_autoencoder_reach_the_published_error(images):
    train, test = images
    pca = fit(named("pca").set_params(latents=30), train, valid=train[:2000], scale="none")
    assert per_image(pca, test) == pytest.approx(13.87, abs=0.005)
    linear = named("plain").set_params(latents=30, backbone="linear", head="gaussian")
    plan = Plan(steps=2000, batch=128, learning_rate=6e-3, schedule="cosine", check=500)
    trained = fit(linear, train, valid=train[:2000], scale="none", plan=plan)
    assert per_image(trained, test) == pytest.approx(per_image(pca, test), rel=1e-3)
