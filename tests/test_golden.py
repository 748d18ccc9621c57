"""Small trainings and one small study give what they gave before; ``tests/golden/make_golden.py`` tells how to renew.

Rounding differs between processors. On these smooth problems another instruction set moves a number by at most 5e-6 of
the largest of its kind, and so do changes of 2e-7 in the rows; 1e-4 is held, and no change of a formula is that small.
"""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytestmark = pytest.mark.sensitive

GOLDEN = Path(__file__).parent / "golden"
golden = SimpleNamespace(**runpy.run_path(str(GOLDEN / "make_golden.py")))
ONE_ROW = 0.02
"""A score that counts rows may change by one row of the three test sets where two rows stand close."""


def kept(name):
    return json.loads((GOLDEN / f"{name}.json").read_text())


def same(now, before, name):
    """Numbers to 1e-4 of the largest beside them, null where there was null, all else exactly."""
    if isinstance(before, dict):
        assert list(now) == list(before), name
        for key in before:
            same(now[key], before[key], f"{name} {key}")
    elif isinstance(before, list):
        now, before = (np.asarray(value, np.float64) for value in (now, before))
        np.testing.assert_allclose(now, before, rtol=0, atol=1e-4 * np.abs(np.nan_to_num(before)).max(), err_msg=name)
    else:
        assert now == before, name


def test_every_file_has_its_recipe():
    assert {path.stem for path in GOLDEN.glob("*.json")} == {*golden.RECIPES, "study"}


@pytest.mark.slow
@pytest.mark.parametrize("name", list(golden.RECIPES))
def test_a_training_gives_what_it_gave(name):
    same(golden.plain(golden.family(name)), kept(name), name)


@pytest.mark.slow
def test_a_study_says_what_it_said():
    now, before = golden.plain(golden.study()), kept("study")
    for facet in before:
        means = [verdict[facet].pop("means") for verdict in (now, before)]
        assert means[0] == pytest.approx(means[1], abs=ONE_ROW), facet
    assert now == before


def test_a_changed_number_is_found():
    before = kept("plain")
    now = json.loads(json.dumps(before))
    same(now, before, "plain")
    now["history"]["valid"][-1] *= 1.001
    with pytest.raises(AssertionError, match="plain history valid"):
        same(now, before, "plain")


def test_bits_are_printed_and_nothing_is_written(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(golden.main.__globals__, "HERE", tmp_path)
    golden.main(["--bits", "plain", "l1"])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for _, name in lines] == ["plain", "l1"]
    assert lines[0][0] == golden.digest(golden.family("plain"))
    assert list(tmp_path.iterdir()) == []
    golden.main(["plain"])
    same(json.loads((tmp_path / "plain.json").read_text()), kept("plain"), "plain")


def test_a_digest_sees_the_last_bit():
    value = {"a": np.float32([1, 2]), "b": [1.0, "x"]}
    digests = {
        golden.digest(other)
        for other in (
            value,
            value | {"a": np.nextafter(value["a"], np.float32(9))},
            value | {"a": value["a"].astype(np.float64)},
            value | {"b": [np.nextafter(1.0, 2.0), "x"]},
            value | {"b": [1.0, "y"]},
        )
    }
    assert len(digests) == 5
    assert golden.digest(dict(reversed(value.items()))) == golden.digest(value)
