"""Two workers under load try a version beside the champion, are made to run it, and take it back themselves.

    asked for:   first ─▶ second tried beside it ─▶ second promoted
    anomaly:     first    first                     second ─▶ first, without anybody's doing

The second version calls every reading rare, which is far more than the first one raises on the same readings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.main import run
from runtime.kafka import create_topics
from runtime.models.manifest import Promotion
from runtime.models.repository import ModelRepository
from schemas.alerts import Alert
from schemas.models import ModelPromoted
from schemas.topics import ALERTS, MODELS
from tests.brokers import Broker
from tests.e2e.lifecycle import (
    CALM,
    CHUNK,
    FIRST,
    MACHINES,
    RARE,
    SECOND,
    Scored,
    a_plant_that_learns_quickly,
    load,
    minute,
    running_versions,
    scores_of,
)
from tests.e2e.suites import OnApacheKafka, OnTansu
from tests.e2e.workers import Worker, eventually, read_all, wait_committed, workers
from tests.model_repository import ModelRepositoryBuilder, anomaly_files, risk_files

pytestmark = pytest.mark.long

LOOK = 200  # readings, a worker


def alert_counts(worker: Worker) -> dict[tuple[str, str], tuple[float, float]]:
    """By version and role of the anomaly model: readings scored and alerting."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for family in text_string_to_metric_families(worker.metrics_page()):
        if family.name in {"nexova_model_scored", "nexova_model_alerting"}:
            for sample in family.samples:
                if sample.labels["name"] == "anomaly":
                    key = (sample.labels["version"], sample.labels["role"])
                    found.setdefault(key, {})[family.name] = sample.value
    return {key: (own["nexova_model_scored"], own["nexova_model_alerting"]) for key, own in found.items()}


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of it. promoted: minutes scored before the second version was asked for. tried: the calls of each
    worker before that. health: what /healthz said then."""

    broker: Broker
    steps: int
    promoted: int
    tried: list[dict[tuple[str, str], tuple[float, float]]]
    health: list[dict[str, object]]
    history: tuple[Promotion, ...]
    rollbacks: list[float]
    logs: list[str]


def tell(broker: Broker, folder: Path) -> Story:
    create_topics(broker.kafka)
    builder = ModelRepositoryBuilder(repository=ModelRepository(folder / "models"), path=folder / "models")
    builder.put("anomaly", anomaly_files(scores=CALM))
    builder.put("maintenance", risk_files(always=0.0))
    builder.publish("anomaly", anomaly_files(scores=RARE), minutes=5)
    where = ["--models", str(builder.path)]
    with (
        pytest.MonkeyPatch.context() as environment,
        workers(
            broker,
            folder,
            NEXOVA_PLANT_FILE=str(a_plant_that_learns_quickly(folder)),
            NEXOVA_PROCESSOR__ROLLBACK_READINGS=str(LOOK),
        ) as group,
    ):
        environment.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        pair = [group.start(), group.start()]
        group.wait_ready()

        def all_of_them(what: str, condition: Callable[[Worker], bool]) -> None:
            def hold() -> bool:
                try:
                    return all(condition(worker) for worker in pair)
                except OSError:  # a worker on a busy machine that does not answer at once
                    return False

            eventually(
                hold,
                seconds=40,
                what=lambda: f"{what}\n{group.logs()}",
            )

        with load(broker) as stream:
            all_of_them("readings are scored", lambda one: one.metric("nexova_readings_scored_total") > LOOK)
            assert run(["models", "shadow", "anomaly", SECOND, *where]) == 0
            all_of_them(
                "the second version is tried",
                lambda one: alert_counts(one).get((SECOND, "challenger"), (0, 0))[0] > LOOK,
            )
            tried, health = [alert_counts(one) for one in pair], [one.health() for one in pair]
            promoted = stream.done_by(*pair)
            assert run(["models", "promote", "anomaly", SECOND, *where]) == 0
            eventually(
                lambda: builder.repository.history("anomaly")[-1].action == "rolled_back",
                seconds=40,
                what=lambda: f"rolled back\n{group.logs()}",
            )
            all_of_them("the first version runs", lambda one: running_versions(one)["anomaly"] == [FIRST])
            stream.passes()
        wait_committed(broker, stream.end, seconds=60)
        return Story(
            broker=broker,
            steps=stream.step,
            promoted=promoted,
            tried=tried,
            health=health,
            history=builder.repository.history("anomaly"),
            rollbacks=[one.metric("nexova_model_rollbacks_total") for one in pair],
            logs=[one.log.read_text() for one in pair],
        )


class ChallengerAndRollback:
    """The story that every broker's suite inherits."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Story:
        return tell(broker, tmp_path_factory.mktemp("rollback"))

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, story: Story) -> Scored:
        return scores_of(story.broker)

    def test_a_challenger_is_counted_beside_the_champion_on_the_same_readings(self, story: Story) -> None:
        for tried, health in zip(story.tried, story.health, strict=True):
            assert set(tried) == {(FIRST, "champion"), (SECOND, "challenger")}
            scored, alerting = tried[SECOND, "challenger"]
            assert alerting == scored > LOOK
            of_champion, by_champion = tried[FIRST, "champion"]
            assert of_champion >= scored, "it was there before"
            assert by_champion < 0.3 * of_champion, "what a distance learned from forty readings raises"
            assert health["status"] == "ok"
            rates = {row["role"]: row["alert_rate"] for row in health["models"]["anomaly"]}  # type: ignore[index]
            assert rates["challenger"] == 1
            assert rates["champion"] < 0.3

    def test_a_challenger_raises_nothing(self, story: Story, scores: Scored) -> None:
        for rows in scores.values():
            assert all(score is None or score < RARE[0] for at, score, _ in rows if at < story.promoted)

    def test_the_promotion_is_taken_back_once_and_by_the_registry(self, story: Story) -> None:
        assert [(entry.action, entry.version) for entry in story.history] == [
            ("promoted", FIRST),
            ("promoted", SECOND),
            ("rolled_back", FIRST),
        ]
        back = story.history[-1]
        assert back.previous == SECOND
        assert back.reason.startswith("rolled back by a worker: alert rate 100.0% is outside")
        assert f"as {FIRST} raises" in back.reason
        assert sorted(story.rollbacks) == [0, 1]
        lines = [line for log in story.logs for line in log.splitlines() if f"{SECOND} is rolled back" in line]
        assert len(lines) == 1

    def test_everybody_is_told_of_it_as_of_a_persons_rollback(self, story: Story) -> None:
        messages = [ModelPromoted.model_validate_json(value or b"") for _, value in read_all(story.broker, MODELS)]
        assert [(m.version, m.challenger) for m in messages[:2]] == [(FIRST, SECOND), (SECOND, None)]
        back = story.history[-1]
        assert {(m.version, m.promoted_at, m.reason) for m in messages[2:]} == {(FIRST, back.at, back.reason)}

    def test_every_reading_is_scored_once_and_in_order_by_one_version_after_the_other(
        self, story: Story, scores: Scored
    ) -> None:
        assert set(scores) == set(MACHINES)
        for rows in scores.values():
            assert [row[0] for row in rows] == list(range(story.steps))
            second = [at for at, score, _ in rows if score is not None and score >= RARE[0]]
            assert second == list(range(second[0], second[-1] + 1))
            assert second[-1] < story.steps - CHUNK

    def test_what_the_second_version_raised_names_it(self, story: Story, scores: Scored) -> None:
        for _, value in read_all(story.broker, ALERTS):
            alert = Alert.model_validate_json(value or b"")
            if alert.kind == "anomaly" and alert.state == "opened":
                score = {at: score for at, score, _ in scores[alert.machine_id]}[minute(alert.updated_at.isoformat())]
                assert alert.model.version == (SECOND if (score or 0) >= RARE[0] else FIRST)


class TestOnTansu(OnTansu, ChallengerAndRollback):
    pass


class TestOnApacheKafka(OnApacheKafka, ChallengerAndRollback):
    pass
