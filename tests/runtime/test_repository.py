"""One contract for a folder and for a bucket, then what only a folder can promise."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import NexovaError, UsageError
from runtime.models.manifest import (
    Compared,
    Manifest,
    Promotion,
    Span,
    Verdict,
    champions,
    in_effect,
    parse_log,
    version_id,
)
from runtime.models.repository import (
    ModelDamaged,
    ModelRepository,
    RepositoryUnavailable,
    UnknownVersion,
    VersionExists,
)
from runtime.models.storage import open_storage

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
FILES = {"model.onnx": b"trees" * 1000, "model.json": b"{}", "metrics.json": b'{"f1": 0.9}'}


def a_moment(minutes: int = 0) -> datetime:
    return START + timedelta(minutes=minutes)


def a_manifest(minutes: int = 0, **changes: Any) -> Manifest:
    fields: dict[str, Any] = {
        "name": "anomaly",
        "version": version_id(a_moment(minutes)),
        "created_at": a_moment(minutes),
        "plant": "0123456789abcdef",
        "features": "fedcba9876543210",
        "trained_on": Span(start=START - timedelta(days=30), end=START),
        "rows_used": 12_345,
        "rows_excluded": {"labelled anomalous": 67},
        "metrics": {"f1": 0.9 + minutes / 100, "rmse": 0.5 - minutes / 100},
    }
    return Manifest.model_validate(fields | changes)


@pytest.fixture(params=["folder", "bucket"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "models")
        return
    yield f"memory://{tmp_path}"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def repository(root: str) -> ModelRepository:
    return ModelRepository(root)


def overwrite(root: str, path: str, content: bytes) -> None:
    fs, base = fsspec.core.url_to_fs(root)
    fs.pipe_file(f"{base}/{path}", content)


def test_what_is_published_is_loaded_byte_for_byte(repository: ModelRepository) -> None:
    published = repository.publish(a_manifest(), FILES)
    bundle = repository.load("anomaly", published.version)
    assert bundle.files == FILES
    assert bundle.manifest == published
    assert set(bundle.manifest.files) == set(FILES)


def test_an_empty_repository_has_no_models(repository: ModelRepository) -> None:
    assert repository.names() == ()
    assert repository.versions("anomaly") == ()
    assert repository.current("anomaly") is None
    assert "There is no model yet" in repository.page()


def test_versions_are_listed_from_old_to_new_whatever_order_they_came_in(repository: ModelRepository) -> None:
    for minutes in (5, 0, 9):
        repository.publish(a_manifest(minutes), FILES)
    assert repository.versions("anomaly") == tuple(version_id(a_moment(minutes)) for minutes in (0, 5, 9))


def test_version_ids_sort_as_their_moments_in_any_zone() -> None:
    later_elsewhere = datetime.fromisoformat("2026-03-01T14:00:00+01:00")
    assert version_id(START) == "20260301T120000Z" < version_id(later_elsewhere) == "20260301T130000Z"


def test_a_version_is_never_overwritten(repository: ModelRepository) -> None:
    repository.publish(a_manifest(), FILES)
    with pytest.raises(VersionExists, match=r"20260301T120000Z exists .* never changes"):
        repository.publish(a_manifest(), {"model.json": b"other"})
    assert repository.load("anomaly", "20260301T120000Z").files == FILES


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        ({"anomaly/20260301T120000Z/model.onnx": FILES["model.onnx"][:-1]}, r"model.onnx \(4999 bytes\) has sha256"),
        ({"anomaly/20260301T120000Z/model.json": b'{"a":1}'}, "model.json .* was cut or changed: train again"),
        ({"anomaly/20260301T120000Z/manifest.json": b'{"name": "anom'}, "is no manifest: the document: Invalid JSON"),
        ({"anomaly/20260301T120000Z/manifest.json": b"{}"}, "is no manifest: name: Field required"),
    ],
)
def test_a_damaged_version_is_refused_with_file_and_remedy(
    root: str, repository: ModelRepository, damage: dict[str, bytes], complaint: str
) -> None:
    repository.publish(a_manifest(), FILES)
    for path, content in damage.items():
        overwrite(root, path, content)
    with pytest.raises(ModelDamaged, match=complaint) as raised:
        repository.load("anomaly", "20260301T120000Z")
    assert "\n" not in str(raised.value)
    with pytest.raises(ModelDamaged):
        repository.promote("anomaly", "20260301T120000Z", at=START, reason="try")
    assert repository.current("anomaly") is None


def test_a_missing_file_is_refused(root: str, repository: ModelRepository) -> None:
    repository.publish(a_manifest(), FILES)
    fs, base = fsspec.core.url_to_fs(root)
    fs.rm_file(f"{base}/anomaly/20260301T120000Z/model.onnx")
    with pytest.raises(ModelDamaged, match=r"model.onnx is missing, its manifest lists it"):
        repository.load("anomaly", "20260301T120000Z")


def test_a_manifest_from_another_folder_is_refused(root: str, repository: ModelRepository) -> None:
    repository.publish(a_manifest(0), FILES)
    other = repository.publish(a_manifest(1), FILES)
    overwrite(root, "anomaly/20260301T120000Z/manifest.json", other.model_dump_json().encode())
    with pytest.raises(ModelDamaged, match="is that of anomaly 20260301T120100Z; folders were swapped"):
        repository.load("anomaly", "20260301T120000Z")


def test_a_file_name_cannot_lead_out_of_the_repository(repository: ModelRepository) -> None:
    for name in ("../evil.json", "/etc/passwd", "a/b.json", "..json"):
        with pytest.raises(ValueError, match="files"):
            repository.publish(a_manifest(), {name: b""})
    with pytest.raises(UnknownVersion):
        repository.load("../anomaly", "20260301T120000Z")


def test_an_unknown_version_error_names_those_that_are_there(repository: ModelRepository) -> None:
    repository.publish(a_manifest(), FILES)
    with pytest.raises(UnknownVersion, match="which has 20260301T120000Z; choose one"):
        repository.load("anomaly", "20260301T120001Z")
    with pytest.raises(UnknownVersion, match="which has no version of it"):
        repository.promote("forecast", "20260301T120001Z", at=START, reason="x")


def test_the_newest_version_does_not_run_until_it_is_promoted(repository: ModelRepository) -> None:
    for minutes in (0, 1):
        repository.publish(a_manifest(minutes), FILES)
    repository.promote("anomaly", version_id(a_moment(0)), at=a_moment(2), reason="the first version")
    assert repository.current("anomaly") == version_id(a_moment(0))


def test_rollbacks_walk_back_and_never_swing_to_and_fro(repository: ModelRepository) -> None:
    ids = [repository.publish(a_manifest(minutes), FILES).version for minutes in (0, 1, 2)]
    for minutes, version in enumerate(ids):
        repository.promote("anomaly", version, at=a_moment(10 + minutes), reason="better")
    first_back = repository.rollback("anomaly", at=a_moment(20), reason="too many alerts")
    assert (first_back.version, first_back.previous, first_back.action) == (ids[1], ids[2], "rolled_back")
    assert repository.rollback("anomaly", at=a_moment(21), reason="still").version == ids[0]
    with pytest.raises(UnknownVersion, match="20260301T120000Z was the first to be promoted"):
        repository.rollback("anomaly", at=a_moment(22), reason="again")
    assert [entry.version for entry in repository.history("anomaly")] == [*ids, ids[1], ids[0]]


def test_a_promotion_is_taken_back_once_whoever_does_it(repository: ModelRepository) -> None:
    ids = [version_id(a_moment(minutes)) for minutes in range(3)]
    for minutes in range(3):
        repository.publish(a_manifest(minutes), FILES)
    repository.promote("anomaly", ids[0], at=a_moment(10), reason="x")
    repository.promote("anomaly", ids[1], at=a_moment(11), reason="x")
    bad = repository.promote("anomaly", ids[2], at=a_moment(12), reason="x")
    first = repository.rollback("anomaly", at=a_moment(20), reason="one worker", undo=bad)
    second = repository.rollback("anomaly", at=a_moment(21), reason="another worker", undo=bad)
    assert first == second
    assert (first.reason, first.version) == ("one worker", ids[1])
    assert repository.current("anomaly") == ids[1]


def test_a_promotion_made_since_is_not_taken_back(repository: ModelRepository) -> None:
    ids = [version_id(a_moment(minutes)) for minutes in range(3)]
    for minutes in range(3):
        repository.publish(a_manifest(minutes), FILES)
    repository.promote("anomaly", ids[0], at=a_moment(10), reason="x")
    bad = repository.promote("anomaly", ids[1], at=a_moment(11), reason="x")
    better = repository.promote("anomaly", ids[2], at=a_moment(12), reason="by a person")
    assert repository.rollback("anomaly", at=a_moment(20), reason="too late", undo=bad) == better
    assert repository.current("anomaly") == ids[2]


def test_a_version_is_tried_beside_the_champion_until_that_ends_or_it_takes_over(repository: ModelRepository) -> None:
    ids = [version_id(a_moment(minutes)) for minutes in range(2)]
    for minutes in range(2):
        repository.publish(a_manifest(minutes), FILES)
    with pytest.raises(UsageError, match="no version runs, so there is none to score"):
        repository.shadow("anomaly", ids[1], at=a_moment(9), reason="x")
    champion = repository.promote("anomaly", ids[0], at=a_moment(10), reason="x")
    for minutes in (11, 13):
        trial = repository.shadow("anomaly", ids[1], at=a_moment(minutes), reason="looks good")
        assert repository.challenger("anomaly") == trial
        assert (
            f"Version {ids[1]} is scored as a shadow since 2026-03-01 12:{minutes} UTC: looks good" in repository.page()
        )
        assert repository.history("anomaly") == (champion,), "it runs nowhere"
        repository.end_shadow("anomaly", at=a_moment(minutes + 1), reason="enough")
        assert repository.challenger("anomaly") is None
    with pytest.raises(UsageError, match="start one with nexova models shadow anomaly VERSION"):
        repository.end_shadow("anomaly", at=a_moment(15), reason="x")
    with pytest.raises(UsageError, match="runs already"):
        repository.shadow("anomaly", ids[0], at=a_moment(15), reason="x")
    repository.shadow("anomaly", ids[1], at=a_moment(16), reason="x")
    repository.promote("anomaly", ids[1], at=a_moment(17), reason="x")
    assert repository.challenger("anomaly") is None
    repository.rollback("anomaly", at=a_moment(18), reason="x")
    assert repository.challenger("anomaly") is None


def test_what_is_tried_is_verified_first(root: str, repository: ModelRepository) -> None:
    for minutes in range(2):
        repository.publish(a_manifest(minutes), FILES)
    repository.promote("anomaly", version_id(a_moment(0)), at=a_moment(10), reason="x")
    overwrite(root, f"anomaly/{version_id(a_moment(1))}/model.onnx", b"cut")
    with pytest.raises(ModelDamaged):
        repository.shadow("anomaly", version_id(a_moment(1)), at=a_moment(11), reason="x")
    assert repository.challenger("anomaly") is None


def test_models_have_histories_of_their_own(repository: ModelRepository) -> None:
    for name in ("anomaly", "maintenance"):
        repository.publish(a_manifest(name=name), FILES)
    repository.promote("anomaly", "20260301T120000Z", at=START, reason="x")
    assert repository.names() == ("anomaly", "maintenance")
    assert repository.current("maintenance") is None


def test_a_promotion_that_was_not_written_whole_did_not_happen(root: str, repository: ModelRepository) -> None:
    for minutes in (0, 1):
        repository.publish(a_manifest(minutes), FILES)
    repository.promote("anomaly", version_id(a_moment(0)), at=a_moment(2), reason="the first version")
    fs, base = fsspec.core.url_to_fs(root)
    whole = fs.cat_file(f"{base}/registry.jsonl")
    overwrite(root, "registry.jsonl", whole + whole.strip()[:40])
    assert repository.current("anomaly") == version_id(a_moment(0))
    repository.promote("anomaly", version_id(a_moment(1)), at=a_moment(3), reason="better")
    assert repository.current("anomaly") == version_id(a_moment(1))
    assert len(repository.history()) == 2


def test_the_page_tells_what_runs_since_when_and_what_came_before(repository: ModelRepository) -> None:
    first, second = (version_id(a_moment(minutes)) for minutes in (0, 5))
    verdict = Verdict(
        promote=True,
        reason="better",
        champion=first,
        held_out=Span(start=a_moment(-9000), end=a_moment(-5)),
        compared={"f1": Compared(champion=0.9, challenger=0.95), "rmse": Compared(champion=0.4, challenger=0.45)},
    )
    for minutes, gate in ((0, None), (5, verdict)):
        manifest = a_manifest(minutes).model_copy(update={"gate": gate, "intervals": {"f1": (0.9, 0.97)}})
        repository.publish(manifest, FILES)
        repository.promote("anomaly", manifest.version, at=a_moment(minutes), reason="because")
    page = repository.page()
    assert f"**{second}** runs since 2026-03-01 12:05 UTC." in page
    assert "trained on 12,345 rows, 2026-01-30 to 2026-03-01; left out: 67 labelled anomalous" in page
    assert "f1 0.950 (0.900 to 0.970 over machines), rmse 0.450" in page
    assert (
        f"- against {first}, both measured on 2026-02-23 to 2026-03-01: f1 0.0500 better (0.9500, was 0.9000); "
        "rmse 0.0500 worse (0.4500, was 0.4000)"
    ) in page
    assert f"- before it: {first}, 2026-03-01 12:00 UTC to 2026-03-01 12:05 UTC" in page
    assert "- why it runs: because" in page
    assert f"| {first} | 2026-03-01 12:00 UTC to 2026-03-01 12:05 UTC |" in page
    assert f"| {second} | **runs**, since 2026-03-01 12:05 UTC |" in page


def test_the_page_dates_a_version_that_was_returned_to_by_its_return(repository: ModelRepository) -> None:
    for minutes in (0, 5):
        repository.publish(a_manifest(minutes), FILES)
        repository.promote("anomaly", version_id(a_moment(minutes)), at=a_moment(minutes), reason="because")
    repository.rollback("anomaly", at=a_moment(9), reason="too many alerts")
    page = repository.page()
    assert "**20260301T120000Z** runs since 2026-03-01 12:09 UTC." in page
    assert "- before it: 20260301T120500Z, 2026-03-01 12:05 UTC to 2026-03-01 12:09 UTC" in page
    assert "- why it runs: too many alerts" in page


def test_the_page_is_written_at_every_promotion(root: str, repository: ModelRepository) -> None:
    repository.publish(a_manifest(), FILES)
    repository.promote("anomaly", "20260301T120000Z", at=START, reason="the first version")
    fs, base = fsspec.core.url_to_fs(root)
    assert fs.cat_file(f"{base}/MODEL_REGISTRY.md").decode() == repository.page()


def test_the_page_names_what_is_damaged(root: str, repository: ModelRepository) -> None:
    repository.publish(a_manifest(), FILES)
    overwrite(root, "anomaly/20260301T120000Z/manifest.json", b"")
    assert "## Damaged\n\n- model anomaly 20260301T120000Z: manifest.json is no manifest" in repository.page()


class _Breaks(dict[str, bytes]):
    """Files of which the disk takes one and then no more."""

    def items(self) -> Any:
        yield "model.onnx", b"trees"
        raise OSError(28, "No space left on device")


def test_a_write_that_breaks_off_leaves_nothing_to_be_seen(root: str, repository: ModelRepository) -> None:
    broken: Mapping[str, bytes] = _Breaks()
    with pytest.raises(OSError, match="No space"):
        open_storage(root).create("anomaly/20260301T120000Z", broken)
    assert repository.versions("anomaly") == ()
    assert repository.names() == ()


def test_of_two_who_publish_the_same_version_one_wins_whole(root: str) -> None:
    def publish(writer: int) -> bool:
        content = {name: bytes([writer]) * 50_000 for name in FILES}
        try:
            ModelRepository(root).publish(a_manifest(), content)
        except VersionExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(publish, range(8)))
    assert won.count(True) == 1
    files = ModelRepository(root).load("anomaly", "20260301T120000Z").files
    assert {content[0] for content in files.values()} == {won.index(True)}


def test_promotions_at_the_same_moment_all_arrive_in_a_folder(tmp_path: Path) -> None:
    ModelRepository(tmp_path).publish(a_manifest(), FILES)

    def promote(who: int) -> Promotion:
        return ModelRepository(tmp_path).promote("anomaly", "20260301T120000Z", at=START, reason=f"{who}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(promote, range(40)))
    assert {entry.reason for entry in ModelRepository(tmp_path).history()} == {str(who) for who in range(40)}


def test_of_many_who_take_back_the_same_promotion_at_the_same_moment_one_does(tmp_path: Path) -> None:
    repository = ModelRepository(tmp_path)
    for minutes in range(3):
        repository.publish(a_manifest(minutes), FILES)
        bad = repository.promote("anomaly", version_id(a_moment(minutes)), at=a_moment(minutes), reason="x")

    def take_back(who: int) -> Promotion:
        return ModelRepository(tmp_path).rollback("anomaly", at=a_moment(20 + who), reason=f"{who}", undo=bad)

    with ThreadPoolExecutor(8) as pool:
        entries = list(pool.map(take_back, range(16)))
    assert len(set(map(str, entries))) == 1, "all are told of the one that counts"
    assert repository.current("anomaly") == version_id(a_moment(1))


_ENDLESS_PUBLISHER = """
import sys
from tests.runtime.test_repository import a_manifest
from runtime.models.repository import ModelRepository
minutes = int(sys.argv[2])
while True:
    ModelRepository(sys.argv[1]).publish(a_manifest(minutes), {"model.onnx": b"trees" * 200_000})
    print(minutes, flush=True)
    minutes += 1
"""


def test_a_publisher_that_is_killed_leaves_only_whole_versions(tmp_path: Path) -> None:
    seen = 0
    for kill in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", _ENDLESS_PUBLISHER, str(tmp_path), str(kill * 1000)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.01 * kill)  # not awaited: the point is to hit any moment of a write
        child.send_signal(signal.SIGKILL)
        child.stdout.close()
        child.wait()
        repository = ModelRepository(tmp_path)
        versions = repository.versions("anomaly")
        assert len(versions) > seen
        seen = len(versions)
        for version in versions:
            repository.load("anomaly", version)


def test_a_root_that_is_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(RepositoryUnavailable, match=r"could not be written: .*; check that it is there") as raised:
        ModelRepository(tmp_path / "models").publish(a_manifest(), FILES)
    assert "\n" not in str(raised.value)


def test_an_unknown_kind_of_storage_is_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="no storage of that kind"):
        ModelRepository("floppy://models")


def test_every_error_of_the_repository_is_for_people() -> None:
    assert all(
        issubclass(kind, NexovaError) for kind in (ModelDamaged, RepositoryUnavailable, UnknownVersion, VersionExists)
    )


actions = st.lists(st.sampled_from(["promote", "roll back"]), max_size=30)


@given(actions)
def test_a_rollback_undoes_exactly_one_promotion(steps: list[str]) -> None:
    log: list[Promotion] = []
    expected: list[str] = []
    for minutes, step in enumerate(steps):
        version = version_id(a_moment(minutes))
        if step == "promote":
            expected.append(version)
            log.append(Promotion(name="anomaly", version=version, at=START, reason="x"))
        elif len(expected) > 1:
            expected.pop()
            log.append(Promotion(name="anomaly", version=expected[-1], action="rolled_back", at=START, reason="x"))
    assert [entry.version for entry in champions(log)] == expected
    assert parse_log("\n\n".join(entry.model_dump_json() for entry in log)) == log


@given(st.lists(st.sampled_from(["promote", "worker 1", "worker 2"]), max_size=30))
def test_workers_take_back_each_promotion_at_most_once_however_late_they_are(steps: list[str]) -> None:
    """One worker takes back the newest promotion, the other is two promotions behind."""
    log: list[Promotion] = []
    promoted: list[tuple[Promotion, Promotion | None]] = []  # each with the one that stood before it
    for minutes, step in enumerate(steps):
        version, at = version_id(a_moment(minutes)), a_moment(minutes)
        if step == "promote":
            entry = Promotion(name="anomaly", version=version, at=at, reason="x")
            promoted.append((entry, next(iter(reversed(champions(in_effect(log)))), None)))
            log.append(entry)
            continue
        bad, before = promoted[-1 if step == "worker 1" else -3] if len(promoted) > 3 else (None, None)
        if bad is not None and before is not None:
            back = {"version": before.version, "previous": bad.version, "undoes": bad.at, "reason": step}
            log.append(Promotion(name="anomaly", action="rolled_back", at=at, **back))
    effective = in_effect(log)
    undone = [entry.undoes for entry in effective if entry.action == "rolled_back"]
    assert len(set(undone)) == len(undone)
    for place, entry in enumerate(effective):
        if entry.action == "rolled_back":
            assert entry.version == champions(effective[: place + 1])[-1].version, "what the entry says runs, runs"
    assert in_effect(effective) == effective
    assert all(entry in effective for entry, _ in promoted)


def test_trainers_that_publish_within_one_second_lose_nothing(tmp_path: Path) -> None:
    manifests = [a_manifest(rows_used=rows) for rows in range(1, 9)]

    def publish(manifest: Manifest) -> Manifest:
        return ModelRepository(tmp_path).publish_newest(manifest, FILES)

    with ThreadPoolExecutor(len(manifests)) as trainers:
        published = list(trainers.map(publish, manifests))
    repository = ModelRepository(tmp_path)
    kept = [repository.load(one.name, one.version).manifest.rows_used for one in published]
    assert kept == [one.rows_used for one in manifests]
    assert len(repository.versions(manifests[0].name)) == len(manifests)
    assert all(version_id(one.created_at) == one.version for one in published)
