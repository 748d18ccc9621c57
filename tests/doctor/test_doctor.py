"""Every planted failure is named; healthy runs have none."""

import dataclasses
import json
import math
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from patients import found, trained

import isthmus.doctor
from isthmus.answers.findings import count, lines
from isthmus.api.study import compare
from isthmus.doctor import CHECKS, diagnose
from isthmus.doctor.codes import dead_units
from isthmus.doctor.finding import Seen
from isthmus.doctor.words import EN, HOPELESS, KEYS_ZH, MILD, OF_DATA, ZH, numbers
from isthmus.evidence.exclusion import spoils
from isthmus.facets import FACETS
from isthmus.families import DEFAULT, named
from isthmus.families.l1 import L1
from isthmus.families.plain import Plain
from isthmus.families.vae import VAE
from isthmus.families.vq import VQ
from isthmus.report.html import render
from isthmus.study.record import Record
from isthmus.train.plan import Plan

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "calibration" / "doctor.py"
calibration = SimpleNamespace(**runpy.run_path(str(BENCHMARK)))


@pytest.mark.slow
@pytest.mark.parametrize("data", ["wine", "factors"])
def test_healthy_runs_have_no_finding(data):
    """The small version of the benchmark: one family for each idea, as a comparison would train it."""
    runs = list(calibration.healthy(DEFAULT, [data]))
    assert [run.family for run in runs] == list(DEFAULT)
    assert [(run.family, *map(str, run.alarms)) for run in runs if run.alarms] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vae", "vq", "topk", "l1"])
def test_a_healthy_run_on_digits_has_no_finding(name):
    assert not found(named(name), "digits", steps=2000, check=25, patience=3)


@pytest.mark.slow
@pytest.mark.parametrize("learning_rate", [1e6, 1e30])
@pytest.mark.parametrize("name", ["plain", "vae", "vq", "topk"])
def test_a_wild_learning_rate_diverges(name, learning_rate):
    first, *_ = said = diagnose(*trained(named(name).set_params(latents=4), learning_rate=learning_rate))
    assert first.name == "diverged"
    assert "learning rate" in first.remedy
    assert first.evidence["term"] in trained(named(name).set_params(latents=4))[0].model.weights
    assert first.evidence["step"] >= 1
    plain = [v for finding in said for v in finding.evidence.values() if not isinstance(v, str)]
    assert all(math.isfinite(value) for value in plain)


def test_weights_that_are_not_finite_are_divergence_whatever_the_status():
    fitted, train, valid = trained(Plain(latents=3), steps=50)
    with torch.no_grad():
        fitted.model.encoder.last.bias[0] = math.nan
    assert [finding.name for finding in diagnose(fitted, train, valid)] == ["diverged"]


@pytest.mark.slow
def test_posterior_collapse():
    said = found(VAE(latents=4, beta=1000.0))
    assert set(said) <= {"posterior collapse", "constant output", "constant code", "stopped too early"}
    evidence = said["posterior collapse"].evidence
    assert (evidence["active_units"], evidence["units"]) == (0, 4)
    assert evidence["explained_variance"] < 0.1
    assert "beta" in said["posterior collapse"].remedy


def test_all_units_dead():
    said = found(L1(latents=4, strength=1000.0))
    assert {"dead units", "constant code", "constant output"} <= set(said)
    assert said["dead units"].evidence["dead_units"] == 4
    assert said["constant output"].evidence["explained_variance"] < 0.01


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
    said = {f.name: f for f in diagnose(fitted, train, valid)}
    assert said["codebook collapse"].evidence == {"perplexity": 1.0, "entries": 16.0, "usage": 1 / 16}
    assert "constant code" in said


@pytest.mark.parametrize("learning_rate", [10.0, 30.0])
@pytest.mark.parametrize("data", ["wine", "iris"])
def test_nothing_learnt(data, learning_rate):
    """The first steps throw the weights far away; what is won back on the way home was seen, and is no progress."""
    fitted, train, valid = trained(Plain(latents=2), data, steps=100, learning_rate=learning_rate)
    assert fitted.outcome.best_step == 0
    assert diagnose(fitted, train, valid)[0].name == "not trained"


def test_progress_that_validation_did_not_see():
    fitted, train, valid = trained(Plain(latents=2))
    for seen, name in (([1.0, 1.2, 1.1], "progress unseen"), ([1.0, 9.0, 3.0], "not trained")):
        history = {"step": [0.0, 50.0, 100.0], "train": [math.nan, 0.9, 0.3], "valid": seen}
        outcome = dataclasses.replace(fitted.outcome, best_step=0, history=history)
        assert diagnose(dataclasses.replace(fitted, outcome=outcome), train, valid)[0].name == name


@pytest.mark.parametrize(("tail", "early"), [(1.0, True), (0.015, False)])
def test_stopped_while_the_loss_still_fell(tail, early):
    fitted, train, valid = trained(Plain(latents=2))
    steps = [0.0, 100.0, 200.0, 300.0, 400.0, 500.0]
    history = {"step": steps, "valid": [10.0, 4.0, 3.0, 2.0, 2.0, 2.0 - tail]}
    for status, want in (("cut", early), ("converged", False)):
        outcome = dataclasses.replace(fitted.outcome, status=status, steps=500, history=history)
        said = diagnose(dataclasses.replace(fitted, outcome=outcome), train, valid)
        assert ("stopped too early" in [f.name for f in said]) == want


def test_a_training_in_stages_can_stop_too_early_too():
    fitted, train, valid = trained(Plain(latents=2))
    history = {"step": [0.0, 50.0, 100.0, 200.0], "valid": [math.nan, math.nan, 10.0, 1.0]}
    outcome = dataclasses.replace(fitted.outcome, status="cut", steps=200, history=history)
    said = {f.name: f for f in diagnose(dataclasses.replace(fitted, outcome=outcome), train, valid)}
    assert said["stopped too early"].evidence == {"steps": 200, "promised_gain": 1.0, "steps_needed": 800}


def test_every_name_has_words_in_both_languages_and_a_finding_reads_as_one_line():
    untrained = {"diverged", "no training step ran", "progress unseen", "not trained", "schedule too long"}
    checked = untrained | {"broken column", *CHECKS}
    assert checked | {"leakage between splits", "metric inconsistency"} == set(EN) == set(ZH)
    assert set(MILD) | set(OF_DATA) | set(HOPELESS) <= set(EN)
    assert {defect for facet in FACETS.values() for defect in facet.spoiled_by} <= set(EN)
    assert all(all(text) for text in [*EN.values(), *ZH.values()])
    (first, *_) = diagnose(*trained(VAE(latents=4, beta=1000.0)))
    assert str(first).startswith("posterior collapse: the code says")
    assert "\n" not in str(first)
    assert numbers({"dead_units": 3.0, "term": "kl", "rows": None}, "zh") == "失活单元 3，损失项 kl"
    assert numbers({"column": "a\x1b[31m\n" + "b" * 99}) == "column a\ufffd[31m\ufffd" + "b" * 53


def test_evidence_is_said_in_chinese_throughout():
    """Every key that a check can give, read off its source."""
    for source in Path(isthmus.doctor.__file__).parent.glob("*.py"):
        for key in re.findall(r'"([a-z_]+)": ', source.read_text(encoding="utf-8")):
            if source.name not in {"words.py", "__init__.py"}:
                assert key.replace("_", " ") in KEYS_ZH


def test_what_spoils_which_facet():
    for name in ("diverged", "not trained", "posterior collapse", "constant code"):
        assert all(spoils(name, facet) for facet in FACETS)
    copied = [facet for facet in FACETS if spoils("identity copying", facet)]
    assert copied == ["reconstruction", "compression", "anomaly"]
    assert not any(spoils(name, facet) for name in (*MILD, *OF_DATA, "metric inconsistency") for facet in FACETS)


def test_the_same_run_gets_the_same_findings_and_is_left_as_it_was():
    fitted, train, valid = trained(VAE(latents=4, beta=1000.0))
    before = {k: v.clone() for k, v in fitted.model.state_dict().items()}
    assert diagnose(fitted, train, valid) == diagnose(fitted, train, valid)
    assert all(torch.equal(v, before[k]) for k, v in fitted.model.state_dict().items())


def test_a_few_rows_are_enough():
    fitted, train, valid = trained(VQ(latents=4, codes=16), steps=100)
    for rows in ((train[:1], valid[:1]), (train[:2], valid[:2]), (train, valid[:0])):
        said = diagnose(fitted, *rows)
        assert all(math.isfinite(v) for one in said for v in one.evidence.values() if not isinstance(v, str))


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


@pytest.mark.slow
def test_planted_failures_stand_in_record_report_and_sentences_and_win_nothing(ill):
    by = {}
    for record in ill.records:
        by.setdefault(record.job.name, []).append({f.name for f in record.findings})
    assert all("posterior collapse" in found for found in by["vae"])
    assert all("dead units" in found for found in by["l1"])
    assert not any(by["plain"] + by["pca"])
    assert {verdict.leader for verdict in ill.verdict().values()} <= {"plain", "pca", "raw columns"}
    assert all(v.excluded["vae"] == "posterior collapse in 3 of 3 replicates" for v in ill.verdict().values())
    said = "\n".join(ill.recommendation())
    assert "VAE: posterior collapse in 3 of 3 runs (active units 0" in said
    assert "后验坍缩" in "\n".join(ill.recommendation("zh"))
    for lang, word in (("en", "posterior collapse"), ("zh", "后验坍缩")):
        page = render(ill, lang)
        assert page.count(word) >= 2  # above all answers, and in the table
        text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
        assert not re.search(r"\b(nan|inf|None)\b", text)


@pytest.mark.slow
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


@pytest.mark.slow
def test_records_from_before_the_doctor_still_load(ill):
    old = ill.records[0].model_dump(mode="json")
    del old["findings"]
    assert Record.model_validate_json(json.dumps(old)).findings == []


def test_remarks_count_runs_once_for_each_defect():
    finding = {"config": 0, "name": "dead units", "evidence": {"dead_units": 3.0, "rows": None}}
    record = {"job": {"name": "mine"}, "findings": [finding, finding | {"config": 1}]}
    healthy = {"job": {"name": "mine"}, "findings": []}
    (one,) = count([record, healthy])
    assert (one.n, one.total, one.numbers("en")) == (1, 2, "dead units 3")
    assert lines([one]) == ["mine: dead units in 1 of 2 runs (dead units 3)."]
    mild = dataclasses.replace(one, name="stopped too early")
    assert lines([mild]) == []


def test_what_the_data_share_is_said_once_and_counts_splits():
    leak = {"config": 0, "name": "leakage between splits", "evidence": {"copies": 9.0}}
    runs = [
        {"job": {"name": name, "view": "all", "replicate": r}, "findings": [leak] * (r == 1)}
        for name in ("plain", "pca")
        for r in range(3)
    ]
    (one,) = count(runs)
    assert (one.who, one.n, one.total) == (None, 1, 3)
    assert lines([one]) == ["Data: leakage between splits in 1 of 3 splits (copies 9)."]
    assert lines([one], "zh") == ["数据：3 次划分中有 1 次出现划分间泄漏（副本 9）。"]


def test_rare_units_are_not_dead_and_all_rows_are_looked_at_before_that_is_said():
    """Of 40 units 30 fire on one row in 3,000: most are silent on any 1,024 rows, and none is dead."""
    count, units = 12_000, 40
    codes = np.zeros((count, units), np.float32)
    codes[:, :10] = 1.0
    for unit in range(10, units):
        codes[np.random.default_rng(unit).permutation(count)[:4], unit] = 1.0
    numbers = np.arange(count, dtype=np.float32)[:, None]

    def fitted(table):
        return SimpleNamespace(model=None, encode_scaled=lambda x: table[x[:, 0].astype(int)])

    assert dead_units(Seen.of(fitted(codes), numbers, numbers[:9])) is None
    silent = codes.copy()
    silent[:, 12:] = 0.0
    assert dead_units(Seen.of(fitted(silent), numbers, numbers[:9])) == {
        "dead_units": 28,
        "units": units,
        "rows": count,
    }
    once = silent.copy()
    once[np.arange(9), np.arange(12, 21)] = 1.0  # nine units that fire once speak for nine that have not yet
    assert dead_units(Seen.of(fitted(once), numbers, numbers[:9])) is None
