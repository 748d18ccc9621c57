"""``isthmus profile``: what is planted in a table is said, in numbers, in words and on a page; each option counts."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.answers.profile import told
from isthmus.answers.spoilers import lines, percent, useless
from isthmus.answers.words import LANGUAGES, Words
from isthmus.cli import ends, main
from isthmus.data.bundled import DATASETS
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.evidence.verdict import judge
from isthmus.report.html import unbroken
from isthmus.study.profile import LISTED, Profile, Spoiler, profiled

ROWS = 400
RNG = np.random.default_rng(0)
KIND = RNG.permutation(np.where(np.arange(ROWS) < 120, "a", "b"))
TABLE = pd.DataFrame(
    {
        "id": 1000 + RNG.permutation(ROWS),
        "name": [f"p{i}x" for i in range(ROWS)],
        "age": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.integers(18, 90, ROWS)),
        "city": RNG.choice(["Oslo", "Bergen", "Rome"], ROWS),
        "income": RNG.lognormal(3, 1.5, ROWS),
        "score": np.where(RNG.random(ROWS) < 0.1, -999, RNG.normal(size=ROWS).round(3)),
        "celsius": (celsius := RNG.normal(size=ROWS).round(4)),
        "fahrenheit": 32 + 1.8 * celsius,
        "twin": (KIND == "a") + 0.03 * RNG.normal(size=ROWS),
        "rare": (np.arange(ROWS) == 3).astype(float),
        "site": np.arange(ROWS) % 20,
        "day": np.arange(ROWS) // 2,
        "weight": 1.0 + np.arange(ROWS) % 3,
        "kind": KIND,
    }
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    TABLE.to_csv("people.csv", index=False)
    return tmp_path


@pytest.fixture
def shell(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_what_is_planted_is_found(folder: Path) -> None:
    found = isthmus.profile("people.csv", label="kind").found
    by = {one.name: one for one in found.columns}
    assert {name: one.kind for name, one in by.items()} == {
        **dict.fromkeys(("id", "age", "score", "celsius", "fahrenheit", "twin", "site", "day", "weight"), "number"),
        **{"city": "category", "income": "amount", "rare": "flag", "name": ""},
    }
    assert "another text in each row" in by["name"].why
    assert "每行都不同" in by["name"].why_zh
    chinese = {cells[0]: cells[-1] for cells in told(found, "people", "zh").columns}["name"]
    assert re.search("[A-Za-z]+ [a-z]+ [a-z]+", chinese) is None
    gaps = int(TABLE["age"].isna().sum())
    assert (by["age"].gaps, found.gaps, found.rows_with_gaps) == (gaps, gaps, gaps)
    assert (by["age"].low, by["age"].high) == (f"{TABLE['age'].min():g}", f"{TABLE['age'].max():g}")
    top = TABLE["city"].value_counts()
    assert (by["city"].common, by["city"].common_share) == (top.index[0], top.iloc[0] / ROWS)
    assert [(one.name, one.of, one.how) for one in found.twins] == [("fahrenheit", "celsius", "linear")]
    assert (found.nearly, found.nearlies, found.constants) == (["rare"], 1, 0)
    spoiled = {one.what: one for one in found.spoilers}
    assert spoiled["leak"].columns == ["twin"]
    assert spoiled["identifier"].columns == ["id"]
    assert (spoiled["sentinel"].columns, spoiled["sentinel"].value) == (["score"], -999.0)
    assert set(spoiled) == {"leak", "identifier", "sentinel"}
    assert found.classes == {"b": 280, "a": 120}
    assert "features" in found.facets
    assert list(found.skipped) == ["factors", "recovery"]
    assert Profile.model_validate_json(found.model_dump_json()) == found


def test_each_way_of_reading_counts(folder: Path) -> None:
    base = isthmus.profile("people.csv").found
    assert base.beside == {}
    assert {"factors"} <= set(base.skipped)
    asked = {
        "label": "kind",
        "kinds": {"city": "ordered"},
        "drop": ["id"],
        "missing": [-999.0],
        "factors": "celsius",
        "group": "site",
        "time": "day",
        "weights": "weight",
    }
    with pytest.raises(BadInput):
        isthmus.profile("people.csv", anomaly="a")
    del asked["time"]
    one = isthmus.profile("people.csv", anomaly="a", **asked).found
    names = {"label": "kind", "factors": "celsius", "drop": "id", "group": "site", "weights": "weight"}
    assert one.beside == names
    by = {column.name: column for column in one.columns}
    assert (by["city"].kind, by["city"].asked) == ("ordered", True)
    assert by["score"].gaps == int((TABLE["score"] == -999).sum())
    assert {spoiler.what for spoiler in one.spoilers} == {"leak"}
    assert (one.anomaly, one.groups, one.times) == ("a", 20, None)
    weight = TABLE["weight"]
    assert one.worth == pytest.approx(weight.sum() ** 2 / (weight**2).sum())
    assert "factors" not in one.skipped
    timed = isthmus.profile("people.csv", time="day").found
    assert (timed.times, timed.beside) == (200, {"time": "day"})
    pictures = isthmus.profile(RNG.normal(size=(40, 6, 6)), images=True).found
    assert pictures.images
    assert not isthmus.profile(RNG.normal(size=(40, 6, 6)), images=False).found.images
    assert isthmus.profile(TABLE[["celsius", "age"]], KIND).found.class_count == 2


@pytest.mark.parametrize("name", DATASETS)
def test_bundled_sets_raise_nothing(name: str) -> None:
    found = isthmus.profile(name)
    assert found.found.spoilers == []
    for lang in LANGUAGES:
        said = found.told(lang)
        assert said.title.startswith(name)
        assert said.spoilers == []
        assert said.rows


def test_a_few_rows_that_are_most_of_the_variance_are_told_with_the_numbers_without_them() -> None:
    x = RNG.normal(size=(1000, 4)) @ RNG.normal(size=(4, 64)) + 2 * RNG.normal(size=(1000, 64))
    x[[4, 99]] *= 100
    (one,) = isthmus.profile(x).found.spoilers
    assert (one.what, one.rows, one.count, one.components) == ("rows", [4, 99], 2, 16)
    (line,) = lines([one], Words("en"))
    assert line.startswith("2 rows lie at least ")
    assert "(rows 5, 100)" in line
    assert f"16 principal components explain {percent(one.explained)} of it, and {percent(one.without)} without" in line
    assert one.explained > one.without + 0.2


def test_many_dimensions_are_written_out() -> None:
    profile = profiled(read(np.random.default_rng(0).normal(size=(60, 4))), 2)
    for dimension, words in ((4.92, "about 4.9."), (104.0, "about 100."), (2340.0, "about 2,300.")):
        assert words in str(told(profile.model_copy(update={"dimension": dimension}), "X"))


def test_every_spoiler_and_every_number_of_it_is_said_in_both_languages() -> None:
    few = {"rows": [0, 1], "share": 0.9, "components": 1, "explained": 0.983, "without": 0.517}
    found = [
        Spoiler(what="leak", columns=["a"], count=1, share=1.0),
        Spoiler(what="identifier", columns=["b", "c"], count=2),
        Spoiler(what="group", columns=["who"], count=20, share=0.62, value=0.013),
        Spoiler(what="sentinel", columns=["d"], count=9, value=-200.0),
        Spoiler(what="day", columns=["born"], count=1, value=253402214400.0),
        Spoiler(what="stamps", columns=["when"], count=1),
        Spoiler(what="total", count=7),
        Spoiler(what="note", columns=["last"], count=1),
        Spoiler(what="rows", count=2, value=67.7, **few),
        Spoiler(what="cells", columns=["e"], count=2, value=1e12, **few),
        Spoiler(what="cells", count=2, value=1e12, **few),
        Spoiler(what="column", columns=["f"], **few),
    ]
    for lang in LANGUAGES:
        said = lines(found, Words(lang))
        assert len(said) == len(found)
        for line, parts in zip(
            said,
            (
                ["'a'", "100%"],
                ["'b'", "'c'"],
                ["'who'", "62%", "1.3%"],
                ["-200", "'d'", "8"],
                ["9999-12-31", "'born'"],
                ["'when'"],
                ["7"],
                ["'last'"],
                ["67.7"],
                ["'e'", "1e+12"],
                ["1e+12"],
                ["'f'"],
            ),
            strict=True,
        ):
            assert all(part in line for part in parts), line
        assert all("98%" in line and "52%" in line and "90%" in line for line in said[8:])
    many = [Spoiler(what="leak", columns=[name], count=4, share=1.0) for name in "abcd"]
    (line,) = lines(many, Words("en"))
    assert line.startswith("4 columns each tell the label")


def test_rows_that_belong_together_are_told_unless_somebody_said_so() -> None:
    who = np.repeat(np.arange(60), 5)
    own = np.random.default_rng(0).normal(size=(60, 2))[who] + 0.1 * np.random.default_rng(1).normal(size=(300, 2))
    frame = pd.DataFrame({"who": [f"P{one:02d}" for one in who], "a": own[:, 0], "b": own[:, 1]})
    frame["c"] = np.random.default_rng(2).choice(["u", "v"], 300)
    frame.loc[frame.index % 7 == 0, "b"] = np.nan
    (found,) = profiled(read(frame), 2).spoilers
    assert (found.what, found.columns, found.count) == ("group", ["who"], 60)
    assert found.share > 0.5
    assert found.value == pytest.approx(4 / 299)
    assert profiled(read(frame, group="who"), 2).spoilers == []
    assert "--group" in lines([found], Words("en"))[0]


def test_wide_tables_list_their_first_columns_and_count_the_others() -> None:
    x = RNG.normal(size=(50, LISTED + 7))
    found = profiled(read(x), 2)
    assert len(found.columns) == LISTED
    assert told(found, "X").more == "… 7 more columns"


def test_the_command_prints_eighty_columns_json_chinese_and_a_page(shell: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = shell("profile", "people.csv", "--label", "kind")
    assert code == ends.DONE
    assert max(map(len, out.splitlines())) <= 80
    assert "! Column 'twin' alone tells the label" in out
    assert "label, which models never" in out
    assert out.index("First of all") < out.index("Columns") < out.index("Rows") < out.index("Questions")
    assert "isthmus: people: column 'name' is set aside" in err
    code, out, _ = shell("profile", "people.csv", "--label", "kind", "--drop", "twin", "--json", "-o", "page.html")
    content = json.loads(out)
    assert [one["what"] for one in content["spoilers"]] == ["identifier", "sentinel"]
    assert Path(content["report"]).read_text().count("<tr") > 10
    code, out, _ = shell("profile", "people.csv", "--lang", "zh")
    assert "只是行的编号" in out
    code, _, err = shell("profile", "people.csv", "--out", "page.txt")
    assert (code, "must end in .html" in err) == (ends.INPUT, True)


def test_names_from_a_file_are_text_on_the_page(folder: Path) -> None:
    evil = "<script>alert(1)</script>\u202e"
    table = pd.DataFrame({evil: np.arange(50), "b": RNG.normal(size=50)})
    page = isthmus.profile(table).report("page.html").read_text()
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "\u202e" not in page


FEW = {"families": "pca", "rivals": "none", "facets": "reconstruction", "replicates": 2, "configs": 1, "jobs": 1}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:X. ")
def test_what_spoils_stands_before_the_answer(folder: Path) -> None:
    x = RNG.normal(size=(300, 4)) @ RNG.normal(size=(4, 24)) + 2 * RNG.normal(size=(300, 24))
    x[[4, 99]] *= 100
    x[:, 7] = RNG.permutation(300)
    y = np.arange(300) % 2
    x[:, 9] = 5 + y + 0.01 * RNG.normal(size=300)
    study = isthmus.compare(x, y, out="study", latents=3, **FEW)
    assert study.profile is not None
    assert [one.what for one in study.profile.spoilers] == ["leak", "identifier", "rows"]
    assert study.profile.spoilers[2].components == 3
    for lang in LANGUAGES:
        said = study.recommendation(lang)
        assert said[:3] == lines(study.profile.spoilers, Words(lang))
        page = study.report(lang=lang).read_text()
        where = [page.index(unbroken(line)) for line in said[:3]]
        assert where == sorted(where)
        assert where[-1] < page.index('<section id="answer"') < page.index('<section id="profile"')
    again = isthmus.Study("study")
    assert again.profile == study.profile


@pytest.mark.slow
def test_the_command_says_first_what_spoils(shell: Callable[..., tuple[int, str, str]]) -> None:
    x = RNG.normal(size=(200, 8))
    x[7] *= 1000
    pd.DataFrame(x, columns=list("abcdefgh")).to_csv("sinks.csv", index=False)
    small = [word for name, value in FEW.items() for word in (f"--{name}", str(value))]
    code, out, err = shell("compare", "sinks.csv", *small)
    assert code == ends.DONE
    assert out.startswith("What may spoil the answer:\n! 1 row lies at least ")
    assert "isthmus: sinks: 1 row lies at least" in err
    found = json.loads(shell("compare", "sinks.csv", *small, "--json")[1])
    assert [one["what"] for one in found["profile"]["spoilers"]] == ["rows"]
    clean = shell("compare", "iris", *small)[1]
    assert "spoil" not in clean


def test_floors_that_nobody_beats_are_told_once_for_each_floor() -> None:
    about = {"higher": True, "rope": 0.01, "rivals": {"pca"}, "test_fraction": 1 / 3}
    wobble = np.array([0.01, -0.01, 0.0])
    noise = judge(
        {"plain": 0.5 + wobble, "pca": 0.5 - wobble},
        facet="anomaly",
        metric="auroc",
        floor=np.full(3, 0.5),
        **about,
    )
    assert useless([noise], Words("en")) == [
        "Anomaly detection: nobody is shown to beat chance, so that no choice is worth anything there."
    ]
    unsure = judge(
        {"plain": np.array([0.8, 0.55, 0.7]), "pca": 0.5 - wobble},
        facet="anomaly",
        metric="auroc",
        floor=np.full(3, 0.5),
        **about,
    )
    (line,) = useless([unsure], Words("en"))
    assert line.startswith(
        "Anomaly detection: nobody is shown to beat chance, so that it is not proven that any choice"
    )
    assert len(useless([unsure, noise], Words("zh"))) == 2
    assert useless([judge({"plain": 0.9 + wobble}, facet="anomaly", metric="auroc", **about)], Words("en")) == []
