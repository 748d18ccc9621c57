"""No socket is opened by anything but ``serve`` and ``hub``: under an audit hook, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer

from isthmus.cli.app import app

OFFLINE = """
import sys
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args)[:99])) if event in {
    "socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto",
    "urllib.Request"} else None)
from isthmus.cli import main
for command in sys.argv[1:]:
    assert main(command.split()) in {0, 1}, command
print(seen, file=sys.stderr)
sys.exit(bool(seen))
"""
COMMANDS = (
    "train pca rows.csv --measure none --out model --quiet",
    "convert model -o model.isthmus",
    "train vae rows.csv --measure none --steps 20 --out drawn --quiet",
    "inspect model",
    "card model -o card.html",
    "score model rows.csv -o out.csv --quiet",
    "flag model rows.csv --rate 0.1 --bound 0.9 -o out.csv --quiet",
    "flag model rows.csv --rate 0.1 --adapt -o out.csv --quiet",
    "flag model.isthmus rows.csv --rate 0.2 --blocks 20 --against rows.csv -o out.csv --quiet",
    "flag model.isthmus rows.csv --rate 0.2 --shift rows.csv --against rows.csv -o out.csv --quiet",
    "encode model rows.csv -o codes.npy --quiet",
    "decode model codes.npy -o back.csv --quiet",
    "reconstruct model rows.csv -o back.csv --quiet",
    "sample drawn -n 5 -o new.csv --quiet",
    "monitor model rows.csv --state watch.json --report watch.html",
    "compress model rows.csv --bound 0.5 --out rows.isthmus",
    "decompress rows.isthmus model --out again.csv",
    "train masked gaps.csv --measure none --steps 20 --out filler.isthmus --quiet",
    "impute filler.isthmus gaps.csv --intervals 0.5 -o whole.csv --quiet",
    "export model.isthmus -o model.onnx --quiet",
    "train topk rows.csv --measure none --steps 20 --out sparse --quiet",
    "convert sparse --to saelens -o sae",
    "flag model weighed.csv --rate 0.2 --weights much --against weighed.csv -o out.csv --quiet",
    "compare rows.csv --families pca --facets reconstruction --replicates 2 --configs 1 --jobs 1 --out study",
    "take study pca --out taken.isthmus",
    "report study --out study.html",
    "doctor study --data rows.csv",
    "ablate contractive rows.csv --facets reconstruction --replicates 2 --configs 1 --steps 20 --jobs 1 --out without",
    "profile rows.csv --out profile.html",
    "list families",
)


def test_every_command_but_serve_is_among_them() -> None:
    """``collect`` asks a language model in a folder: of it tests/data/test_collect.py holds the same."""
    every = set(typer.main.get_command(app).commands)
    assert every - {command.split()[0] for command in COMMANDS} == {"serve", "collect"}


@pytest.mark.slow
def test_no_command_opens_a_socket(tmp_path: Path) -> None:
    np.savetxt(
        tmp_path / "rows.csv", np.random.default_rng(0).normal(size=(300, 3)), "%.3f", ",", header="a,b,c", comments=""
    )
    text = (tmp_path / "rows.csv").read_text().splitlines()
    (tmp_path / "gaps.csv").write_text(
        "\n".join([text[0], *("," + line.split(",", 1)[1] if i % 5 == 0 else line for i, line in enumerate(text[1:]))])
        + "\n"
    )
    (tmp_path / "weighed.csv").write_text(
        "\n".join([f"{text[0]},much", *(f"{line},{1 + i % 3}" for i, line in enumerate(text[1:])), ""])
    )
    command = [sys.executable, "-c", OFFLINE, *COMMANDS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "[]"
