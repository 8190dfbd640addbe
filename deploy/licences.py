"""Licences of the installed packages, one a line: `python -m deploy.licences`."""

import sys
from importlib.metadata import Distribution, distributions
from typing import Final

_CLASSIFIER: Final = "License :: OSI Approved :: "
_LONGEST: Final = 60


def licence_of(package: Distribution) -> str:
    """Return a package's licence as its metadata states it, "unknown" where they do not."""
    stated = _first(package, "License-Expression")
    if not stated:
        classifiers = package.metadata.get_all("Classifier") or []
        stated = ", ".join(one.removeprefix(_CLASSIFIER) for one in classifiers if one.startswith(_CLASSIFIER))
    if not stated:
        # some put the whole text there
        stated = _first(package, "License").strip().split("\n")[0][:_LONGEST]
    return stated or "unknown"


def _first(package: Distribution, field: str) -> str:
    return str(next(iter(package.metadata.get_all(field) or [""])))


def main() -> int:
    """Print name, version and licence of each package."""
    rows = sorted({(one.metadata["Name"], one.version, licence_of(one)) for one in distributions()})
    for name, version, licence in rows:
        sys.stdout.write(f"{name}\t{version}\t{licence}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
