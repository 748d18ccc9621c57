"""Data that a linear code explains wholly: a study says that PCA is enough."""

import numpy as np
import pytest

from isthmus.answers.sentences import sentence
from isthmus.api.study import compare
from isthmus.train.plan import Plan


@pytest.mark.slow
def test_linear_gaussian_data_need_no_autoencoder(tmp_path):
    random = np.random.default_rng(0)
    rows = random.normal(size=(500, 3)) @ random.normal(size=(3, 10)) + 0.3 * random.normal(size=(500, 10))
    study = compare(
        rows,
        families="plain,contractive,vae",
        facets="reconstruction",
        latents=3,
        hidden=(16,),
        replicates=5,
        configs=2,
        jobs=1,
        plan=Plan(steps=1000, learning_rate=0.01),
        out=tmp_path / "study",
    )
    verdict = study.verdict()["reconstruction"]
    assert (verdict.outcome, verdict.rival) == ("rival enough", "pca")
    assert sentence(verdict).startswith("Reconstruction: PCA is enough")
