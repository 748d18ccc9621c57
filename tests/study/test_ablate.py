"""Parts of a recipe, taken away in turn: those that matter are found, those that do nothing are not made much of."""

import json

import numpy as np
import pytest
from sklearn.base import clone

import isthmus
from isthmus.answers.ablation import lines, spelled
from isthmus.answers.words import Words
from isthmus.api.ablation import Ablation, ablate
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.evidence.stats import holm
from isthmus.families import FAMILIES, named
from isthmus.families import recipe as from_json
from isthmus.report.ablation import page, render, table
from isthmus.study.ablation import FULL, Part, at_capacity, plan_ablation, removable, variants
from isthmus.train.plan import Plan

ANGLE = np.random.default_rng(0).uniform(0, np.pi, 240)
ARC = np.c_[np.cos(ANGLE), np.sin(ANGLE)] @ np.random.default_rng(1).normal(size=(2, 6))
"""Half a circle in a plane: one code element rebuilds it, but only through hidden layers."""
PLANTED = named("l1").set_params(
    latents=1,
    hidden=(24,),
    activation="tanh",
    corruption="mask",
    corruption_level=0.0,
    strength=0.05,
    head="gaussian",
)
QUICK = {"facets": "reconstruction,cost", "replicates": 4, "jobs": 1, "plan": Plan(steps=600, learning_rate=0.01)}


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    return ablate(PLANTED, ARC, out=tmp_path_factory.mktemp("parts") / "out", command="isthmus ablate <b>", **QUICK)


# -------------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("name", FAMILIES)
def test_a_part_at_its_off_is_no_part_and_what_is_refused_is_known(name):
    recipe, refused = named(name), set()
    for field, off in recipe.removable().items():
        other = recipe.without(field, off)
        assert field not in other.removable()
        try:
            assert from_json(other.to_json()).to_json() == other.to_json()  # of the right type
            other.build((12,), "gaussian")
        except BadInput:
            refused.add(field)
    assert refused == ({"strength"} if name == "infovae" else set())


@pytest.mark.slow
def test_pretraining_is_a_part_of_the_plan(tmp_path):
    recipe, plan = (
        named("plain").set_params(latents=2, hidden=(8,), head="gaussian"),
        Plan(steps=60, check=10, stages="layerwise"),
    )
    found = ablate(recipe, ARC, facets="reconstruction", replicates=2, jobs=1, plan=plan, out=tmp_path / "out")
    assert [part.field for part in found.parts] == ["stages", "hidden"]
    staged = {
        record.job.name: any(key.startswith("layer") or key == "stage" for key in record.configs[0].history)
        for record in found.study.records
        if record.configs
    }
    assert staged == {"full": True, "without stages": False, "without hidden": False, "pca": False}
    scores = found.study.scores("reconstruction")
    assert (scores["full"] != scores["without stages"]).all()
    assert "stages" not in [part.field for part in removable(recipe, read("iris"))[0]]


def test_every_penalty_weight_is_a_part():
    expected = {
        "l1": {"strength"},
        "kl": {"strength"},
        "contractive_h": {"strength", "curvature"},
        "denoising": {"corruption"},
        "vae": {"beta"},
        "betatc": {"alpha", "beta", "gamma"},
        "rae": {"strength", "smoothness"},
        "topk": {"k"},
        "wta": {"rate"},
        "rvq": {"commitment", "least", "depth"},
        "pca": set(),
    }
    assert {name: set(named(name).removable()) - {"head"} for name in expected} == expected
    wide = named("plain").set_params(hidden=(8,), norm="layer", residual=True, tied=True, code_activation="relu")
    assert set(wide.removable()) == {"hidden", "norm", "residual", "tied", "code_activation", "head"}


def test_the_head_is_a_part_where_the_data_make_it_one():
    digits, iris = read("digits"), read("iris")
    assert Part("head", "auto", "gaussian") in removable(named("plain"), digits)[0]
    assert removable(named("plain"), iris) == ([], {})
    huber = named("plain").set_params(head="huber")
    assert removable(huber, iris)[0] == [Part("head", "huber", "gaussian")]


def test_parts_that_cannot_go_alone_are_told(tmp_path):
    found, refused = removable(named("infovae"), read("iris"))
    assert [part.field for part in found] == ["alpha"]
    assert "at least 1 - alpha" in refused["strength"]


def test_variants_share_the_draws_of_the_full_recipe():
    recipe = named("l1").set_params(latents=2, corruption="mask", corruption_level=0.2)
    planned = plan_ablation(recipe, read("iris"), configs=4, facets="reconstruction").design
    assert plan_ablation(recipe, read("iris"), steps=70, facets="reconstruction").design.plan["steps"] == 70
    assert list(planned.families) == [FULL, "without corruption", "without strength", "pca"]
    full, without = (planned.families[name] for name in (FULL, "without strength"))
    assert len(full) == len(without) == 4
    assert len({one["recipe"]["strength"] for one in full}) == 4
    for one, other in zip(full, without, strict=True):
        assert other["learning_rate"] == one["learning_rate"]
        assert other["recipe"] == one["recipe"] | {"strength": 0.0}
    assert full[0]["recipe"] == recipe.to_json()
    assert variants(full, [])[FULL] == full


def test_a_family_gets_the_capacity_of_a_comparison_and_a_recipe_keeps_its_own():
    digits = read("digits")
    recipe = at_capacity("topk", digits)
    assert (recipe.latents, recipe.hidden) == (16, ())
    own = plan_ablation(named("topk").set_params(latents=5, k=4, hidden=(7, 6)), digits, facets="reconstruction")
    assert own.design.families[FULL][0]["recipe"]["k"] == 4
    assert own.design.families["without hidden"][0]["recipe"]["hidden"] == []
    assert own.design.families["without k"][0]["recipe"]["k"] == 5
    assert (own.design.latents, own.design.hidden) == (5, [7, 6])


# ------------------------------------------------------------------------------------------------------------- answers


@pytest.mark.slow
def test_planted_parts_are_told_apart(planted):
    found = {one.part.field: one for one in planted.effects()["reconstruction"]}
    assert (found["hidden"].claim, found["corruption"].claim) == ("better", "equal")
    assert found["hidden"].full > found["hidden"].without + 0.05
    assert found["corruption"].pair.mean == 0.0
    assert found["strength"].claim in {"equal", "undecided"}


@pytest.mark.slow
def test_who_is_ill_gains_nothing_and_what_makes_ill_is_harmful(tmp_path):
    ill = ablate(clone(PLANTED).set_params(strength=3.0), ARC, out=tmp_path / "out", **QUICK)
    found = {one.part.field: one for one in ill.effects()["reconstruction"]}
    assert found["strength"].claim == "worse"
    assert found["strength"].ill.startswith("full: constant code")
    assert found["corruption"].claim == "undecided"  # two ill recipes are equal, which tells nothing
    assert found["corruption"].ill.count("constant code") == 2
    assert "constant code" in render(ill)
    assert "harmful: strength (−" in ill.answer()[0]


@pytest.mark.slow
def test_numbers_are_those_of_the_study(planted):
    found = planted.effects()["reconstruction"]
    table_ = planted.study.scores("reconstruction")
    for one in found:
        full, without = table_[FULL], table_[one.part.variant]
        assert one.full == pytest.approx(full.mean())
        assert one.without == pytest.approx(without.mean())
        assert one.pair.mean == pytest.approx((full - without).mean())
        assert one.pair.low <= one.pair.mean <= one.pair.high
    adjusted = [one.pair.p_adjusted for one in found]
    assert adjusted == holm([one.pair.p for one in found])  # over the parts, not over all pairs of the table
    assert {one.claim for one in planted.effects()["cost"]} == {None}
    assert json.loads(json.dumps(found[0].to_json()))["part"]["field"] == found[0].part.field


@pytest.mark.slow
def test_the_answer_has_a_line_for_each_facet_that_decides(planted):
    text = planted.answer()[0]
    assert len(planted.answer()) == 1
    assert text.startswith("Reconstruction: ")
    assert "no difference: corruption" in text
    assert "worth it: hidden (+" in text
    assert "没有差别：corruption" in planted.answer("zh")[0]
    assert lines(planted, titles={"reconstruction": "R!"})[0].startswith("R!: ")
    assert repr(planted) == text
    assert spelled(Part("tied", True, False)) == "tied true → false"


@pytest.mark.slow
def test_a_folder_opens_again_and_the_same_call_does_nothing(planted):
    before = {p: p.read_bytes() for p in planted.study.folder.rglob("record.json")}
    again = ablate(PLANTED, ARC, out=planted.study.folder, **QUICK)
    assert {p: p.read_bytes() for p in planted.study.folder.rglob("record.json")} == before
    assert [part.field for part in isthmus.Ablation(planted.study.folder).parts] == [p.field for p in again.parts]


@pytest.mark.slow
def test_bad_input_is_one_line(tmp_path):
    for recipe, expected in (
        ("plain", "no part that can be taken away"),
        ("plian", "did you mean plain"),
        ({"family": "plain", "hiden": [3]}, "did you mean hidden"),
        (named("cvae"), "it needs a condition"),
    ):
        with pytest.raises(BadInput, match=expected):
            ablate(recipe, "iris", out=tmp_path / "out", **QUICK)
    isthmus.compare("iris", families="pca", facets="reconstruction", replicates=2, jobs=1, out=tmp_path / "study")
    with pytest.raises(BadInput, match="not an ablation"):
        Ablation(tmp_path / "study")
    assert not (tmp_path / "out").exists()


# -------------------------------------------------------------------------------------------------------------- report


@pytest.mark.slow
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_holds_the_answer_the_table_and_the_evidence(planted, lang):
    t = Words(lang)
    text = render(planted, lang)
    for line in planted.answer(lang):
        assert line in text
    assert t("ablation.title", family=t.title("l1"), data="X") in text
    assert "isthmus ablate &lt;b&gt;" in text
    assert "<b>" not in text
    grid = table(planted, t)
    assert [row.name for row in grid.rows] == [spelled(part) for part in planted.parts]
    signs = {row.name.split()[0]: row.cells[0].sign for row in grid.rows}
    assert (signs["corruption"], signs["hidden"]) == ("≈", "★")
    assert all(row.cells[1].sign == "" for row in grid.rows)  # cost crowns nobody
    assert len(page(planted, t)["evidence"]) == 2


@pytest.mark.slow
def test_half_an_ablation_says_so(planted, monkeypatch):
    half = Ablation(planted.study.folder)
    half.study.records = half.study.records[:2]
    text = render(half)
    assert Words("en")("page.half_title") in text
    assert Words("en")("page.half_title") not in render(planted)
