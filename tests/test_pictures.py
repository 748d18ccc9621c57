"""A folder of pictures, end to end on the command line."""

import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from isthmus.cli import main
from isthmus.data.picture import Canvas
from isthmus.data.read import read
from isthmus.ship import artefact


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Sixty pictures of 6 x 8 pixels: a bright left half, or a bright right one."""
    random, place = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    for i in range(60):
        pixels = random.integers(0, 60, (6, 8), np.uint8)
        pixels[:, 4 * (i % 2) : 4 * (i % 2) + 4] += 150
        (place / ("right" if i % 2 else "left")).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(place / ("right" if i % 2 else "left") / f"{i:02}.png")
    return place


def run(*words, capfd):
    code = main([str(word) for word in words])
    return code, *capfd.readouterr()


@pytest.mark.slow
def test_a_study_of_a_folder_and_what_reads_it_again(folder, tmp_path, capfd):
    out, place = tmp_path / "study", tmp_path / "mine"
    shutil.copytree(folder, place)
    few = ("--families", "plain", "--facets", "features", "--rivals", "none", "--replicates", 2, "--configs", 1)
    code, told, said = run(
        "compare", place, *few, "--steps", 20, "--size", "3x4", "--crop", "--jobs", 1, "--out", out, capfd=capfd
    )
    assert code == 0, said
    assert "read as grey, the middle cut out to 3 x 4" in said
    assert "classes are the 2 folders 'left', 'right'" in said
    note = json.loads((out / "study.json").read_text())
    assert note["reading"] == {"size": [3, 4], "crop": True}
    assert note["data"]["shape"] == [3, 4]
    code, told, said = run("doctor", out, "--json", capfd=capfd)
    assert json.loads(told)["rows"], said
    code, told, said = run("take", out, "plain", "--out", tmp_path / "model", capfd=capfd)
    assert code == 0, said
    assert artefact.load(tmp_path / "model").canvas == Canvas(3, 4, colour=False, crop=True)
    assert artefact.load(tmp_path / "model").calibration is not None
    shutil.rmtree(place)
    code, _, said = run("take", out, "plain", "--out", tmp_path / "bare", capfd=capfd)
    assert code == 0, said
    assert artefact.load(tmp_path / "bare").canvas == Canvas(3, 4, colour=False, crop=True)


@pytest.fixture(scope="module")
def model(folder, tmp_path_factory):
    place = tmp_path_factory.mktemp("model") / "model"
    few = ("--steps", "20", "--measure", "none", "--size", "4", "--crop", "--out", str(place))
    assert main(["train", "plain", str(folder), *few]) == 0
    return place


def test_a_model_draws_new_pictures_as_those_of_its_training(folder, model, tmp_path, capfd):
    assert artefact.load(model).canvas == Canvas(4, 4, colour=False, crop=True)
    code, told, said = run("score", model, folder, capfd=capfd)
    assert code == 0, said
    assert "the middle cut out to 4 x 4 as in training" in said
    table = pc.read_csv(io.BytesIO(told.encode()))
    assert table.column_names == ["file", "score", "p_value"]
    data = read(folder, size=4, crop=True)
    places = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert table.column("file").to_pylist() == places
    np.testing.assert_allclose(table.column("score").to_numpy(), artefact.load(model).scores(data.x), rtol=1e-4)
    stretched = artefact.load(model).scores(read(folder, size=4).x)
    assert np.abs(table.column("score").to_numpy() - stretched).max() > 0.01


def test_every_answer_is_given_for_a_folder(folder, model, tmp_path, capfd):
    for verb, shape in (("encode", (60, 2)), ("reconstruct", (60, 4, 4)), ("flag", (60,))):
        code, _, said = run(verb, model, folder, "-o", tmp_path / "out.npy", capfd=capfd)
        assert code == 0, said
        found = np.load(tmp_path / "out.npy")
        assert (len(found), found.shape[2:]) == (60, shape[2:])
    code, _, said = run("score", model, folder, "--against", folder / "left", "-o", tmp_path / "s.csv", capfd=capfd)
    assert code == 0, said
    assert "30 pictures" in said


def test_pictures_of_another_size_and_mode_are_drawn_alike_and_a_damaged_one_has_no_answer(model, tmp_path, capfd):
    place = tmp_path / "new"
    place.mkdir()
    Image.fromarray(np.full((40, 90, 3), 80, np.uint8)).save(place / "a.jpg", quality=95)
    Image.fromarray(np.full((7, 7), 80 * 257, np.uint16)).save(place / "b.png")
    (place / "c.png").write_bytes(b"no picture")
    code, told, said = run("reconstruct", model, place, capfd=capfd)
    assert code == 0, said
    table = pc.read_csv(io.BytesIO(told.encode())).to_pandas().set_index("file")
    assert table.loc["c.png"].isna().all()
    np.testing.assert_allclose(table.loc["a.jpg"], table.loc["b.png"], atol=2)
    assert "1 damaged picture without an answer: " in said
    assert "c.png: not a picture" in said
    assert "gap" not in said


def test_a_parquet_file_of_pictures_is_answered_with_its_other_columns(folder, model, tmp_path, capfd):
    paths = sorted(folder.rglob("*.png"))
    table = pa.table({"image": [path.read_bytes() for path in paths], "id": list(range(60))})
    pq.write_table(table, tmp_path / "p.parquet")
    code, told, said = run("score", model, tmp_path / "p.parquet", capfd=capfd)
    assert code == 0, said
    rows = pc.read_csv(io.BytesIO(told.encode()))
    assert rows.column_names == ["id", "score", "p_value"]
    assert (
        run("score", model, folder, capfd=capfd)[1].splitlines()[5].split(",")[1:]
        == told.splitlines()[5].split(",")[1:]
    )


def test_a_model_of_a_table_takes_no_folder(folder, tmp_path, capfd):
    few = ("--label", "species", "--steps", "5", "--measure", "none")
    assert run("train", "plain", "iris", *few[2:], "--out", tmp_path / "m", capfd=capfd)[0] == 0
    code, _, said = run("score", tmp_path / "m", folder, capfd=capfd)
    assert code == 2
    assert "this is a folder" in said


def test_the_doctor_draws_as_the_model_does(folder, model, capfd):
    code, told, said = run("doctor", model, "--data", folder, "--json", capfd=capfd)
    assert code in (0, 1), said
    assert "findings" in json.loads(told)


@pytest.mark.slow
def test_channels_that_stand_first_are_put_last_as_in_training(tmp_path, capfd):
    x = np.random.default_rng(0).integers(0, 256, (40, 3, 6, 6), np.uint8)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "last.npy", x.transpose(0, 2, 3, 1))
    few = ("--steps", "5", "--measure", "none", "--out", tmp_path / "m")
    code, _, said = run("train", "plain", tmp_path / "x.npy", *few, capfd=capfd)
    assert "channels stand first" in said
    code, told, said = run("score", tmp_path / "m", tmp_path / "x.npy", capfd=capfd)
    assert code == 0, said
    assert "channels stand first in these rows and are put last, as in training" in said
    assert told == run("score", tmp_path / "m", tmp_path / "last.npy", capfd=capfd)[1]
    assert run("doctor", tmp_path / "m", "--data", tmp_path / "x.npy", capfd=capfd)[0] in (0, 1)
    code, _, said = run("train", "plain", tmp_path / "x.npy", *few, "--axes", "last", capfd=capfd)
    assert artefact.load(tmp_path / "m").shape == (3, 6, 6)
    assert run("doctor", tmp_path / "m", "--data", tmp_path / "x.npy", capfd=capfd)[0] in (0, 1)


def test_options_of_pictures_are_asked_of_each_of_several_data_sets(capfd):
    code, _, said = run("compare", "digits", "iris", "--size", "8", "--dry-run", capfd=capfd)
    assert code == 2
    assert "digits: size, crop, gray and skip_damaged are for encoded pictures, which these are not" in said


def test_a_folder_is_watched_as_rows_of_pixels(folder, model, tmp_path, capfd):
    watched = ("monitor", model, folder, "--against", folder)
    code, told, said = run(*watched, capfd=capfd)
    assert code == 0, said
    assert told.startswith("60 rows watched, 0 alarms; ")
    code, _, said = run(*watched, "--state", tmp_path / "watch.json", capfd=capfd)
    assert code == 2
    assert "a folder has no end to go on from, as a file has; leave --state out" in said
    code, _, said = run(*watched, "--features", folder, capfd=capfd)
    assert code == 2
    assert "the model was not trained on features of encoded pictures" in said
