"""The made world of the SynthSAEBench script: its printed rules hold of what it draws."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "published"


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)
        yield import_module("synthsae")


@pytest.fixture(scope="module")
def drawn(script):
    one = script.world(512, 32)
    return one, *script.sample(one, 6000, seed=1)


def test_trees_are_four_wide_and_three_deep(script):
    parents, levels = script.trees(16384, 128)
    assert [len(level) for level in levels] == [512, 2048, 8192]
    assert (parents[:128] == -1).all()
    assert (parents[10_880:] == -1).all()
    assert np.bincount(parents[128:10_880]).max() == np.bincount(parents[128:10_880])[:2688].min() == 4


@pytest.mark.slow
def test_children_are_there_with_their_parent_and_one_at_a_time(drawn):
    one, _, there = drawn
    for level in one.levels:
        assert not (there[:, level] & ~there[:, one.parents[level]]).any()
        siblings = there[:, level].reshape(len(there), -1, 4).sum(2)
        assert siblings.max() == 1


@pytest.mark.slow
def test_features_fire_as_often_as_the_power_law_says(drawn):
    one, _, there = drawn
    rank = np.arange(1, 513) ** -0.5
    usual = 5e-4 + (0.4 - 5e-4) * (rank - rank[-1]) / (rank[0] - rank[-1])
    roots = there[:, :4].mean(0)
    assert roots == pytest.approx(usual[:4], rel=0.15)
    first = one.levels[0][:4]  # the children of the first root: each made up for parent and siblings, at most to 1
    for child in first:
        others = sum(usual[other] for other in first if other != child)
        assert one.chance[child] == pytest.approx(min(1.0, usual[child] / usual[0] * (1 + others / usual[0])))
    children = there[:, one.levels[0]].mean(0)
    assert (children < 1.2 * usual[one.levels[0]]).all()
    assert (children > 0.4 * usual[one.levels[0]]).all()


@pytest.mark.slow
def test_rows_are_sums_of_unit_features_as_large_as_said(script, drawn):
    one, x, there = drawn
    assert np.linalg.norm(one.features, axis=1) == pytest.approx(np.ones(512), rel=1e-5)
    assert np.linalg.norm(one.bias) == pytest.approx(0.5)
    first = []
    for row, present in zip(x[:1000] - one.bias, there[:1000], strict=True):
        parts = np.flatnonzero(present)
        if 0 < len(parts) < 16:
            sizes, *_ = np.linalg.lstsq(one.features[parts].T, row, rcond=None)
            assert one.features[parts].T @ sizes == pytest.approx(row, abs=1e-3)
            assert (sizes > 0).all()
            first += list(sizes[parts == 0])
    assert np.mean(first) == pytest.approx(5, abs=0.2)
    again, _ = script.sample(one, 100, seed=1)
    assert np.array_equal(again, script.sample(one, 100, seed=1)[0])


@pytest.mark.slow
def test_finished_trainings_are_not_done_again(script, tmp_path, monkeypatch, capsys):
    small = ["synthsae.py", "--features", "256", "--columns", "16", "--rows", "600", "--steps", "5", "--batch", "64"]
    out = tmp_path / "found.jsonl"
    monkeypatch.setattr("sys.argv", [*small, "--seeds", "1", "--families", "random", "batchtopk", "--out", str(out)])
    script.main()
    assert len(out.read_text().splitlines()) == 2
    monkeypatch.setattr(script, "piece", lambda *_: pytest.fail("it was done already"))
    capsys.readouterr()
    script.main()
    table = capsys.readouterr().out
    assert "| batchtopk |" in table
    assert len(out.read_text().splitlines()) == 2
