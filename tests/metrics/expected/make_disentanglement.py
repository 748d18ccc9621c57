"""Makes disentanglement.json: MIG, SAP and DCI's concentrations by scikit-learn and scipy, from the papers' formulas.

    python tests/metrics/expected/make_disentanglement.py

Factors are whole numbers of few values, so that any way to bin them is the same; codes are binned as histograms are,
in 5 bins: the root of a fifth of the rows.
"""

import json
from pathlib import Path

import numpy as np
from scipy.stats import entropy
from sklearn.linear_model import LinearRegression
from sklearn.metrics import mutual_info_score

random = np.random.default_rng(11)
factors = random.integers(0, [3, 4, 6], (150, 3)).astype(float)
codes = (factors @ random.normal(size=(3, 4)) + random.normal(size=(150, 4))).round(4)

told = np.zeros((4, 3))
line = np.zeros((4, 3))
for i in range(4):
    edges = np.histogram_bin_edges(codes[:, i], 5)
    cut = np.digitize(codes[:, i], edges[:-1])
    for j in range(3):
        told[i, j] = mutual_info_score(cut, factors[:, j])
        line[i, j] = LinearRegression().fit(codes[:, [i]], factors[:, j]).score(codes[:, [i]], factors[:, j])
whole = np.array([mutual_info_score(v, v) for v in factors.T])
ordered, lines = np.sort(told, axis=0), np.sort(line, axis=0)

importances = random.gamma(0.5, size=(4, 3)).round(4)
rows = 1 - entropy(importances.T, base=3)
columns = 1 - entropy(importances, base=4)
content = {
    "codes": codes.tolist(),
    "factors": factors.tolist(),
    "mig": float(np.mean((ordered[-1] - ordered[-2]) / whole)),
    "sap": float(np.mean(lines[-1] - lines[-2])),
    "importances": importances.tolist(),
    "disentanglement": float(rows @ importances.sum(1) / importances.sum()),
    "completeness": float(columns.mean()),
}
Path(__file__).with_name("disentanglement.json").write_text(json.dumps(content) + "\n", encoding="utf-8")
