"""Whether rows are pictures is asked once, said once, and decides what is compared and what is drawn."""

import json
import warnings

import numpy as np
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.study.ablation import plan_ablation
from isthmus.study.outline import outline
from isthmus.train.plan import Plan

RNG = np.random.default_rng(0)
SERIES = np.cumsum(RNG.normal(size=(60, 12, 3)), axis=1) * [1, 50, 900]
TABLE = np.c_[RNG.normal(size=(60, 3)), np.arange(60)]
QUICK = {"families": "pca", "replicates": 2, "configs": 1, "jobs": 1}
CAUTION = r"^X: rows of shape \(12, 3\) are not taken for images"


def heard(call):
    """What it returns, and what it says."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = call()
    return made, [(str(one.message), one.filename) for one in said]


@pytest.mark.parametrize(("images", "jpeg"), [(None, False), (False, False), (True, True)])
def test_only_pictures_have_picture_codecs_for_rivals(images, jpeg):
    planned = outline(SERIES, images=images, facets="compression", **QUICK)
    assert planned.design.data["images"] is jpeg
    assert ({"jpeg", "webp"} <= {job.name.name for job in planned.design.jobs()}) is jpeg


@pytest.mark.slow
def test_a_series_is_told_once_not_drawn_and_not_continued_as_pictures(tmp_path):
    options = {"facets": "reconstruction,compression", "out": tmp_path / "s", **QUICK}
    study, said = heard(lambda: isthmus.compare(SERIES, **options))
    assert [text.startswith("X: rows of shape (12, 3) are not taken for images") for text, _ in said] == [True]
    assert said[0][1] == __file__  # at the caller
    assert "jpeg" not in study.contenders("compression")
    assert "data:image/png" not in study.report().read_text()
    with pytest.raises(BadInput):
        isthmus.compare(SERIES, images=True, **options)
    drawn, said = heard(lambda: isthmus.compare(SERIES, images=True, **{**options, "out": tmp_path / "p"}))
    assert said == []
    assert "jpeg" in drawn.contenders("compression")
    assert "data:image/png" in drawn.report().read_text()


@pytest.mark.slow
def test_several_and_ablations_say_and_take_the_same(tmp_path):
    options = {"facets": "reconstruction", **QUICK}
    several, said = heard(lambda: isthmus.compare_many({"a": SERIES, "b": TABLE}, out=tmp_path / "m", **options))
    assert [text.split(":")[0] for text, _ in said] == ["a", "b"]
    assert "only numbers the rows" in said[1][0]
    assert several.complete
    with pytest.raises(BadInput, match=r"b: rows of shape \(4,\) are not images"):
        isthmus.compare_many({"a": SERIES, "b": TABLE}, images=True, out=tmp_path / "n", **options)
    recipe, plan = named("l1").set_params(latents=2), Plan(steps=5)
    ask = {"facets": "reconstruction", "replicates": 2, "jobs": 1, "plan": plan}
    plain, said = heard(lambda: isthmus.ablate(recipe, SERIES, out=tmp_path / "a", **ask))
    assert [text.startswith("X: rows of shape (12, 3) are not taken") for text, _ in said] == [True]
    drawn, said = heard(lambda: isthmus.ablate(recipe, SERIES, images=True, out=tmp_path / "b", **ask))
    assert said == []
    assert (plain.design.data["images"], drawn.design.data["images"]) == (False, True)


def test_what_is_said_is_not_asked_again():
    assert read(SERIES, images=False).cautions == ()
    assert "transpose" in read(np.ones((20, 3, 12, 12)), images=False).cautions[0]
    with pytest.raises(BadInput, match="not images"):
        outline(read(TABLE), images=True, **QUICK)
    planned = plan_ablation(named("l1").set_params(latents=2), read(SERIES, images=True), plan=Plan(steps=5))
    assert planned.design.data["images"] is True


@pytest.mark.slow
@pytest.mark.parametrize(("option", "images"), [((), False), (("--images",), True), (("--no-images",), False)])
def test_the_command_line_of_an_ablation_takes_and_says_them(tmp_path, monkeypatch, capsys, option, images):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", SERIES)
    ask = ["--dry-run", "--json", "--steps", "5", "--replicates", "2", "--facets", "reconstruction", "--jobs", "1"]
    assert main(["ablate", "l1", "rows.npy", *ask, *option]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["data"]["images"] is images
    assert said.err.count("isthmus: rows: rows of shape (12, 3) are not taken for images") == (not option)
