import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.checks import COMPOSE, debian_program, go_program, run


@pytest.fixture(scope="session")
def promtool() -> Path:
    return debian_program("promtool")


@pytest.fixture(scope="session")
def compose_loader() -> Path:
    return go_program("github.com/compose-spec/compose-go/v2/cmd", "v2.16.2")


@pytest.fixture(scope="session")
def stack(compose_loader: Path) -> dict[str, Any]:
    """docker-compose.yml as Docker Compose itself reads it."""
    loaded = run(compose_loader, "-format", "json", COMPOSE, environment={"COMPOSE_PROFILES": "*"})
    assert loaded.returncode == 0, loaded.stderr
    document: dict[str, Any] = json.loads(loaded.stdout)
    return document


@pytest.fixture(scope="session")
def actionlint() -> Path:
    return go_program("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12")


@pytest.fixture(scope="session")
def kustomize() -> Path:
    return go_program("sigs.k8s.io/kustomize/kustomize/v5", "v5.7.1")
