"""Of files with very many rows some are drawn, by a seed, and that is said."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.cli import main
from isthmus.data.read import read
from isthmus.errors import BadInput


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    x = random.normal(size=(900, 4)).astype(np.float32)
    kind = np.where(x[:, 0] > 0, "high", "low")
    pq.write_table(pa.table({**{f"c{j}": x[:, j] for j in range(4)}, "kind": kind}), "a.parquet", row_group_size=70)
    np.save("a.npy", x)
    return x


@pytest.mark.parametrize("asked", [{"rows": 100}, {"memory": 8 * 8 * 4 * 100}])
def test_a_draw_is_rows_of_the_file_and_the_same_again(files, asked):
    one, two = (read("a.npy", **asked) for _ in range(2))
    assert (len(one.x), one.digest) == (100, two.digest)
    at = [int(np.flatnonzero((files == row).all(axis=1))[0]) for row in one.x]
    assert at == sorted(set(at))
    assert max(at) > 700
    assert one.told[0] == "100 of 900 rows are drawn and read (--rows takes more or fewer)"
    assert one.asked["rows"] == 100
    assert len(read("a.npy", rows=900).x) == len(read("a.npy").x) == 900


def test_labels_come_with_their_rows(files):
    found = read("a.parquet", label="kind", rows=150)
    assert len(found.x) == len(found.y) == 150
    assert np.array_equal(np.array(found.classes)[found.y] == "high", found.x[:, 0] > 0)
    assert read("a.parquet", label="kind").y.shape == (900,)


def test_what_is_too_long_to_be_held_is_drawn_unasked(files, monkeypatch):
    monkeypatch.setattr("isthmus.data.source.BEARABLE", 8 * 4 * 60)  # of 14,400 bytes in the file
    assert len(read("a.npy").x) == 60
    monkeypatch.setattr("isthmus.data.source.PIECE", 500)
    assert np.array_equal(read("a.npy").x, read("a.npy", rows=60).x)


@pytest.mark.parametrize(
    ("source", "asked", "said"),
    [
        ("a.npy", {"rows": 5}, "at least 10 are needed"),
        ("a.npy", {"rows": 50, "memory": "1MiB"}, "exclude each other"),
        ("a.npy", {"rows": 50, "label": "kind"}, "an array has none"),
        ("iris.csv", {"rows": 50}, "rows are drawn from Parquet"),
    ],
)
def test_what_cannot_be_drawn_is_refused(files, tmp_path, source, asked, said):
    (tmp_path / "iris.csv").write_text("a,b\n" + "1,2\n" * 20)
    with pytest.raises(BadInput, match=said):
        read(source, **asked)


@pytest.mark.slow
def test_profile_and_compare_say_what_they_draw(files, capsys):
    assert main(["profile", "a.parquet", "--rows", "200", "--json"]) == 0
    said = capsys.readouterr()
    assert "200 of 900 rows are drawn" in said.err
    assert json.loads(said.out)["rows"] == 200
    few = ["--families", "pca", "--facets", "reconstruction", "--replicates", "2", "--jobs", "1", "--out", "study"]
    asked = ["compare", "a.npy", "--memory", f"{8 * 8 * 4 * 200}B", *few]
    assert main(asked) == 0
    assert "200 of 900 rows are drawn" in capsys.readouterr().err
    assert main(asked) == 0  # the same rows: it goes on
    assert main(["take", "study", "pca", "--out", "model"]) == 0
