from pathlib import Path

import pytest

from tests.deploy.checks import debian_program, go_program


@pytest.fixture(scope="session")
def promtool() -> Path:
    return debian_program("promtool")


@pytest.fixture(scope="session")
def compose_loader() -> Path:
    return go_program("github.com/compose-spec/compose-go/v2/cmd", "v2.16.2")


@pytest.fixture(scope="session")
def actionlint() -> Path:
    return go_program("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12")
