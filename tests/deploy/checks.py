"""The outside programs that check what we deploy, and where everything stands."""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from runtime.metrics import MetricSet
from tests.brokers import unavailable

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"


def missing(tool: str, remedy: str) -> NoReturn:
    """Skip a test whose tool is missing, or fail it where every test must run."""
    unavailable(f"{tool} is not installed; {remedy}")


def go_program(package: str, version: str) -> Path:
    """A Go program, built once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = cache / "nexova" / "go" / package.replace("/", "_") / version
    # a package that ends in its major version is named by what stands before it
    program = folder / re.sub(r"/v\d+$", "", package).rsplit("/", 1)[-1]
    if not program.exists():
        if shutil.which("go") is None:
            missing("Go", f"install it to check with {package}")
        done = subprocess.run(
            ["go", "install", f"{package}@{version}"],
            env=os.environ | {"GOBIN": str(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            missing(package, f"go install failed: {done.stderr[-500:]}")
    return program


def debian_program(name: str) -> Path:
    """A program of the Debian package `prometheus`."""
    program = shutil.which(name)
    if program is None:
        missing(name, "install Prometheus (Debian: apt-get install --no-install-recommends prometheus)")
    return Path(program)


def run(
    *command: str | Path, given: str | None = None, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a check; its output goes into the message of a failing assertion."""
    return subprocess.run(
        [str(part) for part in command],
        input=given,
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def parse(command: Any, arguments: list[str], name: str = "nexova") -> None:
    """Let the real command line parse `arguments` down to the last option, without running anything."""
    context = command.make_context(name, list(arguments))
    if hasattr(command, "resolve_command"):
        name, child, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(child, rest, name)


def exercise(metrics: MetricSet) -> None:
    """Touch every metric of a set, so that each exposes at least one series with a value above zero."""
    for attribute, metric in vars(type(metrics)).items():
        instrument = vars(metrics).get(attribute)
        if instrument is None:
            continue
        if metric.labels:
            instrument = instrument.labels(*(label.values[0] if label.values else "x" for label in metric.labels))
        if metric.kind == "counter":
            instrument.inc()
        elif metric.kind == "gauge":
            instrument.set(1)
        else:
            instrument.observe(metric.buckets[0])
