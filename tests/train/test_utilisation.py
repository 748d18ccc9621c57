"""What a training made of the machine follows from its steps, its seconds and one measured product."""

import json

import numpy as np
import pytest

from isthmus.cli import main
from isthmus.metrics import cost
from isthmus.train.utilisation import utilisation

ROWS, COLUMNS, LATENTS, BATCH = 200, 12, 5, 32
FEW = ["--measure", "none", "--set", f"latents={LATENTS}", "--set", f"batch={BATCH}", "--set", "hidden=none"]


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.random.default_rng(0).normal(size=(ROWS, COLUMNS)).astype(np.float32))


def told(capsys, *words):
    assert main(["train", *words, "--quiet", "--json", "--out", "model"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_rate_is_that_of_the_first_product_that_takes_long_enough(monkeypatch):
    readings = iter([0.0004, 0.0003, 0.0005, 0.0004, 0.0004, 0.004, 0.003, 0.009, 0.005, 0.004])
    monkeypatch.setattr(cost, "_reading", lambda product, calls, clock: product() * 0 + next(readings))
    found = cost.product_rate.__wrapped__(least=1e-3)
    assert found == pytest.approx(2 * 512**3 / 0.003)  # 256 were too few; the quickest of five
    assert next(readings, None) is None


def test_a_process_measures_it_once():
    assert cost.product_rate() == cost.product_rate()  # two readings of a clock are never alike


def test_a_share_is_of_the_peak_of_all_ranks():
    found = utilisation(step=3e8, steps=50, batch=64, seconds=2.0, peak=1e10, ranks=3)
    assert found.rows_per_second == 1600
    assert found.flops_per_second == pytest.approx(7.5e9)
    assert found.peak == 3e10
    assert found.share == pytest.approx(0.25)


def test_a_training_tells_what_its_own_products_took(rows, monkeypatch, capsys):
    monkeypatch.setattr(cost, "product_rate", lambda device: 1e9)
    found = told(capsys, "plain", "rows.npy", "--steps", "60", *FEW)
    seconds, speed = found["outcome"]["seconds"], found["speed"]
    assert speed["rows_per_second"] == pytest.approx(60 * BATCH / seconds)
    step = 5 * 2 * BATCH * COLUMNS * LATENTS  # two products forward, three back: nobody asks for the rows' gradient
    assert speed["flops_per_second"] == pytest.approx(60 * step / seconds)
    assert (speed["peak"], speed["share"]) == (1e9, pytest.approx(speed["flops_per_second"] / 1e9))
    assert main(["train", "plain", "rows.npy", "--steps", "20", *FEW, "--quiet", "--out", "model"]) == 0
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("Speed: ")]
    assert " of the 1 GFLOP/s of a large product on this machine (" in line


def test_several_ranks_have_several_peaks(rows, monkeypatch, capsys):
    monkeypatch.setattr(cost, "product_rate", lambda device: 1e9)
    monkeypatch.setattr("isthmus.train.ranks.size", lambda: 1)
    alone = told(capsys, "plain", "rows.npy", "--steps", "20", *FEW)["speed"]
    monkeypatch.setattr("isthmus.cli.train._trained", whole_alone)
    monkeypatch.setattr("isthmus.train.ranks.size", lambda: 4)
    assert told(capsys, "plain", "rows.npy", "--steps", "20", *FEW)["speed"]["peak"] == 4 * alone["peak"]


def whole_alone(title, training, steps, kept, quiet, *, shard):
    return training()


def test_who_takes_no_steps_or_unlike_ones_tells_none(rows, capsys):
    assert told(capsys, "pca", "rows.npy", "--measure", "none")["speed"] is None
    layered = ["--steps", "20", "--set", "stages=layerwise", "--set", "hidden=8", "--measure", "none"]
    assert told(capsys, "plain", "rows.npy", *layered)["speed"] is None
