"""From a CSV with words and gaps to a decision that is served, and an alarm when the data change.

Orders of a shop: a country, a channel, a number of items, what was paid (sometimes nobody wrote it down), an hour. In
some orders what was paid does not fit the rest. The road, each step a command that a shell would take as well:

1. ``compare`` asks which model, if any, finds such orders, beside an isolation forest and others;
2. ``take`` keeps a model, with a threshold from rows that neither trained nor chose it: here the autoencoder, whoever
   won; without a name, what the study recommends;
3. ``flag`` marks new orders at a rate of false alarms that is stated, and ``card`` says what the model is;
4. ``export`` writes one graph, and the runtime marks the same orders with it, without torch;
5. ``serve`` answers over HTTP, and marks the same orders again;
6. ``monitor`` watches a stream, and speaks up when the shop begins to write cents for euros.

Run it with ``python examples/winner_to_production.py``; it takes some seconds, in a folder that it removes again.
"""

from __future__ import annotations

import contextlib
import csv
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

import numpy as np

from isthmus.cli import main

PRICE = {"Norway": 60.0, "Chile": 25.0, "Japan": 40.0}
CHANNELS = ("shop", "web", "phone")


def orders(path: str, rows: int, seed: int, *, strange: float = 0.0, factor: float = 1.0, label: bool = False) -> None:
    """A file of orders; a share of them is strange, and ``factor`` is a change of unit."""
    random = np.random.default_rng(seed)
    country = random.choice(list(PRICE), rows)
    channel = random.choice(CHANNELS, rows, p=(0.5, 0.4, 0.1))
    items = random.poisson(3, rows) + 1
    paid = items * np.array([PRICE[one] for one in country]) * random.normal(1, 0.05, rows) * factor
    hour = np.where(channel == "shop", random.normal(14, 2, rows), random.normal(20, 2, rows))
    odd = random.random(rows) < strange
    paid[odd] *= random.choice([0.2, 4.0], odd.sum())
    gaps = random.random(rows) < 0.05
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["country", "channel", "items", "paid", "hour", *(["kind"] if label else [])])
        for i in range(rows):
            known = "" if gaps[i] else f"{paid[i]:.2f}"
            kind = ["strange" if odd[i] else "usual"] if label else []
            out.writerow([country[i], channel[i], items[i], known, f"{hour[i]:.1f}", *kind])


def run(*words: str, ends: int = 0) -> None:
    """A command of the shell, in this process."""
    print("\n$ isthmus", *words, flush=True)
    code = main([*words])
    if code != ends:
        sys.exit(f"isthmus {words[0]} ended with {code}, not {ends}")


def flagged(path: str, column: str) -> list[int]:
    """Numbers of the rows that a file of answers marks."""
    with Path(path).open(encoding="utf-8") as file:
        return [i for i, row in enumerate(csv.DictReader(file)) if row[column].lower() in {"1", "true"}]


def served(model: str, rows: str, out: str) -> None:
    """What a server of the model, at a port that is free, answers to a file of rows."""
    command = [sys.executable, "-m", "isthmus", "serve", model, "--port", "0"]
    print(f"\n$ isthmus serve {model} --port 0", flush=True)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        where = server.stdout.readline().strip()
        print(f"$ curl -H 'Content-Type: text/csv' -H 'Accept: text/csv' --data-binary @{rows} {where}/flag > {out}")
        head = {"Content-Type": "text/csv", "Accept": "text/csv"}
        try:
            asked = urllib.request.Request(f"{where}/flag", Path(rows).read_bytes(), head)
            with urllib.request.urlopen(asked, timeout=60) as answer:
                Path(out).write_bytes(answer.read())
        finally:
            server.terminate()  # it ends when requests on their way are answered


def road() -> None:
    """All steps, in the folder where this process is."""
    orders("orders.csv", 1200, seed=0, strange=0.06, label=True)
    orders("new.csv", 400, seed=1, strange=0.05)
    run(
        "compare", "orders.csv", "--label", "kind", "--anomaly", "strange", "--facets", "anomaly",
        "--families", "plain", "--replicates", "3", "--configs", "1", "--steps", "300", "--out", "study", "--quiet",
    )  # fmt: skip
    run("take", "study", "plain", "--for", "anomaly", "--out", "model")
    run("card", "model", "-o", "card.md")
    run("flag", "model", "new.csv", "-o", "flags.csv")
    python = flagged("flags.csv", "flag")

    run("export", "model", "-o", "model.onnx")
    print("\n$ python -m isthmus.runtime model.onnx new.csv -o decisions.csv", flush=True)
    subprocess.run(
        [sys.executable, "-m", "isthmus.runtime", "model.onnx", "new.csv", "-o", "decisions.csv"], check=True
    )
    if flagged("decisions.csv", "anomaly") != python:
        sys.exit("the runtime decides otherwise")
    served("model", "new.csv", "served.csv")
    if flagged("served.csv", "flag") != python:
        sys.exit("the server decides otherwise")
    print(f"{len(python)} of 400 new orders are flagged, by all three: rows {', '.join(map(str, python[:8]))} ...")
    orders("stream.csv", 400, seed=2)
    run("monitor", "model", "stream.csv")
    orders("cents.csv", 400, seed=3, factor=100.0)
    run("monitor", "model", "cents.csv", ends=1)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        road()
