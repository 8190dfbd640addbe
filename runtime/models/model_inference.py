"""Inference on rows and series outside the stream, with the promoted models."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, overload
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from core.adhoc.answers import FALLBACK, anomaly_answers, risk_answers
from core.adhoc.rows import History
from core.arrays import Floats
from core.detection.features import feature_fingerprint
from core.forecasting.engine import HourlySeries
from core.models import AnomalyModel, Models, RiskModel
from core.plant import Plant
from runtime.errors import NexovaError, UsageError
from runtime.forecasting.answers import ForecastAnswer, ForecastModel, forecast
from runtime.forecasting.published import FORECAST, OPENERS, MachineForecasts
from runtime.models.inference import Opener, last_good, load_models
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from runtime.models.signing import Trust
from runtime.plants import load_plant
from schemas.answers import Advice, AnomalyResult

LOGGER: Final = logging.getLogger("nexova.inference")

Column = float | Sequence[float | None] | Floats | None


class ModelInference:
    """Inference with the promoted models of `model_dir` on rows and series outside the stream.

    A missing or damaged model never raises: `problems` names it, and the documented fallback answers instead.

        inference = ModelInference(model_dir="./models")
        inference.detect_anomalies(100, 45, 2)["is_anomaly"]

    plant: None is the default plant. openers: models that score no readings, by name; `others` has the newest promoted
    version of each that can run. trust: the keys of which one must have signed a model; None: any model runs.
    """

    def __init__(
        self,
        model_dir: str | Path,
        *,
        plant: Plant | None = None,
        openers: Mapping[str, Opener[Any]] = OPENERS,
        trust: Trust | None = None,
    ) -> None:
        self.plant = load_plant(None) if plant is None else plant
        self.model_dir = str(model_dir)
        self.models = Models()
        self.others: dict[str, Any] = {}
        self._openers = dict(openers)
        self.trust = trust
        self.problems: tuple[str, ...] = ()
        self._seen: tuple[Promotion, ...] | None = None
        self.reload()

    @property
    def anomaly_model(self) -> AnomalyModel | None:
        """The promoted anomaly model; None where none is loaded."""
        return self.models.anomaly

    @property
    def recommendation_model(self) -> RiskModel | None:
        """The promoted maintenance model; None where none is loaded."""
        return self.models.maintenance

    @property
    def forecast_model(self) -> MachineForecasts | None:
        """The published forecasts of machines; None where none are loaded."""
        found = self.others.get(FORECAST)
        return found if isinstance(found, MachineForecasts) else None

    def reload(self) -> None:
        """Load the currently promoted versions; while the repository is unavailable, keep the loaded ones."""
        self._seen = self._promoted()
        try:
            repository = ModelRepository(self.model_dir, trust=self.trust)
            features = feature_fingerprint(self.plant)
            loaded = load_models(repository, plant=self.plant, features=features)
            found = {
                name: last_good(repository, name, opener, plant=self.plant, features=features)
                for name, opener in self._openers.items()
            }
        except NexovaError as error:
            self.problems = (error.message,)
        else:
            self.models = loaded.models
            self.others = {name: one.model for name, one in found.items() if one.model is not None}
            self.problems = (*loaded.problems, *(problem for one in found.values() for problem in one.problems))
        for problem in self.problems:
            LOGGER.warning("%s", problem)

    def reload_if_changed(self) -> bool:
        """Reload the models if other versions have been promoted; return whether any were."""
        if self._promoted() == self._seen:
            return False
        self.reload()
        return True

    def _promoted(self) -> tuple[Promotion, ...] | None:
        try:
            return ModelRepository(self.model_dir).history()
        except NexovaError:
            return None

    def anomalies(self, histories: Sequence[History]) -> list[list[AnomalyResult]]:
        """Return an answer for each row of each history."""
        return anomaly_answers(
            histories,
            models=self.models,
            references=self.models.references,
            plant=self.plant,
            forest=self.kind_of(self.models.anomaly),
        )

    def risks(self, histories: Sequence[History]) -> list[list[Advice]]:
        """Return maintenance advice after each row of each history."""
        return risk_answers(
            histories,
            models=self.models,
            references=self.models.references,
            plant=self.plant,
            forest=self.kind_of(self.models.maintenance),
        )

    @overload
    def detect_anomalies(
        self, *columns: float | None, machine_id: str | None = None, **named: float | None
    ) -> dict[str, Any]: ...

    @overload
    def detect_anomalies(
        self, *columns: Column, machine_id: str | None = None, **named: Column
    ) -> dict[str, Any] | list[dict[str, Any]]: ...

    def detect_anomalies(
        self, *columns: Column, machine_id: str | None = None, **named: Column
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Return the answer of `POST /anomaly` for readings: a number or a sequence per sensor, by order or name.

        Numbers are one reading and have one answer; sequences have a list of answers, one for each row.

        Raises:
            UsageError: an unknown sensor, columns of different lengths, or no value at all.
        """
        answers = self.anomalies([self._history(columns, named, machine_id)])[0]
        found: list[dict[str, Any]] = [msgspec.to_builtins(answer) for answer in answers]
        one_row = all(column is None or isinstance(column, int | float) for column in (*columns, *named.values()))
        return found[0] if one_row else found

    def recommend_maintenance(self, *columns: Column, machine_id: str | None = None, **named: Column) -> dict[str, Any]:
        """Return the advice of `POST /recommendations` after these readings; arguments as in `detect_anomalies`."""
        answer: dict[str, Any] = msgspec.to_builtins(self.risks([self._history(columns, named, machine_id)])[0][-1])
        return answer

    def forecast_energy(
        self, values: Sequence[float | None], periods: int, *, frequency: str = "h", model: ForecastModel = "auto"
    ) -> dict[str, Any]:
        """Return the next `periods` steps of a series as `POST /forecast` does; None is a missing value.

        Raises:
            UsageError: a series or a number of periods that cannot be forecast; the message says why.
        """
        answer: dict[str, Any] = msgspec.to_builtins(forecast(values, periods, frequency=frequency, model=model))
        return answer

    def forecast_machine(
        self, machine_id: str, values: Sequence[float | None], periods: int, *, start: datetime
    ) -> ForecastAnswer:
        """Return the next `periods` hours of a machine's mean power in kW; None is a missing hour.

        start: the first hour. The published forecasts answer for the machines they know; any other machine is
        answered, and errors are raised, as in `forecast_energy`.
        """
        model = self.forecast_model
        answer = forecast(values, periods, frequency="h", start=start)
        if model is None or machine_id not in model.document.machines:
            return answer
        local = start.astimezone(ZoneInfo(model.document.timezone))
        series = HourlySeries(
            first_hour=int(local.replace(tzinfo=UTC).timestamp() // 3600),
            values=np.array([np.nan if value is None else value for value in values], dtype=np.float64),
        )
        course, _ = model.predict(machine_id, series, horizon=periods)
        return ForecastAnswer(
            forecast=tuple(course.value.round(4).tolist()),
            lower_bound=tuple(course.lower.round(4).tolist()),
            upper_bound=tuple(course.upper.round(4).tolist()),
            model=course.model,
        )

    @staticmethod
    def kind_of(model: Any) -> str:
        """Return the name of a model in answers: its kind, or its own name without one."""
        kind = getattr(getattr(model, "document", None), "kind", None)
        return str(kind or getattr(model, "name", FALLBACK))

    def _history(self, columns: Sequence[Column], named: Mapping[str, Column], machine_id: str | None) -> History:
        names = self.plant.sensor_names
        unknown = [name for name in named if name not in names]
        if unknown or len(columns) > len(names):
            raise UsageError(
                f"{', '.join(unknown) or f'{len(columns)} columns'}: plant {self.plant.name} has {', '.join(names)}; "
                "name its sensors"
            )
        given = dict(zip(names, columns, strict=False)) | dict(named)
        arrays = {
            name: np.atleast_1d(np.asarray(column, dtype=np.float64))
            for name, column in given.items()
            if column is not None
        }
        lengths = {len(array) for array in arrays.values()}
        if len(lengths) != 1 or 0 in lengths:
            raise UsageError(
                f"columns of {sorted(lengths)} values: all sensors must have equally many, at least one; "
                "give None where one is missing"
            )
        values = np.full((lengths.pop(), len(names)), np.nan)
        for name, array in arrays.items():
            values[:, names.index(name)] = array
        return History(values=values, machine_id=machine_id)
