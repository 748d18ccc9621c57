"""Where a training computes: what is asked for, what is not there, and that no family leaves its device."""

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits

import isthmus
from isthmus import dispatch
from isthmus.cli import main
from isthmus.dispatch import ATEN, Mode, tree_leaves
from isthmus.errors import BadEnvironment, BadInput
from isthmus.families import FAMILIES, named
from isthmus.train import device, optim, tape
from isthmus.train.inference import in_chunks
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


def test_rows_of_the_processor_reach_a_step_elsewhere(monkeypatch):
    """As those of a file do, whatever device the step computes on."""
    monkeypatch.setattr(optim, "update", lambda *args: None)
    model, rows = named("plain").build((64,), "bernoulli", number=1).to("meta"), torch.tensor(ROWS / 16)
    stack = Stack([model], rows=(rows,), corruption="none", levels=[0.0], generators=[torch.Generator()], batch=16)
    stack.replays = False
    with Apart():
        for first in range(3):
            stack.step(torch.arange(first, first + 16), 0.0, [0.1])
    assert {t.device.type for t in (*stack.tensors().values(), *stack.batch)} == {"meta"}


def test_rows_on_their_way_are_those_that_were_asked_for():
    rows, batch = torch.tensor(ROWS), torch.empty(8, 64)
    carry = device.Carrier(rows, batch)
    carry._places = [carry._place(), carry._place()]  # as if the batch lay elsewhere
    dice = torch.Generator().manual_seed(0)
    for _ in range(5):
        numbers = torch.randint(200, (8,), generator=dice)
        carry(numbers)
        assert torch.equal(batch, rows[numbers])


class Graph:
    """Stands for a graph of CUDA: what is called within its block is captured, and called again by a replay."""

    made: ClassVar = []

    def __init__(self):
        self.replays = 0
        Graph.made.append(self)

    def replay(self):
        self.replays += 1


class Capturing:
    """The block of such a graph; as CUDA does, it refuses what cannot be captured."""

    refuses = False

    def __init__(self, graph):
        self.graph = graph

    def __enter__(self):
        return self.graph

    def __exit__(self, *what):
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing")


@pytest.mark.parametrize("refuses", [False, True])
def test_on_cuda_a_replay_is_one_graph_unless_it_cannot_be_captured(refuses, monkeypatch):
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", Capturing)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(Capturing, "refuses", refuses)
    monkeypatch.setattr(Graph, "made", [])
    called = []
    calls = [lambda: called.append(1), lambda: called.append(2)]
    assert device.at_once(calls, torch.device("cpu")) is calls
    assert called == []
    given = device.at_once(calls, torch.device("cuda"))
    assert called == [1, 2]  # while it was captured
    for call in given:
        call()
    (graph,) = Graph.made
    assert (graph.replays, called) == ((0, [1, 2, 1, 2]) if refuses else (1, [1, 2]))


def test_each_part_of_a_record_that_is_wanted_is_a_graph_but_what_hangs_on_a_flag(monkeypatch):
    given = []

    def at_once(calls, place):
        given.append((len(calls), place.type))
        return calls

    monkeypatch.setattr(tape, "at_once", at_once)
    x = torch.ones(3)
    found = tape.record(lambda x: (x + 1, x.exp().sin()), [x])
    for wanted in (None, found.result[0], None):
        found.replay(wanted)
    assert given == [(3, "cpu"), (1, "cpu")]
    given.clear()
    tie = torch.tensor([False])
    found = tape.record(lambda x, tie: dispatch.seldom(tie, x.exp, x + 1) * 2, [x, tie])
    found.replay()
    assert given == [(2, "cpu"), (1, "cpu")]  # what is before the flag is read, and what is after
    assert found.result.tolist() == [4.0] * 3
    tie.fill_(True)
    found.replay()
    assert found.result.tolist() == pytest.approx([2 * math.e] * 3)


def test_ranks_of_one_machine_take_one_gpu_each(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = []
    for rank in range(4):
        monkeypatch.setenv("LOCAL_RANK", str(rank))
        found.append((device.device("cuda"), device.device("auto")))
    assert [[one.index or 0 for one in each] for each in found] == [[0, 0], [1, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_rows_in_a_file_go_where_it_is_asked(name, tmp_path, monkeypatch):
    """Before, they trained on the processor alone."""
    np.save(tmp_path / "rows.npy", ROWS / 16)
    for kind in ("cuda", "mps"):
        monkeypatch.setattr(getattr(torch.backends if kind == "mps" else torch, kind), "is_available", lambda: False)
    plan = Plan(steps=20, check=10, batch=32)
    few = {"plan": plan, "memory": "8GiB"}  # this process may hold much already
    with pytest.raises(BadEnvironment, match=f"no {name} on this machine"):
        isthmus.fit(named("plain"), isthmus.source(tmp_path / "rows.npy"), device=name, **few)
    here, there = (
        isthmus.fit(named("plain"), isthmus.source(tmp_path / "rows.npy"), device=d, **few) for d in ("cpu", "auto")
    )
    assert here.outcome.history["valid"] == there.outcome.history["valid"]


def test_a_network_answers_where_it_is_placed_and_in_the_numbers_asked_for():
    fitted = isthmus.fit(named("vae"), ROWS, plan=Plan(steps=20, check=10), images=False)
    codes, again, errors = fitted.encode(ROWS), fitted.reconstruct(ROWS), fitted.errors(ROWS)
    same = fitted.placed("cpu")
    assert np.array_equal(same.encode(ROWS), codes)
    assert next(fitted.model.parameters()).dtype == torch.float32
    for dtype, most in (("bfloat16", 0.03), ("float16", 0.01), ("float64", 1e-5)):
        placed = fitted.placed("auto" if not torch.cuda.is_available() else "cpu", dtype)
        assert {p.dtype for p in placed.model.parameters()} == {getattr(torch, dtype)}
        for found, expected in (
            (placed.encode(ROWS), codes),
            (placed.decode(codes), fitted.decode(codes)),
            (placed.reconstruct(ROWS), again),
            (placed.errors(ROWS), errors),
        ):
            assert not np.array_equal(found, expected)
            assert np.abs(found - expected).max() < most * np.abs(expected).max()
    with pytest.raises(BadInput, match="dtype must be one of float32, bfloat16, float16, float64; got 'int8'"):
        fitted.placed("cpu", "int8")
    with pytest.raises(BadInput, match="device must be one of"):
        fitted.placed("gpu")


def test_rows_go_where_the_weights_are():
    seen = []

    def function(block):
        seen.append((block.device.type, block.dtype))
        return torch.zeros(len(block), 1)

    for weights in (None, torch.empty(1, device="meta"), torch.empty(1, device="meta", dtype=torch.bfloat16)):
        assert in_chunks(function, ROWS, weights=weights).dtype == np.float32
    assert seen == [("cpu", torch.float32), ("meta", torch.float32), ("meta", torch.bfloat16)]


GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")


@GPU
def test_a_gpu_trains_rows_of_a_file_as_the_processor_does(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS / 16)
    few = {"plan": Plan(steps=60, check=20, batch=32), "memory": "2GiB"}
    here, there = (
        isthmus.fit(named("plain"), isthmus.source(tmp_path / "rows.npy"), device=d, **few) for d in ("cpu", "cuda")
    )
    assert there.outcome.history["valid"] == pytest.approx(here.outcome.history["valid"], rel=1e-3)


@GPU
@pytest.mark.parametrize("name", ["plain", "topk", "vae"])
def test_a_graph_gives_what_its_calls_give(name, monkeypatch):
    plan = Plan(steps=60, check=20)
    graphs = isthmus.fit(named(name), ROWS, plan=plan, images=False, device="cuda")
    monkeypatch.setattr(tape, "at_once", lambda calls, place: calls)
    calls = isthmus.fit(named(name), ROWS, plan=plan, images=False, device="cuda")
    assert graphs.outcome.history["valid"] == pytest.approx(calls.outcome.history["valid"], rel=1e-6)


@GPU
def test_a_gpu_answers_what_the_processor_answers():
    fitted = isthmus.fit(named("vae"), ROWS, plan=Plan(steps=60, check=20), images=False)
    there = fitted.placed("cuda")
    np.testing.assert_allclose(there.encode(ROWS), fitted.encode(ROWS), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(there.errors(ROWS), fitted.errors(ROWS), rtol=1e-3, atol=1e-4)


@GPU
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
    isthmus.save(isthmus.fit(named("pca"), ROWS, images=False), "model")
    np.save("rows.npy", ROWS)
    for verb in ("encode", "reconstruct", "score"):
        assert main([verb, "model", "rows.npy", "-o", f"{verb}.npy", "--device", "cuda"]) == 3
        assert "finds no cuda on this machine" in capsys.readouterr().err
        assert main([verb, "model", "rows.npy", "-o", f"{verb}.npy", "--device", "auto", "--quiet"]) == 0
    assert main(["decode", "model", "encode.npy", "--device", "cuda"]) == 3
    assert main(["decode", "model", "encode.npy", "-o", "again.npy", "--device", "auto", "--quiet"]) == 0
    np.testing.assert_allclose(np.load("again.npy"), np.load("reconstruct.npy"), rtol=1e-4, atol=1e-4)
    capsys.readouterr()
    assert main(["train", "plain", "iris", "--device", "gpu"]) == 2
    assert "device must be one of auto, cpu, cuda, mps" in capsys.readouterr().err
