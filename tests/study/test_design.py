"""A design is plain data: the same question gives the same jobs, and every family the same budget."""

import dataclasses
import json

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.evidence.stats import interval, p_value
from isthmus.facets import FACETS
from isthmus.families import DEFAULT, FAMILIES, named, recipe
from isthmus.families.plain import Plain
from isthmus.metrics import METRICS
from isthmus.study.capacity import capacity
from isthmus.study.design import LEARNING_RATES, Design, configurations, design
from isthmus.study.material import rows
from isthmus.train.plan import Plan

ROWS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)


@pytest.fixture(scope="module")
def iris():
    return read("iris")


def test_the_same_question_gives_the_same_jobs_and_json_keeps_them(iris):
    first, second = design(iris), design(read("iris"))
    assert [job.id for job in first.jobs()] == [job.id for job in second.jobs()]
    restored = Design.from_json(json.loads(json.dumps(first.to_json())))
    assert [job.id for job in restored.jobs()] == [job.id for job in first.jobs()]
    assert len({job.id for job in first.jobs()}) == len(first.jobs())


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"configs": 3},
        {"latents": 1},
        {"hidden": (7,)},
        {"plan": Plan(steps=7)},
        {"plan": Plan(learning_rate=0.5)},
        {"plan": {"learning_rate": 0.5}},
        {"learning_rate": 0.5},
    ],
)
def test_whatever_changes_a_training_changes_its_name(iris, other):
    usual = {job.id for job in design(iris).jobs() if job.name.name == "plain"}
    assert usual.isdisjoint({job.id for job in design(iris, **other).jobs() if job.name.name == "plain"})


def test_other_data_are_other_jobs(iris):
    usual = {job.id for job in design(iris).jobs()}
    assert usual.isdisjoint({job.id for job in design(read(iris.x[:-1], iris.y[:-1])).jobs()})


def of_facet(facet):
    """Whether a job measures a facet."""
    return lambda job: facet in (job.name.facet, *job.body.get("facets", ()))


@pytest.mark.parametrize(
    ("metric", "renamed"),
    [
        ("explained_variance", of_facet("reconstruction")),
        ("auroc", of_facet("anomaly")),
        ("parameters", lambda job: job.name.kind == "family"),
        ("probe_accuracy", lambda job: False),
    ],
)
def test_a_new_version_renames_the_runs_of_its_own_facet(iris, monkeypatch, metric, renamed):
    planned = design(iris, facets="reconstruction,anomaly")
    usual = {job.id for job in planned.jobs()}
    newer = dataclasses.replace(METRICS[metric], version=METRICS[metric].version + 1)
    monkeypatch.setitem(METRICS, metric, newer)
    jobs = planned.jobs()
    assert {job.id for job in jobs} - usual == {job.id for job in jobs if renamed(job)}


def test_a_new_metric_renames_the_runs_of_its_own_facet(iris, monkeypatch):
    planned = {facet: design(iris, facets=facet) for facet in ("reconstruction", "features")}
    usual = {facet: {job.id for job in one.jobs()} for facet, one in planned.items()}
    monkeypatch.setitem(METRICS, "new", METRICS["probe_accuracy"])
    told = dataclasses.replace(FACETS["features"], metrics=(*FACETS["features"].metrics, "new"))
    monkeypatch.setitem(FACETS, "features", told)
    assert {job.id for job in planned["reconstruction"].jobs()} == usual["reconstruction"]
    assert {job.id for job in planned["features"].jobs()}.isdisjoint(usual["features"])


def test_more_replicates_keep_the_jobs_of_fewer(iris):
    few = {job.id for job in design(iris, replicates=2).jobs()}
    assert few < {job.id for job in design(iris, replicates=3).jobs()}


def test_every_family_has_the_same_budget(iris):
    planned = design(iris, configs=4, plan=Plan(steps=50))
    sizes = {name: len(found) for name, found in planned.families.items()}
    assert sizes.pop("pca") == 1  # nothing to tune
    assert sizes.keys() == set(DEFAULT) - {"pca"}
    assert set(sizes.values()) == {4}
    plans = [job.body["plan"] for job in planned.jobs() if job.name.kind == "family"]
    assert all(plan == Plan(steps=50).to_json() for plan in plans)
    assert {c["recipe"]["latents"] for found in planned.families.values() for c in found} == {2}


def test_the_first_configuration_is_the_default_and_the_others_fill_the_space():
    plan = Plan(learning_rate=0.0123)
    found = configurations("l1", named("l1"), (6,), plan, 65, 0)
    assert found[0] == {"recipe": named("l1").to_json(), "learning_rate": 0.0123}
    span = named("l1").space()["strength"]
    strength = np.array([c["recipe"]["strength"] for c in found[1:]])
    rate = np.array([c["learning_rate"] for c in found[1:]])
    around = LEARNING_RATES._replace(low=0.4 * 0.0123, high=6 * 0.0123)
    for values, where in ((strength, span), (rate, around)):
        share = (np.log(values) - np.log(where.low)) / (np.log(where.high) - np.log(where.low))
        # 64 points of a low-discrepancy sequence: each eighth of the range holds 8, give or take a few.
        assert np.abs(np.histogram(share, bins=8, range=(0, 1))[0] - 8).max() <= 3
    assert found == configurations("l1", named("l1"), (6,), plan, 65, 0)
    assert found[1:] != configurations("l1", named("l1"), (6,), plan, 65, 1)[1:]
    assert found[:4] == configurations("l1", named("l1"), (6,), plan, 4, 0)


def test_a_learning_rate_moves_what_tuning_draws(iris):
    usual, slow = (design(iris, families="l1,pca", learning_rate=rate).families for rate in (None, 5e-4))
    assert [c["learning_rate"] for c in slow["l1"]] == pytest.approx([c["learning_rate"] / 10 for c in usual["l1"]])
    assert slow["pca"] == usual["pca"]


def test_a_plan_may_be_named_by_its_fields(iris):
    assert design(iris, plan={"batch": 32, "schedule": "cosine"}).plan == Plan(batch=32, schedule="cosine").to_json()
    assert design(iris, plan=Plan(steps=9, batch=32), steps=7).plan == Plan(steps=7, batch=32).to_json()
    with pytest.raises(BadInput, match="steps is given twice"):
        design(iris, plan={"steps": 9}, steps=7)


@pytest.mark.parametrize("latents", [1, 3])
def test_every_configuration_can_be_built_at_any_code_width(latents):
    data = read(ROWS)
    for found in design(data, latents=latents, configs=12).families.values():
        for config in found:
            assert recipe(config["recipe"]).build(data.shape, "gaussian").latents == latents


def test_capacity_is_matched_and_a_wish_against_it_is_refused(iris):
    planned = design(iris, latents=3, hidden=(5, 4))
    assert {tuple(c[0]["recipe"]["hidden"]) for name, c in planned.families.items() if name != "pca"} == {(5, 4)}
    assert planned.families["pca"][0]["recipe"]["latents"] == 3
    with pytest.raises(BadInput, match=r"'plain' has hidden=\(9,\).*pass hidden"):
        design(iris, families=[named("plain").set_params(hidden=(9,))])
    assert design(iris, families=[named("plain").set_params(hidden=(9,))], hidden=(9,)).hidden == [9]
    with pytest.raises(BadInput, match="k must be a whole number from 1 to latents = 2"):
        design(iris, families=[named("topk").set_params(k=3)])


def test_capacity_grows_with_the_row():
    assert capacity((1,)) == (1, ())
    assert capacity((4,)) == (2, ())
    assert capacity((30,)) == (7, ())
    assert capacity((8, 8)) == capacity((64,)) == (16, ())
    assert capacity((28, 28)) == (32, (128,))


def test_pca_takes_part_whoever_is_named(iris):
    assert list(design(iris, families="plain, topk").families) == ["plain", "topk", "pca"]
    assert list(design(iris, families="pca").families) == ["pca"]
    mine = {"weak": named("l1").set_params(strength=0.01), "strong": named("l1").set_params(strength=0.1)}
    assert list(design(iris, families=mine).families) == ["weak", "strong", "pca"]
    assert design(iris, families=mine).families["strong"][0]["recipe"]["strength"] == 0.1


class Needy(Plain):
    family = "needy"
    wants = "a target"


def test_all_families_are_those_that_want_nothing_but_rows(iris, monkeypatch):
    monkeypatch.setitem(FAMILIES, "needy", Needy())
    assert list(design(iris, families="all").families) == [name for name, r in FAMILIES.items() if not r.wants]
    with pytest.raises(BadInput, match=r"'needy' cannot take part in a study.* it needs a target"):
        design(iris, families="needy")


def test_rivals_and_views_follow_the_facets(iris):
    jobs = design(iris, facets="reconstruction,anomaly", families="plain", replicates=4).jobs()
    family = {(j.name.name, j.name.view, j.name.replicate) for j in jobs if j.name.kind == "family"}
    assert family == {(n, v, r) for n in ("plain", "pca") for v in ("all", "normal") for r in range(4)}
    rivals = {(j.name.name, j.name.facet) for j in jobs if j.name.kind == "rival"}
    assert rivals == {(r, f) for f in ("reconstruction", "anomaly") for r in FACETS[f].rivals_on()}
    out = {j.name.replicate: j.name.left_out for j in jobs if j.name.view == "normal"}
    assert {out[0], out[1], out[2]} == set(iris.classes)
    assert out[3] == out[0]
    assert {j.name.left_out for j in jobs if j.name.view == "all"} == {None}


def test_of_many_classes_several_are_left_out_and_each_has_its_turn():
    digits = read("digits")
    found = design(digits, facets="anomaly", families="plain", replicates=6)
    out = {j.name.replicate: j.name.outliers for j in found.jobs()}
    assert all(len(set(names)) == 2 for names in out.values())
    assert sorted(name for r in range(5) for name in out[r]) == sorted(digits.classes)
    assert out[5] == out[0], "then they begin again"
    for job in found.jobs()[:2]:
        split, label = rows(job, digits)
        codes = [digits.classes.index(one) for one in job.name.outliers]
        assert not np.isin(digits.y[np.concatenate(split[:2])], codes).any()
        np.testing.assert_array_equal(label, np.isin(digits.y, codes))
        assert set(digits.y[split.test][label[split.test] == 1]) == set(codes)


def test_several_classes_at_once_vary_less_and_claim_no_more_than_one():
    """Classes differ by an effect whose mean over all of them is 0: the truth that a facet asks about."""
    rng, claims, widths = np.random.default_rng(0), {1: 0, 2: 0}, {1: [], 2: []}
    for _ in range(600):
        effect = rng.normal(size=10)
        order = rng.permutation(10)
        effect -= effect.mean()
        for count in claims:
            picked = effect[order[: 5 * count]].reshape(5, count).mean(axis=1)
            d = picked + 0.1 * rng.normal() + 0.2 * rng.normal(size=5)
            claims[count] += p_value(d, 1 / 3) < 0.05
            low, high = interval(d, 1 / 3)
            widths[count].append(high - low)
    assert max(claims.values()) / 600 < 0.05
    assert np.mean(widths[2]) < 0.8 * np.mean(widths[1])


def test_labelled_anomalies_leave_no_class_out(iris):
    marked = read(iris.x, np.where(iris.y == 2, "odd", "fine"), anomaly="odd")
    assert {job.name.left_out for job in design(marked, facets="anomaly").jobs()} == {None}


def test_a_rare_class_never_plays_the_anomaly(iris):
    y = np.array(["a"] * 100 + ["b"] * 41 + ["c"] * 9)
    jobs = design(read(iris.x, y), facets="anomaly", replicates=6).jobs()
    assert {job.name.left_out for job in jobs} == {"a", "b"}
    rare = design(read(iris.x[:18], np.repeat(["a", "b"], 9)))
    assert rare.skipped["anomaly"] == "needs a class of at least 10 rows that can be left out"
    few = design(read(iris.x, np.where(np.arange(150) < 9, "odd", "fine"), anomaly="odd"))
    assert few.skipped["anomaly"] == "needs at least 10 anomalies"


def test_without_labels_questions_are_skipped_with_a_reason():
    planned = design(read(ROWS))
    assert "reconstruction" in planned.facets
    assert "features" in planned.skipped
    assert all("labels" in reason for reason in planned.skipped.values())
    with pytest.raises(BadInput, match="no facet can be measured on X"):
        design(read(ROWS), facets="features")
    with pytest.raises(BadInput, match="but these data have no labels"):
        design(read(ROWS), contamination=0.05)


def test_contamination_is_part_of_the_job_where_anomalies_leave_training(iris):
    clean, dirty = (design(iris, facets="reconstruction,anomaly", contamination=c).jobs() for c in (0.0, 0.05))
    same = [(a.id == b.id) for a, b in zip(clean, dirty, strict=True)]
    assert same == [job.name.view == "all" for job in clean]
    assert design(iris, contamination=0.05).to_json()["contamination"] == 0.05


def test_seeds_belong_to_the_replicate_and_are_shared(iris):
    jobs = [job for job in design(iris).jobs() if job.name.view == "all"]
    seeds = {(job.name.replicate, job.seed("split")) for job in jobs}
    assert len(seeds) == 5
    assert len({s for _, s in seeds}) == 5
    assert jobs[0].seed("split") != jobs[0].seed("training")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"replicates": 1}, "replicates must be a whole number of at least 2; got 1"),
        ({"configs": 0}, "configs must be a whole number of at least 1; got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
        ({"families": "plian"}, "unknown family 'plian': did you mean plain"),
        ({"families": ""}, "no family given"),
        ({"families": {"x": 3}}, "family 'x' must be a name or a recipe; got int"),
        ({"families": [named("l1"), named("l1")]}, "need names of their own"),
        ({"facets": "anomly"}, "unknown facet 'anomly': did you mean anomaly"),
        ({"facets": ""}, "no facet can be measured on iris"),
        ({"latents": 0}, "latents must be a whole number of at least 1"),
        ({"contamination": 0.5}, "contamination must be a share of at least 0 and below 0.5; got 0.5"),
        ({"contamination": "5"}, "contamination must be a share of at least 0 and below 0.5; got '5'"),
        ({"contamination": 0.1, "facets": "cost"}, "but the facet anomaly is not asked"),
    ],
)
def test_a_wrong_wish_is_one_line(iris, wrong, words):
    with pytest.raises(BadInput) as caught:
        design(iris, **wrong)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rivals_that_draw_pictures_are_asked_only_of_pictures(iris):
    for data, drawn in ((iris, set()), (read("digits"), {"jpeg", "webp"})):
        jobs = design(data, facets="compression", families="plain", replicates=2).jobs()
        names = {j.name.name for j in jobs if j.name.kind == "rival"}
        assert names - FACETS["compression"].extras == {"rounding", "zstd", "xz", "bz2"} | drawn
