"""What prdc, POT and torchmetrics say of two small sets of rows: written to ``generation.json`` beside this file.

Run in an environment of its own, for these libraries are not ours:

    python -m venv rows && rows/bin/pip install prdc==0.2 POT==0.9.7.post1 torchmetrics==1.9.0 torch==2.13.0
    rows/bin/python tests/metrics/expected/make_generation.py
"""

import json
from pathlib import Path

import numpy as np
import ot
import torch
from prdc import compute_prdc
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel
from torchmetrics.image.fid import _compute_fid
from torchmetrics.image.kid import maximum_mean_discrepancy


def main():
    random = np.random.default_rng(0)
    real = random.normal(size=(40, 3)).round(3)
    made = (random.normal(size=(40, 3)) @ np.array([[1.2, 0.4, 0], [0, 0.7, 0], [0, 0.2, 1]]) + [0.3, 0, -0.2]).round(3)
    found = {f"prdc {k}": compute_prdc(real, made[:30], nearest_k=k) for k in (3, 5)}

    moments = [(x.mean(axis=0), np.cov(x.T)) for x in (real, made)]
    (m, s), (n, t) = moments
    found["frechet POT"] = float(ot.gaussian.bures_wasserstein_distance(m, n, s, t)) ** 2
    found["frechet torchmetrics"] = _compute_fid(*(torch.from_numpy(a) for a in (m, s, n, t))).item()

    median = np.median(pdist(real, "sqeuclidean"))
    pairs = [
        torch.from_numpy(
            np.mean([rbf_kernel(a, b, gamma=1 / (2 * median * w**2)) for w in (0.25, 0.5, 1, 2, 4)], axis=0)
        )
        for a, b in ((real, real), (real, made), (made, made))
    ]
    found["mmd2 torchmetrics"] = maximum_mean_discrepancy(*pairs).item()
    found = json.loads(json.dumps(found, default=float))
    content = {"real": real.tolist(), "made": made.tolist(), "found": found}
    Path(__file__).with_name("generation.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
