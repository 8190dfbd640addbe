"""The alert policy of each machine and kind, as arrays that the compiled rules read.

Not kept in the changelog: it follows from the plant file, so that a changed file takes effect.
"""

from typing import Final, NamedTuple, cast

import numpy as np

from core.arrays import Bools, Floats, Ints
from core.plant import Plant
from core.state.episodes import FOLLOWED_KINDS
from schemas.alerts import AlertKind

UNLIMITED: Final = float("inf")
_SIDES: Final = {"low": -1, "both": 0, "high": 1}
_CELLS: Final = 14


class AlertRules(NamedTuple):
    """The fields of `core.plant.AlertRule`, (m, K): m machines, one column for each kind that follows readings.

    budget_per_week: openings, infinite where there is no budget. silent_after_seconds, notices_silence: (m,).
    side (-1 low, 0 both, 1 high), minimum_deviation, minimum_relative_deviation: (m,), of kind anomaly.
    """

    readings_over: Ints
    of_readings: Ints
    resolve_below: Floats
    resolve_after_readings: Ints
    critical_score: Floats
    update_seconds: Floats
    merge_gap_seconds: Floats
    cooldown_seconds: Floats
    budget_per_week: Floats
    enabled: Bools
    silent_after_seconds: Floats
    notices_silence: Bools
    side: Ints
    minimum_deviation: Floats
    minimum_relative_deviation: Floats


def alert_rules(plant: Plant, machine_ids: list[str]) -> AlertRules:
    """Return the rules of these machines, in their order."""
    policy = plant.alert_policy
    types = [plant.type_of(machine_id) for machine_id in machine_ids]
    names = [None if kind is None else kind.name for kind in types]

    def column(kind: str) -> list[tuple[float, ...]]:
        found: list[tuple[float, ...]] = []
        for machine_id, name in zip(machine_ids, names, strict=True):
            rule = policy.rule_of(machine_id, name, cast("AlertKind", kind)) if policy.overrides else policy
            budget = UNLIMITED if rule.budget_per_week is None else rule.budget_per_week
            found.append(
                (
                    rule.readings_over,
                    rule.of_readings,
                    rule.resolve_below,
                    rule.resolve_after_readings,
                    rule.critical_score,
                    rule.update_seconds,
                    rule.merge_gap_seconds,
                    rule.cooldown_seconds,
                    budget,
                    rule.enabled,
                    rule.silent_after_seconds or plant.silent_after_seconds,
                    _SIDES[rule.direction],
                    rule.minimum_deviation,
                    rule.minimum_relative_deviation,
                )
            )
        return found

    cells = np.array([column(kind) for kind in FOLLOWED_KINDS], dtype=np.float64).reshape(
        len(FOLLOWED_KINDS), len(machine_ids), _CELLS
    )
    silence = np.array(column("silent"), dtype=np.float64).reshape(len(machine_ids), _CELLS)
    by_field = np.ascontiguousarray(cells.transpose(2, 1, 0))
    anomaly = by_field[:, :, FOLLOWED_KINDS.index("anomaly")]
    whole = [array.astype(np.int64) for array in by_field[[0, 1, 3]]]
    return AlertRules(
        readings_over=whole[0],
        of_readings=whole[1],
        resolve_below=by_field[2],
        resolve_after_readings=whole[2],
        critical_score=by_field[4],
        update_seconds=by_field[5],
        merge_gap_seconds=by_field[6],
        cooldown_seconds=by_field[7],
        budget_per_week=by_field[8],
        enabled=by_field[9].astype(np.bool_),
        silent_after_seconds=silence[:, 10].copy(),
        notices_silence=silence[:, 9].astype(np.bool_),
        side=anomaly[11].astype(np.int64),
        minimum_deviation=anomaly[12].copy(),
        minimum_relative_deviation=anomaly[13].copy(),
    )


def maintenance_spans(plant: Plant) -> Floats:
    """Return start and end of the plant's maintenance windows, epoch s, (w, 2), in the plant file's order."""
    spans = [(window.start.timestamp(), window.end.timestamp()) for window in plant.alerts.maintenance]
    return np.array(spans, dtype=np.float64).reshape(-1, 2)
