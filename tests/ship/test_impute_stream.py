"""``isthmus impute`` fills a file of any length in, piece by piece, as it does in one piece."""

import gzip
import hashlib
import io
import json
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
import safetensors.numpy

from isthmus.cli import main
from isthmus.data import blocks, text_pieces
from isthmus.data.blocks import Columns
from isthmus.data.fields import missing
from isthmus.data.read import cells, table
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.imputer import Imputer
from isthmus.ship import verbs
from isthmus.ship.artefact import load, save
from isthmus.ship.card import markdown
from isthmus.ship.contents import contents
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import seal
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

ROWS = 900


def people() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with whole numbers, numbers, words, flags and days; with gaps, and whole.

    The first hundred rows know no age and no day, and the first fraction stands far behind.
    """
    random = np.random.default_rng(0)
    height = random.normal(170, 10, ROWS)
    whole = pd.DataFrame({
        "id": [f"p{i:04d}" for i in range(ROWS)],
        "age": random.integers(20, 60, ROWS),
        "height": height.round(),
        "city": np.where(height > 170, "Oslo", "Bergen, west"),
        "paid": height + random.normal(0, 5, ROWS) > 170,
        "day": pd.Timestamp("2024-01-01") + pd.to_timedelta((height - 130).round(), unit="D"),
    })  # fmt: skip
    whole.loc[800:, "height"] += 0.25
    gaps = whole.copy().astype({"age": "Int64", "paid": "object"})
    for name in ("age", "height", "city", "paid", "day"):
        gaps.loc[random.random(ROWS) < 0.2, name] = None
    gaps.loc[:99, ["age", "day"]] = None
    return gaps, whole


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, (gaps, _) = tmp_path_factory.mktemp("impute"), people()
    gaps.to_csv(folder / "gaps.csv", index=False)
    pq.write_table(table(folder / "gaps.csv"), folder / "gaps.parquet")
    (folder / "gaps.csv.gz").write_bytes(gzip.compress((folder / "gaps.csv").read_bytes()))
    gaps[500:].to_csv(folder / "held.csv", index=False)
    frame = pacsv.read_csv(folder / "gaps.csv").drop(["id"])
    with warnings.catch_warnings(action="ignore"):
        model = fit(named("masked").set_params(latents=3), frame, plan=Plan(steps=100))
    save(model, folder / "model")
    return folder


@pytest.fixture
def run(place: Path, capsys: pytest.CaptureFixture[str]):
    def call(*words: str, code: int = 0) -> str:
        assert main(["impute", str(place / "model"), *map(str, words)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return call


def small(patch: pytest.MonkeyPatch) -> list[int]:
    """Pieces of few rows; how many each has."""
    sizes: list[int] = []
    patch.setattr(text_pieces, "PIECE", 2000)
    patch.setattr(blocks, "BATCH", 50)
    real = verbs.impute
    patch.setattr(
        verbs, "impute", lambda model, block, *more: sizes.append(len(block.rows)) or real(model, block, *more)
    )
    return sizes


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gaps.csv", "gaps.csv.gz", "gaps.parquet"])
@pytest.mark.parametrize("options", [(), ("--intervals", "0.8", "--against", "held.csv")], ids=["alone", "intervals"])
def test_pieces_give_what_one_piece_gives(
    place: Path, run, name: str, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = [str(place / one) if one.endswith(".csv") else one for one in options]
    run(place / name, "-o", place / "one.parquet", *more)
    with monkeypatch.context() as patch:
        sizes = small(patch)
        run(place / name, "-o", place / "pieces.parquet", *more)
    assert len(sizes) > 15
    assert max(sizes) < 100
    assert sum(sizes) == ROWS
    one, pieces = (pq.read_table(place / f"{which}.parquet") for which in ("one", "pieces"))
    assert pieces.schema == one.schema
    for own, other in zip(one.columns, pieces.columns, strict=True):
        if pa.types.is_floating(own.type):  # products round by how many rows go at once
            np.testing.assert_allclose(other.to_numpy(), own.to_numpy(), rtol=1e-5, atol=1e-6)
        elif pa.types.is_timestamp(own.type):  # within two seconds
            moments = (each.cast(pa.int64()).to_numpy() for each in (other, own))
            np.testing.assert_allclose(*moments, rtol=1e-9)
        else:
            assert other.equals(own)
    if not options:
        given, fitted = table(place / name), load(place / "model")
        assert one.column_names == given.column_names
        plain = [n for n in given.column_names if not pa.types.is_dictionary(given.schema.field(n).type)]
        assert [one.schema.field(n).type for n in plain] == [given.schema.field(n).type for n in plain]
        made, gone = fitted.impute(given), missing(cells(given, fitted.fields))
        for j, column in enumerate(made.column_names):
            assert gone[:, j].any()
            old, new = given.column(column).to_pylist(), made.column(column).to_pylist()
            assert one.column(column).to_pylist() == [new[i] if gone[i, j] else old[i] for i in range(ROWS)]
            assert one.column(column).null_count == 0
        assert one.column("id").to_pylist() == given.column("id").to_pylist()
    else:
        names = one.column_names
        assert names[names.index("age") + 1 :][:2] == ["age low", "age high"]
        assert names[names.index("city") + 1] == "city among"
        assert one.column("day low").type == pa.timestamp("us")
        gone = np.array(table(place / name).column("height").is_null().to_pylist())
        assert np.array(one.column("height low").is_valid().to_pylist())[gone].all()


def test_a_pipe_goes_into_a_pipe(place: Path, run, monkeypatch: pytest.MonkeyPatch) -> None:
    run(place / "gaps.csv", "-o", place / "out.csv")
    stdin = SimpleNamespace(buffer=io.BytesIO((place / "gaps.csv").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stdin)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(buffer=out, isatty=lambda: False, flush=lambda: None))
    assert main(["impute", str(place / "model"), "-"]) == 0
    assert out.getvalue() == (place / "out.csv").read_bytes()


def test_calibration_rows_matter_and_columns_without_gaps_get_no_interval(place: Path, run) -> None:
    frame = pd.read_csv(place / "gaps.csv")[100:400]
    full = [name for name in frame if name != "height"]
    frame[full] = frame[full].ffill().bfill()
    frame.to_csv(place / "few.csv", index=False)
    found = {}
    for held in ("held.csv", "few.csv"):
        run(place / "few.csv", "-o", place / "out.csv", "--intervals", "0.8", "--against", place / held)
        found[held] = pd.read_csv(place / "out.csv")
    assert list(found["few.csv"]) == ["id", "age", "height", "height low", "height high", "city", "paid", "day"]
    assert not found["few.csv"]["height low"].equals(found["held.csv"]["height low"])
    run(place / "few.csv", "-o", place / "wide.csv", "--intervals", "0.95", "--against", place / "held.csv")
    wide = pd.read_csv(place / "wide.csv")
    gone = wide["height low"].notna()
    assert (wide["height high"][gone] > found["held.csv"]["height high"][gone]).all()


def test_types_of_columns_are_those_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_pieces, "PIECE", 64)
    lines = ["a,b,c,d", *("1,,2024-01-01,7" for _ in range(30)), "1.5,x,2024-01-01,7", "2,,never,7"]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    with Columns(tmp_path / "t.csv") as found:
        assert list(found.types.values()) == [pa.float64(), pa.string(), pa.string(), pa.int64()]
        parts = [block.table for block in found.blocks(())]
    assert len(parts) > 5
    assert pa.concat_tables(parts).column("c").to_pylist() == ["2024-01-01"] * 31 + ["never"]
    assert pa.concat_tables(parts).num_rows == 32


def test_what_is_no_table_is_refused(place: Path, run, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((30, 5)))
    assert "no table with named columns" in run(tmp_path / "rows.npy", "-o", tmp_path / "o.csv", code=2)
    (tmp_path / "b.csv").write_text("age,height\n1,2\n")
    assert "city" in run(tmp_path / "b.csv", code=2)
    assert "no such file" in run(tmp_path / "nowhere.csv", code=2)
    assert "must end in .csv, .parquet, .arrow" in run(place / "gaps.csv", "-o", tmp_path / "o.npy", code=2)
    assert "the file that is read" in run(place / "gaps.csv", "-o", place / "gaps.csv", code=2)
    assert not list(tmp_path.glob("o.*"))
    narrow = pa.table({"age": pa.array([None, 1], pa.int8())})
    field = load(place / "model").fields[0]
    with pytest.raises(BadInput, match="does not fit"):
        verbs._filled(field, narrow.column("age"), np.array([1e6, 1.0]), np.array([True, False]))


def test_a_model_knows_by_which_cells_its_intervals_are_told(place: Path, run, capsys) -> None:
    """Cells of calibration rows are hidden: saved, loaded, told, and used where no other rows are given."""
    frame = pacsv.read_csv(place / "held.csv")
    fitted = load(place / "model")
    rows = cells(frame, fitted.fields)
    known = Deployed.of(fitted, normal=rows)
    assert list(known.reach) == [field.name for field in fitted.fields]
    assert fitted.reach is None
    for form in ("known", "known.isthmus"):
        again = load(save(known, place / form))
        assert list(again.reach) == list(known.reach)
        for name, one in known.reach.items():
            np.testing.assert_array_equal(again.reach[name].scores, one.scores)
            assert again.reach[name].rows == one.rows
        assert [one["column"] for one in contents(place / form)["gaps"]] == list(known.reach)
    call = ["impute", str(place / "known.isthmus"), str(place / "gaps.csv"), "--intervals", "0.8", "-o"]
    assert main([*call, str(place / "out.csv")]) == 0
    assert "too narrow" not in capsys.readouterr().err
    found, wanted = (
        pd.read_csv(place / "out.csv"),
        Imputer(known, known.reach).fill(cells(table(place / "gaps.csv"), fitted.fields), 0.8),
    )
    np.testing.assert_allclose(found["height low"], wanted.low[:, 1])
    np.testing.assert_allclose(found["age high"], wanted.high[:, 0])
    _, whole = people()
    gone = found["height low"].notna().to_numpy()
    inside = (found["height low"] <= whole["height"]) & (whole["height"] <= found["height high"])
    assert 0.7 < inside[gone].mean() < 0.92
    capsys.readouterr()
    assert main(["inspect", str(place / "known")]) == 0
    assert "intervals of 5 columns, from 2,500 hidden cells" in capsys.readouterr().out
    assert main(["inspect", str(place / "model")]) == 0
    assert "hidden cells" not in capsys.readouterr().out
    assert "## Gaps" in markdown(known)
    assert "## 缺失值" in markdown(known, "zh")
    assert "## Gaps" not in markdown(fitted)
    assert main(["train", "masked", str(place / "held.csv"), "--drop", "id", "--steps", "20", "--measure", "none",
                 "--out", str(place / "trained")]) == 0  # fmt: skip
    assert load(place / "trained").reach


def test_what_is_said_of_hidden_cells_is_checked(place: Path) -> None:
    known = Deployed.of(
        load(place / "model"), normal=cells(pacsv.read_csv(place / "held.csv"), load(place / "model").fields)
    )
    folder = save(known, place / "hostile")
    said = {key: value for key, value in json.loads((folder / "model.json").read_bytes()).items() if key != "seal"}
    scores = safetensors.numpy.load((folder / "decision.safetensors").read_bytes())

    def refused(word: str, gaps: list | None = None, values: np.ndarray | None = None) -> None:
        content = safetensors.numpy.save({**scores, "gaps": scores["gaps"] if values is None else values})
        member = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (folder / "decision.safetensors").write_bytes(content)
        (folder / "model.json").write_bytes(
            seal({**said, "decision": member, **({} if gaps is None else {"gaps": gaps})})
        )
        with pytest.raises(BadInput, match=word) as caught:
            load(folder)
        assert "\n" not in str(caught.value)

    first, *others = said["gaps"]
    refused("gaps must be float64 of shape", [{**first, "cells": first["cells"] + 1}, *others])
    refused("of columns of the model", [{**first, "column": "elsewhere"}, *others])
    refused("each once", [{**first, "column": others[0]["column"]}, *others])
    refused("unexpected array 'gaps'", [])
    refused("gaps.0.cells", [{**first, "cells": 0}, *others])
    refused("distances in order", values=scores["gaps"][::-1].copy())
    refused("distances in order", values=scores["gaps"] - 1.0)
    refused("not finite", values=np.where(np.arange(len(scores["gaps"])) == 3, np.nan, scores["gaps"]))
