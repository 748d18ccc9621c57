"""Where nobody beats what comes without learning anything, the answer says so, and nobody is enough or at the top."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from isthmus.answers import advice
from isthmus.answers.brief import brief
from isthmus.answers.sentences import sentence
from isthmus.answers.spoilers import useless
from isthmus.answers.words import LANGUAGES, Words
from isthmus.evidence.proscons import proscons
from isthmus.evidence.purposes import answered, standing
from isthmus.evidence.verdict import FacetVerdict, judge
from isthmus.facets import FACETS
from isthmus.facets.compression import INDEPENDENT
from isthmus.facets.features import told
from isthmus.metrics.probes import commonest_class

RIVALS = {"pca", "isolation forest", "raw columns"}
EN = Words("en")


def verdict(level, facet="anomaly", metric="auroc", floor=0.5, higher=True, **means):
    """Five replicates around each mean, all with the same luck."""
    luck = np.array([0.0, 0.01, -0.01, 0.02, -0.02]) * level
    table = {name.replace("_", " "): mean + luck * (1 + i) for i, (name, mean) in enumerate(means.items())}
    return judge(
        table,
        metric=metric,
        higher=higher,
        rope=0.01,
        rivals=RIVALS,
        test_fraction=1 / 3,
        facet=facet,
        floor=np.full(5, floor),
    )


def test_who_is_below_chance_is_not_called_simpler():
    v = verdict(1, plain=0.42, vae=0.47, isolation_forest=0.49, pca=0.45)
    assert (v.floor, v.above, v.useless) == (0.5, (), True)
    (found,) = answered({"anomaly": v})
    assert (found.kind, found.take, found.open) == ("useless", None, ())
    line = advice.for_purpose(found, EN)
    assert line == (
        "To find anomalies: nobody beats chance (AUROC at best 0.49, of isolation forest; chance: 0.5); "
        "use none of them for this."
    )
    assert "nobody beats chance" in sentence(v)
    for text in (line, sentence(v)):
        assert "enough" not in text
        assert "simpler" not in text
    (row,) = brief([found], ["plain", "vae", "pca"])
    assert (row.take, row.command, row.kind) == ("none: nobody beats chance", "", "useless")
    assert not any(found.pros for found in proscons([v]).values())


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_seeming_lead_that_is_not_shown_is_said_to_be_none(lang):
    v = verdict(10, plain=0.55, pca=0.5)
    assert v.useless
    said = sentence(v, lang)
    assert {"en": "nobody is shown to beat chance", "zh": "没有任何方法被证明优于随机猜测"}[lang] in said
    assert "0.55" in said


def test_who_beats_the_floor_takes_part_as_before():
    v = verdict(0.3, plain=0.9, pca=0.8)
    assert v.above == ("plain", "pca")
    assert not v.useless
    assert answered({"anomaly": v})[0].take == "plain"


def test_direction_ratio_and_level_count():
    low = verdict(0.3, facet="compression", metric="bits_per_element", floor=2.0, higher=False, plain=1.5, pca=2.5)
    assert low.above == ("plain",)
    about = {"metric": "bits", "rope": 0.05, "rivals": RIVALS, "test_fraction": 0.3, "relative": True, "higher": False}
    near = judge({"plain": [1.92, 1.93, 1.94]}, floor=[1.95] * 3, **about)
    far = judge({"plain": [1.72, 1.73, 1.74]}, floor=[1.95] * 3, **about)
    assert (near.above, far.above) == ((), ("plain",)), "less than a rope of 5 % is no lead"
    assert far.floor == pytest.approx(1.95)


def test_few_replicates_and_an_unknown_floor_say_nothing():
    about = {"metric": "auroc", "higher": True, "rope": 0.01, "rivals": RIVALS, "test_fraction": 0.3}
    two = judge({"plain": [0.4, 0.41]}, floor=[0.5, 0.5], **about)
    none = judge({"plain": [0.4, 0.41, 0.4]}, **about)
    gone = judge({"plain": [0.4, 0.41, 0.4]}, floor=[None] * 3, **about)
    assert [(v.above, v.useless) for v in (two, none, gone)] == [(None, False)] * 3
    assert (none.floor, gone.floor) == (None, None)


@pytest.mark.slow
def test_many_contenders_at_chance_seldom_seem_to_beat_it():
    """Ten contenders whose AUROC is one half: the share of studies in which anybody is said to beat it."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(200):
        scores = {f"c{i}": 0.5 + 0.05 * rng.normal(size=5) for i in range(10)}
        v = judge(scores, metric="auroc", higher=True, rope=0.0, rivals=set(), test_fraction=0.3, floor=np.full(5, 0.5))
        wrong += bool(v.above)
    assert wrong / 200 <= 0.08


def test_nobody_is_at_the_top_of_a_facet_without_use():
    useless = verdict(1, plain=0.42, pca=0.4)
    good = verdict(0.3, facet="reconstruction", metric="explained_variance", floor=0.0, plain=0.9, pca=0.8)
    other = verdict(0.3, facet="robustness", metric="explained_disturbed", floor=0.0, plain=0.9, pca=0.8)
    said = advice.together([useless, good, other], EN)
    assert said == ["Plain is best, or practically equal to the best, in all of reconstruction and robustness."]
    assert advice.together([useless, good], EN) == []
    assert standing([useless, good]).members == ()


def test_the_floor_survives_the_disk():
    for v in (verdict(1, plain=0.42, pca=0.4), verdict(0.3, plain=0.9, pca=0.8)):
        assert FacetVerdict.from_json(v.to_json()) == v


def test_every_facet_that_names_a_winner_declares_a_floor_or_says_why_not():
    known = {name: facet.floor for name, facet in FACETS.items() if facet.crowns}
    assert [name for name, floor in known.items() if floor is None] == ["factors", "recovery"]
    for name, facet in FACETS.items():
        if isinstance(facet.floor, str):
            assert facet.floor in {*facet.metrics, *facet.rivals}, name
        assert facet.simplest in {"pca", *facet.rivals}, name
        for lang in LANGUAGES:
            assert facet.floor is None or Words(lang)("floor." + name)


def test_the_floor_of_features_is_to_name_the_commonest_class():
    train, test = np.array([0, 0, 1, 2]), np.array([0, 1, 0, 0, 2])
    assert commonest_class(train, test) == pytest.approx(1 / 3)
    assert math.isnan(commonest_class(train, test[:0]))
    rng = np.random.default_rng(0)
    y = np.array([0] * 60 + [1] * 30)
    found = told(rng.normal(size=(90, 3)), y, rng.normal(size=(90, 3)), y, seed=1)
    assert found["commonest_class"] == pytest.approx(1 / 2)


@pytest.mark.slow
def test_three_per_cent_of_positives_and_noise_are_no_success():
    """Everybody is right in 97 of 100 rows, as who always names the commonest class is; balanced accuracy says so."""
    rng = np.random.default_rng(0)
    y = np.arange(200) < 6
    sets = [
        {w: told(rng.normal(size=(200, w)), y, rng.normal(size=(200, w)), y, seed=r) for w in (2, 8)} for r in range(4)
    ]
    assert min(one[w]["probe_accuracy"] for one in sets for w in (2, 8)) > 0.95
    means = {f"width {w}": [one[w]["probe_balanced"] for one in sets] for w in (2, 8)}
    floor = [one[2]["commonest_class"] for one in sets]
    assert max(map(max, means.values())) < 0.75
    assert set(floor) == {0.5}
    about = {"higher": True, "rope": 0.01, "rivals": set(), "test_fraction": 1 / 3, "floor": floor}
    v = judge(means, facet="features", metric="probe_balanced", **about)
    assert v.useless
    for lang in LANGUAGES:
        (line,) = useless([v], Words(lang))
        assert Words(lang)("floor.features") in line


def test_the_floor_of_compression_is_the_entropy_of_rounded_gaussian_columns():
    """By integration: the step whose squared error is a tenth of the variance, and the entropy at that step."""

    def rounded(step):
        whole = np.arange(-40, 41)
        share = np.diff(norm.cdf((np.append(whole, 41) - 0.5) * step))
        x = np.linspace(-8, 8, 400_001)
        error = np.trapezoid((x - step * np.rint(x / step)) ** 2 * norm.pdf(x), x)
        return error, -(share[share > 0] * np.log2(share[share > 0])).sum()

    step = brentq(lambda one: rounded(one)[0] - 0.1, 0.5, 2.0)
    assert rounded(step)[1] == pytest.approx(INDEPENDENT, abs=5e-4)
