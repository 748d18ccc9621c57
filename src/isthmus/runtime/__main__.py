"""``python -m isthmus.runtime MODEL.onnx ROWS.csv``: codes, scores and decisions of a file, in constant memory."""

from __future__ import annotations

import argparse
import csv
import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain, count, islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from isthmus.runtime.graph import Graph, Refused, load

BLOCK = 1024
"""Rows that are in memory at once."""


def blocks(source: str, graph: Graph) -> Iterator[Any]:
    """The rows of a .npy or .csv file, or of CSV on stdin (``-``), some at a time; at least one block."""
    if source != "-" and not Path(source).exists():
        raise Refused(f"{source}: no such file; give a .csv or .npy file, or - for stdin")
    if Path(source).is_dir():
        raise Refused(f"{source}: this is a folder; give one file in it")
    if source.endswith(".npy"):
        try:
            rows = np.load(source, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise Refused(f"{source}: no array of numbers ({error}); write one with numpy.save") from None
        yield from (rows[i : i + BLOCK] for i in range(0, max(len(rows), 1), BLOCK))
        return
    with ExitStack() as stack:
        opened = sys.stdin.fileno() if source == "-" else source
        file = stack.enter_context(open(opened, encoding="utf-8-sig", newline="", closefd=source != "-"))
        lines = csv.reader(file, strict=True)
        names = next(lines, None)
        if names is None:
            raise Refused(f"{source}: empty; expected a line of column names")
        places = {name: k for k, name in enumerate(names)}
        if absent := [name for name in graph.columns if name not in places]:
            raise Refused(f"{source}: no column {absent[0]!r}; the columns needed are {', '.join(graph.columns)}")
        wanted = {name: places[name] for name in graph.columns}
        for at in count():
            held = [*islice(file, BLOCK)]
            if at and not held:
                return
            cells = split("".join(held), len(names))
            if cells is None:
                cells = parsed(csv.reader(chain(held, file), strict=True), names, source)
            yield {name: cells[k] for name, k in wanted.items()}


def split(text: str, width: int) -> list[list[str]] | None:
    """The columns of lines without quotes; None where a parser must look at them."""
    text = text.replace("\r\n", "\n")
    if '"' in text or "\r" in text or "\n\n" in text or text.startswith("\n") or not text.endswith("\n"):
        return None
    lines = text.count("\n")
    cells = text.replace("\n", ",\n,").split(",")  # the end of a line is a cell of its own, and must stand in its place
    if cells[width :: width + 1] != ["\n"] * lines:
        return None
    return [cells[k : -1 : width + 1] for k in range(width)]


def parsed(lines: Iterator[list[str]], names: list[str], source: str) -> list[list[str]]:
    """The columns of the next lines, as a parser of CSV reads them."""
    held = [line for line in islice(lines, BLOCK) if line]
    for line in held:
        if len(line) != len(names):
            raise Refused(f"{source}: a line has {len(line)} values where {len(names)} are expected")
    return [[*column] for column in zip(*held, strict=True)] or [[] for _ in names]


def said(values: Any) -> Iterator[str]:
    """Values as texts; those that come often are spelled once."""
    every = values.tolist()
    if len(some := {*every}) > len(every) / 2:
        return map(repr, every)
    return map({value: repr(value) for value in some}.__getitem__, every)


def write(found: dict[str, Any], file: IO[str], *, head: bool) -> int:
    """A block of results as lines of CSV; how many."""
    columns: dict[str, Any] = {}
    for name, values in found.items():
        if values.ndim == 1:
            columns[name] = values.astype(int) if values.dtype == bool else values
        else:
            columns |= {f"{name}{k}": values[:, k] for k in range(values.shape[1])}
    lines = [",".join(columns)] if head else []
    lines += map(",".join, zip(*map(said, columns.values()), strict=True))
    file.write("\n".join([*lines, ""]))
    return len(next(iter(columns.values()), ()))


@contextmanager
def opened(out: str | None, source: str) -> Iterator[IO[str]]:
    """Where results go. A file is there when all of it is, and is never the one that is read."""
    if out is None:
        if sys.stdout is None:  # whoever started this closed it
            raise OSError(errno.EBADF, "closed", "stdout")
        yield sys.stdout
        sys.stdout.flush()
        return
    place = Path(out)
    if source != "-" and place.exists() and place.samefile(source):
        raise Refused(f"{out} is the file that is read; name another one to write (--out)")
    part = place if place.exists() and not place.is_file() else place.with_name(f".{place.name}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
        part.replace(place)
    finally:
        if part != place:
            part.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; its exit code: 0 done, 2 bad input, 3 environment."""
    parser = argparse.ArgumentParser("python -m isthmus.runtime", description=__doc__)
    parser.add_argument("model", help="the .onnx file that isthmus export wrote")
    parser.add_argument("rows", help="a .csv or .npy file, or - for CSV on stdin")
    parser.add_argument("-o", "--out", help="a .csv file; by default stdout")
    parser.add_argument("--only", help="outputs with commas, such as score,anomaly; by default all but the code")
    parser.add_argument("--threads", type=int, help="threads of one run; by default one for each core")
    given = parser.parse_args(arguments)
    try:
        graph = load(given.model, given.threads)
        wanted = given.only.split(",") if given.only else [name for name in graph.outputs if name != "code"]
        with opened(given.out, given.rows) as out:
            done = 0
            for at, block in enumerate(blocks(given.rows, graph)):
                done += write(graph.run(block, wanted, done), out, head=not at)
        return 0
    except UnicodeDecodeError:
        print(f"isthmus.runtime: {given.rows}: no text in UTF-8; give CSV in UTF-8, or a .npy file", file=sys.stderr)
        return 2
    except (Refused, csv.Error, ValueError) as error:
        print(f"isthmus.runtime: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("isthmus.runtime: stopped", file=sys.stderr)
        return 128 + signal.SIGINT
    except OSError as error:
        place = given.rows if error.filename == given.rows else given.out or "stdout"
        said = "check the place, its permissions and the space on the disk"
        print(f"isthmus.runtime: {place}: {error.strerror}; {said}", file=sys.stderr)
        return 3
    except ImportError as error:
        print(f"isthmus.runtime: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
