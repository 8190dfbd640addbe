"""`python -m deploy.validation models | endpoints | report`: the steps of the model-validation workflow."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from deploy.validation.endpoints import validate_endpoints
from deploy.validation.findings import Finding, read_findings, write_findings
from deploy.validation.models import validate_models
from deploy.validation.report import render_page, render_report
from runtime.errors import NexovaError
from runtime.models.repository import ModelRepository
from runtime.plants import load_plant
from runtime.settings import load_settings

STEPS = ("models", "endpoints")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one step and return 0, or 1 where something did not pass."""
    parser = argparse.ArgumentParser(prog="python -m deploy.validation", description=__doc__)
    parser.add_argument("step", choices=[*STEPS, "report"])
    parser.add_argument("--models", default="models", help="model repository: a folder or a URL")
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder of findings and report")
    parser.add_argument("--page", type=Path, default=Path("MODEL_REGISTRY.md"), help="page that `report` rewrites")
    given = parser.parse_args(arguments)
    now = datetime.now(UTC)
    if given.step == "report":
        found = {step: read_findings(given.out, step) for step in STEPS}
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "validation.md").write_text(render_report(found, at=now), encoding="utf-8")
        given.page.write_text(render_page(ModelRepository(given.models).page(), found, at=now), encoding="utf-8")
        return _result([finding for findings in found.values() for finding in findings])
    try:
        if given.step == "models":
            plant = load_plant(load_settings().plant_file)
            findings = list(validate_models(ModelRepository(given.models), plant=plant, now=now))
        else:
            findings = list(validate_endpoints(given.models))
    except NexovaError as error:
        findings = [Finding(subject=given.step, passed=False, detail=error.message)]
    write_findings(findings, given.out, given.step)
    return _result(findings)


def _result(findings: Sequence[Finding]) -> int:
    for finding in findings:
        sys.stdout.write(f"{'passed' if finding.passed else 'FAILED'}  {finding.subject}: {finding.detail}\n")
    return int(not findings or any(not finding.passed for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
