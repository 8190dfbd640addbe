"""What tests of this room start from."""

from functools import cache

from core.plant import Plant
from producer.fleet import Fleet
from runtime.plants import load_plant

MONDAY = 1_736_121_600.0  # 2025-01-06T00:00:00Z
DAY = 86_400.0


@cache
def default_plant() -> Plant:
    return load_plant(None)


def a_fleet(
    *,
    machines: int = 3,
    seed: int = 1,
    epoch: float = MONDAY,
    interval_seconds: float = 300.0,
    least_days: float = 14.0,
    fault_share: float = 0.0,
    running_from: float | None = None,
) -> Fleet:
    return Fleet(
        plant=default_plant(),
        machines=machines,
        seed=seed,
        epoch=epoch,
        interval_seconds=interval_seconds,
        least_days=least_days,
        fault_share=fault_share,
        running_from=running_from,
    )
