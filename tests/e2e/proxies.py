"""A proxy between clients and a broker that can be cut: connections end, and new ones are refused."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from runtime.apache_kafka import BRIEF_LIFE, apache_kafka
from runtime.children import free_port
from tests.brokers import Broker, unavailable, why_java_cannot

_CHUNK = 262_144


class Proxy:
    """Passes bytes on between a port of its own and a target."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._guard = threading.Lock()
        self.restore()

    def cut(self) -> None:
        """End all connections and refuse new ones."""
        with self._guard:
            listener, self._listener = self._listener, None
            ended, self._open = self._open, set()
        if listener is not None:
            _end(listener)
        for connection in ended:
            _end(connection)

    def restore(self) -> None:
        """Accept connections."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                _end(client)
                continue
            with self._guard:
                self._open |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                sink.sendall(data)
        for one in (source, sink):
            with self._guard:
                self._open.discard(one)
            _end(one)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def apache_kafka_behind_a_proxy() -> Iterator[tuple[Broker, Proxy]]:
    """A real Kafka whose clients all go through a proxy."""
    reason = why_java_cannot()
    if reason is not None:
        unavailable(reason)
    behind, front = free_port(), free_port()
    proxy = Proxy(front, behind)
    try:
        properties = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{front}"}
        with apache_kafka(behind, properties=properties, heap="512m", java_options=BRIEF_LIFE) as broker:
            yield Broker(kind="apache", bootstrap_servers=f"127.0.0.1:{front}", pid=broker.pid), proxy
    finally:
        proxy.cut()
