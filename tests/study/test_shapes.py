"""Rows of many kinds and shapes: every default family trains on them by its defaults, or says why not."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.doctor import diagnose
from isthmus.study.design import design
from isthmus.study.material import prepare
from isthmus.study.perform import finish
from isthmus.study.retry import failed


def smooth(stream, rows, columns):
    t = np.linspace(0, 1, columns)
    return stream.normal(size=(rows, 3)) @ np.stack([np.sin((j + 1) * np.pi * t + j) for j in range(3)])


def spiky(stream, rows, columns):
    return stream.standard_t(2, size=(rows, columns)) + stream.normal(size=(rows, 1))


def binary(stream, rows, columns):
    return (stream.random((rows, columns)) < 0.2 + 0.6 * stream.random((rows, 1))).astype(float)


def embedded(stream, rows, columns):
    loads = stream.normal(size=(20, columns)) * np.linspace(2, 0.1, 20)[:, None]
    return stream.normal(size=(rows, 20)) @ loads + 0.1 * stream.normal(size=(rows, columns))


def one_hot(stream, rows, columns):
    return np.eye(columns)[stream.zipf(1.5, size=rows) % columns]


SHAPES = [
    (smooth, 600, 784),
    (smooth, 60, 300),
    (spiky, 400, 12),
    (binary, 300, 64),
    (binary, 10, 6),
    (embedded, 600, 768),
    (embedded, 2000, 2),
    (one_hot, 500, 20),
    (smooth, 10, 30),
    (smooth, 1000, 3),
    (spiky, 5000, 3),
    (binary, 1000, 2),
    (embedded, 30, 100),
    (embedded, 100, 20),
    (one_hot, 100, 50),
    (one_hot, 5000, 8),
]

LITTLE = [(spiky, 10, 4), (spiky, 60, 100), (binary, 40, 200), (one_hot, 12, 3)]
"""Too few rows for what there is to learn: some families end no better than they began, at every rate."""


def ends(kind, rows, columns):
    """Family -> its training on one split, and what the doctor finds in it."""
    data = read(kind(np.random.default_rng(0), rows, columns))
    planned = design(data, facets="reconstruction", replicates=2, configs=1, steps=150)
    for job in planned.part([0], {"reconstruction": list(planned.families)}):
        material = prepare(job, data)
        (one,) = finish(job, data, material)
        yield job.name.name, one, [d.name for d in diagnose(one, material.splits.train.x, material.splits.valid.x)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rows", "columns"), SHAPES, ids=lambda one: getattr(one, "__name__", one))
def test_every_default_family_trains(kind, rows, columns):
    assert [name for name, one, _ in ends(kind, rows, columns) if failed(one.outcome)] == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rows", "columns"), LITTLE, ids=lambda one: getattr(one, "__name__", one))
def test_who_does_not_train_says_why(kind, rows, columns):
    for name, one, said in ends(kind, rows, columns):
        assert not failed(one.outcome) or {"not trained", "progress unseen", "diverged"} & set(said), name
