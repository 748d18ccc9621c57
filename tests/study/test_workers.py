"""Workers belong to who started them: they end with it whenever it ends, and leave nothing; nobody else is ended.

Run as a program, this file forks the drivers whose workers are looked at.
"""

import json
import multiprocessing
import os
import random
import re
import signal
import sys
import threading
import time
import warnings
from collections import deque
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch  # noqa: F401  # before drivers are forked
from drivers import Drivers, serve
from joblib.externals.loky.process_executor import ProcessPoolExecutor
from joblib.externals.loky.process_executor import _ExecutorManagerThread as manager

from isthmus.cli import ends
from isthmus.study import jobs as doing
from isthmus.study.jobs import Work
from isthmus.study.launch import local
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store

WORKERS = 2
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


def study(folder, count=2000):
    store = Store(Path(folder))
    store.create({"format": 1}, {})
    with Local(Work(store, np.ones((ROWS, 4), np.float32), perform), store.folder, WORKERS) as launch:
        doing.drive(store, jobs(count), launch)


def found(folder):
    """What each job of a study saw."""
    return [record.facets["reconstruction"].metrics["mse"] for record in Store(folder).records()[0].values()]


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


def orphaned(name):
    """Whether a pool's file is of a process that has ended: tests beside this one have pools of their own."""
    makers = re.findall(r"(?<=[-_])\d+(?=[-_])", name)
    return any(word in name for word in ("joblib", "loky", "isthmus")) and not any(
        os.path.exists(f"/proc/{maker}") for maker in makers
    )


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.fixture(scope="module")
def drivers():
    with Drivers(__file__) as running:
        yield running


def until(true, patience=120.0):
    end = time.monotonic() + patience
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    return true()


@linux
@pytest.mark.slow
def test_a_driver_that_is_killed_at_any_moment_leaves_no_process_and_no_file(drivers, tmp_path):
    dice = random.Random(0)
    before = temporary()
    for trial in range(8):
        driver = drivers.start("work", tmp_path / "study")
        if trial % 2:  # from the first worker on, in which it imports and begins to follow
            until(lambda driver=driver: len(of_session(driver)) > 3)
        time.sleep(dice.uniform(0.1, 1.5))
        os.kill(driver, signal.SIGKILL)
        assert drivers.end() == -signal.SIGKILL
        assert until(lambda driver=driver: not of_session(driver))
    assert not {name for name in temporary() - before if orphaned(name)}
    store = Store(tmp_path / "study")
    if store.folder.exists():
        with store.locked():
            pass
        assert not list(store.folder.glob(".rows-*"))


@linux
@pytest.mark.slow
def test_ctrl_c_on_a_terminal_is_no_traceback_of_a_worker(drivers, tmp_path):
    """The signal goes to all processes of the terminal, at moments at which workers import."""
    dice = random.Random(1)
    for trial in range(5):
        place = tmp_path / f"study{trial}"
        driver = drivers.start("work", place)
        until(lambda driver=driver: len(of_session(driver)) > 2)
        time.sleep(dice.uniform(0.0, 1.0))
        os.killpg(driver, signal.SIGINT)
        assert drivers.end() == 130
        assert said(place) == ""
        assert until(lambda driver=driver: not of_session(driver))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_right_after_it_handed_out_a_job_hears_nothing_of_the_pool(number, tmp_path, monkeypatch):
    """The pool's own thread takes a job a moment later than it is given; told to leave before that, loky's misses it.

    Here that moment lasts, and the signal comes within the handing out, in which it has to wait.
    """
    store, told = Store(tmp_path / "study"), []
    store.create({"format": 1}, {})
    own, submit = manager.wait_result_broken_or_wakeup, ProcessPoolExecutor.submit

    def late(thread):
        found = own(thread)
        time.sleep(0.1)
        return found

    def given(pool, do, job):
        if job.name.replicate == 6:
            signal.raise_signal(number)
        return submit(pool, do, job)

    monkeypatch.setattr(manager, "wait_result_broken_or_wakeup", late)
    monkeypatch.setattr(ProcessPoolExecutor, "submit", given)
    forked = partial(ProcessPoolExecutor, context=multiprocessing.get_context("fork"))  # how they begin is not asked
    monkeypatch.setattr(local, "ProcessPoolExecutor", forked)
    monkeypatch.setattr(threading, "excepthook", told.append)
    before = signal.signal(number, signal.SIG_DFL)  # whoever started these tests may not hear it (a shell's &)
    try:
        with (
            ends.listening(),
            pytest.raises(ends.Stopped),
            Local(Work(store, np.ones((ROWS, 4), np.float32), perform), store.folder, WORKERS) as launch,
        ):
            doing.drive(store, jobs(9), launch)
    finally:
        signal.signal(number, before)
    assert told == []
    with store.locked():  # what a worker that was killed had half written goes with the next driver
        assert not list(store.runs.glob(".tmp-*"))


@pytest.mark.parametrize(("seconds", "most"), [(1.0, 2 * 4), (60.0, 4 + 2)])
def test_while_runs_are_short_one_more_waits_for_each_worker(seconds, most, tmp_path, monkeypatch):
    """Of those that wait nobody can say any more that they come later, so of long ones few do."""
    launch, out, waiting = Local(len, tmp_path, 4), [], deque()

    def submit(job, size):
        launch._running.add(future := Future())
        waiting.append((future, job))
        out.append(len(launch._running))

    def ended(futures, return_when):
        future, job = waiting.popleft()
        future.set_result(Record(id=job.id, job=job.name, status="ok", seconds=seconds))
        return SimpleNamespace(done=[future])

    monkeypatch.setattr(launch, "_submit", submit)
    monkeypatch.setattr(local, "wait", ended)
    wanted = jobs(30)
    assert [record.id for record in launch(iter(wanted))] == [job.id for job in wanted]
    assert out[:6] == [1, 2, 3, 4, 5, 6]  # nobody knows yet how long they take
    assert max(out[6:]) == most


def said(folder):
    """What came through the descriptor of stderr from a driver and its workers."""
    return folder.with_suffix(".err").read_text()


@pytest.mark.slow
def test_a_process_that_has_workers_ends_and_the_file_of_their_data_with_it(drivers, tmp_path):
    drivers.start("process", tmp_path / "study")
    assert drivers.end() == 0
    assert found(tmp_path / "study") == [4.0 * ROWS] * 4
    assert not list((tmp_path / "study").glob(".rows-*"))


@pytest.mark.slow
def test_a_process_of_a_pool_does_the_jobs_itself_and_lives(drivers, tmp_path):
    drivers.start("pool", tmp_path / "study")
    assert drivers.end() == 0
    assert found(tmp_path / "study") == [4.0 * ROWS] * 3
    (warning,) = json.loads((tmp_path / "warnings.json").read_text())
    assert "daemonic" in warning


def in_daemon(folder):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        study(folder, count=3)
    return [str(one.message) for one in told]


def drive(how, folder):
    """What a driver of this file does; its exit code."""
    os.dup2(os.open(f"{folder}.err", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    if how == "work":
        with open(os.devnull, "w") as sys.stderr:  # its own line; what workers say still comes through the descriptor
            return ends.guard(lambda: study(folder))
    forked = multiprocessing.get_context("fork")
    if how == "process":
        child = forked.Process(target=study, args=(folder,), kwargs={"count": 4})
        child.start()
        child.join()
        return child.exitcode
    with forked.Pool(1) as pool:
        (told,) = pool.map(in_daemon, [folder])
    Path(folder).with_name("warnings.json").write_text(json.dumps(told))
    return 0


if __name__ == "__main__":
    serve(drive)
