"""The road from a file to a decision, an export and an alarm, as the example walks it."""

import json
import runpy
from pathlib import Path

import pytest


@pytest.mark.slow
def test_from_a_file_with_words_and_gaps_to_a_decision_and_an_alarm(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    runpy.run_path(str(Path(__file__).parents[1] / "examples" / "winner_to_production.py"))["road"]()
    said = capfd.readouterr().out
    assert "new orders are flagged, by both" in said
    assert "400 rows watched, 0 alarms" in said
    assert "column 'paid'" in said
    assert "Measured" in (tmp_path / "card.md").read_text()
    origin = json.loads((tmp_path / "model" / "model.json").read_text())["origin"]
    assert (origin["purpose"], origin["data"], origin["replicates"]) == ("anomaly", "orders", 3)
