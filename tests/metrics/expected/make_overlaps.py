"""What torchmetrics and scikit-dimension say of small sets, where they define what we do: ``overlaps.json``.

Run in an environment of its own, for these libraries are not ours:

    python -m venv overlaps && overlaps/bin/pip install scikit-dimension==0.5.0 torchmetrics==1.9.0 torch==2.13.0
    overlaps/bin/python tests/metrics/expected/make_overlaps.py
"""

import json
from pathlib import Path

import numpy as np
import skdim
import torch
from torchmetrics.functional import auroc, average_precision, mean_squared_error, r2_score, spearman_corrcoef
from torchmetrics.functional.clustering import adjusted_rand_score, normalized_mutual_info_score


def main():
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).round(3)
    x_hat = (0.8 * x + 0.3 * random.normal(size=(60, 3))).round(3)
    label = random.integers(0, 2, 60)
    score = (label + random.normal(size=60)).round(1)  # with ties
    other = (score + random.normal(size=60)).round(1)
    classes = random.integers(0, 4, 60)
    clusters = np.where(random.random(60) < 0.6, classes, random.integers(0, 3, 60))

    given = {"x": x, "x_hat": x_hat, "label": label, "score": score, "other": other}
    given |= {"classes": classes, "clusters": clusters}
    t = {name: torch.from_numpy(value) for name, value in given.items()}
    found = {
        "mse": mean_squared_error(t["x_hat"], t["x"]),
        "explained_variance": r2_score(t["x_hat"], t["x"], multioutput="variance_weighted"),
        "auroc": auroc(t["score"].sigmoid(), t["label"], task="binary"),
        "average_precision": average_precision(t["score"].sigmoid(), t["label"], task="binary"),
        "rank_agreement": spearman_corrcoef(t["score"], t["other"]),
        "cluster_ari": adjusted_rand_score(t["clusters"], t["classes"]),
        "cluster_nmi": normalized_mutual_info_score(t["clusters"], t["classes"]),
        "intrinsic_dimension": skdim.id.TwoNN().fit(x).dimension_,
    }
    content = {name: value.tolist() for name, value in given.items()} | {
        "found": {k: float(v) for k, v in found.items()}
    }
    Path(__file__).with_name("overlaps.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
