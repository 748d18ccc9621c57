"""Make ranks.json: tests over data sets from independent implementations.

In an environment of its own:  pip install baycomp==1.0.3 scikit-posthocs==0.17.1 && python make_ranks.py
"""

import json
from pathlib import Path

import baycomp
import numpy as np
import scikit_posthocs
from scipy import stats

rng = np.random.default_rng(21)
bayes = []
for sets, shift, spread, rope in [(6, 0.05, 0.05, 0.01), (12, 0.0, 0.02, 0.01), (20, -0.01, 0.03, 0.02),
                                  (30, 0.004, 0.02, 0.005), (8, 0.0, 0.004, 0.01), (5, 0.2, 0.2, 0.0)]:  # fmt: skip
    y = 0.8 + 0.1 * rng.standard_normal(sets)
    x = y + shift + spread * rng.standard_normal(sets)
    probs = baycomp.SignedRankTest.probs(y, x, rope, nsamples=400_000)  # of x - y
    left, equal, right = probs if rope else (probs[0], 0.0, probs[1])
    bayes.append({"x": x.tolist(), "y": y.tolist(), "rope": rope, "masses": [float(left), float(equal), float(right)]})

tables = []
for contenders, sets, digits in [(3, 6, 8), (5, 12, 1), (10, 20, 8)]:
    x = np.round(rng.normal(size=(contenders, sets)) + np.linspace(0, 1.5, contenders)[:, None], digits)
    found = stats.friedmanchisquare(*x)
    tables.append({"scores": x.tolist(), "chi2": float(found.statistic), "p_chi2": float(found.pvalue),
                   "nemenyi": scikit_posthocs.posthoc_nemenyi_friedman(x.T).to_numpy().tolist()})  # fmt: skip
Path(__file__).with_name("ranks.json").write_text(json.dumps({"bayes": bayes, "tables": tables}, indent=1) + "\n")
