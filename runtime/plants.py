"""Location and loading of plant files; `core.plant` has the rules of their content."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import plants
from core.plant import Plant, PlantError, parse_plant
from runtime.errors import UsageError

_SHIPPED: Final = Path(plants.__file__).resolve().parent


def shipped_plants() -> dict[str, Path]:
    """Return the plant files that come with Nexova, by name (`default`, `skab`)."""
    return {path.stem: path for path in sorted(_SHIPPED.glob("*.toml"))}


def plant_path(path: Path | None) -> Path:
    """Return the file that `load_plant` reads: None is `default`, and a bare name is the shipped plant of that name."""
    chosen = Path("default") if path is None else path
    return shipped_plants().get(str(chosen), chosen)


def load_plant(path: Path | None, *, now: datetime | None = None) -> Plant:
    """Return the plant of the file that `plant_path` names, with the windows of its maintenance calendar.

    now: the calendar is expanded around this instant; default: the present one.

    Raises:
        UsageError: the file does not exist, cannot be read or breaks a rule; the message has the remedy.
    """
    chosen = plant_path(path)
    try:
        text = chosen.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        names = ", ".join(shipped_plants())
        raise UsageError(
            f"plant file {chosen}: does not exist; give a TOML file or one of the shipped plants: {names}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"plant file {chosen}: cannot be read as UTF-8 text: {error}") from error
    try:
        plant = parse_plant(text, source=str(chosen))
    except PlantError as error:
        raise UsageError(str(error)) from error
    return plant if plant.alerts.calendar is None else _with_calendar(plant, chosen.parent, now or datetime.now(UTC))


def _with_calendar(plant: Plant, folder: Path, now: datetime) -> Plant:
    from runtime.maintenance_calendar import read_calendar  # noqa: PLC0415  most plants have none

    windows = read_calendar(folder / str(plant.alerts.calendar), timezone=plant.timezone, now=now)
    alerts = plant.alerts.model_copy(update={"maintenance": (*plant.alerts.maintenance, *windows)})
    return plant.model_copy(update={"alerts": alerts})
