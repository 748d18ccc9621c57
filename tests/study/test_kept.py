"""A study that is stopped within a run goes on within it, to the same bits; what was kept goes with the run."""

import numpy as np
import pytest

from isthmus import ablate, compare, compare_many
from isthmus.errors import BadInput
from isthmus.study.kept import Kept
from isthmus.study.record import Job, JobName
from isthmus.study.store import Store
from isthmus.train.checkpoint import Keeper

FEW = {"families": "vae", "rivals": "none", "facets": "reconstruction", "replicates": 2, "configs": 2, "steps": 120}


@pytest.fixture
def saves(monkeypatch):
    """Steps of every state that is written; the process is stopped after the number ``stop``."""
    found = {"steps": [], "stop": None}
    save = Keeper.save

    def told(self, state):
        save(self, state)
        found["steps"].append(state.facts["steps"])
        if found["stop"] == len(found["steps"]):
            raise KeyboardInterrupt

    monkeypatch.setattr(Keeper, "save", told)
    return found


def left(folder):
    return [path.name for path in folder.glob(".training-*")]


@pytest.mark.slow
def test_a_study_that_is_stopped_in_a_training_goes_on_in_it(tmp_path, saves):
    whole = compare("iris", out=tmp_path / "whole", jobs=1, **FEW)
    assert saves["steps"] == []
    study = {"out": tmp_path / "study", "jobs": 1, "checkpoint": "0.0000001s", **FEW}
    saves["stop"] = 50
    with pytest.raises(KeyboardInterrupt):
        compare("iris", **study)
    before, saves["stop"] = saves["steps"][-1], None
    assert 0 < before < 120
    assert len(left(tmp_path / "study")) == 1
    there = compare("iris", **study)
    assert saves["steps"][50] >= before  # not from the first step again
    assert left(tmp_path / "study") == []
    np.testing.assert_equal(there.scores("reconstruction"), whole.scores("reconstruction"))
    for one, other in zip(there.records, whole.records, strict=True):
        assert (one.id, one.facets, one.files) == (other.id, other.facets, other.files)


@pytest.mark.slow
def test_trainings_that_ended_within_a_run_are_not_done_again(tmp_path, saves):
    """With free capacity a run trains in laps, the later ones after the earlier."""
    few = FEW | {"facets": "features", "families": "plain", "configs": 3, "steps": 600, "capacity": "free"}
    whole = compare("iris", out=tmp_path / "whole", jobs=1, **few)
    study = {"out": tmp_path / "study", "jobs": 1, "checkpoint": "1m", **few}
    saves["stop"] = 2  # a write at the end of each stack of models
    with pytest.raises(KeyboardInterrupt):
        compare("iris", **study)
    (place,) = (tmp_path / "study").glob(".training-*")
    first, second = sorted(place.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    before = first.stat().st_mtime_ns
    saves |= {"steps": [], "stop": 1}
    with pytest.raises(KeyboardInterrupt):
        compare("iris", **study)
    assert first.stat().st_mtime_ns == before < second.stat().st_mtime_ns
    saves["stop"] = None
    there = compare("iris", **study)
    assert [one.files for one in there.records] == [one.files for one in whole.records]
    assert left(tmp_path / "study") == []


def test_a_damaged_file_is_no_obstacle_and_what_stayed_is_swept(tmp_path):
    store, kept = Store(tmp_path), Kept(tmp_path, 1.0)
    store.create({"format": 1}, {})
    job = Job(JobName(kind="family", name="plain", view="all", replicate=0), {"data": "d", "seed": 0})
    place = kept.training(job.id, job)
    place.path.write_bytes(b"torn")
    assert kept.training(job.id, job) == place
    assert not place.path.exists()
    assert kept.training(job.id, Job(job.name, {"data": "e", "seed": 0})).path != place.path
    with store.locked():
        assert left(tmp_path) == [f".training-{job.id}"]
    (store.runs / job.id).mkdir()
    with store.locked():
        assert left(tmp_path) == []


def test_a_checkpoint_is_a_time_and_stays_at_home(tmp_path):
    few = {"replicates": 2, "steps": 10, "facets": "reconstruction", "out": tmp_path / "study", "checkpoint": "soon"}
    for call in (
        lambda: ablate("contractive", "iris", **few),
        lambda: compare("iris", families="plain", **few),
        lambda: compare_many(["iris", "wine"], families="plain", **few),
    ):
        with pytest.raises(BadInput, match=r"checkpoint must be a time like 90s, 5m or 1\.5h; got 'soon'"):
            call()
    with pytest.raises(BadInput, match="checkpoint and cluster exclude each other"):
        compare("iris", cluster="local:1", **few | {"checkpoint": "5m"})
