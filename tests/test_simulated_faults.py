"""The simulator of faults finds bugs that are planted, and those that it found once; and none in what ships."""

import json
import os
import random
import re
import shutil
import sys
from contextlib import contextmanager, nullcontext, suppress

import pytest

from isthmus import durable
from isthmus.errors import BadEnvironment, BadInput
from isthmus.study import jobs as doing
from isthmus.study import store as stores
from isthmus.study.launch import dask
from isthmus.study.record import Record, digest, finite
from isthmus.study.store import Store
from isthmus.testing import faults, world
from isthmus.testing.faults import Wrong, play, schedule
from isthmus.testing.world import Fault

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

STUDY, WORKERS, CLUSTER, KEPT, WATCH = "study here", "study with workers", "study on a cluster", "checkpoint", "monitor"
WITHIN = 250
"""Schedules in which each planted bug has to be found."""


def test_nothing_is_wrong_in_a_hundred_schedules():
    seen, wrong = faults.survey(range(100))
    assert wrong == {}
    assert seen.keys() == faults.SCENES.keys()


@pytest.mark.slow
def test_a_seed_tells_the_same_story_and_faults_befall_it():
    stories = []
    for _ in range(2):
        lines = []
        for seed in range(12):
            schedule(seed, tell=lines.append)
        stories.append([re.sub(r"isthmus-world-\w+|\.\d{8}\.", "", line) for line in lines])
    assert stories[0] == stories[1]
    assert all(f"{kind} at call" in "".join(stories[0]) for kind in world.KINDS)


def test_the_command_tells_one_schedule_and_counts_many(capsys, monkeypatch):
    assert faults.main(["--seed", "3"]) == 0
    assert capsys.readouterr().out.startswith("schedule 3: ")
    assert faults.main(["--schedules", "3", "--first", "5", "--jobs", "1"]) == 0
    assert "3 schedules in " in capsys.readouterr().out


# bugs that are planted: how what ships would be with a line left out

real = {"sync": durable.sync, "put": durable.put, "read": Store.read, "placed": durable.placed, "commit": Store.commit}


def members_are_not_synced(put):
    put(stores, "sync", lambda path: real["sync"](path) if path.is_dir() else None)


def the_record_is_not_synced(put):
    put(stores, "put", lambda path, content: path.write_bytes(content))


def the_folder_of_runs_is_not_synced(put):
    put(stores, "sync", lambda path: None if path.name == "runs" else real["sync"](path))


def a_run_is_renamed_too_early(put):
    def commit(self, record, fill=None):
        made, place = self.runs / f".tmp-{record.id}", self.runs / record.id
        with stores.environment(self.folder):
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            os.rename(made, place)
            fill and fill(place)
            members = sorted(path for path in place.rglob("*") if path.is_file())
            files = {path.relative_to(place).as_posix(): stores._hash(path) for path in members}
            plain = finite(record.model_copy(update={"files": files}).model_dump(mode="json"))
            for path in members:
                real["sync"](path)
            real["put"](place / "record.json", json.dumps({**plain, "seal": digest(plain)}).encode())
            for inner in {path.parent for path in members} | {place, self.runs}:
                real["sync"](inner)
        return Record.model_validate(plain)

    put(Store, "commit", commit)


def nobody_locks(put):
    put(stores, "_flock", lambda path, kind, patience: nullcontext())


def hashes_of_members_are_not_looked_at(put):
    put(Store, "read", lambda self, name, members=True: real["read"](self, name, members=False))


def a_file_is_written_in_place(put):
    @contextmanager
    def placed(path):
        with path.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    put(durable, "placed", placed)


def a_file_is_put_in_place_before_it_is_synced(put):
    @contextmanager
    def placed(path):
        draft = path.with_name(".draft")
        with draft.open("wb") as file:
            yield file
        os.replace(draft, path)
        durable.sync(path.parent)

    put(durable, "placed", placed)


def the_name_of_a_file_is_not_synced(put):
    put(durable, "sync", lambda path: None)


def a_round_is_written_in_place(put):
    def add_round(self, one):
        rounds = [r._asdict() for r in (*self.rounds(), one)]
        with stores.environment(self.folder):
            (self.folder / "race.json").write_text(json.dumps({"format": 1, "rounds": rounds}))

    put(Store, "add_round", add_round)


def a_job_of_a_lost_worker_is_done_without_a_look(put):
    def suspect(store, job, launch):
        try:
            return launch.alone(job)
        except doing.Died:
            return store.commit(Record(id=job.id, job=job.name, status="failed", message="killed twice"))

    put(doing, "_suspect", suspect)


def a_sync_that_fails_is_passed_over(put):
    def sync(path):
        with suppress(OSError):
            real["sync"](path)

    put(stores, "sync", sync)


def drafts_are_put_in_place_twice(put):
    def unpacked(store, parcel):
        store.commit(parcel.record, parcel.unpack)
        return store.commit(parcel.record, parcel.unpack)

    put(faults, "unpacked", unpacked)


def what_came_home_is_not_released(put):
    put(dask.Dask, "_release", lambda self, future: None)


# bugs that were there, and that it found


def a_disk_that_refuses_is_taken_for_damage(put):
    def read(self, name, **how):
        try:
            return real["read"](self, name, **how)
        except BadEnvironment as error:
            raise BadInput(str(error)) from None

    put(Store, "read", read)


def the_name_of_the_study_is_not_synced(put):
    put(stores, "folder", lambda path: path.mkdir(parents=True, exist_ok=True))


def drafts_of_who_was_killed_stay(put):
    put(durable, "_sweep", lambda path: None)


def who_comes_next_believes_names_that_were_not_synced(put):
    @contextmanager
    def locked(self):
        with stores._flock(self.folder / ".lock", 2, patience=0.0):
            self._sweep()
            yield

    put(Store, "locked", locked)


PLANTED = {
    members_are_not_synced: STUDY,
    the_record_is_not_synced: STUDY,
    the_folder_of_runs_is_not_synced: STUDY,
    a_run_is_renamed_too_early: STUDY,
    nobody_locks: STUDY,
    hashes_of_members_are_not_looked_at: STUDY,
    a_file_is_written_in_place: KEPT,
    a_file_is_put_in_place_before_it_is_synced: WATCH,
    the_name_of_a_file_is_not_synced: WATCH,
    a_round_is_written_in_place: STUDY,
    a_job_of_a_lost_worker_is_done_without_a_look: WORKERS,
    a_sync_that_fails_is_passed_over: STUDY,
    drafts_are_put_in_place_twice: CLUSTER,
    what_came_home_is_not_released: CLUSTER,
    a_disk_that_refuses_is_taken_for_damage: STUDY,
    the_name_of_the_study_is_not_synced: STUDY,
    drafts_of_who_was_killed_stay: KEPT,
}


def first(scene):
    """Run schedules until something is wrong."""
    for seed in range(WITHIN):
        print(f"schedule {seed}")
        schedule(seed, scene=scene)


@pytest.mark.slow
@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant, monkeypatch):
    plant(monkeypatch.setattr)
    with pytest.raises((Wrong, BadInput)):
        first(PLANTED[plant])


def ends(kind, scene=STUDY, every=1):
    """A process is stopped in front of its first call, its second, and so on; the next ends well; the power fails."""
    calls = play(scene, [], random.Random(0))
    for after in range(0, calls, every):
        play(scene, [[Fault(after, kind)], [], [Fault(0, "power")]], random.Random(after))
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["kill", "power"])
def test_a_study_may_be_stopped_in_front_of_any_call(kind):
    assert ends(kind, every=2) > 100


@pytest.mark.slow
def test_who_comes_next_must_not_believe_names_that_were_not_synced(monkeypatch):
    who_comes_next_believes_names_that_were_not_synced(monkeypatch.setattr)
    with pytest.raises(Wrong, match="lost"):
        ends("kill")


def test_the_world_is_gone_afterwards():
    before = {name: getattr(os, name) for name in ("open", "fsync", "replace", "mkdir", "unlink")}
    faults.survey(range(2))
    assert before == {name: getattr(os, name) for name in before}
    assert world.Killed.__mro__[1] is BaseException
