"""Real signals at random moments: studies, races, trainings and monitors are killed and begun again, and counted.

python benchmarks/faults.py [--kills 50] [--only study race training monitor cluster] [--out faults.jsonl]
python benchmarks/faults.py --boundaries 12 [--only worker nanny scheduler]

Each is the command of that name in a child that leads a session of its own. After every end is looked at: the exit code
is that of the signal; nothing was told but lines; no process of the session is left; what was finished is there, whole
and untouched. In the end the same command, left alone, has to end well, with what it gives when nobody disturbs it.

Moments are drawn from the time that the command took undisturbed. Who had ended before its signal is no kill: it is
begun anew and aimed at earlier, until as many as asked for came in time.

``--boundaries N`` kills parts of a Dask cluster instead, whenever one of N runs has come home: the worker that did it,
the nanny of that, or the scheduler, each in a process of its own; lost nannies and clusters are begun anew. Counted are
runs that began again after they had come home, or were put in place twice, and tables other than that of one process.

Every few kills are a round with a seed and a folder of its own. Its line is written when it ends, and rounds that stand
in the file are not done again, so that slices add up.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from isthmus.api.study import Study
from isthmus.cli import main as isthmus
from isthmus.errors import BadEnvironment
from isthmus.study import jobs as doing
from isthmus.study.away import Away, unpacked
from isthmus.study.jobs import Commits, Work
from isthmus.study.launch import dask
from isthmus.study.launch.local import Local
from isthmus.study.record import Choice, Job, JobName, Record
from isthmus.study.store import Store
from isthmus.train.checkpoint import Checkpoint

SIGNALS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}
ROUND = 5
"""Kills in time of a round."""
GRACE = 20.0
"""Seconds in which all processes of a session have to be gone."""
FEW = ["--families", "plain,vae", "--facets", "reconstruction,features", "--replicates", "3", "--configs", "2"]
STUDY = ["compare", "rows.csv", "--label", "kind", *FEW, "--steps", "300", "--quiet", "--out", "study"]


class Case(NamedTuple):
    """What is killed, and what is there of it."""

    command: list[str]
    kept: Callable[[], dict[str, Any]]
    """What was finished, each with what must not change; raises if something is not whole."""
    same: Callable[[], Any] | None
    """What does not depend on whether it was disturbed."""


def runs(folder: str) -> dict[str, Any]:
    """Finished runs, with when each was put in place."""
    store = Store(Path(folder))
    if not store.runs.exists():
        return {}
    good, damaged = store.records(members=True)
    if damaged:
        raise AssertionError(next(iter(damaged.values())))
    return {name: (store.runs / name / "record.json").stat().st_mtime_ns for name in good}


def table(folder: str) -> Any:
    """The scores of a study, and the hashes of all that it saved."""
    study = Study(folder)
    assert study.complete
    scores = {
        facet: {name: np.asarray(values).tobytes() for name, values in study.scores(facet).items()}
        for facet in ("reconstruction", "features")
    }
    return scores, {record.id: record.files for record in study.records}


def finished(folder: str) -> None:
    """A race decides by the clock how far it goes; it has to be whole."""
    runs(folder)


def kept_training() -> dict[str, Any]:
    """The file of a training is whole; it may change."""
    Checkpoint("model.checkpoint").steps()
    return {}


def kept_watch() -> dict[str, Any]:
    """A state is whole if its watch goes on with it."""
    return {}


CASES = {
    "study": Case([*STUDY, "--jobs", "2"], lambda: runs("study"), lambda: table("study")),
    "study within runs": Case(
        [*STUDY, "--jobs", "1", "--checkpoint", "0.1s"], lambda: runs("study"), lambda: table("study")
    ),
    "cluster": Case([*STUDY, "--cluster", "local:2"], lambda: runs("study"), lambda: table("study")),
    "race": Case(
        [*STUDY[:-5], "--budget", "60s", "--quiet", "--out", "study", "--jobs", "2"],
        lambda: runs("study"),
        lambda: finished("study"),
    ),
    "training": Case(
        [
            *("train", "vae", "rows.npy", "--steps", "3000", "--measure", "none", "--quiet", "--out", "model"),
            *("--checkpoint", "0.1s"),
        ],
        kept_training,
        lambda: Path("model/model.safetensors").read_bytes(),
    ),
    "monitor": Case(
        ["monitor", "watched", "stream.csv", "--state", "watch.json"],
        kept_watch,
        lambda: Path("watch.json").read_bytes(),
    ),
}


def child(command: list[str], told: Path) -> int:
    """Begin a command in a session of its own; its process number, as soon as it leads one."""
    told.unlink(missing_ok=True)
    number = os.fork()
    if number:
        while not told.exists():
            time.sleep(0.001)
        return number
    code = 70
    try:
        os.setsid()
        with told.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        torch.set_num_threads(1)
        with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
            code = isthmus(command)
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def session(number: int) -> list[int]:
    """Processes of a session that are alive."""
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, group = place.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(group) == number and state != "Z":
            found.append(int(place.parent.name))
    return found


def gone(number: int, asked: str) -> bool:
    """Whether all processes of a session leave in time; those that do not are told."""
    until = time.monotonic() + GRACE
    while left := session(number):
        if time.monotonic() > until:
            for process in left:
                line = Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                print(f"    left after {asked}: {process} {line[-300:]}", flush=True)
                os.kill(process, signal.SIGKILL)
            return False
        time.sleep(0.05)
    return True


def ended(number: int) -> int:
    """The exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def prepare() -> None:
    """What the commands read."""
    random_ = np.random.default_rng(0)
    rows = random_.normal(size=(400, 3)) @ random_.normal(size=(3, 8)) + 0.3 * random_.normal(size=(400, 8))
    np.save("rows.npy", rows.astype(np.float32))
    lines = [",".join([*(f"{v:.5f}" for v in row), "ab"[int(row[0] > 0)]]) for row in rows]
    Path("rows.csv").write_text("\n".join([",".join([*(f"x{i}" for i in range(8)), "kind"]), *lines]))
    stream = np.tile(rows, (60, 1))
    Path("stream.csv").write_text(
        "\n".join([",".join(f"x{i}" for i in range(8)), *(",".join(f"{v:.5f}" for v in row) for row in stream)])
    )
    if ended(child(["train", "pca", "rows.npy", "--measure", "none", "--quiet", "--out", "watched"], Path("told"))):
        raise SystemExit(Path("told").read_text())


def disturb(name: str, kills: int, dice: random.Random) -> Counter[str]:
    """Kill one case again and again, and count."""
    case, counts = CASES[name], Counter[str]()
    began = time.monotonic()
    code = ended(child(case.command, Path("told")))
    if code not in {0, 1}:
        raise SystemExit(Path("told").read_text())
    took, expected = time.monotonic() - began, None if case.same is None else case.same()
    made = [part for part in ("study", "model", "model.checkpoint", "watch.json") if Path(part).exists()]
    for part in made:
        os.rename(part, f"whole-{part}")
    before: dict[str, Any] = {}
    latest = took
    while counts["in time"] < kills:
        number = child(case.command, Path("told"))
        time.sleep(dice.uniform(0, latest))
        asked = dice.choice(list(SIGNALS))
        os.kill(number, asked)
        found = ended(number)
        late = found == code
        counts["ends"] += 1
        counts["too late, it had ended" if late else "in time"] += 1
        counts[f"  by {asked.name}"] += not late
        latest = latest * 0.7 if late else min(latest * 1.2, took)  # it goes on, so less is left each time
        if found not in {SIGNALS[asked], -asked, code}:
            counts["WRONG exit codes"] += 1
            print(
                f"    {asked.name} ended with {found}: {Path('told').read_text(errors='replace')[-3000:]}", flush=True
            )
        counts["WRONG processes left"] += not gone(number, asked.name)
        counts["WRONG tracebacks"] += "Traceback" in Path("told").read_text(errors="replace")
        try:
            after = case.kept()
        except Exception as error:
            print(f"    {error}")
            counts["WRONG not whole"] += 1
            continue
        counts["WRONG lost"] += len(before.keys() - after.keys())
        counts["WRONG done again"] += sum(after.get(one, when) != when for one, when in before.items())
        before = after
        if late:  # from the start again
            for part in made:
                if Path(part).exists():
                    os.rename(part, f"done-{counts['ends']}-{part}")
            before = {}
    counts["WRONG last ends"] += ended(child(case.command, Path("told"))) != code
    counts["WRONG results"] += case.same is not None and case.same() != expected
    counts["WRONG drafts left"] += sum(".tmp" in path.name for path in Path().rglob("*"))
    return counts


def a_round(name: str, number: int) -> dict[str, int]:
    """A few kills of one case, in a folder of their own."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            prepare()
            return dict(disturb(name, ROUND, random.Random(f"{number} {name}")))
        finally:
            os.chdir("/")


# ------------------------------------------------------------------------------------------ at every boundary of tasks


def light(job: Job, told: Any, store: Commits) -> Record:
    """A job that says where it begins."""
    with open(told, "a") as file:
        file.write(f"{job.id} {os.getpid()} {os.getppid()}\n")
    time.sleep(0.3)
    values = np.random.default_rng(job.seed("rows")).normal(size=8)
    choice = Choice(config=None, metrics={"mse": float(values.mean())})
    record = Record(id=job.id, job=job.name, status="ok", facets={"reconstruction": choice})
    return store.commit(record, lambda folder: (folder / "scores.bin").write_bytes(values.tobytes()))


class Cluster:
    """A scheduler and two nannies in processes of their own, as one starts them by hand."""

    def __init__(self) -> None:
        self.file, self.nannies = Path("cluster.json"), list[subprocess.Popen[bytes]]()
        self.file.unlink(missing_ok=True)
        self.scheduler = self._begin("scheduler", "--host", "127.0.0.1", "--port", "0")
        while not self.file.exists():
            time.sleep(0.05)
        self.add()
        self.add()

    def add(self) -> None:
        """One more nanny, with its worker."""
        self.nannies.append(self._begin("worker", "--nanny", "--nthreads", "1", "--local-directory", "scratch"))

    def _begin(self, what: str, *more: str) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            f"distributed.cli.dask_{what}",
            "--no-dashboard",
            "--scheduler-file",
            self.file,
        ]
        there = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "100", "PYTHONPATH": os.pathsep.join(sys.path)}
        quiet = dict.fromkeys(("stdout", "stderr"), subprocess.DEVNULL)
        return subprocess.Popen([*command, *more], env=os.environ | there, start_new_session=True, **quiet)

    def close(self) -> None:
        """All of it ends."""
        for part in (self.scheduler, *self.nannies):
            for number in session(part.pid):
                with suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            part.wait()


def boundaries(who: str, count: int) -> Counter[str]:
    """Kill part of a cluster whenever a run has come home, until all have, and count."""
    wanted = [
        Job(JobName(kind="family", name="plain", view="all", replicate=r), {"data": "d", "seed": 0})
        for r in range(count)
    ]
    told, counts, home = Path("began").absolute(), Counter[str](), dict[str, int]()
    stores = {name: Store(Path(name)) for name in ("serial", "away")}
    for store in stores.values():
        store.create({"format": 1}, {})
    with Local(Work(stores["serial"], told, light), Path("serial"), 1) as local:
        doing.drive(stores["serial"], wanted, local)
    told.unlink()
    dask.CONNECTING = 5.0
    store, cluster = stores["away"], Cluster()

    def strike(job: Job, record: Record, done: int, total: int) -> None:
        home[job.id] = (store.runs / job.id / "record.json").stat().st_mtime_ns
        _, worker, nanny = [line.split() for line in told.read_text().splitlines() if line.startswith(job.id)][-1]
        with told.open("a") as file:
            file.write(f"home-{job.id} 0 0\n")
        with suppress(ProcessLookupError):  # it is gone already, with its nanny
            os.kill(
                {"worker": int(worker), "nanny": int(nanny), "scheduler": cluster.scheduler.pid}[who], signal.SIGKILL
            )
            counts["kills"] += 1
        if who == "nanny":
            cluster.add()

    try:
        while len(home) < count:
            away = Away(told, light)
            try:
                with dask.Dask(away, lambda parcel: unpacked(store, parcel), "light", str(cluster.file)) as launch:
                    doing.drive(store, wanted, launch, progress=strike)
            except BadEnvironment:
                counts["drivers ended with one line"] += 1
                cluster.close()
                unheard = {name: when for name, when in runs("away").items() if name not in home}
                home |= unheard
                with told.open("a") as file:
                    file.writelines(f"home-{name} 0 0\n" for name in unheard)
                cluster = Cluster()
    finally:
        cluster.close()
    lines = [line.split()[0] for line in told.read_text().splitlines()]
    counts["runs"] = count
    counts["begins"] = sum(lines.count(job.id) for job in wanted)
    for job in wanted:
        counts["WRONG begun after it had come home"] += lines[lines.index(f"home-{job.id}") :].count(job.id)
    counts["WRONG put in place twice"] += runs("away") != home
    tables = [
        {str(path.relative_to(name)): path.read_bytes() for path in Path(name, "runs").rglob("*") if path.is_file()}
        for name in stores
    ]
    counts["WRONG tables"] += tables[0] != tables[1]
    return counts


def at_boundaries(who: str, count: int) -> dict[str, int]:
    """As :func:`boundaries`, in a folder of its own."""
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        try:
            return dict(boundaries(who, count))
        finally:
            os.chdir("/")


PARTS = ("worker", "nanny", "scheduler")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--kills", type=int, default=50, help="in time, of each, with those that stand in the file")
    options.add_argument(
        "--boundaries", type=int, help="runs of a study on a cluster, after each of which a part is killed"
    )
    options.add_argument("--only", nargs="*", choices=[*CASES, *PARTS])
    options.add_argument("--out", type=Path, default=Path("faults.jsonl"))
    asked = options.parse_args()
    asked.only = asked.only or (PARTS if asked.boundaries else list(CASES))
    if asked.boundaries:
        wrong = 0
        for who in asked.only:
            began, counts = time.monotonic(), at_boundaries(who, asked.boundaries)
            print(json.dumps({"killed": who, "seconds": round(time.monotonic() - began), **counts}), flush=True)
            wrong += sum(number for what, number in counts.items() if what.startswith("WRONG"))
        raise SystemExit(int(bool(wrong)))
    out = asked.out.absolute()
    lines = [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []
    for number in range(-(-asked.kills // ROUND)):
        for name in asked.only:
            if any((line["case"], line["round"]) == (name, number) for line in lines):
                continue
            began = time.monotonic()
            counts = a_round(name, number)
            lines.append({"case": name, "round": number, "seconds": round(time.monotonic() - began), "counts": counts})
            print(json.dumps(lines[-1]), flush=True)
            with out.open("a") as file:
                file.write(json.dumps(lines[-1]) + "\n")
    wrong = 0
    for name in asked.only:
        chosen = [line for line in lines if line["case"] == name]
        total = sum((Counter(line["counts"]) for line in chosen), Counter[str]())
        print(f"{name} ({len(chosen)} rounds, {sum(line['seconds'] for line in chosen)} s)", flush=True)
        for what in dict.fromkeys(what for line in chosen for what in line["counts"]):
            print(f"  {total[what]:5} {what}", flush=True)
        wrong += sum(count for what, count in total.items() if what.startswith("WRONG"))
    raise SystemExit(int(bool(wrong)))


if __name__ == "__main__":
    main()
