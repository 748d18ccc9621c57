"""Rows of counts: read from sparse matrices, laid out by totals and shares, and back."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse

import isthmus
from isthmus.cli import main
from isthmus.data.counts import Counts
from isthmus.data.layout import from_json
from isthmus.data.read import read
from isthmus.data.sparse import SparseRows
from isthmus.errors import BadInput
from isthmus.train.plan import Plan


def drawn(n: int = 60, columns: int = 30, seed: int = 0) -> np.ndarray:
    """Counts of two kinds of rows, mostly 0."""
    random = np.random.default_rng(seed)
    rates = random.gamma(0.3, 1, (2, columns))[np.arange(n) % 2]
    return random.poisson(rates * random.lognormal(0, 0.4, (n, 1))).astype(np.float64)


ROWS = drawn()
KINDS = np.array(["a", "b"])[np.arange(60) % 2]


@pytest.mark.slow
@given(arrays(np.int64, st.tuples(st.integers(2, 9), st.integers(1, 7)), elements=st.integers(0, 10**6)))
@settings(max_examples=60, deadline=None)
def test_counts_survive_the_layout(rows: np.ndarray) -> None:
    if not rows.any():
        with pytest.raises(BadInput, match="all are 0"):
            Counts.fit(rows)
        return
    layout = Counts.fit(rows)
    laid = layout.apply(rows)
    assert laid.shape == (len(rows), layout.width)
    assert np.isfinite(laid).all()
    exact = np.clip(rows[:, layout.kept] * 1e-4, 0.5, None)  # float32 keeps about five digits of a logarithm
    assert (np.abs(layout.counted(laid) - rows[:, layout.kept]) <= exact).all()
    again = from_json(layout.to_json())
    np.testing.assert_array_equal(again.apply(rows), laid)


def test_sparse_and_dense_rows_are_laid_out_alike() -> None:
    layout = Counts.fit(ROWS, 10)
    rows = SparseRows.of("X", sparse.csc_matrix(ROWS))
    np.testing.assert_array_equal(layout.kept, Counts.fit(rows, 10).kept)
    np.testing.assert_array_equal(layout.apply(rows), layout.apply(ROWS))


def test_elements_are_log_shares_with_one_scale() -> None:
    layout = Counts.fit(ROWS)
    kept = ROWS[:, layout.kept]
    totals = kept.sum(axis=1, keepdims=True)
    usual = np.median(totals[totals > 0])
    want = np.log1p(kept / np.maximum(totals, 1) * usual)
    want = (want - want.mean(axis=0)) / np.sqrt(want.var(axis=0).mean())
    np.testing.assert_allclose(layout.apply(ROWS)[:, :-1], want, atol=1e-5)
    logs = np.log(np.maximum(totals[:, 0], 1))
    np.testing.assert_allclose(layout.apply(ROWS)[:, -1], (logs - logs.mean()) / logs.std(), atol=1e-5)


def test_columns_that_tell_most_are_kept() -> None:
    rows = np.array([[10, 0, 5, 1, 0], [0, 10, 5, 1, 0]] * 10)
    assert Counts.fit(rows, 2).kept.tolist() == [0, 1]
    assert Counts.fit(rows, 9).kept.tolist() == [0, 1, 2, 3]  # what nobody counted is never kept
    assert Counts.fit(rows, 9).constant == 1
    made = Counts.fit(rows, 2).invert(Counts.fit(rows, 2).apply(rows))
    np.testing.assert_allclose(made[0], [10, 0, 5, 1, 0], atol=1e-3)  # others come back at their usual share


def test_draws_are_whole_and_vary_as_they_should() -> None:
    layout = Counts.fit(ROWS)
    mean = np.repeat(layout.apply(ROWS[:1]), 4000, axis=0)
    shares, total = layout.rates(mean)[0], layout.totals(mean)[0]
    for dispersion in (None, np.full(layout.width - 1, 2.0)):
        made = layout.counted(layout.drawn(mean, dispersion, np.random.default_rng(0)))
        assert (made == np.rint(made)).all()
        top = int(shares.argmax())
        want = total * shares[top]
        assert made[:, top].mean() == pytest.approx(want, rel=0.1)
        spread = want + (0 if dispersion is None else 2.0 * want**2)
        assert made[:, top].var() == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize("form", ["csr", "csc", "coo", "lil", "dok", "bsr", "dia"])
def test_sparse_matrices_of_whole_numbers_are_counts(form: str) -> None:
    data = read(sparse.csr_array(ROWS).asformat(form), KINDS)
    assert data.counts == 2000
    assert isinstance(data.x, SparseRows)
    np.testing.assert_array_equal(np.asarray(data.x), ROWS)
    assert data.told == ("rows are counts, and each has a total (--no-counts: they are other numbers)",)
    assert data.digest == read(ROWS, KINDS, counts=True).digest


def test_what_is_counted_can_be_said() -> None:
    assert read(sparse.csr_array(ROWS), counts=False).x.dtype == np.float32
    assert read(sparse.csr_array(ROWS / 2)).counts is None
    assert read(sparse.csr_array(ROWS > 1)).counts is None  # bits are bits
    assert read(ROWS).counts is None
    few = read(ROWS, counts=True, most=5)
    assert few.counts == 5
    assert few.extent == (5,)
    assert "the 5 columns of 30 that vary most" in few.told[0]
    with pytest.raises(BadInput, match=r"row 1, column 1 \(X\[0, 0\]\): 0.5 is no count"):
        read(ROWS + 0.5, counts=True)
    with pytest.raises(BadInput, match="most is of columns of counts, and these rows are none"):
        read(ROWS, most=5)
    with pytest.raises(BadInput, match="most must be a whole number of at least 1; got '0'"):
        read(ROWS, counts=True, most=0)


def test_columns_are_dropped_from_a_sparse_matrix() -> None:
    left = read(sparse.csr_array(ROWS), drop=["x0", "x2"])
    np.testing.assert_array_equal(np.asarray(left.x), np.delete(ROWS, [0, 2], axis=1))
    assert left.columns[:2] == ("x1", "x3")
    with pytest.raises(BadInput, match="columns of one kind"):
        read(sparse.csr_array(ROWS), kinds={"x0": "flag"})


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("form", ["csr", "csc"])
def test_files_of_scipy_are_read(tmp_path: Path, form: str, packed: bool) -> None:
    place = tmp_path / "cells.npz"
    sparse.save_npz(place, sparse.csr_matrix(ROWS).asformat(form), compressed=packed)
    data = read(place)
    assert (data.name, data.counts) == ("cells", 2000)
    np.testing.assert_array_equal(np.asarray(data.x), ROWS)


def test_labels_lie_beside_the_parts(tmp_path: Path) -> None:
    rows = sparse.csr_array(ROWS)
    parts = {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr, "shape": rows.shape}
    np.savez(tmp_path / "cells.npz", **parts, kind=KINDS)
    assert read(tmp_path / "cells.npz", label="kind").classes == ("a", "b")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("indices", np.full(3, 99)),
        ("indices", np.full(3, -1)),
        ("indptr", np.array([0, 1, 2])),
        ("indptr", np.array([0, *[3] * 10, 2])),
        ("shape", np.array([11, 2])),
        ("shape", np.array([-5, 2])),
        ("shape", np.array([11.0, 2.0])),
        ("data", np.array([1.0, np.nan, 1.0])),
        ("data", np.array([1.0, 2.0])),
        ("data", np.array(["a", "b", "c"])),
        ("format", np.array("dia")),
    ],
)
def test_parts_that_contradict_each_other_are_refused(tmp_path: Path, part: str, value: np.ndarray) -> None:
    parts = {
        "data": np.array([1.0, 2.0, 3.0]),
        "indices": np.array([0, 2, 1]),
        "indptr": np.array([0, 1, 2, *[3] * 9]),
        "shape": np.array([11, 3]),
        "format": np.array("csr"),
    }
    np.savez(tmp_path / "x.npz", **parts)
    assert read(tmp_path / "x.npz").shape == (3,)
    np.savez(tmp_path / "x.npz", **{**parts, part: value})
    with pytest.raises(BadInput, match=re.escape(str(tmp_path / "x.npz"))):
        read(tmp_path / "x.npz")


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    place = tmp_path / "bomb.npz"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, kind in (("data", "<f8"), ("indices", "<i4"), ("indptr", "<i4"), ("shape", "<i8")):
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array_header_1_0(
                    member, {"descr": kind, "fortran_order": False, "shape": (1 << 40,)}
                )
    with pytest.raises(BadInput, match="would take"):
        read(place)


def test_a_row_of_the_wrong_width_and_a_dense_row_are_told_apart() -> None:
    model = isthmus.fit(isthmus.named("plain").set_params(latents=2), ROWS, plan=Plan(steps=20), counts=2000)
    np.testing.assert_allclose(model.encode(ROWS[:5]), model.encode(sparse.csr_array(ROWS[:5])), atol=1e-6)
    with pytest.raises(BadInput, match=r"must have shape \(30,\)"):
        model.encode(ROWS[:, :5])
    with pytest.raises(BadInput, match="is no count"):
        model.encode(ROWS + 0.5)


def test_rows_without_a_count_have_an_answer(tmp_path: Path) -> None:
    model = isthmus.fit(isthmus.named("vae").set_params(latents=2), ROWS, plan=Plan(steps=20), counts=2000)
    assert np.isfinite(model.encode(np.zeros((2, 30)))).all()
    isthmus.save(model, tmp_path / "model")
    again = isthmus.load(tmp_path / "model")
    assert again.head == "negative_binomial"
    np.testing.assert_array_equal(again.encode(ROWS), model.encode(ROWS))
    made = again.sample(7)
    assert made.shape == (7, 30)
    assert (made == np.rint(made)).all()
    assert made.sum() > 0


@pytest.mark.slow
def test_a_study_of_counts_is_decided_by_their_deviance(tmp_path: Path) -> None:
    asked = {"families": "plain", "facets": "reconstruction,generation", "replicates": 2, "configs": 1, "steps": 60}
    study = isthmus.compare(
        sparse.csr_array(drawn(200)), **asked, counts=True, latents=2, jobs=1, out=tmp_path / "study"
    )
    found = {
        one.job.name: one.facets["reconstruction"].metrics for one in study.records if one.facets.get("reconstruction")
    }
    assert set(found) == {"plain", "pca", "nmf", "sparse coding"}
    assert all(one["deviance_explained"] > 0.2 for one in found.values())
    assert study.design.primary("reconstruction") == "deviance_explained"


def test_fit_reads_a_sparse_matrix_and_says_what_it_took_it_for() -> None:
    with pytest.warns(UserWarning, match="rows are counts"):
        model = isthmus.fit(isthmus.named("pca").set_params(latents=2), sparse.csr_array(ROWS))
    assert (model.shape, model.layout.kind) == ((30,), "counts")
    own = isthmus.fit(isthmus.named("pca").set_params(latents=2), ROWS, counts=4)
    assert own.model.shape == (5,)
    assert own.elements[-1] == "total"


@pytest.mark.slow
def test_a_saved_model_answers_files_of_sparse_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Rows of a file are answered as rows in memory are; genes that have names may stand in another order."""
    place = tmp_path / "cells.npz"
    sparse.save_npz(place, sparse.csr_array(ROWS))
    assert (
        main(["train", "plain", str(place), "--steps", "20", "--measure", "none", "--out", str(tmp_path / "model")])
        == 0
    )
    assert main(["encode", str(tmp_path / "model"), str(place), "-o", str(tmp_path / "codes.npy")]) == 0
    np.testing.assert_allclose(
        np.load(tmp_path / "codes.npy"), isthmus.load(tmp_path / "model").encode(ROWS), rtol=1e-4, atol=1e-5
    )
    assert main(["score", str(tmp_path / "model"), str(place), "-o", str(tmp_path / "scores.npy")]) == 0
    assert np.isfinite(np.load(tmp_path / "scores.npy")).all()
    capsys.readouterr()
    sparse.save_npz(tmp_path / "narrow.npz", sparse.csr_array(ROWS[:, :7]))
    assert main(["score", str(tmp_path / "model"), str(tmp_path / "narrow.npz")]) == 2
    assert "rows must have shape (30,)" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:X. rows are counts:UserWarning")
@pytest.mark.filterwarnings("ignore:training was cut")
def test_the_estimator_takes_sparse_counts() -> None:
    rows = sparse.csr_array(ROWS)
    one = isthmus.Autoencoder("vae", latents=2, steps=30, random_state=0).fit(rows)
    codes = one.transform(rows)
    assert codes.shape == (60, 2)
    np.testing.assert_allclose(one.transform(ROWS), codes, atol=1e-6)
    order = np.random.default_rng(0).permutation(60)
    other = isthmus.Autoencoder("vae", latents=2, steps=30, random_state=0).fit(rows[order, :])
    np.testing.assert_array_equal(other.transform(rows), codes)
    assert one.inverse_transform(codes).shape == (60, 30)
    assert one.score(rows) < 1
    assert one.score_samples(rows).shape == (60,)
    made = one.sample(5, random_state=0)
    assert (made == np.rint(made)).all()
    with pytest.raises(BadInput, match="partial_fit is not for counts"):
        one.partial_fit(rows)
    with pytest.raises(BadInput, match="scale is for rows of numbers"):
        isthmus.Autoencoder("vae", scale="unit").fit(rows)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        isthmus.Autoencoder("vae", steps=30).fit(sparse.csr_array(ROWS / 2))


@pytest.mark.filterwarnings("ignore:X. rows are counts:UserWarning")
@pytest.mark.filterwarnings("ignore:training was cut")
def test_a_detector_takes_sparse_counts_and_is_loaded_again(tmp_path: Path) -> None:
    rows = sparse.csr_array(drawn(150))
    one = isthmus.AnomalyDetector("plain", latents=2, steps=30, random_state=0).fit(rows)
    one.save(tmp_path / "model")
    again = isthmus.AnomalyDetector.load(tmp_path / "model")
    np.testing.assert_allclose(again.score_samples(rows), one.score_samples(rows), rtol=1e-4, atol=1e-5)
