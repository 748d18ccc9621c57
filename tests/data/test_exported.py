"""Tables as other programs export them: their codes for gaps, times and spans, minus signs, units and totals."""

from __future__ import annotations

import shlex

import numpy as np
import pandas as pd
import pytest

from isthmus import source
from isthmus.data.cautions import total
from isthmus.data.inferred import inferred
from isthmus.data.read import cells, read
from isthmus.errors import BadInput

RNG = np.random.default_rng(0)
V = RNG.normal(size=40).round(3)
DAYS = pd.date_range("2021-01-05", periods=40, freq="17D")


def file(tmp_path, cells, name="t.csv"):
    rows = [f"{cell},{v}" for cell, v in zip(cells, V, strict=False)]
    (tmp_path / name).write_text("\n".join(["x,v", *rows]) + "\n")
    return tmp_path / name


def column(tmp_path, cells):
    """The column as it is read, once from all of the file and once from its blocks."""
    path = file(tmp_path, cells)
    whole = read(path)
    streamed = inferred(source(path))
    assert streamed.columns == whole.columns
    assert np.array_equal(streamed.block(0)[:, 0], whole.x[:, 0], equal_nan=True)
    return whole


@pytest.mark.parametrize(
    "gap", ["\\N", "(null)", "[NULL]", "#NA", "#N/A N/A", "-NaN", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"]
)
def test_gaps_of_databases_and_of_pandas(tmp_path, gap):
    numbers = column(tmp_path, [gap if i % 8 == 0 else i * i for i in range(40)])
    assert np.isnan(numbers.x[::8, 0]).all()
    assert numbers.x[1, 0] == 1
    words = column(tmp_path, [gap if i % 8 == 0 else "ab"[i % 2] for i in range(40)])
    assert words.fields[0].values == ("a", "b")
    assert words.fields[0].gaps


@pytest.mark.parametrize("gap", [".A", ".z", "._"])
def test_gaps_of_sas_and_stata_are_gaps_among_numbers_only(tmp_path, gap):
    numbers = column(tmp_path, [gap if i % 8 == 0 else i * i for i in range(40)])
    assert np.isnan(numbers.x[::8, 0]).all()
    assert f"read with '{gap}' for a missing number in 'x'" in numbers.cautions
    words = column(tmp_path, [gap if i % 8 == 0 else "ab"[i % 2] for i in range(40)])
    assert words.fields[0].values == (gap, "a", "b")


def test_a_minus_behind_a_number(tmp_path):
    cells = [f"{i}.50-" if i % 3 == 0 else f"{i}.25" for i in range(1, 41)]
    found = column(tmp_path, cells)
    assert found.x[:3, 0].tolist() == [1.25, 2.25, -3.5]
    assert "read with a minus behind a negative number ('3.50-') in 'x'" in found.cautions


@pytest.mark.parametrize(
    ("spelled", "seconds"),
    [
        (lambda i: f"{i:02d}:07:09", lambda i: 3600 * i + 429),
        (lambda i: f"{i % 24:02d}:07", lambda i: 3600 * (i % 24) + 420),
        (lambda i: f"-{i}:00:01.5", lambda i: -(3600 * i + 1.5)),
        (lambda i: str(pd.Timedelta(hours=5 * i - 60)), lambda i: 3600 * (5 * i - 60)),
        (lambda i: f'"{i + 2} days, 1:00:00"', lambda i: 86400 * (i + 2) + 3600),
    ],
)
def test_times_and_spans_are_seconds_and_it_is_said(tmp_path, spelled, seconds):
    found = column(tmp_path, [spelled(i) for i in range(40)])
    assert found.x[:, 0].tolist() == [seconds(i) for i in range(40)]
    said = "column 'x' holds times, which are read as numbers of seconds"
    assert said in found.cautions
    assert said in inferred(source(file(tmp_path, [spelled(i) for i in range(40)]))).told


def test_two_numbers_with_a_colon_are_no_time_where_the_first_is_no_hour(tmp_path):
    assert "holds names" in read(file(tmp_path, [f"{i}:30" for i in range(40)])).aside["x"]


def test_spans_of_a_frame_are_said():
    told = read(pd.DataFrame({"t": pd.to_timedelta(RNG.integers(0, 99, 40), unit="h"), "v": V})).cautions
    assert "column 't' holds times, which are read as numbers of seconds" in told


@pytest.mark.parametrize(
    ("zone", "hours"), [(" +0200", -2), (" -05:30", 5.5), (" UTC", 0), (" GMT", 0), (" UTC+01:00", -1)]
)
def test_zones_behind_a_blank(tmp_path, zone, hours):
    found = column(tmp_path, [f"{day:%Y-%m-%d %H:%M:%S}{zone}" for day in DAYS])
    assert found.fields[0].kind == "date"
    assert found.x[:, 0].tolist() == [day.timestamp() + 3600 * hours for day in DAYS]


def test_dates_of_two_forms_are_told(tmp_path):
    found = read(file(tmp_path, [f"{day:%Y-%m-%d}" if i % 2 else f"{day:%d.%m.%Y}" for i, day in enumerate(DAYS)]))
    assert "dates that are not written in one form" in found.aside["x"]


@pytest.mark.parametrize("day", ["9999-12-31", "1900-01-01", "1970-01-01"])
def test_days_that_stand_for_a_gap_are_named(tmp_path, day):
    found = read(file(tmp_path, [day if i % 9 == 0 else f"{one:%Y-%m-%d}" for i, one in enumerate(DAYS)]))
    assert any(said.startswith(f"{day} is the commonest value of column 'x'") for said in found.cautions)
    emptied = read(file(tmp_path, ["" if i % 9 == 0 else f"{one:%Y-%m-%d}" for i, one in enumerate(DAYS)]))
    assert emptied.fields[0].gaps
    assert not any("commonest" in said for said in emptied.cautions)


def test_days_of_zeros_are_gaps(tmp_path):
    found = column(tmp_path, ["0000-00-00" if i % 9 == 0 else f"{one:%Y-%m-%d}" for i, one in enumerate(DAYS)])
    assert np.isnan(found.x[::9, 0]).all()
    assert found.fields[0].kind == "date"


def test_days_as_whole_numbers_are_told(tmp_path):
    said = "column 'x' holds dates that are written as whole numbers"
    assert any(one.startswith(said) for one in read(file(tmp_path, [f"{day:%Y%m%d}" for day in DAYS])).cautions)
    others = 20210105 + RNG.permutation(4000)[:40]
    assert not any(one.startswith(said) for one in read(file(tmp_path, others)).cautions)


def test_a_line_of_units_is_taken_away_and_not_made_a_category(tmp_path):
    path = file(tmp_path, ["cm", *range(100, 139)])
    with pytest.raises(BadInput, match=r"line 2, column 'x': 'cm' is not a number.*take the line away") as caught:
        read(path)
    assert "category" not in str(caught.value)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1] + lines[2:]))
    assert read(path).x[0, 0] == 100


def test_a_word_among_many_numbers_is_not_made_a_category(tmp_path):
    cells = [str(x) for x in RNG.normal(size=100).round(4)]
    (tmp_path / "t.csv").write_text("\n".join(["x,v", *(f"{x},{i}" for i, x in enumerate([*cells, "old", *cells]))]))
    with pytest.raises(BadInput, match=r"drop the row or the column; an empty cell is a gap") as caught:
        read(tmp_path / "t.csv")
    assert "category" not in str(caught.value)


def test_a_line_of_totals_is_told(tmp_path):
    rows = [f"it{i % 7},{i % 9},{i * 1.5}" for i in range(40)]
    last = f"Total,{sum(i % 9 for i in range(40))},{1.5 * 780}"
    (tmp_path / "t.csv").write_text("\n".join(["item,count,price", *rows, last]))
    said = "the last row is the sum of all others in 2 columns; take it away if it is a total"
    assert said in read(tmp_path / "t.csv").cautions
    (tmp_path / "t.csv").write_text("\n".join(["item,count,price", *rows]))
    assert said not in read(tmp_path / "t.csv").cautions


def test_sums_by_chance_are_no_totals():
    found = [total(np.random.default_rng(k).poisson(0.05, (20, 2000))) for k in range(50)]
    assert not any(found)


def test_masked_cells_are_gaps():
    x = RNG.normal(size=(40, 3))
    found = read(np.ma.masked_greater(x, 1.0))
    assert np.array_equal(np.isnan(found.x), x > 1.0)
    assert all(one.gaps for one in found.fields)
    assert np.allclose(found.x[x <= 1], x[x <= 1], rtol=1e-6)


def test_periods_and_intervals_are_set_aside_with_a_remedy():
    frame = pd.DataFrame({"p": pd.period_range("2020-01", periods=40, freq="M"), "v": V, "u": V[::-1]})
    assert read(frame).aside["p"].endswith("turn them into texts or numbers")
    assert read(frame.assign(p=frame.p.astype(str))).columns[0] == "p"


def test_one_group_is_in_the_singular():
    told = read(pd.DataFrame({"g": ["a"] * 40, "v": V, "u": V[::-1]}), group="g").cautions
    assert "1 group: no group stands on both sides of a split" in told


def test_a_title_above_the_names_is_no_list_of_names(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{i},{v}" for i, v in enumerate(V)]
    for title in ("Report 2020\n\na,b", "Report 2020,\n,\na,b"):
        path.write_text("\n".join([title, *rows]))
        with pytest.raises(BadInput) as caught:
            read(path)
        assert "a name" not in str(caught.value).split(";")[0]
    path.write_text("\n".join(["Report 2020\n\na,b", *rows]))
    with pytest.raises(BadInput, match=r"the first line has 1 name.*take lines of title above the names away"):
        read(path)
    path.write_text("\n".join(["Report 2020,,\n,,\na,b,c", *(f"{row},1" for row in rows)]))
    with pytest.raises(BadInput, match=r"'Report 2020' and nothing else.*take lines of title above the names away"):
        read(path)
    path.write_text("\n".join(["a,b", *rows]))
    assert read(path).columns == ("a", "b")


def test_names_of_rows_as_r_writes_them_are_still_an_index(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(['"v","u"', *(f'"r{i}",{v},{i * i}' for i, v in enumerate(V))]))
    assert read(tmp_path / "t.csv").columns == ("v", "u")


def test_single_quotes_are_refused(tmp_path):
    text = "\n".join(["'a','b'", *(f"'{v}','{'xy'[i % 2]}'" for i, v in enumerate(V))])
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(BadInput, match=r"stand in single quotes.*write double ones, or none"):
        read(tmp_path / "t.csv")
    for mended in (text.replace("'", '"'), text.replace("'", "")):
        (tmp_path / "t.csv").write_text(mended)
        assert np.allclose(read(tmp_path / "t.csv").x[:, 0], V)


def test_empty_lines_of_one_column_are_told(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(["a", *("" if i % 9 == 4 else str(v) for i, v in enumerate(V))]) + "\n\n")
    found = read(tmp_path / "t.csv")
    assert len(found.x) == 36
    assert 'read with 4 empty lines left out, which are no rows (a gap is written as "")' in found.cautions
    (tmp_path / "t.csv").write_text("\n".join(["a", *('""' if i % 9 == 4 else str(v) for i, v in enumerate(V))]))
    assert np.isnan(read(tmp_path / "t.csv").x[:, 0]).sum() == 4


def test_a_note_below_the_rows_is_told(tmp_path):
    rows = [f"{'xyz'[i % 3]},{v},{i}" for i, v in enumerate(V)]
    said = "the last row holds 'Source: our office, 2021' and nothing else; take it away if it is a note"
    (tmp_path / "t.csv").write_text("\n".join(["n,b,c", *rows, '"Source: our office, 2021",,']))
    assert said in read(tmp_path / "t.csv").cautions
    (tmp_path / "t.csv").write_text("\n".join(["n,b,c", *rows, "x,,"]))
    assert not any("nothing else" in one for one in read(tmp_path / "t.csv").cautions)


def test_a_label_of_many_numbers_may_be_a_measurement():
    frame = pd.DataFrame({"v": RNG.normal(size=400), "u": RNG.normal(size=400)})
    said = "if it is a measured number, leave the label out, or bin the numbers into classes first"
    numbers = RNG.integers(0, 100, 400)
    assert any(one.endswith(said) for one in read(frame, numbers).cautions)
    assert not any(one.endswith(said) for one in read(frame, [f"p{k}" for k in numbers]).cautions)
    assert not any(one.endswith(said) for one in read(frame, numbers % 10).cautions)


def test_a_text_that_spells_a_number_among_numbers_is_made_one():
    frame = pd.DataFrame({"p": pd.Series([1, "2", 3, 4] * 10, dtype=object), "v": V})
    with pytest.raises(BadInput, match=r"the text '2' stands among numbers.*pandas.to_numeric"):
        read(frame)
    assert read(frame.assign(p=pd.to_numeric(frame.p))).x[:4, 0].tolist() == [1, 2, 3, 4]


def test_no_and_yes_in_other_words_than_in_training_are_no_gaps():
    train = pd.DataFrame({"m": ["ja", "nein"] * 20, "v": V})
    fields = read(train).fields
    for no, yes in (("no", "yes"), ("0", "1"), ("FALSE", "TRUE"), (0, 1), (False, True)):
        assert np.array_equal(cells(pd.DataFrame({"m": [yes, no, None], "v": V[:3]}), fields)[:2, 0], [1, 0])
        assert cells(pd.DataFrame({"m": [yes], "v": V[:1]}), fields)[0, 0] == 1
    with pytest.raises(BadInput, match="column 'm': 'vielleicht' is neither 'nein' nor 'ja', nor is any other"):
        cells(pd.DataFrame({"m": ["vielleicht", "immer"], "v": V[:2]}), fields)
    assert np.isnan(cells(pd.DataFrame({"m": ["ja", "vielleicht"], "v": V[:2]}), fields)[1, 0])
    assert np.isnan(cells(pd.DataFrame({"m": [None, None], "v": V[:2]}), fields)[:, 0]).all()


def test_names_without_rows_are_answered_without_a_fault(tmp_path):
    (tmp_path / "t.csv").write_text("x,v\n")
    with pytest.raises(BadInput, match="no rows below the header line"):
        read(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("x\n1,2,3\n4\n")
    with pytest.raises(BadInput, match="expected 1 value"):
        read(tmp_path / "t.csv")


def test_classes_of_one_row_are_told():
    frame = pd.DataFrame({"v": V, "u": V[::-1]})
    said = "class 'rare' has one row, which is never both learnt and tested; put it into another class, or leave it out"
    assert said in read(frame, ["rare", *["a", "b"] * 19, "a"]).cautions
    two = read(frame, ["rare", "rarer", *["a", "b"] * 19]).cautions
    assert any(one.startswith("2 classes have one row each ('rare', 'rarer')") for one in two)
    assert not any("one row" in one for one in read(frame, ["rare", "rare", *["a", "b"] * 19]).cautions)


def test_a_code_of_a_currency_is_a_unit_and_numbers_with_one_are_no_categories(tmp_path):
    for form in ("EUR {}", "{} EUR"):
        (tmp_path / "t.csv").write_text("\n".join(["x,v", *(f"{form.format(i)},{i}" for i in range(80))]))
        with pytest.raises(BadInput, match=r"is a number with a unit.*name of the column$"):
            read(tmp_path / "t.csv")
    assert "holds names" in read(file(tmp_path, [f"LOT {i}" for i in range(40)])).aside["x"]


def test_the_only_array_of_an_archive_is_the_rows(tmp_path):
    x = RNG.normal(size=(40, 3))
    np.savez(tmp_path / "one.npz", x)
    np.savez(tmp_path / "two.npz", x, np.arange(40) % 2)
    assert np.allclose(read(tmp_path / "one.npz").x, x)
    assert read(tmp_path / "one.npz").cautions == ("rows are member 'arr_0'",)
    assert read(tmp_path / "two.npz", label="arr_1").y.tolist() == (np.arange(40) % 2).tolist()
    with pytest.raises(BadInput, match="no member named X"):
        read(tmp_path / "two.npz")
    np.savez(tmp_path / "labels.npz", y=np.arange(40) % 2)
    with pytest.raises(BadInput, match="no member named X"):
        read(tmp_path / "labels.npz")


def test_what_is_told_to_be_typed_works_for_names_with_an_apostrophe(tmp_path):
    (tmp_path / "t.csv").write_text("\n".join(["it's,v", *(f"name {i},{v}" for i, v in enumerate(V))]))
    why = read(tmp_path / "t.csv").aside["it's"]
    typed = shlex.split(why.split("; ")[1].split(" keeps")[0])
    assert typed == ["--kind", "it's=category"]
    assert read(tmp_path / "t.csv", kinds=dict([typed[1].split("=")])).fields[0].kind == "category"
