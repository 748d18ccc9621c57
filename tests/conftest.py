"""Tests run on one thread: small matrix products gain nothing from a second, and results must not depend on it.

No test looks at a clock, hypothesis neither: on a busy machine the first example may wait seconds for an import.
"""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_configure(config: pytest.Config) -> None:
    """One thread where tests run; the process that only hands them out needs no torch, and begins sooner."""
    if not config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        import torch

        torch.set_num_threads(1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests go first, whole, so that no worker begins a long one when the others are done.

    The files keep the order of their tests: what they share is made once.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_collection_finish() -> None:
    """Thousands of tests that were collected stay to the end: looking for garbage among them costs each test time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Where a file or folder outside the repository lies; a test that asks for one that is not there is skipped.

    The variable ISTHMUS_SHARED names the folder that they lie in, by default ``shared`` beside the checkout.
    """

    def find(name: str) -> Path:
        folder = os.environ.get("ISTHMUS_SHARED") or Path(__file__).resolve().parents[2] / "shared"
        path = Path(folder, name)
        if not path.exists():
            pytest.skip(f"{path} is not there; ISTHMUS_SHARED names the folder that holds {name}")
        return path

    return find


LISTED: dict[int, Any] = {}


@pytest.fixture
def many_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch's exporter has for each operation is listed once: anew for each graph takes a third of the time."""
    pytest.importorskip("onnxscript", reason="graphs need onnxscript: pip install 'isthmus[export]'")
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    listed = ONNXRegistry.from_torchlib

    def once(opset_version: int) -> Any:
        if opset_version not in LISTED:
            LISTED[opset_version] = listed(opset_version)
        return LISTED[opset_version]

    monkeypatch.setattr(ONNXRegistry, "from_torchlib", staticmethod(once))


@pytest.fixture(scope="module")
def few_trees() -> Iterator[None]:
    """Few of the trees that judge made rows and fill gaps in: what they give is asked where they are tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isthmus.metrics.boosted.TREES", 1)
        patch.setattr("isthmus.facets.imputation.TREES", 2)
        yield


@pytest.fixture
def few_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """A few digits and their kinds, for what pages show: theirs are as few, as are trees; trainings are short."""
    import numpy as np
    import sklearn.datasets

    from isthmus.train.plan import Plan

    load, own = sklearn.datasets.load_digits, Plan.__post_init__

    def few(**how: Any) -> Any:
        found = load(**how)
        parts = dict(enumerate(found)) if how else found
        parts |= {name: part[:250] for name, part in parts.items() if isinstance(part, np.ndarray)}
        return tuple(parts.values()) if how else parts

    def short(plan: Plan) -> None:
        own(plan)
        object.__setattr__(plan, "steps", min(plan.steps, 60))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Plan, "__post_init__", short)
    monkeypatch.setattr("isthmus.metrics.cost.SHORTEST", 1e-4)  # no test looks at a clock
    monkeypatch.setattr("isthmus.metrics.boosted.TREES", 10)
    monkeypatch.setattr(sklearn.datasets, "load_digits", few)
    return tuple(few(return_X_y=True))
