"""`python -m deploy.dashboards write`: render the dashboards into deploy/grafana/dashboards."""

import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.dashboards import alerts, fleet, forecasts, machines, models, stream

BOARDS: Final = {
    "fleet": fleet.build,
    "machines": machines.build,
    "stream": stream.build,
    "models": models.build,
    "forecasts": forecasts.build,
    "alerts": alerts.build,
}
FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"


def render() -> dict[Path, str]:
    """Return the text of each dashboard file."""
    return {
        FOLDER / f"{name}.json": json.dumps(build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"
        for name, build in BOARDS.items()
    }


def main(arguments: list[str]) -> int:
    """Write the files; returns the exit code."""
    if arguments != ["write"]:
        sys.stderr.write("usage: python -m deploy.dashboards write\n")
        return 2
    for path, text in render().items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
