"""A saved model as one file: the members of the folder in a zip archive, byte for byte, or not at all."""

import errno
import hashlib
import io
import json
import os
import random
import shutil
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.cli import main
from isthmus.errors import BadEnvironment, BadInput
from isthmus.ship import archive, artefact
from isthmus.ship.artefact import load, repacked, save
from isthmus.ship.deployed import Deployed
from isthmus.ship.hub import from_pretrained
from isthmus.ship.manifest import closed, seal

ROWS = np.random.default_rng(0).normal(size=(200, 4))
CARD = "# A model\n"


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    plan = isthmus.Plan(steps=4, check=2, batch=16)
    fitted = isthmus.fit(isthmus.named("topk").set_params(latents=6, k=2), ROWS[:100], plan=plan)
    ships = Deployed.of(fitted, ROWS[:100], ROWS[100:140], ROWS[140:])
    return replace(ships, columns=("a", "b", "c", "d"))


@pytest.fixture
def single(deployed: Deployed, tmp_path: Path) -> Path:
    return save(deployed, tmp_path / "model.isthmus", CARD)


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def put(path: Path, found: dict[str, bytes]) -> None:
    path.write_bytes(b"".join(archive.packed(found)))


def refused(path: Path, *words: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(path)
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 700
    for word in words:
        assert word in line
    return line


def test_it_is_the_folder_in_one_file(deployed: Deployed, single: Path, tmp_path: Path) -> None:
    folder = save(deployed, tmp_path / "folder", CARD)
    assert members(single) == {path.name: path.read_bytes() for path in folder.iterdir()}
    one, other = load(single), load(folder)
    np.testing.assert_array_equal(one.encode(ROWS), other.encode(ROWS), strict=True)
    np.testing.assert_array_equal(one.p_values(ROWS), other.p_values(ROWS), strict=True)
    assert save(one, tmp_path / "again.isthmus", CARD).read_bytes() == single.read_bytes()
    assert stat.S_IMODE(single.stat().st_mode) == 0o644


def test_it_is_what_the_standard_library_writes(single: Path) -> None:
    """Equal to the archive that zipfile writes of the same members, so whatever reads zip archives reads it."""
    with zipfile.ZipFile(made := io.BytesIO(), "w") as file:
        for name, content in members(single).items():
            about = zipfile.ZipInfo(name)
            about.external_attr, about.create_system = 0o100644 << 16, 3
            file.writestr(about, content)
    assert made.getvalue() == single.read_bytes()


def test_both_forms_become_each_other(deployed: Deployed, single: Path, tmp_path: Path, capsys) -> None:
    folder = save(deployed, tmp_path / "folder", CARD)
    assert main(["convert", str(folder), "-o", str(tmp_path / "b.isthmus")]) == 0
    assert (tmp_path / "b.isthmus").read_bytes() == single.read_bytes()
    capsys.readouterr()
    assert main(["convert", str(single), "-o", str(tmp_path / "b"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == str(tmp_path / "b")
    assert {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()} == members(single)
    assert main(["convert", str(single), "-o", str(tmp_path / "b")]) == 2
    assert "choose another path" in capsys.readouterr().err


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_older_formats_become_a_file_as_they_are(number: int, tmp_path: Path) -> None:
    folder = Path(__file__).parent / "expected" / f"format-{number}"
    one = repacked(folder, tmp_path / "m.isthmus")
    wanted = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in artefact.MEMBERS}
    assert members(one) == wanted
    assert load(one).recipe.to_json() == load(folder).recipe.to_json()


def test_every_verb_takes_it(deployed: Deployed, single: Path, tmp_path: Path, capsys) -> None:
    folder = save(deployed, tmp_path / "folder", CARD)
    data = tmp_path / "rows.csv"
    np.savetxt(data, ROWS, delimiter=",", header="a,b,c,d", comments="")

    def out(model: Path, *words: str) -> bytes:
        target = tmp_path / "out"
        verb, *rest = [word.replace("OUT", str(target)) for word in words]
        assert (
            main([verb, str(model), *rest, "--quiet"] if verb not in {"inspect", "card"} else [verb, str(model)]) == 0
        )
        said = capsys.readouterr().out.encode()
        if (made := target.with_suffix(".csv")).exists():
            said += made.read_bytes()
            made.unlink()
        return said.replace(b", a single file", b"")

    for words in (
        ("encode", str(data), "-o", "OUT.csv"),
        ("reconstruct", str(data)),
        ("score", str(data)),
        ("flag", str(data), "--rate", "0.1"),
        ("inspect",),
        ("card",),
    ):
        assert out(single, *words) == out(folder, *words), words
    assert from_pretrained(single).recipe.to_json() == deployed.recipe.to_json()
    shutil.copy(single, tmp_path / "copy.isthmus")
    assert main(["monitor", str(tmp_path / "copy.isthmus"), str(data), "--adapt", "recalibrate"]) in {0, 1}
    capsys.readouterr()
    assert main(["convert", str(single), "--to", "saelens"]) == 0
    assert (tmp_path / "model-saelens" / "cfg.json").is_file()


@pytest.mark.slow
def test_its_graph_flags_the_same_rows(deployed: Deployed, single: Path, capsys) -> None:
    from isthmus import runtime

    assert main(["export", str(single)]) == 0
    assert capsys.readouterr().out.strip() == str(single.with_suffix(".onnx"))
    found = runtime.Graph(single.with_suffix(".onnx").read_bytes()).run(ROWS)
    np.testing.assert_array_equal(found["anomaly"].ravel().astype(bool), deployed.flags(ROWS))


def test_training_writes_it(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", ROWS)
    command = ["train", "pca", "rows.npy", "--set", "latents=2", "--measure", "none", "--out", "m.isthmus"]
    assert main(command) == 0
    assert zipfile.is_zipfile("m.isthmus")
    assert load("m.isthmus").needed().scores.size > 0
    capsys.readouterr()
    assert main(["inspect", "m.isthmus"]) == 0
    assert "a single file" in capsys.readouterr().out


def test_a_frozen_file_is_read_and_is_what_is_written(tmp_path: Path) -> None:
    """Written once from the folder beside it, of which the same bytes are made today."""
    frozen = Path(__file__).parent / "expected" / "format-4.isthmus"
    one, folder = load(frozen), load(frozen.with_suffix(""))
    np.testing.assert_array_equal(one.needed().scores, folder.needed().scores)
    for name, held in folder.model.state_dict().items():
        np.testing.assert_array_equal(one.model.state_dict()[name], held)
    assert main(["convert", str(frozen.with_suffix("")), "-o", str(tmp_path / "m.isthmus")]) == 0
    assert (tmp_path / "m.isthmus").read_bytes() == frozen.read_bytes()


def test_no_training_row_is_in_it(tmp_path: Path) -> None:
    rows = np.random.default_rng(7).normal(size=(200, 4)).astype(np.float32)
    fitted = isthmus.fit(isthmus.named("pca").set_params(latents=2), rows[:100])
    content = save(Deployed.of(fitted, rows[:100], rows[100:140], rows[140:]), tmp_path / "m.isthmus").read_bytes()
    scaled = fitted.scaled(rows)
    for kind in (np.float32, np.float64):
        for given in (rows, scaled):
            for row in given.astype(kind):
                assert row.tobytes() not in content


# -------------------------------------------------------------------------------------------------------- damage


@pytest.mark.slow
def test_every_single_byte_counts(single: Path) -> None:
    """Each byte of records, directory and card flipped, and 1,500 more mutants: BadInput, each of them."""
    good = single.read_bytes()
    found = archive.members(single, artefact.MEMBERS)
    bare = [
        at for at in range(len(good)) if not any(e.start <= at < e.stop for n, e in found.items() if n != "README.md")
    ]
    assert len(bare) > 300
    for at in bare:
        single.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        refused(single)
    draw = random.Random(0)
    for case in range(1500):
        bad, at = bytearray(good), draw.randrange(len(good))
        if case % 3 == 0:
            bad[at] ^= 1 << draw.randrange(8)
        elif case % 3 == 1:
            del bad[at : at + draw.choice([1, 2, 64, len(bad)])]
        else:
            bad[at:at] = draw.choice([b" ", b"\0", b"PK\x05\x06" + b"\0" * 18, good])
        single.write_bytes(bytes(bad))
        refused(single)
    single.write_bytes(good)
    load(single)


@pytest.mark.slow
def test_the_shell_refuses_a_changed_file_in_one_line_and_writes_nothing(single: Path, tmp_path: Path, capsys) -> None:
    good, draw, out = single.read_bytes(), random.Random(1), tmp_path / "out.csv"
    np.savetxt(tmp_path / "rows.csv", ROWS[:5], delimiter=",", header="a,b,c,d", comments="")
    for case in range(90):
        bad, at = bytearray(good), draw.randrange(len(good))
        if case % 3 == 0:
            bad[at] ^= 1 << draw.randrange(8)
        elif case % 3 == 1:
            del bad[at : at + draw.choice([1, 64, len(bad)])]
        else:
            bad[at:at] = draw.choice([b"\0", b"PK\x05\x06" + b"\0" * 18])
        single.write_bytes(bytes(bad))
        assert (
            main([draw.choice(["score", "encode", "flag"]), str(single), str(tmp_path / "rows.csv"), "-o", str(out)])
            == 2
        )
        said = capsys.readouterr()
        assert (said.out, len(said.err.splitlines()), out.exists()) == ("", 1, False)
        assert said.err.startswith("isthmus: ")


def zipped(found: dict[str, bytes], change: Callable[[zipfile.ZipInfo], object] = id, **how) -> bytes:
    with zipfile.ZipFile(made := io.BytesIO(), "w", **how) as file:
        for name, content in found.items():
            about = zipfile.ZipInfo(name)
            about.external_attr, about.create_system = 0o100644 << 16, 3
            about.compress_type = how.get("compression", zipfile.ZIP_STORED)
            change(about)
            file.writestr(about, content)
    return made.getvalue()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_known_attacks_are_refused(single: Path, tmp_path: Path) -> None:
    found, good = members(single), single.read_bytes()

    def told(content: bytes, *words: str) -> None:
        single.write_bytes(content)
        refused(single, *words)

    for name in (
        "../model.json",
        "/etc/passwd",
        "a/b",
        "model.pkl",
        "data.pkl",
        "model.json ",
        "MODEL.JSON",
        "\x1b[31m",
    ):
        told(zipped({**found, name: b"x"}), "none of a model")
        told(zipped({name: b"x", **found}), "none of a model")
    told(zipped(found, compression=zipfile.ZIP_DEFLATED), "packed or edited")
    told(zipped(found, lambda about: setattr(about, "external_attr", 0o120777 << 16)), "edited")  # links
    told(zipped(found, lambda about: setattr(about, "comment", b"more")), "edited")
    told(zipped(found, lambda about: setattr(about, "extra", b"\x99\x99\x04\x00more")), "edited")
    told(zipped(found, lambda about: setattr(about, "date_time", (2026, 1, 1, 0, 0, 0))), "edited")
    told(b"#!/bin/sh\n" + good, "not a saved model")
    told(good + b"trailing", "")
    told(good[:-2] + b"\x04\x00" + b"more", "")
    told(zipped(dict(reversed(found.items()))), "not in its place")
    with zipfile.ZipFile(twice := io.BytesIO(good), "a") as file:
        about = zipfile.ZipInfo("model.json")
        about.external_attr, about.create_system = 0o100644 << 16, 3
        file.writestr(about, found["model.json"])
    told(twice.getvalue(), "not in its place")
    told(b"", "not a saved model")
    told(b"PK\x05\x06" + b"\0" * 18, "not a saved model")
    told(b"PK\x03\x04" + b"\0" * 200, "edited")
    told(b"PK\x03\x04" + b"\xff" * 200, "edited")
    single.unlink()
    os.mkfifo(single)
    refused(single, "not there")
    single.unlink()
    with single.open("wb") as sparse:  # a terabyte
        sparse.write(good)
        sparse.truncate(1 << 40)
    refused(single, "larger")


def test_members_are_those_that_the_manifest_names(single: Path) -> None:
    found = members(single)
    for name in ("model.safetensors", "decision.safetensors", "reference.safetensors"):
        put(single, {n: content for n, content in found.items() if n != name})
        refused(single, name, "not both")
    put(single, {n: content for n, content in found.items() if n != "model.json"})
    refused(single, "no model in it")
    put(single, {**found, "model.safetensors": found["model.safetensors"] + b"\0"})
    refused(single, "larger")
    put(single, {**found, "model.safetensors": found["model.safetensors"][:-1] + b"\1"})
    refused(single, "damaged")
    said = {key: value for key, value in json.loads(found["model.json"]).items() if key != "seal"}
    put(single, {**found, "model.json": seal({k: v for k, v in said.items() if k != "reference"})})
    refused(single, "reference.safetensors", "not both")
    put(single, {**found, "model.json": closed(b'{"kind": "isthmus model", "format": 5')})
    refused(single, "newer")
    large = b" " * (artefact.MOST_CARD + 1)
    put(single, {**found, "README.md": large})
    refused(single, "README.md", "larger")


def test_sizes_are_checked_before_memory_is_taken(single: Path) -> None:
    """A manifest that vouches for an exabyte, and records that claim four gigabytes."""
    found = members(single)
    said = {key: value for key, value in json.loads(found["model.json"]).items() if key != "seal"}
    said["tensors"] = {"bytes": 1 << 52, "sha256": hashlib.sha256(b"").hexdigest()}
    put(single, {**found, "model.json": seal(said)})
    refused(single, "damaged")
    good = bytearray(b"".join(archive.packed(found)))
    at = good.rindex(b"PK\x01\x02")
    good[at + 20 : at + 28] = b"\xfe\xff\xff\xff" * 2
    single.write_bytes(bytes(good))
    refused(single, "edited")


# -------------------------------------------------------------------------------------------------------- saving


def test_only_a_model_of_the_same_form_is_replaced(deployed: Deployed, single: Path, tmp_path: Path) -> None:
    other = isthmus.fit(isthmus.named("pca").set_params(latents=1), ROWS)
    save(other, single)
    assert load(single).recipe.family == "pca"
    (tmp_path / "mine.isthmus").write_text("mine")
    (tmp_path / "folder.isthmus").mkdir()
    (tmp_path / "link.isthmus").symlink_to(single)
    for name in ("mine", "folder", "link"):
        with pytest.raises(BadInput, match="choose another path"):
            save(deployed, tmp_path / f"{name}.isthmus")
    assert load(tmp_path / "link.isthmus").recipe.family == "pca"
    assert (tmp_path / "mine.isthmus").read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["folder.isthmus", "link.isthmus", "mine.isthmus", "model.isthmus"]


@pytest.mark.parametrize("name", ["fsync", "replace"])
def test_saving_is_all_or_nothing(
    deployed: Deployed, single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = single.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, full)
        with pytest.raises(BadEnvironment, match=os.strerror(errno.ENOSPC)):
            save(replace(deployed, columns=()), single)
    assert single.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.isthmus"]


def test_what_does_not_fit_into_a_file_is_refused(
    monkeypatch: pytest.MonkeyPatch, deployed: Deployed, tmp_path
) -> None:
    monkeypatch.setattr(archive, "MOST", 1000 + archive.TAIL)
    with pytest.raises(BadInput, match="save it as a folder"):
        save(deployed, tmp_path / "m.isthmus")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("score packed.isthmus rows.csv", "rows that isthmus compress wrote, no model: isthmus decompress FILE MODEL"),
        ("inspect packed.isthmus", "rows that isthmus compress wrote, no model"),
        ("export packed.isthmus -o graph.onnx", "rows that isthmus compress wrote, no model"),
        ("convert packed.isthmus --out folder", "rows that isthmus compress wrote, no model"),
        ("decompress model.isthmus packed.isthmus", "takes both, in this order"),
        ("decompress model.isthmus model.isthmus", "give a file that isthmus compress wrote"),
        (
            "score model.isthmus packed.isthmus",
            "what isthmus compress wrote: isthmus decompress FILE MODEL gives the rows",
        ),
        ("score model.isthmus model.isthmus", "a saved model: give the file with the rows here"),
        ("compress model.isthmus model.isthmus", "a saved model: give the file with the rows here"),
        ("compress model.isthmus packed.isthmus", "what isthmus compress wrote"),
        ("compare model.isthmus", "a saved model: give the file with the rows here"),
        ("train plain packed.isthmus", "what isthmus compress wrote"),
        ("report model.isthmus", "holds no study"),
        ("take model.isthmus plain", "holds no study"),
        ("convert none.isthmus --out folder", "not there: give the folder of a saved model, or its single file"),
    ],
)
def test_a_file_that_belongs_elsewhere_is_told_with_its_place(
    single: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """One suffix, two kinds of file: a model, and rows that were compressed by one."""
    monkeypatch.chdir(single.parent)
    np.savetxt("rows.csv", ROWS[:50], delimiter=",", header="a,b,c,d", comments="")
    assert main(["compress", "model.isthmus", "rows.csv", "--out", "packed.isthmus"]) == 0
    capsys.readouterr()
    assert main(words.split()) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
