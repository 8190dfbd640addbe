import hashlib
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from api.security import HEADERS, Guard, Rate, WrongToken, is_loopback
from runtime.children import free_port
from runtime.errors import SettingsError
from runtime.settings import ApiSettings, load_settings
from tests.api.servers import EXAMPLE, NOBODY, Server, running_server
from tests.cli.command import environment, nexova
from tests.e2e.workers import eventually

READER, OPERATOR = "r" * 43, "o" * 43


def entry(name: str, scope: str, token: str) -> str:
    return f"{name}:{scope}:{hashlib.sha256(token.encode()).hexdigest()}"


TOKENS = ", ".join([entry("grafana", "read", READER), entry("shift-lead", "operate", OPERATOR)])


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    with running_server(api={"tokens": TOKENS}) as server:
        yield server


PROTECTED = [
    ("POST", "/anomaly"),
    ("POST", "/recommendations"),
    ("POST", "/forecast"),
    ("GET", "/models/status"),
    ("GET", "/machines"),
    ("GET", "/machines/x"),
    ("GET", "/machines/x/readings"),
    ("GET", "/machines/x/scores"),
    ("GET", "/machines/x/energy"),
    ("GET", "/alerts"),
    ("GET", "/alerts/x"),
    ("POST", "/alerts/x/feedback"),
    ("GET", "/recommendations"),
    ("GET", "/forecasts"),
    ("GET", "/forecasts/x"),
    ("GET", "/events"),
    ("GET", "/metrics"),
]
OPEN = ["/health", "/ready", "/docs", "/redoc", "/openapi.json", "/console/sign-in"]


@pytest.mark.parametrize(("method", "path"), PROTECTED)
def test_without_a_token_nothing_of_the_plant_is_told(guarded: Server, method: str, path: str) -> None:
    answer = guarded.client.request(method, path, json={"data": [EXAMPLE]} if method == "POST" else None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_every_route_is_either_protected_or_meant_to_be_open(guarded: Server) -> None:
    paths = {
        (method.upper(), re.sub(r"\{\w+\}", "x", path))
        for path, methods in guarded.get("/openapi.json").json()["paths"].items()
        for method in methods
    }
    assert paths - set(PROTECTED) == {("GET", "/health"), ("GET", "/ready")}


@pytest.mark.parametrize("path", OPEN)
def test_probes_and_documents_are_open(guarded: Server, path: str) -> None:
    assert guarded.get(path).status_code in {200, 503}


def test_a_token_opens_what_its_scope_allows(guarded: Server) -> None:
    assert guarded.post("/anomaly", json={"data": [EXAMPLE]}, headers=bearer(READER)).status_code == 200
    refused = guarded.post("/alerts/x/feedback", json={"kind": "confirmed"}, headers=bearer(READER))
    assert refused.status_code == 403
    assert refused.json()["detail"] == ("the token grafana has scope read, this needs operate; use another token")
    # past the door; the view has never been complete here
    allowed = guarded.post("/alerts/x/feedback", json={"kind": "confirmed"}, headers=bearer(OPERATOR))
    assert allowed.status_code == 503


@pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer", "Basic cjpy", "banana", "Bearer " + "x" * 5000])
def test_a_wrong_token_is_refused_wherever_it_is_shown(guarded: Server, value: str) -> None:
    answer = guarded.get("/health", headers={"Authorization": value})
    assert answer.status_code in {401, 429}
    assert "nonsense" not in answer.text


def test_strangers_hear_states_and_no_addresses(guarded: Server) -> None:
    eventually(
        lambda: NOBODY in guarded.get("/health", headers=bearer(READER)).text, seconds=60, what="the address is named"
    )
    for path in ("/health", "/ready", "/"):
        assert NOBODY not in guarded.get(path).text


def test_the_index_page_tells_strangers_nothing_of_the_plant(guarded: Server) -> None:
    stranger = guarded.get("/")
    assert (stranger.status_code, stranger.headers["location"]) == (303, "/console/sign-in?then=%2F")
    assert "Open alerts" not in guarded.get("/console/sign-in").text
    assert "Open alerts" in guarded.get("/", headers=bearer(READER)).text


def test_who_guesses_tokens_is_slowed_down(serve: Callable[..., Server]) -> None:
    server = serve(api={"tokens": TOKENS, "failures_per_second": 1})
    statuses = [server.get("/machines", headers=bearer(f"guess-{n}")).status_code for n in range(4)]
    assert statuses == [401, 401, 429, 429]
    assert server.get("/machines", headers=bearer(READER)).status_code == 503  # no Kafka, but let in


def test_who_asks_too_much_is_told_when_to_come_back(serve: Callable[..., Server]) -> None:
    server = serve(api={"requests_per_second": 0.5})
    assert server.get("/health").status_code == 200
    answer = server.get("/health")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_a_bucket_fills_up_again_with_time() -> None:
    now = 0.0
    rate = Rate(2.0, clock=lambda: now)
    assert [rate.wait("a") > 0 for _ in range(6)] == [False, False, False, False, True, True]
    assert rate.wait("b") == 0
    now = 0.5
    assert [rate.wait("a") > 0 for _ in range(2)] == [False, True]


def test_forecasts_have_a_rate_of_their_own(serve: Callable[..., Server]) -> None:
    server = serve(api={"forecasts_per_second": 0.1})
    request = {"data": [1, 2, 3], "horizon": 1}
    assert [server.post("/forecast", json=request).status_code for _ in range(2)] == [200, 429]
    assert server.post("/anomaly", json={"data": [EXAMPLE]}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/health", "/nothing", "/docs", "/assets/nexova.css"])
def test_every_answer_carries_the_security_headers(server: Server, path: str) -> None:
    answer = server.get(path)
    for name, value in HEADERS:
        assert answer.headers[name.decode()] == value.decode()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert ("unsafe-inline" in policy) == (path == "/docs")


def test_without_tokens_another_name_for_this_machine_is_refused(server: Server) -> None:
    """A page of another site that makes its name point here (DNS rebinding) must not read anything."""
    answer = server.get("/machines", headers={"Host": "evil.example:8000"})
    assert answer.status_code == 421


def test_a_page_of_another_site_cannot_change_anything(server: Server) -> None:
    answer = server.post("/alerts/x/feedback", json={"kind": "confirmed"}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403
    assert answer.json()["type"] == "urn:nexova:problem:other-origin"


def test_the_guard_knows_tokens_by_their_hash_alone() -> None:
    guard = Guard(ApiSettings(tokens=TOKENS))
    assert guard.identify(b"Bearer " + READER.encode(), "1.2.3.4").name == "grafana"
    assert guard.identify(None, "1.2.3.4").scope is None
    with pytest.raises(WrongToken):
        guard.identify(b"Bearer " + hashlib.sha256(READER.encode()).hexdigest().encode(), "1.2.3.4")


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("ana:read:" + "x" * 43, "entry 1 is not name:scope:hash"),
        (f"{entry('a', 'read', READER)},{entry('a', 'read', OPERATOR)}", "two tokens have the same name"),
        (entry("a", "king", READER), "entry 1 is not name:scope:hash"),
    ],
)
def test_tokens_that_cannot_be_are_refused_without_showing_them(tokens: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words) as refused:
        load_settings(_env_file=None, api={"tokens": tokens})
    assert tokens not in refused.value.message
    assert "x" * 43 not in refused.value.message


def test_settings_never_show_the_tokens() -> None:
    assert entry("grafana", "read", READER)[-64:] not in repr(load_settings(_env_file=None, api={"tokens": TOKENS}))


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("example.org", False)],  # noqa: S104
)
def test_loopback_is_this_machine_alone(host: str, local: bool) -> None:  # noqa: FBT001
    assert is_loopback(host) is local


def test_it_does_not_listen_beyond_this_machine_without_tokens(tmp_path: Path) -> None:
    done = nexova("serve", "--host", "0.0.0.0", folder=tmp_path)  # noqa: S104
    assert done.returncode == 2
    assert "NEXOVA_API__TOKENS" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_port_that_is_taken_is_named(server: Server, tmp_path: Path) -> None:
    done = nexova("serve", "--port", str(server.port), folder=tmp_path)
    assert done.returncode == 2
    assert f"127.0.0.1:{server.port}" in done.stderr.splitlines()[-1]


def test_a_token_is_shown_once_and_works_by_its_hash(tmp_path: Path, serve: Callable[..., Server]) -> None:
    done = nexova("token", "ana", "--scope", "operate", "--json", folder=tmp_path)
    made = json.loads(done.stdout)
    server = serve(api={"tokens": made["setting"]})
    assert server.get("/models/status", headers=bearer(made["token"])).status_code == 200
    assert server.get("/models/status").status_code == 401


def test_no_secret_is_in_a_log(guarded: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    guarded.get("/machines", headers=bearer(READER))
    guarded.get("/machines", headers=bearer("almost-" + READER))
    assert READER not in caplog.text


def test_it_ends_at_once_when_it_is_told_to(tmp_path: Path) -> None:

    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "nexova", "serve", "--port", str(port)],
        cwd=tmp_path,
        env=environment(NEXOVA_KAFKA__BOOTSTRAP_SERVERS="127.0.0.1:1"),
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
                break
            except httpx.TransportError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
        begun = time.monotonic()
        process.terminate()
        process.wait(20)
        assert time.monotonic() - begun < 10
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait(20)
