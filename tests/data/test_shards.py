"""Folders of shards: order, types, what is said, what is refused, and that a study and a saved model take them."""

import io
import json
import struct

import numpy as np
import pyarrow.csv as pc
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from PIL import Image

import isthmus
from isthmus.cli import main
from isthmus.data import files
from isthmus.data.blocks import blocks
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.study import profile

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.normal(size=(60, 6)).astype(np.float32)


def tensor(path, rows, dtype=torch.float32, name="activations", **others):
    safetensors.torch.save_file({name: torch.as_tensor(rows).to(dtype).contiguous(), **others}, path)


@pytest.fixture
def folder(tmp_path):
    """Sixty rows in three shards whose order is not that of the alphabet."""
    place = tmp_path / "layer"
    place.mkdir()
    np.save(place / "part10.npy", ROWS[50:])
    tensor(place / "part2.safetensors", ROWS[20:50])
    np.save(place / "part1.npy", np.asfortranarray(ROWS[:20]))
    return place


def test_shards_follow_each_other_in_the_natural_order_of_their_names(folder):
    (folder / "notes.txt").write_text("layer 4")
    data = read(folder)
    np.testing.assert_array_equal(data.x, ROWS)
    assert (data.name, data.x.dtype.name, data.images, data.y) == ("layer", "float32", False, None)
    assert data.cautions == (
        "3 shards of float32, 60 rows x 6 columns in all, in the order of their names: 'part1.npy' to 'part10.npy'",
        "1 other entry of the folder left out",
    )
    assert data.digest == read(ROWS).digest


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_every_type_of_floats_is_read_as_torch_reads_it(tmp_path, name):
    rows = torch.as_tensor(ROWS).to(getattr(torch, name))
    tensor(tmp_path / "a.safetensors", rows, rows.dtype)
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x, rows.float().numpy())
    assert data.told == (f"1 shard of {name}, 60 rows x 6 columns in all",)
    np.testing.assert_array_equal(read(tmp_path / "a.safetensors").x, data.x)
    (block,) = blocks(tmp_path / "a.safetensors", ())
    np.testing.assert_array_equal(block.rows, data.x if name != "float64" else rows.numpy())


def test_shards_of_several_types_are_read_as_the_widest(tmp_path):
    np.save(tmp_path / "1.npy", ROWS[:30].astype("f2"))
    np.save(tmp_path / "2.npy", ROWS[30:].astype(">f4"))
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x, np.concatenate([ROWS[:30].astype("f2").astype("f4"), ROWS[30:]]))
    assert data.told[0].startswith("2 shards of float16 and float32, 60 rows")


def test_of_several_tensors_the_one_with_the_name_of_rows_is_read(tmp_path):
    tensor(tmp_path / "1.safetensors", ROWS, name="X", tokens=torch.arange(60))
    np.testing.assert_array_equal(read(tmp_path).x, ROWS)
    tensor(tmp_path / "1.safetensors", ROWS, name="resid", tokens=torch.arange(60))
    with pytest.raises(
        BadInput, match=r"1.safetensors: rows could be any of 2 tensors .*'resid'.* name it activations"
    ):
        read(tmp_path)


def test_pictures_beside_shards_are_not_guessed_about(folder):
    (folder / "below").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "below" / "a.png")
    with pytest.raises(BadInput, match=r"layer: holds arrays \('part1.npy', 'part2.safetensors' and 1 more\) and pict"):
        read(folder)


def test_a_bad_number_is_named_by_its_shard(folder):
    rows = ROWS[20:50].copy()
    rows[4, 2] = np.inf
    tensor(folder / "part2.safetensors", rows)
    with pytest.raises(BadInput, match=r"part2.safetensors, row 5 \(index 4\), column 'x2': the value is infinite"):
        read(folder)


def raw(path, about, content=b"", length=None):
    head = about if isinstance(about, bytes) else json.dumps(about).encode()
    path.write_bytes(struct.pack("<Q", len(head) if length is None else length) + head + content)


def one(dtype="F32", shape=(2, 6), offsets=(0, 48)):
    return {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}


DAMAGED = {
    "width": (lambda path: tensor(path, ROWS[:, :5]), "5 columns, and a.npy has 6"),
    "integers": (lambda path: tensor(path, ROWS, torch.int32), "numbers of type 'I32'; expected float16"),
    "flags": (lambda path: tensor(path, ROWS, torch.bool), "numbers of type 'BOOL'"),
    "axes": (lambda path: tensor(path, ROWS.reshape(10, 6, 6)), r"shape (10, 6, 6); expected rows x columns; save X.r"),
    "none": (lambda path: raw(path, {"__metadata__": {}}), "any of 0 tensors (none)"),
    "short": (lambda path: raw(path, one(), bytes(47)), "declares 48 bytes of numbers but holds 47"),
    "long": (lambda path: raw(path, one(), bytes(49)), "declares 48 bytes of numbers but holds 49"),
    "offsets": (lambda path: raw(path, one(offsets=(0, 40)), bytes(40)), "declares 48 bytes of numbers (shape (2, 6))"),
    "backwards": (lambda path: raw(path, one(offsets=(48, 0)), bytes(48)), "can't be read as a safetensors file"),
    "bomb": (lambda path: raw(path, one(shape=(1 << 40, 6), offsets=(0, 6 << 42))), "but holds 0"),
    "negative": (lambda path: raw(path, one(shape=(-2, -6)), bytes(48)), "can't be read as a safetensors file"),
    "header": (lambda path: raw(path, b"{}", b"", 1 << 40), "its header would end behind it"),
    "huge header": (lambda path: raw(path, b" " * ((1 << 20) + 1)), "declares a header of 1,048,577 bytes"),
    "deep": (lambda path: raw(path, b"[" * 100_000), "can't be read as a safetensors file"),
    "no JSON": (lambda path: raw(path, b"\xff\x00"), "can't be read as a safetensors file"),
    "a list": (lambda path: raw(path, b"[]"), "can't be read as a safetensors file"),
    "empty": (lambda path: path.write_bytes(b""), "the file is empty"),
    "five bytes": (lambda path: path.write_bytes(b"12345"), "no safetensors file, or cut short"),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_safetensors_shard_is_refused_by_its_name_before_memory_is_taken(tmp_path, what, monkeypatch):
    make, said = DAMAGED[what]
    np.save(tmp_path / "a.npy", ROWS)
    make(tmp_path / "b.safetensors")
    monkeypatch.setattr(np, "empty", None)
    with pytest.raises(BadInput) as error:
        read(tmp_path)
    assert "b.safetensors" in str(error.value)
    assert said in str(error.value)
    assert str(error.value).isprintable()


def header(path, shape, descr="<f4", content=b""):
    about = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", len(about)) + about + content)


def pickled(path):
    np.save(path, np.array([[{}] * 6] * 2, dtype=object), allow_pickle=True)


DAMAGED_NPY = {
    "width": (lambda path: np.save(path, ROWS[:, :5]), "5 columns, and a.npy has 6"),
    "integers": (lambda path: np.save(path, np.ones((9, 6), int)), "numbers of type int64; expected float16"),
    "text": (lambda path: np.save(path, np.full((9, 6), "a")), "holds text"),
    "pickle": (pickled, "holds Python objects"),
    "flat": (lambda path: np.save(path, ROWS[0]), "shape (6,); expected rows x columns; save X.reshape(-1, 1)"),
    "long double": (lambda path: np.save(path, ROWS.astype(np.longdouble)), "expected float16"),
    "short": (lambda path: header(path, (2, 6), content=bytes(47)), "declares 48 bytes of numbers (shape (2, 6))"),
    "bomb": (lambda path: header(path, (1 << 40, 6)), "but holds 0"),
    "negative": (lambda path: header(path, (-2, -6), content=bytes(48)), "declares the shape (-2, -6)"),
    "header": (
        lambda path: path.write_bytes(b"\x93NUMPY\x02\x00" + struct.pack("<I", 1 << 27) + b" " * 99),
        "declares a header of 134,217,728 bytes",
    ),
    "not numpy": (lambda path: path.write_bytes(b"something else"), "can't be read as a .npy file"),
}


@pytest.mark.parametrize("what", DAMAGED_NPY)
def test_a_damaged_npy_shard_is_refused_by_its_name_before_memory_is_taken(tmp_path, what, monkeypatch):
    make, said = DAMAGED_NPY[what]
    np.save(tmp_path / "a.npy", ROWS)
    make(tmp_path / "b.npy")
    monkeypatch.setattr(np, "empty", None)
    with pytest.raises(BadInput) as error:
        read(tmp_path)
    assert "b.npy" in str(error.value)
    assert said in str(error.value)


def test_what_fits_no_memory_and_what_is_too_few_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "SUSPECT", 100)
    monkeypatch.setattr(files, "free", lambda: 1000.0)
    with pytest.raises(BadInput, match=r"layer: would take 0.0 GiB of memory"):
        read(folder)
    tensor(tmp_path / "few.safetensors", ROWS[:9])
    with pytest.raises(BadInput, match=r"few.safetensors: only 9 rows"):
        read(tmp_path / "few.safetensors")


def test_an_empty_folder_and_a_label_are_refused(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: this is a folder; give .* or of shards"):
        read(tmp_path / "empty")
    with pytest.raises(BadInput, match="label 'y' names a column"):
        read(folder, label="y")
    assert read(folder, labels=[0, 1] * 30).classes == ("0", "1")


def test_rows_of_enormous_norm_are_named(folder):
    rows = ROWS[:20].copy()
    rows[3] *= 1000
    np.save(folder / "part1.npy", rows)
    (found,) = [one for one in profile.spoilers(read(folder), 2) if one.what == "rows"]
    assert (found.rows, found.count) == ([3], 1)
    assert found.explained > 0.99 > found.without


def run(*words, capfd):
    code = main([str(word) for word in words])
    return code, *capfd.readouterr()


def test_a_model_of_shards_answers_shards(folder, tmp_path, capfd):
    few = ("--steps", 20, "--measure", "none", "--set", "k=2", "--set", "latents=8")
    code, _, said = run("train", "topk", folder, *few, "--out", tmp_path / "model", capfd=capfd)
    assert code == 0, said
    assert "3 shards of float32, 60 rows x 6 columns in all" in said
    np.save(tmp_path / "rows.npy", ROWS)
    for verb in ("score", "encode"):
        code, told, said = run(verb, tmp_path / "model", folder, capfd=capfd)
        assert code == 0, said
        _, expected, _ = run(verb, tmp_path / "model", tmp_path / "rows.npy", capfd=capfd)
        values = [pc.read_csv(io.BytesIO(text.encode())).to_pandas().to_numpy() for text in (told, expected)]
        assert len(values[0]) == 60
        np.testing.assert_allclose(*values, rtol=1e-4, atol=1e-5)
    code, _, said = run("compress", tmp_path / "model", folder / "part2.safetensors", capfd=capfd)
    assert (code, "can't be written again" in said) == (2, True), said
    (folder / "part1.npy").write_bytes(b"?")
    code, _, said = run("score", tmp_path / "model", folder, capfd=capfd)
    assert (code, said.count("\n")) == (2, 1), said
    assert "part1.npy: can't be read as a .npy file" in said


@pytest.mark.slow
def test_a_study_of_shards(folder, tmp_path):
    few = {"families": "plain", "facets": "reconstruction", "rivals": "none", "replicates": 2, "configs": 1}
    with pytest.warns(UserWarning, match="3 shards of float32"):
        study = isthmus.compare(str(folder), **few, steps=20, jobs=1, out=tmp_path / "study")
    assert study.complete
