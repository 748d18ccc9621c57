"""Tables that stay in their file: the same kinds, scales and cells as of the same rows in memory."""

from contextlib import suppress
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pyarrow import feather, ipc

import isthmus
from isthmus.cli import main
from isthmus.data.batches import batches
from isthmus.data.inferred import inferred
from isthmus.data.layout import laid_out
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput
from isthmus.train.checkpoint import Checkpoint
from isthmus.train.fitted import fit_survey
from isthmus.train.plan import Plan

ROWS = 2000


def mixed() -> pa.Table:
    """A column of each kind, with gaps, sentinels, rare values, names and a constant."""
    random = np.random.default_rng(0)
    some = random.random(ROWS) < 0.1
    city = random.choice(["Oslo", "Bergen", "Rome", " Oslo ", "?"], ROWS, p=[0.4, 0.3, 0.2, 0.05, 0.05])
    city[17] = "Nowhere"
    days = 1.7e9 + np.sort(random.random(ROWS)) * 3e7
    table = {
        "x": pa.array(random.normal(1e6, 3, ROWS)),
        "gappy": pa.array(np.where(some, np.nan, random.normal(size=ROWS))),
        "absent": pa.array(random.integers(0, 50, ROWS).astype(float), mask=some),
        "sentinel": pa.array(np.where(some, -999.0, random.normal(size=ROWS))),
        "money": pa.array(np.exp(random.normal(0, 2, ROWS))),
        "flag": pa.array(random.integers(0, 2, ROWS)),
        "bool": pa.array(random.random(ROWS) < 0.3),
        "yes": pa.array(random.choice(["yes", "no"], ROWS)),
        "city": pa.array(city.tolist()),
        "size": pa.array(random.choice(["S", "M", "L"], ROWS).tolist()).dictionary_encode(),
        "codes": pa.array(random.choice(["007", "010", "300"], ROWS).tolist()),
        "comma": pa.array([f"{a:.1f}".replace(".", ",") for a in random.normal(0, 9, ROWS)]),
        "clock": pa.array([f"{h:02d}:{m:02d}" for h, m in zip(*random.integers(0, 24, (2, ROWS)), strict=True)]),
        "when": pa.array((days * 1e6).astype("int64"), pa.timestamp("us")),
        "day": pa.array([str(np.datetime64(int(d), "s"))[:10] for d in days]),
        "calls": pa.array(random.negative_binomial(2, 0.0001, ROWS)),
        "id": pa.array([f"id{i:05d}" for i in range(ROWS)]),
        "none": pa.nulls(ROWS, pa.float64()),
        "same": pa.array(["a"] * ROWS),
        "still": pa.array(np.full(ROWS, 4.0)),
    }
    return pa.table(table)


ASKED = {
    "inferred": {},
    "asked": {"kinds": {"calls": "count", "absent": "ordered", "flag": "category", "money": "number"}, "drop": ["x"]},
    "sentinel": {"missing": [-999.0], "kinds": {"id": "category", "calls": "count"}},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("mixed")
    pq.write_table(mixed(), place / "a.parquet", row_group_size=130)
    feather.write_feather(mixed(), str(place / "a.arrow"), compression="uncompressed", chunksize=170)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED)
def test_kinds_cells_and_scales_are_those_of_rows_in_memory(folder, asked, name):
    near, far = read(folder / "a.parquet", **asked), survey(source(folder / name, **asked), 1, readers=2, rows=300)
    assert far.source.fields == near.fields
    assert far.digest == near.digest
    data, parts = far.dataset()
    assert data.columns == near.columns
    for part, numbers in zip(parts, far.drawn, strict=True):
        np.testing.assert_array_equal(data.x[part], near.x[numbers])
    own = np.setdiff1d(np.arange(ROWS), far.holdout.held)
    want = laid_out(near.x[own], near.fields)
    assert _close(far.layout.to_json(), want.to_json())
    laid = np.concatenate([part for k in range(len(far.source.starts) - 1) for part in far.load(k)])
    np.testing.assert_allclose(laid, want.apply(near.x[own]), rtol=1e-5, atol=1e-6)
    said = [one for one in near.told if "written" not in one]
    assert set(far.source.told) == set(said)


def _close(one, other, rel=1e-9) -> bool:
    """Whether plain data are equal up to rounding; what counts cost up to that of counts of many digits."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(
            _close(one[key], other[key], 1e-4 if key == "nothing" else rel) for key in one
        )
    if isinstance(one, list):
        return len(one) == len(other) and all(map(_close, one, other))
    return one == pytest.approx(other, rel=rel, abs=1e-12) if isinstance(one, float) else one == other


@pytest.mark.slow
def test_losses_are_those_of_rows_in_memory_in_the_same_order(folder):
    """The training on the file, and the same training with a layout that was fitted in memory."""
    plan, recipe = Plan(steps=60, batch=32, check=10), isthmus.named("vae")
    far = survey(source(folder / "a.parquet"), 1, rows=300)
    near = read(folder / "a.parquet")
    rest = np.setdiff1d(np.arange(ROWS), far.holdout.held)
    same = replace(far, layout=laid_out(near.x[rest], near.fields))
    one, two = (fit_survey(recipe, known, plan=plan).outcome.history for known in (far, same))
    for name, losses in two.items():
        np.testing.assert_allclose(one[name], losses, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_training_goes_on_to_the_same_bits_with_other_readers(folder, tmp_path, name):
    class Stopped(Exception):
        pass

    def stop(look):
        if look.step >= 30:
            raise Stopped

    def train(readers, **more):
        found = source(folder / name, drop="id", label="size")
        return isthmus.fit(
            isthmus.named("vae"), found, plan=Plan(steps=60, batch=32, check=10), readers=readers, **more
        )

    whole, kept = train(1), Checkpoint(tmp_path / "kept", every=0.0)
    with pytest.raises(Stopped):
        train(2, checkpoint=kept, watch=stop)
    again = train(4, checkpoint=kept)
    for key, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[key]), key


def test_plain_numbers_are_told_from_cells(tmp_path):
    """Names that are set aside leave plain numbers, and a gap that shows late makes cells of them."""
    x = np.random.default_rng(0).normal(size=(400, 2))
    table = pa.table({"a": x[:, 0], "b": x[:, 1], "id": [f"n{i:04d}" for i in range(400)]})
    pq.write_table(table, tmp_path / "ids.parquet", row_group_size=70)
    known, near = survey(source(tmp_path / "ids.parquet"), rows=50), read(tmp_path / "ids.parquet")
    assert (known.source.fields, known.source.columns, known.digest) == ((), ("a", "b"), near.digest)
    assert known.x.dtype == np.float32
    x[390, 1] = np.nan
    np.save(tmp_path / "late.npy", x)
    known, near = survey(source(tmp_path / "late.npy"), rows=50), read(tmp_path / "late.npy")
    assert known.source.fields == near.fields
    assert known.digest == near.digest
    known = survey(source(tmp_path / "late.npy", kinds={"x0": "drop"}, missing=[float(x[3, 1])]), rows=50)
    assert [(field.name, field.gaps) for field in known.source.fields] == [("x1", True)]


def test_texts_that_are_too_many_are_told_nearly(tmp_path, monkeypatch):
    monkeypatch.setattr("isthmus.data.inferred.KEPT", 20)
    random = np.random.default_rng(0)
    common = random.choice(["a", "b", "c"], 3000, p=[0.5, 0.3, 0.2])
    rare = [f"rare{i}" for i in range(3000)]
    mixed = np.where(random.random(3000) < 0.8, common, rare)
    names = pa.array([f"{i:x}" for i in range(1000, 4000)])
    pq.write_table(pa.table({"mixed": mixed, "names": names, "x": random.normal(size=3000)}), tmp_path / "a.parquet")
    pq.write_table(pq.read_table(tmp_path / "a.parquet"), tmp_path / "b.parquet", row_group_size=100)
    found = inferred(source(tmp_path / "b.parquet"))
    assert [field.name for field in found.fields] == ["mixed", "x"]
    assert {"a", "b", "c"} <= set(found.fields[0].values)
    assert len(found.fields[0].values) <= 40
    assert any("too many to be kept apart" in said for said in found.told)
    assert any("more than 20 different texts" in said for said in found.told)
    layout = survey(source(tmp_path / "b.parquet"), rows=100).layout
    assert [layout.fields[0].values[code] for code in layout.columns[0].codes][:3] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("column", "asked", "said"),
    [
        ({"t": [1.0] * 30 + [np.inf] + [1.0] * 29}, {}, "row 31, column 't': the value is infinite"),
        ({"t": ["1.5"] * 50 + ["1,5"] * 10}, {}, "some decimals have a comma"),
        ({"t": [1.0] * 60}, {"kinds": {"u": "count"}}, "no column 'u'"),
        ({"t": [1.5] * 60}, {"kinds": {"t": "count"}}, "row 1, column 't': 1.5 is no count"),
        ({"t": [1.5] * 60}, {"kinds": {"t": "date"}}, "cannot be of kind date"),
        ({"t": [1.5] * 60}, {"label": "t"}, "the label holds fractions"),
        ({"t": [1.5] * 60}, {"label": "u"}, "no label column 'u'"),
        ({"t": [[1.0]] * 30 + [[1.0, 2.0]] * 30}, {}, "is not there in all blocks"),
        ({"t": ["1.5", "2,500.5", *(["3"] * 40), *(["1.234.567,8"] * 18)]}, {}, "does not fit"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_line(tmp_path, column, asked, said):
    pq.write_table(pa.table({**column, "x": np.arange(60.0)}), tmp_path / "a.parquet", row_group_size=20)
    with pytest.raises(BadInput, match=said) as caught:
        survey(source(tmp_path / "a.parquet", **asked))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("packed", ["uncompressed", "lz4", "zstd"])
def test_batches_of_arrow_files_are_told_without_unpacking_them(tmp_path, packed):
    content = mixed()
    feather.write_feather(content, str(tmp_path / "a.feather"), compression=packed, chunksize=170)
    found, shared = batches(tmp_path / "a.feather")
    with ipc.open_file(str(tmp_path / "a.feather")) as file:
        parts = [file.get_batch(k) for k in range(file.num_record_batches)]
    assert [one.rows for one in found] == [len(part) for part in parts]
    assert sum(one.unpacked for one in found) == pytest.approx(sum(part.nbytes for part in parts), rel=0.2)
    assert len(shared) == 1


def test_damaged_and_dishonest_arrow_files_are_refused(tmp_path, monkeypatch):
    feather.write_feather(pa.table({"x": np.zeros(200_000)}), str(tmp_path / "zeros.arrow"), compression="zstd")
    monkeypatch.setattr("isthmus.data.files.SUSPECT", 1 << 16)
    with pytest.raises(BadInput, match="would unpack to"):
        source(tmp_path / "zeros.arrow")
    monkeypatch.undo()
    feather.write_feather(mixed(), str(tmp_path / "a.arrow"), compression="lz4", chunksize=500)
    whole, random = (tmp_path / "a.arrow").read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        bad = bytearray(whole)
        for at in random.integers(0, len(bad), 20):
            bad[len(bad) - 1 - at % 4000 if random.random() < 0.7 else at] = random.integers(256)
        (tmp_path / "bad.arrow").write_bytes(bad[: len(bad) - random.integers(0, 30)] if random.random() < 0.2 else bad)
        with suppress(BadInput):  # and nothing else
            survey(source(tmp_path / "bad.arrow"), rows=50)


@pytest.mark.slow
def test_the_command_line_trains_on_a_table_and_measures_by_labels(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ["train", "plain", str(folder / "a.parquet"), "--memory", "2GiB", "--out", "model", "--steps", "60"]
    asked = ["--label", "size", "--drop", "still", "--missing=-999", "--kind", "calls=count"]
    assert main([*line, *asked, "--measure", "20s"]) == 0
    said = capsys.readouterr()
    assert "column 'id' is set aside" in said.err
    loaded = isthmus.load("model")
    near = read(folder / "a.parquet", label="size", drop="still", missing=[-999.0], kinds={"calls": "count"})
    assert [one.name for one in loaded.layout.fields] == [one.name for one in near.fields]
    assert [(one.kind, one.gaps) for one in loaded.layout.fields] == [(one.kind, one.gaps) for one in near.fields]
    assert main([*line, "--group", "siz"]) == 2
    assert "no group column 'siz' (did you mean 'size'?)" in capsys.readouterr().err


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ({"emb": "drop"}, {"a": "number"}),
        ({"emb_1": "drop"}, {"emb_0": "number", "emb_2": "number", "a": "number"}),
        ({"emb": "amount"}, {"emb_0": "amount", "emb_1": "amount", "emb_2": "amount", "a": "number"}),
        ({"emb": "drop", "emb_1": "amount"}, {"emb_1": "amount", "a": "number"}),
    ],
)
def test_a_column_of_lists_stands_for_all_its_columns_and_a_part_for_itself(tmp_path, asked, kept, words):
    random, rows = np.random.default_rng(0), 200
    lists = pa.FixedSizeListArray.from_arrays(pa.array(random.random(3 * rows)), 3)
    columns = {"emb": lists, "a": random.normal(size=rows)} | ({"w": random.choice(["x", "y"], rows)} if words else {})
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=50)
    near, far = read(tmp_path / "t.parquet", kinds=asked), survey(source(tmp_path / "t.parquet", kinds=asked), rows=20)
    kept = kept | ({"w": "category"} if words else {})
    assert list(near.columns) == list(far.source.columns) == list(kept)
    assert near.fields == far.source.fields
    assert [one.kind for one in near.fields] in ([], list(kept.values()))
    assert bool(near.fields) == (words or set(asked.values()) != {"drop"})
    assert near.digest == far.digest


@pytest.mark.parametrize("way", [read, lambda path, **asked: survey(source(path, **asked), rows=20)])
def test_a_part_that_is_not_there_is_refused_alike(tmp_path, way):
    lists = pa.FixedSizeListArray.from_arrays(pa.array(np.random.default_rng(0).random(600)), 3)
    pq.write_table(pa.table({"emb": lists, "a": np.arange(200.0)}), tmp_path / "t.parquet", row_group_size=50)
    with pytest.raises(BadInput, match="no column 'emb_7' to have a kind or to drop"):
        way(tmp_path / "t.parquet", drop=["emb_7"])
