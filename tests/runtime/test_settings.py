import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from runtime.errors import SettingsError
from runtime.settings import Settings, load_settings
from runtime.settings_reference import env_example, setting_rows, settings_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without the developer's own .env."""
    monkeypatch.chdir(tmp_path)


def test_without_anything_set_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers == "127.0.0.1:9092"
    assert (settings.kafka.partitions, settings.kafka.group) == (8, "nexova-processor")
    assert (settings.log_level, settings.log_format, settings.max_retries) == ("INFO", "text", 5)
    assert settings.plant_file is None


def test_nested_variables_reach_their_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__PARTITIONS", "12")
    monkeypatch.setenv("NEXOVA_PROCESSOR__PUBLISH_SCORES", "false")
    settings = load_settings()
    assert settings.kafka.partitions == 12
    assert settings.processor.publish_scores is False


@pytest.mark.parametrize("prefix", ["", "NEXOVA_"])
def test_the_five_bare_names_work_with_and_without_the_prefix(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"MODEL_PATH": "s3://m", "LOG_LEVEL": "debug", "WORKERS": "3", "MAX_RETRIES": "9", "CACHE_TIMEOUT": "1.5"}
    for name, value in given.items():
        monkeypatch.setenv(prefix + name, value)
    settings = load_settings()
    assert settings.model_path == "s3://m"
    assert (settings.log_level, settings.workers, settings.max_retries) == ("DEBUG", 3, 9)
    assert settings.cache_timeout == pytest.approx(1.5)


def test_a_prefixed_name_wins_over_the_bare_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKERS", "2")
    monkeypatch.setenv("NEXOVA_WORKERS", "4")
    assert load_settings().workers == 4


def test_overrides_win_and_leave_the_rest_of_a_group_as_it_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__PARTITIONS", "12")
    monkeypatch.setenv("NEXOVA_KAFKA__GROUP", "mine")
    settings = load_settings(kafka={"partitions": 4}, workers=2)
    assert (settings.kafka.partitions, settings.kafka.group, settings.workers) == (4, "mine", 2)


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("NEXOVA_KAFKA__GROUP=file\nNEXOVA_KAFKA__PARTITIONS=3\nWORKERS=5\n")
    monkeypatch.setenv("NEXOVA_KAFKA__GROUP", "environment")
    settings = load_settings()
    assert (settings.kafka.group, settings.kafka.partitions, settings.workers) == ("environment", 3, 5)


def test_settings_cannot_be_changed_once_built() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.kafka.partitions = 2  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.workers = 2  # type: ignore[misc]


def test_every_error_is_named_with_its_variable_value_and_rule_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__PARTITIONS", "many")
    monkeypatch.setenv("WORKERS", "0")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert "NEXOVA_KAFKA__PARTITIONS=many: " in message
    assert "NEXOVA_WORKERS=0: Input should be greater than or equal to 1" in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_misspelt_nested_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVER", "127.0.0.1:9092")
    with pytest.raises(SettingsError, match="NEXOVA_KAFKA__BOOTSTRAP_SERVER is not a setting"):
        load_settings()


def test_what_kubernetes_adds_for_a_service_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092")
    monkeypatch.setenv("NEXOVA_API_SERVICE_HOST", "10.0.0.2")
    assert load_settings() == Settings(_env_file=None)


@pytest.mark.parametrize("servers", ["localhost", "kafka:", "kafka:9092,", "kafka:9092 other:9092", ""])
def test_a_bootstrap_server_without_its_port_is_refused(servers: str) -> None:
    with pytest.raises(SettingsError, match=r"NEXOVA_KAFKA__BOOTSTRAP_SERVERS=.*host:port"):
        load_settings(kafka={"bootstrap_servers": servers})


def test_spaces_between_bootstrap_servers_are_taken_out() -> None:
    settings = load_settings(kafka={"bootstrap_servers": "a:9092, [::1]:9093"})
    assert settings.kafka.bootstrap_servers == "a:9092,[::1]:9093"


def test_incomplete_credentials_are_refused_and_no_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXOVA_KAFKA__SECURITY_PROTOCOL", "sasl_ssl")
    monkeypatch.setenv("NEXOVA_KAFKA__SASL_PASSWORD", "hush")
    with pytest.raises(SettingsError, match="SASL_SSL needs sasl_mechanism, sasl_username") as caught:
        load_settings()
    assert "hush" not in str(caught.value)


def test_credentials_without_a_protocol_that_uses_them_are_refused() -> None:
    with pytest.raises(SettingsError, match="security_protocol PLAINTEXT"):
        load_settings(kafka={"sasl_username": "nexova"})


def test_a_password_does_not_show_when_settings_are_printed() -> None:
    secure = {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "nexova",
        "sasl_password": "hush",
    }
    settings = load_settings(kafka=secure)
    assert "hush" not in repr(settings) + str(settings) + settings.model_dump_json()


def test_the_process_may_not_end_before_it_has_warned() -> None:
    with pytest.raises(SettingsError, match="exit_after_stall_seconds"):
        load_settings(processor={"stall_seconds": 60, "exit_after_stall_seconds": 30})


def test_the_env_example_is_current() -> None:
    written = (ROOT / ".env.example").read_text()
    assert written == env_example(), "run `python -m runtime.settings_reference`"


def test_the_env_example_states_the_defaults() -> None:
    commented_in = [line.removeprefix("#") for line in env_example().splitlines() if line.startswith("#NEXOVA_")]
    Path(".env").write_text("\n".join(commented_in))
    assert load_settings() == Settings(_env_file=None)
    assert len(commented_in) == len(setting_rows())


def test_every_setting_has_a_description_and_a_rule() -> None:
    for row in setting_rows():
        assert row.description.endswith("."), row.variable
        assert row.rule, row.variable
        assert f"| `{row.variable}` |" in settings_table()


def test_importing_reads_no_settings_so_a_wrong_one_does_no_harm_before_it_is_asked_for() -> None:
    wrong = os.environ | {"NEXOVA_KAFKA__PARTITIONS": "many", "LOG_LEVEL": "loud", "WORKERS": "-1"}
    modules = (
        "runtime.settings, runtime.kafka, runtime.embedded, runtime.logging, runtime.apache_kafka, cli.doctor.command"
    )
    imported = [sys.executable, "-c", f"import {modules}"]
    subprocess.run(imported, check=True, cwd=ROOT, env=wrong)
    asked = [sys.executable, "-c", "import runtime.settings; runtime.settings.load_settings()"]
    assert subprocess.run(asked, check=False, cwd=ROOT, env=wrong, capture_output=True).returncode == 1
