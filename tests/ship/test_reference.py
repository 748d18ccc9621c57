"""The reference inside an artefact: counts that agree before and after, no row of the data, and nothing odd is read."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

import isthmus
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.ship.artefact import REFERENCE, load, save
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import seal
from isthmus.ship.reference import LEAST, Reference

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(900, 5)) * [1, 10, 0.1, 3, 2] + [0, 50, 0, -3, 1]
X[:, 4] = 7.0


@pytest.fixture(scope="module")
def ships() -> Deployed:
    fitted = isthmus.fit(isthmus.named("pca").set_params(latents=2), X[:400])
    return Deployed.of(fitted, X[:400], X[400:500], X[500:])


def test_bins_are_wide_enough_and_edges_are_no_values(ships: Deployed) -> None:
    assert ships.reference is not None
    for one in ships.reference.channels:
        rows = 900 if one.group == "column" else 400
        assert one.counts.sum() == rows
        if one.group == "column" and one.place < 4:
            assert one.counts[:-2].min() >= LEAST // 2
            assert len(one.edges) > 8
            assert not np.isin(one.edges, X).any()
            assert one.moments[:2] == pytest.approx([X[:, one.place].mean(), X[:, one.place].std()])
    still = next(one for one in ships.reference.channels if one.place == 4)
    assert still.counted(np.array([7.0, 6.9, 7.1, np.nan, np.inf])).tolist() == [1, 1, 1, 1, 1]


def test_no_row_of_the_data_is_in_it(ships: Deployed, tmp_path: Path) -> None:
    """Of training and of calibration rows: not whole, and no value of a column but those that all rows share."""
    content = (save(ships, tmp_path / "m") / REFERENCE).read_bytes()
    for kind in (np.float32, np.float64):
        assert not any(row.astype(kind).tobytes() in content for row in X)
    assert not any(value.tobytes() in content for value in X[:, :4].ravel())


def test_it_comes_back_and_counts_a_category_as_before(tmp_path: Path) -> None:
    """Values that stand in one row only leave the layout that is saved, and cells are then numbered anew."""
    import pandas as pd

    city = np.append(["Aachen"], RANDOM.choice(["Bergen", "Oslo", "Rome"], 399))
    frame = pd.DataFrame({"city": city, "x": RANDOM.normal(size=400), "size": RANDOM.choice(["S", "M"], 400)})
    table = read(frame, kinds={"size": "ordered"})
    fitted = isthmus.fit(
        isthmus.named("pca").set_params(latents=1), table.x, fields=table.fields, columns=table.columns
    )
    own = Deployed.of(fitted, normal=table.x)
    again = load(save(own, tmp_path / "m"))
    assert own.reference is not None
    assert again.reference is not None
    assert again.reference.digest == own.reference.digest
    anew = Reference.of(again, [frame], frame)
    assert [one.counts.tolist() for one in anew.channels] == [one.counts.tolist() for one in own.reference.channels]
    cities = anew.channels[0]
    assert cities.counts.tolist() == [*(int((city == name).sum()) for name in ("Bergen", "Oslo", "Rome")), 1, 0]
    new = frame.assign(size="XXL")
    odd = Reference.of(again, [new], new)
    assert odd.channels[2].counts[-2:].tolist() == [400, 0]


@pytest.mark.slow
@pytest.mark.slow
def test_few_rows_and_many_columns_make_a_bounded_reference() -> None:
    wide = np.random.default_rng(0).normal(size=(60, 700))
    fitted = isthmus.fit(isthmus.named("pca").set_params(latents=3), wide)
    found = Reference.of(Deployed.of(fitted), [wide], wide)
    assert sum(one.group == "column" for one in found.channels) == 512
    few = Reference.of(Deployed.of(fitted), [wide[:10]], wide[:10])
    assert {len(one.edges) for one in few.channels} == {0}
    with pytest.raises(BadInput, match="at least one row"):
        Reference.of(Deployed.of(fitted), [wide[:0]], wide[:0])


CHANGES = {
    "edges": lambda a: a[::-1].copy(),
    "counts": lambda a: -a,
    "bins": lambda a: a + 1,
    "spans": lambda a: a[:-1].copy(),
    "group": lambda a: np.full_like(a, 9),
    "place": np.zeros_like,
    "moments": lambda a: a * np.nan,
    "strange": lambda a: np.ones(3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_numbers_that_make_no_reference_are_refused(ships: Deployed, tmp_path: Path, name: str) -> None:
    place = save(ships, tmp_path / "m")
    arrays = safetensors.numpy.load_file(place / REFERENCE)
    arrays[name] = CHANGES[name](arrays.get(name))
    content = safetensors.numpy.save(arrays)
    (place / REFERENCE).write_bytes(content)
    with pytest.raises(BadInput, match=r"damaged|larger than"):
        load(place)
    data = {k: v for k, v in json.loads((place / "model.json").read_text()).items() if k != "seal"}
    data["reference"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (place / "model.json").write_bytes(seal(data))
    with pytest.raises(BadInput, match="reference"):
        load(place)


def test_a_model_saved_without_one_is_read(ships: Deployed, tmp_path: Path) -> None:
    import dataclasses

    place = save(dataclasses.replace(ships, reference=None), tmp_path / "m")
    assert not (place / REFERENCE).exists()
    assert load(place).reference is None
    save(ships, place)  # and replaced by one with it
    assert load(place).reference is not None


def test_a_frozen_reference_is_read_and_watched_with() -> None:
    """Written by the version that first had one: its counts are those of its rows, and its rows raise no alarm."""
    import importlib.util

    from isthmus.monitor.watch import Watch

    where = Path(__file__).parent / "expected"
    spec = importlib.util.spec_from_file_location("make_format_4", where / "make_format_4.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    frame, model = made.frame(), load(where / "format-4")
    np.testing.assert_allclose(model.scores(frame), np.load(where / "format-4" / "scores.npy"), rtol=1e-3, atol=1e-3)
    assert model.reference is not None
    city = next(one for one in model.reference.channels if one.name == "city")
    assert city.counts.tolist() == [*frame["city"].value_counts().sort_index(), 0, 0]
    watch = Watch(model)
    assert watch.feed(read(frame).x) == []
    assert watch.progress.rows == 200
