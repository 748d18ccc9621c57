"""What the repository holds: texts and small files, no packages that somebody fetched beside it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST = 1 << 18
"""Bytes of the largest file; the largest are the picture of a report and expected values."""


def test_no_tracked_file_is_large_or_a_package():
    if not (ROOT / ".git").exists():
        pytest.skip("no repository: these tests were unpacked, not cloned")
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\0")
    files = [ROOT / name for name in names if name and (ROOT / name).is_file()]
    assert len(files) > 500
    assert [file.name for file in files if file.stat().st_size > MOST or file.suffix in {".whl", ".gz", ".zip"}] == []
