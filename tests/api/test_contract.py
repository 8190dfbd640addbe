"""Whatever the OpenAPI document allows, and much that it does not: never a server error, always a described answer."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from openapi_spec_validator import validate
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from runtime.kafka import create_topics
from schemas.topics import ALERTS, MACHINES
from tests.api.live_data import a_status, an_alert, publish
from tests.api.servers import Server, running_server
from tests.brokers import running_tansu
from tests.e2e.workers import eventually

_CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance]
# a stream has no end to wait for; it has tests of its own
_STREAMS = {"/events"}


@pytest.fixture(scope="module")
def whole(model_dir: Path) -> Iterator[Server]:
    """A service with models and a broker: 503 would be a true answer without, and is a failure here."""
    with running_tansu() as broker:
        create_topics(broker.kafka)
        publish(broker, MACHINES, [("press-01", a_status())])
        publish(broker, ALERTS, [("alert-0001", an_alert())])
        with running_server(kafka={"bootstrap_servers": broker.bootstrap_servers}, model_path=str(model_dir)) as server:
            eventually(lambda: server.get("/ready").status_code == 200, seconds=60, what="the view is complete")
            yield server


def operations(server: Server) -> list[Any]:
    loaded = schemathesis.openapi.from_dict(server.get("/openapi.json").json())
    loaded.config.update(base_url=server.url)
    found = [result.ok() for result in loaded.get_all_operations()]
    return [operation for operation in found if operation.path not in _STREAMS]


@pytest.mark.long
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_makes_the_service_fail(whole: Server, mode: GenerationMode) -> None:
    tried = []
    for operation in operations(whole):
        if mode is GenerationMode.NEGATIVE and not (operation.body or list(operation.iter_parameters())):
            continue  # nothing to get wrong

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=30,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.generate],
        )
        def hold(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=_CHECKS)

        hold()
        tried.append(operation.label)
    assert "POST /anomaly" in tried
    assert "POST /forecast" in tried
    assert "POST /alerts/{alert_id}/feedback" in tried


def test_the_document_is_valid_openapi(server: Server) -> None:
    validate(server.get("/openapi.json").json())
