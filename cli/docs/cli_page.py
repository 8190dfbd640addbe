"""The reference of the command line, generated from the commands."""

from collections.abc import Iterator
from typing import Any

from cli.main import COMMANDS, load


def cli_page() -> str:
    """Return Markdown with a section for each command, its arguments and options."""
    lines: list[str] = []
    for name, entry in COMMANDS.items():
        if not entry.hidden:
            lines += _section(load(name), f"nexova {name}")
    return "\n".join(lines).rstrip("\n")


def _section(command: Any, path: str) -> Iterator[str]:
    children = getattr(command, "commands", None)
    if children:
        for name, child in children.items():
            yield from _section(child, f"{path} {name}")
        return
    yield from (f"## {path}", "", *_paragraphs(command.help or ""), "")
    rows = [_row(parameter) for parameter in command.params if parameter.name != "help"]
    if rows:
        yield from ("| Argument or option | Default | Description |", "| --- | --- | --- |", *rows, "")


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.replace("|", "\\|").split("\n\n")[:1]]


def _row(parameter: Any) -> str:
    names = parameter.opts if parameter.param_type_name == "option" else [(parameter.name or "").upper()]
    shown = ", ".join(f"`{name}`" for name in (*names, *parameter.secondary_opts))
    choices = getattr(getattr(parameter, "type", None), "choices", ())
    values = f" One of {', '.join(map(str, choices))}." if choices else ""
    default = parameter.default
    plain = "" if default is None or default == [] or callable(default) else f"`{getattr(default, 'value', default)}`"
    text = (getattr(parameter, "help", None) or "").replace("|", "\\|")
    return f"| {shown} | {plain if parameter.required is False else 'required'} | {text}{values} |"
