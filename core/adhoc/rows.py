"""Scores of rows outside the stream: a few readings of one machine, without the processor's state.

Each history is compared with the best available baseline, which the answer names:

    machine   the machine's own, from the processor's state; the rows continue its readings
    history   learned from the rows themselves, when there are at least `LEAST_HISTORY` of them
    type      of all machines of its type, from training; each row is scored alone
    plant     of all machines of the plant, from training: wide, so only values that are unusual for all stand out
    limits    none: physical ranges and limits of the plant file alone

Many histories are scored in one pass, because a pass costs more than a row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from scipy.special import chdtri

from core.arrays import Bools, Features, Floats, Ints
from core.batch import ReadingBatch
from core.detection.baseline import fit_baseline
from core.detection.features import observe, physical
from core.detection.scoring import combine_scores
from core.models import WHOLE_PLANT, FlagBy, Models, Reference
from core.plant import Plant
from core.plant.limits import LEVELS, limit_severity
from core.row_results import RowResults
from core.state.tables import allocate
from core.state.tracks import CONDITIONS, Tracks, tracks_layout, watched_sensors
from core.state.traits import MachineTraits, traits_of
from schemas.scores import FLAG_AT, BaselineLevel

Traits = tuple[float, float, float]

LEAST_HISTORY: Final = 60
"""Number of rows from which a history is compared with itself."""
_FAULTY: Final = 1.0  # score of a row with an impossible value: as high as the alert on a faulty sensor
_FLAG_OTHERS_BY: Final[FlagBy] = "both"
"""Score that flags rows compared with a borrowed baseline; a version's own choice holds for own baselines only."""
_RUNNING: Final = CONDITIONS.index("running")
_ALWAYS_RUNNING: Final = (-np.inf, -np.inf, -1.0)
_TYPE_NOISE: Final = 1 / 3  # noise of a sensor in scales of its type's baseline, which are wide
_OUTLYING: Final = 6.0  # robust standard deviations beyond which a row is not used for a baseline


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Rows of one machine in order of time. values: (n, S), NaN where missing, in the plant's order.

    tracks: the processor's state of the machine, a table of one row; None if unavailable.
    related: false for rows that form no history, such as rows of several machines of one type.
    """

    values: Floats
    machine_id: str | None = None
    tracks: Tracks | None = None
    related: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredRows:
    """Scores of the n rows of all histories, concatenated; D watched sensors.

    levels: one a history. by_forest (n,): a trained model took part. anomaly (n,): the score that the stream would
    give, NaN where not scored. score (n,) in [0, 1], high means anomalous: of anomaly, exceeded limits and impossible
    values the highest, 0 where not scored. scored (n,): false where the machine stands. expected (n, D) in the sensors'
    units, deviation (n, D) in scales, both NaN where unknown. contribution (n, S): share of each sensor in the score,
    sum 1, or 0 without a deviation. limits (n, S): severity of the exceeded limit. impossible (n, S): outside the
    sensor's physical range.
    """

    levels: tuple[BaselineLevel, ...]
    by_forest: Bools
    anomaly: Floats
    score: Floats
    scored: Bools
    expected: Floats
    deviation: Floats
    contribution: Floats
    limits: Ints
    impossible: Bools


@dataclass(slots=True)
class _Pass:
    """Slots and rows of all histories, collected for one pass over the compiled rules."""

    plant: Plant
    slots: list[Ints] = field(default_factory=list)
    times: list[Floats] = field(default_factory=list)
    rows: list[Floats] = field(default_factory=list)
    fills: list[tuple[int, int, Tracks | Reference]] = field(default_factory=list)
    traits: list[Traits] = field(default_factory=list)

    def add(
        self, values: Floats, known: Tracks | Reference, traits: tuple[float, float, float], *, apart: bool
    ) -> None:
        """Add rows that continue from `known`; apart: each row as if it were the first."""
        first, count = len(self.traits), len(values) if apart else 1
        interval = self.plant.interval_seconds
        begins = 0.0
        if not isinstance(known, Reference) and np.isfinite(known.last_seen[0]):
            begins, interval = float(known.last_seen[0]), float(known.interval[0])
        self.slots.append(first + (np.arange(len(values)) if apart else np.zeros(len(values), dtype=np.int64)))
        self.times.append(begins + interval * np.arange(1.0, len(values) + 1.0))
        self.rows.append(values)
        self.fills.append((first, first + count, known))
        self.traits += [traits] * count

    def run(self) -> RowResults:
        """Return the results of all rows, in the order in which they were added."""
        tracks = allocate(Tracks, tracks_layout(self.plant), len(self.traits))
        # every machine counts as running, calm and settled before its rows
        tracks.condition[:] = _RUNNING
        tracks.running_since[:] = -np.inf
        tracks.fitted[:] = True
        for first, end, known in self.fills:
            if isinstance(known, Reference):
                tracks.mean[first:end], tracks.scale[first:end] = known.mean, known.scale
                tracks.noise[first:end] = _TYPE_NOISE
                continue
            # a machine that stands now is treated as running
            assumed = {"fitted"} if known.condition[0] == _RUNNING else {"fitted", "condition", "running_since"}
            columns: tuple[Any, ...] = tracks
            for name, column, one in zip(Tracks._fields, columns, known, strict=True):
                if name not in assumed:
                    column[first:end] = one
        slots, times = np.concatenate(self.slots), np.concatenate(self.times)
        batch = ReadingBatch(
            machine_ids=(),  # the rules address machines by slot
            machine=slots,
            timestamps=times,
            values=np.concatenate(self.rows),
            offsets=np.arange(len(times)),
        )
        return observe(
            batch,
            slots=slots,
            values=batch.values,
            tracks=tracks,
            traits=MachineTraits(*np.array(self.traits).T.copy()),
            warm_ups={},
            plant=self.plant,
        )


def score_rows(
    histories: Sequence[History], *, models: Models, references: Mapping[str, Reference], plant: Plant
) -> ScoredRows:
    """Return the scores of all rows of `histories`.

    With the machine's own baseline they are those of the stream. With another one, the distance of a single row
    counts as well as that of the averages. With the whole plant's, forest and distance must agree: the lower of both.
    """
    watched = list(watched_sensors(plant))
    values = np.concatenate([history.values for history in histories])
    usable = physical(values, plant)
    planned = _Pass(plant)
    inside = np.zeros(len(values), dtype=np.bool_)
    widths = np.full(len(values), np.nan)
    forest_limits = np.full(len(values), FLAG_AT)
    by_plant = np.zeros(len(values), dtype=np.bool_)
    apart = np.zeros(len(values), dtype=np.bool_)
    own = np.zeros(len(values), dtype=np.bool_)
    levels = []
    begin = 0
    for history in histories:
        part = slice(begin, begin + len(history.values))
        begin = part.stop
        level, baseline = _baseline_for(history, usable[part], references, plant)
        levels.append(level)
        by_plant[part], own[part] = level == "plant", level == "machine"
        if baseline is None:
            continue
        inside[part] = True
        if isinstance(baseline, Reference):
            widths[part], apart[part] = baseline.limit, True
            forest_limits[part] = baseline.forest_limit
        planned.add(usable[part], baseline, _traits(history, plant), apart=isinstance(baseline, Reference))
    found = _Found.empty(len(values), len(watched))
    if planned.rows:
        found.take(inside, planned.run(), models)
    missing = np.isnan(usable[:, watched]) | np.isnan(found.expected)
    rate = plant.detection.false_alarm_rate
    limit = chdtri(np.maximum((~missing).sum(axis=1), 1), rate)
    limit = np.where(apart, limit * widths / chdtri(len(watched), rate), limit)
    squared = (found.deviation**2).sum(axis=1)
    distance = np.where(own, 0.0, squared / (squared + limit))
    course = np.where(apart, 0.0, np.nan_to_num(found.course))
    usual = np.maximum(distance, course) < FLAG_AT
    _equalise(found.trees, histories, levels, usual, forest_limits, plant)
    combined = np.maximum(distance, course)
    by_forest = np.isfinite(found.trees)
    for rows, flag_by in ((by_forest & own, models.flag_by), (by_forest & ~own, _FLAG_OTHERS_BY)):
        combined[rows] = combine_scores(combined[rows], found.trees[rows], flag_by=flag_by)
    # with the plant's wide baseline, a row is anomalous only if both scores say so
    combined = np.where(by_plant, np.fmin(distance, found.trees), combined)
    anomaly = np.where(found.scored, np.clip(combined, 0.0, 1.0), np.nan)
    shares = np.zeros_like(values)
    shares[:, watched] = np.where((own | (course > distance))[:, None], found.contribution, found.deviation**2)
    limits = limit_severity(values, plant)
    impossible = np.isnan(usable) & ~np.isnan(values)
    by_rule, broken = _by_rules(limits, impossible)
    shares = np.where(((by_rule > 0) & (by_rule >= np.nan_to_num(anomaly)))[:, None], broken, shares)
    return ScoredRows(
        levels=tuple(levels),
        by_forest=by_forest,
        anomaly=anomaly,
        score=np.maximum(np.nan_to_num(anomaly), by_rule),
        scored=found.scored | ~inside | (by_rule > 0),
        expected=np.where(missing, np.nan, found.expected),
        deviation=np.where(missing, np.nan, found.deviation),
        contribution=normalised(shares),
        limits=limits,
        impossible=impossible,
    )


def _by_rules(limits: Ints, impossible: Bools) -> tuple[Floats, Bools]:
    """Return each row's score by the plant file's limits and ranges, (n,), and which values decide it, (n, S)."""
    severity = limits.max(axis=1)
    score = np.where(impossible.any(axis=1), _FAULTY, np.array(LEVELS)[severity])
    return score, impossible | ((limits > 0) & (limits == severity[:, None]))


def _equalise(  # noqa: PLR0917  all of them columns of the same rows
    trees: Floats,
    histories: Sequence[History],
    levels: list[BaselineLevel],
    usual: Bools,
    limits: Floats,
    plant: Plant,
) -> None:
    """Move the forest's scores, in place, so that normal rows cross 0.5 at the plant's rate at every level.

    The forest was trained with machines' own baselines, learned from a whole warm-up. With any other baseline
    normal rows score higher: by how much follows from training or, for a history, from its `usual` rows, (n,).
    """
    begin = 0
    for history, level in zip(histories, levels, strict=True):
        part = slice(begin, begin + len(history.values))
        begin = part.stop
        own = trees[part][np.isfinite(trees[part]) & usual[part]]
        if level == "history" and len(own):
            limits[part] = max(FLAG_AT, float(np.quantile(own, 1 - plant.detection.false_alarm_rate)))
    below = 0.5 * trees / limits
    above = 0.5 + 0.5 * (trees - limits) / np.maximum(1 - limits, 1e-9)
    equalised = np.where(trees <= limits, below, np.minimum(above, 1.0))
    trees[:] = np.where(limits == FLAG_AT, trees, equalised)


def row_features(values: Floats, reference: Reference, plant: Plant) -> Features:
    """Return the anomaly features, (n, Fa), of single rows, (n, S), of machines in a steady state before."""
    planned = _Pass(plant)
    planned.add(physical(values, plant), reference, _ALWAYS_RUNNING, apart=True)
    return planned.run().anomaly


@dataclass(slots=True, kw_only=True)
class _Found:
    """Results of the compiled rules and the forest for each row; NaN or false where they were not run."""

    scored: Bools
    course: Floats
    trees: Floats
    expected: Floats
    deviation: Floats
    contribution: Floats

    @classmethod
    def empty(cls, rows: int, watched: int) -> Self:
        """Return empty results."""
        return cls(
            scored=np.zeros(rows, dtype=np.bool_),
            course=np.full(rows, np.nan),
            trees=np.full(rows, np.nan),
            expected=np.full((rows, watched), np.nan),
            deviation=np.zeros((rows, watched)),
            contribution=np.zeros((rows, watched)),
        )

    def take(self, rows: Bools, results: RowResults, models: Models) -> None:
        """Store the results of a pass over `rows`, and run the forest on those that were scored."""
        self.scored[rows] = results.scored
        self.course[rows], self.expected[rows] = results.distance, results.expected
        self.deviation[rows], self.contribution[rows] = results.deviation, results.contribution
        if models.anomaly is not None and results.scored.any():
            self.trees[np.flatnonzero(rows)[results.scored]] = models.anomaly.score(results.anomaly[results.scored])


def _traits(history: History, plant: Plant) -> Traits:
    return _ALWAYS_RUNNING if history.machine_id is None else traits_of(plant, history.machine_id)


def _baseline_for(
    history: History, values: Floats, references: Mapping[str, Reference], plant: Plant
) -> tuple[BaselineLevel, Tracks | Reference | None]:
    if history.tracks is not None and history.tracks.fitted[0]:
        return "machine", history.tracks
    if history.related and len(history.values) >= LEAST_HISTORY:
        return "history", _learned(values, plant)
    kind = plant.type_of(history.machine_id) if history.machine_id else None
    if kind is not None and kind.name in references:
        return "type", references[kind.name]
    if WHOLE_PLANT in references:
        return "plant", references[WHOLE_PLANT]
    return "limits", None


def _learned(values: Floats, plant: Plant) -> Tracks:
    """Return a table of one machine with the baseline of `values`, (n, S), without outlying rows."""
    watched = values[:, list(watched_sensors(plant))]
    policy = plant.detection
    least = np.array([plant.sensors[index].minimum_deviation / 3 for index in watched_sensors(plant)])
    # a column without values has no median; its baseline stays unknown
    present = ~np.isnan(watched).all(axis=0)
    middle, spread = np.full(watched.shape[1], np.nan), np.full(watched.shape[1], np.nan)
    middle[present] = np.nanmedian(watched[:, present], axis=0)
    spread[present] = 1.4826 * np.nanmedian(np.abs(watched[:, present] - middle[present]), axis=0)
    spread = np.maximum(spread, np.maximum(least, 1e-3 * np.abs(middle)))
    outlying = (np.abs(watched - middle) > _OUTLYING * np.where(spread > 0, spread, np.inf)).any(axis=1)
    usual = watched[~outlying] if (~outlying).sum() >= LEAST_HISTORY // 2 else watched
    fitted = fit_baseline(
        usual,
        smoothing=(policy.fast_smoothing, policy.slow_smoothing),
        false_alarm_rate=policy.false_alarm_rate,
        least_scale=least,
    )
    table = allocate(Tracks, tracks_layout(plant), 1)
    table.set_baseline(0, fitted)
    # the rows are scored from the first one on, so their averages start there
    table.averages[0], table.spread_mean[0] = 0.0, 0.0
    table.spread[0] = np.exp(table.spread_usual[0]) - table.spread_floor[0]
    return table


def normalised(shares: Floats) -> Floats:
    """Return shares, (n, D), scaled so that those of a row sum to 1; all zero where there are none."""
    total = shares.sum(axis=1, keepdims=True)
    scaled: Floats = shares / np.where(total > 0, total, 1.0)
    return scaled


def wear_features(histories: Sequence[History], *, plant: Plant) -> tuple[Features, Bools]:
    """Return the maintenance features of all rows, (n, Fm), and whether they are complete, (n,).

    The averages of a machine with known state continue; those of any other machine start with its rows.
    """
    planned = _Pass(plant)
    width = len(watched_sensors(plant))
    nothing = Reference(mean=np.zeros(width), scale=np.ones(width), limit=1.0)
    for history in histories:
        planned.add(physical(history.values, plant), history.tracks or nothing, _traits(history, plant), apart=False)
    results = planned.run()
    return results.maintenance, results.risky
