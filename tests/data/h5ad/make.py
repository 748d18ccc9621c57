"""Writes cells.h5ad and scaled.h5ad with anndata itself (0.12.19, h5py 3.16): run in an environment that has both."""

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
from scipy import sparse

HERE = Path(__file__).parent
random = np.random.default_rng(0)
counts = random.poisson(random.gamma(0.5, 2, (14, 4)))
obs = pd.DataFrame(
    {
        "kind": pd.Categorical(["T", "B"] * 7),
        "batch": np.arange(14) % 2,
        "name": [f"n{i % 3}" for i in range(14)],
        "part": pd.array([1, None] * 7, dtype="Int64"),
    },
    index=[f"cell{i}" for i in range(14)],
)
var = pd.DataFrame(index=["CD3", "CD19", "LYZ", "NKG7"])
made = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs, var=var)
made.write_h5ad(HERE / "cells.h5ad", compression="gzip")
scaled = anndata.AnnData(
    ((counts - counts.mean(0)) / counts.std(0)).astype(np.float32)[:, :3], obs=obs, var=var.iloc[:3]
)
scaled.raw = made
scaled.write_h5ad(HERE / "scaled.h5ad", compression="gzip")
np.savetxt(HERE / "counts.txt", counts, fmt="%d")
