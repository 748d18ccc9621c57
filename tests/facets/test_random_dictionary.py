"""A dictionary that learnt nothing: what it is, where it stands, and who is not compared for not beating it."""

import numpy as np
import pytest
from contenders import split

import isthmus
from isthmus.answers.advice import for_purpose
from isthmus.answers.brief import brief
from isthmus.answers.sentences import sentence
from isthmus.answers.spoilers import useless
from isthmus.answers.words import Words
from isthmus.evidence.purposes import answered
from isthmus.evidence.verdict import UNBEATEN, judge
from isthmus.facets import FACETS
from isthmus.facets.random_dictionary import NAME, RandomDictionary, pursued, turned
from isthmus.study.design import design


def noise(rows=1200, columns=32):
    return np.random.default_rng(3).normal(size=(rows, columns)).astype(np.float32)


def planted(rows=1200, columns=32, atoms=48):
    """Two of the atoms in each row."""
    random = np.random.default_rng(4)
    directions = random.normal(size=(atoms, columns))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    z = np.zeros((rows, atoms))
    for row in z:
        row[random.choice(atoms, 2, replace=False)] = 1 + random.random(2)
    return (z @ directions + 0.02 * random.normal(size=(rows, columns))).astype(np.float32)


def test_one_unit_at_a_time_is_matching_pursuit():
    directions = turned(12, 6, seed=1).astype(np.float64)
    x = np.random.default_rng(0).normal(size=(20, 6))
    codes = pursued(x, directions, 4)
    for row, code in zip(x, codes, strict=True):
        left, own = row.copy(), np.zeros(12)
        for _ in range(4):
            best = int(np.argmax(directions @ left))
            value = max(0.0, float(directions[best] @ left))
            own[best] += value
            left -= value * directions[best]
        assert code == pytest.approx(own, abs=1e-6)


def test_units_of_a_row_are_those_of_the_study():
    splits = split(noise(), None, latents=64)
    for k, active in ((None, 4), (6, 6)):
        own = splits._replace(k=k)
        found = FACETS["sparsity"].rivals[NAME](own)
        assert found["l0"] == pytest.approx(active, rel=0.15)
        assert own.active == active


def test_other_seeds_are_other_directions():
    splits = split(noise(300), None, latents=16)
    one, again = RandomDictionary.of(splits), RandomDictionary.of(splits)
    assert np.array_equal(one.encode_scaled(splits.test.x), again.encode_scaled(splits.test.x))
    (other,) = one.again(splits, 5)
    assert not np.allclose(one.directions, other.directions)


def test_the_decoder_is_the_better_of_those_in_closed_form():
    splits = split(planted(), None, latents=64)
    one = RandomDictionary.of(splits)
    x = splits.valid.x
    bare = RandomDictionary(one.directions, one.directions, one.mean, one.k, one.least, one.shape)
    assert one.score_scaled(x).mean() < bare.score_scaled(x).mean()


def test_it_stands_in_tables_of_sparse_dictionaries_only():
    from isthmus.data.read import read

    data = read(planted(200))
    for families, there in (("topk,sae", True), ("topk,plain", True), ("topk,plain,vae", False), ("pca", False)):
        made = design(data, families=families)
        assert [NAME in made.rivals_of(f) for f in ("reconstruction", "sparsity", "stability")] == [there] * 3
    for facet in ("features", "factors"):
        assert NAME in FACETS[facet].rivals_on("dictionaries")
        assert NAME not in FACETS[facet].rivals_on()


@pytest.mark.slow
@pytest.mark.parametrize("make", [noise, planted])
def test_who_does_not_beat_it_gets_no_verdict(make, tmp_path):
    """White noise has no atoms: dictionaries that were trained on it rebuild new rows no better than random ones."""
    about = {"families": "topk,batchtopk", "facets": "reconstruction", "rivals": f"pca,{NAME}", "latents": 64}
    study = isthmus.compare(make(), configs=1, replicates=3, steps=250, jobs=1, out=tmp_path / "study", **about)
    v = study.verdict()["reconstruction"]
    beaten = [name for name, reason in v.excluded.items() if reason == UNBEATEN]
    said = {lang: sentence(v, lang) for lang in ("en", "zh")}
    if make is noise:
        assert sorted(beaten) == ["batchtopk", "topk"]
        assert NAME in v.means
        assert v.useless
        assert "no sparse dictionary is shown to beat a random one; " in said["en"]
        assert "not shown to beat a random dictionary, and so given no verdict: " in said["en"]
        assert "没有任何稀疏字典被证明优于随机字典" in said["zh"]
        ending = "no sparse dictionary is shown to beat a random one; use none of them for this."
        assert any(line.endswith(ending) for line in study.recommendation())
    else:
        assert beaten == []
        assert v.leader in {"topk", "batchtopk"}
        assert "random dictionary, and so" not in said["en"]
    page = study.report(tmp_path / "page.html").read_text()
    assert ("not shown to beat a random dictionary" in page) == (make is noise)


def judged(dictionaries, **others):
    """A verdict in which none of the dictionaries is shown to beat a random one."""
    luck = np.array([0.0, 0.01, -0.01])
    table = dict.fromkeys(dictionaries, 0.5 + luck) | {NAME: 0.6 - luck} | {n: x + luck for n, x in others.items()}
    about = {"metric": "explained_variance", "higher": True, "rope": 0.01, "rivals": {NAME, "pca"}, "floor": [0.0] * 3}
    excluded = dict.fromkeys(dictionaries, UNBEATEN)
    return judge(table, facet="reconstruction", test_fraction=1 / 3, excluded=excluded, **about)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_where_no_dictionary_is_left_nobody_is_recommended(lang):
    v = judged(["topk", "sae"])
    assert v.useless
    assert v.unbeaten
    (one,) = answered({"reconstruction": v})
    assert (one.kind, one.take) == ("useless", None)
    say = Words(lang)
    assert say("verdict.random_unbeaten") in for_purpose(one, say)
    assert say("verdict.random_one") in brief([one], ["topk", "sae"], lang)[0].take
    assert say("verdict.random_one") in useless([v], say)[0]


def test_who_is_no_dictionary_stands_all_the_same():
    v = judged(["topk"], plain=0.8)
    assert not v.useless
    assert answered({"reconstruction": v})[0].take == "plain"
    assert "no verdict: TopK" in sentence(v)


def test_rows_from_which_it_is_fitted_are_bounded(monkeypatch):
    from isthmus.facets import random_dictionary

    splits = split(noise(), None, latents=64)
    whole = RandomDictionary.of(splits)
    monkeypatch.setattr(random_dictionary, "WORK", 0)
    monkeypatch.setattr(random_dictionary, "LEAST_ROWS", 100)
    few = RandomDictionary.of(splits)
    assert np.array_equal(few.directions, whole.directions)
    assert few.mean == pytest.approx(splits.train.x[:: -(-len(splits.train.x) // 100)].mean(axis=0))
    assert few.score_scaled(splits.test.x).mean() > whole.score_scaled(splits.test.x).mean()
