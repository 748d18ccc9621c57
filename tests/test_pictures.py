"""A folder of pictures, end to end on the command line."""

import json

import numpy as np
import pytest
from PIL import Image

from isthmus.cli import main


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


def test_a_study_of_a_folder_and_what_reads_it_again(folder, tmp_path, capfd):
    out = tmp_path / "study"
    few = ("--families", "plain", "--facets", "features", "--rivals", "none", "--replicates", 2, "--configs", 1)
    code, told, said = run(
        "compare", folder, *few, "--steps", 20, "--size", "3x4", "--crop", "--jobs", 1, "--out", out, capfd=capfd
    )
    assert code == 0, said
    assert "read as grey, the middle cut out to 3 x 4" in said
    assert "classes are the 2 folders 'left', 'right'" in said
    note = json.loads((out / "study.json").read_text())
    assert note["reading"] == {"size": [3, 4], "crop": True}
    assert note["data"]["shape"] == [3, 4]
    code, told, said = run("doctor", out, "--json", capfd=capfd)
    assert json.loads(told)["rows"], said
