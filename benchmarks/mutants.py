"""Saved models and graphs that somebody changed: refused in one line, or a model that works; nothing else happens.

    python benchmarks/mutants.py models --count 5000     # as shipped, and as many with hashes made anew
    python benchmarks/mutants.py files --count 5000      # models as single files
    python benchmarks/mutants.py gaps --count 5000       # models that fill gaps in, with what their intervals need
    python benchmarks/mutants.py graphs --count 5000

Each file is changed in one to four bytes, cut, or has a piece of itself put elsewhere. Everything runs in a process of
its own under an audit hook, which notes what compiles, imports, opens a socket, starts a process or opens a file
outside of the folder; a mutant that ends the process, or takes a minute, is counted and the next one follows.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = np.random.default_rng(1).normal(size=(8, 4))
NAMES = ("model.json", "model.safetensors", "decision.safetensors", "reference.safetensors", "model.onnx")
FORBIDDEN = {"exec", "compile", "import", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "os.fork"}


def changed(content: bytes, random: np.random.Generator) -> bytes:
    """A mutant, never the same bytes."""
    out = bytearray(content)
    kind = random.random()
    if kind < 0.15:
        del out[int(random.integers(len(out))) :]
    elif kind < 0.3:
        at, to, size = (int(n) for n in random.integers(len(out), size=3))
        out[to:to] = out[at : at + size % 64]
    else:
        for at in random.integers(len(out), size=random.integers(1, 5)).tolist():
            out[at] = int(random.choice([0, 255, *b'0129-:",{}[]', int(random.integers(256))]))
    return bytes(out) if bytes(out) != content else changed(content, random)


def gappy(count: int, seed: int) -> pd.DataFrame:
    """Rows with words and gaps."""
    random = np.random.default_rng(seed)
    rows = pd.DataFrame(random.normal(size=(count, 3)), columns=list("abc")).assign(d=random.choice(["x", "y"], count))
    return rows.mask(random.random(rows.shape) < 0.15)


GAPS = gappy(20, 1)


def gap_files() -> dict[str, bytes]:
    import isthmus
    from isthmus.data.read import read
    from isthmus.ship.artefact import save
    from isthmus.ship.deployed import Deployed

    x = gappy(400, 0)
    data = read(x)
    fitted = isthmus.fit(
        isthmus.named("plain").set_params(latents=2),
        data.x[:200],
        fields=data.fields,
        columns=data.columns,
        plan=isthmus.Plan(steps=20),
    )
    with tempfile.TemporaryDirectory() as place:
        folder = save(Deployed.of(fitted, x[:200], x[200:300], x[300:]), f"{place}/model")
        return {file.name: file.read_bytes() for file in folder.iterdir()}


def model_files() -> dict[str, bytes]:
    import isthmus
    from isthmus.ship.artefact import save
    from isthmus.ship.deployed import Deployed

    x = np.random.default_rng(0).normal(size=(200, 4))
    fitted = isthmus.fit(isthmus.named("topk").set_params(latents=6, k=2), x[:100], plan=isthmus.Plan(steps=20))
    with tempfile.TemporaryDirectory() as place:
        folder = save(Deployed.of(fitted, x[:100], x[100:140], x[140:]), f"{place}/model")
        return {file.name: file.read_bytes() for file in folder.iterdir()}


def vouched(files: dict[str, bytes]) -> dict[str, bytes]:
    """The same with hashes made anew, as far as the manifest can still be read."""
    from isthmus.ship.manifest import seal

    try:
        said = json.loads(files["model.json"])
        said.pop("seal")
        for key, name in (("tensors", "model"), ("decision", "decision"), ("reference", "reference")):
            content = files[f"{name}.safetensors"]
            said[key] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    except (ValueError, KeyError, AttributeError, TypeError):
        return files
    return {**files, "model.json": seal(said)}


def ask_model(files: dict[str, bytes], place: Path) -> bytes:
    """What a folder answers."""
    from isthmus.ship.artefact import load

    for name, content in files.items():
        (place / name).write_bytes(content)
    found = load(place)
    return found.encode(ROWS).tobytes() + found.p_values(ROWS).tobytes()


def ask_gaps(files: dict[str, bytes], place: Path) -> bytes:
    """What a folder fills in, with its intervals."""
    from isthmus.imputer import Imputer
    from isthmus.ship.artefact import load

    for name, content in files.items():
        (place / name).write_bytes(content)
    found = load(place)
    made = Imputer(found, found.reach or {}).fill(GAPS, 0.9)
    return made.rows.to_csv().encode() + made.low.tobytes() + repr(made.among.tolist()).encode()


def ask_file(content: bytes, place: Path) -> bytes:
    """What a single file answers."""
    from isthmus.ship.artefact import load

    path = place / "model.isthmus"
    path.write_bytes(content)
    found = load(path)
    return found.encode(ROWS).tobytes() + found.p_values(ROWS).tobytes()


def ask_graph(content: bytes) -> bytes:
    from isthmus import runtime

    found = runtime.Graph(content, threads=1).run(ROWS)
    return b"".join(found[name].tobytes() for name in sorted(found))


def child(what: str, first: int, count: int, folder: Path) -> None:
    """A line for each mutant."""
    import warnings

    from isthmus.errors import BadInput
    from isthmus.runtime import Refused
    from isthmus.runtime.protobuf import SEAL
    from isthmus.ship import archive

    warnings.simplefilter("ignore")
    asked = {"models": ask_model, "gaps": ask_gaps}.get(what, ask_model)
    files = {name: (folder / "good" / name).read_bytes() for name in NAMES if (folder / "good" / name).exists()}
    place = folder / "bad"
    place.mkdir(exist_ok=True)
    graph = files.get("model.onnx", b"")
    usual = ask_graph(graph) if what == "graphs" else asked(files, place)
    shipped = b"".join(archive.packed(files))
    seen: list[str] = []

    def hook(event: str, args: Any) -> None:
        outside = event == "open" and isinstance(args[0], str) and not args[0].startswith(str(folder))
        if event in FORBIDDEN or event.startswith(("socket.", "subprocess.", "urllib.")) or outside:
            seen.append(f"{event} {str(args)[:100]}")

    sys.addaudithook(hook)
    for number in range(first, count):
        random = np.random.default_rng([number, ("models", "graphs", "files", "gaps").index(what)])
        anew = bool(number % 2)
        if what == "graphs":
            body = changed(graph[: -64 - len(SEAL)], random) if anew else b""
            mutant = body + SEAL + hashlib.sha256(body).hexdigest().encode() if anew else changed(graph, random)
        else:
            name = sorted(files)[int(random.integers(len(files)))]
            held = {**files, name: changed(files[name], random)}
            held = vouched(held) if anew else held
            mutant = b"".join(archive.packed(held)) if anew else changed(shipped, random)
        del seen[:]
        signal.alarm(60)
        try:
            if what == "graphs":
                got = ask_graph(mutant)
            else:
                got = ask_file(mutant, place) if what == "files" else asked(held, place)
            end = "the same answers" if got == usual else "other answers"
        except (BadInput, Refused) as error:
            end = "refused" if "\n" not in str(error) else "refused in several lines"
        except Exception as error:
            end = f"another error: {type(error).__name__}: {str(error)[:80]}"
        signal.alarm(0)
        print(json.dumps([number, "hashes made anew" if anew else "as shipped", end, seen[:3]]), flush=True)


def main(what: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        (folder / "good").mkdir()
        files = gap_files() if what == "gaps" else model_files()
        if what == "graphs":
            from isthmus.ship.artefact import load
            from isthmus.ship.graph import export

            for name, content in files.items():
                (folder / name).write_bytes(content)
            export(load(folder), folder / "good" / "model.onnx")
        else:
            for name, content in files.items():
                (folder / "good" / name).write_bytes(content)
        ends: collections.Counter[tuple[str, str]] = collections.Counter()
        events: list[object] = []
        first, total = 0, 2 * count
        while first < total:
            command = [sys.executable, __file__, what, "--child", str(first), str(total), str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
            for line in done.stdout.splitlines():
                if not line.startswith("["):  # onnxruntime speaks up
                    continue
                number, how, end, seen = json.loads(line)
                ends[how, end] += 1
                events += seen
                first = number + 1
            if done.returncode:
                how = "hashes made anew" if first % 2 else "as shipped"
                ends[how, f"ended the process ({done.returncode})"] += 1
                print(first, done.stderr[-300:], file=sys.stderr, flush=True)
                first += 1
        print(f"{total:,} {what}; code, sockets, processes or files outside: {len(events)} {events[:3]}")
        for (how, end), many in sorted(ends.items()):
            print(f"| {what} | {how} | {end} | {many:,} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["models", "files", "graphs", "gaps"])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.what, int(asked.child[0]), int(asked.child[1]), Path(asked.child[2]))
    else:
        main(asked.what, asked.count)
