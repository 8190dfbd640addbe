"""`python -m deploy.dashboards write`: render the dashboards into deploy/grafana/dashboards."""

import json
import sys
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.dashboards import operations

FOLDER: Final = Path(__file__).parents[1] / "grafana" / "dashboards"


def render() -> dict[Path, str]:
    """Return the text of each dashboard file."""
    text = json.dumps(operations.build(), cls=JSONEncoder, indent=2, sort_keys=True)
    return {FOLDER / "operations.json": text + "\n"}


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
