"""What is on disk is whole or absent, and every change to it is noticed."""

import errno
import json
import os
import shutil

import numpy as np
import pytest

from isthmus.errors import BadEnvironment, BadInput, difference
from isthmus.study.record import Choice, Config, JobName, Record, canonical, digest
from isthmus.study.store import Store

DESIGN = {"format": 1, "seed": 0, "plan": {"steps": 10}}
JOB = JobName(kind="family", name="plain", view="all", replicate=0)


def record(name: str = "a" * 64, value: float = 0.5) -> Record:
    return Record(
        id=name, job=JOB, status="ok", facets={"reconstruction": Choice(config=0, metrics={"mse": value})}, seconds=1.5
    )


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "study")
    made.create(DESIGN, {"command": "isthmus compare iris"})
    return made


def fill(folder):
    (folder / "scores.bin").write_bytes(b"0123456789")


def test_a_committed_run_is_read_back_equal_and_leaves_no_temporary(store):
    written = store.commit(record(), fill)
    assert store.read("a" * 64) == written
    assert written.files.keys() == {"scores.bin"}
    assert os.listdir(store.runs) == ["a" * 64]
    assert store.records(members=True) == ({"a" * 64: written}, {})


def test_numbers_that_json_lacks_become_null(store):
    store.commit(record(value=float("nan")))
    text = (store.runs / ("a" * 64) / "record.json").read_text()
    assert "NaN" not in text
    assert store.read("a" * 64).facets["reconstruction"].metrics == {"mse": None}


def test_canonical_text_is_one_text():
    assert canonical({"b": 1, "a": (1.0, float("inf"))}) == '{"a":[1.0,null],"b":1}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_every_flipped_byte_is_noticed_and_set_aside_without_being_lost(store):
    store.commit(record(), fill)
    rng = np.random.default_rng(0)
    for member in ("record.json", "scores.bin"):
        path = store.runs / ("a" * 64) / member
        whole = path.read_bytes()
        for _ in range(60):
            broken = bytearray(whole)
            broken[rng.integers(len(whole))] ^= 1 << rng.integers(8)
            path.write_bytes(broken)
            with pytest.raises(BadInput, match="damaged"):
                store.read("a" * 64)
        path.write_bytes(whole)
    (store.runs / ("a" * 64) / "scores.bin").unlink()
    good, damaged = store.records(members=True)
    assert not good
    assert list(damaged) == ["a" * 64]
    place = store.set_aside("a" * 64)
    assert (place / "record.json").exists()
    assert store.records() == ({}, {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"valid": [1.0]}, "unequally many"),
        ({"train/kl": [1.0, 0.5, 0.2]}, "unequally many"),
        ({"step": None}, "without step"),
        ({"valid": None}, "without valid"),
        ({"step": [50.0, 0.0]}, "do not rise"),
        ({"step": [0.0, None]}, "do not rise"),
        ({"step": [0.0, 1e308]}, "do not rise"),
    ],
)
def test_a_history_that_does_not_fit_together_is_none(change, words):
    one = {"recipe": {}, "learning_rate": None, "status": "cut", "steps": 50, "best_step": 50, "seconds": 1.0}
    whole = {"step": [0.0, 50.0], "train": [None, 0.5], "valid": [1.0, 0.5]}
    for history in ({}, whole):
        assert Config(**one, valid=0.5, criteria={}, history=history).history == history
    edited = {key: values for key, values in (whole | change).items() if values is not None}
    with pytest.raises(ValueError, match=words):
        Config(**one, valid=0.5, criteria={}, history=edited)


def test_a_record_under_another_name_does_not_pass(store):
    store.commit(record())
    os.rename(store.runs / ("a" * 64), store.runs / ("b" * 64))
    assert "it is the record of aaaaaaaa" in store.records()[1]["b" * 64]


def test_the_same_design_opens_again_and_another_is_refused_with_the_difference(store):
    store.create(DESIGN, {"command": "another spelling"})
    assert store.design()["command"] == "isthmus compare iris"
    with pytest.raises(BadInput, match=r"plan.steps is 10 there and 20 here; choose another --out"):
        store.create({**DESIGN, "plan": {"steps": 20}}, {})


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match=r"thesis.tex.*choose another --out"):
        Store(tmp_path).create(DESIGN, {})
    assert os.listdir(tmp_path) == ["thesis.tex"]
    with pytest.raises(BadInput, match="is a file"):
        Store(tmp_path / "thesis.tex").create(DESIGN, {})


def test_a_start_that_was_killed_is_taken_up(tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / ".study.json.tmp").write_text("{")
    Store(tmp_path).create(DESIGN, {})
    assert Store(tmp_path).design()["seed"] == 0


def test_a_study_of_another_format_or_a_damaged_one_is_refused(store):
    path = store.folder / "study.json"
    path.write_text(json.dumps({**DESIGN, "format": 2}))
    with pytest.raises(BadInput, match="format 2"):
        store.create(DESIGN, {})
    path.write_text("{")
    with pytest.raises(BadInput, match="damaged"):
        store.design()
    path.unlink()
    with pytest.raises(BadInput, match="holds no study"):
        store.design()


def test_two_drivers_exclude_each_other_and_the_lock_goes_with_its_holder(store):
    with store.locked(), pytest.raises(BadEnvironment, match="another isthmus process"), Store(store.folder).locked():
        pass
    with store.locked():
        pass


def test_a_driver_waits_for_orphaned_workers(store, monkeypatch):
    monkeypatch.setattr("isthmus.study.store.PATIENCE", 0.1)
    with store.working(), pytest.raises(BadEnvironment, match="another isthmus process"), store.locked():
        pass
    with store.working(), store.working():  # workers do not exclude each other
        pass


def test_only_temporary_folders_of_our_naming_are_swept(store):
    ours, alien = store.runs / (".tmp-" + "c" * 64), store.runs / ".tmp-notes"
    ours.mkdir()
    (ours / "model.safetensors").write_bytes(b"half")
    alien.mkdir()
    with store.locked():
        assert sorted(os.listdir(store.runs)) == [".tmp-notes"]


def complaint(store, name):
    try:
        store.commit(record(name), fill)
    except BadEnvironment as error:
        return str(error)
    return None


@pytest.mark.parametrize("call", ["fsync", "rename"])
@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EIO, "finished runs are kept")])
def test_a_disk_that_refuses_at_any_call_costs_one_line_and_no_finished_run(store, monkeypatch, call, code, words):
    kept = store.commit(record(), fill)
    real, name = getattr(os, call), "b" * 64
    for after in range(10):  # fail the first call, then the second, until nothing fails
        calls = iter(range(100))

        def failing(*args, calls=calls, after=after):
            if next(calls) == after:
                raise OSError(code, os.strerror(code))
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            said = complaint(store, name)
        if said is None:
            break
        assert words in said
        assert "\n" not in said
        assert store.read("a" * 64) == kept
        if (store.runs / name).exists():  # only the last sync failed: the run is whole
            assert store.read(name).id == name
            store.set_aside(name)
        assert not [n for n in os.listdir(store.runs) if n.startswith(".tmp-")]
    assert after > 0
    assert store.read(name).id == name


def test_a_folder_without_permission_is_one_line(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(BadEnvironment, match="no permission to write there; choose another --out"):
        Store(tmp_path / "study").create(DESIGN, {})


def test_a_folder_that_is_deleted_amid_a_study_is_one_line(store):
    shutil.rmtree(store.folder)
    with pytest.raises(BadEnvironment, match="the folder is gone, and the runs in it; the same command begins again"):
        store.commit(record())


def test_difference_names_the_first_place():
    assert difference({"a": {"b": [1]}}, {"a": {"b": [1]}}) == ""
    assert difference({"a": {"b": [1]}}, {"a": {"b": [2]}}) == "a.b is [1] there and [2] here"
    assert difference({}, {"a": 1}) == "a is null there and 1 here"
