"""Driving jobs: each once, whatever one of them does; the disk's refusals stop everything, other errors one run."""

import os
import signal
import warnings

import pytest
import torch
from threadpoolctl import threadpool_info

from isthmus.errors import BadEnvironment
from isthmus.study import jobs as doing
from isthmus.study.jobs import Work, _longest_first
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store


def jobs(count):
    body = {"data": "d", "seed": 0}
    return [Job(JobName(kind="family", name="plain", view="all", replicate=r), body) for r in range(count)]


def perform(job, bad, store):
    """A light job; the one with the number ``bad[1]`` does what ``bad[0]`` says."""
    what, number = bad
    if job.name.replicate == number:
        if what == "raise":
            raise KeyError("broken\nin two lines")
        if what == "refuse":
            raise BadEnvironment("the disk is full")
        if what == "die":
            os.kill(os.getpid(), signal.SIGKILL)
    choice = Choice(config=None, metrics={"mse": float(job.seed("x") % 97)})
    return store.commit(Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice}))


def drive(store, wanted, data, perform, workers, progress=None):
    with Local(Work(store, data, perform), store.folder, workers) as launch:
        return doing.drive(store, wanted, launch, progress=progress)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "study")
    made.create({"format": 1}, {})
    return made


def content(store):
    return {name: record.facets for name, record in store.records()[0].items()}


@pytest.mark.slow
def test_two_workers_leave_what_one_leaves_and_an_error_costs_its_own_run_only(store, tmp_path):
    other = Store(tmp_path / "other")
    other.create({"format": 1}, {})
    wanted, heard = jobs(6), []
    drive(store, wanted, ("raise", 1), perform, workers=1, progress=lambda *event: heard.append(event))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drive(other, wanted, ("raise", 1), perform, workers=2)
        # What joblib says when a worker has grown and is replaced, from a thread of its own.
        warnings.warn("A worker stopped while some jobs were given to the executor. This can be ...", stacklevel=1)
    assert [str(one.message) for one in said] == []
    assert content(store) == content(other)
    assert [(done, total) for _, _, done, total in heard] == [(i, 6) for i in range(1, 7)]
    assert [(job.id, record.id) for job, record, _, _ in heard] == [(job.id, job.id) for job in wanted]
    for one in (store, other):
        records = one.records()[0]
        assert [records[job.id].status for job in wanted] == ["ok", "failed", *["ok"] * 4]
        assert records[wanted[1].id].message == "KeyError: 'broken\\nin two lines'"
        assert drive(one, wanted, ("", -1), perform, workers=1) == {}
        assert {record.status for record in one.records()[0].values()} == {"ok"}
    assert content(store) == content(other)


def test_what_is_done_is_not_done_again_and_progress_counts_on(store):
    drive(store, jobs(3), ("", -1), perform, workers=1)
    before = {p.name: p.stat().st_mtime_ns for p in store.runs.iterdir()}
    heard = []
    drive(store, jobs(5), ("", -1), perform, workers=1, progress=lambda *event: heard.append(event[2:]))
    assert heard == [(4, 5), (5, 5)]
    assert before.items() <= {p.name: p.stat().st_mtime_ns for p in store.runs.iterdir()}.items()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_refusing_disk_stops_the_study_with_its_line(store, workers):
    with pytest.raises(BadEnvironment, match="the disk is full"):
        drive(store, jobs(4), ("refuse", 1), perform, workers=workers)
    records, damaged = store.records()
    assert not damaged
    assert {record.status for record in records.values()} <= {"ok"}
    drive(store, jobs(4), ("", -1), perform, workers=1)
    assert len(content(store)) == 4


@pytest.mark.slow
def test_a_job_that_kills_its_worker_is_found_and_named(store):
    wanted = jobs(4)
    drive(store, wanted, ("die", 2), perform, workers=2)
    records = store.records()[0]
    assert [records[job.id].status for job in wanted] == ["ok", "ok", "failed", "ok"]
    assert "killed twice" in records[wanted[2].id].message


def test_a_damaged_run_is_told_set_aside_and_done_again(store):
    wanted = jobs(3)
    drive(store, wanted, ("", -1), perform, workers=1)
    before = content(store)
    path = store.runs / wanted[1].id / "record.json"
    path.write_bytes(path.read_bytes()[:-9])
    told = drive(store, wanted, ("", -1), perform, workers=1)
    assert list(told) == [wanted[1].id]
    assert "damaged" in told[wanted[1].id]
    assert content(store) == before
    assert len(list((store.folder / "aside").iterdir())) == 1


def test_a_second_driver_is_turned_away(store):
    def nested(job, data, store):
        with pytest.raises(BadEnvironment, match="another isthmus process is working in"):
            drive(store, jobs(1), ("", -1), perform, workers=1)
        return perform(job, data, store)

    drive(store, jobs(1), ("", -1), nested, workers=1)
    assert len(content(store)) == 1


def test_jobs_have_one_thread_and_the_caller_gets_his_back(store):
    def counted(job, data, store):
        assert torch.get_num_threads() == 1
        assert {pool["num_threads"] for pool in threadpool_info()} <= {1}
        return perform(job, data, store)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        drive(store, jobs(1), ("", -1), counted, workers=1)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert [record.status for record in store.records()[0].values()] == ["ok"]


def test_the_longest_kind_goes_first_once_its_time_is_known():
    body = {"data": "d", "seed": 0}
    names = ["slow", "quick"]
    wanted = [
        Job(JobName(kind="family", name=name, view="all", replicate=r), body) for r in range(3) for name in names[::-1]
    ]
    lasted = {}
    order = _longest_first(wanted, lasted)
    first = [next(order).name.name, next(order).name.name]
    lasted |= {("family", "quick", "all", None): 1.0, ("family", "slow", "all", None): 9.0}
    assert first == ["quick", "slow"]
    assert [(job.name.name, job.name.replicate) for job in order] == [
        ("slow", 1),
        ("slow", 2),
        ("quick", 1),
        ("quick", 2),
    ]
