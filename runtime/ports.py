"""A port for pages of ours, held from before it is announced until it is served."""

import socket
from typing import Final

from runtime.errors import UsageError

_TRIES: Final = 64


def held_port(host: str, port: int, *, remedy: str, tries: int = 1) -> socket.socket:
    """Return a socket that listens on `port` of `host`, or, with more `tries`, on the first free one from it on.

    Nobody else can take the port before the socket is closed; whoever serves it closes it just before. remedy: what
    the user can do, as the end of the error's sentence.

    Raises:
        UsageError: no port could be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    reason = ""
    for candidate in range(port, min(port + tries, 65_536)):
        try:
            return socket.create_server((host, candidate), family=family)
        except OSError as error:
            reason = error.strerror or str(error)
    raise UsageError(f"cannot listen on {host}:{port} ({reason}): is the port taken? {remedy}")


def page_port(host: str, port: int, *, asked: bool) -> socket.socket:
    """Return the socket of a worker's pages; another port than `port` where nobody `asked` for that one.

    Raises:
        UsageError: it could not be had.
    """
    remedy = "Name another with --port or NEXOVA_PROCESSOR__WEB_PORT"
    return held_port(host, port, remedy=remedy, tries=1 if asked else _TRIES)
