import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from processor.health import CHECKS
from runtime.plants import load_plant
from schemas.alerts import Alert
from schemas.codec import ReadingDecoder
from schemas.topics import CATALOGUE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for match in LINK.finditer(text_of(page)):
        target, _, anchor = match["target"].partition("#")
        if ":" in target:
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), match["target"]
        assert not anchor or anchor in anchors(file), match["target"]


def test_the_readings_shown_are_readings_and_the_alert_is_an_alert() -> None:
    decoder = ReadingDecoder(load_plant(None).sensor_names)
    messages = re.findall(r"```json\n(.*?)```", text_of(ROOT / "docs" / "messages.md"), flags=re.DOTALL)
    (shown,) = re.findall(r"```json\n(.*?)```", text_of(ROOT / "README.md"), flags=re.DOTALL)

    for reading in (messages[0], shown):
        decoded, refused, unknown = decoder.decode(reading.encode())
        assert (len(decoded), refused, unknown) == (1, [], 0)
    alert = Alert.model_validate_json(messages[1])
    assert set(alert.model_dump()) == set(Alert.model_fields)


def test_the_readme_shows_the_two_commands() -> None:
    commands = re.findall(r"^    (make .+)$", text_of(ROOT / "README.md"), flags=re.MULTILINE)

    assert commands == ["make demo DURATION=60", "make test"]


def test_operations_explains_every_health_check() -> None:
    section = text_of(ROOT / "docs" / "operations.md").partition("\n## Health\n")[2].partition("\n## ")[0]
    explained = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)

    assert explained == list(CHECKS)


def test_the_picture_is_drawn_of_known_topics_and_reads_without_colours() -> None:
    picture = ET.parse(ROOT / "docs" / "architecture.svg")  # noqa: S314 - our own file
    words = " ".join(picture.getroot().itertext())

    assert set(re.findall(r"nexova\.[a-z-]+", words)) <= {topic.name for topic in CATALOGUE}
    assert picture.getroot().get("role") == "img"
    assert picture.find("{http://www.w3.org/2000/svg}desc") is not None


def test_every_file_and_folder_that_the_architecture_names_is_there() -> None:
    text = text_of(ROOT / "docs" / "architecture.md")
    named = re.findall(r"`((?:schemas|core|runtime|processor|api|cli|trainer|producer)/[\w/]*(?:\.py)?)`", text)
    tree = re.findall(r"^    (\w+)/ {2,}|^      (\w+)/ {2,}", text, flags=re.MULTILINE)
    room, rooms = "", []
    for package, inner in tree:
        room = package or room
        rooms.append(f"{room}/{inner}" if inner else room)

    assert len(named) > 15
    assert len(rooms) > 20
    assert [name for name in (*named, *rooms) if not (ROOT / name).exists()] == []
