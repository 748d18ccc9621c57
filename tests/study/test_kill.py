"""Forty random ``kill -9``: no finished run is lost, none is done again, and the study completes.

Run as a program, this file forks the drivers that are killed.
"""

import fcntl
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch  # noqa: F401  # before drivers are forked
from drivers import Drivers, serve
from safetensors.numpy import save

from isthmus.study import jobs as doing
from isthmus.study.jobs import Work
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store

pytestmark = pytest.mark.slow

KILLS, JOBS = 40, 320
DESIGN = {"format": 1, "seed": 0}


def jobs(count):
    body = {"data": "d", "seed": 0}
    return [Job(JobName(kind="family", name="plain", view="all", replicate=r), body) for r in range(count)]


def say(path, line):
    """One whole line to the harness's own log; the oracle does not trust the store."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (line + "\n").encode())
    os.close(handle)


def perform(job, log, store):
    """A light job that leaves what a real one leaves, long enough that no machine is through before the last kill."""
    say(log, f"began {job.id}")
    time.sleep(0.01)
    rows = np.random.default_rng(job.seed("rows")).normal(size=64)

    def fill(folder):
        (folder / "scores.safetensors").write_bytes(save({"row_error": rows}))

    choice = Choice(config=0, metrics={"mse": float(rows.mean())})
    record = store.commit(Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice}), fill)
    say(log, f"ended {job.id}")
    return record


def drive(store, wanted, log, perform, workers):
    with Local(Work(store, log, perform), store.folder, workers) as launch:
        doing.drive(store, wanted, launch)


def said(log, word):
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[1] for line in lines if line.startswith(word)]


def wait_for(log, count):
    """Until so many jobs have begun in all, so that a kill lands among them however busy the machine is."""
    until = time.monotonic() + 60
    while len(said(log, "began")) < count and time.monotonic() < until:
        time.sleep(0.005)


def finished(store):
    good, damaged = store.records(members=True)
    assert not damaged
    return set(good)


def test_forty_random_kills_lose_nothing_and_repeat_nothing(tmp_path):
    store, log = Store(tmp_path / "study"), tmp_path / "log"
    store.create(DESIGN, {})
    dice, landed, before = random.Random(0), 0, set()
    with Drivers(__file__, store.folder, log, JOBS, 1) as victim:
        for _ in range(KILLS):
            told = len(said(log, "began"))
            driver = victim.start()
            wait_for(log, told + dice.randrange(8))
            time.sleep(dice.uniform(0.0, 0.02))
            os.kill(driver, signal.SIGKILL)
            landed += victim.end() == -signal.SIGKILL
            after = finished(store)
            assert set(said(log, "ended")) <= after
            assert before <= after
            assert not before & set(said(log, "began")[told:])
            before = after
        assert len(finished(store)) > 0
        victim.start()
        assert victim.end() == 0
    assert landed >= KILLS // 2
    assert finished(store) == {job.id for job in jobs(JOBS)}
    assert len(said(log, "ended")) == len(set(said(log, "ended"))) >= JOBS - KILLS
    assert sorted(os.listdir(store.folder)) == [".busy", ".lock", "runs", "study.json"]
    assert set(os.listdir(store.runs)) == finished(store)


def test_whoever_drives_next_waits_for_a_worker_that_looks_whether_its_driver_is_there(tmp_path):
    store, held = Store(tmp_path / "study"), []
    store.create(DESIGN, {})

    def look():
        with open(store.folder / ".busy") as busy, pytest.raises(BlockingIOError):
            fcntl.flock(busy, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held.append(finished(store))

    Work(store, tmp_path / "log", perform)(jobs(1)[0], look)
    assert held == [set()]
    assert len(finished(store)) == 1


def test_workers_of_a_killed_driver_leave_and_the_study_goes_on(tmp_path):
    store, log = Store(tmp_path / "study"), tmp_path / "log"
    store.create(DESIGN, {})
    count = 2000
    with Drivers(__file__, store.folder, log, count, 2) as victim:
        driver = victim.start()
        wait_for(log, 20)
        os.kill(driver, signal.SIGKILL)
        assert victim.end() == -signal.SIGKILL
        with store.locked():  # returns once no worker of the dead driver is at work
            before, began = finished(store), len(said(log, "began"))
            assert 0 < len(before) < count
            time.sleep(0.5)
            assert len(said(log, "began")) == began
            assert finished(store) == before
    wanted = jobs(len(before) + 20)
    drive(store, wanted, log, perform, workers=1)
    assert {job.id for job in wanted} <= finished(store)
    assert len(said(log, "ended")) == len(set(said(log, "ended")))


if __name__ == "__main__":
    folder, log, count, workers = sys.argv[1:]
    serve(lambda: drive(Store(Path(folder)), jobs(int(count)), log, perform, workers=int(workers)))
