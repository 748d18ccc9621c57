"""A model reads ``1.234`` and ``03/04/2021`` as they were meant in training, whatever else stands in the new file."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.cli import main
from isthmus.data import layout as layouts
from isthmus.data.blocks import Columns, blocks, table_block
from isthmus.data.fields import Field
from isthmus.data.frames import framed
from isthmus.data.layout import laid_out
from isthmus.data.read import cells, read
from isthmus.data.scale import Scaler
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.serve.application import _written
from isthmus.serve.turns import Told
from isthmus.ship import verbs
from isthmus.ship.artefact import load
from isthmus.ship.deployed import Deployed
from isthmus.study.examine import _known
from isthmus.train.fitted import fit

N = 40
DAYS = pd.date_range("2021-01-01", periods=N, freq="9D")
GERMAN = pd.DataFrame(
    {
        "price": [f"{k}.{100 + k},{k % 10}" if k % 3 else f"1.{200 + k}" for k in range(1, N + 1)],
        "share": [f"1.{300 + k}" for k in range(N)],
        "day": DAYS.strftime("%d/%m/%Y"),
        "paid": [["0", "1", "-"][k % 3] for k in range(N)],
    }
)
ENGLISH = pd.DataFrame(
    {
        "price": [f"{k},{100 + k}.{k % 10}" if k % 3 else f"1,{200 + k}" for k in range(1, N + 1)],
        "share": [f"1.{300 + k}" for k in range(N)],
        "day": DAYS.strftime("%m/%d/%Y"),
        "paid": [["0", "1", "."][k % 3] for k in range(N)],
    }
)
NUMBERS = ["price", "share"]


def csv(frame, path, sep=";"):
    frame.to_csv(path, sep=sep, index=False)
    return path


def parquet(frame, path):
    pq.write_table(pa.table({name: pa.array(frame[name].tolist(), pa.string()) for name in frame}), path)
    return path


def jsonl(frame, path):
    path.write_text("".join(json.dumps(row) + "\n" for row in frame.to_dict("records")))
    return path


def ambiguous(frame):
    """Rows all of whose cells could be meant in two ways."""
    own = frame[frame["price"].str.fullmatch(r"\d[.,]\d{3}")]
    return own[own["day"].str[:2].astype(int).lt(13) & own["day"].str[3:5].astype(int).lt(13)]


def rows_of(path, fields):
    return np.concatenate([block.rows for block in blocks(path, fields)])


@pytest.mark.slow
@pytest.mark.parametrize(("frame", "habits"), [(GERMAN, ",,d,"), (ENGLISH, "..m.")])
def test_ambiguous_rows_are_read_as_in_training_in_every_form(tmp_path, frame, habits):
    whole = read(csv(frame, tmp_path / "t.csv"))
    assert "".join(field.habit[0] for field in whole.fields) == habits
    assert survey(source(tmp_path / "t.csv"), rows=5).source.fields == whole.fields
    few = ambiguous(frame)
    assert len(few) > 1
    fields = tuple(layouts.field(json.loads(json.dumps(field.to_json()))) for field in whole.fields)
    wanted = whole.x[few.index]
    table = pa.table({name: few[name].tolist() for name in few})
    found = {
        "csv": rows_of(csv(few, tmp_path / "few.csv"), fields),
        "comma": rows_of(csv(few, tmp_path / "comma.csv", ","), fields),
        "parquet": rows_of(parquet(few, tmp_path / "few.parquet"), fields),
        "jsonl": rows_of(jsonl(few, tmp_path / "few.jsonl"), fields),
        "request": table_block("the request", table, fields).rows,
        "in memory": cells(tmp_path / "few.csv", fields),
        "frame": cells(few, fields),
    }
    with Columns(tmp_path / "few.csv", fields) as held:
        found["filled in"] = np.concatenate([block.rows for block in held.blocks(fields)])
    for form, rows in found.items():
        np.testing.assert_array_equal(rows, wanted, form)


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
@pytest.mark.parametrize(
    ("frame", "column", "text", "said"),
    [
        (GERMAN, "price", "1.5", "'1.5' is a number only where decimals have a point.*write all with a comma"),
        (GERMAN, "share", "1.5", "'1.5' is a number only where decimals have a point.*write all with a comma"),
        (GERMAN, "share", "1,234,567", "'1,234,567' is a number only where decimals have a point"),
        (GERMAN, "day", "12/31/2021", "'12/31/2021' is a date only where the month comes first.*the day did"),
        (ENGLISH, "price", "0,5", "'0,5' is a number only where decimals have a comma.*write all with a point"),
        (ENGLISH, "day", "31/12/2021", "'31/12/2021' is a date only where the day comes first.*the month did"),
    ],
)
def test_a_text_that_is_against_the_habit_is_refused_with_its_place(tmp_path, write, frame, column, text, said):
    whole = read(csv(frame, tmp_path / "t.csv"))
    few = ambiguous(frame).copy()
    few.iloc[1, few.columns.get_loc(column)] = text
    name = f"few.{write.__name__}"
    place = {"csv": "line 3", "parquet": "row 2", "jsonl": "row 2"}[write.__name__]
    if write is csv and column == "day":
        place = "row 2"  # dates are read when lines are rows
    with pytest.raises(BadInput, match=rf"{name}: {place}, column '{column}': {said}"):
        rows_of(write(few, tmp_path / name), whole.fields)


@pytest.mark.parametrize(("frame", "mark"), [(GERMAN, ","), (ENGLISH, ".")])
def test_plain_numbers_keep_the_mark_with_their_scale(tmp_path, frame, mark):
    whole, few = read(csv(frame[NUMBERS], tmp_path / "t.csv")), ambiguous(frame)
    assert (whole.fields, whole.habit) == ((), mark)
    near = fit(named("pca").set_params(latents=1), whole.x, columns=whole.columns, habit=whole.habit, images=False)
    far = fit(named("pca").set_params(latents=1), source(tmp_path / "t.csv"))
    for fitted in (near, far):
        layout = layouts.from_json(json.loads(json.dumps(fitted.layout.to_json())))
        assert isinstance(layout, Scaler)
        assert layout.habit == mark
        found = rows_of(csv(few[NUMBERS], tmp_path / "few.csv"), verbs.wanted(Deployed.of(fitted)))
        np.testing.assert_array_equal(found.astype(np.float32), whole.x[few.index])
        found = _known(Deployed.of(fitted), str(tmp_path / "few.csv"), None, None)
        np.testing.assert_array_equal(found.astype(np.float32), whole.x[few.index])
    assert survey(source(tmp_path / "t.csv"), rows=5).dataset()[0].habit == mark
    assert laid_out(whole.x, **whole.laid).habit == mark


def test_windows_keep_the_mark_with_their_series(tmp_path):
    whole = read(csv(GERMAN[NUMBERS], tmp_path / "t.csv"), time="rows", window=4)
    layout = laid_out(whole.x, **whole.laid)
    again = layouts.from_json(json.loads(json.dumps(layout.to_json())))
    assert again.series == layout.series
    assert again.series.habit == ","
    assert {field.habit for field in again.series.fields} == {","}


@pytest.mark.slow
@pytest.mark.parametrize("columns", [["price", "share"], ["price", "share", "day", "paid"]])
def test_what_a_model_writes_is_read_as_it_was_meant(tmp_path, monkeypatch, capsys, columns):
    monkeypatch.chdir(tmp_path)
    csv(GERMAN[columns], Path("t.csv"))
    assert main(["train", "pca", "t.csv", "--out", "m", "--measure", "none", "--quiet"]) == 0
    model = load(Path("m"))
    code = verbs.encode(model, next(verbs.blocks_of(model, Path("t.csv")))).array
    again = model.decode(code)
    for verb in (["reconstruct", "m", "t.csv"], ["decode", "m", "codes.csv"]):
        assert main(["encode", "m", "t.csv", "--out", "codes.csv", "--quiet"]) == 0
        assert main([*verb, "--out", "again.csv", "--quiet"]) == 0
        found = rows_of(Path("again.csv"), verbs.wanted(model))
        np.testing.assert_allclose(found, again, rtol=1e-5, atol=1e-5)
    assert re.search(r'"\d{4},\d', Path("again.csv").read_text())
    capsys.readouterr()


def test_a_server_writes_a_table_with_the_marks_of_the_training():
    written = _written(Told({"a": np.array([1.234]), "b": np.array([0.5])}, 1, (), frozenset({"a"})))
    assert written.decode().splitlines()[1] == '"1,234",0.5'


@pytest.mark.slow
def test_gaps_are_filled_in_with_the_mark_of_the_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    gaps = GERMAN.assign(share=GERMAN["share"].where(np.arange(N) % 4 > 0, ""), beside=GERMAN["price"])
    csv(gaps, Path("t.csv"))
    assert main(["train", "pca", "t.csv", "--drop", "beside", "--out", "m", "--measure", "none", "--quiet"]) == 0
    assert main(["impute", "m", "t.csv", "--out", "whole.csv", "--quiet"]) == 0
    whole, before = (rows_of(Path(name), load(Path("m")).fields) for name in ("whole.csv", "t.csv"))
    assert not np.isnan(whole).any()
    there = ~np.isnan(before)
    np.testing.assert_array_equal(whole[there], before[there])
    assert read("whole.csv").x.shape == (N, 5)  # one mark in all of it
    capsys.readouterr()


@pytest.mark.parametrize("frame", [GERMAN, ENGLISH])
def test_a_frame_comes_back_as_it_is_read(tmp_path, frame):
    fields = read(csv(frame, tmp_path / "t.csv")).fields
    few = ambiguous(frame)
    known = cells(few, fields)
    again = framed(fields, known, few)
    np.testing.assert_array_equal(cells(again, fields), known)
    blank = few.assign(price="-")
    np.testing.assert_array_equal(cells(framed(fields, known, blank), fields), known)


def test_what_nothing_told_is_not_written(tmp_path):
    plain = pd.DataFrame({"a": np.arange(N) / 8, "b": np.arange(N), "day": DAYS.strftime("%d.%m.%Y")})
    plain["gap"] = plain["a"].where(plain["b"] % 5 > 0)
    whole = read(csv(plain, tmp_path / "t.csv"))
    assert all("habit" not in field.to_json() for field in whole.fields)
    assert "habit" not in laid_out(whole.x[:, :2]).to_json()


@pytest.mark.parametrize(
    ("kind", "habit"), [("number", "day"), ("date", ","), ("text", "."), ("flag", "x"), ("date", [])]
)
def test_a_habit_that_is_none_of_a_kind_is_refused(kind, habit):
    with pytest.raises(BadInput, match=rf"habit of kind {kind} must be"):
        layouts.field({**Field("a", kind).to_json(), "habit": habit})
    scaler = Scaler.fit([[1.0], [2.0]]).to_json()
    with pytest.raises(BadInput, match="habit must be a comma or a point"):
        Scaler.from_json({**scaler, "habit": "day"})


def test_data_are_the_same_however_they_are_written(tmp_path):
    german, english = (
        read(csv(frame[["price", "paid"]], tmp_path / name)) for frame, name in ((GERMAN, "g.csv"), (ENGLISH, "e.csv"))
    )
    assert german.fields != english.fields
    assert german.digest == english.digest


def test_later_pieces_of_a_file_do_not_turn_the_mark_around(tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", 64)
    monkeypatch.setattr("isthmus.data.text_pieces.NEXT", 64)
    texts = [f"1.{k}" for k in range(200, 240)] + ["0,5"]
    path = csv(pd.DataFrame({"a": texts, "b": range(41)}), tmp_path / "t.csv")
    fields = Field("a", "number"), Field("b", "number")
    with pytest.raises(
        BadInput, match=r"t.csv: line 42, column 'a': '0,5' is a number only where decimals have a comma"
    ):
        rows_of(path, fields)


def test_columns_that_are_numbers_in_one_file_do_not_take_the_mark_of_texts_beside_them(tmp_path):
    records = [{"a": k / 8, "b": f"{k},5"} for k in range(N)]
    path = tmp_path / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in records))
    whole = read(path, kinds={"a": "number"})
    assert [field.habit for field in whole.fields] == ["", ","]
    found = rows_of(csv(pd.DataFrame(records), tmp_path / "t.csv"), whole.fields)
    np.testing.assert_array_equal(found, whole.x)


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
def test_dashes_are_gaps_of_flags_and_numbers_in_a_file_of_nothing_else(tmp_path, write):
    whole = read(csv(GERMAN, tmp_path / "t.csv"))
    few = GERMAN.iloc[[2, 5]].assign(price="-", share="..")
    found = rows_of(write(few, tmp_path / f"few.{write.__name__}"), whole.fields)
    assert np.isnan(found[:, [0, 1, 3]]).all()
    np.testing.assert_array_equal(found[:, 2], whole.x[[2, 5], 2])


@pytest.mark.parametrize("texts", [["0", "1", "-"], ["0.0", "1.0", ""], ["0,0", "1,0", "."]])
def test_flags_that_are_asked_for_are_read_as_they_were_learnt(tmp_path, texts):
    frame = pd.DataFrame({"paid": [texts[k % 3] for k in range(N)], "x": [f"{k},5" for k in range(N)]})
    path = parquet(frame, tmp_path / "t.parquet")
    whole = read(path, kinds={"paid": "flag"})
    far = survey(source(path, kinds={"paid": "flag"}), rows=5).source
    assert far.fields == whole.fields
    np.testing.assert_array_equal(whole.x[:3, 0], [0.0, 1.0, np.nan])
    np.testing.assert_array_equal(np.concatenate([far.block(k) for k in range(len(far.starts) - 1)]), whole.x)
    for rows in (np.arange(N), [1, 4], [2]):
        np.testing.assert_array_equal(rows_of(parquet(frame.iloc[rows], path), whole.fields), whole.x[rows])


@pytest.mark.parametrize("write", [csv, parquet, jsonl])
def test_numbers_that_are_categories_are_known_again(tmp_path, write):
    frame = pd.DataFrame({"size": [f"{1 + k % 3},5" for k in range(N)], "x": [f"{k},25" for k in range(N)]})
    whole = read(csv(frame, tmp_path / "t.csv"), kinds={"size": "category"})
    assert whole.fields[0].values == ("1.5", "2.5", "3.5")
    np.testing.assert_array_equal(rows_of(write(frame, tmp_path / f"again.{write.__name__}"), whole.fields), whole.x)


def test_codes_with_zeros_in_front_are_filled_in_as_they_were_learnt(tmp_path):
    frame = pd.DataFrame({"code": ["01", "02", "10", ""] * 10, "x": np.arange(N) / 8})
    whole = read(csv(frame, tmp_path / "t.csv"))
    assert whole.fields[0].kind == "category"
    with Columns(Path(tmp_path / "t.csv"), whole.fields) as held:
        found = np.concatenate([block.rows for block in held.blocks(whole.fields)])
    np.testing.assert_array_equal(found, whole.x)


def spelled(random):
    """A table as somebody may write it: one decimal mark, one order of day and month, and gaps of several kinds."""
    mark, other = random.permutation([",", "."])
    form = random.choice(["%d/%m/%Y", "%m-%d-%y", "%d/%m/%Y %H:%M", "%Y-%m-%d", "%d.%m.%Y"])
    parting = random.choice(["", " ", other])

    def number(value, decimals):
        whole, fraction = f"{abs(value):,.{decimals}f}".replace(",", "_").partition(".")[::2]
        return ("-" if value < 0 else "") + whole.replace("_", parting) + (mark + fraction if fraction else "")

    days = DAYS[random.permutation(N)] + pd.to_timedelta(random.integers(0, 1440, N), unit="min")
    made = {
        "small": [number(v, 3) for v in random.uniform(1, 9, N)],
        "large": [number(v, 2) for v in random.normal(0, 9e5, N)],
        "money": [number(v, 1) + random.choice([" €", "€"]) for v in random.uniform(1, 3e4, N)],
        "whole": [number(v, 0) for v in random.integers(-9, 2e4, N)],
        "flag": [str(v) for v in random.integers(0, 2, N)],
        "word": [str(v) for v in random.choice(["01", "02", "10"], N)],
        "day": days.strftime(str(form)),
    }
    frame = pd.DataFrame({name: made[name] for name in random.permutation([*made])[:5]}, dtype=object)
    for name in frame:
        gap = random.choice(["", "-", "."] if name not in ("word", "day") else ["", "NA"])
        frame.loc[random.random(N) < 0.1, name] = gap
    return frame


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 5))
def test_any_part_of_a_file_in_any_form_is_read_as_the_whole_was(tmp_path, seed):
    random = np.random.default_rng(seed)
    frame = spelled(random)
    try:
        whole = read(csv(frame, tmp_path / "t.csv"))
    except BadInput as error:  # what is open in the whole file is refused
        pytest.skip(str(error))
    far = survey(source(tmp_path / "t.csv"), rows=5)
    assert far.source.fields == whole.fields
    fields = whole.fields or tuple(Field(name, "number", habit=whole.habit) for name in whole.columns)
    for write in (csv, parquet, jsonl):
        for rows in (random.permutation(N), random.integers(0, N, 1), random.integers(0, N, 3)):
            found = rows_of(write(frame.iloc[rows], tmp_path / f"part.{write.__name__}"), fields)
            np.testing.assert_allclose(found, whole.x[rows], rtol=1e-6)
        for j, field in enumerate(fields):  # alone, where nothing beside it proves anything
            for row in random.permutation(np.flatnonzero(frame[field.name] != ""))[:8]:
                found = rows_of(
                    write(frame.iloc[[row]][[field.name]].assign(n="0"), tmp_path / f"one.{write.__name__}"), [field]
                )
                np.testing.assert_allclose(found, whole.x[[row]][:, [j]], rtol=1e-6)
