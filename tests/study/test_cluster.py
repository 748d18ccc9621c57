"""Jobs on a Dask cluster: what comes home is what one process leaves, whichever process there is killed."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, nullcontext
from importlib.util import find_spec
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from isthmus import ablate, compare, compare_many
from isthmus.data.read import read
from isthmus.errors import BadEnvironment, BadInput, MissingExtra
from isthmus.study import jobs as doing
from isthmus.study.away import Away, Packing, Parcel, lying, token, unpacked
from isthmus.study.design import design
from isthmus.study.jobs import Work
from isthmus.study.launch import dask
from isthmus.study.launch.dask import Absent, Dask, Task, do, keep
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store


def jobs(count):
    body = {"data": "d", "seed": 0}
    return [Job(JobName(kind="family", name="plain", view="all", replicate=r), body) for r in range(count)]


def say(path, line):
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, (line + "\n").encode())
    os.close(handle)


class Rows:
    """Data that say in a file when they arrive in a process."""

    def __init__(self, place):
        self.place = place

    def __getstate__(self):
        return str(self.place)

    def __setstate__(self, state):
        self.place = state
        say(f"{state}/arrived", str(os.getpid()))


def perform(job, rows, store):
    """A light job; files named ``die-N`` and ``fall-N`` tell job N to kill its worker, always or once, and
    ``orphan-N`` to kill the nanny of that once."""
    place, number = str(rows.place), job.name.replicate
    say(f"{place}/began", job.id)
    if os.path.exists(f"{place}/orphan-{number}"):
        os.unlink(f"{place}/orphan-{number}")
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)  # no worker outlives its nanny for so long
    if os.path.exists(f"{place}/fall-{number}"):
        os.unlink(f"{place}/fall-{number}")
        os.kill(os.getpid(), signal.SIGKILL)
    if os.path.exists(f"{place}/die-{number}"):
        os.kill(os.getpid(), signal.SIGKILL)
    if os.path.exists(f"{place}/raise-{number}"):
        raise KeyError("broken\nin two lines")
    values = np.random.default_rng(job.seed("rows")).normal(size=8)
    choice = Choice(config=None, metrics={"mse": float(values.mean())})
    record = Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice})
    return store.commit(record, lambda folder: (folder / "scores.bin").write_bytes(values.tobytes()))


def made(place, name):
    store = Store(place / name)
    store.create({"format": 1}, {})
    return store


def content(store):
    """The table: everything that a run left, to the byte."""
    found = {}
    for folder in store.runs.iterdir():
        found |= {(folder.name, one.name): one.read_bytes() for one in folder.iterdir()}
    return found


def serial(place, wanted):
    store = made(place, "serial")
    with Local(Work(store, Rows(place), perform), store.folder, 1) as launch:
        doing.drive(store, wanted, launch)
    return content(store)


def away(store, address, place, wanted, name="rows", progress=None, found=None):
    work = Away(Rows(place), perform)
    with Dask(work, lambda parcel: unpacked(store, parcel), f"{place}-{name}", address, found) as launch:
        return doing.drive(store, wanted, launch, progress=progress)


def said(place, word):
    return (place / word).read_text().split() if (place / word).exists() else []


@pytest.fixture(scope="module", autouse=True)
def warm():
    """Workers that a cluster of this process starts, and starts again, fork from one that has all imported."""
    if find_spec("distributed") is None:
        yield
        return
    import dask as library
    import distributed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed.utils, "_forkserver_preload_set", True)
        multiprocessing.set_forkserver_preload(["distributed", "isthmus.study.perform", __name__])
        with library.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
            yield
        forkserver._forkserver._stop()


@pytest.fixture(scope="module")
def cluster(warm):
    """Two processes, whose nannies start them again."""
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    import dask as library

    with (
        library.config.set({"distributed.scheduler.allowed-failures": 0, "distributed.comm.timeouts.connect": "60s"}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60) as made,
    ):
        yield made


@pytest.mark.slow
def test_what_comes_home_is_what_one_process_leaves_and_data_travel_once(cluster, tmp_path):
    wanted, store = jobs(12), made(tmp_path, "away")
    (tmp_path / "raise-3").touch()
    alone = serial(tmp_path, wanted)
    began = len(said(tmp_path, "began"))
    away(store, cluster.scheduler_address, tmp_path, wanted)
    there = content(store)
    assert {name: body for name, body in there.items() if wanted[3].id not in name} == {
        name: body for name, body in alone.items() if wanted[3].id not in name
    }
    assert store.read(wanted[3].id).message == "KeyError: 'broken\\nin two lines'"
    assert len(said(tmp_path, "began")) == began + 12
    arrived = said(tmp_path, "arrived")
    assert 1 <= len(arrived) == len(set(arrived)) <= 2  # in each process once, whatever number of jobs
    (tmp_path / "raise-3").unlink()
    away(store, cluster.scheduler_address, tmp_path, wanted)  # the failed one only, and nothing travels again
    assert len(said(tmp_path, "began")) == began + 13
    assert len(said(tmp_path, "arrived")) <= 2
    assert sorted(os.listdir(store.folder)) == [".busy", ".lock", "aside", "runs", "study.json"]


@pytest.mark.slow
def test_a_lost_worker_costs_nothing_and_who_kills_workers_is_named(cluster, tmp_path):
    wanted, store = jobs(8), made(tmp_path, "away")
    (tmp_path / "fall-2").touch()
    (tmp_path / "die-5").touch()
    away(store, cluster.scheduler_address, tmp_path, wanted)
    records = store.records(members=True)[0]
    assert [records[job.id].status for job in wanted] == ["ok"] * 5 + ["failed"] + ["ok"] * 2
    assert "killed twice" in records[wanted[5].id].message
    (tmp_path / "die-5").unlink()
    before = len(said(tmp_path, "began"))
    away(store, cluster.scheduler_address, tmp_path, wanted)
    assert said(tmp_path, "began")[before:] == [wanted[5].id]
    assert content(store) == serial(tmp_path, wanted)


@pytest.mark.slow
def test_a_lost_scheduler_ends_the_driver_and_what_came_home_is_kept(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    monkeypatch.setattr(dask, "CONNECTING", 1.0)
    wanted, store = jobs(30), made(tmp_path, "away")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=":0", silence_logs=60, protocol="tcp://"
    )

    def end(job, record, done, total):
        if done == 3:
            cluster.close()

    with pytest.raises(BadEnvironment, match=r"the scheduler at tcp://\S+ is gone; finished runs are kept"):
        away(store, cluster.scheduler_address, tmp_path, wanted, progress=end)
    kept = content(store)
    assert 6 <= len(kept) < 60
    began = len(said(tmp_path, "began"))
    assert serial(tmp_path, wanted).items() >= kept.items()
    with Local(Work(store, Rows(tmp_path), perform), store.folder, 1) as launch:
        doing.drive(store, wanted, launch)
    assert len(said(tmp_path, "began")) == began + 30 + 30 - len(kept) // 2
    assert content(store) == content(Store(tmp_path / "serial"))


@pytest.mark.slow
def test_the_scheduler_is_lost_after_every_job(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    monkeypatch.setattr(dask, "CONNECTING", 1.0)
    wanted, store = jobs(5), made(tmp_path, "away")
    kept, lost = dict[str, int](), 0
    while len(kept) < len(wanted):
        cluster = distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=1,
            processes=False,
            dashboard_address=":0",
            silence_logs=60,
            protocol="tcp://",
        )
        try:
            away(store, cluster.scheduler_address, tmp_path, wanted, progress=lambda *_, there=cluster: there.close())
        except BadEnvironment:
            lost += 1
        cluster.close()
        here = {folder.name: (folder / "record.json").stat().st_mtime_ns for folder in store.runs.iterdir()}
        assert here.items() > kept.items()  # more than before, and none of those again
        kept = here
    assert lost >= 1
    assert content(store) == serial(tmp_path, wanted)


@pytest.mark.slow
def test_a_worker_is_killed_after_every_job(tmp_path):
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    import dask as library

    wanted, store, kept = jobs(5), made(tmp_path, "away"), dict[str, int]()

    def strike(job, record, done, total):
        kept[job.id] = (store.runs / job.id / "record.json").stat().st_mtime_ns
        say(tmp_path / "began", f"home-{job.id}")
        if number := list(cluster.workers.values())[done % 2].pid:
            os.kill(number, signal.SIGKILL)

    with (
        library.config.set({"distributed.scheduler.allowed-failures": 100}),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=60) as cluster,
    ):
        away(store, cluster.scheduler_address, tmp_path, wanted, progress=strike)
    assert kept == {job.id: (store.runs / job.id / "record.json").stat().st_mtime_ns for job in wanted}
    began = said(tmp_path, "began")
    assert not any(job.id in began[began.index(f"home-{job.id}") :] for job in wanted)
    assert content(store) == serial(tmp_path, wanted)


def session(number):
    """Processes of a session that are alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = place.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(own) == number and state != "Z":
            found.append(int(place.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells who is alive")
def test_a_nanny_is_killed_after_a_job_and_within_one(tmp_path):
    """Nannies in processes of their own, as one starts them by hand: a killed one takes its worker with it."""
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    wanted, store = jobs(14), made(tmp_path, "away")
    command = [sys.executable, "-P", "-m", "distributed.cli.dask_worker", "--nanny", "--nthreads", "1"]
    command += ["--no-dashboard", "--local-directory", str(tmp_path / "scratch")]
    how = {"env": os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, "start_new_session": True}
    how |= dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)

    def strike(job, record, done, total):
        say(tmp_path / "began", f"home-{job.id}")
        if done == 2:  # meanwhile no job is handed out, and the last one has not been
            nannies[0].kill()
            gone(nannies[0])
            (tmp_path / "orphan-13").touch()

    def gone(nanny):
        """Wait until a nanny that was killed and its worker have ended."""
        nanny.wait(20)
        until = time.monotonic() + 20
        while session(nanny.pid) and time.monotonic() < until:
            time.sleep(0.05)

    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0", silence_logs=60, protocol="tcp://"
        ) as empty,
        ExitStack() as opened,
    ):
        nannies = [opened.enter_context(subprocess.Popen([*command, empty.scheduler_address], **how)) for _ in range(3)]
        try:
            with distributed.Client(empty.scheduler_address, set_as_default=False) as client:
                client.wait_for_workers(3, timeout=120)
            away(store, empty.scheduler_address, tmp_path, wanted, progress=strike)
            killed = [nanny for nanny in nannies if nanny.poll() is not None]
            for nanny in killed:
                gone(nanny)
            left = [session(nanny.pid) for nanny in killed]
        finally:
            for nanny in nannies:
                for number in session(nanny.pid):
                    os.kill(number, signal.SIGKILL)
    assert [nanny.returncode for nanny in killed] == [-signal.SIGKILL] * 2
    assert left == [[], []]
    assert not (tmp_path / "orphan-13").exists()
    began = said(tmp_path, "began")
    for job in wanted:  # what has come home is not done again
        assert job.id in (before := began[: began.index(f"home-{job.id}")])
        assert began.count(job.id) == before.count(job.id)
    assert began.count(wanted[13].id) >= 2
    assert content(store) == serial(tmp_path, wanted)


@pytest.mark.slow
def test_what_dask_says_of_a_connection_is_not_shown(cluster):
    speakers = [logging.getLogger(f"distributed.{name}") for name in ("client", "core", "comm.tcp")]
    with dask.connected(cluster.scheduler_address):
        assert not any(one.isEnabledFor(logging.ERROR) for one in speakers)
    assert all(one.isEnabledFor(logging.ERROR) for one in speakers)


@pytest.mark.slow
def test_a_cluster_without_workers_is_left_after_a_while(tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    monkeypatch.setattr(dask, "PATIENCE", 0.1)
    with (
        distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=":0", silence_logs=60) as empty,
        pytest.raises(BadEnvironment, match="has had no worker for"),
    ):
        away(made(tmp_path, "away"), empty.scheduler_address, tmp_path, jobs(1))


@pytest.mark.slow
def test_a_study_on_a_cluster_has_the_numbers_of_one_process(cluster, tmp_path):
    few = {"families": "plain", "facets": "reconstruction", "replicates": 2, "configs": 1, "steps": 20}
    there = compare("iris", out=tmp_path / "away", cluster=cluster.scheduler_address, **few)
    here = compare("iris", out=tmp_path / "here", jobs=1, **few)
    assert there.complete
    np.testing.assert_equal(there.scores("reconstruction"), here.scores("reconstruction"))
    for one, other in zip(there.records, here.records, strict=True):
        assert (one.id, one.facets, one.files) == (other.id, other.facets, other.files)


class Slow:
    """A client of two workers, of whom one is lost as it is being sent what jobs need: that is heard of late."""

    status = "running"

    def __init__(self):
        self.there, self.missed, self.others = {"a", "b"}, 0, threading.Event()

    def scheduler_info(self, n_workers):
        return {"workers": dict.fromkeys(self.there)}

    def submit(self, do, task, pure):
        left = task.job
        if task.job.name.replicate == 0 and not self.missed:
            self.missed, left = 1, Absent("a")
        answer = type("Future", (), {"result": lambda _: left, "status": "finished"})()
        answer.add_done_callback = lambda call: call(answer)
        return answer

    def run(self, keep, token, work, workers, on_error):
        self.sent = workers
        assert self.others.wait(60)
        self.there.remove("a")
        threading.Event().wait()


@pytest.mark.slow
def test_while_a_worker_is_lost_that_is_sent_rows_others_go_on(monkeypatch):
    monkeypatch.setattr(dask, "LOOK", 0.01)
    client = Slow()
    monkeypatch.setattr(dask, "connected", lambda cluster: nullcontext(client))
    wanted, home = jobs(6), []
    for record in Dask(len, lambda job: SimpleNamespace(seconds=60.0, job=job), "t", "local:2")(iter(wanted)):
        home.append(record.job)
        if len(home) == 5:
            client.others.set()
    assert home[5] is wanted[0]
    assert {job.id for job in home} == {job.id for job in wanted}
    assert client.sent == ["a"]


class Quick:
    """A client of many workers that have done a job as soon as they are given it."""

    status = "running"

    def scheduler_info(self, n_workers):
        return {"workers": dict.fromkeys("abcd")}

    def submit(self, do, task, pure):
        answer = type("Future", (), {"result": lambda _: task.job, "status": "finished"})()
        answer.add_done_callback = lambda call: call(answer)
        return answer


def test_runs_are_put_in_place_side_by_side(monkeypatch):
    """Each waits for the disk some times, so one after another they would be slower than the workers."""
    both = threading.Barrier(2, timeout=60)

    def home(job):
        both.wait()
        return SimpleNamespace(seconds=60.0, job=job)

    monkeypatch.setattr(dask, "connected", lambda cluster: nullcontext(Quick()))
    wanted = jobs(8)
    found = [record.job for record in Dask(len, home, "t", "local:4")(iter(wanted))]
    assert sorted(found, key=wanted.index) == wanted


@pytest.mark.parametrize("why", ["the disk", "the listener"])
def test_nothing_is_put_in_place_once_the_driver_has_left(why, monkeypatch):
    slow, began, done = threading.Event(), [], []

    def home(job):
        began.append(job.id)
        if job is wanted[0] and why == "the disk":
            raise BadEnvironment("full")
        if job is not wanted[0]:
            slow.wait(60)
            time.sleep(0.1)
        done.append(job.id)
        return SimpleNamespace(seconds=60.0)

    def heard():
        with closing(Dask(len, home, "t", "local:4")(iter(wanted))) as ended:
            for _ in ended:
                raise KeyError

    monkeypatch.setattr(dask, "connected", lambda cluster: nullcontext(Quick()))
    wanted = jobs(4)
    threading.Timer(0.3, slow.set).start()
    with pytest.raises(BadEnvironment if why == "the disk" else KeyError):
        heard()
    assert len(began) > 1
    assert set(done) == set(began) - ({wanted[0].id} if why == "the disk" else set())


def test_one_job_at_a_time_is_done_in_a_worker_with_several_threads():
    at_once, most = [], []

    def work(job):
        at_once.append(job)
        most.append(len(at_once))
        time.sleep(0.02)
        at_once.remove(job)

    keep("threads", work)
    one = [threading.Thread(target=do, args=(Task(job, "threads", None, dask.version("isthmus")),)) for job in jobs(4)]
    for thread in one:
        thread.start()
    for thread in one:
        thread.join()
    assert most == [1] * 4


def test_a_worker_keeps_few_works_and_finds_data_where_they_lie(tmp_path):
    for number in range(5):
        keep(f"{number}", len)
    assert list(dask._works) == ["3", "4"]
    assert do(Task(jobs(1)[0], "found", lambda: lambda job: job.name.name, dask.version("isthmus"))) == "plain"


def test_data_are_read_where_they_lie_if_they_are_the_same(tmp_path):
    path = tmp_path / "rows.csv"
    rows = np.random.default_rng(0).normal(size=(60, 3)).round(3)
    kind = np.where(rows[:, :1] > 0, "a", "b")
    path.write_text("x,y,z,kind\n" + "\n".join(",".join(map(str, row)) for row in np.hstack([rows, kind])))
    data = read(path, label="kind", kinds={"z": "ordered"})
    planned = design(data, families="plain", replicates=2, steps=10).to_json()
    note = {"source": data.source, "label": "kind", "reading": dict(data.asked)}
    found = lying(data, planned, note, perform)()
    assert (found.data.digest, found.data.columns, token(found.data)) == (data.digest, data.columns, token(data))
    path.write_text(path.read_text().replace("a\n", "b\n", 1))
    assert lying(data, planned, note, perform)() is None
    path.unlink()
    assert lying(data, planned, note, perform) is None
    assert lying(read(rows), planned, note, perform) is None


def test_a_parcel_holds_what_the_store_would(tmp_path):
    packing, store = Packing(), made(tmp_path, "home")
    job = jobs(1)[0]

    def fill(folder):
        (folder / "config-1").mkdir()
        (folder / "config-1" / "model.json").write_text("{}")

    record = packing.commit(Record(id=job.id, job=job.name, status="ok"), fill)
    assert packing.parcel == Parcel(record, {"config-1/model.json": b"{}"})
    assert unpacked(store, packing.parcel) == store.read(job.id)
    assert store.read(job.id).files.keys() == {"config-1/model.json"}


def test_wrong_clusters_are_refused(monkeypatch):
    pytest.importorskip("distributed", reason="a cluster needs pip install 'isthmus[dask]'")
    for text in ("local:0", "local:many", "nowhere.json", "host"):
        with pytest.raises(BadInput, match="cluster "):
            Dask(len, len, "t", text)
    monkeypatch.setattr(dask, "CONNECTING", 0.2)
    with pytest.raises(BadEnvironment, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        Dask(len, len, "t", "tcp://127.0.0.1:9")
    monkeypatch.setattr("distributed.get_worker", type("Worker", (), {"address": "tcp://there"}))
    with pytest.raises(BadEnvironment, match="has isthmus"):
        do(Task(jobs(1)[0], "t", None, "0"))


def test_ablations_and_several_data_sets_take_a_cluster_too(tmp_path):
    few = {"replicates": 2, "steps": 10, "facets": "reconstruction", "cluster": "nowhere", "out": tmp_path / "study"}
    for call in (
        lambda: ablate("contractive", "iris", **few),
        lambda: compare("iris", families="plain", **few),
        lambda: compare_many(["iris", "wine"], families="plain", **few),
    ):
        with pytest.raises((BadInput, MissingExtra), match="cluster"):
            call()


def test_jobs_and_cluster_exclude_each_other_and_dask_may_be_missing(monkeypatch, tmp_path):
    with pytest.raises(BadInput, match="jobs and cluster exclude each other"):
        compare("iris", jobs=1, cluster="local:1", out=tmp_path / "study")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtra, match=r"a cluster needs distributed: pip install 'isthmus\[dask\]'"):
        compare("iris", families="plain", cluster="local:1", out=tmp_path / "study")
