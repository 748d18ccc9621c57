"""Several ranks: the same rows in the same order, the same losses, one that is lost."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from ranks import NAMES, losses, rank
from sklearn.datasets import load_digits

import forks
from isthmus.cli import main
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.train import checkpoint, ranks
from isthmus.train.checkpoint import Checkpoint, Keeper, tensors_of
from isthmus.train.loop import train
from isthmus.train.plan import Plan
from isthmus.train.ranks import Ranks
from isthmus.train.task import Task

TOGETHER = dict.fromkeys(NAMES, 0.0001) | {"batchtopk": 0.02}
"""Relative difference of a validation loss: rounding; and batchtopk chooses among the rows of a rank's share."""

STARTED = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1"]


class Threads(Ranks):
    """Ranks that are threads of one process."""

    def __init__(self, rank, meeting, board):
        super().__init__(rank, meeting.parties)
        self.meeting, self.board = meeting, board

    def everyone(self, value):
        self.board[self.rank] = value
        self.meeting.wait(60)
        found = [self.board[rank] for rank in range(self.size)]
        self.meeting.wait(60)
        return found

    def add(self, tensors):
        everyone = self.everyone([t.clone() for t in tensors])
        for i, tensor in enumerate(tensors):
            tensor.copy_(sum(one[i] for one in everyone))

    def most(self, values):
        return [max(of_all) for of_all in zip(*self.everyone(values), strict=True)]

    def wait(self):
        self.meeting.wait(60)


def together(size, work):
    """What ``work`` returns for each rank."""
    meeting, board, found = threading.Barrier(size), {}, {}

    def one(rank):
        try:
            found[rank] = work(Threads(rank, meeting, board))
        except BaseException:
            meeting.abort()
            raise

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[rank] for rank in range(size)]


def task(name, plan=None, **more):
    rows = torch.tensor(load_digits().data[:300] / 16, dtype=torch.float32)
    recipe = named(name).set_params(**more)
    plan = (plan or Plan(steps=40, batch=32, check=10, clip=0.05)).of(recipe)
    return Task(recipe, recipe.build((64,), "bernoulli", number=5), rows[:200], rows[200:], plan, 5)


def trained(one, ranks=None, keeper=None):
    (outcome,) = train([one], keeper=keeper, ranks=ranks)
    return outcome.history, {name: t.clone() for name, t in tensors_of(one.model).items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("vae", {"corruption": "mask", "corruption_level": 0.3}),
        ("vq", {"corruption": "salt", "corruption_level": 0.1}),
        ("topk", {"corruption": "gaussian", "corruption_level": 0.1}),
    ],
)
def test_two_ranks_train_what_one_trains_and_agree_to_the_bit(name, more):
    alone, weights = trained(task(name, **more))
    first, second = together(2, lambda ranks: trained(task(name, **more), ranks))
    assert json.dumps(first[0]) == json.dumps(second[0])
    for key, own in first[1].items():
        assert torch.equal(own, second[1][key]), key
        torch.testing.assert_close(own, weights[key], rtol=1e-3, atol=1e-4)
    for key, told in alone.items():  # terms of the training loss too
        assert first[0][key] == pytest.approx(told, rel=1e-4, nan_ok=True), key


@pytest.mark.slow
def test_a_checkpoint_of_two_ranks_serves_one(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def watch(check):
        if check.step == 20:
            raise Killed

    alone, _ = trained(task("vae"))
    kept = Checkpoint(tmp_path / "kept", every=0.0)

    def half(ranks):
        one = task("vae")
        with pytest.raises(Killed):
            train([one], watch, Keeper(kept, [one], ranks), ranks)

    together(2, half)
    assert kept.steps() == 19
    one = task("vae")
    found, _ = trained(one, keeper=Keeper(Checkpoint(kept.path), [one]))
    assert found["valid"] == pytest.approx(alone["valid"], rel=1e-4)


def test_batches_without_equal_shares_are_refused():
    with pytest.raises(
        BadInput, match="a batch of 32 rows cannot be divided equally among 3 ranks; give --set batch=33"
    ):
        train([task("plain")], ranks=Ranks(0, 3))


def test_other_commands_are_refused(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert main(["compare", "digits"]) == 2
    assert "several ranks share the work of isthmus train alone" in capsys.readouterr().err


alone = cache(losses)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 4])
def test_ranks_see_the_same_rows_in_the_same_order_and_end_with_the_same_loss(size, tmp_path):
    assert forks.ranks(size, lambda: rank(tmp_path)) == [0] * size
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(size)]
    for name in NAMES:
        valid, rows = alone(name)
        for number, step in enumerate(rows):
            assert [row for one in found for row in one[name][1][number]] == step
        for one in found:
            assert one[name][0] == found[0][name][0]
            assert one[name][0] == pytest.approx(valid, rel=TOGETHER[name])


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A folder with rows to train on."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    np.save("rows.npy", np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32))
    return folder


ENDLESS = ["train", "plain", "rows.npy", "--out", "model", "--measure", "none", "--steps", "100000"]
ENDLESS += ["--checkpoint", "0.3s"]


@pytest.mark.slow
def test_a_lost_rank_ends_the_run_with_one_line_and_the_same_command_goes_on(rows, capfd):
    """As from a shell, with the torchrun of an interpreter of its own."""
    given = ["train", "vae", "rows.npy", "--out", "model"]
    given += ["--measure", "none", "--steps", "1200", "--set", "drops=200", "--checkpoint", "0.3s"]
    command = [*STARTED, "--nproc-per-node", "2", "-m", "isthmus", *given]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    how = {"cwd": rows, "env": environment, "text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, **how) as ran:
        while not (rows / "model.checkpoint").exists() and ran.poll() is None:
            time.sleep(0.01)
        for child in Path(f"/proc/{ran.pid}/task/{ran.pid}/children").read_text().split():
            if b"\0RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
                os.kill(int(child), signal.SIGKILL)
        said = ran.communicate(timeout=60)[1].splitlines()
    assert ran.returncode != 0
    (line,) = [one for one in said if one.startswith("isthmus: ")]
    assert line.startswith("isthmus: a rank of 2 is lost")
    assert "the same command trains again, from what --checkpoint kept" in line
    assert forks.ranks(2, lambda: forks.command(given)) == [0, 0]
    assert capfd.readouterr().out.count("Model: ") == 1
    assert (rows / "model").exists()
    assert not (rows / "model.checkpoint").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no handles of processes")
def test_what_one_rank_does_alone_may_take_an_hour_and_no_more(rows, monkeypatch):
    monkeypatch.setattr(ranks, "PATIENCE", 3.0)  # an hour
    monkeypatch.setattr(ranks, "LEAVE", 1.0)  # 2 seconds

    def run():
        if os.environ["RANK"] == "0":
            checkpoint.durable.whole = lambda *_: time.sleep(600)  # a disk that does not answer
        return forks.command(ENDLESS)

    ran = forks.Torchrun(2, run, rows)
    said = ran.communicate(timeout=120)[1]
    assert ran.returncode != 0
    (line,) = [one for one in said.splitlines() if one.startswith("isthmus: ")]
    assert line.startswith("isthmus: a rank of 2 is lost, or did not answer for 3 s: the training ends")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no handles of processes")
@pytest.mark.parametrize("number", [0, 1])
def test_a_rank_that_hangs_is_ended_with_the_others(number, rows, monkeypatch):
    monkeypatch.setattr(ranks, "ANSWER", 4.0)  # 15 seconds
    monkeypatch.setattr(ranks, "LEAVE", 1.0)  # 2 seconds
    ran = forks.Torchrun(2, lambda: forks.command(ENDLESS), rows)
    while not (rows / "model.checkpoint").exists() and ran.poll() is None:
        time.sleep(0.01)
    children = [ran.rank(0), ran.rank(1)]
    os.kill(children[number], signal.SIGSTOP)
    try:
        said = ran.communicate(timeout=90)[1]
    finally:
        for child in children if ran.poll() is None else ():
            os.kill(child, signal.SIGKILL)
    assert ran.returncode != 0
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert "Unable to shutdown process" not in said  # what torchrun says when its half minute is over
    (line,) = [one for one in said.splitlines() if one.startswith("isthmus: ")]
    assert line.startswith("isthmus: a rank of 2 is lost")
