"""Every planted failure is named; healthy runs have none."""

import dataclasses
import functools
import json
import math
import re

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_iris, load_wine

from isthmus.doctor import CHECKS, MEANING, diagnose
from isthmus.families import DEFAULT, named
from isthmus.families.l1 import L1
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.families.vq import VQ
from isthmus.report.html import render
from isthmus.study.compare import compare
from isthmus.study.record import Record
from isthmus.study.remarks import ZH, lines, remarks
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

SETS = {"digits": load_digits, "wine": load_wine, "iris": load_iris}


@functools.cache
def trained(recipe, data="wine", **plan):
    """A model with its scaled training and validation rows."""
    x = np.random.default_rng(0).permutation(SETS[data]().data)
    train, valid = x[: len(x) * 3 // 4], x[len(x) * 3 // 4 :]
    fitted = fit(recipe, train, valid=valid, plan=Plan(**{"steps": 600, "patience": 10, **plan}))
    return fitted, fitted.scaler.apply(train), fitted.scaler.apply(valid)


def names(recipe, data="wine", **plan):
    return [finding.name for finding in diagnose(*trained(recipe, data, **plan))]


@pytest.mark.parametrize("data", ["wine", "iris"])
@pytest.mark.parametrize("name", DEFAULT)
def test_a_healthy_run_has_no_finding(name, data):
    recipe = named(name).set_params(latents=6 if data == "wine" else 2)
    if name == "topk":
        recipe.set_params(k=2)
    assert names(recipe, data, steps=2500, patience=3) == []


@pytest.mark.parametrize("name", ["vae", "vq", "topk", "l1"])
def test_a_healthy_run_on_digits_has_no_finding(name):
    assert names(named(name), "digits", steps=800, check=25, patience=3) == []


@pytest.mark.parametrize("learning_rate", [1e6, 1e30])
@pytest.mark.parametrize("name", ["plain", "vae", "vq", "topk"])
def test_a_wild_learning_rate_diverges(name, learning_rate):
    found = diagnose(*trained(named(name).set_params(latents=4), learning_rate=learning_rate))
    assert found[0].name == "diverged"
    assert "learning rate" in found[0].remedy
    assert all(math.isfinite(value) for finding in found for value in finding.evidence.values())


def test_weights_that_are_not_finite_are_divergence_whatever_the_status():
    fitted, train, valid = trained(Plain(latents=3), steps=50)
    with torch.no_grad():
        fitted.model.encoder.last.bias[0] = math.nan
    assert [finding.name for finding in diagnose(fitted, train, valid)] == ["diverged"]


def test_posterior_collapse():
    found = {f.name: f for f in diagnose(*trained(VAE(latents=4, beta=1000.0)))}
    assert set(found) <= {"posterior collapse", "constant output", "constant code", "stopped too early"}
    evidence = found["posterior collapse"].evidence
    assert (evidence["active_units"], evidence["units"]) == (0, 4)
    assert evidence["explained_variance"] < 0.1
    assert "beta" in found["posterior collapse"].remedy


def test_all_units_dead():
    found = {f.name: f for f in diagnose(*trained(L1(latents=4, strength=1000.0)))}
    assert {"dead units", "constant code", "constant output"} <= set(found)
    assert found["dead units"].evidence["dead_units"] == 4
    assert found["constant output"].evidence["explained_variance"] < 0.01


def test_half_of_the_units_may_be_silent_and_one_more_is_a_finding():
    fitted, train, valid = trained(L1(latents=4, strength=0.001), steps=200, check=10)
    for dead in range(5):
        with torch.no_grad():
            fitted.model.encoder.last.bias[:dead] = -1e3
        assert ("dead units" in [f.name for f in diagnose(fitted, train, valid)]) == (dead > 2)


def test_one_entry_of_the_codebook_used():
    fitted, train, valid = trained(VQ(latents=4, codes=16), steps=100)
    with torch.no_grad():
        fitted.model.books[0].entries[1:] = 1e3
        fitted.model.books[0].entries[0] = 0.0
    found = {f.name: f for f in diagnose(fitted, train, valid)}
    assert found["codebook collapse"].evidence == {"perplexity": 1.0, "entries": 16.0, "usage": 1 / 16}
    assert "constant code" in found


def test_nothing_learnt():
    fitted, train, valid = trained(Plain(latents=2), learning_rate=1e-12)
    bad = dataclasses.replace(fitted, outcome=dataclasses.replace(fitted.outcome, best_step=0))
    assert diagnose(bad, train, valid)[0].name == "not trained"


@pytest.mark.parametrize(("tail", "early"), [(1.0, True), (0.03, False)])
def test_stopped_while_the_loss_still_fell(tail, early):
    fitted, train, valid = trained(Plain(latents=2))
    steps = [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    history = {"step": steps, "valid": [10.0, 4.0, 3.0, 2.0, 2.0, 2.0 - tail]}
    for status, want in (("cut", early), ("converged", False)):
        outcome = dataclasses.replace(fitted.outcome, status=status, steps=500, history=history)
        found = diagnose(dataclasses.replace(fitted, outcome=outcome), train, valid)
        assert ("stopped too early" in [f.name for f in found]) == want


def test_every_name_has_a_meaning_and_a_chinese_title_and_a_finding_reads_as_one_line():
    assert {"diverged", "not trained", *CHECKS} == set(MEANING) == set(ZH)
    (first, *_) = diagnose(*trained(VAE(latents=4, beta=1000.0)))
    assert str(first).startswith("posterior collapse: the code says")
    assert "\n" not in str(first)


def test_the_same_run_gets_the_same_findings_and_is_left_as_it_was():
    fitted, train, valid = trained(VAE(latents=4, beta=1000.0))
    before = {k: v.clone() for k, v in fitted.model.state_dict().items()}
    assert diagnose(fitted, train, valid) == diagnose(fitted, train, valid)
    assert all(torch.equal(v, before[k]) for k, v in fitted.model.state_dict().items())


def test_a_few_rows_are_enough():
    fitted, train, valid = trained(VQ(latents=4, codes=16), steps=100)
    for n in (1, 2):
        diagnose(fitted, train[:n], valid[:n])
    diagnose(fitted, train, valid[:0])


@pytest.fixture(scope="module")
def ill(tmp_path_factory):
    return compare(
        "wine",
        families={
            "vae": VAE(beta=1000.0),
            "l1": L1(strength=1000.0),
            "plain": Plain(),
        },
        facets="reconstruction,features",
        replicates=3,
        configs=1,
        jobs=1,
        plan=Plan(steps=1000),
        out=tmp_path_factory.mktemp("ill") / "study",
    )


def test_planted_failures_stand_in_record_report_and_sentences_and_win_nothing(ill):
    by = {}
    for record in ill.records:
        by.setdefault(record.job.name, []).append({f.name for f in record.findings})
    assert all("posterior collapse" in found for found in by["vae"])
    assert all("dead units" in found for found in by["l1"])
    assert not any(by["plain"] + by["pca"])
    assert {verdict.leader for verdict in ill.verdict().values()} <= {"plain", "pca", "raw"}
    said = "\n".join(ill.recommendation())
    assert "VAE: posterior collapse in 3 of 3 runs (active units 0" in said
    assert "后验坍缩" in "\n".join(ill.recommendation("zh"))
    for lang, word in (("en", "posterior collapse"), ("zh", "后验坍缩")):
        page = render(ill, lang)
        assert page.count(word) >= 2  # above all answers, and in the table
        text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
        assert not re.search(r"\b(nan|inf|None)\b", text)


def test_a_study_in_which_nothing_converged_names_it(tmp_path):
    study = compare(
        "iris",
        families={"plain": Plain(), "vae": VAE()},
        facets="reconstruction",
        replicates=2,
        configs=1,
        jobs=1,
        plan=Plan(steps=200, learning_rate=1e6),
        out=tmp_path / "study",
    )
    found = {record.job.name: [f.name for f in record.findings] for record in study.records}
    assert found["plain"][0] == found["vae"][0] == "diverged"
    assert any("diverged in 2 of 2 runs" in line for line in study.recommendation())
    text = re.sub(r"<(script|style)\b.*?</\1>", "", render(study), flags=re.DOTALL)
    assert not re.search(r"\b(nan|inf|None)\b", text)


def test_records_from_before_the_doctor_still_load(ill):
    old = ill.records[0].model_dump(mode="json")
    del old["findings"]
    assert Record.model_validate_json(json.dumps(old)).findings == []


def test_remarks_count_runs_once_for_each_defect():
    finding = {"config": 0, "name": "dead units", "evidence": {"dead_units": 3.0, "rows": None}}
    record = {"job": {"name": "mine"}, "findings": [finding, finding | {"config": 1}]}
    healthy = {"job": {"name": "mine"}, "findings": []}
    (one,) = remarks([record, healthy])
    assert (one.n, one.total, one.numbers) == (1, 2, "dead units 3")
    assert lines([one]) == ["mine: dead units in 1 of 2 runs (dead units 3)."]
    mild = dataclasses.replace(one, name="stopped too early")
    assert lines([mild]) == []
