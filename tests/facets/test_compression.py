"""Bits per element: real bytes at the same error, with rivals on the same terms."""

import bz2
import io
import math
from dataclasses import replace

import numpy as np
import pyarrow
import pytest
from contenders import Fixed, digits, pca, split
from PIL import Image

from isthmus import codec
from isthmus.data.read import read
from isthmus.facets import FACETS, compression, pictures
from isthmus.facets.compression import criterion, stored, told, zstd
from isthmus.facets.facet import FittedContender, Rows, Splits
from isthmus.families import named
from isthmus.metrics.rate import TARGET
from isthmus.parts.entropy import pieces
from isthmus.study.design import design
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

FACET = FACETS["compression"]
X, Y = digits()
SPLITS = split(X[:600], None)


def normal(n, width, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)
    return split(x, None, latents=width)


@pytest.mark.slow
def test_the_curve_holds_real_bytes_and_real_errors():
    contender = pca(SPLITS.train.x, 8)
    found = FACET.measure(contender, SPLITS)
    bits, error = found["rate_distortion"]
    spread = math.sqrt(np.square(SPLITS.train.x - SPLITS.train.x.mean(axis=0)).mean())
    x = SPLITS.test.x
    steps = [3.5 * spread * 2 ** (-k / 4) for k in range(18)]
    written = [codec.code(contender, x, step=s, bound=s * share) for s in steps for share in (0.5, math.inf)]
    sizes = [8 * len(one.to_bytes()) / x.size for one in written]
    assert len(bits) > 5
    assert set(bits) <= set(sizes)
    for one_bits, one_error in zip(bits, error, strict=True):
        content = written[sizes.index(one_bits)].to_bytes()
        back = codec.decode(contender, content).reshape(x.shape)
        assert one_error == pytest.approx(np.square(back - x).mean() / spread**2, rel=1e-6)
    assert list(bits) == sorted(bits)
    assert list(error) == sorted(error, reverse=True)


@pytest.mark.slow
def test_independent_columns_cost_what_theory_says_and_no_code_helps():
    splits = normal(10_000, 16)
    floor = 0.5 * math.log2(1 / TARGET)  # Shannon's bound for the test rows
    full, none = FACET.measure(pca(splits.train.x, 16), splits), FACET.rivals["rounding"](splits)
    for found in (full, none):
        assert floor < found["bits_per_element"] < floor + 0.4  # a quarter for rounding, the rest for learning tables
    assert FACET.rivals["xz"](splits)["bits_per_element"] > none["bits_per_element"]


def test_a_line_in_many_columns_is_worth_a_code():
    z = np.random.default_rng(0).normal(size=(3000, 1))
    splits = split(
        (z @ np.ones((1, 8)) + 0.01 * np.random.default_rng(1).normal(size=(3000, 8))).astype(np.float32), None
    )
    one, none = FACET.measure(pca(splits.train.x, 1), splits), FACET.rivals["rounding"](splits)
    assert one["bits_per_element"] < 0.25 * none["bits_per_element"]


@pytest.mark.slow
def test_a_useless_model_never_saves_and_its_own_bytes_count():
    mean = lambda z: np.broadcast_to(SPLITS.train.x.mean(axis=0), (len(z), 8, 8))  # noqa: E731
    useless = Fixed(lambda x: np.zeros((len(x), 4), np.float32), mean, artefact_bytes=1000)
    found, rival = FACET.measure(useless, SPLITS), FACET.rivals["rounding"](SPLITS)
    assert found["bits_per_element"] > 0.9 * rival["bits_per_element"]
    shared = 8000 / SPLITS.test.x.size
    assert found["bits_with_model"] - found["bits_per_element"] == pytest.approx(shared)
    assert rival["bits_with_model"] == rival["bits_per_element"]
    noisy = Fixed(lambda x: np.random.default_rng(0).normal(size=(len(x), 16)).astype(np.float32), mean)
    noisy.decoder = lambda z: mean(z) + z.sum(axis=1).reshape(-1, 1, 1).astype(np.float32)
    assert FACET.measure(noisy, SPLITS)["bits_per_element"] > found["bits_per_element"]


@pytest.mark.slow
def test_scaling_the_data_changes_no_rate():
    found = []
    for factor in (1, 1024):
        splits = SPLITS._replace(
            **{n: Rows(getattr(SPLITS, n).x * np.float32(factor), None) for n in ("train", "valid", "test")}
        )
        found.append(FACET.measure(pca(splits.train.x, 8), splits)["bits_per_element"])
    assert found[0] == pytest.approx(found[1], rel=1e-3)


@pytest.mark.slow
def test_the_criterion_ranks_as_real_bytes_do():
    contenders = [pca(SPLITS.train.x, width) for width in (1, 4, 16)]
    same = SPLITS._replace(test=SPLITS.valid)
    promised = [criterion(s, SPLITS) for s in contenders]
    real = [FACET.measure(s, same)["bits_per_element"] for s in contenders]
    assert np.argsort(promised).tolist() == np.argsort(real).tolist()
    assert np.ptp(np.array(real) - promised) < 0.1 * min(real)


def trained(family, splits, **fields):
    recipe = named(family).set_params(latents=8, **fields)
    plan = Plan(steps=150, check=50)
    return FittedContender(fit(recipe, splits.train.x, valid=splits.valid.x, plan=plan, scale="none"), 10)


@pytest.mark.slow
def test_families_with_a_posterior_say_what_bits_back_would_take_and_others_do_not():
    found = FACET.measure(trained("vae", SPLITS), SPLITS)
    assert 0.1 < found["bits_back"] < 3
    assert "bits_back" not in FACET.measure(trained("plain", SPLITS), SPLITS)


def test_a_discrete_family_is_coded_by_its_symbols():
    contender = trained("vq", SPLITS, codes=8)
    found = FACET.measure(contender, SPLITS)
    tokens = 2 * 3 * len(SPLITS.test.x)  # two positions of at most 3 bits
    assert found["rate_distortion"].x[0] * SPLITS.test.x.size < tokens + 1600


def test_general_compressors_get_the_narrowest_type():
    whole = np.arange(-5, 300).reshape(-1, 5)
    assert stored(bytes)(whole) == whole.astype(np.int16).tobytes()
    assert stored(bytes)(whole[:20]) == whole[:20].astype(np.int8).tobytes()
    assert len(stored(bz2.compress)(whole)) == len(bz2.compress(whole.astype(np.int16).tobytes()))


def test_zstd_counts_the_bytes_of_a_frame_that_comes_back_whole():
    x, spread = SPLITS.test.x.reshape(len(SPLITS.test.x), -1), math.sqrt(SPLITS.train.x.var(axis=0).mean())
    content = np.rint(x / spread).astype(np.int8).tobytes()
    frame = zstd(content)
    assert frame[:4] == bytes.fromhex("28b52ffd")  # the magic number of RFC 8878
    assert pyarrow.decompress(frame, len(content), "zstd", asbytes=True) == content
    assert len(frame) < len(pyarrow.compress(content, "zstd", asbytes=True))  # which is level 1
    assert len(frame) == len(pyarrow.Codec("zstd", compression_level=19).compress(content))


def test_the_rate_of_zstd_is_that_of_its_frames():
    spread = math.sqrt(np.square(SPLITS.train.x - SPLITS.train.x.mean(axis=0)).mean())
    whole = [np.rint(SPLITS.test.x / (3.5 * spread * 2 ** (-k / 4))).astype(np.int8) for k in range(18)]
    sizes = {8 * len(zstd(one.tobytes())) / one.size for one in whole}
    bits, _ = FACET.rivals["zstd"](SPLITS)["rate_distortion"]
    assert len(bits) > 5
    assert set(bits) <= sizes


@pytest.mark.parametrize("shape", [(8, 8), (5, 7), (6, 4, 3), (4, 4, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_pictures_go_through_real_files(kind, shape):
    x = np.random.default_rng(0).uniform(-1, 3, size=(10, *shape)).astype(np.float32)
    found = list(pictures.sweep(kind, x, -1.0, 3.0))
    errors = [float(np.square(y - x).mean()) for y, _ in found]
    sizes = [size for _, size in found]
    assert [y.shape for y, _ in found] == [x.shape] * len(pictures.QUALITIES)
    assert sizes[0] < sizes[6] < sizes[-1]
    assert errors[-1] < errors[0]
    assert sizes[-1] < 4 * x.size + 2000


def test_the_size_of_a_sheet_is_that_of_a_file_of_pillow():
    x = X[:9]
    page = np.rint(x * 255).astype(np.uint8).reshape(3, 3, 8, 8).swapaxes(1, 2).reshape(24, 24)
    with io.BytesIO() as file:
        Image.fromarray(page).save(file, "JPEG", quality=pictures.QUALITIES[4])
        size = len(file.getvalue())
    assert list(pictures.sweep("JPEG", x, 0.0, 1.0))[4][1] == size


def test_sheets_come_apart_again():
    images = np.random.default_rng(0).integers(0, 255, (7, 3, 5, 3)).astype(np.uint8)
    page = pictures.sheet(images)
    assert page.shape == (9, 15, 3)
    np.testing.assert_array_equal(pictures.cut(page, (7, 3, 5)), images)


def test_pictures_are_rivals_only_where_rows_are_pictures():
    assert FACET.rivals_on("pictures") == ["rounding", "zstd", "xz", "bz2", "jpeg", "webp"]
    assert FACET.rivals_on() == ["rounding", "zstd", "xz", "bz2"]
    made = design(read("digits"), families="plain", facets="compression")
    assert "pictures" in made.forms
    for shape in ([64], [8, 8, 2], [2, 400], [2, 2, 2, 2]):
        assert "pictures" not in replace(made, data={**made.data, "shape": shape}).forms
    assert "pictures" not in replace(made, data={**made.data, "images": False}).forms  # a series of 8 channels
    table = Splits(*(Rows(rows.x.reshape(len(rows.x), 64), None) for rows in SPLITS[:3]), 0, 4)
    assert all(math.isnan(v) for v in FACET.rivals["jpeg"](table).values())


def test_of_many_rows_a_fair_draw_is_coded(monkeypatch):
    """Rows stand from the flattest to the liveliest: the first of them alone would cost next to nothing."""
    order = np.argsort(SPLITS.test.x.reshape(len(SPLITS.test.x), -1).std(axis=1))
    sizes = np.linspace(0, 1, len(order)).astype(np.float32)[:, None, None]
    sorted_rows = SPLITS._replace(test=Rows(SPLITS.test.x[order] * sizes, None))
    whole = FACET.rivals["rounding"](sorted_rows)["bits_mean"]
    monkeypatch.setattr(compression, "CELLS", 64 * 40)
    few = FACET.rivals["rounding"](sorted_rows)["bits_mean"]
    first = FACET.rivals["rounding"](sorted_rows._replace(test=sorted_rows.test.take(slice(40))))["bits_mean"]
    assert few == pytest.approx(whole, rel=0.2)
    assert first < 0.7 * whole
    assert few != FACET.rivals["rounding"](sorted_rows._replace(seed=sorted_rows.seed + 1))["bits_mean"]


def test_rows_that_do_not_vary_have_no_rate():
    flat = Rows(np.ones((30, 3), np.float32), None)
    splits = Splits(flat, flat, flat, 0, 2)
    assert math.isnan(criterion(pca(flat.x, 1), splits))
    assert all(math.isnan(v) for v in FACET.measure(pca(flat.x, 1), splits).values())


def test_one_row_from_far_away_breaks_nothing():
    x = np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32)
    far = x[:50].copy()
    far[3, 2] = 1e9
    splits = Splits(Rows(x[:100], None), Rows(x[100:], None), Rows(far, None), 0, 2)
    rivals = [FACET.rivals[name](splits) for name in ("rounding", "zstd", "xz", "bz2")]
    for found in (FACET.measure(pca(x[:100], 2), splits), *rivals):
        assert all(math.isnan(v) or v > 0 for k, v in found.items() if k != "rate_distortion")


def test_the_curve_keeps_only_points_worth_having():
    found = told([(0.5, 1.0), (0.6, 1.5), (0.1, 2.0), (0.1, 3.0), (0.01, 4.0)])
    assert found["rate_distortion"] == ((1.0, 2.0, 4.0), (0.5, 0.1, 0.01))


def test_a_model_reads_rows_once_however_many_steps_are_tried(monkeypatch):
    asked = []
    monkeypatch.setattr(codec, "gains", lambda way, z, real=codec.gains: asked.append(len(z)) or real(way, z))
    FACET.criterion(pca(SPLITS.train.x, 4), SPLITS)
    assert len(asked) == 1


@pytest.mark.parametrize("width", [16, 256, 4096, 16_384])
@pytest.mark.parametrize("columns", [3, 784])
def test_a_sweep_makes_a_bounded_number_of_tables_whatever_the_width(width, columns):
    splits = SPLITS._replace(latents=width)
    rows = Rows(np.zeros((5000, columns), np.float32), None)
    x = compression._some(rows, splits)
    assert len(x) * max(width, columns) <= compression.CELLS
    each = compression._fineness(splits, x)
    tables = len(compression._steps(1.0, each)) * (2 * width + columns) * sum(1 for _ in pieces(len(x)))
    assert tables <= compression.TABLES or each == 1
    assert each == compression.FINE if width <= 256 else each < compression.FINE


def test_coarser_sweeps_reach_measuring(monkeypatch):
    fine = FACET.measure(pca(SPLITS.train.x, 4), SPLITS)["rate_distortion"]
    monkeypatch.setattr(compression, "TABLES", 1.0)
    coarse = FACET.measure(pca(SPLITS.train.x, 4), SPLITS)["rate_distortion"]
    assert len(coarse.x) < len(fine.x)
