"""Requests per second of ``isthmus serve`` beside LitServe's own example with the same model on the same machine.

    python benchmarks/serving.py --litserve ENVIRONMENT/lib/python3.11/site-packages

Both score rows of eight numbers with the same saved model, one worker, one thread of torch, loopback, keep-alive.
LitServe runs its example (`LitAPI` with `setup`, `decode_request`, `predict`, `encode_response`), as it stands and with
its batching (`max_batch_size=64`). Eight clients ask one after the other for one row, then for 100 rows, in turns.
On a busy machine requests a second say who gets processors; CPU milliseconds of a server's processes say what it costs.
The ceiling is how many requests a second its busiest process could answer with a core of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CLIENTS, COLUMNS = 8, 8
EXAMPLE = """
import sys
sys.path.append({packages!r})
import numpy as np, torch
import litserve as ls
torch.set_num_threads(1)

class API(ls.LitAPI):
    def setup(self, device):
        import isthmus
        self.model = isthmus.load({model!r})
    def decode_request(self, request):
        return np.array(request["input"], dtype=float)
    def batch(self, inputs):
        self.sizes = [len(one) for one in inputs]
        return np.concatenate(inputs)
    def predict(self, x):
        return self.model.scores(x)
    def unbatch(self, output):
        return np.split(output, np.cumsum(self.sizes)[:-1])
    def encode_response(self, output):
        return {{"score": output.tolist()}}

if __name__ == "__main__":
    server = ls.LitServer(API(max_batch_size={size}), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port={port}, generate_client_file=False, log_level="error")
"""


def free() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def spent(session: int) -> dict[int, float]:
    """CPU seconds of each process of a session so far."""
    found = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            found[int(place.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


async def client(port: int, path: str, body: bytes, until: float, taken: list[float]) -> None:
    """Ask again and again, until a time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/json\r\n"
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    while (began := time.perf_counter()) < until:
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 200 " not in answer[:20]:
            raise SystemExit(f"{path}: {answer[:200]!r}")
        fields = dict(line.lower().split(b": ", 1) for line in answer.split(b"\r\n")[1:] if b": " in line)
        await reader.readexactly(int(fields[b"content-length"]))
        taken.append(time.perf_counter() - began)
    writer.close()


async def load(port: int, path: str, body: bytes, seconds: float) -> list[float]:
    taken: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, path, body, until, taken) for _ in range(CLIENTS)))
    return taken


def ready(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("a server ended before it began")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("no server within two minutes")


def main(packages: str | None, seconds: float, rounds: int) -> None:
    import isthmus
    from isthmus.ship.artefact import save
    from isthmus.ship.deployed import Deployed

    x = np.random.default_rng(0).normal(size=(2000, COLUMNS)).round(4)
    fitted = isthmus.fit(isthmus.named("plain").set_params(latents=4), x[:1000], plan=isthmus.Plan(steps=200))
    model = Deployed.of(fitted, x[:1000], x[1000:1500], x[1500:])
    with tempfile.TemporaryDirectory() as where:
        place = save(model, Path(where) / "model")
        own = free()
        isthmus_ = str(Path(sys.executable).with_name("isthmus"))
        commands = {"isthmus serve": (own, [isthmus_, "serve", str(place), "--port", str(own), "--quiet"], "/score")}
        for name, size in (("LitServe, its example", 1), ("LitServe, max_batch_size=64", 64)) if packages else ():
            port, file = free(), Path(where) / f"server{size}.py"
            file.write_text(EXAMPLE.format(packages=packages, model=str(place), size=size, port=port))
            commands[name] = (port, [sys.executable, str(file)], "/predict")
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        print("| | rows a request | requests a second | median ms | p99 ms | CPU ms a request | ceiling |")
        print("|---|---|---|---|---|---|---|")
        for name, (port, command, path) in commands.items():
            process = subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.DEVNULL)
            try:
                ready(port, process)
                for rows in (1, 100):
                    key = "rows" if path == "/score" else "input"
                    body = json.dumps({key: x[:rows].tolist()}).encode()
                    asyncio.run(load(port, path, body, 2.0))  # warm
                    before = spent(process.pid)
                    found = [asyncio.run(load(port, path, body, seconds)) for _ in range(rounds)]
                    rate = np.median([len(one) / seconds for one in found])
                    used = [now - before.get(pid, 0.0) for pid, now in spent(process.pid).items()]
                    each, most = 1000 * sum(used) / sum(map(len, found)), sum(map(len, found)) / max(used)
                    half, late = np.quantile(np.concatenate(found), [0.5, 0.99]) * 1000
                    print(
                        f"| {name} | {rows} | {rate:,.0f} | {half:.1f} | {late:.1f} | {each:.2f} | {most:,.0f} |",
                        flush=True,
                    )
            finally:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litserve", metavar="PACKAGES", help="folder of packages that has litserve")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    main(asked.litserve, asked.seconds, asked.rounds)
