"""The measurements for a GPU run where there is none, small; and say so where they would mean nothing."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    try:
        yield import_module("gpu")
    finally:
        sys.modules.pop("gpu", None)


def told(script, monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["gpu.py", *words])
    code = script.main()
    said = capsys.readouterr()
    return code, [json.loads(line) for line in said.out.splitlines()], said.err


@pytest.mark.slow
def test_every_workload_and_contender_is_measured(script, monkeypatch, capsys):
    words = ("--device", "cpu", "--scale", "0.02", "--seconds", "0", "--contenders", "ours", "plain", "bf16")
    code, lines, _ = told(script, monkeypatch, capsys, *words)
    assert code == 0
    for what, load in script.LOADS.items():
        assert [(one["contender"], one["models"]) for one in lines if one["what"] == what] == [
            (how, load.models) for how in ("ours", "plain", "bf16")
        ]
    assert [one["models"] for one in lines if one["what"] == "chunk"] == list(script.CHUNKS)
    assert all(one["rows_per_s"] > 0 and one["share_of_products"] >= 0 for one in lines)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch's own, where a compiled step looks at a value
@pytest.mark.parametrize(("name", "other"), [("recipe", "plain"), ("W3", "plain"), ("recipe", "compiled")])
def test_contenders_do_the_same_work(script, name, other):
    """From the same weights on the same rows, the engine's step and the one by hand end with the same weights."""
    ends = []
    for how in ("ours", other):
        models, rows, batch = script.built(script.LOADS[name], 0.02, 1)
        hand = (models, rows, batch, how, "aot_eager")
        step = script.ours(models, rows, batch) if how == "ours" else script.by_hand(*hand)
        for number in range(3):
            step(torch.arange(batch) + number)
        ends.append([p.detach().clone() for p in models[0].parameters()])
    for own, by_hand in zip(*ends, strict=True):
        torch.testing.assert_close(own, by_hand, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_ten_compiled_models_are_measured(script, monkeypatch, capsys):
    words = ("--device", "cpu", "--scale", "0.02", "--seconds", "0", "--only", "W5", "--contenders", "compiled")
    code, lines, _ = told(script, monkeypatch, capsys, *words, "--compiler", "aot_eager")
    assert (code, [(one["contender"], one["models"]) for one in lines]) == (0, [("compiled", 10)])
    assert lines[0]["rows_per_s"] > 0
    with pytest.raises(Exception, match="nobody"):
        told(script, monkeypatch, capsys, *words, "--compiler", "nobody")


def test_without_a_gpu_one_line_says_what_is_missing(script, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    code, lines, said = told(script, monkeypatch, capsys)
    assert (code, lines) == (3, [])
    assert said.count("\n") == 1
    assert "finds no cuda on this machine" in said
