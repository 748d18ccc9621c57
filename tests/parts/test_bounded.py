"""Compressors of others: within their bound, the bytes of the library itself, and an extra."""

import math
from importlib.util import find_spec

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.errors import MissingExtra
from isthmus.facets import FACETS
from isthmus.parts import bounded
from isthmus.parts.bounded import MODULES, compressed, installed, needed
from isthmus.study.budget import _rivals
from isthmus.study.design import design

THERE = [name for name, module in MODULES.items() if find_spec(module) is not None]
X = np.cumsum(np.random.default_rng(0).normal(size=(60, 16)), axis=1).astype(np.float32)
FEW = {"families": "plain", "facets": "compression", "replicates": 2, "configs": 1}


@pytest.mark.parametrize("name", THERE)
@pytest.mark.parametrize("shape", [(60, 16), (60, 4, 4), (15, 2, 2, 2, 8), (960, 1)])
@pytest.mark.parametrize("bound", [0.01, 0.3])
def test_no_element_is_off_by_more_than_the_bound(name, shape, bound):
    size, made = compressed(name, X.reshape(shape), bound)
    assert made.shape == shape
    assert np.abs(made - X.reshape(shape)).max() <= bound * (1 + 1e-5)
    assert 0 < size < 4 * X.size
    assert compressed(name, X.reshape(shape), 4 * bound)[0] < size, "a wider bound takes fewer bytes"


def test_their_bytes_are_those_of_the_libraries():
    standalone, pysz, zfpy = (pytest.importorskip(name) for name in ("pcodec.standalone", "pysz", "zfpy"))
    chunk = pytest.importorskip("pcodec").ChunkConfig()
    whole = np.rint(X.astype(np.float64) / 0.2).astype(np.int16)
    assert compressed("pcodec", X, 0.1)[0] == len(standalone.simple_compress(whole.ravel(), chunk))
    np.testing.assert_allclose(compressed("pcodec", X, 0.1)[1], whole * 0.2)
    content = zfpy.compress_numpy(X, tolerance=0.1)
    assert compressed("zfp", X, 0.1)[0] == len(content)
    assert np.array_equal(compressed("zfp", X, 0.1)[1], zfpy.decompress_numpy(content))
    config = pysz.szConfig()
    config.errorBoundMode, config.absErrorBound = pysz.szErrorBoundMode.ABS, 0.1
    packed, _ = pysz.sz.compress(X, config)
    assert compressed("sz3", X, 0.1)[0] == len(packed)
    assert np.array_equal(compressed("sz3", X, 0.1)[1], pysz.sz.decompress(packed, np.float32, X.shape)[0])


def test_who_is_not_installed_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(bounded, "find_spec", lambda module: None)
    assert installed() == []
    with pytest.raises(MissingExtra, match=r"sz3 needs pysz: pip install 'isthmus\[bytes\]'"):
        needed("sz3")
    iris = read("iris")
    with pytest.raises(MissingExtra, match="zfp needs zfpy"):
        design(iris, rivals="pca,zfp", **FEW)
    planned = design(iris, **FEW)
    assert planned.rivals is None
    assert not set(MODULES) & {*planned.rivals_of("compression"), *_rivals(planned)}


def test_those_that_are_installed_take_part_and_are_written_down(monkeypatch):
    monkeypatch.setattr(bounded, "find_spec", lambda module: object() if module == "zfpy" else None)
    iris = read("iris")
    planned = design(iris, **FEW)
    assert "zfp" in planned.rivals
    assert "sz3" not in planned.rivals
    assert planned.rivals_of("compression")[-1] == "zfp"
    assert design(iris, **FEW | {"facets": "reconstruction"}).rivals is None, "nobody else needs them"
    monkeypatch.undo()
    assert planned.rivals_of("compression")[-1] == "zfp", "a study is read where they are not"


def test_they_are_compared_at_the_same_error_as_all(monkeypatch):
    """A stand-in that rounds to the bound and takes half a byte for each element and halving of it."""
    asked = []

    def fixed(x, bound):
        asked.append(bound)
        return round(x.size * (2 - math.log2(bound)) / 2), np.rint(x / (2 * bound)) * (2 * bound)

    from isthmus.facets.facet import Rows, Splits

    monkeypatch.setattr(bounded, "needed", lambda name: None)
    monkeypatch.setitem(bounded.WAYS, "sz3", fixed)
    rows = Rows(np.random.default_rng(0).normal(size=(200, 4)).astype(np.float32), None)
    found = FACETS["compression"].rivals["sz3"](Splits(rows, rows, rows, seed=0, latents=2))
    assert max(asked) > 2
    assert len(asked) > 8
    step = math.sqrt(0.1 * 3)  # half a step of rounding errs by its square over 3
    assert found["bits_per_element"] == pytest.approx(4 * (2 - math.log2(step)), rel=0.05)
