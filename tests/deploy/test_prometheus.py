import re
from pathlib import Path
from typing import Any

import yaml

from runtime.metrics import ProcessorMetrics, ProducerMetrics
from tests.deploy.checks import ROOT, run

FOLDER = ROOT / "deploy" / "prometheus"


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((FOLDER / "rules" / "nexova.yml").read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def test_prometheus_accepts_its_configuration(promtool: Path) -> None:
    checked = run(promtool, "check", "config", FOLDER / "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "1 rule files found" in checked.stdout


def test_every_alert_fires_when_it_should_and_stays_quiet_when_not(promtool: Path) -> None:
    checked = run(promtool, "test", "rules", FOLDER / "tests" / "nexova_test.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    document = yaml.safe_load((FOLDER / "tests" / "nexova_test.yml").read_text(encoding="utf-8"))
    cases = [case for test in document["tests"] for case in test["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == names


def test_alerts_name_metrics_of_the_catalogue_only() -> None:
    known = {metric.name for each in (ProcessorMetrics, ProducerMetrics) for metric in each.catalogue()}

    for rule in rules():
        assert set(re.findall(r"nexova_\w+", rule["expr"])) <= known, rule["alert"]


def test_every_alert_leads_to_a_section_that_says_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", page, flags=re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    for rule in rules():
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert file == "docs/operations.md"
        assert anchor in anchors, f"{rule['alert']} points to #{anchor}"
