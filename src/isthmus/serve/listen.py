"""A socket, and the server that answers on it until a signal comes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from isthmus.errors import BadEnvironment, MissingExtra
from isthmus.serve.application import application
from isthmus.serve.turns import Limits
from isthmus.serve.wire import protocol
from isthmus.ship.deployed import Deployed

LOCAL = ("127.0.0.1", "localhost", "::1", "[::1]")


def serve(
    model: Deployed,
    host: str = "127.0.0.1",
    port: int = 8000,
    limits: Limits | None = None,
    started: Callable[[str], None] = lambda where: None,
) -> None:
    """Answer requests until a signal comes; those that are on their way are answered first.

    Parameters
    ----------
    model : Deployed
        The model.
    host : str, default "127.0.0.1"
        The address to listen on; the default can be reached from this machine only.
    port : int, default 8000
        0 takes any that is free.
    limits : Limits, optional
        What a request may take.
    started : callable, optional
        Is told the address when the server listens.

    Raises
    ------
    BadEnvironment
        If the address can't be had.
    """
    app = application(model, limits, hosts=LOCAL if host in LOCAL else ())
    try:
        import uvicorn

        reader = protocol()
    except ImportError as error:
        raise MissingExtra(f"a server needs {error.name}: pip install 'isthmus[serve]'") from None
    with _bound(host, port) as listening:
        name = f"[{host}]" if ":" in host else host
        where = f"http://{name}:{listening.getsockname()[1]}"

        class Server(uvicorn.Server):
            async def startup(self, sockets: Any = None) -> None:
                """Listen, then say where."""
                await super().startup(sockets=sockets)
                if self.started:
                    started(where)

        config = uvicorn.Config(
            app,
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            loop="asyncio",
            http=reader,
            ws="none",
            timeout_graceful_shutdown=10,
            limit_concurrency=4 * (limits or Limits()).waiting,
        )
        Server(config).run(sockets=[listening])


def _bound(host: str, port: int) -> socket.socket:
    """A socket at an address."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, proto)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        raise BadEnvironment(
            f"can't listen on {host}, port {port} ({error.args[-1]}); give another --port, or 0 for any that is free"
        ) from None
    return listening
