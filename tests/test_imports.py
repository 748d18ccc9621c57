"""What an import costs, and who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import isthmus

SOURCE = Path(isthmus.__file__).parent
HEAVY = {"joblib", "narwhals", "numpy", "pandas", "polars", "pyarrow", "scipy", "sklearn", "torch"}
FILES = sorted(SOURCE.rglob("*.py"))


def loaded(code: str) -> set[str]:
    """The packages that a fresh interpreter has loaded after some code."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ran.stderr.split()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "code",
    [
        "import isthmus",
        "import isthmus; dir(isthmus)",
        "import isthmus.cli",
        "from isthmus.cli import main; main(['--help'])",
        "from isthmus.cli import main; main(['compare', '--help'])",
        "from isthmus.cli import main; main(['--version'])",
        "from isthmus.cli import main; main(['compare'])",
    ],
)
def test_light_things_load_nothing_heavy(code: str) -> None:
    assert loaded(code) & HEAVY == set()


@pytest.mark.slow
def test_public_names_load_on_first_use() -> None:
    assert "torch" in loaded("import isthmus; isthmus.named")
    assert set(isthmus.__all__) <= set(dir(isthmus))
    for name in isthmus.__all__:
        assert getattr(isthmus, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Autoencodr'"):
        _ = isthmus.Autoencodr


def test_public_names_are_the_ones_type_checkers_see() -> None:
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    typed = {
        (alias.name, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module is not None and node.module.startswith("isthmus.")
        for alias in node.names
    }
    assert typed == set(isthmus._HOMES.items())
    assert sorted(isthmus.__all__) == sorted(isthmus._HOMES)  # the linter holds their order


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_nobody_imports_through_the_face_of_the_package(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert "isthmus" not in {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "isthmus":
                submodules = {child.stem for child in SOURCE.iterdir()} | {"__version__"}
                assert {alias.name for alias in node.names} <= submodules


@pytest.mark.slow
def test_imports_go_down_the_floors() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    ran = subprocess.run([linter, "--no-cache"], check=False, capture_output=True, text=True, cwd=SOURCE.parents[1])
    assert ran.returncode == 0, ran.stdout
