"""Steps of work on a stream of items, each step in a thread of its own, in order and in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

ROOM = 2
"""Items on their way through the steps, at most, beside the one that is made and the one that is used."""


def ahead(items: Iterator[Any], *steps: Callable[[Any], Any], room: int = ROOM) -> Generator[Any, None, None]:
    """What the steps make of each item, one behind the other, while the items behind it are made already.

    Items are made, and what is made of them is used, by who iterates: there a signal interrupts them. A step is busy
    with one item at a time, in their order. What fails is raised where it would be, were there no threads: behind all
    that came before it.

    Parameters
    ----------
    items : iterator
    *steps : callable
        Each takes what the one before it returns, the first one an item.
    room : int, default 2
        Items on their way, at most; 0 to make no item before the one before it is used.

    Examples
    --------
    >>> list(ahead(iter(range(5)), lambda i: i + 1, str))
    ['1', '2', '3', '4', '5']
    """
    lines = [ThreadPoolExecutor(1, f"isthmus-{step.__name__}") for step in steps]
    waiting: deque[Future[Any]] = deque()
    failed: Exception | None = None
    try:
        while failed is None:
            try:
                item = next(items)
            except StopIteration:
                break
            except Exception as error:
                failed = error
                break
            waiting.append(_through(item, steps, lines))
            while len(waiting) > room:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for line in lines:
            line.shutdown(cancel_futures=True)
    if failed is not None:
        raise failed


def _through(item: Any, steps: tuple[Callable[[Any], Any], ...], lines: list[ThreadPoolExecutor]) -> Future[Any]:
    """An item on its way: each step waits for the one before it, which its own thread works at."""
    made: Future[Any] = Future()
    made.set_result(item)
    for step, line in zip(steps, lines, strict=True):
        made = line.submit(_of, step, made)
    return made


def _of(step: Callable[[Any], Any], before: Future[Any]) -> Any:
    return step(before.result())
