"""What docs/data.md says is so: its examples run, its messages are the true ones, its numbers are the code's."""

import doctest
import gzip
import importlib
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import isthmus.data
import isthmus.data.fields
from isthmus.data import fields, files, kinds, numbers, scale, text_table, unchecked
from isthmus.data.blocks import blocks
from isthmus.data.fields import Field, category, text
from isthmus.data.read import DATASETS, FORMATS, read
from isthmus.errors import BadInput

FOLDER = Path(__file__).resolve().parents[2] / "docs"
PICTURES_PAGE = (FOLDER / "forms" / "pictures.md").read_text()
COUNTS_PAGE = (FOLDER / "forms" / "counts.md").read_text()
ACTIVATIONS_PAGE = (FOLDER / "forms" / "activations.md").read_text()
PAGE, KINDS_PAGE = (FOLDER / "data.md").read_text(), (FOLDER / "fields" / "README.md").read_text()
MODULES = [f"isthmus.data.{module.name}" for module in pkgutil.iter_modules(isthmus.data.__path__)]
MODULES += [f"isthmus.data.fields.{module.name}" for module in pkgutil.iter_modules(isthmus.data.fields.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize(
    ("page", "least"),
    [(PAGE, 5), (KINDS_PAGE, 3), (PICTURES_PAGE, 3), (ACTIVATIONS_PAGE, 3), (COUNTS_PAGE, 2)],
    ids=["data", "fields", "pictures", "activations", "counts"],
)
def test_examples_of_the_page_run(page, least):
    runner = doctest.DocTestRunner()
    runner.run(doctest.DocTestParser().get_doctest(page.replace("```", ""), {}, "data.md", None, 0))
    assert runner.tries >= least
    assert runner.failures == 0


def test_every_kind_of_column_has_a_page_and_stands_on_the_first_one():
    for kind in fields.KINDS:
        assert (FOLDER / "fields" / f"{kind}.md").read_text().startswith(f"# {kind}\n")
        assert f"| [{kind}]({kind}.md) |" in KINDS_PAGE
    assert (kinds.REPEATED, kinds.HALF, kinds.MOST_VALUES, kinds.SKEWED, kinds.ENOUGH) == (3, 0.5, 10_000, 3, 20)
    assert (text.SHARED, kinds.LOOKED_AT, text.LEAST_WORDS, text.READ) == (10, 1000, 4, 100_000)
    assert (text.FEWEST, text.MOST, text.LARGEST * 4, text.TOLD) == (32, 1000, 2 * 2**30, 8)
    assert (category.MOST, category.LEAST_ROWS, unchecked.LONGEST_NAME) == (64, 2, 1000)


def lines(*rows, head="age"):
    return "\n".join([head, *(rows * 12)[:12]]) + "\n"


CASES = {
    "fill it in": lines("1", "2").replace("\n2\n", "\ninf\n", 1),
    "correct it": lines("1", "2").replace("\n2\n", "\nold\n", 1),
    "holds units": lines("1", "2").replace("age\n", "age\nyears\n"),
    "another sign": lines("12%", "3.5"),
    "with a unit": lines("3.5 kg", "4 kg"),
    "first line has": "Report of 2024\n" + lines("1,2", head="age,size"),
    "day before month": lines("1,1/2/2024", "2,3/4/2024", head="age,day"),
    "no column is left": lines("Ann went home", head="note"),
    "correct the line": lines("1,2", head="age,size").replace("1,2\n1,2\n", "1,2\n1,2,3\n", 1),
    "holds numbers": lines("4.9,3.0", head="2019,1990"),
    "no name": lines("7,2,3", head="age,,size"),
    "same name": lines("1,2", head="age,age"),
    "may be": lines("1;1,279", "2;2", head="row;age"),
    "UTF-8": lines("1,tea", "2,чай", head="age,kind").encode("cp1251"),
    "only 1 row": "age\n1\n",
    "beyond": lines("1", "2").replace("\n2\n", "\n1e39\n", 1),
    "too fine": "time\n" + "".join(f"{1_700_000_000 + i}\n" for i in range(12)),
    "no label column": lines("1,a", "2,b", head="age,kind"),
    "no such file": lines("1"),
}


@pytest.mark.parametrize(("said", "content"), CASES.items(), ids=CASES)
def test_messages_of_the_page_are_the_true_ones(tmp_path, monkeypatch, said, content):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(BadInput) as caught:
        read("tt.csv" if said == "no such file" else "t.csv", label="knd" if "label" in said else None)
    assert said in str(caught.value)
    assert f"`{caught.value}`" in PAGE


@pytest.mark.parametrize(
    ("field", "texts"),
    [
        (Field("price", "number", habit=","), ["1.234", "1.5"]),
        (Field("day", "date", habit="day"), ["3/4/2021", "12/31/2021"]),
    ],
)
def test_messages_of_the_page_about_what_is_against_the_training_are_the_true_ones(tmp_path, monkeypatch, field, texts):
    monkeypatch.chdir(tmp_path)
    Path("new.csv").write_text("\n".join([field.name, *texts, ""]))
    with pytest.raises(BadInput) as caught:
        list(blocks(Path("new.csv"), [field]))
    assert f"`{caught.value}`" in PAGE


def test_names_formats_and_limits_of_the_page_are_those_of_the_code():
    assert all(f"`{name}`" in PAGE for name in DATASETS)
    assert all(f"`{suffix.removesuffix('.gz')}`" in PAGE for suffix in FORMATS)
    assert len(CASES) == len(re.findall(r"^\| .* \| `t+\.csv: .*` \|$", PAGE, re.MULTILINE))
    assert (files.LARGEST, files.LARGEST_TEXT + 1, text_table.MOST_COLUMNS) == (8 * 2**30, 2 * 2**30, 100_000)
    assert (files.SUSPECT, files.PACKED, unchecked.LEAST_ROWS) == (64 * 2**20, 200, 10)
    assert (scale.FARTHEST, numbers.COARSE, scale.OWN) == (1e9, 0.01, 0.25)
    assert (unchecked.WIDEST, unchecked.LONGEST_NAME) == (1_000_000, 1000)


@pytest.mark.parametrize("limit", ["LARGEST", "SUSPECT"])
def test_limits_of_size_are_used(tmp_path, monkeypatch, limit):
    np.savez_compressed(tmp_path / "t.npz", X=np.zeros((1000, 100)))
    assert read(tmp_path / "t.npz").x.shape == (1000, 100)
    monkeypatch.setattr(files, limit, 100_000)
    with pytest.raises(BadInput, match="the limit is" if limit == "LARGEST" else "over 200 times as many"):
        read(tmp_path / "t.npz")


def test_the_limit_of_text_is_used(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(lines("1", "2"))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(lines("1", "2").encode()))
    monkeypatch.setattr(text_table, "LARGEST_TEXT", 20)
    with pytest.raises(BadInput, match="28 bytes; the limit is 20; save it as Parquet"):
        read(tmp_path / "t.csv")
    with pytest.raises(BadInput, match="unpacks to more than 20 bytes"):
        read(tmp_path / "t.csv.gz")
