"""A race spends time where the verdict is open, and claims no more than it may."""

import json
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from isthmus.answers import racing as told
from isthmus.answers.recommendation import recommendation
from isthmus.api.study import Study
from isthmus.errors import BadInput
from isthmus.evidence.verdict import judge
from isthmus.study import outline as outlines
from isthmus.study import run as runs
from isthmus.study.estimate import Estimate, Reading
from isthmus.study.material import prepare
from isthmus.study.outline import outline
from isthmus.study.perform import race
from isthmus.study.racing import LOOKS, STRICT, Round, doubts, further, survivors
from isthmus.study.racing import raced as level
from isthmus.study.run import run
from isthmus.study.store import Store
from isthmus.train.plan import Plan

sys.path.append(str(Path(__file__).parents[2] / "benchmarks" / "calibration"))
import racing

SMALL = {"families": "plain,vae", "facets": "reconstruction,features", "replicates": 3, "configs": 5, "jobs": 1}


def verdict(scores, rope=0.01, rivals=(), looks=1):
    options = {"metric": "auroc", "higher": True, "test_fraction": 0.3, "facet": "anomaly"}
    return judge(scores, rope=rope, rivals=set(rivals), looks=looks, **options)


def test_who_is_in_doubt():
    clear = [0.90, 0.91, 0.90, 0.91, 0.90]
    near = [0.90, 0.94, 0.88, 0.90, 0.92]
    low = [0.10, 0.11, 0.10, 0.11, 0.10]
    assert doubts([verdict({"a": clear, "b": low})]) == {}
    assert doubts([verdict({"a": near, "b": clear, "c": low})]) == {"anomaly": ("a", "b")}
    assert doubts([verdict({"a": near, "b": low, "pca": clear}, rivals={"pca"})]) == {"anomaly": ("a", "pca")}
    assert doubts([verdict({"a": clear, "b": clear})]) == {}  # practically equal is an answer
    calm = verdict({"a": clear, "b": clear, "c": [0.89, 0.93, 0.87, 0.89, 0.91], "d": low})
    assert (calm.equal, calm.undecided) == (("b",), ("c",))
    assert doubts([calm]) == {"anomaly": ("a", "b", "c")}  # where something is open, only who is worse leaves


def test_rounds_grow_until_the_looks_or_the_time_are_spent():
    open_ = {"anomaly": ("a", "b")}
    rounds, done = [], 5
    while (one := further(open_, rounds, done)) is not None:
        rounds.append(one)
        done += len(one.replicates)
    assert [one.replicates for one in rounds][:2] == [(5, 6, 7), (8, 9, 10, 11)]
    assert len(rounds) == LOOKS - 1
    assert further({}, [], 5) is None
    assert further(open_, [], 5, affordable=1.9).replicates == (5,)
    assert further(open_, [], 5, affordable=0.9) is None


def test_more_looks_ask_for_more():
    rng = np.random.default_rng(0)
    a, b = 0.9 + 0.01 * rng.normal(size=(2, 6))
    table = {"a": a + 0.025, "b": b}
    once, often = verdict(table, 0.0), verdict(table, 0.0, looks=LOOKS)
    assert once.pairs[0].p_adjusted > 0.05 / LOOKS
    assert (once.kind, often.kind) == ("better", "undecided")
    assert often.looks == LOOKS
    equal = {"a": a, "b": a + 0.003 * np.array([1, -1, 2, -2, 1.5, -1.5])}
    assert (verdict(equal).kind, verdict(equal, looks=LOOKS).kind) == ("equal", "undecided")


def test_a_race_spends_less_of_its_level_early_and_keeps_it_in_all():
    """Two who are level, rope 0: the harshest null shape is the race from 3 replicates, with most looks at few."""
    assert list(STRICT) == sorted(STRICT, reverse=True)
    assert (level(0), level(LOOKS + 3)) == (STRICT[0], STRICT[-1])
    wrong, _ = racing.pairs(STRICT, racing.SPENT["race from 3"], studies=20_000)
    assert 0.044 < wrong[-1] < 0.0545  # 0.049, and three standard errors


@pytest.mark.slow
@pytest.mark.parametrize("step", [1.0, 2.0])
def test_a_race_over_coarse_scores_keeps_its_level(step):
    """Scores in steps as large as the noise, or larger: three that agree by chance are no certainty."""
    assert racing.rates([0.0, 0.0], 0.0, 150, start=3, step=step)["wrong"] <= 0.06


def test_each_facet_keeps_its_best_third_of_the_configurations():
    criteria = [{"a": float(i), "b": float(-i) if i != 5 else None} for i in range(6)]
    assert survivors(criteria) == [0, 1, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize(("contenders", "most"), [(2, 0.09), (5, 0.09)])
def test_a_race_among_equals_claims_no_more_than_one_look_may(contenders, most):
    seen = racing.rates([0.0] * contenders, 0.0, 150)
    assert seen["wrong"] <= most  # 5 % and three standard errors are 10 %
    assert seen["spent"] > 15 * contenders  # it did go on looking


@pytest.mark.slow
def test_a_race_finds_what_few_replicates_cannot_and_spends_less_than_many():
    truth = [3.3] + [0.0] * 9
    once, race = racing.rates(truth, 1.0, 40, fixed=5), racing.rates(truth, 1.0, 40)
    assert once["winner"] < 0.75
    assert race["winner"] > 0.85
    assert race["wrong"] <= 0.025
    assert race["spent"] < 120


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """A study with a budget that pays for more replicates, until six are done; only features are open."""
    folder = tmp_path_factory.mktemp("race") / "study"
    patch = pytest.MonkeyPatch()
    free = Estimate(defaultdict(lambda: Reading(0.0)), {}, {}, {}, 0.0, 1)
    patch.setattr(outlines, "estimate", lambda *a, **k: free)
    asked = []

    def open_(self):
        asked.append(self.replicates)
        return {"features": ("plain", "raw columns")} if self.replicates < 6 else {}

    patch.setattr(runs.Results, "open", open_)
    planned = outline("iris", budget="10m", out=folder, plan=Plan(steps=200, check=10), **SMALL)
    study = run(planned, workers=1)
    patch.undo()
    return planned, study, asked


@pytest.mark.slow
def test_a_budget_never_buys_more_steps_than_the_plan_has(raced):
    assert raced[0].design.plan["steps"] == 200
    assert raced[0].design.racing


@pytest.mark.slow
def test_only_those_in_doubt_get_more_replicates_and_only_where_they_are(raced):
    _, study, asked = raced
    assert asked == [3, 5, 8]  # half as many more each time
    assert study.complete
    added = [record.job for record in study.records if record.job.replicate >= 3]
    assert {(job.kind, job.name) for job in added} == {("family", "plain"), ("rival", "raw columns")}
    features, rows = study.scores("features"), study.scores("reconstruction")
    assert np.isfinite(features["plain"]).all()
    assert np.isfinite(features["raw columns"]).all()
    assert np.isfinite(features["vae"]).sum() == 3
    assert np.isfinite(rows["plain"]).sum() == 3  # not asked there, though its runs measured it
    assert study.verdict()["features"].missing == {}
    assert study.verdict()["features"].looks == STRICT[len(asked) - 1]
    assert study.replicates == len(features["plain"])


@pytest.mark.slow
def test_who_comes_back_catches_up(raced):
    planned, study, _ = raced
    rounds = [Round((3, 4), {"features": ("plain", "raw columns")}), Round((5,), {"features": ("plain", "vae")})]
    jobs = planned.design.jobs(rounds)
    assert len({job.id for job in jobs}) == len(jobs)
    added = [job.name for job in jobs if job.name.facet in (None, "features")]
    done = {
        who: sorted(name.replicate for name in added if name.name == who) for who in ("plain", "vae", "raw columns")
    }
    assert done == {"plain": [0, 1, 2, 3, 4, 5], "vae": [0, 1, 2, 3, 4, 5], "raw columns": [0, 1, 2, 3, 4]}
    study.rounds, before = rounds, study.rounds
    asked = {who: len(numbers) for who, numbers in study._asked("features").items()}
    study.rounds = before
    rivals = dict.fromkeys(planned.design.rivals_of("features"), 3)
    assert asked == {"plain": 6, "vae": 6, "pca": 3, **rivals, "raw columns": 5}


@pytest.mark.slow
def test_a_race_says_what_it_did(raced, monkeypatch):
    _, study, _ = raced
    lines = told.lines(study)
    assert lines[0] == "Replicates added, round 1: up to replicate 5, for contenders still undecided in features."
    assert lines[-1] in recommendation(study)
    assert len(told.lines(study, "zh")) == len(lines)
    page = Study.of(study).report().read_text(encoding="utf-8")
    assert page.count(lines[-1]) == 1
    assert f"{study.replicates} replicates, 5 hyper-parameter settings tried for each family." in page
    study.rounds, before = [], study.rounds
    monkeypatch.setattr(runs.Results, "open", lambda self: {"features": ("plain", "vae")})
    none = told.lines(study)
    assert none[0].startswith("No replicates were added: no time was left.")
    monkeypatch.setattr(runs.Results, "open", lambda self: {})
    assert told.lines(study)[0].startswith("No replicates were added: nothing was undecided.")
    assert not any("may be added" in line for line in none)
    assert told.lines(study, "zh")
    study.rounds = before


@pytest.mark.slow
def test_a_stopped_race_goes_on_with_the_round_it_was_in(raced, tmp_path, monkeypatch):
    planned, study, _ = raced
    monkeypatch.setattr(runs.Results, "open", lambda self: {})
    store = Store(tmp_path / "study")
    store.create(planned.design.to_json(), planned.note)
    store.add_round(study.rounds[0])
    again = run(planned._replace(folder=store.folder), workers=1)
    assert again.rounds == study.rounds[:1]
    mine, theirs = (s.scores("features")["plain"][:5] for s in (again, study))
    np.testing.assert_array_equal(mine, theirs)
    (store.folder / "race.json").write_text("{")
    with pytest.raises(BadInput, match=r"race\.json is damaged"):
        store.rounds()


def test_rounds_survive_the_disk(tmp_path):
    store = Store(tmp_path)
    one, two = (
        Round((3, 4), {"features": ("plain", "raw columns")}),
        Round((5,), {"features": ("plain", "raw columns")}),
    )
    store.add_round(one)
    store.add_round(two)
    assert store.rounds() == [one, two]
    assert json.loads((tmp_path / "race.json").read_text())["format"] == 1


@pytest.mark.slow
def test_a_budget_that_is_spent_adds_nothing(raced):
    _, study, _ = raced
    assert runs._next(study, 1e-6) is None


@pytest.mark.slow
def test_configurations_that_lag_after_the_first_lap_stop_there_and_are_never_chosen(raced):
    _, study, _ = raced
    lap = 200 // 4 // 10 * 10
    stopped = [(record, i) for record in study.records for i, c in enumerate(record.configs) if c.status == "stopped"]
    assert stopped
    for record, i in stopped:
        assert record.configs[i].steps <= lap
        assert all(choice.config != i for choice in record.facets.values())


@pytest.mark.slow
def test_a_model_that_is_done_after_the_first_lap_would_train_again_with_all_steps(raced):
    planned, _, _ = raced
    job = next(job for job in planned.design.jobs() if job.name.name == "plain")
    early = replace(job, body={**job.body, "plan": job.body["plan"] | {"tolerance": 0.9, "patience": 1, "drops": 0}})
    fitted, stopped, _ = race(early, planned.data, prepare(early, planned.data))
    assert not stopped
    assert {(one.outcome.status, one.plan.steps) for one in fitted} == {("converged", 200)}


@pytest.mark.slow
def test_a_survivor_is_the_model_that_it_is_without_a_race(raced, tmp_path):
    planned, study, _ = raced
    calm = replace(planned.design, racing=False)
    without = run(planned._replace(design=calm, folder=tmp_path / "calm"), workers=1)
    full = {(r.job.name, r.job.replicate): r.configs for r in without.records if r.configs}
    for record in study.records:
        for raced_, alone in zip(record.configs, full.get((record.job.name, record.job.replicate), ()), strict=False):
            if raced_.status != "stopped":
                assert raced_.valid == alone.valid
                assert raced_.steps == alone.steps
