"""Help as people see it: rendered, not as it stands in the code."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from cli.main import COMMANDS, load, run

FRAME = re.compile(r"[─│╭╮╰╯┌┐└┘]")


def leaves(name: str, command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Return a command and all its subcommands, with the words that call them."""
    yield (name,), command
    for sub, found in getattr(command, "commands", {}).items():
        for words, leaf in leaves(sub, found):
            yield (name, *words), leaf


ALL = [found for name in COMMANDS for found in leaves(name, load(name))]


def plain(text: str) -> str:
    """Return the text without frames, escapes and line breaks."""
    return " ".join(FRAME.sub(" ", text).replace("\\[", "[").split())


@pytest.mark.parametrize(
    ("words", "command"), ALL, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_help_text_is_shown_in_full(
    words: tuple[str, ...], command: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    assert run([*words, "--help"]) == 0
    shown = plain(capsys.readouterr().out)

    texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    assert [text for text in map(plain, filter(None, texts)) if text not in shown] == []
    assert command.help, "every command says what it does"


def test_the_extras_of_training_keep_their_brackets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    run(["train", "--help"])

    assert "dask and ray need the extra nexova[dask] or nexova[ray]" in plain(capsys.readouterr().out)
