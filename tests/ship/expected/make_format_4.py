"""A frozen artefact of format 4, with score, calibration and reference: ``python make_format_4.py`` in its checkout.

It is never made again: what it shows is that models of old are read. ``isthmus convert format-4 -o format-4.isthmus``
made the single file of it.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import isthmus
from isthmus.data.read import read
from isthmus.ship.deployed import Deployed
from isthmus.train.plan import Plan

HERE = Path(__file__).parent


def frame() -> pd.DataFrame:
    random = np.random.default_rng(4)
    size = random.normal(3.0, 2.0, 200).round(3)
    city = np.array(["Bergen", "Oslo", "Rome"])[np.arange(200) % 3]
    gaps = np.where(np.arange(200) % 7, size, np.nan)
    return pd.DataFrame({"size": gaps, "city": city, "age": (size + random.normal(size=200)).round(3)})


def main() -> None:
    table = read(frame())
    plan = Plan(steps=20, check=10, batch=16)
    small = isthmus.named("plain").set_params(latents=2)
    fitted = isthmus.fit(small, table.x[:60], plan=plan, fields=table.fields, columns=table.columns)
    ships = Deployed.of(fitted, table.x[:60], table.x[60:100], table.x[100:], about="the rest", rate=0.05)
    isthmus.save(ships, HERE / "format-4")
    np.save(HERE / "format-4" / "scores.npy", ships.scores(table.x))


if __name__ == "__main__":
    main()
