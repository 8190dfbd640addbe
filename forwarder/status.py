"""The forwarder's pages: /metrics, /health and /ready, in a thread of their own."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from forwarder.app import Forwarder
from runtime.errors import PortTaken
from runtime.metrics.forwarder import ForwarderMetrics
from runtime.settings import ForwarderSettings

_SILENT_SECONDS: Final = 120.0


@contextmanager
def serve_status(settings: ForwarderSettings, forwarder: Forwarder, metrics: ForwarderMetrics) -> Iterator[None]:
    """Serve the pages while the block runs.

    Raises:
        PortTaken: the port is in use.
    """

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            silent = time.monotonic() - forwarder.alive_at
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry))
            elif self.path in {"/health", "/ready"}:
                well = silent <= _SILENT_SECONDS
                text = "ok\n" if well else f"the loop stands still for {silent:.0f} s\n"
                self._answer(200 if well else 503, "text/plain", text.encode())
            else:
                self._answer(404, "text/plain", b"/metrics, /health or /ready\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing: probes ask every few seconds."""

    try:
        server = ThreadingHTTPServer((settings.web_host, settings.web_port), Pages)
    except OSError as error:
        raise PortTaken(
            f"{settings.web_host}:{settings.web_port} cannot be served ({error.strerror}); set "
            "NEXOVA_FORWARDER__WEB_PORT to a free port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="status", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
