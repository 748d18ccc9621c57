"""``isthmus train --checkpoint``: killed, told to stop, asked for something else, damaged."""

import os
import pty
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from forks import Command, command, leave
from isthmus.cli import main
from isthmus.train.checkpoint import Checkpoint

COMMAND = ["rows.npy", "--out", "model", "--measure", "none", "--steps", "4000", "--set", "drops=30"]


@pytest.fixture(autouse=True)
def _rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", np.random.default_rng(0).normal(size=(300, 12)).astype(np.float32))


def started(*arguments):
    """A process of its own, as soon as something is kept."""
    ran = Command("train", *arguments, cwd=Path.cwd())
    while not Path("model.checkpoint").exists() and ran.poll() is None:
        time.sleep(0.005)
    return ran


def content(folder):
    return Path(folder, "model.safetensors").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["vae", "vq"])
def test_kill_9_again_and_again_gives_the_same_bytes(family, capfd):
    wait, kills = np.random.default_rng(len(family)), 0
    command = [family, *COMMAND, "--checkpoint", "0.05s"]
    while not Path("model").exists():
        ran = started(*command)
        time.sleep(wait.uniform(0.0, 0.4) * (kills < 6))
        if kills < 6:
            ran.send_signal(signal.SIGKILL)
        ran.communicate()
        code = ran.returncode
        kills += code == -signal.SIGKILL
    assert kills >= 3
    assert not Path("model.checkpoint").exists()
    assert main(["train", family, *COMMAND, "--out", "straight"]) == 0
    assert content("model") == content("straight")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_says_what_is_kept_and_goes_on(number, capfd, monkeypatch):
    ran = started("plain", *COMMAND, "--checkpoint", "0.1s")
    ran.send_signal(number)
    said = ran.communicate()[1].splitlines()
    assert ran.returncode == 128 + number
    assert "steps are kept in" in said[-1]
    assert said[-1].endswith("; the same command goes on")
    assert main(["train", "plain", *COMMAND]) == 2
    assert "add --checkpoint 5m to go on, or remove the file" in capfd.readouterr().err
    assert main(["train", "plain", *COMMAND, "--seed", "1", "--checkpoint", "5m"]) == 2
    assert "keeps another training: seed is 0 there and 1 here" in capfd.readouterr().err
    noted = []
    monkeypatch.setattr("isthmus.cli.show.note", lambda text, quiet: noted.append(text))
    assert main(["train", "plain", *COMMAND, "--checkpoint", "5m"]) == 0
    assert noted[0].startswith("Going on after")
    assert main(["train", "plain", *COMMAND, "--out", "straight"]) == 0
    assert content("model") == content("straight")


@pytest.mark.slow
def test_a_terminal_that_is_closed_stops_it_as_ctrl_c_does(capfd):
    child, screen = pty.fork()
    if child == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever started these tests may not hear it (nohup)
        leave(lambda: command(["train", "plain", *COMMAND, "--checkpoint", "0.1s", "--quiet"]))
    while not Path("model.checkpoint").exists():
        time.sleep(0.005)
    os.close(screen)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + signal.SIGHUP
    assert not Path("model").exists()
    assert Checkpoint("model.checkpoint").steps() > 0
    assert main(["train", "plain", *COMMAND, "--checkpoint", "5m"]) == 0
    assert main(["train", "plain", *COMMAND, "--out", "straight"]) == 0
    assert content("model") == content("straight")


def test_a_damaged_file_is_one_line_and_nothing_is_written(capfd):
    Path("model.checkpoint").write_bytes(b"no checkpoint")
    assert main(["train", "plain", *COMMAND, "--checkpoint", "5m"]) == 2
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].endswith("model.checkpoint is damaged or no checkpoint; remove it to train from the start")
    assert not Path("model").exists()


def test_a_training_that_is_done_or_diverged_leaves_no_checkpoint(capfd):
    short = ["rows.npy", "--out", "model", "--measure", "none", "--steps", "60", "--checkpoint", "1s"]
    assert main(["train", "plain", *short]) == 0
    assert main(["train", "plain", *short, "--set", "learning_rate=1e30"]) == 1
    assert not Path("model.checkpoint").exists()
    assert main(["train", "plain", *short, "--checkpoint", "soon"]) == 2
    assert "checkpoint must be a time like 90s" in capfd.readouterr().err
