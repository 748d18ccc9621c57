"""A study for one purpose: what it asks, of whom, how wide; and fields that are set for all families."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

import isthmus
from isthmus.answers import racing
from isthmus.cli import main
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import FittedContender, Rows, Splits, held, lengths, reconstruct
from isthmus.families import named
from isthmus.ship import convert
from isthmus.study import purpose
from isthmus.study.design import Design, design
from isthmus.study.material import prepare
from isthmus.study.outline import outline
from isthmus.study.purpose import SUITED, questions
from isthmus.train import task
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

X = np.random.default_rng(0).normal(size=(400, 16)).astype(np.float32)
DATA = read(X)


def test_to_interpret_is_asked_of_wide_dictionaries_at_one_number_of_units():
    made = design(DATA, purpose="interpret")
    assert made.facets == ["reconstruction", "sparsity", "stability"]
    assert list(made.families) == [*SUITED["interpret"], "pca"]
    assert (made.latents, made.hidden, made.k) == (64, [], 4)
    assert {one["recipe"]["head"] for name, every in made.families.items() if name != "pca" for one in every} == {
        "gaussian"
    }
    for name, every in made.families.items():
        for one in every:
            fields = one["recipe"]
            assert fields.get("k", 4) == 4, name
            assert fields.get("target", 4.0) == 4.0
            assert (fields["latents"], fields["hidden"]) == (64, [])
    assert all(job.body["k"] == 4 for job in made.jobs())
    assert "k" not in design(DATA).jobs()[0].body
    assert Design.from_json(made.to_json()) == made


def test_what_is_asked_for_stands():
    made = design(DATA, purpose="interpret", families="topk", facets="sparsity", latents=20, settings={"k": 2})
    assert (list(made.families), made.facets, made.latents, made.k) == (["topk", "pca"], ["sparsity"], 20, 2)
    assert design(DATA, purpose="interpret", hidden=(8,)).hidden == [8]


def test_other_purposes_ask_what_speaks_for_them():
    assert design(DATA, purpose="generate").facets == questions("generate", factors=False)
    assert list(design(DATA, purpose="generate").families) == list(design(DATA).families)
    gaps = read(np.where(X > 1, np.nan, X))
    assert list(design(gaps, purpose="fill_gaps").families) == [*design(gaps).families, "masked"]
    assert questions("interpret", factors=True) == ["reconstruction", "sparsity", "factors", "stability"]
    with pytest.raises(BadInput, match="there is no purpose 'see'; choose one of compress, classify"):
        design(DATA, purpose="see")
    for said, meant in (("anomaly", "find_anomalies"), ("generte", "generate")):
        with pytest.raises(BadInput, match=f"did you mean '{meant}'"):
            design(DATA, purpose=said)


def test_a_field_that_is_set_is_set_for_all_that_have_it_and_not_tuned():
    made = design(DATA, families="topk,sae,jumprelu", settings={"strength": 0.2, "k": 3}, latents=12)
    found = {name: {one["recipe"].get("strength") for one in every} for name, every in made.families.items()}
    assert found == {"topk": {None}, "sae": {0.2}, "jumprelu": {0.2}, "pca": {None}}
    assert {one["recipe"]["k"] for one in made.families["topk"]} == {3}
    assert {one["recipe"]["target"] for one in made.families["jumprelu"]} == {3.0}
    assert len({one["recipe"]["bandwidth"] for one in made.families["jumprelu"]}) > 1
    for settings, words in (
        ({"stregth": 1.0}, "no family of the study has a field 'stregth' \\(did you mean 'strength'"),
        ({"latents": 4}, "latents is an option of its own: use --latents"),
        ({"k": 0}, "k must be a whole number of at least 1; got 0"),
    ):
        with pytest.raises(BadInput, match=words):
            design(DATA, families="topk,sae", settings=settings)


@pytest.mark.slow
def test_the_command_line_says_the_same(tmp_path, capsys):
    np.save(tmp_path / "x.npy", X)
    asked = ["compare", str(tmp_path / "x.npy"), "--for", "interpret", "--set"]
    assert main([*asked, "k=5", "--dry-run", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["latents"], told["k"], told["facets"]) == (64, 5, ["reconstruction", "sparsity", "stability"])
    assert list(told["families"]) == [*SUITED["interpret"], "pca"]
    assert main([*asked, "k"]) == 2
    assert "--set takes FIELD=VALUE; got 'k'" in " ".join(capsys.readouterr().err.split())


def fitted(family="sae", **fields):
    recipe = named(family).set_params(latents=24, **fields)
    return FittedContender(fit(recipe, X[:240], plan=Plan(steps=20), scale="standard"), 0)


def splits(k):
    scaled = (X - X.mean(0)) / X.std(0)
    return Splits(*(Rows(part, None) for part in np.split(scaled, [240, 320])), seed=0, latents=24, k=k)


def test_codes_are_held_to_their_largest_pieces():
    one, x = fitted(), splits(None).test.x
    codes = one.encode_scaled(x)
    norms = one.model.decoder.dictionary.detach().numpy()
    assert lengths(one, 24) == pytest.approx(np.linalg.norm(norms, axis=0), rel=1e-4)
    few = held(one, codes, 3)
    assert np.count_nonzero(few) == 3 * len(x)
    sizes = codes * np.linalg.norm(norms, axis=0)
    assert sizes[few != 0].min() >= sizes[(few == 0) & (codes != 0)].max() - 1e-5
    assert held(one, codes, 24) is codes
    assert np.square(x - reconstruct(one, x, 3)).mean() > np.square(x - reconstruct(one, x)).mean()


@pytest.mark.slow
def test_facets_rebuild_from_as_many_units_as_the_study_says():
    one = fitted()
    facet = FACETS["reconstruction"]
    free, few = (facet.measure(one, splits(k))["explained_variance"] for k in (None, 2))
    assert few < free - 0.05
    assert facet.criterion(one, splits(2)) > facet.criterion(one, splits(None))
    coded = [facet.rivals["sparse coding"](splits(k))["explained_variance"] for k in (None, 1)]
    assert coded[1] < coded[0]


def test_the_frontier_rises_to_what_all_units_explain():
    one = fitted()
    curve = FACETS["sparsity"].measure(one, splits(2))["frontier"]
    assert "frontier" not in FACETS["sparsity"].measure(one, splits(None))
    assert list(curve.x[:-1]) == [1, 2, 4, 8][: len(curve.x) - 1]
    assert all(a <= b + 1e-6 for a, b in zip(curve.y, curve.y[1:], strict=False))
    assert curve.y[-1] == pytest.approx(FACETS["reconstruction"].measure(one, splits(None))["explained_variance"])


def test_material_knows_the_number_of_units():
    made = design(DATA, families="topk", facets="reconstruction", settings={"k": 3}, latents=12)
    assert prepare(made.jobs()[0], DATA).splits.k == 3
    assert prepare(design(DATA, families="topk", latents=12).jobs()[0], DATA).splits.k is None


def test_only_test_rows_know_what_made_them():
    present = np.random.default_rng(2).random((len(X), 5)) < 0.5
    data = read(X, truth={"features": np.eye(5, X.shape[1]), "present": present})
    material = prepare(design(data, families="topk", latents=12).jobs()[0], data)
    train, valid, test = material.splits[:3]
    assert train.truth is valid.truth is None
    assert np.array_equal(test.truth.present, present[material.rows.test])


@pytest.mark.slow
def test_a_study_to_interpret_runs_to_its_end_and_can_be_taken(tmp_path):
    random = np.random.default_rng(1)
    atoms = random.normal(size=(24, 8))
    z = (random.random((600, 24)) < 0.1) * random.random((600, 24))
    np.save(tmp_path / "acts.npy", (z @ atoms).astype(np.float32))
    about = {"families": "topk,batchtopk", "replicates": 3, "configs": 1, "steps": 300, "jobs": 1}
    study = isthmus.compare(tmp_path / "acts.npy", purpose="interpret", truth=atoms, out=tmp_path / "study", **about)
    assert study.complete
    assert 0 < study.verdict()["recovery"].means["random dictionary"] < 1
    assert "interpret" in {one.purpose for one in study.purposes()}
    assert "random dictionary" in study.contenders("stability")
    page = study.report(tmp_path / "page.html").read_text()
    assert "Explained variance from few units" in page
    assert "features found again (MCC)" in page
    assert main(["take", str(tmp_path / "study"), "topk", "--to", "saelens", "--out", str(tmp_path / "sae")]) == 0
    again = convert.read(tmp_path / "sae").model
    rows = np.load(tmp_path / "acts.npy")[:50]
    ours = study.model("topk", "reconstruction", 0)
    assert np.abs(again.decode(again.encode(rows)) - ours.decode(ours.encode(rows))).max() < 1e-4
    told = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert (told["architecture"], told["d_sae"], told["k"]) == ("topk", 32, 4)
    assert main(["take", str(tmp_path / "study"), "pca", "--to", "saelens", "--out", str(tmp_path / "other")]) == 2


def test_a_study_that_would_take_hours_is_made_smaller_and_says_so(monkeypatch):
    assert (design(DATA, purpose="interpret").replicates, design(DATA).configs) == (5, 6)
    monkeypatch.setattr(purpose, "WORK", 7 * 2 * 16 * 64 * (200 + 6 * 64) * 3 * (3 + 2) * 320)
    asked = {"purpose": "interpret"}
    small = design(DATA, **asked)
    assert (small.replicates, small.configs, small.plan["steps"]) == (3, 3, 300)  # whole checks
    planned = outline(DATA, **asked)
    assert planned.design == small
    assert planned.note["given_up"] == {"steps": [2500, 300], "configs": [6, 3], "replicates": [5, 3]}
    alone = design(DATA, families="topk", facets="reconstruction", **asked)
    assert alone.plan["steps"] == 2500  # 7 x 5 / 3 times as many
    more = outline(DATA, replicates=6, configs=2, plan={"batch": 32}, **asked)
    assert (more.design.replicates, more.design.configs) == (6, 2)
    assert more.design.plan["steps"] == 250  # 320 x 15 x 584 / (24 x 392) would be 298
    assert more.note["given_up"] == {"steps": [2500, 250]}
    for said in ({"steps": 2000}, {"plan": {"steps": 2000}}):
        assert outline(DATA, **said, **asked).note["given_up"] == {}
        assert design(DATA, **said, **asked).replicates == 5
    assert design(DATA, racing=True, **asked).plan["steps"] == 2500  # a budget says how long it takes
    assert design(DATA, families="topk", latents=64).replicates == 5  # of another purpose


def test_what_was_made_smaller_is_told(capsys):
    note = {"given_up": {"steps": [2500, 300], "configs": [6, 3]}}
    study = SimpleNamespace(design=SimpleNamespace(racing=False, later=[]), rounds=[], note=note)
    (said,) = racing.lines(study)
    assert said.startswith("So that it takes minutes and not hours, the study was reduced: 300 instead of 2,500 steps")
    assert "3 instead of 6 configurations" in said
    assert racing.lines(study, "zh") != [said]
    study.note = {"given_up": {}}
    assert racing.lines(study) == []


def test_a_large_model_looks_at_some_validation_rows_and_always_the_same(monkeypatch):
    one = named("topk").set_params(latents=24)
    about = {"plan": Plan(steps=20, check=10, batch=30), "valid": X[:200]}
    whole = fit(one, X[200:], **about).outcome.history["valid"]
    monkeypatch.setattr(task, "LARGE", 1)
    monkeypatch.setattr(task, "LEAST_LOOKED", 60)
    fourth = fit(one, X[200:], **about).outcome.history["valid"]
    assert fourth == fit(one, X[200:], **about | {"valid": X[:200:2]}).outcome.history["valid"]  # 100 = 10 * 30 / 3
    assert fourth != whole
