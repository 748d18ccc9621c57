"""Workers belong to who started them: they end with it whenever it ends, and leave nothing; nobody else is ended."""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from isthmus.study.jobs import Work, drive
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store

ROWS = 1 << 16
"""Enough that the data go to workers through a file."""


def jobs(count):
    body = {"data": "d", "seed": 0}
    return [Job(JobName(kind="family", name="plain", view="all", replicate=r), body) for r in range(count)]


def perform(job, data, store):
    """A light job that looks at all its data."""
    time.sleep(0.02)
    choice = Choice(config=None, metrics={"mse": float(data.sum())})
    return store.commit(Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice}))


def study(folder, workers=2, count=2000):
    store = Store(Path(folder))
    store.create({"format": 1}, {})
    with Local(Work(store, np.ones((ROWS, 4), np.float32), perform), store.folder, workers) as launch:
        drive(store, jobs(count), launch)
    return sorted(record.facets["reconstruction"].metrics["mse"] for record in store.records()[0].values())


def of_session(number):
    """Processes of a session that are alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = place.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(session) == number and state != "Z":
            found.append(int(place.parent.name))
    return found


def temporary():
    return {*os.listdir("/dev/shm"), *os.listdir("/tmp")} if os.path.isdir("/dev/shm") else set(os.listdir("/tmp"))


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


def started(folder):
    program = [sys.executable, __file__, str(folder)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen(program, start_new_session=True, **pipes)


def until(true, patience=120.0):
    end = time.monotonic() + patience
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@linux
@pytest.mark.slow
def test_a_driver_that_is_killed_at_any_moment_leaves_no_process_and_no_file(tmp_path):
    dice = random.Random(0)
    before = temporary()
    for trial in range(8):
        driver = started(tmp_path / "study")
        if trial % 2:  # from the first worker on, in which it imports and begins to follow
            until(lambda driver=driver: len(of_session(driver.pid)) > 3)
        time.sleep(dice.uniform(0.1, 1.5))
        os.kill(driver.pid, signal.SIGKILL)
        driver.communicate()
        assert until(lambda driver=driver: not of_session(driver.pid))
    assert not {name for name in temporary() - before if "joblib" in name or "loky" in name or "isthmus" in name}
    store = Store(tmp_path / "study")
    if store.folder.exists():
        with store.locked():
            pass
        assert not list(store.folder.glob(".rows-*"))


@linux
@pytest.mark.slow
def test_ctrl_c_on_a_terminal_is_no_traceback_of_a_worker(tmp_path):
    """The signal goes to all processes of the terminal, at moments at which workers import."""
    dice = random.Random(1)
    for trial in range(5):
        driver = started(tmp_path / f"study{trial}")
        until(lambda driver=driver: len(of_session(driver.pid)) > 2)
        time.sleep(dice.uniform(0.0, 1.0))
        os.killpg(driver.pid, signal.SIGINT)
        said = driver.communicate()[1].decode()
        assert said == ""
        assert driver.returncode == 130
        assert until(lambda driver=driver: not of_session(driver.pid))


def test_data_reach_workers_once_and_their_file_goes_with_the_study(tmp_path):
    assert study(tmp_path / "study", workers=2, count=6) == [4.0 * ROWS] * 6
    assert not list((tmp_path / "study").glob(".rows-*"))


def in_daemon(folder):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = study(folder, workers=2, count=3)
    return found, [str(one.message) for one in said]


def test_a_process_of_a_pool_does_the_jobs_itself_and_lives(tmp_path):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found, said = pool.map(in_daemon, [tmp_path / "study"])[0]
    assert found == [4.0 * ROWS] * 3
    assert len(said) == 1
    assert "daemonic" in said[0]


def test_a_process_that_has_workers_ends(tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=study, args=(tmp_path / "study", 2, 3))
    child.start()
    child.join(300)
    assert child.exitcode == 0


if __name__ == "__main__":
    from isthmus.cli import ends

    with open(os.devnull, "w") as sys.stderr:  # its own line; what workers say still comes through the descriptor
        code = ends.guard(lambda: len(study(sys.argv[1])))
    sys.exit(code)
