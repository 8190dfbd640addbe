"""No client holds a connection for ever: not one that never asks, never reads, or comes with many others."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from api.connections import BoundedProtocol, Door, Unread
from runtime.metrics import ApiMetrics, process_registry
from runtime.settings import ApiSettings
from tests.api.servers import Server, running_server
from tests.e2e.workers import eventually

Serve = Callable[..., Server]
EVENTS = b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@contextmanager
def connected(server: Server, *, buffer: int | None = None) -> Iterator[socket.socket]:
    with socket.socket() as client:
        if buffer is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.settimeout(60)
        client.connect(("127.0.0.1", server.port))
        yield client


@pytest.fixture(scope="module")
def bounded() -> Iterator[Server]:
    with running_server(api={"head_seconds": 1.5, "stuck_seconds": 1.5, "most_streams": 1}) as server:
        yield server


def everything(client: socket.socket) -> bytes:
    """All bytes until the server ends the connection."""
    found = b""
    try:
        while part := client.recv(65_536):
            found += part
    except ConnectionResetError:
        pass
    return found


def the_stream(server: Server) -> BoundedProtocol:
    """The server's side of the only connection with a stream."""
    door: Door = server.app.state.door
    (found,) = [one for one in door.connections if one.scope and one.scope["path"] == "/events"]
    return found


def figure(server: Server, sample: str) -> float:
    lines = [line for line in server.get("/metrics").text.splitlines() if line.startswith(sample + " ")]
    return float(lines[0].rpartition(" ")[2]) if lines else 0.0


def ended(server: Server, reason: str) -> float:
    return figure(server, f'nexova_api_connections_ended_total{{reason="{reason}"}}')


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: "])
def test_a_head_that_never_ends_is_answered_and_closed(bounded: Server, sent: bytes) -> None:
    before = ended(bounded, "head")
    with connected(bounded) as client:
        client.sendall(sent)
        assert everything(client).startswith(b"HTTP/1.1 408 ")
    assert ended(bounded, "head") == before + 1


def test_bytes_after_an_answer_that_are_no_request_do_not_keep_a_connection(bounded: Server) -> None:
    before = ended(bounded, "head")
    with connected(bounded) as client:
        client.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 200 ")
        client.sendall(b"GET /health HT")
        everything(client)
    assert ended(bounded, "head") == before + 1


def test_a_stream_outlasts_the_time_of_a_head(bounded: Server) -> None:
    with connected(bounded) as client:
        client.sendall(EVENTS)
        found = b""
        while found.count(b"still loading") < 3:  # one a second, as there is no broker
            part = client.recv(65_536)
            assert part
            found += part


def test_a_client_of_a_stream_that_does_not_read_is_closed_and_its_place_is_free(bounded: Server) -> None:
    live = bounded.app.state.services.live
    eventually(lambda: live.hub.streams == 0, seconds=60, what="no other test's stream is open")
    before = ended(bounded, "stuck")
    with connected(bounded, buffer=4_096) as client:
        client.sendall(EVENTS)
        assert client.recv(100).startswith(b"HTTP/1.1 200 ")
        connection = the_stream(bounded)
        assert figure(bounded, "nexova_api_streams") == 1
        assert bounded.get("/events").status_code == 503, "a stream that waits for the view counts as well"
        # what the kernel takes and then some, as many events would be
        connection.loop.call_soon_threadsafe(connection.transport.write, b": " + b"x" * 20_000_000 + b"\n\n")
        eventually(lambda: ended(bounded, "stuck") == before + 1, seconds=60, what="the connection is closed")
        eventually(lambda: live.hub.streams == 0, seconds=60, what="the stream has ended")
    assert figure(bounded, "nexova_api_streams") == 0


def test_what_a_bound_ends_is_counted_and_logged_at_a_bounded_rate(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    metrics = ApiMetrics(process_registry())
    door = Door(ApiSettings(head_seconds=7), metrics, clock=lambda: now)
    for _ in range(1_000):
        door.count("head")
    door.count("stuck")
    assert [record.getMessage() for record in caplog.records] == [
        "connections ended: 1 without a complete request head within 7 s (NEXOVA_API__HEAD_SECONDS)",
        "connections ended: 1 whose client read nothing for 30 s (NEXOVA_API__STUCK_SECONDS)",
    ]
    caplog.clear()
    now += 11
    door.look()
    door.look()
    assert [record.getMessage().partition(" without")[0] for record in caplog.records] == ["connections ended: 999"]


def test_connections_above_the_limit_are_answered_counted_and_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve(api={"most_connections": 2, "head_seconds": 600})
    with connected(server), connected(server), connected(server) as further:
        further.sendall(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert everything(further).startswith(b"HTTP/1.1 503 ")
    eventually(lambda: ended(server, "full") >= 1, seconds=60, what="it is counted")
    assert "NEXOVA_API__MOST_CONNECTIONS" in caplog.text


DESCRIPTORS = """
import json, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[1])))
from api.connections import Door
from runtime.metrics import ApiMetrics, process_registry
from runtime.settings import ApiSettings
door = Door(ApiSettings(most_connections=1000), ApiMetrics(process_registry()))
print(json.dumps([door.most, resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""


@pytest.mark.parametrize(("hard", "most", "soft"), [(512, 352, 512), (2048, 1000, 1160)])
def test_the_limit_of_connections_is_below_that_of_open_files(hard: int, most: int, soft: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DESCRIPTORS, str(hard)], capture_output=True, text=True, check=True, timeout=120
    )
    assert json.loads(done.stdout) == [most, soft]
    assert ("at most 352 connections" in done.stderr) == (most < 1000)


def test_a_client_that_reads_slowly_stays_and_one_that_stops_does_not() -> None:
    unread = Unread(30.0)
    waiting = 1_000_000
    for second in range(0, 300, 10):
        waiting -= 16_384
        assert not unread.for_too_long(waiting, float(second))
    assert not unread.for_too_long(waiting, 310.0)
    assert unread.for_too_long(waiting, 321.0)
    assert not unread.for_too_long(0, 322.0)
    assert not unread.for_too_long(5, 1_000.0), "the time begins with the first unread byte"
    assert unread.for_too_long(5, 1_031.0)
