"""What the package of the authors of VUS says of small series: ``vus.json``.

Run in an environment of its own, for the library is not ours:

    python -m venv vus && vus/bin/pip install vus==0.0.6
    vus/bin/python tests/metrics/expected/make_vus.py
"""

import json
from pathlib import Path

import numpy as np
from vus.analysis.robustness_eval import generate_curve

CASES = {
    "one range": (400, [(100, 120)], 20, None),
    "at the ends": (300, [(0, 4), (290, 299)], 15, None),
    "ranges that touch": (500, [(100, 104), (112, 115), (300, 300)], 30, None),
    "single steps": (260, [(50, 50), (51, 53), (200, 200), (259, 259)], 1, None),
    "no buffer": (350, [(40, 60), (200, 230)], 0, None),
    "ties": (600, [(100, 140), (400, 410)], 24, 0),
    "equal scores": (300, [(30, 60)], 10, -1),
}


def main():
    found = {}
    for number, (name, (n, ranges, window, decimals)) in enumerate(CASES.items()):
        random = np.random.default_rng(number)
        label = np.zeros(n, int)
        for begin, end in ranges:
            label[begin : end + 1] = 1
        score = (random.normal(size=n) + np.convolve(label, np.ones(9) / 9, "same")).round(6)
        score = np.zeros(n) if decimals == -1 else score if decimals is None else score.round(decimals)
        value = generate_curve(label, score, window)[-1]
        found[name] = {"ranges": ranges, "score": score.tolist(), "window": window, "vus_pr": float(value)}
    Path(__file__).with_name("vus.json").write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
