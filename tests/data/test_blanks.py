"""Names that differ in blanks only are two names, in whatever rows come; else the blanks around them are trimmed."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from isthmus.data import blanks
from isthmus.data.inferred import inferred
from isthmus.data.kinds import settle
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.table import table
from isthmus.data.unchecked import row_words

APART, TRIMMED = ["a ", "a", "b"] * 8, ["a ", "b", " c"] * 8
X = np.random.default_rng(0).normal(size=(24, 3)).round(3)


def as_csv(place, names):
    text = "".join(f"{row[0]},{row[1]},{name}\n" for row, name in zip(X, names, strict=True))
    (place / "t.csv").write_text("x,y,name\n" + text)
    return read(place / "t.csv", label="name")


def as_frame(place, names):
    return read(pd.DataFrame(X), labels=pd.Series(names))


def as_categories(place, names):
    return read(pd.DataFrame(X).assign(name=pd.Categorical(names)).rename(columns=str), label="name")


def as_parquet(place, names):
    pd.DataFrame(X).assign(name=names).rename(columns=str).to_parquet(place / "t.parquet")
    return read(place / "t.parquet", label="name")


def as_npz(place, names):
    np.savez(place / "t.npz", x=X, y=np.array(names))
    return read(place / "t.npz")


def as_arrays(place, names):
    return read(X, labels=np.array(names))


FORMS = pytest.mark.parametrize(
    "form", [as_csv, as_frame, as_categories, as_parquet, as_npz, as_arrays], ids=lambda form: form.__name__
)


@FORMS
def test_classes_that_differ_in_blanks_stay_apart_and_it_is_said(tmp_path, form):
    data = form(tmp_path, APART)
    assert data.classes == ("a", "a ", "b")
    assert data.y.tolist() == [1, 0, 2] * 8
    assert [said for said in data.told if "blanks" in said] == [
        "classes 'a' and 'a ' differ in blanks only and are kept apart; if they are one, write it one way"
    ]


@FORMS
def test_blanks_that_tell_nothing_apart_are_trimmed(tmp_path, form):
    data = form(tmp_path, TRIMMED)
    assert data.classes == ("a", "b", "c")
    assert not any("blanks" in said for said in data.told)


def test_a_category_that_no_row_has_keeps_no_blanks():
    labels = pd.Categorical(["a ", "b"] * 12, categories=["a", "a ", "b"])
    assert read(pd.DataFrame(X), labels=labels).classes == ("a", "b")


def test_a_missing_name_is_missing_whatever_blanks_are_around_it():
    for none in ("", " ", "nan "):
        with pytest.raises(Exception, match="the label is missing; 2 of 24"):
            read(X, labels=np.array(["a", "b"] * 11 + [none, none + " "]))


@pytest.mark.parametrize("kept", ["memory", "file"])
@pytest.mark.parametrize("form", ["t.parquet", "t.csv"])
def test_values_of_a_column_are_names_too(tmp_path, kept, form):
    """Blocks of a file that stays there are told together: the first ones alone would be trimmed."""
    names = ["a "] * 12 + ["a", "b"] * 6
    frame = pd.DataFrame(X).assign(name=names).rename(columns=str)
    if form == "t.csv":
        frame.to_csv(tmp_path / form, index=False)
    else:
        frame.to_parquet(tmp_path / form, row_group_size=6)
    data = read(tmp_path / form) if kept == "memory" else inferred(source(tmp_path / form))
    assert data.fields[-1].values == ("a", "a ", "b")
    rows = data.x if kept == "memory" else np.concatenate([data.block(k) for k in range(len(data.starts) - 1)])
    assert rows[:, -1].tolist() == [1] * 12 + [0, 2] * 6
    assert "column 'name': 'a' and 'a ' differ in blanks only and are kept apart" in "; ".join(data.told)


def test_new_rows_are_told_by_what_training_knew():
    """Names as they are written come first, then without the blanks; what other new rows hold plays no part."""

    def places(known, *names):
        frame = pd.DataFrame({"name": known, "x": X[: len(known), 0]})
        fields = read(frame).fields
        new = [pa.array(names), pa.array(X[: len(names), 0])]
        return (
            settle(table("new", ["name", "x"], new, row_words(("name", "x"), str), None), known=fields).x[:, 0].tolist()
        )

    assert places(APART, "a ") == [1.0]
    assert places(APART, "a", "a ", " a", "b ", "c") == [0.0, 1.0, 0.0, 2.0, -1.0]
    assert places(TRIMMED, "a", "a ", " a") == [0.0, 0.0, 0.0]


def test_words_for_no_and_yes_mean_what_they_mean():
    frame = pd.DataFrame({"well": ["yes", "no ", "no", "yes "] * 6, "x": X[:, 0]})
    assert read(frame).fields[0].values == ("no", "yes")


def test_codes_with_zeros_in_front_say_both():
    frame = pd.DataFrame({"code": ["007", "007 ", "12"] * 8, "x": X[:, 0]})
    data = read(frame)
    assert data.fields[0].values == ("007", "007 ", "12")
    assert [("zeros in front" in said, "blanks" in said) for said in data.told][:2] == [(True, False), (False, True)]


def test_no_name_becomes_another():
    names = pa.array(["a", " a", "a ", "b ", " c", "d"])
    found = blanks.trimmed(names).to_pylist()
    assert found == ["a", " a", "a ", "b", "c", "d"]
    assert len(set(found)) == len(names)


def test_names_that_differ_in_case_or_in_their_encoding_are_told():
    frame = pd.DataFrame({"v": range(40), "u": [k * k for k in range(40)]})
    for one, other, how in (("Yes", "yes", "case"), ("caf\u00e9", "cafe\u0301", "how letters are encoded")):
        said = f"differ in {how} only and are kept apart; if they are one, write it one way"
        found = read(frame, [one, other, "no", "no"] * 10)
        assert len(found.classes) == 3
        assert any(said in told for told in found.told)
        assert any(said in told for told in read(frame.assign(k=[one, other, "no", "no"] * 10)).told)
    assert not read(frame, ["yes", "no"] * 20).told
