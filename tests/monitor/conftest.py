"""A model of a table with words and gaps, and streams of such rows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import isthmus
from isthmus.data.read import read
from isthmus.ship.artefact import save
from isthmus.ship.deployed import Deployed

Draw = Callable[[int, int], pd.DataFrame]


def rows(n: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    wind = random.normal(size=n)
    made = pd.DataFrame(
        {
            "speed": 20 + 3 * wind + random.normal(size=n),
            "load": 5 * wind + random.normal(size=n),
            "temp": random.normal(15, 4, n),
            "city": random.choice(["Bergen", "Oslo", "Rome"], n, p=[0.2, 0.5, 0.3]),
        }
    )
    made.loc[random.random(n) < 0.05, "temp"] = np.nan
    return made


@pytest.fixture(scope="session")
def draw() -> Draw:
    return rows


@pytest.fixture(scope="session")
def ships() -> Deployed:
    table = read(rows(1600, 0))
    fitted = isthmus.fit(
        isthmus.named("pca").set_params(latents=2), table.x[:600], fields=table.fields, columns=table.columns
    )
    return Deployed.of(fitted, table.x[:600], table.x[600:800], table.x[800:], about="the rest")


@pytest.fixture(scope="session")
def model(ships: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(ships, tmp_path_factory.mktemp("monitor") / "model")
