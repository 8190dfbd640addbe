import re
from pathlib import Path
from typing import Any

import yaml

from runtime.metrics import ApiMetrics, ForwarderMetrics, ProcessorMetrics, ProducerMetrics
from tests.deploy.checks import ROOT, debian_program, run

FOLDER = ROOT / "deploy" / "prometheus"
SETS = (ApiMetrics, ForwarderMetrics, ProcessorMetrics, ProducerMetrics)


ASKED_FOR = {
    "ServiceDown", "NoReadings", "ConsumerLagGrowing", "ConsumerStuck", "WatermarkStalled", "RestoreStuck",
    "ModelStale",
    "ModelLoadFailed", "FallbackShareHigh", "AnomalyRateJump", "ScoreFlatline", "LateDataHigh", "DeadLettersGrowing",
    "TrainingFailed", "PromotionRejected", "ForecastCoverageLow", "AlarmFlood", "MachineSilent", "OutputFailing",
    "ClockSkew",
}  # fmt: skip


def rules() -> list[dict[str, Any]]:
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in (FOLDER / "rules").glob("*.yml")]
    return [rule for document in documents for group in document["groups"] for rule in group["rules"]]


def cases() -> list[dict[str, Any]]:
    documents = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in (FOLDER / "tests").glob("*_test.yml")]
    return [case for document in documents for test in document["tests"] for case in test["alert_rule_test"]]


def test_every_alert_that_was_asked_for_is_there() -> None:
    assert {rule["alert"].removeprefix("Nexova") for rule in rules()} >= ASKED_FOR


def test_prometheus_accepts_its_configuration(promtool: Path) -> None:
    checked = run(promtool, "check", "config", FOLDER / "prometheus.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "2 rule files found" in checked.stdout


def test_prometheus_accepts_the_configuration_of_its_agent(promtool: Path) -> None:
    checked = run(promtool, "check", "config", "--agent", FOLDER / "host.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_alertmanager_accepts_its_configuration() -> None:
    checked = run(debian_program("amtool"), "check-config", FOLDER / "alertmanager.yml")

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_when_it_should_and_stays_quiet_when_not(promtool: Path) -> None:
    checked = run(promtool, "test", "rules", *sorted((FOLDER / "tests").glob("*_test.yml")))

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    names = {rule["alert"] for rule in rules()}

    assert {case["alertname"] for case in cases() if case["exp_alerts"]} == names
    assert {case["alertname"] for case in cases() if not case["exp_alerts"]} == names


def test_alerts_name_metrics_of_the_catalogue_only() -> None:
    known = {metric.name for each in SETS for metric in each.catalogue()}

    for rule in rules():
        assert set(re.findall(r"nexova_\w+", rule["expr"])) <= known, rule["alert"]


def test_every_alert_leads_to_a_section_that_says_what_to_do() -> None:
    anchors = {
        f"docs/{page}#{re.sub(r'[^a-z0-9 -]', '', heading.lower()).replace(' ', '-')}"
        for page in ("operations.md", "runbook.md")
        for heading in re.findall(r"^#+ (.+)$", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    }

    for rule in rules():
        assert rule["annotations"]["runbook"] in anchors, rule["alert"]


def test_the_runbook_lists_every_alert() -> None:
    page = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")

    assert set(re.findall(r"`(Nexova\w+)`", page)) >= {rule["alert"] for rule in rules()}
