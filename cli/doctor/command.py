"""`nexova doctor`: checks of everything a run needs, with a remedy for each problem."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from cli.doctor import checks, cluster
from cli.doctor.finding import Finding
from runtime.errors import NexovaError
from runtime.settings import Settings, load_settings

_MARKS: Final = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "failed": "[red]failed [/]"}
_CHECKS: Final[tuple[Callable[[Settings], Iterator[Finding]], ...]] = (
    checks.plant,
    checks.ports,
    checks.models,
    cluster.disk,
    checks.tools,
)


class Process(StrEnum):
    """Processes whose rights can be demanded."""

    PRODUCER = "producer"
    PROCESSOR = "processor"
    TRAINER = "trainer"
    API = "api"
    FORWARDER = "forwarder"


def doctor(
    *,
    process: Annotated[
        Process | None, typer.Option("--for", help="Also check the rights that this process needs on the brokers.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check versions, settings, plant, broker, topics, rights, clock, models, disk and ports; exit 1 if one fails."""
    findings = examine(dict(os.environ), process=None if process is None else process.value)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def examine(environment: dict[str, str], *, process: str | None = None) -> list[Finding]:
    """Run all checks; a failure of one does not stop the others."""
    findings = [*checks.python(), *checks.packages(), *checks.variables(environment)]
    try:
        settings = load_settings()
    except NexovaError as error:
        return [*findings, Finding(check="settings", state="failed", detail=error.message)]
    findings.append(Finding(check="settings", state="ok", detail="all values are within their rules"))
    findings.extend(checks.broker(settings, process))
    for check in _CHECKS:
        findings.extend(check(settings))
    return findings


def _print(findings: list[Finding]) -> None:
    console = Console(soft_wrap=True)
    for finding in findings:
        console.print(f"{_MARKS[finding.state]} {finding.check:<9} {escape(finding.detail)}", highlight=False)
        if finding.remedy:
            console.print(f"{'':18}{escape(finding.remedy)}", highlight=False, style="dim")
    failed = sum(finding.state == "failed" for finding in findings)
    warned = sum(finding.state == "warning" for finding in findings)
    console.print(f"{len(findings)} checks, {failed} failed, {warned} to look at", highlight=False)
