"""Make ``frozen/graph-1.onnx``, a graph as the first release that had graphs wrote it, and what it gives.

A graph once written is never written again by the tests: newer versions must go on reading it. Run it from the root of
the repository: ``python tests/runtime/make_frozen.py``.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

import isthmus
from isthmus.ship.deployed import Deployed
from isthmus.ship.graph import export

HERE = Path(__file__).parent / "frozen"
N = 240


def people() -> pd.DataFrame:
    """A table with a column of each kind, and gaps in four of them."""
    random = np.random.default_rng(7)

    def holes(values: object) -> pd.Series:
        return pd.Series(values).mask(random.random(N) < 0.1)

    days = pd.Timestamp("2021-03-01") + pd.to_timedelta(random.integers(0, 900 * 86400, N), unit="s")
    return pd.DataFrame(
        {
            "age": holes(random.normal(40, 9, N).round(1)),
            "city": holes(random.choice(["Bergen", "Oslo", "Rome"], N)),
            "pay": random.lognormal(3, 3, N).round(2),
            "paid": random.choice(["no", "yes"], N),
            "when": holes(days.strftime("%Y-%m-%d %H:%M:%S")),
            "size": holes(random.choice(["S", "M", "L"], N)),
            "score": random.normal(size=N).round(3),
        }
    )


def main() -> None:
    rows = people()
    model = isthmus.fit(isthmus.named("pca").set_params(latents=3), rows)
    held = rows.tail(60)
    export(Deployed.of(model).calibrated(held, rate=0.1), HERE / "graph-1.onnx")
    asked = rows.head(6).astype(object).where(rows.head(6).notna(), "")
    asked.loc[0, ["city", "size"]] = ["Ulm", "?"]
    asked.loc[1, ["age", "pay"]] = ["NA", "1e12"]
    columns = {name: [str(value) for value in asked[name]] for name in asked}
    frame = pd.DataFrame(columns)
    expected = {"code": model.encode(frame).tolist(), "score": model.errors(frame).tolist()}
    (HERE / "graph-1.json").write_text(json.dumps({"rows": columns, **expected}, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
