"""The first line of a text table names its columns, or is a row that is not lost: in memory, streamed and in a pipe."""

import csv
import io
import sys

import numpy as np
import pytest
from sklearn.datasets import load_iris

from isthmus.cli import main
from isthmus.data.heading import row
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

IRIS = load_iris()
random = np.random.default_rng(0)
FLOWERS = [[*map(str, x), IRIS.target_names[k]] for x, k in zip(IRIS.data.tolist(), IRIS.target, strict=True)]
NEWS = [[str(1 + i % 4), f"story {i} of the day, as told", f"of {i} words and more"] for i in range(60)]
GAPPY = [["?" if (i + j) % 7 == 0 else f"{v:.2f}" for j, v in enumerate(random.normal(size=3))] for i in range(60)]
MUSHROOMS = [random.choice([*"abc"], 5).tolist() for _ in range(60)]
GERMAN = [
    [f"{a:.2f}".replace(".", ","), k] for a, k in zip(random.random(60), random.choice(["x", "y"], 60), strict=True)
]
ROWS = {"iris": FLOWERS, "news": NEWS, "gaps": GAPPY, "words": MUSHROOMS, "commas": GERMAN}


def text(rows, separator=",", end="\n"):
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator=end).writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("piece", [900, 1 << 22])
@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("name", ROWS)
def test_no_row_is_lost_and_columns_are_those_under_names_of_their_own(tmp_path, monkeypatch, name, separator, piece):
    monkeypatch.setattr("isthmus.data.text_pieces.PIECE", piece)
    rows = ROWS[name]
    names = [f"x{j}" for j in range(len(rows[0]))]
    (tmp_path / "bare.csv").write_text(text(rows, separator))
    (tmp_path / "named.csv").write_text(text([names, *rows], separator))
    kinds = {"x1": "text", "x2": "text"} if name == "news" else {}
    bare, named = (read(tmp_path / f"{one}.csv", kinds=kinds) for one in ("bare", "named"))
    assert bare.columns == named.columns
    assert bare.fields == named.fields
    assert len(bare.x) == len(rows)
    assert bare.digest == named.digest
    assert "columns named x0 to" in bare.told[0]
    assert not any("columns named" in said for said in named.told)
    if name != "news":
        far = survey(source(tmp_path / "bare.csv", kinds=kinds), rows=10)
        assert far.digest == bare.digest
        assert "columns named x0 to" in far.source.told[0]


def test_the_command_line_trains_on_rows_without_names_and_scores_a_pipe_of_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "iris.csv").write_text("# from somewhere\n" + text(FLOWERS))
    line = ["train", "plain", "iris.csv", "--label", "x4", "--steps", "20", "--measure", "none", "--out"]
    assert main([*line, "m"]) == 0
    assert "the first line is a row" in capsys.readouterr().err
    assert main([*line, "streamed", "--memory", "2GiB"]) == 0
    assert "the first line is a row" in capsys.readouterr().err
    for rows in (FLOWERS, FLOWERS[:5], FLOWERS[:1]):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(text(rows).encode()))))
        assert main(["score", "m", "-", "--out", f"{len(rows)}.csv"]) == 0
        assert len((tmp_path / f"{len(rows)}.csv").read_text().splitlines()) == 1 + len(rows)


def test_a_place_in_a_table_without_names_is_its_line(tmp_path):
    for above, rows in (("", FLOWERS), ("# a comment\n\n", FLOWERS)):
        lines = text(rows).splitlines()
        lines[0], lines[6] = lines[0], lines[6] + ",1"
        (tmp_path / "t.csv").write_text(above + "\n".join(lines) + "\n")
        at = 7 + above.count("\n")
        with pytest.raises(BadInput, match=f"line {at}: expected 5 values"):
            read(tmp_path / "t.csv")
        with pytest.raises(BadInput, match=f"line {at}: expected 5 values"):
            source(tmp_path / "t.csv")


NUMBERS = [["5.1", "3.5"], ["4.9", "3.0"], ["6.2", "2.2"], ["5.5", "2.9"]]


@pytest.mark.parametrize(
    ("first", "rows", "told"),
    [
        (["5.0", "3.1"], NUMBERS, True),
        (["5.0", "?"], NUMBERS, True),
        (["length", "width"], NUMBERS, False),
        (["0", "1"], NUMBERS, False),
        (["1", "2"], NUMBERS, False),
        (["", "0"], [["0", "0.3"], ["1", "0.1"], ["2", "0.7"]], False),
        (["0"], [["0.3"], ["0.1"], ["0.7"]], False),
        (["2019", "2020"], NUMBERS, None),
        (["5.0", "width"], NUMBERS, False),
        (["5.1", "3.5"], [], True),
        (["country", "2020"], [["Oslo", "5.1"], ["Rome", "4.9"], ["Bonn", "5.6"]], False),
        (["country", "5.0"], [["Oslo", "5.1"], ["Rome", "4.9"], ["Bonn", "5.6"]], True),
        (["Oslo", "9999"], [["Oslo", "5.1"], ["Rome", "4.9"], ["Bonn", "5.6"]], None),
        (["sex", "town"], [["m", "sex"], ["f", "town"], ["f", "town"]], False),
        (["a", "a"], [["a", "b"], ["b", "a"], ["c", "c"]], True),
        (["a", "b"], [["1", "2"], ["a", "b"], ["3", "4"], ["5", "6"]], False),
        ([str(400.5 + j) for j in range(9)], [["0.1"] * 9, ["0.2"] * 9, ["0.5"] * 9], False),
        ([f"0.{j}" for j in range(1, 10)], [["0.1"] * 9, ["0.9"] * 9, ["0.5"] * 9], True),
    ],
)
def test_a_first_line_is_names_or_a_row_or_may_be_either(first, rows, told):
    assert row(first, rows) is told


def test_numbers_that_are_names_are_told(tmp_path):
    (tmp_path / "t.csv").write_text("0,1\n" + "0.5,2.5\n1.5,7.5\n" * 10)
    found = read(tmp_path / "t.csv")
    assert (found.columns, len(found.x)) == (("0", "1"), 20)
    assert "the numbers of the first line (0, 1, …) as names" in found.told[0]
