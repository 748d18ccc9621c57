"""AnnData files: those that anndata wrote, and those that nobody should believe."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.h5ad import anndata
from isthmus.data.read import read
from isthmus.data.sparse import SparseRows
from isthmus.errors import BadInput, MissingExtra, NoSuchColumn

h5py = pytest.importorskip("h5py", reason="reading .h5ad needs h5py: pip install 'isthmus[counts]'")

HERE = Path(__file__).parent / "h5ad"
COUNTS = np.loadtxt(HERE / "counts.txt")


def test_counts_of_a_file_are_read() -> None:
    data = read(HERE / "cells.h5ad", label="kind")
    assert (data.name, data.counts, data.columns) == ("cells", 2000, ("CD3", "CD19", "LYZ", "NKG7"))
    np.testing.assert_array_equal(np.asarray(data.x), COUNTS)
    assert data.classes == ("B", "T")
    assert data.y is not None
    assert data.y.tolist() == [1, 0] * 7


@pytest.mark.parametrize(("label", "classes"), [("batch", ("0", "1")), ("name", ("n0", "n1", "n2"))])
def test_labels_may_be_numbers_or_texts(label: str, classes: tuple[str, ...]) -> None:
    assert read(HERE / "cells.h5ad", label=label).classes == classes


def test_a_missing_label_is_named_and_so_is_a_column_that_is_not_there() -> None:
    with pytest.raises(BadInput, match="row 2"):
        read(HERE / "cells.h5ad", label="part")
    with pytest.raises(NoSuchColumn, match=r"no label column 'kin' in obs \(did you mean 'kind'\?\)"):
        read(HERE / "cells.h5ad", label="kin")


def test_where_there_are_counts_is_found_and_said() -> None:
    data = read(HERE / "scaled.h5ad")
    np.testing.assert_array_equal(np.asarray(data.x), COUNTS)
    assert data.columns == ("CD3", "CD19", "LYZ", "NKG7")
    assert data.told[0] == "rows are raw/X, which holds counts, and X does not"
    assert data.told[1] == "labels can be taken of 'batch', 'kind', 'name', 'part' (--label)"


def made(path: Path, x: object = None, **attributes: object) -> "h5py.File":
    file = h5py.File(path, "w")
    if x is not None:
        file["X"] = x
    for name, value in attributes.items():
        file["X"].attrs[name] = value
    return file


def test_a_matrix_that_is_no_counts_is_plain_numbers(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    made(tmp_path / "x.h5ad", x).close()
    data = read(tmp_path / "x.h5ad")
    assert data.counts is None
    np.testing.assert_allclose(data.x, x, rtol=1e-6)
    assert data.columns == ("x0", "x1", "x2")


def test_old_files_are_read(tmp_path: Path) -> None:
    """As anndata wrote them before 0.7: codes of categories with their texts elsewhere."""
    with made(tmp_path / "x.h5ad", COUNTS) as file:
        obs = file.create_group("obs")
        obs["kind"] = np.arange(14) % 2
        obs["__categories/kind"] = np.array([b"B", b"T"])
    assert read(tmp_path / "x.h5ad", label="kind").classes == ("B", "T")


def test_links_and_parts_elsewhere_are_not_followed(tmp_path: Path) -> None:
    made(tmp_path / "other.h5", COUNTS).close()
    with h5py.File(tmp_path / "linked.h5ad", "w") as file:
        file["X"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "X")
    with pytest.raises(BadInput, match="lies elsewhere, and links are not followed"):
        read(tmp_path / "linked.h5ad")
    with h5py.File(tmp_path / "virtual.h5ad", "w") as file:
        layout = h5py.VirtualLayout((14, 4), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "X", (14, 4))
        file.create_virtual_dataset("X", layout)
    with pytest.raises(BadInput, match="its numbers lie in other files"):
        read(tmp_path / "virtual.h5ad")
    (tmp_path / "secret").write_bytes(bytes(448))
    with h5py.File(tmp_path / "outside.h5ad", "w") as file:
        file.create_dataset("X", (14, 4), "f8", external=[(str(tmp_path / "secret"), 0, 448)])
    with pytest.raises(BadInput, match="its numbers lie in other files"):
        read(tmp_path / "outside.h5ad")


def test_bombs_are_refused_before_memory_is_taken(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file.create_dataset("X", (1 << 24, 1 << 10), "f8", chunks=(1 << 10, 1 << 10), compression="gzip")
    with pytest.raises(BadInput, match="would take"):
        read(tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "y.h5ad", "w") as file:
        file.create_dataset("X", (1 << 14, 1 << 10), "f8", chunks=(1 << 10, 1 << 10), compression="gzip")
    with pytest.raises(BadInput, match="would unpack to"):
        read(tmp_path / "y.h5ad")


@pytest.mark.parametrize("spoilt", ["shape", "indices", "indptr", "data", "format"])
def test_parts_that_contradict_each_other_are_refused(tmp_path: Path, spoilt: str) -> None:
    parts = {"data": np.ones(3), "indices": np.array([0, 1, 0]), "indptr": np.array([0, 1, 2, *[3] * 9])}
    about = {"encoding-type": "csr_matrix", "shape": [11, 2]}
    for bad in (False, True):
        place = tmp_path / f"{bad}.h5ad"
        with h5py.File(place, "w") as file:
            group = file.create_group("X")
            for name, value in parts.items():
                if not (bad and name == spoilt):
                    group[name] = value
            group.attrs.update(about)
            if bad and spoilt == "shape":
                group.attrs["shape"] = [12, 2]
            if bad and spoilt == "format":
                group.attrs["encoding-type"] = "pickle"
        if bad:
            with pytest.raises(BadInput):
                read(place)
        else:
            assert read(place).shape == (2,)


def test_what_is_no_such_file_is_refused_in_a_line(tmp_path: Path) -> None:
    whole = (HERE / "cells.h5ad").read_bytes()
    for size in (0, 8, 500, len(whole) // 2):
        (tmp_path / "x.h5ad").write_bytes(whole[:size])
        with pytest.raises(BadInput):
            read(tmp_path / "x.h5ad")
    h5py.File(tmp_path / "empty.h5ad", "w").close()
    with pytest.raises(BadInput, match="no matrix X in it"):
        read(tmp_path / "empty.h5ad")


def test_the_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtra, match=r"pip install 'isthmus\[counts\]'"):
        read(HERE / "cells.h5ad")


@pytest.mark.slow
def test_nothing_loads_h5py_before_it_is_needed() -> None:
    code = "import sys, isthmus.data.read; assert 'h5py' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


class AnnData:
    """Stands for anndata's own class, which is not installed with the tests."""

    __module__ = "anndata._core"

    def __init__(self, x: object, layers: dict[str, object]) -> None:
        import pandas as pd

        self.X, self.layers, self.raw = x, layers, None
        self.obs = pd.DataFrame({"kind": ["a", "b"] * 7})
        self.var_names = pd.Index(["g0", "g1", "g2", "g3"])


def test_an_anndata_in_memory_is_read() -> None:
    data = read(AnnData(COUNTS, {}), label="kind")
    assert (data.classes, data.columns, data.counts) == (("a", "b"), ("g0", "g1", "g2", "g3"), 2000)
    other = anndata(AnnData(COUNTS / 3, {"counts": COUNTS}), None)
    assert isinstance(other.x, SparseRows)
    assert "layers/counts" in other.told[0]


def test_columns_beside_the_rows_group_order_and_weigh_them() -> None:
    """No option is ignored: each of them changes what is known of the rows, and none the rows."""
    plain = read(HERE / "cells.h5ad", label="kind")
    assert plain.metadata.group is plain.metadata.time is plain.metadata.weight is None
    batch = [int(code) for code in read(HERE / "cells.h5ad", label="batch").y]
    grouped = read(HERE / "cells.h5ad", label="kind", group="batch")
    assert grouped.metadata.group is not None
    assert grouped.metadata.group.tolist() == batch
    assert read(HERE / "cells.h5ad", group="name").metadata.sizes["groups"] == 3
    timed = read(HERE / "cells.h5ad", label="kind", time="batch")
    assert timed.metadata.time is not None
    assert timed.metadata.time.tolist() == batch
    with pytest.raises(BadInput, match="without rows of weight 0: only 7 rows"):
        read(HERE / "cells.h5ad", label="kind", weights="batch")
    for data in (grouped, timed):
        assert data.columns == plain.columns
        np.testing.assert_array_equal(np.asarray(data.x), COUNTS)


def test_columns_beside_the_rows_are_refused_by_name() -> None:
    with pytest.raises(
        NoSuchColumn, match=r"no group column 'batsh' \(did you mean 'batch'\?\); the columns are 'batch'"
    ):
        read(HERE / "cells.h5ad", group="batsh")
    with pytest.raises(BadInput, match="group is missing"):
        read(HERE / "cells.h5ad", group="part")
    with pytest.raises(BadInput, match="time must be numbers or dates"):
        read(HERE / "cells.h5ad", time="name")


def test_so_they_are_in_memory() -> None:
    data = read(AnnData(COUNTS, {}), group="kind")
    assert data.metadata.group is not None
    assert data.metadata.group.tolist() == [0, 1] * 7


@pytest.mark.slow
def test_a_file_that_anndata_writes_now(tmp_path: Path) -> None:
    written = pytest.importorskip("anndata", reason="writing .h5ad needs anndata: pip install anndata")
    import pandas as pd

    obs = pd.DataFrame(
        {"donor": pd.Categorical(["p", "q"] * 7), "day": np.arange(14.0), "worth": [1, 2] * 7},
        index=[f"cell{k}" for k in range(14)],
    )
    var = pd.DataFrame(index=["CD3", "CD19", "LYZ", "NKG7"])
    written.AnnData(COUNTS, obs=obs, var=var).write_h5ad(tmp_path / "x.h5ad")
    data = read(tmp_path / "x.h5ad", label="donor", time="day", weights="worth")
    assert (data.columns, data.classes) == (("CD3", "CD19", "LYZ", "NKG7"), ("p", "q"))
    assert data.metadata.time is not None
    assert data.metadata.weight is not None
    assert (data.metadata.time.tolist(), data.metadata.weight.tolist()) == (list(range(14)), [1, 2] * 7)
    assert read(tmp_path / "x.h5ad", group="donor").metadata.sizes["groups"] == 2
