"""Small parts of the demo: how it is stopped, how it counts a rate, what its children are told."""

import os
import signal
import socket
from pathlib import Path

import pytest

from cli.demo.processes import (
    Stopped,
    api_environment,
    base_environment,
    health,
    port_for,
    processor_environment,
    stopping,
)
from cli.demo.statistics import Meter
from runtime.children import free_port
from runtime.settings import KafkaSettings, load_settings


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_run_and_later_ones_cannot_disturb_the_tidying_up(number: signal.Signals, code: int) -> None:
    tidied = []

    def run() -> None:
        with stopping():
            try:
                signal.raise_signal(number)
                pytest.fail("the run went on")
            finally:
                signal.raise_signal(number)
                signal.raise_signal(signal.SIGTERM)
                tidied.append("all")

    with pytest.raises(Stopped) as stopped:
        run()
    assert stopped.value.exit_code == code
    assert tidied == ["all"]


def test_an_expected_ctrl_c_is_noted_and_a_second_one_stops_the_run() -> None:
    noted = []

    def run() -> None:
        with stopping() as stops:
            stops.expected = True
            signal.raise_signal(signal.SIGINT)
            noted.append(stops.asked)
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the run went on")

    with pytest.raises(Stopped):
        run()
    assert noted == [True]


def test_signals_are_what_they_were_once_the_run_is_over() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stopping():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_rate_is_that_of_the_last_seconds() -> None:
    now = 0.0
    meter = Meter(window_seconds=5.0, clock=lambda: now)
    assert meter.rate() == 0.0
    for second in range(20):
        now = float(second)
        meter.note(1000 if second < 10 else 1000 + 16 * (second - 10))
    assert meter.rate() == pytest.approx(16.0)


def test_the_processor_is_led_to_the_demos_broker_whatever_the_user_has_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", "kafka.example.com:9093")
    monkeypatch.setenv("NEXOVA_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("NEXOVA_KAFKA__SASL_MECHANISM", "PLAIN")
    monkeypatch.setenv("NEXOVA_KAFKA__SASL_USERNAME", "user")
    monkeypatch.setenv("NEXOVA_KAFKA__SASL_PASSWORD", "word")
    monkeypatch.setenv("MODEL_PATH", "somewhere")
    ours = KafkaSettings(bootstrap_servers="127.0.0.1:1234")
    environment = processor_environment(base_environment(load_settings(), temporary=tmp_path), ours, web_port=4321)
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text("NEXOVA_KAFKA__GROUP=theirs\nNEXOVA_KAFKA__SSL_CA_FILE=ca.pem\n")
    settings = load_settings()
    assert settings.kafka == ours
    assert settings.model_path == "somewhere"
    assert settings.processor.web_port == 4321


def test_the_api_of_a_demo_is_one_process_on_this_machine_with_the_tokens_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WORKERS", "4")
    monkeypatch.setenv("NEXOVA_API__HOST", "0.0.0.0")  # noqa: S104
    monkeypatch.setenv("NEXOVA_API__TOKENS", f"ana:read:{'a' * 64}")
    ours = KafkaSettings(bootstrap_servers="127.0.0.1:1234")
    environment = api_environment(base_environment(load_settings(), temporary=tmp_path), ours, port=4321)
    for name in list(os.environ):
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    assert (settings.api.host, settings.api.port, settings.workers) == ("127.0.0.1", 4321, 1)
    assert settings.kafka == ours
    assert [token.name for token in settings.api.token_list] == ["ana"]


def test_a_port_that_somebody_has_is_replaced_by_a_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port_for(load_settings(_env_file=None, api={"port": port})) != port
    free = free_port()
    assert port_for(load_settings(_env_file=None, api={"port": free})) == free


def test_a_processor_that_does_not_answer_yet_says_nothing() -> None:
    assert health(free_port()) == {}
