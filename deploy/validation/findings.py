"""What a validation found, and the file that carries it from one step to the next."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at. detail: what was found, in one line."""

    subject: str
    passed: bool
    detail: str


def write_findings(findings: Sequence[Finding], folder: Path, step: str) -> None:
    """Write the findings of a step to `folder`, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(finding) for finding in findings], indent=2) + "\n"
    (folder / f"validation-{step}.json").write_text(text, encoding="utf-8")


def read_findings(folder: Path, step: str) -> tuple[Finding, ...]:
    """Return the findings of a step; one failure where the step left none, as an unfinished step is no success."""
    file = folder / f"validation-{step}.json"
    if not file.is_file():
        return (Finding(subject=step, passed=False, detail=f"was not validated: {file.name} is missing"),)
    return tuple(Finding(**each) for each in json.loads(file.read_text(encoding="utf-8")))
