import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from runtime.apache_kafka import fetch_libraries, java_program, remove_leftovers
from runtime.children import Child, child_process, free_port, port_answers
from runtime.embedded import embedded_broker
from runtime.errors import ChildEnded, FailureError, PortTaken, ToolMissing
from runtime.kafka import wait_for_broker
from runtime.settings import KafkaSettings

ROOT = Path(__file__).resolve().parents[2]
SLEEP = "import time; time.sleep(60)"


def test_the_embedded_broker_is_up_within_a_second_and_gone_after_its_block() -> None:
    started = time.monotonic()
    with embedded_broker() as broker:
        wait_for_broker(KafkaSettings(bootstrap_servers=broker.bootstrap_servers), max_retries=0)
        assert time.monotonic() - started < 3.0  # 0.05 s on a quiet machine
        broker.check()
    assert not runs(broker.pid)
    assert not broker.log.exists()


def test_it_listens_on_the_port_it_was_given() -> None:
    port = free_port()
    with embedded_broker(port) as broker:
        assert broker.bootstrap_servers == f"127.0.0.1:{port}"
        assert port_answers(port)


def test_a_taken_port_is_named_before_anything_starts() -> None:
    with embedded_broker() as first:
        port = int(first.bootstrap_servers.rpartition(":")[2])
        with pytest.raises(PortTaken, match=f"127.0.0.1:{port}: the port is taken"), embedded_broker(port):
            pass


def test_many_brokers_live_side_by_side() -> None:
    with embedded_broker() as first, embedded_broker() as second:
        assert first.bootstrap_servers != second.bootstrap_servers


def test_a_broker_that_dies_is_noticed_with_its_last_words() -> None:
    with embedded_broker() as broker:
        os.kill(broker.pid, signal.SIGKILL)
        assert within(5.0, lambda: ended(broker.child))
        with pytest.raises(ChildEnded, match="Tansu ended by itself with code -9: ready in"):
            broker.check()


def test_a_broker_does_not_outlive_a_parent_that_is_killed() -> None:
    code = (
        "import runtime.embedded, time\n"
        "with runtime.embedded.embedded_broker() as broker:\n"
        "    print(broker.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
    assert within(5.0, lambda: not runs(pid))


def test_variables_of_the_surroundings_do_not_configure_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_ENGINE", "nonsense://")
    monkeypatch.setenv("SCHEMA_REGISTRY", "nonsense://")
    with embedded_broker() as broker:
        assert "nonsense" not in broker.log.read_text()


def test_without_the_broker_program_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALF_TANSU_BIN", "/nowhere/tansu")
    with pytest.raises(ToolMissing, match="NEXOVA_KAFKA__BOOTSTRAP_SERVERS"), embedded_broker():
        pass


def test_a_program_that_ends_at_once_is_reported_with_code_and_last_line(tmp_path: Path) -> None:
    script = "print('first'); print('no such disk'); raise SystemExit(3)"
    with (
        pytest.raises(ChildEnded, match=r"the worker ended by itself with code 3: no such disk"),
        child_process("the worker", [sys.executable, "-c", script], log=tmp_path / "log") as child,
    ):
        child.wait_until(lambda: False, timeout_seconds=30.0)


def test_a_program_that_never_gets_ready_is_given_up_and_ended(tmp_path: Path) -> None:
    with (
        pytest.raises(ChildEnded, match=r"the worker was not ready in 0\.2 s"),
        child_process("the worker", [sys.executable, "-c", SLEEP], log=tmp_path / "log") as child,
    ):
        child.wait_until(lambda: False, timeout_seconds=0.2)
    assert not runs(child.pid)


def test_a_program_that_is_not_there_is_reported(tmp_path: Path) -> None:
    with (
        pytest.raises(ChildEnded),
        child_process("the worker", ["/nowhere/program"], log=tmp_path / "log") as child,
    ):
        child.wait_until(lambda: False, timeout_seconds=30.0)


def test_a_program_that_does_not_want_to_end_is_ended_after_its_grace(tmp_path: Path) -> None:
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); {SLEEP}"
    with child_process("deaf", [sys.executable, "-c", deaf], log=tmp_path / "log", grace_seconds=0.2) as child:
        child.wait_until(lambda: child.logged("deaf"), timeout_seconds=30.0)
    assert child.process.returncode == -signal.SIGKILL


def test_ctrl_c_on_the_terminal_reaches_us_and_not_the_child(tmp_path: Path) -> None:
    with child_process("sleeper", [sys.executable, "-c", SLEEP], log=tmp_path / "log") as child:
        assert os.getpgid(child.pid) != os.getpgid(0)


def test_without_java_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolMissing, match="no java on PATH; install Java 17"):
        java_program()


def test_a_java_that_is_too_old_is_named_with_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ToolMissing, match="is 11; install Java 17"):
        java_program()


def test_without_maven_and_without_the_jars_the_remedy_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(ToolMissing, match="no mvn on PATH"):
        fetch_libraries()


def test_a_maven_that_fails_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho '[ERROR] no network'\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(FailureError, match="no network"):
        fetch_libraries()
    assert [path.name for path in (tmp_path / "cache" / "nexova").iterdir()] == ["kafka.lock"]


def test_the_data_of_a_killed_kafka_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    left, mine = tmp_path / f"nexova-kafka-{gone.pid}-x", tmp_path / f"nexova-kafka-{os.getpid()}-x"
    left.mkdir()
    mine.mkdir()
    remove_leftovers()
    assert not left.exists()
    assert mine.exists()


def runs(pid: int) -> bool:
    """Whether a process lives; one that only waits to be noticed does not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def ended(child: Child) -> bool:
    return child.process.poll() is not None


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
