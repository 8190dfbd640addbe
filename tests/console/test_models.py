"""The models page: what it shows, and promotion and rollback with the traces that they leave."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from runtime.logging import AUDIT
from runtime.models.manifest import Compared, Manifest, Span, Verdict, version_id
from runtime.models.repository import ModelRepository
from schemas.models import ModelPromoted
from schemas.topics import MODELS
from tests.api.servers import Server
from tests.brokers import Broker
from tests.console.browser import opened, running_browser
from tests.console.conftest import OPERATOR, OWN, entry, signed_in
from tests.e2e.workers import eventually, read_all

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, CHAMPION, NEWER = (version_id(START + timedelta(days=days)) for days in range(3))
ADMIN = "a" * 43
REASON = '<b>better</b> at "night"'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    """Three versions: the first ran, the second runs, the third is its shadow and did worse in one metric."""
    found = ModelRepository(tmp_path)
    for days, version in enumerate((OLD, CHAMPION, NEWER)):
        verdict = Verdict(
            promote=version != NEWER,
            reason="f1 is lower" if version == NEWER else "f1 is higher",
            champion=OLD if days else None,
            compared={"f1": Compared(champion=0.8125, challenger=0.7375 if version == NEWER else 0.8875)},
        )
        manifest = Manifest(
            name="anomaly",
            version=version,
            created_at=START + timedelta(days=days),
            plant="0123456789abcdef",
            features="fedcba9876543210",
            trained_on=Span(start=START - timedelta(days=30), end=START),
            rows_used=12_345,
            gate=verdict,
        )
        found.publish(manifest, {"model.json": b"{}"})
    for days, version in enumerate((OLD, CHAMPION)):
        found.promote("anomaly", version, at=START + timedelta(days=days, hours=1), reason="passed the gate")
    found.shadow("anomaly", NEWER, at=START + timedelta(days=3), reason="tried")
    return found


@pytest.fixture
def console_with_models(serve: Callable[..., Server], plant_broker: Broker, repository: ModelRepository) -> Server:
    tokens = ", ".join([entry("shift-lead", "operate", OPERATOR), entry("platform", "admin", ADMIN)])
    return serve(
        kafka={"bootstrap_servers": plant_broker.bootstrap_servers},
        api={"tokens": tokens},
        model_path=repository.root,
    )


def test_the_page_shows_what_runs_since_when_and_both_figures_of_the_gate(console_with_models: Server) -> None:
    with signed_in(console_with_models, OPERATOR) as client:
        page = client.get("/console/models").text
    for words in (CHAMPION, "runs since", "0.8125", "0.7375", "worse", "refused", "f1 is lower", "shadow", "12"):
        assert words in page
    assert "Promote</a>" not in page, "changes need admin"


def test_only_administrators_change_models(console_with_models: Server, repository: ModelRepository) -> None:
    data = {"action": "promote", "name": "anomaly", "version": NEWER, "reason": "x"}
    with signed_in(console_with_models, OPERATOR) as client:
        assert client.post("/console/models/change", data=data, headers=OWN).status_code == 403
        assert client.get("/console/models/change", params=data).status_code == 403
    with signed_in(console_with_models, ADMIN) as client:
        assert client.post("/console/models/change", data=data).status_code == 403, "another site's form"
    assert console_with_models.post("/console/models/change", data=data, headers=OWN).status_code == 303
    assert repository.current("anomaly") == CHAMPION


def test_what_cannot_be_done_is_said_and_changes_nothing(
    console_with_models: Server, repository: ModelRepository
) -> None:
    with signed_in(console_with_models, ADMIN) as client:
        for action, version, why in (("promote", "20200101T000000Z", "is not in"), ("rollback", NEWER, "look again")):
            data = {"action": action, "name": "anomaly", "version": version, "reason": "x"}
            answer = client.post("/console/models/change", data=data, headers=OWN)
            assert why in client.get(answer.headers["location"]).text
        assert client.get(f"/console/models/change?action=promote&name=none&version={NEWER}").status_code == 404
    assert repository.current("anomaly") == CHAMPION


def test_a_promotion_and_a_rollback_in_the_browser(
    browser: Browser,
    console_with_models: Server,
    repository: ModelRepository,
    plant_broker: Broker,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with opened(browser, console_with_models.url) as page, caplog.at_level(logging.INFO, AUDIT):
        page.goto("/console/sign-in?then=/console/models")
        page.get_by_label("Access token").fill(ADMIN)
        page.get_by_role("button", name="Sign in").click()
        page.locator(".versions tr", has_text=NEWER).get_by_role("link", name="Promote").click()
        expect(page.locator("h1")).to_have_text(f"Promote anomaly {NEWER}?")
        expect(page.locator(".confirm")).to_contain_text("0.7375")
        page.get_by_label("Reason").fill(REASON)
        page.get_by_role("button", name="Promote").click()
        expect(page.locator("main .banner.good")).to_have_text("Promoted; workers are switching.")
        assert repository.current("anomaly") == NEWER
        expect(page.locator("#promotions-title + .scroll")).to_contain_text(f"{REASON} (platform)")
        page.get_by_role("link", name=f"Roll back to {CHAMPION}").click()
        page.get_by_label("Reason").fill("too many flags")
        page.get_by_role("button", name="Roll back").click()
        expect(page.locator("main .banner.good")).to_have_text("Rolled back; workers are switching.")
    assert repository.current("anomaly") == CHAMPION
    assert repository.history("anomaly")[-1].reason == "too many flags (platform)"
    lines = [one.getMessage() for one in caplog.records if one.name == AUDIT]
    assert any(line.startswith("models promote by platform") and NEWER in line for line in lines)
    assert any(line.startswith("models rollback by platform") for line in lines)
    eventually(
        lambda: (
            [ModelPromoted.model_validate_json(value).version for _, value in read_all(plant_broker, MODELS) if value][
                -2:
            ]
            == [NEWER, CHAMPION]
        ),
        seconds=60,
        what="workers are told of both",
    )
