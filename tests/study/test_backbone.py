"""One network for all families of a study: in the design, in the jobs, in the report and from the command line."""

import json

import numpy as np
import pytest

from isthmus import compare
from isthmus.cli.settings import configure
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.study.capacity import capacity, match
from isthmus.study.design import Design, design

IMAGES = np.random.default_rng(0).random((60, 6, 5)).astype(np.float32)


def test_every_family_but_pca_gets_it():
    planned = design(read(IMAGES), families="plain,vae", backbone="conv2d", hidden=(4,), configs=2)
    networks = {name: {c["recipe"]["backbone"] for c in configs} for name, configs in planned.families.items()}
    assert networks == {"plain": {"conv2d"}, "vae": {"conv2d"}, "pca": {"linear"}}
    assert planned.families["plain"][0]["recipe"]["hidden"] == [4]
    assert planned.families["pca"][0]["recipe"]["hidden"] == []


def test_it_is_in_the_name_of_a_job():
    one, two, usual = (
        {job.name.name: job.id for job in design(read(IMAGES), families="plain", hidden=(4,), backbone=b).jobs()}
        for b in ("conv2d", "mlp", None)
    )
    assert one["plain"] != two["plain"] == usual["plain"]
    assert one["pca"] == two["pca"]


def test_what_it_adds_to_capacity():
    assert capacity((8, 8)) == (16, ())
    assert capacity((8, 8), "conv2d") == capacity((8, 8), "conv1d") == (16, (16, 32))
    assert capacity((28, 28), "vit") == (32, (32, 32))
    assert capacity((28, 28), "linear") == (32, ())


def test_an_older_study_had_the_usual_one():
    planned = design(read(IMAGES), families="plain")
    content = planned.to_json()
    del content["backbone"]
    assert Design.from_json(content) == planned
    assert planned.backbone == "mlp"


def test_another_network_of_a_recipe_is_refused_not_lost():
    own = named("plain").set_params(backbone="vit")
    assert match("plain", own, 4, (8,)).backbone == "vit"
    with pytest.raises(BadInput, match="family 'plain' has backbone='vit', the study gives every family 'conv2d'"):
        match("plain", own, 4, (8,), "conv2d")


def test_rows_that_are_no_images_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(BadInput, match=r"takes images .* shape \(30,\)"):
        compare(IMAGES.reshape(60, 30), families="plain", backbone="conv2d", out=tmp_path / "s", jobs=1)
    assert not (tmp_path / "s").exists()


@pytest.mark.slow
def test_a_study_says_its_network(tmp_path):
    options = {"families": "plain", "facets": "reconstruction", "replicates": 2, "configs": 1, "steps": 5, "jobs": 1}
    study = compare(IMAGES, images=True, backbone="conv2d", hidden=(4,), out=tmp_path / "s", **options)
    assert json.loads((tmp_path / "s" / "study.json").read_text())["backbone"] == "conv2d"
    assert "<dt>Network</dt><dd>conv2d</dd>" in study.report().read_text()
    usual = compare(IMAGES, images=True, hidden=(4,), out=tmp_path / "u", **options)
    assert "<dt>Network</dt>" not in usual.report().read_text()


def test_train_chooses_hidden_layers_for_the_network():
    assert configure("plain", (8, 8), ["backbone=conv2d"])[0].hidden == (16, 32)
    assert configure("plain", (8, 8), ["backbone=vit", "hidden=8"])[0].hidden == (8,)


def test_a_dictionary_stands_behind_no_bottleneck():
    """Neither in a study nor in a training of its own; who asks for hidden layers has them."""
    data = read(np.random.default_rng(0).normal(size=(60, 130)))
    asked = {"families": "topk", "facets": "reconstruction", "replicates": 2, "configs": 1}
    made = [design(data, **asked, **more) for more in ({}, {"latents": 131}, {"latents": 131, "hidden": [128]})]
    assert [one.families["topk"][0]["recipe"]["hidden"] for one in made] == [[128], [], [128]]
    assert configure("topk", (130,), ["latents=131"])[0].hidden == ()
    assert configure("topk", (130,), ["latents=131", "hidden=128"])[0].hidden == (128,)
