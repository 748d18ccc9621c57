"""Processes on this machine that Dask starts for a study: none outlives it, wherever a signal finds them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from isthmus.study.launch import local
from isthmus.study.launch.processes import processes
from isthmus.study.launch.signals import signals_wait

DRIVER = """
import sys
from isthmus.study.launch.processes import processes
with processes(2) as address:
    print(address, flush=True)
    sys.stdin.read()
"""


def group(number: int) -> list[int]:
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


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who is alive")
@pytest.mark.parametrize("begun", [False, True], ids=["while they import", "when they are there"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_its_driver(begun, number):
    pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", DRIVER], start_new_session=True, **how) as driver:
        if begun:
            assert driver.stdout.readline().startswith(b"tcp://")
        while len(group(driver.pid)) < 2:
            time.sleep(0.01)
        os.kill(driver.pid, number)
        driver.wait(20)
        until = time.monotonic() + 20
        while group(driver.pid) and time.monotonic() < until:
            time.sleep(0.02)
        assert group(driver.pid) == []


@pytest.mark.slow
def test_processes_are_where_they_say_and_leave_nothing_behind(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    dask = pytest.importorskip("dask")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL", "300ms")
    known = ["distributed.worker.profile.enabled", "distributed.admin.tick.interval"]
    known += ["distributed.worker.memory.monitor-interval"]
    with processes(2) as address, distributed.Client(address, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)
        assert set(client.nthreads().values()) == {1}
        assert os.getpgid(0) not in client.run(os.getpgid, 0).values()  # a terminal's Ctrl-C is the driver's alone
        found = client.run(lambda: [dask.config.get(name) for name in known]).values()
        assert [*found] == [[False, "300ms", "200ms"]] * 2  # what the environment says is heard
        assert list(tmp_path.glob("isthmus-*"))
    assert not list(tmp_path.glob("isthmus-*"))


@pytest.mark.parametrize("untold", [True, False])
def test_what_a_killed_pool_leaves_is_cleaned_away_and_not_told(untold):
    begun = "from contextlib import nullcontext\nfrom joblib.externals.loky.backend import resource_tracker\n"
    begun += "from isthmus.study.launch.local import untold\n"
    begun += f"with {'untold' if untold else 'nullcontext'}():\n    resource_tracker.ensure_running()\n"
    begun += "resource_tracker.register('/loky-left', 'semlock')"
    ran = subprocess.run([sys.executable, "-c", begun], capture_output=True, text=True, check=False)
    assert (ran.returncode, "leaked" in ran.stderr) == (0, not untold)
    assert not (untold and ran.stderr)


def test_a_signal_waits_for_what_is_half_begun_and_a_second_one_does_not():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with signals_wait():
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
    twice = "import signal\nfrom isthmus.study.launch.signals import signals_wait\nsignal.signal(15, lambda *_: None)\n"
    twice += "with signals_wait():\n    signal.raise_signal(15)\n    signal.raise_signal(15)\n    print('on')"
    ran = subprocess.run([sys.executable, "-c", twice], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout) == (-signal.SIGTERM, b"")


def test_a_worker_begins_no_job_when_its_driver_is_gone(monkeypatch):
    class Left(BaseException):
        pass

    def leave(code):
        raise Left

    monkeypatch.setattr(local, "_lent", local.Lent(b"", None, []))

    def work(job, first):
        first()
        return job

    monkeypatch.setattr(local, "_work", work)
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(local, "_driver", os.getppid())
    assert local._do("job") == "job"
    monkeypatch.setattr(local, "_driver", os.getpid())
    with pytest.raises(Left):
        local._do("job")
