"""A training that failed is done again with smaller steps, before anybody is excluded for it; and that is told."""

import numpy as np
import pytest

from isthmus.answers.words import Words
from isthmus.data.read import read
from isthmus.report.method import _lowered
from isthmus.study import perform
from isthmus.study.design import design
from isthmus.study.material import prepare
from isthmus.study.store import Store
from isthmus.train.plan import Plan

FAST = {"steps": 300, "check": 20, "learning_rate": 1.0}


def smooth(rows=120, columns=30):
    """Rows made of three waves: with large steps a VAE throws its weights away at once."""
    stream, t = np.random.default_rng(0), np.linspace(0, 1, columns)
    z = stream.normal(size=(rows, 3))
    waves = np.stack([np.sin((j + 1) * np.pi * t + j) for j in range(3)])
    return read(z @ waves + 0.01 * stream.normal(size=(rows, columns)))


@pytest.fixture(scope="module")
def data():
    return smooth()


def first(data, **options):
    return design(data, facets="reconstruction", replicates=2, configs=1, **options).jobs()[0]


@pytest.fixture(scope="module")
def record(data, tmp_path_factory):
    planned = design(data, facets="reconstruction", replicates=2, configs=1, families="vae", plan=FAST)
    store = Store(tmp_path_factory.mktemp("study"))
    store.create(planned.to_json(), {"source": "rows", "label": None})
    with store.working():
        return perform.perform(planned.jobs()[0], data, store)


@pytest.mark.slow
def test_what_fails_is_trained_with_smaller_steps_and_is_scored(record):
    (config,) = record.configs
    assert config.lowered_from == 1.0
    assert config.learning_rate < 0.5
    assert config.best_step > 0
    assert not {"not trained", "diverged"} & {one.name for one in record.findings}
    assert record.facets["reconstruction"].metrics["explained_variance"] > 0.8


@pytest.mark.parametrize(("lang", "told"), [("en", "VAE: 1 of 1 trainings failed"), ("zh", "VAE：1 次训练中有 1 次")])
def test_the_page_says_so(record, lang, told):
    (line,) = _lowered([record.model_dump()], Words(lang), {"vae": "VAE"})
    assert line.startswith(told)
    assert f"1/{round(1 / record.configs[0].learning_rate)}" in line


def test_what_fails_at_every_rate_stays_as_it_was_asked(data):
    job = first(data, families="plain", plan=Plan(steps=40, check=20, learning_rate=1e12))
    (one,) = perform.finish(job, data, prepare(job, data))
    assert one.outcome.status == "diverged"
    assert one.plan.learning_rate == 1e12


def test_nobody_is_trained_twice_where_nothing_failed(data, monkeypatch):
    calls, usual = [], perform.fit_many
    monkeypatch.setattr(perform, "fit_many", lambda *given, **more: calls.append(given) or usual(*given, **more))
    for families in ("plain", "pca"):
        job = first(data, families=families, plan=Plan(steps=40, check=20))
        perform.finish(job, data, prepare(job, data))
    assert len(calls) == 2


@pytest.mark.slow
def test_a_race_goes_on_at_the_rate_that_served(data):
    planned = design(
        data, families="vae", facets="reconstruction", replicates=2, configs=4, racing=True, plan=FAST | {"steps": 400}
    )
    job = planned.jobs()[0]
    raced, stopped, _ = perform.race(job, data, prepare(job, data))
    asked = [config["learning_rate"] for config in job.body["configs"]]
    assert len(stopped) < len(raced)
    assert all(one.plan.learning_rate < rate for one, rate in zip(raced, asked, strict=True))
    assert {one.plan.steps for one in raced} == {400}
