"""Steps in threads of their own: the same items in the same order, errors where they belong, nothing left behind."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path

import numpy as np
import pytest

from forks import Piped
from isthmus import durable
from isthmus.cli import ends
from isthmus.cli.ahead import ROOM, ahead
from isthmus.cli.stream import run
from isthmus.data.blocks import Block
from isthmus.errors import BadInput
from isthmus.ship.verbs import Answer


def threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("isthmus")]


def test_order_is_kept_and_no_thread_stays() -> None:
    def slow(item: int) -> int:
        time.sleep(0.001 * (item % 3))
        return item

    assert list(ahead(iter(range(30)), slow, slow, lambda i: i * i)) == [i * i for i in range(30)]
    assert threads() == []


@pytest.mark.parametrize("room", [0, 1, ROOM])
def test_so_many_items_are_on_their_way_and_no_more(room: int) -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for i in range(12):
            made.append(i)
            yield i

    with closing(ahead(items(), lambda i: i, lambda i: i, room=room)) as found:
        for used, item in enumerate(found):
            assert item == used
            assert len(made) <= used + 1 + room
    assert len(made) == 12


def test_steps_work_side_by_side() -> None:
    """Each waits until the other has begun with another item; one alone would wait for ever."""
    begun = [threading.Event(), threading.Event()]

    def first(item: int) -> int:
        if item == 1:
            begun[0].set()
            assert begun[1].wait(30)
        return item

    def second(item: int) -> int:
        if item == 0:
            begun[1].set()
            assert begun[0].wait(30)
        return item

    assert list(ahead(iter(range(3)), first, second)) == [0, 1, 2]


@pytest.mark.parametrize("where", ["items", "first", "second"])
def test_what_fails_is_raised_behind_all_that_came_before_it(where: str) -> None:
    def items() -> Iterator[int]:
        for i in range(9):
            if (where, i) == ("items", 4):
                raise BadInput("the fifth")
            yield i

    def step(name: str, item: int) -> int:
        if (where, item) == (name, 4):
            raise BadInput("the fifth")
        return item

    with closing(ahead(items(), lambda i: step("first", i), lambda i: step("second", i))) as made:
        assert [next(made) for _ in range(4)] == [0, 1, 2, 3]
        with pytest.raises(BadInput, match="the fifth"):
            next(made)
    assert threads() == []


def test_who_stops_early_leaves_no_thread() -> None:
    done: list[int] = []
    with closing(ahead(iter(range(100)), done.append)) as made:
        next(made)
    assert threads() == []
    assert len(done) <= 2 + ROOM


def test_rows_before_the_one_that_fails_are_written(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    """To a pipe they are; a file is put in place when it is whole, or not at all."""

    def blocks() -> Iterator[Block]:
        yield Block(np.ones((2, 1)), None)
        yield Block(np.ones((2, 1)), None)
        raise BadInput("row 5 is none")

    def answer(block: Block) -> Answer:
        return Answer({"sum": block.rows.sum(axis=1)}, None)

    with pytest.raises(BadInput, match="row 5"):
        run(Path("-"), None, blocks(), (), answer)
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == b'"sum"\n1\n1\n1\n1\n'
    with pytest.raises(BadInput, match="row 5"):
        run(Path("-"), tmp_path / "out.csv", blocks(), (), answer)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("full", [False, True])
def test_a_long_file_goes_to_the_disk_while_it_is_made(full: bool, tmp_path: Path, monkeypatch) -> None:
    """And what the disk refuses meanwhile is raised, with nothing left behind."""
    sent, went, sync = list[int](), threading.Event(), os.fsync

    def synced(handle: int) -> None:
        if threading.current_thread().name.startswith("isthmus-disk"):
            sent.append(os.fstat(handle).st_size)
            went.set()
            if full:
                raise OSError(28, "No space left on device")
        sync(handle)

    def blocks() -> Iterator[Block]:
        for begun in range(2 * ROOM + 2):
            assert begun <= ROOM or went.wait(30)  # the first block is written by now
            yield Block(np.full((100, 1), float(begun)), None)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(durable, "FLOW", 800)
    with pytest.raises(OSError, match="No space") if full else nullcontext():
        run(Path("-"), tmp_path / "out.npy", blocks(), (), lambda block: Answer({}, block.rows))
    assert sent[0] < (ROOM + 2) * 800
    assert threads() == []
    assert full or np.load(tmp_path / "out.npy")[:, 0].tolist() == np.repeat(np.arange(2.0 * ROOM + 2), 100).tolist()
    assert [path.name for path in tmp_path.iterdir()] == ([] if full else ["out.npy"])


def reads() -> Iterator[Block]:
    for _ in range(3):
        yield Block(np.ones((1, 1)), None)
    print("waits", file=sys.stderr, flush=True)
    sys.stdin.buffer.read()


def writes() -> Iterator[Block]:
    for _ in range(1000):
        yield Block(np.ones((100_000, 1)), None)


@pytest.mark.slow
@pytest.mark.parametrize(("blocks", "place"), [(reads, Path("out.csv")), (writes, None)])
def test_an_interruption_ends_who_waits_for_a_pipe(
    blocks: Callable[[], Iterator[Block]], place: Path | None, tmp_path: Path
) -> None:
    """One that brings no more rows, and one that takes no more answers."""

    def work() -> int:
        run(Path("-"), place, blocks(), (), lambda block: Answer({"x": block.rows[:, 0]}, None))
        return 0

    ran = Piped(lambda: ends.guard(work), tmp_path)
    if blocks is reads:
        assert ran.stderr.readline() == b"waits\n"
    else:
        assert ran.stdout.read(1) == b'"'
    time.sleep(0.5)
    os.kill(ran.pid, signal.SIGINT)
    assert os.waitstatus_to_exitcode(os.waitpid(ran.pid, 0)[1]) == 130
    assert ran.stderr.read() == b"isthmus: stopped\n"
    assert list(tmp_path.iterdir()) == []
    for one in (ran.stdin, ran.stdout, ran.stderr):
        one.close()
