"""Files of studies and models, edited and sealed again: every command ends with a code and a line, no traceback.

Each edit replaces, removes or adds one value of a JSON file, or one byte of a member, and seals what vouches for it.
"""

import copy
import hashlib
import json
import random
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save

import isthmus
from isthmus.cli import main
from isthmus.families import named
from isthmus.ship import artefact, container
from isthmus.ship.manifest import seal
from isthmus.study.record import digest
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

EDITS = 100  # of each; 300 take minutes
pytestmark = pytest.mark.slow
VALUES = [
    None,
    True,
    -1,
    0,
    2**53,
    10**400,
    1e308,
    "",
    "x" * 5000,
    "\x1b[31m",
    "../../dev/zero",
    "a\nb",
    [],
    [[]],
    {},
    {"x": None},
    [2**53],
    ["x"],
    0.5,
    float("nan"),
]


def places(content, where=()):
    """Where a value stands, of plain data."""
    yield where
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in inner:
        yield from places(value, (*where, key))


def edited(content, dice):
    """A copy in which one value is another one, is gone, or stands twice."""
    made = copy.deepcopy(content)
    *way, last = dice.choice([where for where in places(content) if where])
    holder = made
    for key in way:
        holder = holder[key]
    what = dice.random()
    if what < 0.2:
        del holder[last]
    elif what < 0.3 and isinstance(holder, list):
        holder.append(holder[last])
    elif what < 0.3 and isinstance(holder, dict):
        holder[last + "x"] = holder[last]
    else:
        holder[last] = dice.choice(VALUES)
    return made


def ends(capsys, *arguments):
    """Run a command line: it ends by a code of its own, and says no more than lines."""
    capsys.readouterr()
    code = main([str(word) for word in arguments])
    said = capsys.readouterr()
    assert code in {0, 1, 2}, (arguments, code, said.err)
    assert "Traceback" not in said.err
    if code == 2:
        assert said.err.count("isthmus: ") >= 1
        assert "\x1b" not in said.err
    return code


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study with labels, pictures, raw scores and a race, its folder, and its data."""
    folder = tmp_path_factory.mktemp("forged")
    rng = np.random.default_rng(0)
    x = (rng.random((60, 4)) * [1, 10, 100, 1000]).round(3)
    np.savez(folder / "rows.npz", x=x, y=np.repeat(["a", "b"], 30))
    made = isthmus.compare(
        folder / "rows.npz",
        label="y",
        families="plain",
        facets="reconstruction,anomaly",
        rivals="pca,knn",
        replicates=2,
        configs=2,
        steps=20,
        jobs=1,
        out=folder / "study",
    )
    assert made.complete
    return folder


@pytest.fixture
def there(study, tmp_path):
    shutil.copytree(study / "study", tmp_path / "study")
    return tmp_path / "study"


def sealed(content):
    try:
        return {**content, "seal": digest(content)}
    except (ValueError, RecursionError):
        return {**content, "seal": "0" * 64}


def looks(capsys, folder, dice):
    """What reads a study: its page, its doctor, and the models in it."""
    take = ("take", folder, "plain", "--out", folder.parent / "m")
    command = dice.choice([("report", folder), ("doctor", folder), take])
    shutil.rmtree(folder.parent / "m", ignore_errors=True)
    return ends(capsys, *command)


def test_an_edited_study_json_is_refused_or_makes_sense(there, capsys):
    path, dice = there / "study.json", random.Random(1)
    whole = json.loads(path.read_text())
    assert whole.pop("seal") == digest(whole)
    codes = []
    for _ in range(EDITS):
        path.write_text(json.dumps(sealed(edited(whole, dice))))
        codes.append(looks(capsys, there, dice))
    assert codes.count(2) > EDITS // 4


def test_a_study_json_that_was_touched_is_refused_and_one_without_a_seal_is_sealed_by_its_command(study, there, capsys):
    path = there / "study.json"
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "seed": 1}))
    assert ends(capsys, "report", there) == 2
    del whole["seal"]
    path.write_text(json.dumps(whole))
    assert ends(capsys, "doctor", there) == 2
    rows = [
        study / "rows.npz",
        "--label",
        "y",
        "--families",
        "plain",
        "--facets",
        "reconstruction,anomaly",
        "--rivals",
        "pca,knn",
    ]
    again = ["--replicates", 2, "--configs", 2, "--steps", 20, "--jobs", 1, "--out", there]
    before = {run.name: run.stat().st_mtime_ns for run in (there / "runs").iterdir()}
    assert ends(capsys, "compare", *rows, *again) == 0
    assert {run.name: run.stat().st_mtime_ns for run in (there / "runs").iterdir()} == before
    assert "seal" in json.loads(path.read_text())
    assert ends(capsys, "report", there) == 0


def test_an_edited_record_is_named_or_makes_sense(there, capsys):
    dice = random.Random(2)
    paths = sorted(there.glob("runs/*/record.json"))
    for _ in range(EDITS):
        path = dice.choice(paths)
        text = path.read_text()
        content = json.loads(text)
        del content["seal"]
        path.write_text(json.dumps(sealed(edited(content, dice))))
        looks(capsys, there, dice)
        path.write_text(text)


@pytest.mark.parametrize("member", ["../../../../../../../dev/zero", "/dev/zero", "pipe.bin", "a/b/c.bin"])
def test_a_record_names_no_file_elsewhere_and_none_that_never_ends(there, capsys, member):
    import os

    path = next(iter(there.glob("runs/*/record.json")))
    os.mkfifo(path.parent / "pipe.bin")
    content = json.loads(path.read_text())
    del content["seal"]
    content["files"][member] = "0" * 64
    path.write_text(json.dumps(sealed(content)))
    for command in ("report", "doctor"):
        ends(capsys, command, there)
    assert path.parent.name in isthmus.api.study.Study(there).damaged


def test_flipped_bytes_of_members_are_named_and_never_drawn(there, capsys):
    dice = random.Random(3)
    paths = sorted(path for path in there.glob("runs/*/*") if path.name != "record.json")
    assert {path.name for path in paths} >= {"exhibits.safetensors", "scores.safetensors", "model.json"}
    for path in [*dict.fromkeys(dice.choice(paths) for _ in range(12))]:
        whole = path.read_bytes()
        broken = bytearray(whole)
        broken[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        path.write_bytes(broken)
        assert ends(capsys, "doctor", there) == 1
        assert path.parent.name in isthmus.api.study.Study(there).damaged
        ends(capsys, "report", there)
        path.write_bytes(whole)


def test_resealed_members_are_refused_or_drawn(there, capsys):
    dice = random.Random(4)
    paths = sorted(path for path in there.glob("runs/*/*.safetensors") if path.name != "model.safetensors")
    for _ in range(EDITS // 5):
        path = dice.choice(paths)
        record = path.parent / "record.json"
        whole, told = path.read_bytes(), record.read_text()
        arrays = load_file(path)
        name = dice.choice(sorted(arrays))
        old = arrays.pop(name)
        new = [old[:0], old[..., None], np.full_like(old, 2**30), old.astype(np.float16), old[: len(old) // 2], None]
        if (array := dice.choice(new)) is not None:
            arrays[dice.choice([name, name, "other"])] = np.ascontiguousarray(array)
        path.write_bytes(save(arrays))
        content = json.loads(told)
        del content["seal"]
        content["files"][path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        record.write_text(json.dumps(sealed(content)))
        ends(capsys, dice.choice(["report", "doctor"]), there)
        path.write_bytes(whole)
        record.write_text(told)


def test_an_edited_race_is_refused_or_makes_sense(there, capsys):
    path, dice = there / "race.json", random.Random(5)
    whole = {"format": 1, "rounds": [{"replicates": [2, 3], "doubts": {"anomaly": ["plain", "pca"]}}]}
    for _ in range(EDITS):
        path.write_text(json.dumps(edited(whole, dice)))
        looks(capsys, there, dice)


def test_an_edited_list_of_studies_is_refused_or_makes_sense(there, capsys):
    folder = there.parent / "several"
    (folder / "sets").mkdir(parents=True)
    for name in ("a", "b"):
        shutil.copytree(there, folder / "sets" / name)
    sets = [{"name": name, "folder": name} for name in ("a", "b")]
    whole = {"format": 1, "sets": sets, "twins": [[0, 1, 0.5]], "command": "isthmus compare a b"}
    dice = random.Random(6)
    for _ in range(EDITS // 10):
        (folder / "several.json").write_text(json.dumps(edited(whole, dice)))
        ends(capsys, "report", folder)


@pytest.fixture(scope="module")
def fitted():
    rows = np.random.default_rng(0).normal(size=(80, 4))
    return fit(named("plain").set_params(latents=2), rows, plan=Plan(steps=20, check=10), columns=("a", "b", "c", "d"))


def test_an_edited_model_is_refused_or_works(fitted, tmp_path, capsys):
    artefact.save(fitted, tmp_path / "model")
    (tmp_path / "rows.csv").write_text("a,b,c,d\n" + "1,2,3,4\n2,3,4,5\n4,3,2,1\n" * 10)
    path, dice = tmp_path / "model" / "model.json", random.Random(7)
    whole = json.loads(path.read_text())
    del whole["seal"]
    codes = []
    for _ in range(EDITS):
        made = edited(whole, dice)
        if "NaN" in json.dumps(made):
            continue
        path.write_bytes(seal(made))
        codes.append(ends(capsys, "doctor", tmp_path / "model", "--data", tmp_path / "rows.csv"))
    assert codes.count(2) > EDITS // 4


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_weights_that_no_training_ends_with_are_refused(fitted, tmp_path, capsys, value):
    place = artefact.save(fitted, tmp_path / "model")
    tensors = load_file(place / "model.safetensors")
    first = next(iter(tensors))
    tensors[first] = np.full_like(tensors[first], value)
    content = save(tensors)
    (place / "model.safetensors").write_bytes(content)
    whole = json.loads((place / "model.json").read_text())
    del whole["seal"]
    whole["tensors"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (place / "model.json").write_bytes(seal(whole))
    assert ends(capsys, "doctor", place, "--data", "iris") == 2
    whole["tensors"]["bytes"] = 2**53 - 1
    (place / "model.json").write_bytes(seal(whole))
    assert ends(capsys, "doctor", place, "--data", "iris") == 2


def test_an_edited_container_is_refused_or_opens(fitted, tmp_path, capsys):
    artefact.save(fitted, tmp_path / "model")
    (tmp_path / "rows.csv").write_text("a,b,c,d,e\n" + "1,2,3,4,x\n2,3,4,5,y\n4,3,2,1,z\n" * 10)
    assert ends(capsys, "compress", tmp_path / "model", tmp_path / "rows.csv", "--bound", 0.1) == 0
    path, out, dice = tmp_path / "rows.csv.isthmus", tmp_path / "again.csv", random.Random(8)
    head, kept, coded = container._opened("", path.read_bytes())
    for turn in range(EDITS):
        parts = [head, kept, coded]
        if turn % 2:
            parts[0] = json.dumps(edited(json.loads(head), dice)).encode()
        else:
            part = dice.choice([1, 2])
            broken = bytearray(parts[part])
            broken[dice.randrange(len(broken))] = dice.randrange(256)
            parts[part] = bytes(broken)
        path.write_bytes(container._sealed(parts))
        out.unlink(missing_ok=True)
        ends(capsys, "decompress", path, tmp_path / "model", "--out", out)
