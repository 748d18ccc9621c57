"""A saved model comes back bit for bit, or not at all."""

import errno
import hashlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.base import clone

from isthmus.errors import BadEnvironment, BadInput
from isthmus.estimator.transformer import Autoencoder
from isthmus.families import FAMILIES
from isthmus.families.plain import Plain
from isthmus.model import Recipe
from isthmus.ship import artefact
from isthmus.ship.artefact import artefact_bytes, load, pack, save, trained, write
from isthmus.ship.manifest import closed, seal
from isthmus.train.fitted import Fitted, fit
from isthmus.train.plan import Plan

ROWS = np.random.default_rng(0).normal(3.0, 2.0, (60, 7)).astype(np.float32)
COLUMNS = tuple(f"c{i}, Ω" for i in range(7))


def small(recipe: Recipe | str, seed: int = 0) -> Fitted:
    recipe = clone(FAMILIES[recipe]) if isinstance(recipe, str) else recipe
    plan = Plan(steps=4, check=2, batch=16)
    return fit(recipe.set_params(latents=4), ROWS, plan=plan, seed=seed, columns=COLUMNS)


@pytest.fixture(scope="module")
def topk() -> Fitted:
    return small("topk")


@pytest.fixture
def saved(topk: Fitted, tmp_path: Path) -> Path:
    return save(topk, tmp_path / "model")


def manifest(folder: Path) -> dict:
    return {k: v for k, v in json.loads((folder / "model.json").read_bytes()).items() if k != "seal"}


def reseal(folder: Path, data: dict) -> None:
    """What an attacker would do: change the manifest and close it again."""
    (folder / "model.json").write_bytes(seal(data))


def put(folder: Path, tensors: dict[str, torch.Tensor] | bytes) -> None:
    """Other tensors, with a manifest that vouches for them."""
    content = tensors if isinstance(tensors, bytes) else safetensors.torch.save(tensors)
    (folder / "model.safetensors").write_bytes(content)
    member = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    reseal(folder, manifest(folder) | {"tensors": member})


def refused(folder: Path, *words: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder)
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 700
    assert line.isprintable()
    for word in words:
        assert word in line
    return line


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_back_bit_for_bit(family: str, tmp_path: Path) -> None:
    before = small(family)
    (tmp_path / "m").mkdir()
    write(before, tmp_path / "m")
    after = trained(tmp_path / "m")
    codes = before.encode(ROWS)
    np.testing.assert_array_equal(after.encode(ROWS), codes, strict=True)
    np.testing.assert_array_equal(after.decode(codes), before.decode(codes), strict=True)
    np.testing.assert_array_equal(after.errors(ROWS), before.errors(ROWS), strict=True)
    assert after.recipe.to_json() == before.recipe.to_json()
    assert type(after.recipe) is type(before.recipe)
    assert after.plan == before.plan
    assert (after.columns, after.shape, after.head) == (COLUMNS, (7,), before.head)
    assert after.outcome.status == before.outcome.status
    assert (after.outcome.steps, after.outcome.best_step) == (before.outcome.steps, before.outcome.best_step)
    assert pack(after) == pack(before)


def test_images_and_unit_scaling_come_back(tmp_path: Path) -> None:
    images = np.random.default_rng(1).integers(0, 17, (30, 4, 5)).astype(np.float32)
    before = fit(clone(FAMILIES["plain"]), images, plan=Plan(steps=2, check=1, batch=8), scale="unit", images=True)
    after = load(save(before, tmp_path / "m"))
    assert after.shape == (4, 5)
    np.testing.assert_array_equal(after.reconstruct(images), before.reconstruct(images), strict=True)


def test_equal_trainings_make_equal_files() -> None:
    assert pack(small("vae")) == pack(small("vae"))
    assert pack(small("vae")) != pack(small("vae", seed=1))


def test_artefact_bytes_are_the_bytes_on_disk(topk: Fitted, saved: Path) -> None:
    assert artefact_bytes(load(saved)) == sum(path.stat().st_size for path in saved.iterdir())


def test_loading_leaves_the_global_random_state(saved: Path) -> None:
    before = torch.get_rng_state()
    load(saved)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.slow
def test_a_run_of_a_study_is_a_model_too(topk: Fitted, tmp_path: Path) -> None:
    run = tmp_path / "runs" / ("a" * 64)
    run.mkdir(parents=True)
    write(topk, run)
    (run / "record.json").write_text("{}")
    np.testing.assert_array_equal(load(run).encode(ROWS), topk.encode(ROWS))


# -------------------------------------------------------------------------------------------------------- damage


@pytest.mark.slow
def test_every_damaged_file_is_noticed(saved: Path) -> None:
    """3,000 files with flipped, lost, doubled or added bytes: BadInput, each of them."""
    draw = random.Random(0)
    good = {path: path.read_bytes() for path in saved.iterdir()}
    for path, content in good.items():
        for case in range(1500):
            bad, at = bytearray(content), draw.randrange(len(content))
            if case % 3 == 0:
                bad[at] ^= 1 << draw.randrange(8)
            elif case % 3 == 1:
                for _ in range(draw.randint(2, 8)):
                    at = draw.randrange(len(bad))
                    bad[at] = (bad[at] + draw.randint(1, 255)) % 256
            elif case % 2:
                del bad[at : at + draw.choice([1, 1, 2, 64, len(bad)])]
            else:
                bad[at:at] = draw.choice([b" ", b"\0", content[at : at + 1], content])
            if bytes(bad) == content:
                bad = bad[:-1]
            path.write_bytes(bytes(bad))
            with pytest.raises(BadInput):
                load(saved)
        path.write_bytes(content)
    load(saved)


@pytest.mark.slow
def test_every_single_byte_of_the_manifest_counts(saved: Path) -> None:
    path = saved / "model.json"
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(BadInput):
            load(saved)


def test_swapped_weights_are_noticed(topk: Fitted, saved: Path, tmp_path: Path) -> None:
    other = save(small("topk", seed=5), tmp_path / "other")
    shutil.copy(other / "model.safetensors", saved / "model.safetensors")
    refused(saved, "model.safetensors", "damaged")


HOSTILE = [
    None, True, -1, 0, 1, 3, 2**31, 2**63, 10**30, -0.5, 1e300, "", "x" * 9000, "plain", "../../etc/passwd",
    "os.system", [], [[]], [0], [-1], [10**9], [10**9] * 3, [2**62, 4], {}, {"family": "plain"}, [None] * 7, ["a"] * 7,
    [1e308] * 7, [0.0] * 7, "\ud800", "a\nb\x1b[31m",
]  # fmt: skip


def leaves(data: object, path: tuple = ()) -> list[tuple]:
    found = [path] if path else []
    items = data.items() if isinstance(data, dict) else enumerate(data[:2]) if isinstance(data, list) else ()
    for key, value in items:
        found += leaves(value, (*path, key))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:these rows:UserWarning")  # to a scaler of other numbers, rows are far away
@pytest.mark.parametrize("family", ["topk", "vq"])
def test_valid_json_with_a_wrong_meaning_is_refused_or_harmless(family: str, tmp_path: Path) -> None:
    """Every value of a manifest replaced by every hostile one, and sealed again: one line, or a model that works."""
    folder = save(small(family), tmp_path / "m")
    text = json.dumps(manifest(folder))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cases, lines = 0, []
    for path in leaves(json.loads(text)):
        for value in HOSTILE:
            data = json.loads(text)
            spot = data
            for key in path[:-1]:
                spot = spot[key]
            spot[path[-1]] = value
            reseal(folder, data)
            cases += 1
            try:
                model = load(folder)
            except BadInput as error:
                lines.append(str(error))
            else:
                assert model.encode(ROWS).shape == (len(ROWS), 4)
    assert cases > 1000
    assert len(lines) > 0.8 * cases
    assert all("\n" not in line and len(line) < 700 for line in lines)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 200 << 10  # KiB


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (b"[" * 100_000, "JSON"),
        (b'{"kind": NaN', "JSON"),
        (b'{"kind": "isthmus model", "kind": "isthmus model"', "JSON"),
        (b'{"kind": "isthmus model", "format": 1e999', "format"),
        (b'{"kind": "isthmus model", "format": ' + b"9" * 10_000, "JSON"),
        (b'{"kind": "isthmus model", "format": 5', "newer"),
        (b'{"kind": "keras model", "format": 1', "not the manifest"),
        (b'["isthmus model"', "JSON"),
        (b"\xff\xfe", "JSON"),
        (b'{"kind": "isthmus model", "format": 4', "recipe"),
        (b'{"kind": "isthmus model", "format": 3', "outcome: missing"),
        (b'{"kind": "isthmus model", "format": 3, "plan": {}, "outcome": {}, "score": {}', "not a part of format 3"),
    ],
)
def test_sealed_nonsense_gets_one_line(saved: Path, text: bytes, word: str) -> None:
    (saved / "model.json").write_bytes(closed(text))
    refused(saved, word)


@pytest.mark.slow
def test_changed_tensors_that_are_vouched_for_are_refused_or_harmless(saved: Path) -> None:
    """800 files of tensors with damaged bytes, most of them in the header, under a manifest with the new hash."""
    draw = random.Random(1)
    good = (saved / "model.safetensors").read_bytes()
    header = 8 + int.from_bytes(good[:8], "little")
    refusals = 0
    for case in range(800):
        bad = bytearray(good)
        for _ in range(draw.randint(1, 4)):
            bad[draw.randrange(header if case % 4 else len(bad))] = draw.choice(b'0123456789,:"[]{}aF\x00\xff')
        put(saved, bytes(bad))
        try:
            model = load(saved)
        except BadInput:
            refusals += 1
        else:
            assert np.isfinite([p.sum().item() for p in model.model.parameters()]).all()
    assert refusals > 400


def test_unknown_and_dotted_families_are_refused(saved: Path) -> None:
    for name in ("tokp", "os.path", "isthmus.families.plain.Plain", "__import__('os')"):
        data = manifest(saved)
        data["recipe"] = data["recipe"] | {"family": name}
        reseal(saved, data)
        refused(saved, "unknown family")


def test_a_recipe_that_asks_for_endless_layers_is_refused(saved: Path) -> None:
    data = manifest(saved)
    data["recipe"]["hidden"] = [1] * 100_000
    reseal(saved, data)
    refused(saved, "longer than")


def test_tensors_must_be_those_of_the_recipe(saved: Path, topk: Fitted) -> None:
    good = {k: v.clone() for k, v in topk.model.state_dict().items()}
    weight = "encoder.layers.0.weight"

    put(saved, {k: v for k, v in good.items() if k != weight})
    refused(saved, "missing", weight)
    put(saved, good | {"extra": torch.zeros(1)})
    refused(saved, "unexpected", "extra")
    put(saved, good | {weight: good[weight].T.contiguous()})
    refused(saved, weight, "(4, 7)", "(7, 4)")
    put(saved, good | {weight: good[weight].double()})
    refused(saved, weight, "float64")
    put(saved, good | {"idle": good["idle"][:0]})
    refused(saved, "idle")
    for value in (float("nan"), float("inf")):
        broken = good[weight].clone()
        broken[0, 0] = value
        put(saved, good | {weight: broken})
        refused(saved, weight, "finite")
    put(saved, good)
    load(saved)


@pytest.mark.parametrize("family", ["matching", "archetypal", "transcoder", "topk"])
def test_a_dictionary_that_was_saved_without_its_clock_is_the_same_model(family: str, tmp_path: Path) -> None:
    model = small(family)
    folder = save(model, tmp_path / "m")
    tensors = safetensors.torch.load((folder / artefact.TENSORS).read_bytes())
    del tensors["idle"]
    put(folder, tensors)
    assert np.array_equal(load(folder).encode(ROWS), model.encode(ROWS))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 8,
        b"\x80\x04c__builtin__\nexec\n(S'1/0'\ntR.",
        b"PK\x03\x04" + b"\0" * 100,
        (1 << 40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"{}" + b"trailing",
        (40).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1e9]}}     ',
        (63).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}',
        (72).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},' + b'"a":[1,2,3,4,5,6]}',
    ],
)  # fmt: skip
def test_what_is_no_safetensors_is_refused(saved: Path, content: bytes) -> None:
    put(saved, content)
    refused(saved, "model.safetensors")


def test_members_must_be_plain_files(saved: Path, tmp_path: Path) -> None:
    for name in ("model.json", "model.safetensors"):
        member, moved = saved / name, tmp_path / name
        member.rename(moved)
        refused(saved)
        member.symlink_to(moved)
        refused(saved, "plain file")
        member.unlink()
        member.symlink_to("/dev/zero")
        refused(saved, "plain file")
        member.unlink()
        os.mkfifo(member)
        refused(saved, "plain file")
        member.unlink()
        member.mkdir()
        refused(saved, "plain file")
        member.rmdir()
        with member.open("wb") as file:
            file.truncate(1 << 40)  # a sparse terabyte
        refused(saved, "larger")
        member.unlink()
        moved.rename(member)
    load(saved)


def test_what_is_no_model_folder_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "not there")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "not a saved model")
    refused(tmp_path, "no model")


@pytest.mark.slow
def test_loading_runs_nothing(saved: Path) -> None:
    """In a process of its own, under an audit hook: no code, no process, no socket, no file outside the folder."""
    done = subprocess.run([sys.executable, "-c", WATCHED, str(saved)], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


WATCHED = """
import functools, sys, typing
typing.get_type_hints = functools.cache(typing.get_type_hints)  # it compiles the annotations of our own source
from isthmus.ship.artefact import load
load(sys.argv[1])  # what torch imports on first use is imported now
FORBIDDEN = {"exec", "compile", "import", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork"}
seen = []
def hook(event, args):
    elsewhere = event == "open" and isinstance(args[0], str) and not args[0].startswith(sys.argv[1])
    if event in FORBIDDEN or event.startswith(("socket.", "subprocess.", "urllib.")) or elsewhere:
        seen.append((event, str(args)[:200]))
sys.addaudithook(hook)
load(sys.argv[1])
found = list(seen)
print(found)
"""


# -------------------------------------------------------------------------------------------------------- saving


def test_a_model_is_replaced_by_a_model(saved: Path, tmp_path: Path) -> None:
    other = small("plain")
    assert save(other, saved) == saved
    assert load(saved).recipe.family == "plain"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_what_is_not_a_model_is_not_replaced(topk: Fitted, saved: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.json").write_text("{}")
    (tmp_path / "link").symlink_to(saved)
    run = tmp_path / "run"
    shutil.copytree(saved, run)
    (run / "record.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    for name in ("file", "folder", "link", "run"):
        with pytest.raises(BadInput, match="choose another path"):
            save(topk, tmp_path / name)
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_above_are_made_and_empty_ones_used(topk: Fitted, tmp_path: Path) -> None:
    assert load(save(topk, tmp_path / "a" / "b")).recipe.family == "topk"
    (tmp_path / "empty").mkdir()
    assert load(save(topk, tmp_path / "empty")).recipe.family == "topk"


def test_only_fitted_models_are_saved(tmp_path: Path) -> None:
    for thing in (FAMILIES["plain"], Autoencoder(), None):
        with pytest.raises(BadInput, match="call its fit first"):
            save(thing, tmp_path / "m")


def test_what_could_not_be_loaded_is_not_saved(topk: Fitted, tmp_path: Path) -> None:
    class Own(Plain):
        family = "own"

    class Disguised(Plain):
        family = "plain"

    for recipe, words in ((Own(), "unknown family"), (Disguised(), "families of isthmus")):
        with pytest.raises(BadInput, match=words):
            save(replace(topk, recipe=recipe), tmp_path / "m")
    with pytest.raises(BadInput, match="longer than"):
        save(replace(topk, recipe=Plain(hidden=(1,) * 3000)), tmp_path / "m")
    with pytest.raises(BadInput, match="shorter column names"):
        save(replace(topk, columns=("x" * 10_000_000, "y" * 10_000_000)), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_that_diverged_is_not_saved(tmp_path: Path) -> None:
    broken = small("plain")
    with torch.no_grad():
        next(broken.model.parameters()).fill_(float("nan"))
    with pytest.raises(BadInput, match="not finite"):
        save(broken, tmp_path / "m")
    assert not list(tmp_path.iterdir())


CALLS = [(os, "fsync"), (os, "rename"), (Path, "mkdir"), (artefact, "_exchange")]


class Killed(BaseException):
    """As good as SIGKILL: nothing is tidied up afterwards."""


@pytest.mark.slow
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("kernel", [True, False])
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_anywhere_a_whole_model_remains(
    topk: Fitted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: bool, kernel: bool, when: str
) -> None:
    """The old model or the new one; without the kernel's exchange, for a moment, the old one under another name."""
    if not kernel:
        monkeypatch.setattr(artefact.sys, "platform", "elsewhere")
    plain = small("plain")
    for k in range(1, 40):
        folder = tmp_path / f"{old}{k}"
        folder.mkdir()
        if old:
            save(plain, folder / "m")
        with monkeypatch.context() as patch:
            count = 0

            def dying(function, k=k, patch=patch):
                def call(*args, **kwargs):
                    nonlocal count
                    count += 1
                    if count == k and when == "before":
                        patch.setattr(shutil, "rmtree", lambda *a, **b: None)
                        raise Killed
                    result = function(*args, **kwargs)
                    if count == k:
                        patch.setattr(shutil, "rmtree", lambda *a, **b: None)
                        raise Killed
                    return result

                return call

            for owner, name in CALLS:
                patch.setattr(owner, name, dying(getattr(owner, name)))
            try:
                save(topk, folder / "m")
            except Killed:
                whole = [
                    path for path in folder.iterdir() if path.name == "m" or (not kernel and path.suffix == ".old")
                ]
                assert len(whole) >= (1 if old else 0)
                for path in whole:
                    assert load(path).recipe.family in {"plain", "topk"}
            else:
                break
    assert 5 < k < 39
    assert load(folder / "m").recipe.family == "topk"
    assert [path.name for path in folder.iterdir()] == ["m"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_leaves_the_old_model(
    topk: Fitted, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadEnvironment, match=os.strerror(code)) as caught:
        save(small("plain"), saved)
    assert "\n" not in str(caught.value)
    assert load(saved).recipe.family == "topk"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_target_travels_with_its_scaling(tmp_path: Path) -> None:
    plan = Plan(steps=4, check=2, batch=16)
    fitted = fit(clone(FAMILIES["plain"]), ROWS, 1000 - 9 * ROWS, plan=plan)
    folder = save(fitted, tmp_path / "pairs")
    again = load(folder)
    np.testing.assert_array_equal(again.reconstruct(ROWS), fitted.reconstruct(ROWS))
    np.testing.assert_array_equal(again.errors(ROWS, 1000 - 9 * ROWS), fitted.errors(ROWS, 1000 - 9 * ROWS))
    found = manifest(folder)
    assert found["target"]["shape"] == [7]
    assert "target" not in manifest(save(small("plain"), tmp_path / "alone"))
    reseal(folder, found | {"target": found["target"] | {"shape": [3]}})
    refused(folder, "shape [3] does not fit its scaler of 7 columns")
    one = found["scaler"] | {"kind": "none", "shift": [0.0], "scale": [1.0], "constant": 0}
    reseal(folder, found | {"target": {"shape": [3], "scaler": one}})
    refused(folder, "plain gives back rows of the shape it takes")


def test_a_place_where_nobody_may_write_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, how: Path(path) != tmp_path and may(path, how))
    for name in ("model", "model.isthmus", "further/model"):
        with pytest.raises(BadEnvironment, match=f"no permission to write in {tmp_path}; choose another path"):
            artefact.replaceable(tmp_path / name)
    monkeypatch.undo()
    assert not artefact.replaceable(tmp_path / "model")
