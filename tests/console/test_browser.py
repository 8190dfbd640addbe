"""The console in a real browser: what a person does, sees and hears."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from runtime.children import free_port
from runtime.kafka import create_topics
from schemas.feedback import Feedback
from schemas.topics import ALERTS, FEEDBACK, MACHINES
from tests.api.live_data import a_status, publish
from tests.api.servers import Server, running_server
from tests.brokers import Broker, running_tansu
from tests.console.browser import PHONE, WIDE, keep_screenshot, opened, running_browser
from tests.console.conftest import wait_ready
from tests.console.plant_story import HOSTILE, an_episode, publish_plant, this_moment
from tests.e2e.workers import read_all

PAGES = {
    "fleet": "/",
    "fleet-table": "/?layout=table",
    "machine": "/console/machines/press-01",
    "alert": "/console/alerts/episode-006",
    "alarms": "/console/alerts?group=all",
    "forecasts": "/console/forecasts",
    "models": "/console/models",
    "sign-in": "/console/sign-in",
}
LIVE_SECONDS = 2.0


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as found:
        yield found


@pytest.fixture
def page(browser: Browser, console: Server) -> Iterator[Page]:
    with opened(browser, console.url) as found:
        yield found


@pytest.mark.parametrize(("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_each_page_fits_and_has_no_serious_fault_of_accessibility(
    browser: Browser, console: Server, name: str, size: tuple[int, int], scheme: str
) -> None:
    with opened(browser, console.url, size=size, scheme=scheme) as page:
        page.goto(PAGES[name])
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= size[0], "nothing sticks out at the side"
        found = Axe().run(page)
        serious = [
            (one["id"], one["help"], [node["html"][:200] for node in one["nodes"][:3]])
            for one in found.response["violations"]
            if one["impact"] in {"serious", "critical"}
        ]
        assert not serious
        keep_screenshot(page, f"{name}-{size[0]}-{scheme}")


def test_from_the_fleet_to_a_false_alarm(page: Page, plant_broker: Broker) -> None:
    page.goto("/")
    page.locator(".tile", has_text="press-01").locator("a").click()
    expect(page.locator("h1")).to_have_text("press-01")
    page.locator("#history .alert a").first.click()
    expect(page.locator("h1")).to_contain_text("vibration is")
    page.get_by_label("Note (optional)").fill("sensor cable was loose")
    page.get_by_role("button", name="False alarm").click()
    expect(page.locator("main .banner")).to_have_text("Recorded: false alarm.")
    expect(page.locator(".story")).to_contain_text("sensor cable was loose")
    statements = [Feedback.model_validate_json(value) for _, value in read_all(plant_broker, FEEDBACK) if value]
    (said,) = [one for one in statements if one.alert_id == "episode-006"]
    assert (said.kind, said.machine_id, said.comment) == ("false_alarm", "press-01", "sensor cable was loose")
    expect(page.locator("#answers")).to_contain_text("The processor closes the alert")
    page.reload()
    expect(page.locator(".story")).to_contain_text("sensor cable was loose")
    now = this_moment()
    closed = an_episode(
        6,
        "press-01",
        now - timedelta(minutes=20),
        severity="critical",
        state="resolved",
        resolved_at=now,
        updated_at=now,
    )
    publish(plant_broker, ALERTS, [(closed.alert_id, closed)])
    expect(page.locator(".story")).to_contain_text("Resolved", timeout=60_000)
    expect(page.locator("#title")).to_contain_text("lasted")
    page.go_back()
    page.go_back()
    expect(page.locator("h1")).to_have_text("press-01")


def test_the_alarm_list_by_keyboard(page: Page, plant_broker: Broker) -> None:
    alert = an_episode(20, "press-03", this_moment(), severity="critical")
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    page.goto("/console/alerts")
    expect(page.locator("[data-row=episode-020]")).to_be_visible(timeout=20_000)
    page.keyboard.press("j")
    expect(page.locator("tr.current")).to_have_attribute("data-row", "episode-020")
    page.keyboard.press("a")
    expect(page.locator("main .banner")).to_have_text("Recorded: acknowledged.")
    expect(page.locator("[data-row=episode-020]")).to_contain_text("acknowledged")
    expect(page.locator("tr.current")).to_have_attribute("data-row", "episode-020")
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/alerts/episode-020")
    page.go_back()
    expect(page.locator("tr.current")).to_have_attribute("data-row", "episode-020")


def test_a_new_alert_is_on_an_open_page_within_two_seconds(page: Page, plant_broker: Broker) -> None:
    page.goto("/")
    expect(page.locator("#fresh")).to_contain_text("Data is")
    page.wait_for_timeout(500)
    alert = an_episode(21, "mill-01", this_moment(), severity="critical")
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    began = time.monotonic()
    page.locator("#groups", has_text="mill-01").wait_for()
    assert time.monotonic() - began < LIVE_SECONDS


def test_what_somebody_writes_or_selects_is_not_lost_by_an_update(page: Page, plant_broker: Broker) -> None:
    page.goto("/console/alerts")
    page.locator("[data-row=episode-007] input").check()
    alert = an_episode(22, "mill-01", this_moment() - timedelta(minutes=1))
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    expect(page.locator("[data-row=episode-022]")).to_be_visible()
    expect(page.locator("[data-row=episode-007] input")).to_be_checked()
    page.goto("/console/alerts/episode-007")
    page.get_by_label("Note (optional)").fill("half a sent")
    publish(plant_broker, MACHINES, [("pump-01", a_status("pump-01", timestamp=this_moment()))])
    page.wait_for_timeout(2_500)
    expect(page.get_by_label("Note (optional)")).to_have_value("half a sent")


def test_a_chart_tells_values_and_zooms(page: Page) -> None:
    page.goto("/console/machines/press-01")
    chart = page.locator("svg.chart").first
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 20)
    expect(page.locator(".panel .readout").first).to_contain_text("kW")
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 20)
    page.mouse.up()
    page.wait_for_url("**begin=*")
    expect(page.get_by_text("Back to now")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Back to now")).to_be_visible()


def test_pages_are_readable_without_scripts(browser: Browser, console: Server) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=console.url)
    page = context.new_page()
    page.goto("/console/machines/press-01")
    assert page.locator("svg.chart path.line").count() >= 5
    page.goto("/console/alerts/episode-009")
    page.get_by_role("button", name="Expected").click()
    expect(page.locator("main .banner")).to_have_text("Recorded: expected.")
    context.close()


def test_hostile_names_run_nothing(browser: Browser, console: Server, plant_broker: Broker) -> None:
    alert = an_episode(67, HOSTILE, this_moment(), summary=f"{HOSTILE}<img src=x onerror=alert(1)>")
    publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
    with opened(browser, console.url) as page:
        said: list[str] = []
        page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        page.goto("/")
        page.locator("#groups", has_text="onerror").wait_for()
        page.goto("/console/alerts/episode-067")
        expect(page.locator("h1")).to_contain_text("<img src=x")
        assert not said


def test_an_open_page_goes_on_after_the_service_was_gone(browser: Browser, plant_broker: Broker) -> None:
    port, kafka = free_port(), {"bootstrap_servers": plant_broker.bootstrap_servers}
    with opened(browser, f"http://127.0.0.1:{port}") as page:
        with running_server(kafka=kafka, port=port) as server:
            wait_ready(server)
            page.goto("/")
            expect(page.locator("#groups")).to_contain_text("pump-01")
            expect(page.locator("#lost")).to_be_hidden()
        expect(page.locator("#lost")).to_contain_text("Connection lost")
        with running_server(kafka=kafka, port=port) as server:
            wait_ready(server)
            alert = an_episode(23, "compressor-01", this_moment(), severity="critical")
            publish(plant_broker, ALERTS, [(alert.alert_id, alert)])
            expect(page.locator("#groups")).to_contain_text("compressor-01", timeout=30_000)
            expect(page.locator("#lost")).to_be_hidden()


@pytest.mark.long
def test_an_open_page_goes_on_after_the_broker_was_gone(browser: Browser) -> None:
    broker_port = free_port()
    with running_tansu(port=broker_port) as broker:
        create_topics(broker.kafka)
        publish_plant(broker)
        stack = ExitStack()
        server = stack.enter_context(running_server(kafka={"bootstrap_servers": broker.bootstrap_servers}))
        wait_ready(server)
        page = stack.enter_context(opened(browser, server.url))
        page.goto("/")
        expect(page.locator("#groups")).to_contain_text("press-01")
    with stack:
        expect(page.locator("#banner")).to_contain_text("Kafka does not answer", timeout=30_000)
        with running_tansu(port=broker_port) as broker:
            create_topics(broker.kafka)
            alert = an_episode(24, "compressor-01", this_moment(), severity="critical")
            publish(broker, ALERTS, [(alert.alert_id, alert)])
            expect(page.locator("#groups")).to_contain_text("compressor-01", timeout=30_000)
            expect(page.locator("#banner")).not_to_contain_text("Kafka does not answer", timeout=30_000)
