"""What must be known of an ONNX file before anything else reads it: whose operations it has, and where its tensors are.

ONNX files are protocol buffers: numbered fields, some of which hold messages again. This walks over them without
building anything, so that a lie about a length costs no memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

DEEPEST = 16
"""Graphs in graphs."""
LONGEST = 10
"""Bytes of a number."""
GRAPH, FUNCTIONS, TRAINING = 7, 25, 20
NODE, INITIALIZER = 1, 5
DOMAIN, ATTRIBUTE = 7, 5
TENSOR, SUBGRAPH, TENSORS, SUBGRAPHS = 5, 6, 10, 11
ELSEWHERE, LOCATION = 13, 14
DOMAINS = (b"", b"ai.onnx", b"ai.onnx.ml")
SEAL = b"\x72\x52\x0a\x0eisthmus.sha256\x12\x40"
"""How the last field begins: an entry of the file's own table of texts, whose value of 64 characters follows."""


def sealed(content: bytes) -> bytes:
    """The same file with the SHA-256 of all its bytes as one more entry of its table of texts, the last one."""
    return content + SEAL + hashlib.sha256(content).hexdigest().encode()


def whole(content: bytes) -> bool:
    """Whether a sealed file is as it was written."""
    end = len(content) - len(SEAL) - 64
    return end > 0 and content == sealed(content[:end])


def fault(content: bytes) -> str | None:
    """Why a file is not run, or None: damage, operations that are not ONNX's own, tensors in other files.

    Examples
    --------
    >>> fault(b"no protocol buffer")
    'it is damaged, or no ONNX file'
    """
    try:
        graphs = [view for number, view in _fields(memoryview(content)) if number == GRAPH]
        if any(number in {FUNCTIONS, TRAINING} for number, _ in _fields(memoryview(content))):
            return "it brings functions of its own"
        if len(graphs) != 1:
            return "it is damaged, or no ONNX file"
        return _graph(graphs[0], 0)
    except (ValueError, IndexError):
        return "it is damaged, or no ONNX file"


def _graph(graph: memoryview, depth: int) -> str | None:
    if depth > DEEPEST:
        return f"graphs lie in graphs more than {DEEPEST} deep"
    for number, view in _fields(graph):
        found = _tensor(view) if number == INITIALIZER else _node(view, depth) if number == NODE else None
        if found is not None:
            return found
    return None


def _node(node: memoryview, depth: int) -> str | None:
    for number, view in _fields(node):
        if number == DOMAIN and bytes(view) not in DOMAINS:
            return "it has operations that are not ONNX's own"
        if number != ATTRIBUTE:
            continue
        for inner, part in _fields(view):
            found = (
                _tensor(part)
                if inner in {TENSOR, TENSORS}
                else _graph(part, depth + 1)
                if inner in {SUBGRAPH, SUBGRAPHS}
                else None
            )
            if found is not None:
                return found
    return None


def _tensor(tensor: memoryview) -> str | None:
    outside = any(number in {ELSEWHERE, LOCATION} for number, _ in _fields(tensor))
    return "it keeps tensors in other files" if outside else None


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and content of each field; the content of a number is not looked at."""
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        kind = key & 7
        if kind == 0:
            start, (_, end) = at, _number(message, at)
        elif kind in {1, 5}:
            start, end = at, at + (8 if kind == 1 else 4)
        elif kind == 2:
            size, start = _number(message, at)
            end = start + size
        else:
            raise ValueError("groups are not used")
        if end > len(message) or not key >> 3:
            raise ValueError("cut short")
        yield key >> 3, message[start:end]
        at = end


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """A number of seven bits a byte, and where it ends."""
    found = 0
    for k in range(LONGEST):
        byte = message[at + k]
        found |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return found, at + k + 1
    raise ValueError("endless number")
