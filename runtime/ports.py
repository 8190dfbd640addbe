"""Reservation of a port from its announcement until it is served."""

import socket
from typing import Final

from runtime.errors import UsageError

_TRIES: Final = 64


def reserve_port(host: str, port: int, *, remedy: str, tries: int = 1) -> socket.socket:
    """Return a socket that listens on `port` of `host`, or, with more `tries`, on the first free one from it on.

    No other process can take the port until the socket is closed, just before the port is served. remedy: end of
    the error's sentence.

    Raises:
        UsageError: no port is free.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = ""
    for candidate in range(port, min(port + tries, 65_536)):
        try:
            return socket.create_server((host, candidate), family=family)
        except OSError as error:
            reason = error.strerror or str(error)
    raise UsageError(f"cannot listen on {host}:{port} ({reason}): is the port taken? {remedy}")


def page_port(host: str, port: int, *, requested: bool) -> socket.socket:
    """Return a socket for a worker's endpoints, on `port` or, unless the user `requested` it, on a later one.

    Raises:
        UsageError: the port is taken.
    """
    remedy = "Name another with --port or NEXOVA_PROCESSOR__WEB_PORT"
    return reserve_port(host, port, remedy=remedy, tries=1 if requested else _TRIES)
