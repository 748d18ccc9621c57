"""A whole study on small real data: resumable, equal for one worker or two, chosen without sight of the test rows."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file

from isthmus.api.study import Study, compare
from isthmus.data.read import read
from isthmus.errors import BadEnvironment, BadInput
from isthmus.facets import FACETS
from isthmus.scorer import Scorer
from isthmus.study.budget import seconds
from isthmus.study.design import design
from isthmus.study.estimate import Estimate, Reading
from isthmus.study.material import prepare
from isthmus.study.outline import outline
from isthmus.study.perform import choose, perform
from isthmus.study.store import Store
from isthmus.train.plan import Plan

SMALL = {"families": "plain,topk", "facets": "reconstruction,anomaly", "replicates": 2, "configs": 2, "steps": 60}
CLOCK = {"train_seconds", "rows_per_second"}


def essence(folder):
    """Everything in a study that must not depend on time or place: records without clocks, and all other bytes."""
    found = {}
    for place in (folder / "runs").iterdir():
        record = json.loads((place / "record.json").read_text())
        for key in ("seconds", "seal"):
            del record[key]
        for config in record["configs"]:
            del config["seconds"]
            config["cost"] = {name: value for name, value in config["cost"].items() if name not in CLOCK}
        found[place.name] = record
    return found


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return compare(
        "iris", out=tmp_path_factory.mktemp("one") / "study", jobs=1, command="isthmus compare iris", **SMALL
    )


def test_a_study_is_complete_and_readable(study):
    assert study.complete
    assert study.total == len(study.records) == len(study.design.jobs())
    assert (study.failed, study.diverged, study.damaged, study.repaired) == ([], [], {}, {})
    assert study.note["command"] == "isthmus compare iris"
    assert study.note["data"]["source"]
    reopened = Study(study.folder)
    assert reopened.records == study.records
    for facet in ("reconstruction", "anomaly"):
        table = study.scores(facet)
        assert list(table) == ["plain", "topk", "pca", *FACETS[facet].rivals_on("dictionaries")]
        assert all(np.isfinite(values).all() and values.shape == (2,) for values in table.values())


@pytest.mark.slow
def test_two_workers_give_the_same_study_to_the_last_bit(study, tmp_path):
    other = compare("iris", out=tmp_path / "study", jobs=2, **SMALL)
    assert essence(other.folder) == essence(study.folder)


@pytest.mark.slow
def test_an_interrupted_study_ends_like_one_that_was_not(study, tmp_path):
    class Stop(Exception):
        pass

    def stop(job, record, done, total):
        if done == 3:
            raise Stop

    folder = tmp_path / "study"
    with pytest.raises(Stop):
        compare("iris", out=folder, jobs=1, progress=stop, **SMALL)
    half = Study(folder)
    assert (len(half.records), half.complete) == (3, False)
    heard = []
    whole = compare("iris", out=folder, jobs=1, progress=lambda *event: heard.append(event), **SMALL)
    assert len(heard) == whole.total - 3
    assert essence(folder) == essence(study.folder)


@pytest.mark.slow
def test_another_seed_is_another_study(study, tmp_path):
    other = compare("iris", out=tmp_path / "study", jobs=1, seed=1, **SMALL)
    assert essence(other.folder).keys().isdisjoint(essence(study.folder))
    assert (other.scores("reconstruction")["pca"] != study.scores("reconstruction")["pca"]).all()
    with pytest.raises(BadInput, match="seed is 1 there and 0 here"):
        compare("iris", out=other.folder, jobs=1, **SMALL)


def test_replicates_pair_the_families_on_one_split(study):
    rows = {}
    for record in study.records:
        if record.job.kind == "family" and record.job.view == "all":
            scores = load_file(study.folder / "runs" / record.id / "scores.safetensors")
            rows.setdefault(record.job.replicate, []).append(scores["test_rows"])
    assert set(rows) == {0, 1}
    for same in rows.values():
        assert all((one == same[0]).all() for one in same)
    assert not np.array_equal(rows[0][0], rows[1][0])


def test_raw_scores_give_the_reported_numbers_again(study):
    from sklearn.metrics import roc_auc_score

    for record in study.records:
        if record.job.kind == "family":
            scores = load_file(study.folder / "runs" / record.id / "scores.safetensors")
            if record.job.view == "all":
                assert scores["row_error"].mean() == pytest.approx(
                    record.facets["reconstruction"].metrics["mse"], rel=1e-6
                )
            else:
                auroc = roc_auc_score(scores["anomaly_label"], scores["anomaly_score"])
                assert auroc == pytest.approx(record.facets["anomaly"].metrics["auroc"], abs=1e-9)


def test_the_chosen_model_comes_back_and_scores_what_the_record_says(study):
    data = study_data(study)
    for facet in ("reconstruction", "anomaly"):
        record = next(r for r in study.records if r.job.name == "plain" and facet in r.facets and r.job.replicate == 1)
        scores, model = (
            load_file(study.folder / "runs" / record.id / "scores.safetensors"),
            study.model("plain", facet, 1),
        )
        if facet == "reconstruction":
            again = model.errors(data.x[scores["test_rows"]])
            np.testing.assert_allclose(again, scores["row_error"], rtol=1e-5)
            continue
        job = next(job for job in study.design.jobs(study.rounds) if job.id == record.id)
        splits = prepare(job, data).splits
        scorer = Scorer.fit(model, splits.train.x, splits.valid.x, splits.seed, odd=splits.odd)
        again = scorer.scores(model.scaled(data.x[scores["test_rows"]]))
        np.testing.assert_allclose(again, scores["anomaly_score"], rtol=1e-4, atol=1e-4)
    with pytest.raises(BadInput, match="no family 'vae'; it has plain"):
        study.model("vae")


def study_data(study):
    data = read("iris")
    assert data.digest == study.note["data"]["digest"]
    return data


@pytest.mark.slow
def test_every_facet_knows_what_its_own_choice_costs(tmp_path, monkeypatch):
    """Of a narrow and a wide network features choose the narrow one, reconstruction the wide one; cost is not asked."""

    def size(coder, splits):
        return sum(p.numel() for p in coder.model.parameters())

    data = read("iris")
    asked = design(
        data, families="plain", facets="reconstruction,features", replicates=2, configs=1, plan=Plan(steps=5, check=5)
    )
    (usual,) = asked.families["plain"]
    widths = [{**usual, "recipe": {**usual["recipe"], "hidden": [width]}} for width in (3, 9)]
    asked = dataclasses.replace(asked, families={"plain": widths})
    for facet, criterion in (("features", size), ("reconstruction", lambda *given: -size(*given))):
        monkeypatch.setitem(FACETS, facet, dataclasses.replace(FACETS[facet], criterion=criterion))
    store = Store(tmp_path / "study")
    store.create(asked.to_json(), {})
    for job in asked.jobs():
        if job.name.kind == "family":
            perform(job, data, store)
    found = Study(tmp_path / "study")
    for facet, width in (("features", 3), ("reconstruction", 9)):
        counts = 2 * (4 * width + width * asked.latents) + 2 * width + asked.latents + 4
        assert found.scores(facet, "parameters")["plain"].tolist() == [counts, counts]
        assert found.model("plain", facet).parameters == counts
        assert (found.scores(facet, "rows_per_second")["plain"] > 0).all()
        took = [record.configs[record.facets[facet].config].seconds for record in found.records]
        assert found.scores(facet, "train_seconds")["plain"].tolist() == took


@pytest.mark.slow
def test_cost_is_measured_once_for_each_configuration(tmp_path):
    found = compare("iris", out=tmp_path / "study", jobs=1, **{**SMALL, "facets": "reconstruction,cost"})
    for record in found.records:
        if record.job.kind == "family":
            chosen = record.facets["cost"].config
            assert record.facets["reconstruction"].config == chosen
            assert record.configs[chosen].cost == record.facets["cost"].metrics
            assert all(not one.cost for i, one in enumerate(record.configs) if i != chosen)


def test_the_first_replicate_leaves_exhibits(study):
    for record in study.records:
        path = study.folder / "runs" / record.id / "exhibits.safetensors"
        assert path.exists() == (record.job.kind == "family" and record.job.replicate == 0)
        if path.exists():
            shown = load_file(path)
            assert shown["rows"].shape == shown["reconstructions"].shape == (8, 4)
            assert shown["filters"].shape == (2, 4)
            assert shown["map"].shape == (record.sizes["test"], 2)
            assert shown["map_label"].shape == (record.sizes["test"],)


def test_scaling_knows_the_training_rows_only(study):
    data = study_data(study)
    job = next(job for job in study.design.jobs() if job.name.view == "all")
    wild = data.x.copy()
    rows = prepare(job, data).rows
    wild[np.concatenate([rows.valid, rows.test])] *= 1000
    assert prepare(job, dataclasses.replace(data, x=wild)).layout.to_json() == prepare(job, data).layout.to_json()


def test_anomalies_are_in_the_test_rows_only(study):
    data = study_data(study)
    for job in study.design.jobs():
        if job.name.view == "normal":
            material = prepare(job, data)
            out = np.flatnonzero(np.isin(data.y, [data.classes.index(one) for one in job.name.outliers]))
            assert not np.isin(out, np.concatenate([material.rows.train, material.rows.valid])).any()
            assert np.isin(out, material.rows.test).any()
            assert material.odd is material.splits.odd is None, "nobody knows the class that plays the anomaly"
            assert (material.splits.test.y == np.isin(material.rows.test, out)).all()
            assert not material.splits.train.y.any()


def test_declared_anomalies_that_are_not_tested_may_choose_a_score():
    data = read("iris", anomaly="virginica")
    job = next(job for job in design(data, facets="anomaly", replicates=2).jobs() if job.name.view == "normal")
    material = prepare(job, data)
    rest = np.setdiff1d(np.flatnonzero(data.y == 2), material.rows.test)
    assert material.odd.tolist() == rest.tolist()
    np.testing.assert_array_equal(material.splits.odd, material.layout.apply(data.x[rest]))


@pytest.mark.slow
def test_the_choice_never_sees_a_test_row(study, tmp_path, monkeypatch):
    """A facet whose test metric and criterion disagree on purpose: the criterion decides, on rows that are not test."""
    seen = []

    def criterion(subject, splits):
        seen.append(len(splits.test.x))
        return -float(subject.plan.learning_rate)  # says: the largest learning rate is best

    def measure(subject, splits):
        seen.append(len(splits.test.x))
        return {"mse": float(subject.fitted.plan.learning_rate)}  # says: the smallest is

    facet = dataclasses.replace(FACETS["reconstruction"], criterion=criterion, measure=measure)
    monkeypatch.setitem(FACETS, "reconstruction", facet)
    data = read("iris")
    planned = design(
        data, families="plain", facets="reconstruction", replicates=2, configs=5, plan=Plan(steps=2, check=1)
    )
    store = Store(tmp_path / "study")
    store.create(planned.to_json(), {})
    job = next(job for job in planned.jobs() if job.name.name == "plain")
    record = perform(job, data, store)
    rates = [config.learning_rate for config in record.configs]
    assert record.facets["reconstruction"].config == int(np.argmax(rates))
    assert record.facets["reconstruction"].metrics["mse"] == max(rates)
    assert seen == [0, 0, 0, 0, 0, record.sizes["test"]]  # five blind criteria, then the test rows once


def test_nan_never_wins_and_ties_go_to_the_first():
    assert choose([{"f": None}, {"f": 3.0}, {"f": 1.0}, {"f": 1.0}], "f") == 2
    assert choose([{"f": None}, {"f": None}], "f") is None
    assert choose([{}], "f") is None


@pytest.mark.slow
def test_a_diverged_family_is_marked_and_has_no_score(tmp_path):
    study = compare(
        "iris",
        families="plain",
        facets="reconstruction",
        replicates=2,
        configs=1,
        plan=Plan(steps=60, check=20, learning_rate=1e12),
        out=tmp_path / "study",
        jobs=1,
    )
    assert [record.job.name for record in study.diverged] == ["plain", "plain"]
    assert np.isnan(study.scores("reconstruction")["plain"]).all()
    assert np.isfinite(study.scores("reconstruction")["pca"]).all()
    assert "NaN" not in "".join(p.read_text() for p in study.folder.rglob("*.json"))
    verdict = study.verdict()["reconstruction"]
    assert verdict.excluded == {"plain": "training diverged in 2 of 2 replicates"}
    assert (verdict.outcome, verdict.autoencoder, verdict.leader) == ("no contest", None, "pca")


def test_a_verdict_counts_pca_among_the_rivals_and_knows_the_split(study):
    for facet, verdict in study.verdict().items():
        assert (verdict.facet, verdict.metric) == (facet, FACETS[facet].primary)
        assert set(verdict.means) | set(verdict.excluded) == set(study.contenders(facet))
        assert set(verdict.rivals) == {"pca", *FACETS[facet].rivals_on("dictionaries")}
        for name, mean in verdict.means.items():
            assert mean == pytest.approx(study.scores(facet)[name].mean())
    assert study.verdict()["reconstruction"].test_fraction == pytest.approx(30 / 90)
    assert study.verdict()["anomaly"].test_fraction == pytest.approx(20 / 60, abs=0.02)


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("constant_scorer", "its scores do not distinguish rows"),
        ("untrained_scorer", "training did not improve the model"),
    ],
)
def test_a_scorer_that_is_none_is_excluded_with_the_reason(study, flag, words):
    def mark(record):
        if (record.job.name, record.job.view, record.job.replicate) != ("knn", "normal", 1):
            return record
        choice = record.facets["anomaly"]
        marked = choice.model_copy(update={"metrics": {**choice.metrics, flag: 1.0}})
        return record.model_copy(update={"facets": {"anomaly": marked}})

    doubted = Study(study.folder)
    doubted.records = [mark(record) for record in study.records]
    verdict = doubted.verdict()["anomaly"]
    assert verdict.excluded == study.verdict()["anomaly"].excluded | {"knn": f"{words} in 1 of 2 replicates"}
    assert "knn" not in verdict.means
    assert not doubted.verdict()["reconstruction"].excluded


@pytest.mark.slow
def test_without_labels_one_training_answers_and_the_anomalies_are_said_to_be_made_up(tmp_path):
    rows = read("iris").x
    found = compare(rows, out=tmp_path / "study", jobs=1, **SMALL)
    assert {record.job.view for record in found.records} == {"all"}
    assert found.total == 2 * (
        3 + len(FACETS["reconstruction"].rivals_on("dictionaries")) + len(FACETS["anomaly"].rivals_on())
    )
    verdict = found.verdict()["anomaly"]
    assert (verdict.metric, set(verdict.means)) == (
        "auroc_planted",
        {"plain", "topk", "pca", *FACETS["anomaly"].rivals_on()},
    )
    assert np.isfinite(found.scores("anomaly")["knn"]).all()
    assert np.isnan(found.scores("anomaly", "auroc")["knn"]).all()
    assert any("like the synthetic ones" in line for line in found.recommendation())
    assert "Synthetic anomalies were used instead" in found.report().read_text(encoding="utf-8")


@pytest.mark.slow
def test_anomalies_that_stay_in_training_change_the_anomaly_facet_and_are_told(study, tmp_path):
    options = SMALL | {"facets": "anomaly", "families": "plain", "contamination": 0.1}
    dirty = compare("iris", out=tmp_path / "study", jobs=1, **options)
    assert (dirty.scores("anomaly")["knn"] < study.scores("anomaly")["knn"]).any()
    rows = {r.job.replicate: r.sizes["train"] for r in dirty.records}
    assert all(rows[r.job.replicate] == r.sizes["train"] + 7 for r in study.records if r.job.view == "normal")
    assert "a share of 0.1 of the training rows was anomalies" in dirty.report().read_text(encoding="utf-8")
    with pytest.raises(BadInput, match=r"contamination 0\.4 needs 40 anomalies"):
        outline("iris", **options | {"contamination": 0.4})


def test_a_study_speaks_for_itself_in_text_and_in_notebooks(study):
    text, page = repr(study), study._repr_html_()
    assert text.startswith(f"Study of iris: {study.total} of {study.total} runs; 3 families, 2 replicates\n")
    assert all(line in text for line in study.recommendation())
    assert study.recommendation("zh") != study.recommendation()
    assert page.count("<tr>") == 1 + len(study.purposes())
    hostile = Study(study.folder)
    hostile.design.data["name"] = "<script>alert(1)</script>"
    assert "<script>" not in hostile._repr_html_()


def test_a_report_lies_in_the_folder_or_where_asked(study, tmp_path):
    assert study.report(tmp_path / "page.html", lang="zh") == tmp_path / "page.html"
    assert 'lang="zh' in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert study.report() == study.folder / "report.html"


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow"])
def test_the_frame_holds_every_score(study, kind):
    frame = study.to_frame(kind)
    columns = frame.column_names if kind == "pyarrow" else list(frame.columns)
    assert columns[:3] == ["facet", "metric", "contender"]
    rows = (
        frame.to_pylist() if kind == "pyarrow" else frame.to_dict("records") if kind == "pandas" else frame.to_dicts()
    )
    table = {
        (r["contender"], r["replicate"]): r["value"] for r in rows if (r["facet"], r["metric"]) == ("anomaly", "auroc")
    }
    assert table == {(who, i): v for who, values in study.scores("anomaly").items() for i, v in enumerate(values)}


def test_an_unknown_frame_or_facet_is_one_line(study):
    with pytest.raises(BadInput, match="kind must be pandas, polars or pyarrow"):
        study.to_frame("excel")
    with pytest.raises(BadInput, match="no facet 'cost'"):
        study.scores("cost")


def test_data_that_cannot_be_split_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(BadInput, match="at least 10"):
        compare(np.eye(5), out=tmp_path / "study", jobs=1)
    assert not list(tmp_path.iterdir())


def test_the_folder_is_named_after_the_data(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert outline("iris", **SMALL).folder == tmp_path / "isthmus-iris"
    assert not list(tmp_path.iterdir())


def test_every_option_reaches_the_design(tmp_path):
    planned = outline(
        "iris",
        families="l1",
        facets="reconstruction",
        replicates=3,
        configs=4,
        steps=17,
        latents=3,
        hidden=(5,),
        seed=9,
    ).design
    assert list(planned.families) == ["l1", "pca"]
    assert (planned.facets, planned.replicates, planned.configs) == (["reconstruction"], 3, 4)
    assert (planned.plan["steps"], planned.latents, planned.hidden, planned.seed) == (17, 3, [5], 9)
    assert outline("iris", plan=Plan(batch=7)).design.plan["batch"] == 7


@pytest.mark.slow
def test_a_budget_is_met_and_a_continued_study_keeps_what_it_gave_up(tmp_path, monkeypatch):
    options = {**SMALL, "families": "plain", "facets": "reconstruction", "configs": 4}
    del options["steps"]
    asked = []

    def probed(data, planned, *, workers, limit, tell):
        asked.append(limit)
        return cheap(workers, step=0.1)

    monkeypatch.setattr("isthmus.study.outline.estimate", probed)
    first = compare("iris", budget="5m", out=tmp_path / "study", jobs=1, **options)
    again = compare("iris", budget=300, out=tmp_path / "study", jobs=1, **options)
    assert asked == [15.0]  # a twentieth of the budget, once
    assert first.design == again.design
    assert first.design.configs < 4
    assert first.note["given_up"]["configs"] == [4, first.design.configs]
    with pytest.raises(BadInput, match="exclude each other"):
        compare("iris", budget="5m", steps=3, out=tmp_path / "study", **options)


def cheap(workers=1, step=1e-4):
    """What an estimate may be: every step of a family takes ``step`` seconds, all else nothing."""
    return Estimate({"plain": Reading(0.0, step), "pca": Reading(0.0)}, {}, {}, {}, 0.0, workers or 1)


@pytest.mark.parametrize(("text", "value"), [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1.5h", 5400.0), (2.5, 2.5)])
def test_a_budget_reads_times(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5 minutes", "-3", "0", "nan", "1e9h"])
def test_a_budget_refuses_what_is_no_time(text):
    with pytest.raises(BadInput, match=r"budget must be a time like 90s, 5m or 1\.5h"):
        seconds(text)


@pytest.mark.parametrize("jobs", [0, -1, 1.5, True])
def test_workers_must_be_a_number(jobs, tmp_path):
    with pytest.raises(BadInput, match="jobs must be a whole number of at least 1"):
        compare("iris", jobs=jobs, out=tmp_path / "study", **SMALL)
    assert not (tmp_path / "study").exists()


def test_a_locked_study_is_refused(study):
    with Store(study.folder).locked(), pytest.raises(BadEnvironment, match="another isthmus process"):
        compare("iris", out=study.folder, jobs=1, **SMALL)


@pytest.mark.slow
def test_a_damaged_run_is_reported_and_repaired(study, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(study.folder, folder)
    record = study.records[0]
    path = folder / "runs" / record.id / "record.json"
    path.write_text(path.read_text().replace('"ok"', '"OK"', 1))
    assert list(Study(folder).damaged) == [record.id]
    assert not Study(folder).complete
    mended = compare("iris", out=folder, jobs=1, **SMALL)
    assert list(mended.repaired) == [record.id]
    assert mended.complete
    assert essence(folder) == essence(study.folder)
