"""Splits that leak, numbers that do not follow from their scores; and a finished study that is examined again."""

import hashlib
import json
import shutil

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file

from isthmus.api.study import Study, compare
from isthmus.data.read import read
from isthmus.doctor import diagnose
from isthmus.doctor.evidence import inconsistencies, leakage, same, unlike
from isthmus.errors import BadInput
from isthmus.facets import FACETS
from isthmus.facets.facet import Rows, Splits
from isthmus.families import named
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.report.html import render
from isthmus.ship.artefact import save
from isthmus.ship.deployed import Deployed
from isthmus.study.document import Reading
from isthmus.study.examine import data_of, examine, examine_model
from isthmus.study.jobs import Work, drive
from isthmus.study.launch.local import Local
from isthmus.study.options import TableOptions, declared
from isthmus.study.perform import perform
from isthmus.study.racing import Round
from isthmus.study.record import digest
from isthmus.study.store import Store
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

LABEL, SCORE = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8])
RAW = {"row_error": np.array([1.0, 3.0]), "anomaly_score": SCORE, "anomaly_label": LABEL}
RIGHT = {"reconstruction": {"mse": 2.0}, "anomaly": {"auroc": 0.75, "average_precision": 5 / 6}}


def test_copies_beyond_chance_and_rows_in_two_parts_are_leakage():
    def leak(copies, held=(50, 50), **rows):
        return leakage({"valid": held[0], "test": held[1], "duplicates": copies}, rows)

    assert leak(0) is leak(2) is leak(1, held=(5, 5)) is None
    assert leak(3).evidence == {"copies": 3, "held_out": 100, "shared": 0}
    apart = {"train": np.array([0, 1]), "valid": np.array([2]), "test": np.array([3])}
    assert leak(0, **apart) is None
    assert leak(0, **apart | {"test": np.array([2, 3])}).evidence["shared"] == 1  # a row that chose and was reported


def again(facet, recorded, raw=RAW, splits=None):
    return inconsistencies(recorded, FACETS[facet].again(raw, recorded, splits))


def test_numbers_that_follow_from_their_scores_pass():
    assert all(again(facet, recorded) == [] for facet, recorded in RIGHT.items())
    assert all(again(facet, recorded, {}) == [] for facet, recorded in RIGHT.items())
    assert again("anomaly", {"auroc": 0.2}, {"anomaly_score": SCORE}) == []  # without labels nothing follows
    assert again("cost", {"parameters": 12.0}) == []
    assert again("anomaly", {"auroc": 0.5, "average_precision": 0.5, "constant_scorer": 1.0}) == []


@pytest.mark.parametrize(
    ("facet", "metric", "value"),
    [
        ("reconstruction", "mse", 2.1),
        ("reconstruction", "mse", None),
        ("anomaly", "auroc", 0.25),
        ("anomaly", "average_precision", 0.75),
        ("reconstruction", "explained_variance", 1.2),
    ],
)
def test_a_number_that_does_not_follow_is_named(facet, metric, value):
    (found,) = again(facet, {**RIGHT[facet], metric: value})
    assert (found.name, found.evidence["metric"]) == ("metric inconsistency", metric)
    assert found.evidence["recorded"] == ("none" if value is None else value)


def test_rows_with_weights_count_by_them():
    weighed = {**RAW, "test_weight": np.array([3.0, 1.0])}
    assert again("reconstruction", {"mse": 1.5}, weighed) == []
    (found,) = again("reconstruction", {"mse": 2.0}, weighed)
    assert found.evidence["recomputed"] == 1.5


def test_explained_variance_and_squared_error_must_agree():
    def splits(spread):
        """Training rows with mean zero, and test rows whose squares have this mean."""
        train, test = np.array([[-1.0], [1.0]], np.float32), np.full((2, 1), spread**0.5, np.float32)
        return Splits(Rows(train, None), Rows(train, None), Rows(test, None), seed=0, latents=1)

    def found(recorded, spread):
        return again("reconstruction", {"mse": 2.0, "explained_variance": recorded}, splits=splits(spread))

    assert found(0.5, 4.0) == found(None, 0.0) == []
    assert found(0.6, 4.0)[0].evidence["recomputed"] == 0.5
    assert same(1.0, 1.0 + 1e-9)
    assert not same(1.0, 1.0 + 1e-5)


def test_numbers_of_rows_agree_up_to_what_another_machine_rounds():
    kept = np.array([1.0, 3.0])
    assert unlike("row error", kept, kept * (1 + 1e-5)) is None
    assert unlike("row error", kept, np.array([1.0, 3.5])).evidence == {
        "metric": "row error",
        "recorded": 3.0,
        "recomputed": 3.5,
    }
    assert unlike("row error", kept, np.array([1.0])).evidence == {"metric": "row error"}


QUICK = Plan(steps=1000, learning_rate=0.02)  # after which plain no longer gets better on iris
OPTIONS = {"facets": "reconstruction,anomaly", "replicates": 2, "configs": 1, "jobs": 1, "plan": QUICK}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    return compare("iris", families={"plain": Plain()}, out=tmp_path_factory.mktemp("well") / "study", **OPTIONS)


@pytest.fixture
def copied(healthy, tmp_path):
    shutil.copytree(healthy.folder, tmp_path / "study")
    return tmp_path / "study"


def names(study, data):
    return {(one.job.name, one.finding.name, one.finding.evidence.get("metric")) for one in examine(study, data)}


@pytest.mark.slow
def test_a_healthy_study_has_no_complaint_with_rows_and_without(healthy):
    """All raw scores lie there as they were measured, those of every rival too."""
    data, reason = data_of(healthy)
    assert (data.digest, reason) == (healthy.note["data"]["digest"], "")
    assert list(examine(healthy, data)) == list(examine(healthy)) == []


@pytest.mark.slow
def test_data_that_are_gone_or_other_are_said(healthy, copied):
    path = copied / "study.json"
    sealed(path, source="gone.csv")
    data, reason = data_of(Study(copied))
    assert data is None
    assert "gone.csv: no such file" in reason
    assert data_of(Study(copied), "iris")[0] is not None
    with pytest.raises(BadInput, match="no longer holds the rows"):
        data_of(healthy, "wine")
    sealed(path, source="wine")
    assert "no longer holds" in data_of(Study(copied))[1]


@pytest.mark.slow
def test_all_that_reading_may_be_asked_is_declared_and_nothing_else(copied):
    """Data are read again with what ``study.json`` says: a field that nobody knows must not come so far."""
    assert set(Reading.model_fields) == {*declared(TableOptions), "rows", "truth"}
    sealed(copied / "study.json", reading={"colour": "red"})
    with pytest.raises(BadInput, match=r"reading\.colour: Extra inputs are not permitted"):
        Study(copied)
    sealed(copied / "study.json", reading={"terms": "many"})
    with pytest.raises(BadInput, match=r"reading\.terms: Input should be a valid integer"):
        Study(copied)


def sealed(path, **changes):
    """Write a document of a study again with other entries, under a seal that fits."""
    content = {**json.loads(path.read_text()), **changes}
    del content["seal"]
    path.write_text(json.dumps({**content, "seal": digest(content)}))


def overwrite(place, arrays):
    """Other raw scores of a run, which its record vouches for; its numbers are left as they were."""
    path, record = place / "scores.safetensors", place / "record.json"
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, path)
    files = json.loads(record.read_text())["files"] | {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}
    sealed(record, files=files)


def tampered(folder, name, change):
    """The same study with other raw scores of one contender's runs."""
    for record in Study(folder).records:
        place = folder / "runs" / record.id
        if record.job.name == name and (place / "scores.safetensors").exists():
            overwrite(place, change(load_file(place / "scores.safetensors")))
    return Study(folder)


def test_scores_in_another_order_are_an_inconsistency(copied):
    study = tampered(copied, "plain", lambda raw: {**raw, **{k: raw[k][::-1] for k in ("row_error",) if k in raw}})
    assert names(study, None) == set()  # the mean does not know the order
    assert names(study, read("iris")) == {("plain", "metric inconsistency", "row error")}


def test_other_scores_rows_and_labels_are_inconsistencies(copied):
    study = tampered(copied, "knn", lambda raw: {**raw, "anomaly_score": -raw["anomaly_score"]})
    assert names(study, None) == {("knn", "metric inconsistency", m) for m in ("auroc", "average_precision")}
    study = tampered(copied, "plain", lambda raw: {**raw, "test_rows": raw["test_rows"] + 1})
    assert ("plain", "metric inconsistency", "test rows") in names(study, read("iris"))


def test_weights_that_rows_do_not_have_are_an_inconsistency(copied):
    study = tampered(copied, "plain", lambda raw: {**raw, "test_weight": np.ones(len(raw["test_rows"]))})
    assert names(study, None) == set()  # equal weights change no number
    assert names(study, read("iris")) == {("plain", "metric inconsistency", "test rows")}


@pytest.mark.slow
def test_replicates_that_a_race_added_are_examined_too(copied):
    store, data = Store(copied), read("iris")
    store.add_round(Round((2,), {"reconstruction": ("plain", "pca")}))
    with Local(Work(store, data, perform), store.folder, 1) as launch:
        drive(store, Study(copied).design.jobs(store.rounds()), launch)
    late = next(one for one in Study(copied).records if (one.job.name, one.job.replicate) == ("plain", 2))
    place = copied / "runs" / late.id
    overwrite(place, {k: v + 1 for k, v in load_file(place / "scores.safetensors").items()})
    assert {one.run for one in examine(Study(copied), data)} == {late.id}


def test_one_run_alone_and_a_saved_model(healthy):
    run = healthy.records[0]
    assert list(examine(healthy, run=run.id)) == []
    assert examine_model(healthy.folder / "runs" / run.id, "iris") == []


@pytest.mark.parametrize("kind", [[], ["c=category"]], ids=["numbers", "kinds"])
def test_a_saved_model_is_examined_on_the_columns_that_it_knows(tmp_path, kind):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(120, 2)) @ rng.normal(size=(2, 3)) + 0.1 * rng.normal(size=(120, 3))
    path, about = tmp_path / "rows.csv", {"who": np.arange(120) % 12, "day": np.arange(120), "weight": np.ones(120)}
    pd.DataFrame({**dict(zip("abd", rows.T, strict=True)), "c": np.arange(120) % 3, **about}).to_csv(path, index=False)
    kinds = dict(one.split("=") for one in kind)
    data = read(path, kinds=kinds, group="who", weights="weight", drop="day")
    assert data.columns == ("a", "b", "d", "c")
    fitted = fit(named("pca").set_params(latents=2), data.x, columns=data.columns, fields=data.fields)
    model = save(Deployed.of(fitted), tmp_path / "model")
    scaled = fitted.scaled(data.x)
    assert examine_model(model, str(path)) == diagnose(fitted, scaled, scaled)
    other = tmp_path / "other.csv"
    pd.read_csv(path).rename(columns={"b": "e"}).to_csv(other, index=False)
    with pytest.raises(BadInput, match="no column 'b', which the model was trained on"):
        examine_model(model, str(other))
    few = tmp_path / "few.csv"
    pd.read_csv(path)[["c", "a"]].to_csv(few, index=False)
    with pytest.raises(BadInput, match=r"columns, as in training|'b'|shape"):
        examine_model(model, str(few))


@pytest.mark.slow
def test_copies_in_the_data_are_said_once_in_both_languages(tmp_path):
    x = np.repeat(read("iris").x[::3], 3, axis=0)
    study = compare(x, families={"plain": Plain()}, out=tmp_path / "twice", **OPTIONS | {"facets": "reconstruction"})
    said = [line for line in study.recommendation() if "leakage" in line]
    assert len(said) == 1
    assert said[0].startswith("Data: leakage between splits in 2 of 2 splits (copies ")
    assert any("划分间泄漏" in line for line in study.recommendation("zh"))
    assert not study.verdict()["reconstruction"].excluded  # it flatters everybody
    assert "leakage between splits" in render(study)
    assert "划分间泄漏" in render(study, "zh")


@pytest.mark.slow
def test_a_copying_model_wins_no_reconstruction_and_its_codes_are_still_compared(tmp_path):
    options = OPTIONS | {"facets": "reconstruction,features", "plan": Plan(steps=2500)}
    study = compare("iris", families={"plain": Plain()}, latents=4, out=tmp_path / "study", **options)
    verdict = study.verdict()
    assert verdict["reconstruction"].excluded["pca"] == "identity copying in 2 of 2 replicates"
    assert "identity copying" in verdict["reconstruction"].excluded["plain"]
    assert verdict["reconstruction"].leader == "sparse coding"
    assert not verdict["features"].excluded
    for lang, word in (("en", "replicates with identity copying: 2"), ("zh", "出现恒等复制的重复次数：2")):
        assert word in render(study, lang)


@pytest.mark.slow
def test_a_collapsed_model_is_compared_nowhere(tmp_path):
    study = compare("iris", families={"vae": VAE(beta=1000.0)}, out=tmp_path / "study", **OPTIONS)
    for verdict in study.verdict().values():
        assert "vae" in verdict.excluded
    assert "posterior collapse" in study.verdict()["reconstruction"].excluded["vae"]
    complaints = list(examine(study, read("iris")))
    assert {one.job.name for one in complaints} == {"vae"}
    assert {"posterior collapse"} <= {one.finding.name for one in complaints}


def test_columns_of_factors_are_set_aside_again(tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 5)).round(3)
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["a,b,c,d,size", *(",".join(map(str, row)) for row in rows)]))
    options = OPTIONS | {"facets": "reconstruction", "plan": Plan(steps=20)}
    study = compare(path, families="plain", factors="size", out=tmp_path / "study", **options)
    data, reason = data_of(study)
    assert reason == ""
    assert data.factor_names == ("size",)
