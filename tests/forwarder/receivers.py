"""Receivers that can be killed and restarted on the same port: HTTP, mail and a small maintenance system."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller


@dataclass
class Received:
    """What a receiver has, over all its lives. fail: statuses to answer next instead of taking."""

    bodies: list[Any] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    mails: list[Message] = field(default_factory=list)
    fail: list[int] = field(default_factory=list)


@contextmanager
def http_receiver(port: int, received: Received) -> Iterator[None]:
    """Takes POSTs, and answers GETs as a maintenance system would: requests by state and key."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if received.fail:
                self.answer(received.fail.pop(0), {"error": "not now"})
                return
            key = self.headers["Idempotency-Key"]
            received.bodies.append(body)
            received.keys.append(key)
            if isinstance(body, dict) and "asset" in body:
                received.requests.setdefault(key, body | {"id": f"WO-{len(received.requests) + 1}", "state": "open"})
            self.answer(201, {})

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            wanted = {name: values[0] for name, values in query.items()}
            matching = [
                one for one in received.requests.values() if all(one.get(name) == wanted[name] for name in wanted)
            ]
            self.answer(200, matching)

        def answer(self, status: int, document: Any) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class _Sink:
    def __init__(self, received: Received) -> None:
        self.received = received

    async def handle_DATA(self, _: Any, __: Any, envelope: Any) -> str:  # noqa: N802  the name that aiosmtpd calls
        if self.received.fail:
            return f"{self.received.fail.pop(0)} not now"
        self.received.mails.append(message_from_bytes(envelope.content))
        return "250 OK"


@contextmanager
def mail_receiver(port: int, received: Received) -> Iterator[None]:
    controller = Controller(_Sink(received), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield
    finally:
        controller.stop()
