"""Bytes on the wire: HTTP read by httptools, bounded, and JSON written by orjson."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD = 1 << 18
"""Bytes of a request beside its body, at most: of its first line, its headers, and the sizes of its pieces."""


def dumped(value: Mapping[str, Any]) -> bytes:
    """Finite values as JSON."""
    import orjson

    return orjson.dumps(value, default=str, option=orjson.OPT_PASSTHROUGH_DATETIME)


def protocol() -> Any:
    """What reads requests for uvicorn: httptools, with a bound on heads, which it has not of its own."""
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class Bounded(HttpToolsProtocol):
        """Ends a connection whose head has no end; httptools alone would keep it all."""

        beside = 0
        """Bytes of the request that are not of its body."""

        def data_received(self, data: bytes) -> None:
            """A piece of a request: its head may not grow beyond :data:`HEAD`."""
            self.latest = len(data)
            self.beside += self.latest
            if self.beside > HEAD + self.latest:  # what came before this piece was too much already
                self.send_400_response("The head of a request is too long.")
                return
            super().data_received(data)

        def on_message_begin(self) -> None:
            """Another request of the connection begins in the piece at hand."""
            self.beside = self.latest
            super().on_message_begin()

        def on_body(self, body: bytes) -> None:
            """Bytes of the body, which has a limit of its own."""
            self.beside -= len(body)
            super().on_body(body)

    return Bounded
