"""The page in a real browser, where there is one: it draws, it runs nothing from outside, it asks for nothing."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from isthmus.api.study import Study
from isthmus.report import html

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=20000 --dump-dom"
)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_browser_draws_the_page_and_runs_nothing_else(make: Any, tmp_path: Path) -> None:
    canary = "<img src=x onerror=\"document.title='CANARY'\"><script>document.title='CANARY'</script>"
    folder = make(
        tmp_path / "study",
        name=canary,
        classes=(canary, "b"),
        families=(canary + "1", canary + "2", "pca"),
        replicates=2,
        command=canary,
        source=canary,
        endings={(canary + "1", 1): ("failed", canary)},
    )
    page = html.write(Study(folder), tmp_path / "report.html")
    done = subprocess.run(
        [str(BROWSER), *FLAGS.split(), f"--user-data-dir={tmp_path / 'profile'}", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    title = re.search("<title>(.*?)</title>", done.stdout, re.S)
    assert title is not None
    assert "onerror" in title[1]
    assert not title[1].startswith("CANARY")
    drawn, asked = done.stdout.count('class="main-svg"'), done.stdout.count("data-figure=")
    assert drawn >= asked > 5
    assert not re.search(r"CONSOLE.*(Uncaught|Refused to (connect|load))", done.stderr)
