"""Which tests run when and where: long ones first, data from outside the repository, the instruction set asked for."""

import os
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "benchmarks" / "published"


def test_files_with_slow_tests_go_first_and_stay_whole():
    order = runpy.run_path(str(ROOT / "tests" / "conftest.py"))["pytest_collection_modifyitems"]

    def item(place, slow=False):
        return SimpleNamespace(path=place[0], place=place, get_closest_marker=lambda name: slow and name == "slow")

    items = [item("a1"), item("b1"), item("b2", slow=True), item("b3"), item("c1"), item("d1", slow=True)]
    order(items)
    assert [one.place for one in items] == ["b1", "b2", "b3", "d1", "a1", "c1"]


def test_data_outside_are_where_the_variable_says(shared, monkeypatch, tmp_path):
    (tmp_path / "here").touch()
    monkeypatch.setenv("ISTHMUS_SHARED", str(tmp_path))
    assert shared("here") == tmp_path / "here"
    with pytest.raises(pytest.skip.Exception, match=r"elsewhere is not there; ISTHMUS_SHARED names the folder"):
        shared("elsewhere")
    monkeypatch.delenv("ISTHMUS_SHARED")
    with pytest.raises(pytest.skip.Exception, match=str(ROOT.parent / "shared" / "elsewhere")):
        shared("elsewhere")


@pytest.mark.parametrize("script", [PUBLISHED / "table.py", PUBLISHED.parent / "regret.py"], ids=lambda p: p.name)
def test_benchmarks_look_there_too(script, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(PUBLISHED.parent)
    monkeypatch.setenv("ISTHMUS_SHARED", str(tmp_path))
    monkeypatch.delitem(sys.modules, "published.table", raising=False)
    assert runpy.run_path(str(script))["BESIDE"] == tmp_path / "data"
    monkeypatch.delenv("ISTHMUS_SHARED")
    monkeypatch.delitem(sys.modules, "published.table", raising=False)
    assert runpy.run_path(str(script))["BESIDE"] == ROOT.parent / "shared" / "data"
    monkeypatch.delitem(sys.modules, "published.table", raising=False)


@pytest.mark.sensitive
def test_the_instruction_set_is_the_one_asked_for():
    asked = os.environ.get("ATEN_CPU_CAPABILITY", "")
    assert torch.backends.cpu.get_cpu_capability() == asked.upper() or not asked
