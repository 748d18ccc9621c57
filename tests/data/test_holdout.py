"""Groups, times and weights of rows that stay in their file: which rows are held out, and how often others count."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput
from isthmus.train.checkpoint import Checkpoint
from isthmus.train.plan import Plan
from isthmus.train.shuffle import Shuffle
from isthmus.train.stream import Stream

N = 3000
random = np.random.default_rng(0)
FRAME = pd.DataFrame({"row": np.arange(N) + 0.5, "a": random.normal(size=N), "b": random.normal(size=N)})
GROUPS = random.integers(0, 40, N)
TIMES = pd.Timestamp("2020-01-01") + pd.to_timedelta(random.permutation(N) // 3, unit="D")
WEIGHTS = random.choice([0, 1, 3], N)
MIXED = FRAME.assign(city=random.choice(["Oslo", "Rome", None], N))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("beside")
    for name, frame in (("plain", FRAME), ("mixed", MIXED)):
        whole = frame.assign(who=[f"g{k}" for k in GROUPS], day=TIMES, often=WEIGHTS)
        pq.write_table(pa.Table.from_pandas(whole), place / f"{name}.parquet", row_group_size=130)
        whole.to_csv(place / f"{name}.csv")
    np.save(place / "rows.npy", np.ascontiguousarray(FRAME.to_numpy(np.float32)))
    return place


def taken(known):
    """Numbers of the rows that are trained on, as often as they are."""
    found = [known.numbers(block) for block in range(len(known.sizes))]
    assert [len(one) for one in found] == known.sizes.tolist()
    return np.concatenate(found)


@pytest.mark.parametrize("name", ["plain.parquet", "mixed.parquet", "mixed.csv"])
def test_no_group_stands_on_both_sides(folder, name):
    known = survey(source(folder / name, group="who", drop=["day", "often"]), seed=1, rows=200)
    parts = [set(GROUPS[taken(known)]), *(set(GROUPS[one]) for one in known.drawn[1:])]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert set().union(*parts) == set(GROUPS)
    assert set(known.drawn.train) <= set(taken(known))
    assert 0 < len(known.drawn.valid) <= 200 < len(known.holdout.held)
    assert len(taken(known)) + len(known.holdout.held) == N
    assert "who" not in known.source.columns
    assert known.digest == read(folder / name, group="who", drop=["day", "often"]).digest
    data, _ = known.dataset()
    assert any("no group stands on both sides of a split" in said for said in data.cautions)
    assert "of other groups" in known.said


@pytest.mark.parametrize("name", ["plain.parquet", "mixed.csv"])
def test_the_latest_rows_are_held_out(folder, name):
    known = survey(source(folder / name, time="day", drop=["who", "often"]), rows=200)
    when = TIMES.to_numpy()
    assert when[taken(known)].max() < when[known.drawn.valid].min()
    assert when[known.drawn.valid].max() < when[known.drawn.test].min()
    assert when[known.drawn.test].max() == when.max()
    assert known.digest == read(folder / name, time="day", drop=["who", "often"]).digest


def test_rows_may_stand_in_order_of_any_file(folder):
    known = survey(source(folder / "rows.npy", time="rows"), rows=200)
    assert taken(known).tolist() == list(range(2600))
    assert known.drawn.test.tolist() == list(range(2800, N))
    with pytest.raises(BadInput, match="no group column 'x9'"):
        source(folder / "rows.npy", group="x9")


@pytest.mark.parametrize("name", ["plain.parquet", "mixed.csv"])
def test_rows_are_trained_on_as_often_as_they_count(folder, name):
    asked = {"weights": "often", "drop": ["who", "day"]}
    known = survey(source(folder / name, **asked), seed=2, rows=200)
    rows, often = np.unique(taken(known), return_counts=True)
    assert (often == WEIGHTS[rows]).all()
    aside = set(known.drawn.valid) | set(known.drawn.test)
    assert aside | set(np.flatnonzero(WEIGHTS == 0)) <= set(known.holdout.held)
    assert (WEIGHTS[list(aside)] > 0).all()
    assert sorted({*rows, *known.holdout.held}) == list(range(N))
    assert len(rows) + len(known.holdout.held) == N
    assert len(known.holdout.held) == 400 + (WEIGHTS == 0).sum()
    assert known.count == often.sum()
    assert known.digest == read(folder / name, **asked).digest
    column = known.source.columns.index("a")
    mean = known.moments.mean[column] if known.moments else known.layout.parts[column].column.shift
    assert mean == pytest.approx(np.average(FRAME["a"][rows], weights=often), abs=1e-6)
    with Stream(Shuffle(known, Shuffle.least(known, 200) + 300, 7, 200), 2) as stream:
        seen = np.concatenate([stream.window[stream.take(100)].numpy() for _ in range(2 * known.count // 100)])
    twice, counts = np.unique(np.rint(known.layout.invert(seen[: known.count])[:, 0] - 0.5), return_counts=True)
    assert twice.tolist() == rows.tolist()
    assert counts.tolist() == often.tolist()
    data, parts = known.dataset()
    assert (data.metadata.weight[parts.test] == WEIGHTS[known.drawn.test]).all()
    assert all((a == b).all() for a, b in zip(data.as_often(parts, 0), parts, strict=True))


def test_weights_with_groups_keep_both_promises(folder):
    known = survey(source(folder / "plain.parquet", weights="often", group="who", drop="day"), rows=200)
    assert not set(GROUPS[taken(known)]) & (set(GROUPS[known.drawn.valid]) | set(GROUPS[known.drawn.test]))
    rows, often = np.unique(taken(known), return_counts=True)
    assert (often == WEIGHTS[rows]).all()


@pytest.mark.slow
@pytest.mark.parametrize("asked", [{"group": "who", "weights": "often"}, {"time": "day"}])
def test_a_training_ends_alike_for_any_readers_and_after_a_stop(folder, tmp_path, asked):
    rows = source(folder / "mixed.parquet", **asked, drop=list({"who", "day", "often"} - set(asked.values())))
    plan = Plan(steps=20, batch=32, check=5)
    fits = [isthmus.fit(isthmus.named("plain"), rows, plan=plan, memory="2GiB", readers=n) for n in (1, 2, 4)]
    stopped = tmp_path / "kept"

    def stop(check):
        if check.step == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isthmus.fit(isthmus.named("plain"), rows, plan=plan, watch=stop, checkpoint=Checkpoint(stopped, 0.0))
    fits.append(isthmus.fit(isthmus.named("plain"), rows, plan=plan, readers=3, checkpoint=Checkpoint(stopped, 0.0)))
    ways = [one.encode(MIXED) for one in fits]
    assert all((way == ways[0]).all() for way in ways[1:])


def test_a_column_that_cannot_say_it_is_refused(folder):
    for asked, said in (
        ({"group": "nobody"}, "no group column 'nobody'; the columns are"),
        ({"time": "hour"}, "or rows where they stand in order"),
        ({"weights": "a"}, "weights are at least 0"),
        ({"weights": "who"}, "weights must be numbers"),
        ({"group": "who", "time": "day"}, "group and time exclude each other"),
    ):
        with pytest.raises(BadInput) as caught:
            survey(source(folder / "plain.parquet", **asked))
        assert said in str(caught.value)


def test_the_command_line_takes_them(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["train", "pca", str(folder / "mixed.csv"), "--memory", "2GiB", "--out", "m", "--measure", "none"]
    assert main([*line, "--group", "who", "--weights", "often", "--drop", "day"]) == 0
    said = capsys.readouterr().err
    assert "40 groups: no group stands on both sides of a split" in said
    assert "rows of weight 0 are left out" in said
    assert isthmus.load("m").fields[-1].name == "city"
