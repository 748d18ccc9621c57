"""Tables as people and their programs write them: read rightly, with a line that says how, or refused with a remedy."""

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.data.text_table import spelled_table
from isthmus.errors import BadInput


def column(cells, name="a", separator=";", other="u"):
    """A table with a column of these cells, over and over, and one of class names."""
    rows = [f"{cell}{separator}{'uv'[i % 2]}" for i, cell in enumerate(list(cells) * (12 // len(cells) + 1))]
    return f"{name}{separator}k\n" + "\n".join(rows) + "\n"


def given(tmp_path, content, name="t.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(path, label="k", **options)


READ = {
    "decimal commas": (["8,3", "7"], [8.3, 7], "decimal commas ('8,3' is 8.3)"),
    "decimal commas, quoted": (['"8,3"', "7"], [8.3, 7], "decimal commas ('8,3' is 8.3)"),
    "decimal commas and signs": (["-8,3", "+,5", "1,5e-3"], [-8.3, 0.5, 0.0015], "decimal commas"),
    "a real minus": (["\u22128,3", "7"], [-8.3, 7], "decimal commas"),
    "decimal commas, missing told later": (["8,3", "7,25"], [8.3, 7.25], "decimal commas"),
    "points between thousands": (
        ["1.234,5", "1.234"],
        [1234.5, 1234],
        "points between thousands ('1.234,5' is 1234.5)",
    ),
    "points alone": (["1.234.567", "1.234"], [1234567, 1234], "points between thousands ('1.234.567' is 1234567)"),
    "commas between thousands": (
        ["1,234.5", "1,279"],
        [1234.5, 1279],
        "commas between thousands ('1,234.5' is 1234.5)",
    ),
    "commas and small numbers": (["1,279", "856", "309"], [1279, 856, 309], "commas between thousands"),
    "lakhs": (["1,23,456", "23"], [123456, 23], "commas between thousands"),
    "blanks": (["1 234,5", "7"], [1234.5, 7], "decimal commas and blanks between thousands ('1 234,5' is 1234.5)"),
    "narrow blanks": (["1\u202f234", "7"], [1234, 7], "blanks between thousands"),
    "apostrophes": (["1'234.5", "7"], [1234.5, 7], "blanks between thousands"),
    "per cent": (["12%", "3.5 %"], [12, 3.5], "% taken off in 'a'"),
    "dollars": (["$1,200", "-$856.50"], [1200, -856.5], "$ taken off in 'a'"),
    "euros": (["5 €", "1.200,50 €"], [5, 1200.5], "€ taken off in 'a'"),
    "dashes": (["1,5", "-", "2,25"], [1.5, np.nan, 2.25], "decimal commas ('1,5' is 1.5); '-' for a missing number"),
    "per cent and gaps": (["12%", "", "3 %", "?"], [12, np.nan, 3, np.nan], "% taken off in 'a'"),
}


@pytest.mark.parametrize(("cells", "numbers", "said"), READ.values(), ids=READ)
def test_numbers_are_read_as_they_are_meant_and_it_is_said(tmp_path, cells, numbers, said):
    data = given(tmp_path, column(cells))
    np.testing.assert_array_equal(data.x[: len(cells), 0], np.float32(numbers))
    told = [one for one in data.told if not one.startswith("a row is one value")]
    assert len(told) == 1 + bool(np.isnan(numbers).any())
    assert said in data.told[0]
    assert data.told[0] in data.cautions


def test_one_column_that_is_sure_decides_for_the_file(tmp_path):
    sure, open_ = ["0,5", "12,25"], ["1,279", "2,855"]
    rows = "".join(f"{a};{b};{'uv'[i % 2]}\n" for i in range(6) for a, b in zip(sure, open_, strict=True))
    assert given(tmp_path, "a;b;k\n" + rows).x[:2, 1].tolist() == [np.float32(1.279), np.float32(2.855)]
    sure = ["0.5", "12.25"]  # that every reader takes for numbers
    rows = "".join(f"{a};{b};{'uv'[i % 2]}\n" for i in range(6) for a, b in zip(sure, open_, strict=True))
    assert given(tmp_path, "a;b;k\n" + rows).x[:2, 1].tolist() == [1279, 2855]
    sure, points = ["0,5", "12,25"], ["1.279", "2.855"]  # a point that separates thousands is no decimal point
    rows = "".join(f"{a};{b};{'uv'[i % 2]}\n" for i in range(6) for a, b in zip(sure, points, strict=True))
    assert given(tmp_path, "a;b;k\n" + rows).x[:2, 1].tolist() == [1279, 2855]


UNCLEAR = {
    "one or a thousand": (["1,279", "2"], "line 2, column 'a': '1,279' may be 1.279 or 1279; write 1279 if its comma"),
    "alone": (["1,279", "2,855"], "may be 1.279 or 1279; write 1279 if its comma separates thousands, 1.279 if it is"),
    "money": (["€1.234", "€856"], "'1.234' may be 1.234 or 1234; write 1234 if its point separates thousands"),
    "both decimal": (
        ["8,0", "0.5"],
        "'8,0' does not fit '0.5': some decimals have a comma, others a point; write",
    ),
    "comma as both": (
        ["1,5", "1,234,567"],
        "the comma is the decimal mark in one and separates thousands in the other",
    ),
    "point as both": (
        ["1.5", "1.234.567"],
        "the point is the decimal mark in one and separates thousands in the other",
    ),
    "both part": (["1,234.5", "1.234,5"], "'1.234,5' does not fit '1,234.5'"),
    "some per cent": (["12%", "3.5"], "'3.5' carries another sign than '12%', or none; write all in one unit"),
    "two moneys": (["$12", "€3"], "'€3' carries another sign than '$12'"),
    "digits of other scripts": (["٣", "٤"], "'٣' is no number as tables have them; write 3 if it is one"),
    "underscores": (["1_000", "2"], "'1_000' is no number as tables have them; write 1000 if it is one"),
}


@pytest.mark.parametrize(("cells", "said"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_can_be_meant_in_two_ways_is_refused_with_both(tmp_path, cells, said):
    with pytest.raises(BadInput) as caught:
        given(tmp_path, column(cells))
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


PLAIN = column(["0.5", "12.25", "3"], separator=",")
BESIDE = {
    "as it is": PLAIN,
    "a separator line": "sep=,\n" + PLAIN,
    "a quoted separator line": '"sep=,"\r\n' + PLAIN.replace("\n", "\r\n"),
    "comments above": "# made by hand\n# a, b and c\n" + PLAIN,
    "comments among the rows": PLAIN.replace("\n3,", "\n# halfway\n3,", 1) + "# the end, at last, really\n",
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "a mark": PLAIN.encode("utf-8-sig"),
}


@pytest.mark.parametrize("content", BESIDE.values(), ids=BESIDE)
def test_what_stands_beside_the_table_does_not_change_it(tmp_path, content):
    data, base = given(tmp_path, content), given(tmp_path, PLAIN, "base.csv")
    assert (data.digest, data.columns) == (base.digest, base.columns)
    commented = b"#" in (content if isinstance(content, bytes) else content.encode())
    more = (f"read with {content.count('#')} lines of comment (#) left out",) if commented else ()
    assert data.told == (*more, *base.told)
    assert spelled_table(tmp_path / "t.csv")[0].equals(spelled_table(tmp_path / "base.csv")[0])


def test_places_are_those_of_the_editor_below_comments_and_long_names(tmp_path):
    text = 'sep=,\n# one\n"a\n(mV)",k\n' + "1,u\n# two, three, four\n" * 11 + "inf,v\n"
    with pytest.raises(BadInput, match=r"line 27, column 'a\\n\(mV\)': the value is infinite"):
        given(tmp_path, text)
    assert given(tmp_path, text.replace("\ninf,v", "\n2,v")).columns == ("a\n(mV)",)
    text = "# one\n" + column(["1", "2"]).replace("2;v", "2;чай", 1)
    with pytest.raises(BadInput, match="line 4, column 'k'"):
        given(tmp_path, text.encode("cp1251"))


def test_a_name_that_begins_with_a_hash_above_its_numbers_is_a_name(tmp_path):
    assert given(tmp_path, PLAIN.replace("a,k", "#a,k")).columns == ("#a",)


def test_the_separator_is_what_parts_the_rows_as_well(tmp_path):
    text = "size, in cm, or so;k\n" + "1;u\n2;v\n" * 6
    assert given(tmp_path, text).columns == ("size, in cm, or so",)


def test_class_names_are_never_merged(tmp_path):
    names = ["1_1", "11", "1_10", "110", "007", "7", "1e3", "1000", "٣", "3", str(2**53), str(2**53 + 1), "1.0", "1"]
    text = "a,k\n" + "".join(f"{i / 7},{name}\n" for i, name in enumerate(names * 3))
    data = given(tmp_path, text)
    assert sorted(data.classes) == sorted(names)
    assert [data.classes[code] for code in data.y] == names * 3
    assert given(tmp_path, text, anomaly="007").anomaly == "007"
    assert "are the same number and are kept apart; if they are one class, write it one way" in data.cautions[0]
    numbers = [name for name in names if name.isascii() and "_" not in name]
    order = given(tmp_path, "a,k\n" + "".join(f"{i / 7},{name}\n" for i, name in enumerate(numbers * 3))).classes
    assert order == ("1", "1.0", "3", "007", "7", "11", "110", "1000", "1e3", str(2**53), str(2**53 + 1))


@pytest.mark.slow
def test_a_typo_among_very_many_columns_is_found(tmp_path, monkeypatch):
    import difflib

    weighed = []
    near = difflib.get_close_matches
    monkeypatch.setattr(
        difflib, "get_close_matches", lambda name, names, **o: weighed.extend(names) or near(name, names, **o)
    )
    names = [f"column{i}" for i in range(50_000)]
    path = tmp_path / "t.csv"
    path.write_text(",".join([*names, "kind"]) + "\n" + ",".join(["1"] * 50_001) + "\n")
    for typo, meant in (("kidn", "kind"), ("colum49999", "column49999"), ("column7777x", "column7777")):
        with pytest.raises(BadInput, match=f"no label column '{typo}' .did you mean .*'{meant}'"):
            read(path, label=typo)
    assert len(weighed) <= 3 * 200
