"""`python -m runtime.health_probe`: the health check of the image, whichever process runs in it.

A process that serves a port must answer 200 at /health within four seconds. One that serves none is a job, which is
well as long as it runs.
"""

import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable

from runtime.settings import load_settings

_SECONDS = 4.0


def unhealthy(ports: Iterable[int]) -> list[str]:
    """Return what is wrong at the ports of this machine where somebody listens; empty where all is well."""
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
    """Return 0 where all is well, else 1 with a line for each port that is not."""
    settings = load_settings()
    wrong = unhealthy((settings.processor.web_port, settings.forwarder.web_port, settings.api.port))
    for line in wrong:
        sys.stderr.write(f"{line}\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
