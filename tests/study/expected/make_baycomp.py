"""Make reference.json: the same numbers from independent implementations.

In an environment of its own:  pip install baycomp==1.0.3 statsmodels && python make_baycomp.py
"""

import json
from pathlib import Path

import baycomp
import numpy as np
from statsmodels.stats.multitest import multipletests

rng = np.random.default_rng(20)
cases = []
for folds, runs, shift, spread, rope in [
    (4, 2, 0.0, 0.02, 0.01),
    (4, 5, 0.02, 0.02, 0.01),
    (4, 1, -0.05, 0.01, 0.01),
    (10, 1, 0.01, 0.03, 0.02),
    (5, 4, 0.0, 0.001, 0.005),
    (2, 3, 0.3, 0.2, 0.0),
]:
    x = 0.9 + 0.05 * rng.standard_normal(folds * runs)
    y = x - shift + spread * rng.standard_normal(folds * runs)
    probs = baycomp.CorrelatedTTest.probs(y, x, rope, runs=runs)  # of x - y
    left, equal, right = probs if rope else (probs[0], 0.0, probs[1])
    cases.append({"x": x.tolist(), "y": y.tolist(), "rope": rope, "test_fraction": 1 / (folds - 1),
                  "masses": [float(left), float(equal), float(right)]})  # fmt: skip
p_values = [0.001, 0.04, 0.012, 0.03, 0.5, 0.012, 0.0, 1.0]
content = {"correlated": cases, "p": p_values, "holm": multipletests(p_values, method="holm")[1].tolist()}
Path(__file__).with_name("reference.json").write_text(json.dumps(content, indent=1) + "\n")
