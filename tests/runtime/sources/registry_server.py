"""A schema registry's HTTP contract: schemas by their number, and by subject and version."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Registry:
    """Schemas by number: {"schemaType", "schema", "serialized", "references"}; subjects: (name, version) to number."""

    url: str = ""
    schemas: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    subjects: dict[tuple[str, str], int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def registry_server() -> Iterator[Registry]:
    registry = Registry()

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            registry.asked.append(parts.path)
            words = parts.path.strip("/").split("/")
            number = registry.subjects.get((words[1], words[-1]), -1) if words[0] == "subjects" else int(words[-1])
            schema = registry.schemas.get(number)
            if schema is None:
                self.answer(404, {"error_code": 40403, "message": "Schema not found"})
                return
            serialized = parse_qs(parts.query).get("format") == ["serialized"]
            body = {"schema": schema["serialized" if serialized else "schema"], "id": number, "version": 1}
            body |= {"subject": words[1]} if words[0] == "subjects" else {}
            # as registries do, Avro is not named
            body |= {name: schema[name] for name in ("schemaType", "references") if name in schema}
            self.answer(200, body)

        def answer(self, status: int, body: Mapping[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    registry.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
