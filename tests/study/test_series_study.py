"""Studies of windows of a series: which replicates there are, and what they keep."""

from collections import defaultdict

import numpy as np
import pytest

from isthmus.data.read import read
from isthmus.study import outline as outlines
from isthmus.study import run as runs
from isthmus.study.estimate import Estimate, Reading
from isthmus.study.outline import outline
from isthmus.study.run import run

TIME = np.arange(300)
STEPS = np.stack([np.sin(TIME / 4), np.cos(TIME / 7)], axis=1) + 0.05 * np.random.default_rng(0).normal(size=(300, 2))
ODD = np.isin(TIME, [20, 285]).astype(int)


@pytest.mark.slow
def test_a_race_adds_no_more_replicates_than_there_are_forecasts_with_anomalies(tmp_path, monkeypatch):
    data = read(STEPS, ODD, anomaly="1", window=6, time="rows")
    count = len(data.origins)
    assert 2 < count < 64
    free = Estimate(defaultdict(lambda: Reading(0.0)), {}, {}, {}, 0.0, 1)
    monkeypatch.setattr(outlines, "estimate", lambda *a, **k: free)
    monkeypatch.setattr(runs.Results, "open", lambda study: {"anomaly": ("pca", "persistence")})
    few = {"families": "pca", "facets": "anomaly", "rivals": "pca,persistence", "replicates": count - 1, "configs": 1}
    study = run(outline(data, budget="30m", out=tmp_path / "s", **few), workers=1)
    assert study.replicates == count
    assert study.complete
    assert study.verdict()["anomaly"].metric == "vus_pr"
    assert np.isfinite(study.floor("anomaly")).all()
    assert study.design.data["steps"] == 300
