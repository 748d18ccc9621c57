"""Few anomalies are known: who learns from them, which they are, and what is refused."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.known import known, trees_on_known
from isthmus.facets.outliers import raw_columns
from isthmus.metrics.ranking import auroc
from isthmus.study.design import design
from isthmus.study.material import prepare

RANDOM = np.random.default_rng(0)
NORMAL = RANDOM.normal(size=(700, 6)).astype(np.float32)
ODD = RANDOM.normal(size=(120, 6)).astype(np.float32)
ODD[:, 0] += 2.5  # within what is usual, but for whoever knows where to look
SPLITS = Splits(Rows(NORMAL[:400], None), Rows(NORMAL[400:550], None), Rows(NORMAL[550:], None), seed=1, latents=2)
BOTH, LABEL = np.vstack([NORMAL[550:], ODD[40:]]), np.repeat([0, 1], [150, 80])


@pytest.mark.slow
def test_trees_learn_from_few_what_no_distance_shows() -> None:
    blind = auroc(LABEL, raw_columns(SPLITS)(BOTH))
    found = [auroc(LABEL, trees_on_known(SPLITS._replace(odd=ODD[:few]))(BOTH)) for few in (5, 40)]
    assert blind < 0.85
    assert found[0] > blind + 0.05
    assert found[1] > found[0]


@pytest.mark.slow
def test_an_anomaly_of_a_kind_that_nobody_knows_is_odd_still() -> None:
    far = NORMAL[550:600] * np.float32(-6)
    score = trees_on_known(SPLITS._replace(odd=ODD[:20]))
    assert auroc(np.repeat([0, 1], [150, 50]), score(np.vstack([NORMAL[550:], far]))) > 0.9


@pytest.mark.slow
def test_both_parts_are_standardised_over_rows_that_neither_has_seen() -> None:
    found = known(SPLITS._replace(odd=ODD[:20]))
    fresh = np.random.default_rng(3).normal(size=(3000, 6)).astype(np.float32)
    score = found.score(fresh)
    assert abs(score.mean()) < 0.4
    assert found.score(fresh[:3]) == pytest.approx(score[:3])


@pytest.fixture(scope="module")
def data():
    return read(
        np.vstack([RANDOM.normal(size=(120, 4)), 3 + RANDOM.normal(size=(30, 4))]),
        [0] * 120 + [1] * 30,
        anomaly=1,
    )


def materials(data, few):
    made = design(data, families="pca", facets="anomaly", replicates=3, configs=1, few=few)
    jobs = [job for job in made.jobs() if job.name.name == "pca"]
    return made, [prepare(job, data) for job in jobs]


def test_so_many_anomalies_are_known_and_none_of_them_is_tested(data) -> None:
    _, every = materials(data, None)
    made, found = materials(data, 7)
    assert [len(one.odd) for one in every] == [20, 20, 20]
    assert [len(one.odd) for one in found] == [len(one.splits.odd) for one in found] == [7, 7, 7]
    assert len({tuple(one.odd) for one in found}) == 3
    for one in found:
        assert not set(one.odd) & set(np.concatenate(one.rows))
        assert (data.y[one.odd] == data.classes.index("1")).all()
    assert "trees on known" in made.rivals_of("anomaly")
    assert "trees on known" in FACETS["anomaly"].rivals


def test_none_is_known_where_none_is_asked_for(data) -> None:
    made, found = materials(data, 0)
    assert all(one.splits.odd is None for one in found)
    assert "trees on known" not in made.rivals_of("anomaly")
    assert "trees on known" not in materials(data, None)[0].rivals_of("anomaly")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"few": 21}, "of 30 anomalies only 20 are not tested"),
        ({"few": -1}, "0 or more; got -1"),
        ({"few": 5, "facets": "reconstruction"}, "the facet anomaly is not asked"),
        ({"few": 5, "contamination": 0.05}, "contamination rules out"),
    ],
)
def test_numbers_that_cannot_be_are_refused(data, options, said) -> None:
    with pytest.raises(BadInput, match=said):
        design(data, **{"families": "pca", "facets": "anomaly", **options})


def test_classes_that_are_left_out_are_not_known() -> None:
    with pytest.raises(BadInput, match="these data name none"):
        design(read("iris"), families="pca", facets="anomaly", few=3)
