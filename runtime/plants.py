"""Plant files: where they are and how they are read. `core.plant` has the rules of their content."""

from pathlib import Path
from typing import Final

import plants
from core.plant import Plant, PlantError, parse_plant
from runtime.errors import UsageError

_SHIPPED: Final = Path(plants.__file__).resolve().parent


def shipped_plants() -> dict[str, Path]:
    """Return the plant files that come with Nexova, by name (`default`, `skab`)."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def load_plant(path: Path | None) -> Plant:
    """Return the plant of the file `path`; None is `default`, and a bare name is the shipped plant of that name.

    Raises:
        UsageError: the file is not there, cannot be read or breaks a rule; the message says what to do.
    """
    shipped = shipped_plants()
    chosen = Path("default") if path is None else path
    chosen = shipped.get(str(chosen), chosen)
    try:
        text = chosen.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        names = ", ".join(shipped)
        raise UsageError(
            f"plant file {chosen}: does not exist; give a TOML file or one of the shipped plants: {names}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"plant file {chosen}: cannot be read as UTF-8 text: {error}") from error
    try:
        return parse_plant(text, source=str(chosen))
    except PlantError as error:
        raise UsageError(str(error)) from error
