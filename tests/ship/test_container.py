"""Files through a container and back: type, columns, labels and bound are kept; damage and other models are refused."""

import gzip
import hashlib
import io
import json
import lzma
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.cli import main
from isthmus.data.idx import array, written
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.parts import bounded
from isthmus.ship.artefact import save
from isthmus.ship.container import SUFFIX, compress, decompress, fingerprint
from isthmus.ship.remainder import Remainder, fill
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

RNG = np.random.default_rng(0)
NAMES = ("a", "b", "c", "d")
HIDDEN = RNG.normal(size=(120, 2))
ROWS = HIDDEN @ RNG.normal(size=(2, 4)) * [1, 10, 100, 0.1] + RNG.normal(size=(120, 4)) * [0.1, 1, 10, 0.01] + 50
PLAN = Plan(steps=30, check=10)


def model(family="pca", rows=ROWS, columns=NAMES, **fields):
    recipe = named(family).set_params(**{"latents": 2, **fields})
    return fit(recipe, rows, plan=PLAN, columns=columns, images=rows.ndim > 2)


MODEL = model()


def there_and_back(path: Path, fitted=MODEL, bound=0.1) -> Path:
    out = path.with_name("out" + SUFFIX)
    done = compress(fitted, path, out, bound=bound)
    assert done.bytes == out.stat().st_size
    assert done.before == path.stat().st_size
    again = path.with_name("again" + "".join(path.suffixes))
    assert decompress(out, fitted, again) == (again, bound)
    return again


def within(old, new, bound=0.1, fitted=MODEL):
    allowed = bound * np.broadcast_to(fitted.layout.scale, old.shape[-1:])
    assert old.shape == new.shape
    assert (np.abs(new.astype(np.float64) - old.astype(np.float64)) <= allowed).all()
    assert bound < 1e-3 or (new != old).any()  # rounding was worth its while


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["<f8", "<f4", ">f4", "<f2", "<i2", "<i8"])
@pytest.mark.parametrize("bound", [0.3, 1e-4])
def test_npy_keeps_its_type_and_the_bound(tmp_path, dtype, bound):
    old = ROWS.astype(dtype)
    np.save(tmp_path / "x.npy", old)
    new = np.load(there_and_back(tmp_path / "x.npy", bound=bound))
    assert new.dtype.str == old.dtype.str
    within(old, new, bound)
    if np.dtype(dtype).kind == "i" and bound == 1e-4:
        np.testing.assert_array_equal(new, old)


def test_npy_keeps_its_order_and_bits_stay_bits(tmp_path):
    np.save(tmp_path / "x.npy", np.asfortranarray(ROWS))
    assert np.isfortran(np.load(there_and_back(tmp_path / "x.npy")))
    bits = RNG.random((120, 4)) < [0.1, 0.5, 0.9, 0.5]
    np.save(tmp_path / "bits.npy", bits)
    fitted = model(rows=bits.astype(np.float64))
    new = np.load(there_and_back(tmp_path / "bits.npy", fitted))
    assert new.dtype == np.bool_
    np.testing.assert_array_equal(new, bits)


def test_npz_keeps_all_its_members(tmp_path):
    labels, words = RNG.integers(0, 3, 120), np.array(["new", "old"])
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "x.npz", words=words, X=ROWS, y=labels)
        again = there_and_back(tmp_path / "x.npz")
        with np.load(again) as new:
            assert list(new) == ["words", "X", "y"]
            within(ROWS, new["X"])
            np.testing.assert_array_equal(new["y"], labels)
            np.testing.assert_array_equal(new["words"], words)
        kinds = [[i.compress_type for i in zipfile.ZipFile(p).infolist()] for p in (tmp_path / "x.npz", again)]
        assert kinds[0] == kinds[1]


@pytest.mark.parametrize("name", ["x-images-idx3-ubyte", "x-images-idx3-ubyte.gz", "x.idx"])
def test_idx_images(tmp_path, name):
    images = (200 * RNG.random((60, 5, 4)) ** 3).astype(np.uint8)
    content = written(images)
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    fitted = model(rows=images.astype(np.float32))
    new = array(there_and_back(tmp_path / name, fitted, bound=0.02))
    assert new.dtype == np.uint8
    within(images.reshape(60, -1), new.reshape(60, -1), 0.02, fitted)


def csv(path: Path, separator: str = ",") -> list[list[str]]:
    cells = [(f"{a:.1f}", f"{b:.0f}", "", repr(c), f"{d:.3f}") for a, b, c, d in ROWS.tolist()]
    rows = [[f"id {i}", *row, 'x,y"z'] for i, row in enumerate(cells)]
    quoted = ["id", "a", "b", "empty", "c", "d", "the text"]
    lines = [separator.join('"' + c.replace('"', '""') + '"' if "," in c else c for c in r) for r in [quoted, *rows]]
    text = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return rows


@pytest.mark.parametrize(("name", "separator"), [("x.csv", ","), ("x.csv.gz", ";"), ("x.tsv", "\t")])
def test_text_tables_keep_other_columns_cell_by_cell_and_decimals(tmp_path, name, separator):
    rows = csv(tmp_path / name, separator)
    again = there_and_back(tmp_path / name)
    old, new = (pd.read_csv(p, sep=separator, keep_default_na=False, dtype=str) for p in (tmp_path / name, again))
    assert list(old) == list(new) == ["id", "a", "b", "empty", "c", "d", "the text"]
    for column in ("id", "empty", "the text"):
        assert old[column].tolist() == new[column].tolist()
    assert new["the text"][0] == rows[0][-1]
    within(old[list(NAMES)].to_numpy(float), new[list(NAMES)].to_numpy(float))
    for column, decimals in (("a", 1), ("b", 0), ("d", 3)):
        assert {len(cell.partition(".")[2]) for cell in new[column]} == {decimals}


def test_a_text_table_without_loss_is_itself(tmp_path):
    lines = [f"{a:.1f},{b:.0f},{c:.1f},{d:.2f},k{i % 3}\n" for i, (a, b, c, d) in enumerate(ROWS.tolist())]
    text = "a,b,c,d,kind\n" + "".join(lines)
    (tmp_path / "x.csv").write_text(text)
    assert there_and_back(tmp_path / "x.csv", bound=1e-3).read_text() == text


def test_parquet_keeps_types_and_other_columns(tmp_path):
    frame = pl.DataFrame(
        {
            "when": pl.Series([1, 2, None] * 40).cast(pl.Datetime("us")),
            "d": ROWS[:, 3].astype(np.float32),
            "c": ROWS[:, 2].astype(np.int16),
            "kind": pl.Series(["x", "y", None] * 40, dtype=pl.Categorical),
            "b": ROWS[:, 1],
            "a": ROWS[:, 0],
            "list": [[1, 2]] * 120,
        }
    )
    frame.write_parquet(tmp_path / "x.parquet")
    again = there_and_back(tmp_path / "x.parquet")
    old, new = pq.read_table(tmp_path / "x.parquet"), pq.read_table(again)
    assert new.column_names == old.column_names
    assert [str(f.type) for f in new.schema] == [str(f.type) for f in old.schema]
    for column in ("when", "kind", "list"):
        assert new[column].to_pylist() == old[column].to_pylist()
    old, new = (np.stack([t[name].to_numpy() for name in NAMES], axis=1) for t in (old, new))
    within(old, new)


def test_tables_of_nothing_but_numbers(tmp_path):
    frame = pd.DataFrame(ROWS.astype(np.float32), columns=NAMES)
    frame.to_parquet(tmp_path / "x.parquet", index=False)
    frame.to_csv(tmp_path / "x.csv", index=False)
    for name, read in (("x.parquet", pd.read_parquet), ("x.csv", pd.read_csv)):
        new = read(there_and_back(tmp_path / name))
        assert list(new) == list(NAMES)
        within(frame.to_numpy(np.float64), new.to_numpy(np.float64))


@pytest.mark.parametrize("family", ["plain", "vq", "topk"])
def test_other_families_keep_the_bound_too(tmp_path, family):
    np.save(tmp_path / "x.npy", ROWS)
    fitted = model(family, **({"k": 1} if family == "topk" else {}))
    within(ROWS, np.load(there_and_back(tmp_path / "x.npy", fitted, 0.05)), 0.05, fitted)


def test_a_wider_bound_takes_fewer_bytes_and_no_bound_keeps_codes_alone(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    done = {b: compress(MODEL, tmp_path / "x.npy", tmp_path / "x.isthmus", bound=b) for b in (0.01, 0.1, 1.0, None)}
    sizes = [one.bytes for one in done.values()]
    assert sizes[0] > sizes[1] > sizes[2]
    assert sizes[3] < sizes[1]
    assert done[0.1].worst <= 0.1 < done[None].worst
    own = np.square(MODEL.layout.apply(MODEL.reconstruct(ROWS)) - MODEL.layout.apply(ROWS)).mean()
    assert own < done[None].mse < 1.05 * own


def test_what_was_reported_is_what_comes_back(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    done = compress(MODEL, tmp_path / "x.npy", tmp_path / "x.isthmus", bound=0.2)
    path, _ = decompress(tmp_path / "x.isthmus", MODEL, tmp_path / "y.npy")
    gap = np.abs(np.load(path) - ROWS) / MODEL.layout.scale
    assert done.worst == pytest.approx(gap.max(), rel=1e-12)
    assert done.mse == pytest.approx(np.square(gap).mean(), rel=1e-9)
    assert done.elements == ROWS.size


def test_another_model_is_refused_and_the_same_one_saved_again_is_not(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    compress(MODEL, tmp_path / "x.npy", tmp_path / "x.isthmus")
    for other in (model(latents=3), model(rows=ROWS + 1), model(columns=("a", "b", "c", "e"))):
        assert fingerprint(other) != fingerprint(MODEL)
        with pytest.raises(BadInput, match="another model"):
            decompress(tmp_path / "x.isthmus", other, tmp_path / "y.npy")
    assert fingerprint(model()) == fingerprint(MODEL)
    assert not (tmp_path / "y.npy").exists()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    place = tmp_path_factory.mktemp("sample")
    csv(place / "x.csv")
    compress(MODEL, place / "x.csv", place / "x.isthmus", bound=0.1)
    return (place / "x.isthmus").read_bytes()


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255), cut=st.booleans())
def test_damage_is_one_line_and_never_a_file(sample, tmp_path, place, flip, cut):
    content = bytearray(sample)
    place %= len(content)
    if cut:
        content = content[:place]
    else:
        content[place] ^= flip
    path = tmp_path / "x.isthmus"
    path.write_bytes(bytes(content))
    with pytest.raises(BadInput) as error:
        decompress(path, MODEL, tmp_path / "y.csv")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "y.csv").exists()


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_a_forged_checksum_does_not_lead_to_a_traceback(sample, tmp_path, place, flip):
    text = bytearray(sample[:-32])
    text[place % len(text)] ^= flip
    path = tmp_path / "x.isthmus"
    path.write_bytes(bytes(text) + hashlib.sha256(text).digest())
    with suppress(BadInput):
        decompress(path, MODEL, tmp_path / "y.csv")


def test_what_does_not_fit_the_model_is_refused_in_one_line(tmp_path):
    def refused(name: str, message: str, **options) -> None:
        with pytest.raises(BadInput, match=message):
            compress(options.pop("fitted", MODEL), tmp_path / name, tmp_path / "out.isthmus", **options)
        assert not (tmp_path / "out.isthmus").exists()

    np.save(tmp_path / "narrow.npy", ROWS[:, :3])
    np.save(tmp_path / "hole.npy", np.where(ROWS[3, 1] == ROWS, np.nan, ROWS))
    np.save(tmp_path / "huge.npy", np.full((20, 4), 2**60))
    np.save(tmp_path / "fine.npy", ROWS)
    np.save(tmp_path / "none.npy", ROWS[:0])
    (tmp_path / "none.csv").write_text("a,b,c,d\n")
    (tmp_path / "lacks.csv").write_text("a,b,c\n" + "1,2,3\n" * 20)
    (tmp_path / "text.csv").write_text("a,b,c,d\n" + "1,2,three,4\n" * 20)
    pq.write_table(pa.table({n: [1.0, None] * 10 for n in NAMES}), tmp_path / "null.parquet")
    refused("narrow.npy", "rows of shape")
    refused("hole.npy", "row 4, column 'b': not a finite number")
    refused("huge.npy", "beyond 2\\^53")
    refused("lacks.csv", "no column 'd'")
    refused("text.csv", "column 'c' contains a cell that is not a number")
    refused("null.parquet", "10 missing cells")
    refused("hole.npy", "row 4, element 2: not a finite number", fitted=model(columns=()))
    refused("absent.csv", "no such file")
    refused("none.csv", "no rows")
    refused("none.npy", "no rows")
    refused("lacks.csv", "does not know the names", fitted=model(columns=()))
    for bound in (0.0, -1.0, float("nan"), float("inf")):
        refused("fine.npy", "bound must be a positive number", bound=bound)
    target = fit(named("plain").set_params(latents=2), ROWS, target=ROWS * 2, plan=PLAN)
    refused("fine.npy", "a target other than its rows", fitted=target)


def test_a_bundled_data_set_is_no_file(tmp_path):
    with pytest.raises(BadInput, match="iris: a bundled data set, and this takes a file"):
        compress(MODEL, "iris", tmp_path / "out.isthmus")


def test_decompress_does_not_write_over_a_file_unasked(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    compress(MODEL, tmp_path / "x.npy", tmp_path / "x.isthmus")
    with pytest.raises(BadInput, match="exists; name the file to write"):
        decompress(tmp_path / "x.isthmus", MODEL)
    (tmp_path / "x.npy").unlink()
    assert decompress(tmp_path / "x.isthmus", MODEL) == (tmp_path / "x.npy", None)


@pytest.mark.skipif(np.dtype(np.longdouble).itemsize <= 8, reason="this machine has no longer floats")
def test_longer_floats_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", ROWS.astype(np.longdouble))
    with pytest.raises(BadInput, match="numbers of 128 bits; save them as float64"):
        compress(MODEL, tmp_path / "x.npy", tmp_path / "x.isthmus")


def test_nothing_is_written_over_what_is_read(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    with pytest.raises(BadInput, match="is the file that is read"):
        compress(MODEL, tmp_path / "x.npy", tmp_path / "x.npy")
    compress(MODEL, tmp_path / "x.npy", tmp_path / "x.isthmus")
    with pytest.raises(BadInput, match="is the file that is read"):
        decompress(tmp_path / "x.isthmus", MODEL, tmp_path / "x.isthmus")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), ROWS)


def test_no_container_and_a_newer_one_are_told_apart(tmp_path, sample):
    (tmp_path / "no.isthmus").write_text("hello")
    with pytest.raises(BadInput, match="not a container"):
        decompress(tmp_path / "no.isthmus", MODEL)
    text = sample[:7] + b"\x02" + sample[8:-32]
    (tmp_path / "new.isthmus").write_bytes(text + hashlib.sha256(text).digest())
    with pytest.raises(BadInput, match="format 2 is newer"):
        decompress(tmp_path / "new.isthmus", MODEL)


def test_the_command_line_says_the_size_of_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    csv(Path("x.csv"))
    save(MODEL, "model")
    assert main(["compress", "model", "x.csv", "--bound", "0.1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    size = Path("x.csv.isthmus").stat().st_size
    assert (facts["container_bytes"], facts["file_bytes"]) == (size, Path("x.csv").stat().st_size)
    assert facts["bits_per_element"] == 8 * size / ROWS.size
    assert facts["model_bytes"] == sum(p.stat().st_size for p in Path("model").iterdir())
    assert facts["xz_bytes"] == len(lzma.compress(Path("x.csv").read_bytes()))
    assert facts["largest_error"] <= facts["bound"] == 0.1
    assert main(["compress", "model", "x.csv", "--out", "y.isthmus"]) == 0
    assert f"y.isthmus: {Path('y.isthmus').stat().st_size:,} bytes" in capsys.readouterr().out
    assert main(["decompress", "x.csv.isthmus", "model", "--out", "again.csv"]) == 0
    assert capsys.readouterr().out == "again.csv\n"
    assert len(Path("again.csv").read_text().splitlines()) == 121
    assert main(["decompress", "x.csv.isthmus", "model"]) == 2
    assert "exists" in capsys.readouterr().err


def test_others_at_the_same_bound_are_told_where_they_are_installed(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.chdir(tmp_path)
    csv(Path("x.csv"))
    save(MODEL, "model")
    monkeypatch.setattr(bounded, "installed", lambda: ["sz3"])
    monkeypatch.setattr(bounded, "compressed", lambda name, x, bound: (asked.append((name, x, bound)) or 1234, x))
    assert main(["compress", "model", "x.csv", "--bound", "0.1"]) == 0
    assert "at the same bound, without a model: sz3 1,234 bytes; here they take" in capsys.readouterr().out
    ((name, x, bound),) = asked
    assert (name, bound, x.shape) == ("sz3", 0.1, ROWS.shape)
    spread = (ROWS / x).std(axis=0)
    assert spread.max() < 0.02 * np.abs(ROWS / x).mean(), "in the units in which the bound is"
    assert main(["compress", "model", "x.csv", "--out", "free.isthmus", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["others_bytes"] == {}, "without a bound there is nothing to compare at"
    monkeypatch.setattr(bounded, "installed", list)
    assert main(["compress", "model", "x.csv", "--bound", "0.1", "--out", "none.isthmus"]) == 0
    assert "pip install 'isthmus[bytes]'" in capsys.readouterr().out


def test_what_was_kept_of_a_parquet_file_is_bounded_by_what_it_decodes_to():
    """A text of a million letters stands once in a dictionary and 3,000 times in the column: 3 GB from 1 MB."""
    rows = np.zeros((3000, 2))
    about = {"kind": ".parquet", "names": ["a", "b", "t"], "columns": [["a", "float64"], ["b", "float64"]]}
    honest, bomb = (
        pa.table({"t": pa.DictionaryArray.from_arrays(np.zeros(3000, np.int32), pa.array(["x" * n]))})
        for n in (10, 10**6)
    )
    packed = []
    for content in (honest, bomb):
        with io.BytesIO() as file:
            pq.write_table(content, file, compression="none", store_schema=False)
            packed.append(file.getvalue())
    whole = pq.read_table(io.BytesIO(fill(Remainder(about, packed[0]), rows)))
    assert whole.column_names == ["a", "b", "t"]
    assert whole["t"].to_pylist() == ["x" * 10] * 3000
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(BadInput, match="damaged"):
        fill(Remainder(about, packed[1]), rows)
    assert pa.default_memory_pool().max_memory() < max(before, 10**9)


def test_a_constant_column_of_many_rows_is_no_bomb():
    rows = np.random.default_rng(0).normal(size=(200_000, 1))
    about = {"kind": ".parquet", "names": ["a", "t"], "columns": [["a", "float64"]]}
    with io.BytesIO() as file:
        pq.write_table(pa.table({"t": ["always the same words in every row"] * len(rows)}), file, compression="none")
        kept = file.getvalue()
    assert len(kept) < 1e5
    assert pq.read_table(io.BytesIO(fill(Remainder(about, kept), rows)))["t"].to_pylist()[-1].startswith("always")
