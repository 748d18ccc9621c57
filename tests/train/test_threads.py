"""Randomness has owners: fits in threads are those of a serial run, and nobody's global state is read or moved."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn

import isthmus
from isthmus.dispatch import drawing, within
from isthmus.errors import BadInput
from isthmus.families import FAMILIES, named
from isthmus.registry import OWN
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

ROWS = np.random.default_rng(0).normal(size=(80, 18)).astype(np.float32)
SHORT = Plan(steps=12, check=6, batch=16)
SEVERAL = ("plain", "vae", "topk", "vq", "factor", "vamp", "gumbel", "archetypal")


def weights(name, seed=5):
    fitted = fit(clone(FAMILIES[name]), ROWS, plan=SHORT, seed=seed)
    return {key: value.clone() for key, value in fitted.model.state_dict().items()}


def global_states():
    name, words, *rest = np.random.get_state()  # noqa: NPY002
    return torch.random.get_rng_state().tolist(), (name, words.tolist(), *rest), random.getstate()


@pytest.fixture
def untouched():
    """The three global random states are, after the test, what they were."""
    before = global_states()
    yield
    assert global_states() == before


@pytest.mark.slow
def test_fits_in_threads_are_those_of_a_serial_run(untouched):
    serial = {name: weights(name) for name in SEVERAL}
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(4) as pool:
        for name, found in zip(2 * SEVERAL, pool.map(weights, 2 * SEVERAL), strict=True):
            assert all(torch.equal(found[key], value) for key, value in serial[name].items()), name
    assert torch.get_num_threads() == threads


def test_initial_weights_do_not_follow_the_global_state_and_follow_the_seed():
    first = weights("plain")
    torch.manual_seed(1)
    assert all(torch.equal(value, first[key]) for key, value in weights("plain").items())
    assert not torch.equal(weights("plain", seed=6)["encoder.layers.0.weight"], first["encoder.layers.0.weight"])


@pytest.mark.slow
def test_load_and_compare_touch_no_global_state(untouched, tmp_path):
    fitted = fit(named("vq").set_params(latents=4), ROWS, plan=SHORT)
    isthmus.save(fitted, tmp_path / "model")
    isthmus.load(tmp_path / "model")
    isthmus.compare(
        ROWS, families=["plain", "vae"], facets=["reconstruction"], out=tmp_path / "study", replicates=2,
        configs=1, steps=12, jobs=1,
    )  # fmt: skip


def test_a_network_of_ones_own_follows_the_seed_too(untouched):
    isthmus.register_backbone(
        "threaded",
        lambda shape, width: nn.Linear(shape[0], width),
        lambda width, shape: nn.Sequential(nn.Linear(width, 7), nn.GELU(), nn.Linear(7, shape[0])),
    )
    try:
        one, again, other = (
            fit(named("plain").set_params(backbone="threaded"), ROWS, plan=SHORT, seed=s) for s in (1, 1, 2)
        )
    finally:
        OWN.pop("threaded")
    same, changed = (
        [torch.equal(a, b) for a, b in zip(one.model.parameters(), two.model.parameters(), strict=True)]
        for two in (again, other)
    )
    assert all(same)
    assert not all(changed)


def test_drawing_gives_what_the_seeded_global_generator_would_and_refuses_what_takes_none(untouched):
    def numbers():
        layer = nn.Conv1d(3, 4, 2)
        return [
            torch.rand(5),
            torch.randn(40),
            torch.randint(9, (4,)),
            torch.randperm(7),
            torch.empty(3).normal_(),
            layer.weight,
        ]

    with drawing(11):
        found = numbers()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        wanted = numbers()
    assert all(map(torch.equal, found, wanted))
    with drawing(11), pytest.raises(BadInput, match="takes no generator"):
        torch.native_dropout(torch.ones(3), 0.5, True)


def test_memory_is_counted_before_it_is_taken():
    with within(10**6):
        torch.zeros(1000) + 1
    for ask in (lambda: torch.empty(10**12), lambda: torch.eye(10**6), lambda: nn.Linear(10**6, 10**6)):
        with within(10**6), pytest.raises(MemoryError):
            ask()


@pytest.mark.slow
def test_no_family_loads_the_compiler(tmp_path):
    """Saved, loaded and used, all families leave torch's compiler alone: it costs a second and writes to /tmp."""
    code = f"""
import sys, numpy as np, isthmus
from sklearn.base import clone
from isthmus.families import FAMILIES
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan
x = np.random.default_rng(0).normal(size=(60, 18))
for name, recipe in FAMILIES.items():
    fitted = fit(clone(recipe), x, plan=Plan(steps=4, check=2))
    isthmus.save(fitted, {str(tmp_path)!r} + "/" + name)
    isthmus.load({str(tmp_path)!r} + "/" + name).encode(x)
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "[]", ran.stderr


@pytest.mark.slow
def test_an_unknown_torch_is_named():
    code = "import torch; del torch.Tag; import isthmus.dispatch"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = ran.stderr.strip().splitlines()[-1]
    assert f"isthmus needs internals of torch that torch {torch.__version__} does not have" in last
    assert "install a torch from 2.6 to 2.13" in last
