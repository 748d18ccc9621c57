"""The road from a file to a decision, an export, a server and an alarm, as the example walks it and README shows it."""

import json
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = "examples/winner_to_production.py"


@pytest.mark.slow
def test_from_a_file_with_words_and_gaps_to_a_decision_and_an_alarm(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("isthmus.study.launch.local.cpu_count", lambda: 1)  # workers have tests of their own
    runpy.run_path(str(ROOT / EXAMPLE))["road"]()
    said = capfd.readouterr().out
    assert "new orders are flagged, by all three" in said
    assert "400 rows watched, 0 alarms" in said
    assert "column 'paid'" in said
    assert "Measured" in (tmp_path / "card.md").read_text()
    origin = json.loads((tmp_path / "model" / "model.json").read_text())["origin"]
    assert (origin["purpose"], origin["data"], origin["replicates"]) == ("anomaly", "orders", 3)
    told = [line for line in said.splitlines() if line.startswith("$ ")]
    for readme in ("README.md", "README.zh-CN.md"):
        text = (ROOT / readme).read_text()
        assert f"]({EXAMPLE})" in text
        shown = next(one for one in re.findall(r"^```text\n(.*?)^```", text, re.M | re.S) if "orders.csv" in one)
        for line in (one.removesuffix(" ...") for one in shown.splitlines() if one.startswith("$ ")):
            assert any(line in one for one in told), line
