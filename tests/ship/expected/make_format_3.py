"""Frozen artefacts, made by the version that wrote formats 1 to 3: ``python make_format_3.py`` in its checkout.

They are never made again: what they show is that models of old are read.
"""

from pathlib import Path

import numpy as np
import pandas as pd

import isthmus
from isthmus.train.plan import Plan

HERE = Path(__file__).parent
PLAN = Plan(steps=4, check=2, batch=16)


def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(3.0, 2.0, (60, 5)).astype(np.float32).round(3)


def frame() -> pd.DataFrame:
    x = rows()
    city = pd.Series(np.array(["Bergen", "Oslo", "Rome"])[np.arange(60) % 3])
    return pd.DataFrame({"size": np.where(np.arange(60) % 7, x[:, 0], np.nan), "city": city, "age": x[:, 1]})


def main() -> None:
    columns = tuple("abcde")
    small = isthmus.named("plain").set_params(latents=2)
    models = {"format-1": isthmus.fit(small, rows(), plan=PLAN, columns=columns)}
    models["format-2"] = isthmus.fit(isthmus.named("plain").set_params(latents=2), rows(), rows()[:, ::-1], plan=PLAN)
    models["format-3"] = isthmus.fit(isthmus.named("plain").set_params(latents=2), frame(), plan=PLAN)
    for name, model in models.items():
        isthmus.save(model, HERE / name)
        x = frame() if name == "format-3" else rows()
        np.save(HERE / name / "codes.npy", model.encode(x))


if __name__ == "__main__":
    main()
