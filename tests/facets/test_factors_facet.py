"""Known factors: codes that hold them one by one win, and independent components find linear mixtures apart."""

import math

import numpy as np
import pytest
from contenders import Fixed, pca

from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import FACETS, factors
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.rivals import independent_components
from isthmus.study.design import design
from isthmus.study.material import prepare

FACET = FACETS["factors"]


def mixed(rows=900, seed=0):
    """Three independent uniform factors, mixed into eight columns by a random matrix."""
    random = np.random.default_rng(seed)
    made = random.uniform(-1, 1, (rows, 3))
    x = (made @ random.normal(size=(3, 8))).astype(np.float32)
    splits = [Rows(x[n], None, made[n]) for n in np.split(np.arange(rows), [600, 750])]
    return Splits(*splits, seed=0, latents=3), np.linalg.pinv(x.astype(float)) @ made


SPLITS, BACK = mixed()


def test_a_code_of_the_factors_is_better_than_a_turned_one_in_every_number():
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    good = FACET.measure(Fixed(lambda x: x @ BACK, None), SPLITS)
    worse = FACET.measure(Fixed(lambda x: x @ BACK @ turn, None), SPLITS)
    told = "dci_informativeness"
    assert all(good[name] > worse[name] + 0.1 for name in good if name != told)
    assert min(good[told], worse[told]) > 0.9
    assert min(good.values()) > 0.6
    chosen = [FACET.criterion(Fixed(lambda x, a=a: x @ a, None), SPLITS) for a in (BACK, BACK @ turn)]
    assert chosen[0] < chosen[1] - 0.1


def test_independent_components_part_a_linear_mixture_and_principal_ones_do_not():
    found, linear = FACET.rivals["independent components"](SPLITS), FACET.measure(pca(SPLITS.train.x, 3), SPLITS)
    assert found["mig"] > linear["mig"] + 0.1
    assert found["sap"] > 0.9
    train, test = independent_components(SPLITS)
    assert np.cov(train.T, bias=True) == pytest.approx(np.eye(3), abs=1e-3)
    assert (train.shape, test.shape) == ((600, 3), (150, 3))
    again = independent_components(SPLITS)
    assert np.array_equal(test, again[1])


def test_no_more_components_than_directions():
    narrow = SPLITS._replace(latents=8)
    assert independent_components(narrow)[0].shape == (600, 3)
    flat = Rows(np.ones((20, 4), np.float32), None, None)
    assert not independent_components(Splits(flat, flat, flat, 0, 2))[1].any()


def test_of_many_rows_a_seeded_draw_is_used(monkeypatch):
    monkeypatch.setattr(factors, "MOST", 100)
    seen = []
    FACET.measure(Fixed(lambda x: seen.append(len(x)) or x[:, :3], None), SPLITS)
    assert seen == [100, 100]


def test_without_factors_it_is_not_asked_and_says_so_if_it_is_asked_by_name():
    plain = read("iris")
    assert "factors" not in design(plain).facets
    assert "factors" not in design(plain).skipped
    asked = design(plain, facets="factors,cost")
    assert "name their columns (--factors)" in asked.skipped["factors"]
    with pytest.raises(BadInput, match="needs known factors of every row"):
        FACET.measure(pca(SPLITS.train.x, 2), SPLITS._replace(train=SPLITS.train._replace(factors=None)))


@pytest.mark.slow
def test_a_study_of_shapes_asks_it_with_the_factors_of_each_row():
    data = read("shapes")
    planned = design(data, replicates=2)
    assert "factors" in planned.facets
    assert planned.data["factors"] == ["kind", "across", "down", "size"]
    material = prepare(planned.jobs()[0], data)
    for rows, numbers in zip(material.splits[:3], material.rows, strict=True):
        assert np.array_equal(rows.factors, data.factors[numbers])
    found = FACET.measure(pca(material.splits.train.x, 8), material.splits)
    assert all(0 <= value <= 1 for value in found.values())
    assert found["dci_informativeness"] > 0.5
    assert not any(map(math.isnan, found.values()))
