import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from runtime.children import free_port
from runtime.health_probe import unhealthy


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/health" else 404)
            self.end_headers()
            self.wfile.write(b"checkpoints: no checkpoint succeeded")

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "wrong"), [(200, 0), (503, 1)])
def test_a_process_is_as_well_as_its_health_page_says(status: int, wrong: int) -> None:
    with answering(status) as port:
        found = unhealthy([port])

    assert len(found) == wrong
    assert all("no checkpoint succeeded" in line for line in found)


def test_a_job_that_serves_nothing_is_well() -> None:
    assert unhealthy([free_port()]) == []
