"""Errors of commands as one line on stderr and an exit code."""

import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, Final

import typer

FAILED: Final = 1
MISUSED: Final = 2
INTERRUPTED: Final = 130


def reported(work: Callable[[], Any]) -> int:
    """Run `work` and return its exit code; an error it raises is printed on stderr."""
    try:
        code = work()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_stdout()
        return 0
    except typer.Abort:
        return INTERRUPTED
    except typer.TyperException as error:
        return _misused(error)
    except Exception as error:  # noqa: BLE001  no exception may leave without its message
        return _failed(error)
    return code if isinstance(code, int) else 0


def discard_stdout() -> None:
    """Send further output to the null device, after the reader of a pipe has left as in `nexova tail … | head`."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _misused(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # click has already printed the help
        typer.echo(error.format_message(), nl=False)
        return MISUSED
    command = getattr(context, "command_path", None) or "nexova"
    message = " ".join(error.format_message().split()).rstrip(".")
    print_error(f"{message}; see `{command} --help`")
    return MISUSED


def _failed(error: Exception) -> int:
    # imported here because `nexova --help` needs neither
    from core.plant import PlantError  # noqa: PLC0415
    from runtime.errors import NexovaError  # noqa: PLC0415

    if isinstance(error, NexovaError):
        if _debugging():
            traceback.print_exception(error)
        print_error(error.message)
        return error.exit_code
    if isinstance(error, PlantError):
        print_error(str(error))
        return MISUSED
    if _debugging():
        traceback.print_exception(error)
        return FAILED
    message = " ".join(str(error).split())[:300]
    print_error(
        f"unexpected {type(error).__name__}{': ' if message else ''}{message}; "
        "run it again with LOG_LEVEL=DEBUG to see where, and report that"
    )
    return FAILED


def print_error(message: str) -> None:
    """Print `message` as one line on stderr."""
    sys.stderr.write(f"nexova: {' '.join(message.splitlines())}\n")
    sys.stderr.flush()


def _debugging() -> bool:
    from runtime.errors import SettingsError  # noqa: PLC0415
    from runtime.settings import load_settings  # noqa: PLC0415

    try:
        return load_settings().log_level == "DEBUG"
    except SettingsError:
        return False
