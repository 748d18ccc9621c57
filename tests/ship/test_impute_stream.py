"""``isthmus impute`` fills a file of any length in, piece by piece, as it does in one piece."""

import gzip
import io
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

from isthmus.cli import main
from isthmus.data import blocks, text_pieces
from isthmus.data.blocks import Columns
from isthmus.data.fields import missing
from isthmus.data.read import cells, table
from isthmus.errors import BadInput
from isthmus.families import named
from isthmus.ship import verbs
from isthmus.ship.artefact import load, save
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
    assert pieces.equals(one)
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
    assert "must end in .csv or .parquet" in run(place / "gaps.csv", "-o", tmp_path / "o.npy", code=2)
    assert "the file that is read" in run(place / "gaps.csv", "-o", place / "gaps.csv", code=2)
    assert not list(tmp_path.glob("o.*"))
    narrow = pa.table({"age": pa.array([None, 1], pa.int8())})
    field = load(place / "model").fields[0]
    with pytest.raises(BadInput, match="does not fit"):
        verbs._filled(field, narrow.column("age"), np.array([1e6, 1.0]), np.array([True, False]))
