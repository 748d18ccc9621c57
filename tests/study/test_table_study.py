"""A study of a table with words and gaps, end to end: run, read back, examined, taken, repeated."""

import json
import pickle
import warnings

import cloudpickle
import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli.app import run
from isthmus.data.read import read
from isthmus.study.examine import data_of, examine

CITIES = np.array(["Bergen", "Oslo", "Rome"])
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("few_trees")]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rng = np.random.default_rng(0)
    place = rng.integers(0, 3, 150)
    frame = pd.DataFrame(
        {
            "size": 10.0 * place + rng.normal(size=150),
            "city": CITIES[place],
            "code": rng.integers(0, 4, 150),
            "old": rng.choice([1.0, 2.0, 3.0], 150),
            "who": [f"name {i}" for i in range(150)],
            "kind": np.where(place == 2, "far", "near"),
        }
    )
    frame.loc[::9, "size"] = np.nan
    frame.loc[::11, "old"] = -99
    path = tmp_path_factory.mktemp("table") / "people.csv"
    frame.to_csv(path, index=False)
    return path


def test_rows_of_which_a_column_is_set_aside_can_be_sent_to_a_worker(file):
    """Why it is set aside is a text in both languages, which goes along."""
    rows = read(str(file), label="kind")
    sent = pickle.loads(cloudpickle.dumps(rows, protocol=5))
    assert [(name, why.of("zh")) for name, why in sent.aside.items()] == [
        (name, why.of("zh")) for name, why in rows.aside.items()
    ]
    assert rows.aside


@pytest.fixture(scope="module")
def study(file):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        made = isthmus.compare(
            file,
            label="kind",
            kinds={"code": "category"},
            missing=[-99],
            families="plain,vae",
            facets="reconstruction,features,anomaly,generation",
            replicates=2,
            configs=1,
            steps=60,
            jobs=1,
            out=file.with_name("study"),
        )
    made.said = [str(one.message) for one in said]
    return made


def test_every_run_ends_well_and_what_was_inferred_is_said(study):
    assert {record.status for record in study.records} == {"ok"}
    said = " ".join(study.said)
    assert "'city'" in said
    assert "categories" in said
    assert "31 cells are missing" in said or "cells are missing" in said
    assert "column 'who' is set aside" in said
    columns = {field["name"]: field["kind"] for field in study.design.data["fields"]}
    assert columns == {"size": "number", "city": "category", "code": "category", "old": "number"}


def test_scores_are_finite_and_better_than_nothing(study):
    scores = study.scores("reconstruction")
    assert all(np.isfinite(values).all() for values in scores.values())
    assert np.mean(scores["pca"]) > 0.3


def test_the_data_are_read_again_as_they_were_and_found_sound(study):
    data, why = data_of(study)
    assert why == ""
    assert {one.finding.name for one in examine(study, data)} <= {"stopped too early", "leakage between splits"}


def test_a_changed_file_is_noticed(study, file, tmp_path):
    other = tmp_path / "people.csv"
    other.write_text(file.read_text().replace("Rome", "Roma"))
    with pytest.raises(isthmus.errors.BadInput, match="no longer holds the rows"):
        data_of(study, str(other), "kind")


def test_the_page_names_columns_and_the_model_is_taken_with_them(study, tmp_path):
    page = study.report(tmp_path / "page.html").read_text()
    assert "city" in page
    model = study.model("plain", "reconstruction", 0)
    isthmus.save(model, tmp_path / "m")
    assert [field.name for field in isthmus.load(tmp_path / "m").fields] == ["size", "city", "code", "old"]


def test_the_command_line_takes_kinds_drops_and_missing_numbers(file, tmp_path, capsys):
    options = ["--label", "kind", "--kind", "code=category", "--drop", "who", "--missing", "-99", "--steps", "20"]
    assert (
        run(["train", "plain", str(file), *options, "--out", str(tmp_path / "m"), "--measure", "none", "--json"]) == 0
    )
    json.loads(capsys.readouterr().out)
    assert run(["impute", str(tmp_path / "m"), str(file), "-o", str(tmp_path / "whole.csv")]) == 0
    before, after = pd.read_csv(file), pd.read_csv(tmp_path / "whole.csv")
    assert after["size"].notna().all()
    there = before["size"].notna()
    np.testing.assert_allclose(after["size"][there], before["size"][there], rtol=1e-12)
    assert (after["who"] == before["who"]).all()
    assert (before["old"] == -99).any()  # which the model knows to be no number
    assert after["old"].between(0, 4).all()
    assert run(["impute", str(tmp_path / "m"), str(file), "-o", str(tmp_path / "whole.parquet")]) == 0
    pd.testing.assert_series_equal(pd.read_parquet(tmp_path / "whole.parquet")["size"], after["size"], rtol=1e-9)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--kind", "code"], "--kind takes COLUMN=KIND"),
        (["--kind", "code=colour"], "cannot be of kind 'colour'"),
        (["--kind", "cod=category"], "did you mean 'code'"),
        (["--drop", "nobody"], "no column 'nobody'"),
    ],
)
def test_options_that_make_no_sense_get_one_line(file, option, said):
    with pytest.raises(isthmus.errors.BadInput, match=said):
        run(["train", "plain", str(file), *option])
