"""Models of rows of counts as ONNX graphs, and why a container of them is none."""

from pathlib import Path

import numpy as np
import pytest

import isthmus
from isthmus import runtime
from isthmus.data.read import read
from isthmus.errors import BadInput
from isthmus.ship import container
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.poisson(RANDOM.gamma(0.3, 2.0, (60, 12))).astype(float)
DATA = read(ROWS, counts=True, most=8)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["negative_binomial", "poisson", "gaussian"])
def test_a_graph_takes_counts_as_the_model_does(head: str, tmp_path: Path) -> None:
    graph = pytest.importorskip("isthmus.ship.graph", reason="graphs need onnx: pip install 'isthmus[export]'")
    recipe = isthmus.named("plain").set_params(latents=3, head=head)
    model = fit(recipe, DATA.x, counts=DATA.counts, columns=DATA.columns, plan=Plan(steps=20))
    made = runtime.load(graph.export(model, tmp_path / "model.onnx"))  # which refuses one that answers otherwise
    asked = np.vstack([ROWS[:9], np.zeros((1, 12)), 1e5 * ROWS[:1]])
    found = made.run(asked)
    assert found["code"] == pytest.approx(model.encode(asked), rel=1e-4, abs=1e-5)
    assert found["score"].std() > 0
    assert model.layout.width == 9  # columns that are not kept are no part of the score


@pytest.mark.slow
@pytest.mark.parametrize("cell", [-1.0, 2.5])
def test_a_graph_refuses_what_is_no_count_as_the_model_does(cell: float, tmp_path: Path) -> None:
    graph = pytest.importorskip("isthmus.ship.graph", reason="graphs need onnx: pip install 'isthmus[export]'")
    recipe = isthmus.named("pca").set_params(latents=2)
    model = fit(recipe, DATA.x, counts=DATA.counts, columns=DATA.columns)
    run, rows = runtime.load(graph.export(model, tmp_path / "model.onnx")), ROWS[:3].copy()
    assert len(run.run(rows)["code"]) == 3
    rows[1, 2] = cell
    for one in (model.encode, run.run):
        with pytest.raises((BadInput, runtime.Refused), match=f"row 2.*{cell:g} is no count; give .* more$"):
            one(rows)


def test_a_container_of_counts_is_refused_with_its_reason(tmp_path: Path) -> None:
    recipe = isthmus.named("pca").set_params(latents=2)
    model = fit(recipe, DATA.x, counts=DATA.counts, columns=DATA.columns)
    np.save(tmp_path / "rows.npy", ROWS)
    with pytest.raises(BadInput, match="this model is of counts; keep these in a sparse file"):
        container.compress(model, tmp_path / "rows.npy", tmp_path / "rows.isth")
