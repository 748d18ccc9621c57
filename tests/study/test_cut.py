"""A training that was cut never supports a verdict in silence: planted scores, planted curves."""

import numpy as np
import pytest

from isthmus.answers import cut as said
from isthmus.answers.recommendation import recommendation
from isthmus.answers.sentences import sentence
from isthmus.answers.words import Words
from isthmus.api.study import compare
from isthmus.evidence.cut import Cut, cut_short, lost
from isthmus.evidence.purposes import answered
from isthmus.evidence.verdict import FacetVerdict, judge
from isthmus.study.racing import doubts

FALLING = {"step": [0, 50, 100, 150, 200], "valid": [1.0, 0.6, 0.4, 0.32, 0.3]}
SETTLED = {"step": [0, 50, 100, 150, 200], "valid": [1.0, 0.301, 0.3, 0.3, 0.3]}
EARLY = Cut(200, 800, 0.3)
AHEAD = {"plain": [0.70, 0.71, 0.70, 0.71], "topk": [0.60, 0.61, 0.60, 0.61], "pca": [0.80, 0.81, 0.80, 0.81]}


def verdict(scores, cut=None, **options):
    options = {"metric": "probe_accuracy", "facet": "features", "higher": True, "rope": 0.01, **options}
    return judge(scores, rivals={"pca"}, test_fraction=1 / 3, cut=cut, **options)


def test_a_contender_is_cut_short_by_its_mean_over_replicates():
    one = cut_short([("cut", FALLING)] * 5)
    assert (one.steps, one.needed) == (200, 800)
    mixed = cut_short([("cut", FALLING), *[("converged", FALLING)] * 4])
    assert mixed.reach == pytest.approx(one.reach / 5)  # a score is a mean over replicates, and so is what it may gain
    assert cut_short([("cut", FALLING), *[("converged", FALLING)] * 99]) is None
    assert cut_short([("cut", SETTLED)] * 5) is None
    assert cut_short([]) is None


@pytest.mark.parametrize("relation", ["better", "worse", "equal", "undecided"])
def test_only_what_more_steps_may_change_is_held_back(relation):
    """Two means apart by the lead of the relation, a rope of 0.01: who was cut may gain too little, or enough."""
    lead = {"better": 0.1, "worse": -0.1}.get(relation, 0.0)
    little, enough = (0.005, 0.02) if relation == "equal" else (0.08, 0.095)
    assert lost(relation, lead, 0.01, (0.0, 0.0)) == (False, False)
    assert lost(relation, lead, 0.01, (little, little)) == (False, False)
    assert lost(relation, lead, 0.01, (enough, 0.0)) == (relation in {"worse", "equal"}, False)
    assert lost(relation, lead, 0.01, (0.0, enough)) == (False, relation in {"better", "equal"})


@pytest.mark.parametrize(
    ("higher", "mine", "more", "best"),
    [
        (True, 0.8, {}, 1.2),  # of nothing, half as much again
        (True, 0.8, {"bounds": (0.0, 1.0)}, 1.0),
        (True, 0.8, {"floor": 0.6, "bounds": (0.0, 1.0)}, 0.9),
        (True, 0.5, {"floor": 0.6}, 0.5),  # who is below the floor has come no way
        (False, 1.0, {"floor": 3.0}, 0.0),
        (False, 1.0, {"floor": 3.0, "bounds": (0.5, np.inf)}, 0.5),
        (False, np.log(1.0), {"floor": np.log(4.0), "relative": True}, np.log(0.5)),
    ],
)
def test_how_far_who_was_cut_may_come(higher, mine, more, best):
    assert Cut(200, 800, 0.5).at_best(mine, higher=higher, **more) == pytest.approx(best)


def test_a_rival_is_not_better_than_who_was_cut():
    assert verdict(AHEAD).outcome == "rival"
    found = verdict(AHEAD, {"plain": EARLY})
    assert (found.outcome, found.kind, found.halted) == ("undecided", "undecided", True)
    assert (found.cut, found.steps_needed, found.replicates_needed) == ({"plain": 200}, 800, None)
    assert found.pair("pca", "topk").relation == "better"
    assert FacetVerdict.from_json(found.to_json()) == found


@pytest.mark.parametrize("lift", [0.0, -0.004])
def test_a_rival_is_not_enough_where_an_autoencoder_that_was_cut_may_leave_it_behind(lift):
    rng = np.random.default_rng(0)
    noise = [0.8 + 0.001 * rng.normal(size=6) for _ in range(2)]
    scores = {"plain": list(noise[0] + lift), "pca": list(noise[1])}
    assert verdict(scores).outcome == "rival enough"
    assert verdict(scores, {"plain": EARLY}).outcome == "undecided"
    assert verdict(scores, {"plain": EARLY._replace(reach=0.01)}).outcome == "rival enough"  # 0.008: within the rope


def test_a_laggard_holds_the_contest_open_only_if_it_may_catch_up():
    assert verdict(AHEAD, {"topk": EARLY._replace(reach=0.05)}).outcome == "rival"
    held = verdict(AHEAD, {"topk": EARLY._replace(reach=0.4)})
    assert (held.outcome, set(held.cut), held.replicates_needed) == ("undecided", {"topk"}, None)
    down = {name: [1 - v for v in values] for name, values in AHEAD.items()}
    assert verdict(down, {"topk": EARLY._replace(reach=0.05)}, higher=False).outcome == "rival"
    assert verdict(down, {"topk": EARLY._replace(reach=0.6)}, higher=False).outcome == "undecided"


def test_the_floor_and_the_best_value_bound_what_may_be_gained():
    """0.7 of which 0.6 come by themselves: three tenths more of the way are 0.03, not the 0.1 that are missing."""
    assert verdict(AHEAD, {"plain": EARLY}).halted
    assert not verdict(AHEAD, {"plain": EARLY}, floor=[0.6] * 4).halted
    assert not verdict(AHEAD, {"plain": EARLY}, bounds=(0.0, 0.75)).halted
    ratio = {"relative": True, "higher": False, "rope": 0.01}
    bits = {"plain": [1.20, 1.21, 1.20, 1.21], "pca": [1.00, 1.01, 1.00, 1.01]}
    assert verdict(bits, {"plain": EARLY}, **ratio).halted  # at most 2^-0.3 of it: 0.98
    assert not verdict(bits, {"plain": EARLY}, **ratio, floor=[1.4] * 4).halted


def test_a_laggard_whose_gain_changes_nothing_is_not_spoken_of():
    """A contest that is open by itself, and one in the field that was cut but cannot come near."""
    open_ = {"plain": [0.80, 0.83, 0.81], "pca": [0.81, 0.82, 0.80], "kl": [0.5, 0.51, 0.5]}
    found, without = verdict(open_, {"kl": EARLY}), verdict(open_)
    assert (found.halted, found.cut, found.steps_needed) == (False, {}, None)
    assert found == without
    assert said.notice([found], Words("en")) == ""


def test_a_winner_that_was_cut_stays_a_winner():
    scores = {"plain": AHEAD["pca"], "pca": AHEAD["plain"]}
    found = verdict(scores, {"plain": EARLY})
    assert (found.kind, found.outcome, found.cut) == ("better", "autoencoder", {})
    far = {"plain": EARLY, "topk": EARLY._replace(reach=0.4)}
    both = verdict({**scores, "topk": AHEAD["topk"]}, far)
    assert (both.outcome, both.undecided, set(both.cut), both.halted) == ("autoencoder", ("topk",), {"topk"}, False)
    assert said.notice([both], Words("en")) == ""  # what is answered stands
    near = verdict({**scores, "topk": AHEAD["topk"]}, {"plain": EARLY, "topk": EARLY})
    assert (near.kind, near.cut) == ("better", {})


def test_who_was_not_compared_holds_nothing_open():
    assert verdict(AHEAD, {"plain": EARLY}, excluded={"plain": "ill"}).outcome == "rival"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_answers_say_it(lang):
    found = verdict(AHEAD, {"plain": EARLY})
    for text in (sentence(found, lang), said.notice([found], Words(lang))):
        assert "200" in text
        assert "--steps 800" in text
    assert said.notice([verdict(AHEAD)], Words(lang)) == ""


def test_no_purpose_is_answered_by_it():
    """Also where two facets speak for one purpose: neither of them may call the rival enough."""
    parts = {"metric": "probe_accuracy"}
    there = {name: verdict(AHEAD, {"plain": EARLY}, **parts, facet=name) for name in ("sparsity", "features")}
    assert {one.kind for one in answered(there)} == {"undecided"}
    without = {name: verdict(AHEAD, **parts, facet=name) for name in there}
    assert "undecided" not in {one.kind for one in answered(without)}


def test_a_race_adds_no_replicates_where_only_steps_can_tell():
    near = {"plain": [0.80, 0.83, 0.81], "pca": [0.81, 0.82, 0.80]}
    assert doubts([verdict(near)])
    assert not doubts([verdict(near, {"plain": EARLY})])


@pytest.mark.slow
def test_a_study_of_few_steps_says_so_first_and_one_of_many_does_not(tmp_path):
    options = {"families": "plain", "facets": "reconstruction", "replicates": 3, "configs": 1, "jobs": 1}
    options["rivals"] = "pca"  # sparse coding takes the time of ten trainings
    few = compare("digits", steps=50, out=tmp_path / "few", **options)
    found = few.verdict()["reconstruction"]
    assert (found.outcome, found.cut) == ("undecided", {"plain": 50})
    assert recommendation(few)[0].startswith("Trainings of plain were cut after 50 steps")
    page = few.report().read_text(encoding="utf-8")
    assert page.index("Some trainings were cut too early for a claim") < page.index("Reconstruction")
    assert {f.name for r in few.records for f in r.findings} == {"stopped too early"}
    for record in few.records:  # the same scores, had training converged
        record.configs[:] = [config.model_copy(update={"status": "converged"}) for config in record.configs]
    few._judged.clear()
    assert few.verdict()["reconstruction"].outcome == "rival"
    assert recommendation(few)[0].startswith("To compress")
