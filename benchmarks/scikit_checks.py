"""All of scikit-learn's own checks of every family, as autoencoder, anomaly detector and classifier: how many pass.

    python benchmarks/scikit_checks.py [FAMILY ...]

Most look at code that all families share, so tests ask them of a few families only (tests/scikit.py).
"""

import os
import sys
import warnings
from collections import Counter

os.environ["SCIPY_ARRAY_API"] = "1"  # else one check would be skipped

import torch
from sklearn.utils.estimator_checks import check_estimator

from isthmus.estimator.classifier import AutoencoderClassifier
from isthmus.estimator.detector import AnomalyDetector
from isthmus.estimator.transformer import Autoencoder
from isthmus.families import FAMILIES

SMALL = {"steps": 20, "check": 10, "batch": 16, "random_state": 0}


def main(families: list[str]) -> int:
    """Print a line for each family and each check that fails; how many fail."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    told: Counter[str] = Counter()
    for family in families:
        plain = Autoencoder(family, **SMALL)
        for estimator in (plain, AnomalyDetector(family, **SMALL), AutoencoderClassifier(plain, steps=40)):
            found = check_estimator(estimator, on_skip=None, on_fail=None)
            count = Counter(one["status"] for one in found)
            told += count
            print(f"{family:14} {type(estimator).__name__:21} {dict(count)}", flush=True)
            for one in found:
                if one["status"] == "failed":
                    print(f"    {one['check_name']}: {one['exception']}")
    print(dict(told))
    return told["failed"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(FAMILIES)) > 0)
