"""Of the same recipe twice no facet names a winner too often, and who is truly better is found as often as stated."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import nct, t
from threadpoolctl import threadpool_limits

from isthmus.facets import FACETS
from isthmus.metrics import METRICS, boosted, disentanglement

null = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "calibration" / "null.py")))


def test_every_facet_that_decides_is_asked():
    """But those that ask tables with gaps, or rows that were made of known features, which digits are not."""
    crowned = {name for name, facet in FACETS.items() if facet.crowns and not facet.tables and not facet.truth}
    assert {case.facet for case in null.CASES.values()} == crowned


@pytest.mark.slow
def test_small_studies_find_the_better_one_and_nobody_among_equals(monkeypatch):
    for trees in (boosted, disentanglement):
        monkeypatch.setattr(trees, "TREES", 1)  # most of the time, and no part in what decides
    names = ("factors", "anomaly, digits 5 to 9", "generation")
    cases = {name: null.CASES[name] for name in names}
    with threadpool_limits(1):
        studies = [null.study(seed, cases, replicates=null.FIRST) for seed in range(3)]
    for name, case in cases.items():
        better, worse, six = (str(net) for net in (case.better, case.worse, null.SIX))
        found = [null.once({who: s[name][who] for who in (better, worse)}, case) for s in studies]
        if case.facet != "anomaly":  # whose score knows the rows so well that the width of a code adds nothing
            assert found.count(better) >= 2
        assert worse not in found
        for pair in ((six, null.AGAIN), (null.FREE, null.FREE_AGAIN)):
            same = [null.once({who: s[name][who] for who in pair}, case) for s in studies]
            assert same.count(None) >= 2


def test_a_split_trains_on_no_anomaly_and_everybody_else_is_seen():
    mine = np.random.default_rng(0).choice(len(null.Y), null.ROWS, replace=False)
    for view, share, tested in (("upper", 0.5, 40 + 67), ("turn", 0.1, 72 + 13)):
        split, _ = null.splits(view, mine, np.random.default_rng(1))
        assert not split.train.y.any()
        assert not split.valid.y.any()
        assert split.test.y.sum() == pytest.approx(share * null.ROWS / 3, rel=0.3)
        assert len(split.test.x) == pytest.approx(tested, rel=0.15)
        assert len(split.train.x) == pytest.approx(null.TRAIN * (1 - share), rel=0.1)


def test_expected_power_is_that_of_the_noncentral_t():
    drawn = np.random.default_rng(3).normal(2.5, 1, (2000, 12))
    found = null.power(drawn, 0.0, 1 / 3, (4,), 1)
    ncp = 4**0.5 * drawn.mean() / np.sqrt(drawn.var(axis=1, ddof=1).mean())
    assert found == pytest.approx(nct.sf(t.isf(0.025, 3) * (1 + 4 / 3) ** 0.5, 3, ncp), abs=0.015)
    assert null.power(drawn, 1.0, 1 / 3, (4,), 1) < found - 0.1
    assert null.power(drawn, 0.0, 0.9, (4,), 1) < found - 0.1
    assert null.power(drawn, 0.0, 1 / 3, (4,), 5) < found - 0.2
    assert null.power(drawn, 0.0, 1 / 3, (4, 12), 1) > found + 0.05
    assert null.power(drawn - 2.5, 0.0, 1 / 3, (4,), 1) < 0.025


@pytest.mark.slow
def test_drawn_differences_are_found_as_often_as_expected():
    """The verdicts of the package against a power that uses their levels only; studies differ, as real ones do."""
    random, case = np.random.default_rng(5), null.CASES["anomaly, digits 5 to 9"]
    truth = random.normal(0.1, 0.02, (300, 1))
    low = random.normal(0.7, 0.05, (300, null.MOST))
    high = low + truth + random.normal(0, 0.035, low.shape)
    for how, ends, looks in ((null.once, (4,), 1), (null.raced, null.ENDS, 5)):
        named = [how({"high": list(a), "low": list(b)}, case) for a, b in zip(high, low, strict=True)]
        expected = null.power(high - low, 0.01, null.fraction(case, max(ends)), ends, looks)
        assert 0.2 < expected < 0.9
        assert named.count("high") / 300 == pytest.approx(expected, abs=0.08)
        assert "low" not in named


@pytest.mark.slow
def test_the_table_tells_who_was_named_and_states_power_on_other_studies():
    random, name = np.random.default_rng(6), "features"
    better, worse = "6 units, 100 steps", "2 units, 100 steps"

    def scores(case, shift, again=0.0):
        means = dict.fromkeys(case.contenders, 0.6) | {str(case.worse): 0.6 - shift, null.AGAIN: 0.6 + again}
        metric = METRICS[FACETS[case.facet].primary]
        sign = 1 if metric.higher else -1
        means |= {null.FREE_AGAIN: 0.6 + again} if null.FREE in case.contenders else {}
        return {who: list(1 + sign * (mean + 0.02 * random.normal(size=null.MOST))) for who, mean in means.items()}

    def line(shift, **again):
        studies = [{n: scores(case, 0.3) for n, case in null.CASES.items()} for _ in range(null.STATED)]
        studies += [{n: scores(case, shift, **again) for n, case in null.CASES.items()} for _ in range(10)]
        return next(row for row in null.tables(studies) if row.startswith(f"| {name} |")).split(" | ")[1:]

    cells = line(0.3)
    assert cells[4:6] == [better, worse]
    assert float(cells[6]) == pytest.approx(0.3 / (0.02 * 2**0.5), rel=0.15)
    assert cells[7:] == ["1.000", "1.000", "1.000", "1.000", "0.000 |"]
    assert max(float(cell) for cell in cells[:4]) <= 0.1
    cells = line(-0.3, again=0.3)  # what is expected comes from the first studies, what is found from the others
    assert cells[7:] == ["1.000", "0.000", "1.000", "0.000", "1.000 |"]
    assert all(0.2 <= float(cell) <= 0.3 for cell in cells[:4])
