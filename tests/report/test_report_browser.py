"""The page in a real browser, where there is one: it draws, it runs nothing from outside, it asks for nothing."""

import re
import shutil
import subprocess
from html import escape
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


def dumped(page: Path, profile: Path) -> subprocess.CompletedProcess[str]:
    """What the browser made of a page."""
    command = [str(BROWSER), *FLAGS.split(), f"--user-data-dir={profile}", page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")
def test_a_page_is_short_until_it_is_unfolded_and_no_wider_than_the_screen(make: Any, tmp_path: Path) -> None:
    """In frames of 1280 and 400 pixels; then the first fold is opened, a table sorted, and what is inside told."""
    text = html.render(Study(make(tmp_path / "study")))
    frames = "".join(f'<iframe width="{wide}" height="900" srcdoc="{escape(text)}"></iframe>' for wide in (1280, 400))
    tell = """<script>addEventListener("load", () => {
      const frames = [...document.querySelectorAll("iframe")].map(one => one.contentWindow);
      document.title = frames.map(frame => {
      const page = frame.document, whole = page.documentElement, height = whole.scrollHeight;
      const head = page.querySelectorAll("#table table.sorts th")[4];
      head.querySelector("button").click();
      const top = page.querySelectorAll("#table table.sorts tbody tr")[0].cells[4].className;
      frame.dispatchEvent(new Event("beforeprint"));
      const open = page.querySelectorAll("details:not([open])").length;
      return [height, whole.scrollWidth, top, open, whole.scrollHeight > height].join();
    }).join(" "); });</script>"""
    frame = tmp_path / "frame.html"
    frame.write_text(f"<!doctype html><title>-</title>{frames}{tell}", encoding="utf-8")
    title = re.search("<title>(.*?)</title>", dumped(frame, tmp_path / "profile").stdout)
    assert title is not None
    wide, narrow = (one.split(",") for one in title[1].split())
    assert int(wide[0]) < 8000
    assert int(narrow[0]) < 8000
    assert (int(wide[1]), int(narrow[1])) <= (1280, 400)
    assert wide[2:] == narrow[2:] == ["leader", "0", "true"]


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
    done = dumped(page, tmp_path / "profile")
    title = re.search("<title>(.*?)</title>", done.stdout, re.S)
    assert title is not None
    assert "onerror" in title[1]
    assert not title[1].startswith("CANARY")
    assert done.stdout.count('class="drawing"') > 5
    assert 'class="sort"' in done.stdout, "the script did not run"
    assert not re.search(r"CONSOLE.*(Uncaught|Refused to (connect|load))", done.stderr)
