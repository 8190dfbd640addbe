"""The API served for real, on a port of its own, in a thread of the tests' process."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from runtime.children import free_port
from runtime.settings import load_settings

EXAMPLE = {"power": 100, "temperature": 45, "vibration": 2, "runtime": 1.0, "production": 5.0}
_PATIENCE = 60.0  # rules may have to be compiled first, by a machine that does much else
NOBODY = "127.0.0.1:1"
"""Where no broker ever is."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running service: its address, a client of it, and the application behind it."""

    url: str
    port: int
    client: httpx.Client
    app: FastAPI

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.client.get(path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.client.post(path, **arguments)


@contextmanager
def running_server(
    *, kafka: Mapping[str, Any] | None = None, port: int | None = None, **settings: Any
) -> Iterator[Server]:
    """Serves with these settings; without `kafka`, no broker answers; without `port`, on a free one."""
    kafka = {"bootstrap_servers": NOBODY} if kafka is None else kafka
    port = port or free_port()
    app = create_app(load_settings(_env_file=None, kafka=kafka, **settings))
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        log_config=None,
        timeout_graceful_shutdown=2,
        http="api.connections:BoundedProtocol",
        ws="none",
    )
    running = uvicorn.Server(config)
    # whatever goes wrong, the tests' process must be able to end
    thread = threading.Thread(target=running.run, name="server", daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _PATIENCE
        while not running.started:
            assert thread.is_alive(), "the service ended at its start"
            assert time.monotonic() < deadline, "the service did not start"
            time.sleep(0.01)
        with httpx.Client(base_url=url, timeout=30) as client:
            yield Server(url=url, port=port, client=client, app=app)
    finally:
        running.should_exit = True
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "the service did not end"
