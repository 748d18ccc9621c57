"""The same comparison on several data sets: a study for each, ranks over all, continued by the same call."""

import json
from dataclasses import replace

import numpy as np
import pytest

import isthmus
from isthmus.api.several import Several, compare_many
from isthmus.errors import BadInput
from isthmus.study.several import LIST, _unique, begin, plans

RNG = np.random.default_rng(0)
ROWS = {name: RNG.normal(size=(60, 4)) @ RNG.normal(size=(4, 4)) for name in "abc"}
TINY = {"families": "pca", "facets": "reconstruction", "replicates": 2, "configs": 1, "jobs": 1}


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several") / "out"
    sets = {**ROWS, "d": ROWS["a"][::-1].copy()}
    return compare_many(sets, out=folder, command="isthmus compare a b c d", **TINY)


def state(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.name == "record.json"}


@pytest.mark.slow
def test_each_data_set_has_an_ordinary_study(several):
    assert list(several.studies) == ["a", "b", "c", "d"]
    assert several.complete
    for name, study in several.studies.items():
        assert study.design.data["name"] == name
        assert study.folder == several.folder / "sets" / name
        assert isthmus.Study(study.folder).records == study.records
    assert isthmus.Several(several.folder).recommendation() == several.recommendation()
    assert repr(several).startswith("Studies of 4 data sets, 4 complete\nReconstruction: over 3 data sets")


@pytest.mark.slow
def test_overlaps_are_found_said_and_counted_once(several):
    assert [one[:2] for one in several.alike()] == [("a", "d")]
    found = several.rankings()["reconstruction"]
    assert found.sets == ("a + d", "b", "c")
    means = {name: study.verdict()["reconstruction"].means["pca"] for name, study in several.studies.items()}
    assert found.scores["pca"] == pytest.approx(((means["a"] + means["d"]) / 2, means["b"], means["c"]))
    assert several.recommendation()[-1].startswith("a and d share rows (100%")


@pytest.mark.slow
def test_rankings_are_of_the_facets_that_decide(several):
    assert list(several.rankings()) == ["reconstruction"]
    found = several.rankings()["reconstruction"]
    assert set(found.ranks) == set(several.studies["a"].contenders("reconstruction"))
    assert "pca" in found.rivals


@pytest.mark.slow
def test_the_same_call_does_nothing_again_and_a_set_may_be_added(tmp_path):
    folder, heard = tmp_path / "out", []
    compare_many({"a": ROWS["a"], "b": ROWS["b"]}, out=folder, **TINY)
    before = state(folder)
    again = compare_many(ROWS, out=folder, progress=heard.append, **TINY)
    assert heard == ["a", "b", "c"]
    assert before.items() < state(folder).items()
    fewer = compare_many({"a": ROWS["a"], "c": ROWS["c"]}, out=folder, **TINY)
    assert (list(again.studies), list(fewer.studies)) == (["a", "b", "c"], ["a", "c"])
    assert (folder / "sets" / "b" / "study.json").exists()


@pytest.mark.slow
def test_an_interrupted_call_goes_on_where_it_was(tmp_path):
    def stop(name):
        if name == "b":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_many(ROWS, out=tmp_path / "out", progress=stop, **TINY)
    before = state(tmp_path / "out")
    assert before
    with pytest.raises(BadInput, match="no study"):
        Several(tmp_path / "out")
    assert compare_many(ROWS, out=tmp_path / "out", **TINY).complete
    assert before.items() < state(tmp_path / "out").items()


@pytest.mark.slow
def test_another_design_is_refused(several):
    with pytest.raises(BadInput, match="another design: seed"):
        compare_many(ROWS, out=several.folder, seed=1, **TINY)


@pytest.mark.parametrize(
    ("sources", "options", "expected"),
    [
        ("iris", {}, "use compare for it"),
        (["iris"], {}, "at least 2"),
        (["iris", "nowhere.csv"], {}, "nowhere.csv"),
        (["iris", "wine"], {"label": {"wnie": "kind"}}, "no data set 'wnie'; the data sets are iris, wine"),
        (["iris", "wine"], {"anomaly": {"wine": "red"}}, "no class 'red'"),
        (["iris", "wine"], {"anomaly": "red"}, "no class 'red'"),
        (["iris", "wine"], {"label": "kind"}, "neither"),
        (["iris", "wine"], {"time": "when"}, "iris: no time column 'when'"),
        (["iris", "wine"], {"out": "taken"}, "holds something other"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path, monkeypatch, sources, options, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "thesis.txt").touch()
    with pytest.raises(BadInput, match=expected):
        compare_many(sources, **options, **TINY)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["taken", "thesis.txt"]


@pytest.fixture
def tables(tmp_path):
    """Three tables with labels under different names, one of them without."""
    for name, column in (("one", "kind"), ("two", "kind"), ("three", "what")):
        lines = [
            f"{a:.4f},{b:.4f},{'odd' if i % 5 == 0 else 'fine'}" for i, (a, b) in enumerate(RNG.normal(size=(80, 2)))
        ]
        (tmp_path / f"{name}.csv").write_text(f"x,y,{column}\n" + "\n".join(lines) + "\n")
    np.savez(tmp_path / "four.npz", X=RNG.normal(size=(80, 3)), y=np.arange(80) % 2)
    return lambda *names: [tmp_path / name for name in names]


def seen(sources, **options):
    planned = plans(sources, out="unwritten", **TINY, **options)
    return {name: (one.data.classes, one.data.anomaly) for name, one in planned.studies.items()}


def test_a_label_for_all_is_left_out_where_there_is_none(tables):
    found = seen(tables("one.csv", "two.csv", "four.npz"), label="kind", anomaly="odd")
    assert found == {"one": (("fine", "odd"), "odd"), "two": (("fine", "odd"), "odd"), "four": (("0", "1"), None)}


def test_a_label_for_one_is_for_that_one(tables):
    sources = tables("one.csv", "three.csv")
    found = seen(sources, label={"one.csv": "kind", "three": "what"}, anomaly={str(sources[1]): "fine"})
    assert found == {"one": (("fine", "odd"), None), "three": (("fine", "odd"), "fine")}
    with pytest.raises(BadInput, match="no label column 'knid'"):
        seen(sources, label={"one": "knid", "three": "what"})


def test_how_tables_are_read_reaches_every_data_set(tables):
    def columns(**options):
        planned = plans(tables("one.csv", "two.csv", "four.npz"), out="unwritten", label="kind", **TINY, **options)
        return [[field.kind for field in one.data.fields] or list(one.data.columns) for one in planned.studies.values()]

    numbers = ["x0", "x1", "x2"]
    assert columns() == [["x", "y"], ["x", "y"], numbers]
    assert columns(drop="y") == [["x"], ["x"], numbers]
    assert columns(drop=["x2", "y"], kinds={"x": "ordered"}) == [["ordered"], ["ordered"], ["x0", "x1"]]
    assert columns(images=False) == columns()
    with pytest.raises(BadInput, match="no column 'z' to have a kind or to drop"):
        columns(drop=["y", "z"])


def test_series_are_cut_into_windows_each(tmp_path):
    for name, steps in (("one", 90), ("two", 120)):
        np.savetxt(tmp_path / f"{name}.csv", RNG.normal(size=(steps, 2)), delimiter=",", header="a,b", comments="")
    planned = plans([tmp_path / "one.csv", tmp_path / "two.csv"], time="rows", window=8, stride=2, **TINY)
    assert [one.data.x.shape for one in planned.studies.values()] == [(42, 8, 2), (57, 8, 2)]


def test_arrays_take_labels_by_name():
    y = np.arange(60) % 3
    assert seen(ROWS, labels={"b": y}) == {"a": ((), None), "b": (("0", "1", "2"), None), "c": ((), None)}


def test_names_are_made_different(tmp_path):
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        np.save(tmp_path / place / "x.npy", RNG.normal(size=(50, 3)))
    planned = plans([tmp_path / "one" / "x.npy", tmp_path / "two" / "x.npy"], out=tmp_path / "out", **TINY)
    assert {name: one.folder.name for name, one in planned.studies.items()} == {"x": "x", "x (2)": "x-2"}
    assert _unique(["a", "a-2", "a"], "-{}") == ["a", "a-2", "a-3"]


@pytest.mark.slow
def test_a_budget_is_shared_and_options_reach_every_study(tmp_path):
    options = {**TINY, "replicates": 3, "seed": 4, "latents": 2, "steps": 70}
    planned = plans(ROWS, out=tmp_path / "out", **options)
    for one in planned.studies.values():
        design = one.design
        assert (design.replicates, design.seed, design.latents, design.plan["steps"]) == (3, 4, 2, 70)
    shared = plans(ROWS, out=tmp_path / "out", budget="3000s", **TINY)
    assert {one.note["budget"] for one in shared.studies.values()} == {1000.0}
    assert planned.folder == tmp_path / "out"
    assert plans(ROWS, **TINY).folder.name == "isthmus-a-and-2-more"


def test_a_damaged_list_is_refused(tmp_path):
    planned = plans(ROWS, out=tmp_path / "out", **TINY)
    begin(planned)
    path = tmp_path / "out" / LIST
    good = json.loads(path.read_text())
    bad = {**good, "sets": [{"name": "a", "folder": "../../etc"}]}
    for text in (
        "{",
        json.dumps(bad),
        json.dumps({**good, "overlaps": [[0, 7, 1.0]]}),
        json.dumps({**good, "format": 2}),
    ):
        path.write_text(text)
        with pytest.raises(BadInput, match="damaged"):
            Several(tmp_path / "out")
    begin(planned)
    assert json.loads(path.read_text()) == good
    with pytest.raises(BadInput, match="no studies of several data sets"):
        Several(tmp_path)


@pytest.mark.slow
def test_copies_across_splits_are_counted_and_said(tmp_path):
    rows = np.vstack([RNG.normal(size=(40, 3)), np.ones((20, 3))])
    found = compare_many({"clean": ROWS["a"], "copied": rows}, out=tmp_path / "out", **TINY)
    assert found.studies["clean"].copies() is None
    copies, held = found.studies["copied"].copies()
    assert held == 24
    assert 3 <= copies <= 15
    assert f"Up to {copies} of 24 validation and test rows" in found.report().read_text()
    assert f"Up to {copies} of 24 validation and test rows" in (found.folder / "sets/copied/report.html").read_text()


@pytest.mark.slow
def test_who_is_excluded_on_a_set_is_last_there(several, monkeypatch):
    usual = isthmus.Study.verdict
    found = several.rankings()["reconstruction"]
    first = found.first

    def verdict(study):
        seen = usual(study)
        if study.design.data["name"] == "b":
            one = seen["reconstruction"]
            seen["reconstruction"] = replace(one, means={n: v for n, v in one.means.items() if n != first})
        return seen

    monkeypatch.setattr(isthmus.Study, "verdict", verdict)
    later = several.rankings()["reconstruction"]
    assert later.scores[first][1] is None
    assert later.ranks[first] > found.ranks[first]
