"""`nexova docs write|check`: updates or checks the generated parts of docs/.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`; everything else in a page is written by
people. The JSON Schemas and the AsyncAPI document under docs/reference are generated whole.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cli.docs import tables
from cli.docs.cli_page import cli_page
from cli.docs.examples import alert_example
from cli.docs.plant_keys import plant_tables
from runtime.errors import FailureError, UsageError
from runtime.metrics import ApiMetrics, ForwarderMetrics, ProcessorMetrics, ProducerMetrics
from runtime.plants import load_plant
from runtime.settings_reference import settings_table
from schemas.export import asyncapi, json_schemas

app = typer.Typer(name="docs", help="Write or check the generated parts of the documentation.", hidden=True)
Folder = Annotated[Path, typer.Option("--folder", help="The documentation's folder, in a checkout.")]

_SECTION: Final = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


@app.command()
def write(folder: Folder = Path("docs")) -> None:
    """Bring the generated parts up to date."""
    for path, text in render(folder).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@app.command()
def check(folder: Folder = Path("docs")) -> None:
    """Fail if a generated part is out of date."""
    stale = [
        path for path, text in render(folder).items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    if stale:
        names = ", ".join(str(path) for path in stale)
        raise FailureError(f"{names}: not what the code says; run `nexova docs write` and commit the change")


def render(folder: Path) -> dict[Path, str]:
    """Return the text that each generated file, and each page with generated parts, should have.

    Raises:
        UsageError: a page is missing, or marks an unknown part.
    """
    plant = load_plant(None)
    sensors = plant.sensor_names
    schemas = json_schemas(sensors)
    pages = {
        "topics.md": {"topics": tables.topics_table()},
        "metrics.md": {
            "processor": tables.metrics_table(ProcessorMetrics),
            "producer": tables.metrics_table(ProducerMetrics),
            "forwarder": tables.metrics_table(ForwarderMetrics),
            "api": tables.metrics_table(ApiMetrics),
        },
        "cli.md": {"cli": cli_page()},
        "settings.md": {"settings": settings_table().strip()},
        "plant.md": {"plant": plant_tables()},
        "messages.md": {"alert": alert_example(plant), "messages": tables.messages_text(schemas)},
    }
    files = {folder / name: _filled(folder / name, parts) for name, parts in pages.items()}
    reference = folder / "reference"
    files |= {reference / f"{_kebab(name)}.json": _json(schema) for name, schema in schemas.items()}
    files[reference / "asyncapi.json"] = _json(asyncapi(sensors))
    return files


def _filled(page: Path, parts: dict[str, str]) -> str:
    """Return the text of `page` with its generated parts replaced."""
    try:
        text = page.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(f"{page}: does not exist; run this at the top of a checkout, or give --folder") from error
    marked = {match["name"] for match in _SECTION.finditer(text)}
    if marked != parts.keys():
        expected = ", ".join(sorted(parts))
        raise UsageError(f"{page}: marks {sorted(marked)} as generated; it must mark exactly: {expected}")
    return _SECTION.sub(lambda match: f"{match[1]}\n{parts[match['name']]}\n\n{match[3]}", text)


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
