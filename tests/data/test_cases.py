"""Public bug reports of this kind of software, tried: files and arrays outside the repository, where they are there."""

import os
from pathlib import Path

import numpy as np
import pytest

from isthmus.data.read import read

SHARED = Path(os.environ.get("ISTHMUS_SHARED") or Path(__file__).resolve().parents[3] / "shared")
CASES = SHARED / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason=f"no cases at {CASES}; ISTHMUS_SHARED names their folder")


@pytest.mark.parametrize(
    ("name", "label", "shape", "said"),
    [
        ("01-decimal-comma-mixed/juice.csv", "grade", (3,), "decimal commas ('8,3' is 8.3)"),
        ("02-thousands-comma/sales.csv", "kind", (2,), "commas between thousands ('1,279' is 1279)"),
        ("03-excel-sep-line/sep.csv", "kind", (2,), ""),
        ("04-newline-in-header/nl.csv", "kind", (2,), ""),
        ("05-latin1-label/latin.csv", "kind", None, "letters in Windows-1252, because they are not UTF-8"),
        ("08-channels-first/nchw.npy", None, (12, 12, 3), "channels stand first"),
        ("08-channels-first/nhwc.npy", None, (12, 12, 3), ""),
        ("12-id-with-gaps/id_sorted.csv", "group", None, "only numbers the rows"),
        ("12-id-with-gaps/id_gaps.csv", "group", None, "only numbers the rows"),
        ("12-id-with-gaps/id_shuffled.csv", "group", None, "only numbers the rows"),
        ("13-sentinel-200/sentinel.csv", None, (5,), "-200 is the commonest value of 5 columns"),
        ("15-parquet-embedding-column/emb2.parquet", None, (4,), "lists of 4 numbers and is read as 4 columns"),
        ("17-class-with-one-member/single_member.csv", "tissue", None, "has one row, which is never both learnt and"),
        ("18-few-anomalies/two_anomalies.csv", "fraud", None, ""),
    ],
)
def test_cases_are_read(name, label, shape, said):
    data = read(CASES / name, label=label)
    assert shape in (None, data.shape)
    assert said in " ".join(data.cautions)
    assert said or not data.cautions
    assert np.isfinite(data.x).all()
