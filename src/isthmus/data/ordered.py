"""Work on the blocks of a file by several threads, whose results come in the order of the blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Found = TypeVar("Found")


def in_order(function: Callable[[Item], Found], items: Iterable[Item], readers: int) -> Iterator[Found]:
    """``function`` of each item, in the order of the items; so many threads work on the next ones."""
    if readers < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(readers) as threads:
        waiting: deque[Future[Found]] = deque()
        for item in items:
            waiting.append(threads.submit(function, item))
            if len(waiting) >= readers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
