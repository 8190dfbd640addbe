import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer.main
import yaml

from runtime.settings import Settings
from runtime.settings_reference import setting_rows
from tests.deploy.checks import COMPOSE, ROOT, parse, run

VARIABLES = {row.variable for row in setting_rows()}


def nexova_commands(service: dict[str, Any]) -> list[list[str]]:
    """The command lines that a service of our image runs: its command, or the nexova lines of its shell script."""
    if service.get("image") != "nexova:local":
        return []
    if "entrypoint" not in service:
        return [service["command"]]
    lines = [shlex.split(line) for script in service["command"] for line in script.splitlines()]
    return [line[1:] for line in lines if line[:1] == ["nexova"]]


def test_compose_loads_the_file_and_finds_all_services(stack: dict[str, Any]) -> None:
    assert set(stack["services"]) == {
        "kafka", "topics", "train", "simulator", "processor", "api",
        "forwarder", "alertmanager", "prometheus", "prometheus-host", "grafana",
    }  # fmt: skip


def test_the_loader_refuses_a_misspelt_key(compose_loader: Path, tmp_path: Path) -> None:
    misspelt = tmp_path / "docker-compose.yml"
    misspelt.write_text(COMPOSE.read_text(encoding="utf-8").replace("healthcheck:", "helthcheck:", 1))

    refused = run(compose_loader, misspelt)

    assert refused.returncode != 0
    assert "helthcheck" in refused.stderr


def test_every_command_is_one_that_the_command_line_knows(stack: dict[str, Any]) -> None:
    from cli.main import app  # noqa: PLC0415 - the other tests need no command line

    root = typer.main.get_command(app)
    commands = [line for service in stack["services"].values() for line in nexova_commands(service)]

    assert [line[:2] for line in commands] == [
        ["serve"], ["forward", "--to"], ["process"], ["produce", "simulate"], ["topics", "create"],
        ["data", "generate"], ["train", "all"],
    ]  # fmt: skip
    for line in commands:
        parse(root, line)
    with pytest.raises(Exception, match="No such option"):
        parse(root, ["process", "--no-such-option"])


def test_two_processors_wait_for_the_topics_and_the_first_models(stack: dict[str, Any]) -> None:
    processor = stack["services"]["processor"]

    assert processor["deploy"]["replicas"] == 2
    conditions = {name: waits["condition"] for name, waits in processor["depends_on"].items()}
    assert conditions == dict.fromkeys(("topics", "train"), "service_completed_successfully")
    assert stack["services"]["topics"]["depends_on"]["kafka"]["condition"] == "service_healthy"


def test_what_others_wait_for_can_be_waited_for(stack: dict[str, Any]) -> None:
    services = stack["services"]
    for service in services.values():
        for name, waits in service.get("depends_on", {}).items():
            if waits["condition"] == "service_healthy":
                assert services[name]["healthcheck"]["test"]
            else:
                assert services[name]["restart"] == "on-failure", f"{name} never completes"


def test_the_processors_health_is_asked_where_it_is_served(stack: dict[str, Any]) -> None:
    port = Settings.model_fields["processor"].default.web_port
    check = " ".join(stack["services"]["processor"]["healthcheck"]["test"])
    scrape = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = [job for job in scrape["scrape_configs"] if job["job_name"] == "nexova-processor"]

    assert f"127.0.0.1:{port}/healthz" in check
    assert job["dns_sd_configs"][0] | {"refresh_interval": ""} == {
        "names": ["processor"], "type": "A", "port": port, "refresh_interval": "",
    }  # fmt: skip
    assert f"EXPOSE {port}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_every_process_that_has_metrics_is_scraped(stack: dict[str, Any]) -> None:
    folder, services, settings = ROOT / "deploy" / "prometheus", stack["services"], Settings()
    inside = yaml.safe_load((folder / "prometheus.yml").read_text(encoding="utf-8"))
    beside = yaml.safe_load((folder / "host.yml").read_text(encoding="utf-8"))
    found = {
        name: source["port"]
        for job in inside["scrape_configs"]
        for source in job.get("dns_sd_configs", [])
        for name in source["names"]
    }

    assert found == {"processor": settings.processor.web_port, "forwarder": settings.forwarder.web_port}
    image = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert [name for name in found if f"NEXOVA_{name.upper()}__WEB_HOST=0.0.0.0" not in image] == []
    (api,) = [job["static_configs"][0]["targets"] for job in beside["scrape_configs"]]
    assert api == [f"{settings.api.host}:{settings.api.port}"]
    assert services["prometheus-host"]["network_mode"] == services["api"]["network_mode"] == "host"
    (port,) = services["prometheus"]["ports"]
    assert urlsplit(beside["remote_write"][0]["url"]).netloc == f"{port['host_ip']}:{port['published']}"
    assert "--web.enable-remote-write-receiver" in services["prometheus"]["command"]


def test_alarms_of_prometheus_and_of_the_plant_reach_the_same_alertmanager(stack: dict[str, Any]) -> None:
    inside = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (source,) = inside["alerting"]["alertmanagers"][0]["dns_sd_configs"]
    (name,) = source["names"]

    assert stack["services"]["forwarder"]["command"][-1] == f"http://{name}:{source['port']}"
    assert name in stack["services"]


def test_every_variable_of_ours_is_a_setting(stack: dict[str, Any]) -> None:
    ours = {
        name
        for service in stack["services"].values()
        if service.get("image") == "nexova:local"
        for name in service.get("environment", {})
    }
    ours |= set(re.findall(r"^ *(?:ENV )?(NEXOVA_\w+)=", (ROOT / "Dockerfile").read_text(), re.MULTILINE))

    assert {"NEXOVA_KAFKA__BOOTSTRAP_SERVERS", "NEXOVA_MODEL_PATH", "NEXOVA_PROCESSOR__WEB_HOST"} <= ours
    assert ours <= VARIABLES


def test_our_services_reach_the_broker_by_the_name_it_advertises(stack: dict[str, Any]) -> None:
    services = stack["services"]
    advertised = services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]

    for name in ("topics", "simulator", "processor", "forwarder"):
        server = services[name]["environment"]["NEXOVA_KAFKA__BOOTSTRAP_SERVERS"]
        assert f"INSIDE://{server}" in advertised
    published = services["kafka"]["ports"][0]
    assert f"OUTSIDE://{published['host_ip']}:{published['published']}" in advertised
    from_this_machine = services["api"]["environment"]["NEXOVA_KAFKA__BOOTSTRAP_SERVERS"]
    assert f"OUTSIDE://{from_this_machine}" in advertised


def test_the_api_listens_on_this_machine_only_and_is_asked_there(stack: dict[str, Any]) -> None:
    api, settings = stack["services"]["api"], Settings.model_fields["api"].default

    # without tokens it serves nobody else, and a published port would come from elsewhere
    assert (api["network_mode"], api["command"]) == ("host", ["serve"])
    assert "NEXOVA_API__HOST" not in api["environment"]
    assert f"{settings.host}:{settings.port}/ready" in " ".join(api["healthcheck"]["test"])


def test_nothing_is_published_beyond_this_machine(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        for port in service.get("ports", []):
            assert port["host_ip"] == "127.0.0.1", name


def test_there_is_no_secret_in_the_file(stack: dict[str, Any]) -> None:
    names = {name for service in stack["services"].values() for name in service.get("environment", {})}

    assert not {name for name in names if re.search("PASSWORD|SECRET|TOKEN|CREDENTIAL", name)}


def test_our_containers_can_write_to_nothing_but_what_they_need(stack: dict[str, Any]) -> None:
    for name, service in stack["services"].items():
        if service.get("image") == "nexova:local":
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            writable = {volume["target"] for volume in service["volumes"] if not volume.get("read_only")}
            # a processor takes a promotion back in the registry
            models = {"/models"} if name in {"train", "processor"} else set()
            assert writable == {"/var/cache/nexova"} | models, name


def test_compiled_code_goes_where_the_containers_may_write() -> None:
    # numba refuses to load our rules at all when it cannot write to its cache
    assert "NUMBA_CACHE_DIR=/var/cache/nexova" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_what_is_mounted_from_the_checkout_is_there_and_grafana_finds_it(stack: dict[str, Any]) -> None:
    bound = {
        volume["target"]: Path(volume["source"])
        for service in stack["services"].values()
        for volume in service.get("volumes", [])
        if volume["type"] == "bind"
    }
    assert all(source.exists() for source in bound.values())

    provisioning = bound["/etc/grafana/provisioning"]
    providers = yaml.safe_load((provisioning / "dashboards" / "nexova.yml").read_text())["providers"]
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    home = Path(stack["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    dashboards = bound[providers[0]["options"]["path"]]

    assert (dashboards / home.name).is_file()
    uid = json.loads((dashboards / home.name).read_text())["panels"][1]["datasource"]["uid"]
    assert [source["uid"] for source in sources] == [uid]
    assert sources[0]["url"] == "http://prometheus:9090"
