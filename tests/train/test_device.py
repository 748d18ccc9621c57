"""Where a training computes: what is asked for, what is not there, and that no family leaves its device."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

import isthmus
from isthmus.cli import main
from isthmus.dispatch import ATEN, Mode, tree_leaves
from isthmus.errors import BadEnvironment, BadInput
from isthmus.families import FAMILIES, named
from isthmus.train import device, optim
from isthmus.train.plan import Plan
from isthmus.train.stack import Stack, free

ROWS = load_digits().data[:200].astype(np.float32)
SOURCE = Path(isthmus.__file__).parent


@pytest.mark.parametrize("there", [set(), {"mps"}, {"cuda"}, {"cuda", "mps"}])
def test_auto_is_the_first_that_is_there_and_what_is_not_there_is_refused(there, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in there)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in there)
    have = [name for name in ("cuda", "mps") if name in there] + ["cpu"]
    assert device.device("auto").type == have[0]
    for name in ("cuda", "mps", "cpu"):
        if name in have:
            assert device.device(name).type == name
        else:
            with pytest.raises(BadEnvironment, match=f"no {name} on this machine, only {', '.join(have)}"):
                device.device(name)
    with pytest.raises(BadInput, match="device must be one of auto, cpu, cuda, mps; got 'gpu'"):
        device.device("gpu")


def test_one_file_asks_which_devices_there_are():
    asking = [path.name for path in SOURCE.rglob("*.py") if "cuda.is_available" in path.read_text()]
    assert asking == ["device.py"]


class Apart(Mode):
    """Refuses an operation on tensors of two devices, as they do; but for copies, and numbers that are tensors."""

    def see(self, op, args, kwargs):
        devices = {t.device for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and t.ndim}
        assert len(devices) < 2 or op in {ATEN.copy_.default, ATEN._to_copy.default}, op
        return op(*args, **kwargs)


def test_a_product_over_two_devices_is_noticed():
    with pytest.raises(AssertionError, match="mm"), Apart():
        torch.ones(2, 3, device="meta") @ torch.ones(3, 2)


@pytest.mark.parametrize("name", list(FAMILIES))
def test_a_step_stays_on_its_device(name, monkeypatch):
    """On torch's meta device, which has shapes and no numbers, and is where no family put its tensors."""
    recipe, meta = clone(FAMILIES[name]), torch.device("meta")
    model = recipe.build((64,), "bernoulli", number=1)
    model.start(torch.tensor(ROWS / 16))
    if not free(model):
        pytest.skip("it takes no steps")
    monkeypatch.setattr(optim, "update", lambda *args: None)
    model.to(meta)
    how = {"corruption": "mask", "levels": [0.1], "generators": [torch.Generator()], "batch": 16}
    stack = Stack([model], rows=(torch.tensor(ROWS / 16, device=meta),), **how)
    stack.replays = False
    with Apart():
        stack.step(torch.zeros(16, dtype=torch.int64, device=meta), 0.0, [0.1])
    assert {t.device.type for t in stack.tensors().values()} == {"meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("name", ["plain", "topk", "vae", "vq"])
def test_a_gpu_trains_what_the_processor_trains(name):
    plan = Plan(steps=60, check=20)
    here = isthmus.fit(named(name), ROWS, plan=plan, images=False)
    there = isthmus.fit(named(name), ROWS, plan=plan, images=False, device="cuda")
    assert there.outcome.history["valid"] == pytest.approx(here.outcome.history["valid"], rel=1e-3)
    assert {p.device.type for p in there.model.parameters()} == {"cpu"}


def test_the_command_line_hands_it_on(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["train", "plain", "iris", "--device", "cuda"]) == 3
    assert "finds no cuda on this machine" in capsys.readouterr().err
    assert main(["train", "plain", "iris", "--device", "gpu"]) == 2
    assert "device must be one of auto, cpu, cuda, mps" in capsys.readouterr().err
