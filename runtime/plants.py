"""Finds and reads plant files. The rules of their content are in `core.plant`."""

from pathlib import Path

from core.plant import Plant, PlantError, parse_plant
from runtime.errors import UsageError

_HERE = Path(__file__).resolve().parent


def shipped_plants() -> dict[str, Path]:
    """The plant files that come with the product, by name (`default`, `skab`)."""
    # an installed wheel carries them beside this module, a checkout at its top level
    folder = next((path for path in (_HERE / "plants", _HERE.parent / "plants") if path.is_dir()), _HERE)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_plant(path: Path | None) -> Plant:
    """The plant of the file `path`; None means `default`; the bare name of a shipped plant means that one.

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
