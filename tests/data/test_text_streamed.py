"""Free text of rows that stay in their file: terms of the drawn rows, the same training for any readers."""

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.layout import Table
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.train.checkpoint import Checkpoint
from isthmus.train.memory import affordable
from isthmus.train.plan import Plan

random = np.random.default_rng(0)
WORDS = [f"{a}{b}" for a in ("good", "poor", "long", "dull", "warm", "cold") for b in ("film", "plot", "cast", "song")]
N = 900
TEXTS = [None if i % 50 == 49 else " ".join(random.choice(WORDS, random.integers(6, 12))) for i in range(N)]
FRAME = pd.DataFrame({"review": TEXTS, "stars": random.normal(size=N), "city": random.choice(["Oslo", "Rome"], N)})
PLAN = Plan(steps=20, batch=32, check=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("texts")
    FRAME.to_parquet(place / "t.parquet", row_group_size=70)
    FRAME.to_csv(place / "t.csv")
    return place


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["text", "characters", "hashed"])
@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_terms_are_those_of_the_drawn_rows_and_lay_out_all(folder, name, kind):
    known, near = survey(source(folder / name, kinds={"review": kind}), rows=150), read(folder / name)
    assert [one.kind for one in known.source.fields] == [kind, "number", "category"]
    drawn = near.x[known.drawn.train]
    own = Table.fit(drawn, known.source.fields)
    assert known.layout.columns[0].to_json() == own.columns[0].to_json()
    assert known.layout.absent[0] == pytest.approx(
        np.mean([TEXTS[i] is None for i in np.concatenate([known.numbers(k) for k in range(len(known.sizes))])])
    )
    block = len(known.sizes) // 2
    laid = np.concatenate(list(known.load(block)))
    np.testing.assert_array_equal(laid, known.layout.apply(near.x[known.numbers(block)]))
    assert (known.x[:, 0] == near.x[np.concatenate(known.drawn), 0]).mean() > 0.95  # a gap is not equal to a gap
    assert any(
        "'review': terms are taken and weighed of the training rows that are drawn" in said
        for said in known.source.told
    )


def test_free_text_is_told_as_in_memory(folder):
    known = survey(source(folder / "t.parquet"), rows=150)
    assert [one.kind for one in known.source.fields] == [one.kind for one in read(folder / "t.parquet").fields]
    assert known.source.most > source(folder / "t.parquet").most + 70 * 60
    assert affordable(known.source, "2GiB", 2) == 2


@pytest.mark.slow
def test_a_training_ends_alike_for_any_readers_and_after_a_stop(folder, tmp_path):
    rows, recipe = source(folder / "t.parquet", kinds={"review": "hashed"}), isthmus.named("plain")
    fits = [isthmus.fit(recipe, rows, plan=PLAN, readers=n) for n in (1, 2, 4)]

    def stop(check):
        if check.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isthmus.fit(recipe, rows, plan=PLAN, watch=stop, checkpoint=Checkpoint(tmp_path / "kept", 0.0))
    fits.append(isthmus.fit(recipe, rows, plan=PLAN, readers=3, checkpoint=Checkpoint(tmp_path / "kept", 0.0)))
    ways = [one.encode(FRAME) for one in fits]
    assert all((way == ways[0]).all() for way in ways[1:])


@pytest.mark.slow
@pytest.mark.slow
def test_the_command_line_trains_on_free_text_and_its_model_scores(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["train", "plain", str(folder / "t.csv"), "--memory", "2GiB", "--out", "m", "--steps", "20"]
    assert main([*line, "--label", "city", "--measure", "none"]) == 0
    assert "terms are taken and weighed" in capsys.readouterr().err
    assert main(["score", "m", str(folder / "t.csv"), "--out", "s.csv"]) == 0
    assert pd.read_csv("s.csv")["score"].notna().all()
