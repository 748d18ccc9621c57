"""What ships: a score and a threshold that come back bit for bit, no training row, and what was saved of old."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from isthmus.data.split import Split
from isthmus.errors import BadInput
from isthmus.facets.facet import Rows, Splits
from isthmus.facets.outliers import SCORERS
from isthmus.families import named
from isthmus.data.layout import laid_out
from isthmus.scorer import Scorer, blended
from isthmus.ship import rivals
from isthmus.ship.artefact import DECISION, load, save, trained
from isthmus.ship.deployed import Calibration, Deployed
from isthmus.ship.manifest import seal
from isthmus.train.fitted import fit
from isthmus.train.plan import Plan
from tests_rows import frame, rows

RANDOM = np.random.default_rng(0)
X = (RANDOM.normal(size=(400, 2)) @ RANDOM.normal(size=(2, 5)) + RANDOM.normal(scale=0.3, size=(400, 5))).round(4)
PARTS = Split(np.arange(200), np.arange(200, 280), np.arange(280, 400))
"""""" 


@pytest.fixture(scope="module")
def ships() -> Deployed:
    plan = Plan(steps=40, check=20, batch=32)
    model = fit(named("plain").set_params(latents=2), X[:200], valid=X[200:280], plan=plan, columns=tuple("abcde"))
    return Deployed.of(model, X[:200], X[200:280], X[280:], about="the rest", rate=0.02)
