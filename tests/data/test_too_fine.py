"""A column too fine for 32-bit floats is refused with the option that reads it, and is read by it, wherever it lies."""

import re

import numpy as np
import pandas as pd
import pytest

from isthmus.data.layout import laid_out
from isthmus.data.read import read
from isthmus.data.source import source
from isthmus.data.survey import survey
from isthmus.errors import BadInput

random = np.random.default_rng(0)
FRAME = pd.DataFrame({"when": 1429178064066 + 600 * np.arange(200), "a": random.normal(size=200)})


@pytest.mark.parametrize("end", ["csv", "parquet", "npz"])
def test_the_remedy_reads_the_column_exactly(tmp_path, end):
    path = tmp_path / f"t.{end}"
    name = "x0" if end == "npz" else "when"
    if end == "npz":
        np.savez(path, X=FRAME.to_numpy())
    else:
        getattr(FRAME, f"to_{end}")(path, index=False)
    with pytest.raises(BadInput, match=re.escape(f"read it on its own scale (--kind '{name}=number')")):
        read(path)
    found = read(path, kinds={name: "number"})
    laid = laid_out(found.x, found.fields).apply(found.x)
    np.testing.assert_allclose(np.diff(laid[:, 0]), 600 / FRAME["when"].std(ddof=0), rtol=1e-4)
    if end != "npz":
        with pytest.raises(BadInput, match=re.escape("(--kind 'when=number')")):
            survey(source(path), rows=20)
        assert survey(source(path, kinds={name: "number"}), rows=20).digest == found.digest


def test_what_64_bit_floats_cannot_tell_apart_has_another_remedy(tmp_path):
    rows = pd.DataFrame({"id": 2**60 + np.arange(40), "a": range(40)})
    rows.to_parquet(tmp_path / "t.parquet")
    with pytest.raises(BadInput, match="subtract its minimum"):
        read(tmp_path / "t.parquet")
