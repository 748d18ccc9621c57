"""A text table a few megabytes at a time, cut at the ends of its lines: what is longer than memory is read so."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from isthmus.data.text_table import Opened, encoded, pieces_of
from isthmus.errors import BadInput

PIECE = 1 << 22
"""Bytes of text that are read at first, which tell how it is written."""
NEXT = 1 << 20
"""Bytes that are read at a time after that: enough to be fast, few enough that somebody has the next ones soon."""
LONGEST = 1 << 26
"""Bytes in which a line of a text table ends."""


def pieces(where: str, source: Path, stream: IO[bytes]) -> Iterator[Opened]:
    """The whole lines of a text table, in UTF-8, each piece with the line of names above it."""
    data = stream.read(PIECE)
    encoding, told = encoded(where, data)
    held, head, lines, begun = b"", None, 0, False
    while True:
        text = encoding(data, final=not data)
        held += text
        last = not data
        if head is None and (last or len(held) >= PIECE // 2 or b"\n" in held):
            head = pieces_of(where, source, held)
            head = head._replace(told=(*told, *head.told))
            held = held[head.head :]
            lines = head.data[: head.start].count(b"\n")
        if head is not None:
            at = len(held) if last else _cut(held, head.separator)
            if at or last:
                piece = held[:at]
                line = head.data[head.start : head.head]
                if piece.strip() or (last and not begun):
                    yield head._replace(
                        data=line + b"\n" * begun + piece, start=0, head=len(line), before=lines - begun
                    )
                    begun = True
                lines += piece.count(b"\n")
                held = held[at:]
            elif len(held) > LONGEST:
                raise BadInput(f"{where}: a line of more than {LONGEST:,} bytes; is a quote not closed?")
        if last:
            return
        data = stream.read(min(NEXT, PIECE))


def _cut(text: bytes, separator: str) -> int:
    """Where the last whole line ends, line breaks in quotes apart; 0 if none does."""
    at = text.rfind(b"\n")
    if at < 0 or b'"' not in text:
        return at + 1
    mark = re.escape(separator.encode())
    quoted = re.compile(rb"(?:^|(?<=[\r\n])|(?<=" + mark + rb'))"(?:[^"]|"")*+(?:"|\Z)')
    spans = [(found.start(), found.end()) for found in quoted.finditer(text)]
    for start, end in reversed(spans):
        if start <= at < end:
            at = text.rfind(b"\n", 0, start)
        elif end <= at:
            break
    return at + 1
