"""``isthmus inspect``: what is told is what is in the files, of models of every format, and of rivals."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus.cli import main
from isthmus.data.fields import Field
from isthmus.data.layout import laid_out
from isthmus.facets.facet import Rows, Splits
from isthmus.ship import rivals
from isthmus.ship.artefact import load, save
from isthmus.ship.contents import contents
from isthmus.ship.deployed import Deployed
from isthmus.ship.manifest import Measured, Origin

EXPECTED = Path(__file__).parent / "expected"
X = np.random.default_rng(0).normal(size=(300, 3))
MEASURED = Measured(metric="auroc", value=0.9)


def test_all_that_is_saved_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = np.column_stack([X[:, :2], np.arange(300) % 2])
    cells[::9, 0] = np.nan
    fields = (Field("age", "number", gaps=True), Field("size", "number"), Field("city", "category", ("Bergen", "Oslo")))
    fitted = isthmus.fit(
        isthmus.named("pca").set_params(latents=2), cells[:150], fields=fields, columns=("age", "size", "city")
    )
    ships = Deployed.of(fitted, cells[:150], cells[150:200], cells[200:], about="the last", rate=0.05)
    origin = Origin(purpose="anomaly", data="people.csv", digest="ab" * 32, rows=300, measured=[MEASURED])
    place = save(replace(ships, origin=origin), tmp_path / "m")
    found = contents(place)
    assert {one["name"] for one in found["members"]} == {path.name for path in place.iterdir()}
    for one in found["members"]:
        content = (place / one["name"]).read_bytes()
        assert (one["bytes"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (found["format"], found["recipe"]["family"], found["latents"], found["shape"]) == (4, "pca", 2, [3])
    assert found["columns"][0] == {"name": "age", "kind": "number", "values": [], "gaps": True}
    assert found["columns"][2]["values"] == ["Bergen", "Oslo"]
    own = load(place).needed()
    assert found["calibration"] == {"rows": 100, "rate": 0.05, "threshold": own.threshold, "about": "the last"}
    assert found["reference"]["column"] == {"watched": 3, "rows": 300}
    assert found["reference"]["score"] == {"watched": 1, "rows": 100}
    assert found["training"] is None
    assert found["origin"]["data"] == "people.csv"
    assert found["versions"]["isthmus"] == isthmus.__version__
    assert main(["inspect", str(place), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found))
    assert main(["inspect", str(place)]) == 0
    out = capsys.readouterr().out
    assert "training:" not in out
    for word in (
        "300 rows of people.csv, SHA-256 abababababababab…; chosen for anomaly; auroc 0.9",
        "the last",
        "Bergen, Oslo",
        "reference.safetensors",
        found["members"][1]["sha256"][:16],
        "0.05",
    ):
        assert word in out


@pytest.mark.parametrize("number", [1, 2, 3])
def test_older_formats_are_told_as_they_are(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = contents(EXPECTED / f"format-{number}")
    assert found["format"] == number
    assert found["training"]["outcome"]["steps"] == 4
    assert (found["predicts"] is not None) == (number == 2)
    assert found["calibration"] is found["reference"] is found["score"] is None
    assert main(["inspect", str(EXPECTED / f"format-{number}")]) == 0
    assert "none: no calibration rows" in capsys.readouterr().out


def test_a_rival_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layout = laid_out(X[:200])
    parts = [Rows(layout.apply(x), None) for x in (X[:200], X[200:250], X[250:])]
    splits = Splits(*parts, seed=3, latents=2, layout=layout)
    found = contents(
        save(Deployed.of(rivals.fitted("isolation forest", "anomaly", splits, layout), normal=X[250:]), tmp_path / "m")
    )
    assert found["recipe"]["family"] == "isolation forest"
    assert set(found["reference"]) == {"column", "score"}
    assert found["latents"] is None
    assert main(["inspect", str(tmp_path / "m")]) == 0
    assert "parameters, no codes, format" in capsys.readouterr().out


def test_what_is_no_whole_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = save(isthmus.fit(isthmus.named("pca").set_params(latents=2), X), tmp_path / "m")
    (place / "model.safetensors").write_bytes((place / "model.safetensors").read_bytes()[:-1] + b"x")
    assert main(["inspect", str(place)]) == 2
    assert "damaged" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path)]) == 2
