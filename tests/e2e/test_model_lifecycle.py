"""A worker under load changes its models without a restart, and never runs one that it should not.

    published:  first ─▶ second ─▶ rolled back ─▶ wrong features, cut, swapped (each refused) ─▶ end
    anomaly:    first    second    first          first

The first anomaly model calls every reading calm and the second every reading rare, so that each score tells which
of them gave it; the risk models likewise, 0 and 3.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cli.main import run
from runtime.kafka import create_topics
from runtime.models.announce import announce
from runtime.models.repository import ModelRepository
from schemas.alerts import Alert
from schemas.recommendations import Recommendation
from schemas.topics import ALERTS, RECOMMENDATIONS
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
from tests.e2e.workers import eventually, read_all, wait_committed, workers
from tests.model_repository import ModelRepositoryBuilder, anomaly_files, risk_files


@dataclass(frozen=True, kw_only=True)
class Story:
    """What came of it. Steps: minutes that were scored before the second version was asked for, published when it ran,
    scored before the rollback was asked for, and published when it was done. refusals: metric labels, in their order.
    """

    broker: Broker
    steps: int
    second_asked: int
    second_runs: int
    back_asked: int
    back_runs: int
    refusals: list[dict[str, str]]
    versions: list[dict[str, list[str]]]
    log: str


def tell(broker: Broker, folder: Path) -> Story:
    create_topics(broker.kafka)
    builder = ModelRepositoryBuilder(repository=ModelRepository(folder / "models"), path=folder / "models")
    builder.put("anomaly", anomaly_files(scores=CALM))
    builder.put("maintenance", risk_files(always=0.0))
    builder.publish("anomaly", anomaly_files(scores=RARE), minutes=5)
    builder.publish("maintenance", risk_files(always=3.0), minutes=5)
    where = ["--models", str(builder.path)]
    versions = []
    with (
        pytest.MonkeyPatch.context() as environment,
        # what these versions raise would be taken back at once, which is a story of its own
        workers(
            broker,
            folder,
            NEXOVA_PLANT_FILE=str(a_plant_that_learns_quickly(folder)),
            NEXOVA_PROCESSOR__ROLLBACK_SECONDS="0",
        ) as group,
    ):
        environment.setenv("NEXOVA_KAFKA__BOOTSTRAP_SERVERS", broker.bootstrap_servers)
        worker = group.start()
        group.wait_ready()

        def runs(name: str, version: str) -> None:
            eventually(
                lambda: running_versions(worker)[name] == [version],
                seconds=60,
                what=lambda: f"{name} {version} runs\n{group.logs()}",
            )
            versions.append(running_versions(worker))

        def refused(number: int) -> None:
            eventually(
                lambda: worker.metric("nexova_model_fallbacks_total") == number,
                seconds=60,
                what=lambda: f"{number} refusals\n{group.logs()}",
            )
            versions.append(running_versions(worker))

        with load(broker) as stream:
            runs("anomaly", FIRST)
            eventually(
                lambda: worker.metric("nexova_readings_scored_total") > 500, seconds=60, what="readings are scored"
            )
            second_asked = stream.done_by(worker)
            assert run(["models", "promote", "anomaly", SECOND, *where]) == 0
            assert run(["models", "promote", "maintenance", SECOND, *where]) == 0
            runs("anomaly", SECOND)
            runs("maintenance", SECOND)
            second_runs = stream.step + CHUNK  # a chunk may be on its way
            stream.passes(8)
            back_asked = stream.done_by(worker)
            assert run(["models", "rollback", "anomaly", *where]) == 0
            runs("anomaly", FIRST)
            back_runs = stream.step + CHUNK
            stream.passes()

            strange = builder.publish("anomaly", anomaly_files(scores=RARE), minutes=10, features="0" * 16)
            assert run(["models", "promote", "anomaly", strange.name, *where]) == 0
            refused(1)
            cut = builder.publish("anomaly", anomaly_files(scores=RARE), minutes=15)
            entry = builder.promote(cut)
            (cut / "model.onnx").write_bytes((cut / "model.onnx").read_bytes()[:-100])
            announce(entry, broker.kafka)
            refused(2)
            swapped = builder.publish("anomaly", anomaly_files(scores=RARE), minutes=20)
            entry = builder.promote(swapped)
            (swapped / "model.onnx").write_bytes(risk_files()["model.onnx"])
            announce(entry, broker.kafka)
            refused(3)
            stream.passes()
        wait_committed(broker, stream.end, seconds=60)
        refusals = worker.labels("nexova_model_fallbacks")
    return Story(
        broker=broker,
        steps=stream.step,
        second_asked=second_asked,
        second_runs=second_runs,
        back_asked=back_asked,
        back_runs=back_runs,
        refusals=refusals,
        versions=versions,
        log=worker.log.read_text(),
    )


class ModelLifecycle:
    """The story that every broker's suite inherits."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Story:
        return tell(broker, tmp_path_factory.mktemp("lifecycle"))

    @pytest.fixture(scope="class")
    @classmethod
    def scores(cls, story: Story) -> Scored:
        return scores_of(story.broker)

    def test_every_reading_is_scored_once_and_in_order(self, story: Story, scores: Scored) -> None:
        assert set(scores) == set(MACHINES)
        for rows in scores.values():
            assert [row[0] for row in rows] == list(range(story.steps))

    def test_the_next_messages_after_a_promotion_come_from_the_new_version_until_it_is_rolled_back(
        self, story: Story, scores: Scored
    ) -> None:
        for rows in scores.values():
            second = [at for at, score, _ in rows if score is not None and score >= RARE[0]]
            # one stretch without a gap: no batch of one version lies between batches of the other
            assert second == list(range(second[0], second[-1] + 1))
            assert story.second_asked <= second[0] <= story.second_runs
            assert story.back_asked <= second[-1] + 1 <= story.back_runs
            assert set(range(story.second_runs, story.back_asked)) <= set(second)

    def test_each_model_follows_its_own_promotions(self, scores: Scored, story: Story) -> None:
        for rows in scores.values():
            risks = [risk for _, _, risk in rows if risk is not None]
            assert risks == sorted(risks), "0 before the promotion, 3 since then"
            assert {risks[0], risks[-1]} == {0.0, 3.0}
        assert all(len(running) == 1 for seen in story.versions for running in seen.values())

    def test_alerts_and_recommendations_name_the_version_that_made_them(self, story: Story, scores: Scored) -> None:
        opened = [
            alert
            for _, value in read_all(story.broker, ALERTS)
            for alert in [Alert.model_validate_json(value or b"")]
            if alert.kind == "anomaly" and alert.state == "opened"
        ]
        for alert in opened:
            by_second = {at for at, score, _ in scores[alert.machine_id] if score is not None and score >= RARE[0]}
            version = SECOND if minute(alert.updated_at.isoformat()) in by_second else FIRST
            assert alert.model.version == version, alert
        assert SECOND in {alert.model.version for alert in opened}
        advice = [
            Recommendation.model_validate_json(value or b"") for _, value in read_all(story.broker, RECOMMENDATIONS)
        ]
        urgent = [one for one in advice if one.band == "urgent"]
        assert {one.machine_id for one in urgent} == set(MACHINES)
        assert {one.model.version for one in urgent} == {SECOND}
        assert {one.model.version for one in advice if one.band == "none"} <= {FIRST}

    def test_a_version_that_must_not_run_is_refused_counted_and_told_in_one_line_each(self, story: Story) -> None:
        lines = [line for line in story.log.splitlines() if "is refused" in line]
        assert len(lines) == 3
        complaints = ("was trained with features 0000000000000000", "was cut or changed", "was cut or changed")
        for line, complaint in zip(lines, complaints, strict=True):
            assert complaint in line
            assert f"{FIRST} continues to run" in line
        assert [(s["name"], s["reason"]) for s in story.refusals] == [
            ("anomaly", "incompatible"),
            ("anomaly", "damaged"),
        ]
        assert story.versions[-1] == {"anomaly": [FIRST], "maintenance": [SECOND]}


@pytest.mark.long
class TestOnTansu(OnTansu, ModelLifecycle):
    pass


class TestOnApacheKafka(OnApacheKafka, ModelLifecycle):
    pass
