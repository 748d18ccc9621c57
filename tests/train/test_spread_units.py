"""Dictionaries whose units are spread over ranks: they, their checkpoints and models end as in one process."""

import json
import os
import signal
import time

import numpy as np
import pytest
import torch
from shards import CASES, rank, task, trained

import forks
from isthmus.cli import main
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.ship import artefact
from isthmus.train.checkpoint import tensors_of
from isthmus.train.loop import begin
from isthmus.train.shards import Shards


@pytest.mark.slow
def test_spread_units_end_as_in_one_process_whoever_began_and_whoever_goes_on(tmp_path):
    trained("topk", kept=tmp_path / "kept of one", until=40)
    assert forks.ranks(2, lambda: rank(tmp_path)) == [0, 0]
    ranks = [json.loads((tmp_path / f"{number}.json").read_text()) for number in (0, 1)]
    for case in CASES:
        history, weights = trained(case)
        for number, found in enumerate(ranks):
            assert found[case]["valid"] == ranks[0][case]["valid"]
            for key, told in history.items():  # the auxiliary term of dead units too
                assert found[case][key] == pytest.approx(told, rel=1e-5, abs=1e-7, nan_ok=True), (case, key)
            for name, there in torch.load(tmp_path / f"{case} {number}.pt").items():
                torch.testing.assert_close(there, weights[name], rtol=1e-4, atol=1e-5)
        assert max(history["valid/auxiliary"]) > 0
    history, weights = trained("topk")
    assert ranks[0]["continued"]["valid"] == pytest.approx(history["valid"], rel=1e-5)
    again, there = trained("topk", kept=tmp_path / "kept of two")
    assert again["valid"] == pytest.approx(history["valid"], rel=1e-5)
    for name, own in there.items():
        torch.testing.assert_close(own, weights[name], rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_lost_rank_ends_the_run_the_same_command_goes_on_and_the_model_is_that_of_one_process(tmp_path, monkeypatch):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32))
    usual = ["train", "topk", "rows.npy", "--measure", "none", "--steps", "400", "--set", "latents=64"]
    usual += ["--set", "k=4", "--set", "drops=200", "--quiet"]
    again = [*usual, "--out", "model", "--shard", "--checkpoint", "0.3s"]
    ran = forks.Torchrun(2, lambda: forks.command(again), tmp_path)
    while not (tmp_path / "model.checkpoint").exists() and ran.poll() is None:
        time.sleep(0.01)
    os.kill(ran.rank(0), signal.SIGKILL)
    said = ran.communicate(timeout=60)[1].splitlines()
    assert ran.returncode != 0
    (line,) = [one for one in said if one.startswith("isthmus: ")]
    assert line.startswith("isthmus: a rank of 2 is lost")
    monkeypatch.chdir(tmp_path)
    assert forks.ranks(2, lambda: forks.command(again)) == [0, 0]
    assert main([*usual, "--out", "alone"]) == 0
    spread, alone = (artefact.load(tmp_path / name) for name in ("model", "alone"))
    rows = np.load(tmp_path / "rows.npy")
    np.testing.assert_allclose(spread.encode(rows), alone.encode(rows), rtol=1e-3, atol=1e-4)
    files = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("model", "alone")]
    assert files[0] == files[1]


@pytest.mark.parametrize("case", list(CASES))
def test_each_rank_holds_its_units_and_takes_its_part_of_a_state(case):
    one = task(case)
    begin(one)
    whole = {name: tensor.clone() for name, tensor in tensors_of(one.model).items()}
    parts = []
    for number in (0, 1):
        model = task(case).model
        for name, tensor in tensors_of(model).items():
            tensor.data = whole[name].clone()
        shards = Shards(number, 2)
        shards.split(model)
        held = tensors_of(model)
        parts.append(held)
        flat = torch.cat([whole[name].flatten() for name, _ in one.model.named_parameters()])
        mine = shards.mine(
            {"stack/state": flat.unsqueeze(0), "best/0/0": flat, "stack/buffers/idle": whole["idle"][None]}
        )
        here = torch.cat([p.flatten() for p in model.parameters()])
        assert torch.equal(mine["stack/state"][0], here)
        assert torch.equal(mine["best/0/0"], here)
        assert torch.equal(mine["stack/buffers/idle"][0], held["idle"])
    spread = {"encoder.layers.0.weight", "encoder.layers.0.bias", "idle"}
    for name, tensor in whole.items():
        if name in spread or name in {"decoder.layers.0.weight", "decoder.rows"}:
            axis = int(name == "decoder.layers.0.weight")
            assert torch.equal(torch.cat([held[name] for held in parts], axis), tensor)
        else:
            assert torch.equal(parts[1][name], tensor)


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("vae", {}, "of topk and of batchtopk"),
        ("abstopk", {}, "of topk and of batchtopk"),
        ("matryoshka", {}, "of topk and of batchtopk"),
        ("topk", {"latents": 16, "ortho": 0.25}, "without --set ortho"),
        ("topk", {"latents": 16, "hidden": (8,)}, "the units of one layer"),
        ("topk", {"latents": 16}, "16 units cannot be divided equally among 3 ranks; give --set latents=18"),
    ],
)
def test_what_cannot_be_spread_is_refused(name, more, expected):
    with pytest.raises(BadInput, match=expected):
        Shards(0, 3).split(named(name).set_params(**more).build((12,), "gaussian", number=1))


def test_units_are_spread_on_processors_so_far():
    with pytest.raises(BadInput, match="got --device meta: leave it out"):
        Shards(0, 2).split(named("topk").set_params(latents=16).build((12,), "gaussian", number=1).to("meta"))


def test_one_process_has_nobody_to_spread_units_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "topk", "iris", "--steps", "1", "--shard"]) == 2
    assert "there is one; start several with torchrun" in capsys.readouterr().err
