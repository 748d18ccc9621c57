"""Replicates that are asked for later: the same runs, a stricter claim, and nothing done twice."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.answers import racing as told
from isthmus.answers.brief import brief
from isthmus.cli import answer
from isthmus.errors import BadInput
from isthmus.evidence.purposes import answered
from isthmus.evidence.verdict import judge
from isthmus.study.outline import outline
from isthmus.study.racing import ASKED, LOOKS, Round, counted, extension
from isthmus.study.store import Store

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "calibration"))
import racing

SMALL = {"families": "plain", "facets": "reconstruction,features", "configs": 1, "steps": 40, "jobs": 1}
SMALL |= {"rivals": "pca,raw columns", "capacity": "matched"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """Three replicates, then two more; beside them a study of five."""
    place = tmp_path_factory.mktemp("more")
    first = isthmus.compare("iris", out=place / "s", replicates=3, **SMALL)
    shutil.copytree(place / "s", place / "before")
    later = isthmus.compare(out=place / "s", more=2, jobs=1)
    return first, later, isthmus.compare("iris", out=place / "five", replicates=5, **SMALL)


@pytest.mark.slow
def test_more_replicates_are_those_of_a_larger_study(studies):
    first, later, five = studies
    assert first.replicates == 3
    assert later.replicates == 5
    assert later.rounds == [Round((3, 4), first.open())]
    known = {record.id: record for record in five.records}
    added = [record for record in later.records if record.job.replicate >= 3]
    assert added
    assert all(record.facets == known[record.id].facets for record in added if record.job.kind == "rival")
    for facet, names in first.open().items():
        for name in names:
            np.testing.assert_array_equal(later.scores(facet)[name], five.scores(facet)[name])
    kept = {record.id: record for record in later.records}
    assert all(kept[record.id] == record for record in first.records), "nothing is done again"


@pytest.mark.slow
def test_claims_are_stricter_where_replicates_were_added(studies):
    first, later, five = studies
    for facet in first.design.facets:
        assert first.verdict()[facet].looks == five.verdict()[facet].looks == counted(0)
        assert later.verdict()[facet].looks == counted(facet in first.open())
    assert told.lines(first) == []
    lines = told.lines(later)
    assert len(lines) == 2
    assert lines[-1].endswith("a significance level 8 times as strict.")
    assert lines[-1] in later.recommendation()
    assert len(told.lines(later, "zh")) == 2


@pytest.mark.slow
def test_who_is_stopped_in_the_midst_goes_on_with_the_round(studies, tmp_path):
    first, later, _ = studies
    shutil.copytree(later.folder.parent / "before", tmp_path / "s")
    Store(tmp_path / "s").add_round(later.rounds[0])  # as far as a killed process came
    again = isthmus.compare("iris", out=tmp_path / "s", replicates=3, more=2, **SMALL)
    assert again.rounds == later.rounds
    for facet in first.design.facets:
        for name, values in later.scores(facet).items():
            np.testing.assert_array_equal(again.scores(facet)[name], values)


@pytest.mark.slow
def test_the_plan_shows_what_is_added(studies):
    _, later, _ = studies
    planned = outline(out=later.folder.parent / "before", more=2)
    facts = answer.planned_facts(planned, {"jobs": 1, "workers": 1, "cluster": None})
    assert facts["runs"] == later.total
    assert facts["runs_done"] == later.total - sum(record.job.replicate >= 3 for record in later.records)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"more": 0}, "more must be a whole number of replicates of at least 1; got 0"),
        ({"more": 1, "steps": 30}, "without data, more adds to the study in .* as it is; leave steps out"),
        ({}, "no data: give a file"),
        ({"more": 1, "out": "nowhere"}, "nowhere holds no study to add replicates to"),
    ],
)
def test_what_cannot_be_added_is_refused(studies, options, said):
    with pytest.raises(BadInput, match=said):
        isthmus.compare(**{"out": studies[1].folder, **options})


def test_looks_are_counted(studies, tmp_path):
    shutil.copytree(studies[1].folder.parent / "before", tmp_path / "s")
    store = Store(tmp_path / "s")
    for k in range(LOOKS - 1):
        store.add_round(Round((3 + k,), {"reconstruction": ()}))
    with pytest.raises(BadInput, match=f"has been looked at {LOOKS} times"):
        isthmus.compare(out=tmp_path / "s", more=1, jobs=1)
    assert extension({"features": ("a", "b")}, store.rounds(), 7, 1) is None


def test_the_command_is_named_and_would_tell():
    wobble = 0.0064 * np.array([1, -1, 0.5, -0.5, 0]) / np.std([1, -1, 0.5, -0.5, 0], ddof=1)
    pca = np.array([0.9, 0.91, 0.89, 0.9, 0.92])
    about = {"metric": "auroc", "higher": True, "rope": 0.01, "rivals": {"pca"}, "test_fraction": 1 / 3}
    about |= {"facet": "anomaly"}
    scores = {"plain": pca + 0.02 + wobble, "pca": pca}
    v = judge(scores, looks=counted(0), later=counted(1), **about)
    (line,) = brief(answered({"anomaly": v}), ["plain", "pca"])
    assert v.outcome == "undecided"
    assert line.more == f"--more {v.replicates_needed - 5}"
    assert judge(scores, looks=counted(0), **about).replicates_needed < v.replicates_needed, "more looks ask for more"
    clear = judge({"plain": pca + 0.1, "pca": pca}, **about)
    assert brief(answered({"anomaly": clear}), [])[0].more == ""


def test_the_whole_road_of_asking_for_more_keeps_the_level():
    """Two who are level, rope 0, from 3 replicates: the worst case that was found."""
    assert [counted(k) for k in range(LOOKS)] == list(ASKED) == sorted(ASKED)
    wrong, _ = racing.pairs(ASKED, racing.SPENT["3"], studies=40_000)
    assert 0.042 < wrong[-1] < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40_000)
    assert wrong[0] == pytest.approx(0.05 / ASKED[0], abs=3 * np.sqrt(0.04 / 40_000))
    once, first = (racing.pairs(way, racing.SPENT["3"], 3.0, studies=10_000)[1][0] for way in ((1, *ASKED[1:]), ASKED))
    assert 0 < once - first < 0.08


@pytest.mark.slow
def test_among_equals_no_more_is_claimed_than_one_look_may():
    seen = racing.rates([0.0, 0.0], 0.0, 100, times=4, start=3)
    assert seen["spent"] > 35  # it did go on looking
    assert seen["wrong"] <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)
    assert racing.rates([0.0, 0.0], 1.0, 100, times=1)["wrong"] <= 0.03
