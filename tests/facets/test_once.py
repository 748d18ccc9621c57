"""What several facets ask of the same splits is made once; other splits get their own."""

import gc

import numpy as np
import pytest
from contenders import split

from isthmus.facets import FACETS, random_dictionary, rivals
from isthmus.facets.once import MOST, once
from isthmus.facets.random_dictionary import NAME


def rows(n=120, columns=6):
    return np.random.default_rng(0).normal(size=(n, columns)).astype(np.float32)


@pytest.fixture
def counted():
    asked = []
    return asked, once(lambda splits: asked.append(splits) or object())


def test_the_same_splits_are_asked_once_and_others_get_their_own(counted):
    asked, seen = counted
    splits = split(rows(), None, latents=4)
    first = seen(splits)
    assert seen(splits) is seen(splits._replace(layout=None)) is first
    other = [
        splits._replace(seed=splits.seed + 1),
        splits._replace(latents=5),
        splits._replace(k=2),
        splits._replace(test=splits.valid),
        splits._replace(train=splits.train._replace(x=splits.train.x.copy())),
    ]
    assert len({id(made) for made in [first, *map(seen, other)]}) == len(asked) == 6


def test_what_was_made_goes_with_its_rows_and_when_others_come(counted):
    asked, seen = counted
    for number in range(2):  # arrays of a former split are gone, and the next ones may lie where they lay
        seen(split(rows(), None, latents=4))
        gc.collect()
        assert len(asked) == number + 1
        asked[-1] = None
    splits = split(rows(), None, latents=4)
    for seed in (*range(MOST + 1), 0):
        seen(splits._replace(seed=seed))
    assert len(asked) == 2 + MOST + 2


def test_facets_share_the_random_dictionary_and_sparse_coding(monkeypatch):
    made = []

    def heard(module, name):
        whole = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, **k: made.append(name) or whole(*a, **k))

    heard(random_dictionary, "turned")
    heard(rivals, "dictionary")
    splits = split(rows(), None, latents=8)
    for facet in ("reconstruction", "sparsity"):
        for name in (NAME, "sparse coding"):
            FACETS[facet].rivals[name](splits)
    assert sorted(made) == ["dictionary"] * len(rivals.PENALTIES) + ["turned"]
