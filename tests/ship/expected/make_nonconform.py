"""p-values of the PyPI package nonconform, on scores that this file draws.

python -m venv env && env/bin/pip install nonconform && env/bin/python make_nonconform.py
"""

import json
from pathlib import Path

import numpy as np
from nonconform.scoring import calculate_p_val, calculate_weighted_p_val


def cases():
    for number, (n, m) in enumerate([(1, 3), (20, 15), (99, 30), (500, 40)]):
        random = np.random.default_rng(number)
        known, asked = random.normal(size=n).round(1), random.normal(1.0, 1.5, size=m).round(1)  # with ties
        yield known, asked, random.uniform(0.1, 3.0, n), random.uniform(0.1, 3.0, m)


def main() -> None:
    found = []
    for known, asked, weights, own in cases():
        one = {
            "calibration": known.tolist(),
            "scores": asked.tolist(),
            "weights": weights.tolist(),
            "own": own.tolist(),
        }
        one["classical"] = calculate_p_val(asked, known).tolist()
        one["randomised"] = calculate_p_val(asked, known, "randomized", np.random.default_rng(7)).tolist()
        one["weighted"] = calculate_weighted_p_val(asked, known, own, weights).tolist()
        one["weighted randomised"] = calculate_weighted_p_val(
            asked, known, own, weights, "randomized", np.random.default_rng(7)
        ).tolist()
        found.append(one)
    text = json.dumps({"nonconform": VERSION, "cases": found})
    (Path(__file__).parent / "nonconform.json").write_text(text + "\n")


VERSION = "2.0.0"


if __name__ == "__main__":
    main()
