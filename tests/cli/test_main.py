"""The command line as a whole: help, versions, errors and exit codes."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from cli.errors import reported
from cli.main import COMMANDS, load, run
from runtime.children import free_port
from runtime.errors import FailureError, UsageError
from tests.cli.command import ROOT, environment, nexova

COMMANDS_OF_THE_DESIGN = ("demo", "topics", "produce", "data", "train", "process", "models", "doctor", "tail")
# modules that cost time to import and that help does not need
HEAVY = ("numpy", "numba", "pandas", "pydantic", "faust", "confluent_kafka", "sklearn", "onnxruntime")


def one_line(stderr: str) -> str:
    """What stands on stderr, which must be a single line."""
    assert stderr.count("\n") == 1, stderr
    assert stderr.startswith("nexova: ")
    return stderr.strip()


def test_help_lists_all_commands_and_says_how_to_start(tmp_path: Path) -> None:
    done = nexova("--help", folder=tmp_path)
    assert done.returncode == 0
    for command in COMMANDS_OF_THE_DESIGN:
        assert f" {command} " in done.stdout
    assert "nexova demo" in done.stdout


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom cli.main import run\nrun(['--help'])\n"
        f"sys.stderr.write(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_help_comes_at_once(tmp_path: Path) -> None:
    nexova("--help", folder=tmp_path)  # the first run may have to compile
    before = processor_seconds()
    nexova("--help", folder=tmp_path)
    # what the wall clock says depends on what else this machine does
    assert processor_seconds() - before < 1.0


def processor_seconds() -> float:
    """Processor time of all our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_can_be_loaded_and_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert load(name).name == name
    assert run([name, "--help"]) == 0
    assert f"nexova {name}" in capsys.readouterr().out


def test_the_version_is_told(tmp_path: Path) -> None:
    done = nexova("--version", folder=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("nexova ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tial"], "Did you mean 'tail'?"),
        (["tail"], "Missing argument 'what'"),
        (["tail", "everything"], "'everything'"),
        (["tail", "alerts", "--limit", "0"], "'--limit'"),
        (["demo", "--fast"], "--fast"),
        (["demo", "--broker", "rabbit"], "'rabbit'"),
        (["demo", "--duration", "-1"], "'--duration'"),
        (["process", "--workers", "many"], "'--workers'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    printed = capsys.readouterr()
    line = one_line(printed.err)
    assert words in line
    assert "--help" in line
    assert printed.out == ""


@pytest.mark.parametrize("arguments", [["tail", "alerts"], ["process"]])
def test_without_a_broker_there_is_one_clear_line_and_exit_code_1(arguments: list[str], tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    variables = {"MAX_RETRIES": "0", "NEXOVA_KAFKA__BOOTSTRAP_SERVERS": address}
    done = nexova(*arguments, folder=tmp_path, variables=variables)
    assert done.returncode == 1
    line = one_line(done.stderr)
    assert address in line
    assert "NEXOVA_KAFKA__BOOTSTRAP_SERVERS" in line


def test_a_broken_plant_file_is_the_users_mistake(tmp_path: Path) -> None:
    plant = tmp_path / "plant.toml"
    plant.write_text('name = "x"\ntimezone = "Mars/Olympus"\n')
    done = nexova("demo", "--duration", "5", folder=tmp_path, variables={"NEXOVA_PLANT_FILE": str(plant)})
    assert done.returncode == 2
    assert "Mars/Olympus" in one_line(done.stderr)


def test_a_broken_setting_is_the_users_mistake(tmp_path: Path) -> None:
    done = nexova("tail", "alerts", folder=tmp_path, variables={"MAX_RETRIES": "-1"})
    assert done.returncode == 2
    assert "MAX_RETRIES=-1" in one_line(done.stderr)


def test_what_nobody_expected_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise RuntimeError("the roof\nfell in")

    assert reported(work) == 1
    line = one_line(capsys.readouterr().err)
    assert "RuntimeError: the roof fell in" in line
    assert "LOG_LEVEL=DEBUG" in line


def test_a_traceback_comes_with_log_level_debug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        raise RuntimeError("the roof fell in")

    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert reported(work) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("x = 1: must be 2"), 2), (FailureError("no"), 1), (KeyboardInterrupt(), 130), (typer.Abort(), 130)],
)
def test_the_exit_code_tells_whose_fault_it_was(error: BaseException, code: int) -> None:
    def work() -> None:
        raise error

    assert reported(work) == code


def test_the_program_is_what_the_project_declares() -> None:
    assert 'nexova = "cli.main:main"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
