"""What a validation found, as a page; and MODEL_REGISTRY.md, which says what runs and how it did."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from deploy.validation.findings import Finding

_TITLES = {"models": "Models", "endpoints": "Endpoints"}


def render_report(found: Mapping[str, Sequence[Finding]], *, at: datetime) -> str:
    """Return the report in Markdown, failures first within each step."""
    every = [finding for findings in found.values() for finding in findings]
    failed = sum(not finding.passed for finding in every)
    lines = ["# Model validation", "", f"{at:%Y-%m-%d %H:%M} UTC: {len(every)} checks, {failed} failed.", ""]
    for step, findings in found.items():
        lines += [f"## {_TITLES.get(step, step)}", "", "| | what | found |", "|---|---|---|"]
        for finding in sorted(findings, key=lambda one: one.passed):
            mark = "passed" if finding.passed else "**failed**"
            lines.append(f"| {mark} | {finding.subject} | {finding.detail.replace('|', '/')} |")
        lines.append("")
    return "\n".join(lines)


def render_page(registry: str, found: Mapping[str, Sequence[Finding]], *, at: datetime) -> str:
    """Return MODEL_REGISTRY.md: the repository's own page, and when and how it was last validated."""
    every = [finding for findings in found.values() for finding in findings]
    failed = [finding for finding in every if not finding.passed]
    verdict = "all passed" if not failed else f"{len(failed)} failed"
    lines = ["## Validation", "", f"{at:%Y-%m-%d}: {len(every)} checks, {verdict}.", ""]
    lines += [f"- {finding.subject}: {finding.detail}" for finding in failed]
    return registry.rstrip("\n") + "\n\n" + "\n".join(lines).rstrip("\n") + "\n"
