"""The runtime as a distribution of its own: the same files, what they need and no more, where there is no torch."""

import csv
import io
import json
import os
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest

import isthmus

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).parent / "frozen"
EXPECTED = json.loads((FROZEN / "graph-1.json").read_text(encoding="utf-8"))
NEEDED = ("numpy", "onnxruntime")


def project(place: Path) -> dict:
    return tomllib.loads((place / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_it_needs_what_isthmus_says_of_the_runtime_and_nothing_else() -> None:
    own, whole = project(ROOT / "runtime"), project(ROOT)
    numpy = next(one for one in whole["dependencies"] if one.startswith("numpy"))
    assert own["dependencies"] == [numpy, *whole["optional-dependencies"]["runtime"]]
    assert own["requires-python"] == whole["requires-python"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(build, cwd=ROOT / "runtime", check=True, capture_output=True)
    (found,) = place.iterdir()
    return found


def test_the_wheel_holds_the_module_and_nothing_else(wheel: Path) -> None:
    source = ROOT / "src"
    with zipfile.ZipFile(wheel) as packed:
        files = {name for name in packed.namelist() if ".dist-info/" not in name}
        assert files == {str(one.relative_to(source)) for one in (source / "isthmus/runtime").glob("*.py")}
        assert all(packed.read(name) == (source / name).read_bytes() for name in files)
        about = next(name for name in packed.namelist() if name.endswith("METADATA"))
        said = Parser().parsestr(packed.read(about).decode())
    assert (said["Name"], said["Version"]) == ("isthmus-runtime", isthmus.__version__)
    assert [one.partition(">")[0] for one in said.get_all("Requires-Dist")] == list(NEEDED)


@pytest.mark.slow
def test_it_scores_where_there_is_neither_torch_nor_isthmus(wheel: Path, tmp_path: Path) -> None:
    """In Python, and by the command that an installer makes of its entry point."""
    place = tmp_path / "packages"
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    for name in NEEDED:
        home = Path(find_spec(name).origin).parents[1]
        for one in home.iterdir():
            if one.name.split(".")[0] in {name, "flatbuffers", "google", "packaging"}:
                (place / one.name).unlink(missing_ok=True)
                (place / one.name).symlink_to(one)
    rows, graph = tmp_path / "rows.csv", FROZEN / "graph-1.onnx"
    with rows.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([EXPECTED["rows"], *zip(*EXPECTED["rows"].values(), strict=True)])
    entry = (next(place.glob("*.dist-info")) / "entry_points.txt").read_text(encoding="utf-8")
    module, call = entry.strip().splitlines()[-1].partition(" = ")[2].split(":")
    assert "isthmus-runtime = " in entry
    asks = (
        f"import sys; from {module} import {call}; sys.exit({call}([{str(graph)!r}, {str(rows)!r}]))",
        f"from isthmus import runtime; found = runtime.load({str(graph)!r}).run({EXPECTED['rows']!r})\n"
        "print('score', *found['score'].tolist(), sep='\\n')",
    )
    env = {"PYTHONPATH": str(place), "PATH": "", "OMP_NUM_THREADS": "1", "HOME": os.fspath(tmp_path)}

    def run(code: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, env=env)

    for code in asks:
        done = run(code)
        assert (done.returncode, done.stderr) == (0, "")
        found = [float(row["score"]) for row in csv.DictReader(io.StringIO(done.stdout))]
        assert found == pytest.approx(EXPECTED["score"], rel=1e-5)
    for gone in ("torch", "isthmus.ship"):
        assert f"No module named '{gone}'" in run(f"import {gone}").stderr
