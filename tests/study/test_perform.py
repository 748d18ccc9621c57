"""What is drawn in a run: the same for everybody in a replicate, and anew in the next one."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.study import material as materials
from isthmus.study import perform
from isthmus.study.design import design
from isthmus.study.material import prepare
from isthmus.study.perform import train


def drawn(monkeypatch, **options):
    """(name, replicate) -> the test rows and the seeds of trainings, facets and anomalies left in training."""
    trained, spoilt = [], []
    view = materials.normal_view
    monkeypatch.setattr(materials, "_kept", materials._Kept())
    monkeypatch.setattr(perform, "fit_many", lambda *_, seed, **__: trained.append(seed) or [])
    monkeypatch.setattr(materials, "normal_view", lambda *given: spoilt.append(given[4]) or view(*given))
    data, found = read("iris", anomaly="virginica"), {}
    for job in design(data, families="plain,l1", replicates=3, **options).jobs():
        if job.name.kind == "family":
            material = prepare(job, data)
            train(job, data, material)
            seeds = (trained[-1], material.splits.seed, *spoilt[-1:])
            found[job.name.name, job.name.replicate] = (tuple(material.rows.test), *seeds)
    return found


@pytest.mark.parametrize("options", [{"facets": "reconstruction"}, {"facets": "anomaly", "contamination": 0.05}])
def test_draws_are_shared_within_a_replicate_and_differ_between_them(monkeypatch, options):
    found = drawn(monkeypatch, **options)
    assert {name for name, _ in found} == {"plain", "l1", "pca"}
    for replicate in range(3):
        assert found["plain", replicate] == found["l1", replicate] == found["pca", replicate]
    for one in zip(*(found["plain", replicate] for replicate in range(3)), strict=True):
        assert len(set(one)) == 3
    assert len({draw for draws in found.values() for draw in draws}) == 3 * len(found["plain", 0])


def test_copies_of_training_rows_are_counted_in_both_held_out_parts_and_are_leakage():
    rows = np.random.default_rng(0).normal(size=(60, 5))
    data = read(np.concatenate([rows, rows.round(5)]))
    job = design(data, families="plain", facets="reconstruction", replicates=2).jobs()[0]
    material = prepare(job, data)
    training = set(material.rows.train)
    valid, test = (sum((i + 60) % 120 in training for i in part) for part in material.rows[1:])
    assert min(valid, test) > 5
    assert material.sizes["duplicates"] == valid + test
    (found,) = perform._doubts(material, {}, {})
    assert (found.name, found.evidence["copies"]) == ("leakage between splits", valid + test)


def test_jobs_on_one_split_share_their_rows_and_other_splits_do_not():
    data = read("iris")
    first, again, other = (design(data, replicates=2, configs=1).jobs()[i] for i in (0, 1, -1))
    assert first.name.replicate == again.name.replicate != other.name.replicate
    assert prepare(first, data).splits.train.x is prepare(again, data).splits.train.x
    assert prepare(first, data).splits.train.x is not prepare(other, data).splits.train.x
