"""Every endpoint of the API, asked with the models in question beside a broker, a processor and a simulator."""

import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from deploy.validation.findings import Finding
from runtime.children import Child, child_process, free_port
from runtime.embedded import embedded_broker
from runtime.kafka import create_topics
from runtime.settings import load_settings

READING: Final = {"power": 75.0, "temperature": 45.0, "vibration": 2.0, "runtime": 100.0, "production": 50.0}
BODIES: Final[Mapping[str, Any]] = {
    "/anomaly": {"data": [READING]},
    "/recommendations": {"data": [READING]},
    "/forecast": {"data": [float(100 + 20 * (hour % 24 in range(6, 18))) for hour in range(336)], "horizon": 24},
}
"""What each operation that takes a body is given; one that is missing here is a finding."""

_UP_SECONDS: Final = 180.0
_ANSWER_SECONDS: Final = 30.0


def validate_endpoints(models: str) -> Iterator[Finding]:
    """Start what the API needs, ask every operation of its OpenAPI document, and yield each answer.

    Raises:
        ChildEnded: a process did not come up.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nexova-validation-")))
        broker = stack.enter_context(embedded_broker())
        create_topics(load_settings(_env_file=None, kafka={"bootstrap_servers": broker.bootstrap_servers}).kafka)
        api_port = free_port()
        environment = os.environ | {
            "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "NEXOVA_MODEL_PATH": str(Path(models).resolve()) if "://" not in models else models,
            "NEXOVA_API__PORT": str(api_port),
            "NEXOVA_PROCESSOR__WEB_PORT": str(free_port()),
        }

        def start(name: str, *arguments: str) -> Child:
            command = [sys.executable, "-m", "nexova", *arguments]
            return stack.enter_context(
                child_process(name, command, log=folder / f"{name}.log", environment=environment, grace_seconds=20)
            )

        start("processor", "process")
        start("simulator", "produce", "simulate", "--machines", "3")
        api = start("api", "serve")
        base = f"http://127.0.0.1:{api_port}"
        api.wait_until(lambda: _known_machines(base) != [], timeout_seconds=_UP_SECONDS)
        yield from _ask_all(base, _known_machines(base)[0])


def _ask_all(base: str, machine: str) -> Iterator[Finding]:
    document = json.loads(_ask("GET", f"{base}/openapi.json")[1])
    for path, operations in sorted(document["paths"].items()):
        for method, operation in sorted(operations.items()):
            subject = f"{method.upper()} {path}"
            if method == "post" and path not in BODIES and "{" not in path:
                yield Finding(subject=subject, passed=False, detail="validation knows no body for it; add one")
                continue
            filled = path.replace("{machine_id}", machine).replace("{series}", machine)
            known = "{" not in filled
            body = {"kind": "confirmed", "author": "validation"} if method == "post" and not known else BODIES.get(path)
            asked = filled.replace("{alert_id}", "no-such-alert")
            began = time.monotonic()
            status, _ = _ask(method.upper(), base + asked, body)
            took = 1000 * (time.monotonic() - began)
            # what may not exist yet (an alert, a first forecast) must be said to be missing, as documented
            accepted = {200, 201} if known and "{series}" not in path else {200, 404}
            passed = status in accepted and str(status) in operation["responses"]
            yield Finding(subject=subject, passed=passed, detail=f"{status} in {took:.0f} ms")


def _known_machines(base: str) -> list[str]:
    try:
        status, text = _ask("GET", f"{base}/machines")
    except OSError:
        return []
    return [each["machine_id"] for each in json.loads(text)["machines"]] if status == 200 else []  # noqa: PLR2004


def _ask(method: str, url: str, body: Any = None) -> tuple[int, str]:
    """Return status and text; of an event stream the head alone, as it has no end."""
    data = None if method == "GET" else json.dumps(body or {}).encode()
    request = urllib.request.Request(  # noqa: S310  always our own http://127.0.0.1
        url, data=data, method=method, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:  # noqa: S310
            stream = answer.headers.get_content_type() == "text/event-stream"
            return answer.status, "" if stream else answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
