"""Capacity as part of the choice: who may choose it, among what, and that only validation rows say so."""

import dataclasses

import numpy as np
import pytest

from isthmus.answers.capacity import lines as capacities
from isthmus.answers.words import Words
from isthmus.api.study import Study
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.families import FAMILIES, named, recipe
from isthmus.study import perform
from isthmus.study.capacity import capacity, match
from isthmus.study.design import Design, design, places
from isthmus.study.document import check
from isthmus.study.material import prepare
from isthmus.study.outline import outline
from isthmus.study.racing import voted
from isthmus.study.run import run

FEW = {"replicates": 2, "configs": 3, "rivals": "none"}


@pytest.fixture(scope="module")
def iris():
    return read("iris")


def faint(rows=240, columns=24):
    """Classes that differ in the faintest of ten sources, which the six units of a matched code leave out."""
    stream = np.random.default_rng(0)
    sources = stream.normal(size=(rows, 10)) * [4, 4, 4, 4, 4, 4, 4, 4, 4, 1.5]
    axes = np.linalg.qr(stream.normal(size=(columns, 10)))[0]
    return read(sources @ axes.T + 0.1 * stream.normal(size=(rows, columns)), sources[:, -1] > 0)


def named_capacities(planned, family="plain"):
    return [one.get("capacity") for one in planned.families[family]]


def test_questions_that_do_not_pay_for_width_are_free_unless_something_is_said(iris):
    asked = {"features": True, "features,robustness": True, "features,reconstruction": False, "all": False}
    asked |= {"anomaly": True, "generation": True, "features,anomaly": True, "anomaly,stability": False}
    assert {facets: design(iris, facets=facets).capacity == "free" for facets in asked} == asked
    for said in ({"capacity": "matched"}, {"latents": 3}, {"hidden": []}, {"backbone": "mlp"}):
        assert design(iris, facets="features", **said).capacity == "matched"


def test_some_of_the_settings_are_other_capacities(iris):
    free = design(iris, capacity="free", configs=6)
    assert named_capacities(free) == [None] * 4 + ["deeper", "overcomplete"]
    assert free.families["plain"][:4] == design(iris, capacity="matched", configs=6).families["plain"][:4]
    assert named_capacities(design(iris, capacity="free", configs=2)) == [None] * 2  # no place for another
    assert named_capacities(design(iris, capacity="free", facets="reconstruction")) == [None] * 4
    assert [places(n) for n in (1, 3, 6, 9)] == [0, 1, 2, 3]


def test_matched_studies_keep_their_jobs(iris):
    usual = design(iris, capacity="matched")
    assert not any("capacity" in job.body for job in usual.jobs())
    older = {name: value for name, value in usual.to_json().items() if name not in {"capacity", "format"}}
    assert [job.id for job in Design.from_json(older).jobs()] == [job.id for job in usual.jobs()]


def test_a_free_study_comes_back_from_its_file(iris, tmp_path):
    free = design(iris, capacity="free")
    content = free.to_json() | {"source": "iris"}
    check(tmp_path, content)
    assert Design.from_json(content) == free
    with pytest.raises(BadInput, match="capacity"):
        check(tmp_path, content | {"capacity": "wild"})


@pytest.mark.parametrize("fixed", [{"latents": 2}, {"hidden": (8,)}, {"backbone": "linear"}])
def test_who_fixes_the_network_leaves_nothing_to_choose(iris, fixed):
    assert design(iris, **fixed).capacity == "matched"
    (name,) = fixed
    with pytest.raises(BadInput, match=f"capacity free chooses what {name} fixes; leave {name} out, or take capacity"):
        design(iris, capacity="free", **fixed)


def test_a_sweep_of_widths_leaves_nothing_to_choose_either(iris):
    with pytest.raises(BadInput, match="capacity free chooses what latents fixes"):
        outline(iris, capacity="free", latents="auto")


def test_a_capacity_that_there_is_not_is_refused(iris):
    with pytest.raises(BadInput, match="capacity must be matched or free; got 'wild'"):
        design(iris, capacity="wild")


@pytest.mark.parametrize("shape", [(1,), (3,), (64,), (8, 8)])
@pytest.mark.parametrize("rows", [10, 1000])
def test_every_family_declares_what_can_be_built(shape, rows):
    near = "conv2d" if len(shape) == 2 else None
    for name in FAMILIES:
        if named(name).wants:
            continue
        matched = match(name, named(name), *capacity(shape))
        for fields in matched.capacities(shape, rows, near).values():
            if (name, "backbone" in fields) == ("svdd", True):
                continue  # its own rules forbid it, and a study leaves it out
            other = dataclasses.replace(matched).set_params(**fields)
            model = recipe(other.to_json()).build(shape, "gaussian")
            assert model.latents == other.latents
            assert other.to_json() != matched.to_json()
            assert other.latents <= max(matched.latents, rows // 4, 1)


def test_wide_dictionaries_let_more_units_pass():
    found = named("topk").set_params(latents=32, k=4).capacities((784,), 6000)
    assert found["wide"] == {"latents": 512, "hidden": (), "k": 16}
    assert found["deeper"]["k"] == 4


def test_a_wider_code_is_not_tried_where_no_facet_could_choose_it(iris):
    jobs = design(iris, families="plain", facets="features,anomaly", capacity="free", **FEW).jobs()
    tried = {
        job.name.view: [c.get("capacity") for c in job.body["configs"]] for job in jobs if job.name.name == "plain"
    }
    assert tried == {"all": [None, None, "deeper", "overcomplete"], "normal": [None, None, "deeper"]}


@pytest.mark.slow
def test_who_may_choose_what(iris):
    facets = "reconstruction,features,generation,robustness"
    job = design(iris, families="plain", facets=facets, capacity="free", steps=400, **FEW).jobs()[0]
    material = prepare(job, iris)
    fitted, stopped, seen = perform.climb(job, iris, material)
    blind = perform._blind(material.splits)
    judged = [perform.judge(job, asked, one, blind) for asked, one in zip(job.body["configs"], fitted, strict=True)]
    assert all(judged[i] == found for i, found in seen.items())
    for asked, found in zip(job.body["configs"], judged, strict=True):
        assert (found["reconstruction"] is None) == ("capacity" in asked)
        assert (found["generation"] is None) == (asked.get("capacity") == "overcomplete")
        assert found["features"] is not None
    assert judged[0]["features"] == FACETS["features"].free(fitted[0], blind)
    assert 1 <= len(stopped) <= 2  # one place for two
    assert {fitted[i].outcome.steps for i in stopped} == {50}
    chosen = perform._compare(job, perform.Raced(fitted, stopped, seen), material.splits)[1]
    assert chosen["reconstruction"] in (0, 1)
    assert not set(chosen.values()) & stopped


def test_places_go_to_those_that_are_best_for_most_facets():
    criteria = [{"a": 1.0, "b": 9.0, "c": None}, {"a": 2.0, "b": 1.0, "c": 3.0}, {"a": 3.0, "b": 2.0, "c": 1.0}]
    assert voted(criteria, 1) == [0]
    assert voted([*criteria, {"a": 0.0, "b": 0.0}], 1) == [3]
    assert voted([{"a": None}], 2) == []
    assert voted(criteria, 2, beat=[{"a": 1.0, "b": 0.5, "c": 2.0}]) == [2]


@pytest.mark.slow
def test_free_capacity_finds_what_a_narrow_code_cannot_say(tmp_path):
    data = faint()
    scores = {}
    for capacity_ in ("matched", "free"):
        options = {"families": "plain", "facets": "features", "capacity": capacity_, "out": tmp_path / capacity_}
        study = run(outline(data, **FEW, steps=600, **options), workers=1)
        scores[capacity_] = float(np.mean(study.scores("features", "probe_accuracy")["plain"]))
        chosen = {record.configs[record.facets["features"].config].capacity for record in study.records}
        assert (chosen == {None}) == (capacity_ == "matched")
        page = Study.of(study).report(tmp_path / f"{capacity_}.html").read_text()
        assert ("plain chose a wide code" in page) == (capacity_ == "free")
    assert scores["free"] > scores["matched"] + 0.1


@pytest.mark.parametrize(
    ("lang", "told"),
    [
        (
            "en",
            "L1 chose an overcomplete code (128 units, hidden layers: none) for Features (1 of 2), at a price of "
            "16,576 parameters, 0.5 s of training and 67 kB.",
        ),
        ("zh", "L1 选择了过完备编码（128 个编码单元，隐藏层：无），用于特征质量（2 次中 1 次），代价为 16,576 个参数"),
    ],
)
def test_what_was_chosen_is_told_with_its_price(lang, told):
    cost = {"parameters": 16576.0, "train_seconds": 0.5, "artefact_bytes": 67_000.0}
    wide = {"capacity": "overcomplete", "recipe": {"latents": 128, "hidden": []}, "cost": cost}
    configs = [{"capacity": None, "recipe": {}, "cost": {}}, wide]
    records = [{"job": {"name": "l1"}, "facets": {"features": {"config": i}}, "configs": configs} for i in (0, 1)]
    assert capacities(records, {"l1": "L1"}, Words(lang))["l1"].startswith(told)
    assert capacities(records[:1], {"l1": "L1"}, Words(lang)) == {}


def tiles(rows=300, side=16, tile=4):
    """Pictures of bars at any angle, one in each tile: what convolutions learn once others learn sixteen times."""
    stream = np.random.default_rng(0)
    count = side // tile
    angle = stream.uniform(0, np.pi, (rows, count, count, 1, 1))
    high, wide = np.mgrid[:tile, :tile] - (tile - 1) / 2
    bars = np.exp(-np.square((high * np.cos(angle) - wide * np.sin(angle)) / 0.6))
    pixels = bars.transpose(0, 1, 3, 2, 4).reshape(rows, side, side)
    return read(np.uint8(255 * pixels), np.where(np.arange(rows) < 30, "odd", "usual"), anomaly="odd")


def test_convolutions_are_among_the_choices_where_neighbours_lie_near_each_other(iris):
    assert named_capacities(design(tiles(), capacity="free")) == [None] * 4 + ["deeper", "convolutional"]
    assert named_capacities(design(tiles(), capacity="matched")) == [None] * 6
    assert "convolutional" not in named_capacities(design(tiles(side=4), capacity="free"))
    assert "convolutional" not in named_capacities(design(iris, capacity="free"))
    assert "convolutional" not in named_capacities(design(tiles(), families="pca", capacity="free"), "pca")
    steps = read(np.random.default_rng(0).normal(size=(400, 2)).cumsum(0), window=16, time="rows")
    (one,) = [c for c in design(steps, capacity="free").families["plain"] if c.get("capacity") == "convolutional"]
    assert one["recipe"]["backbone"] == "conv1d"


@pytest.mark.slow
def test_a_convolutional_network_is_chosen_where_it_is_the_better_one():
    data = tiles()
    job = design(data, families="plain", facets="anomaly", capacity="free", steps=1000, configs=3, replicates=2).jobs()[
        0
    ]
    material = prepare(job, data)
    raced = perform.climb(job, data, material)
    blind, configs = perform._blind(material.splits), job.body["configs"]
    criteria = [perform.judge(job, *pair, blind)["anomaly"] for pair in zip(configs, raced.fitted, strict=True)]
    best = min((i for i in range(len(configs)) if i not in raced.stopped), key=lambda i: criteria[i])
    assert configs[best]["capacity"] == "convolutional"
