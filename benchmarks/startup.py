"""What it takes to start: ``isthmus --help`` and its peers next to Python and torch alone.

Each command runs as a process of its own, in turns; medians of wall and CPU seconds.

    python benchmarks/startup.py
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from clock import table

ISTHMUS = str(Path(sys.executable).with_name("isthmus"))
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "isthmus --help": [ISTHMUS, "--help"],
    "isthmus compare --help": [ISTHMUS, "compare", "--help"],
    "isthmus list families": [ISTHMUS, "list", "families"],
    "import isthmus": [sys.executable, "-c", "import isthmus"],
    "import isthmus.train.fitted": [sys.executable, "-c", "import isthmus.train.fitted"],
    "import torch": [sys.executable, "-c", "import torch"],
}


def once(command: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - began, used.ru_utime + used.ru_stime


def main(rounds: int = 3) -> None:
    """A row for each command."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for i in range(rounds + 1):
        for name, command in COMMANDS.items():
            pair = once(command)
            if i:
                taken[name].append(pair)
    rows = [[name, *(statistics.median(side) for side in zip(*pairs, strict=True))] for name, pairs in taken.items()]
    table(["command", "wall s", "CPU s"], rows)


if __name__ == "__main__":
    main()
