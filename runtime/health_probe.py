"""`python -m runtime.health_probe`: the image's health check for every kind of process.

A process that serves a port must answer 200 at /health within four seconds. One without a port is a job, which is
healthy while it runs.
"""

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable

from runtime.settings import load_settings

_SECONDS = 4.0


def unhealthy(ports: Iterable[int]) -> list[str]:
    """Return the problems of the ports in use; empty if all are healthy."""
    wrong = []
    for port in ports:
        with socket.socket() as probe:
            probe.settimeout(_SECONDS)
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                continue
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=_SECONDS).close()
        except urllib.error.HTTPError as error:
            wrong.append(f"port {port}: {error.code} {error.read(500).decode(errors='replace')}")
            error.close()
        except OSError as error:
            wrong.append(f"port {port} does not answer within {_SECONDS:g} s: {error}")
    return wrong


def main() -> int:
    """Return 0 if all ports are healthy, else 1, and print a line for each that is not."""
    settings = load_settings()
    wrong = unhealthy((settings.processor.web_port, settings.forwarder.web_port, settings.api.port))
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
