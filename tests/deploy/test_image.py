import re
import shutil
import sys
import tomllib
from pathlib import Path

from tests.deploy.checks import ROOT, run

DOCKERFILE = ROOT / "Dockerfile"
TEXT = DOCKERFILE.read_text(encoding="utf-8")


def hadolint() -> str:
    found = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert found, "hadolint belongs to the development requirements: make setup"
    return found


def test_hadolint_finds_no_fault() -> None:
    checked = run(hadolint(), "--failure-threshold", "style", DOCKERFILE)

    assert checked.returncode == 0, checked.stdout


def test_hadolint_would_find_one() -> None:
    assert run(hadolint(), "-", given="FROM python\nRUN cd /tmp && sudo ls\n").returncode != 0


def test_the_image_gets_every_package_of_the_wheel_and_no_more() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = set(wheel["packages"])

    assert set(re.findall(r"^COPY (\w+) \1$", TEXT, flags=re.MULTILINE)) == needed
    allowed = re.findall(r"^!([\w.]+)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), flags=re.MULTILINE)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, flags=re.MULTILINE)
    assert set(allowed) == {name for line in copied for name in line.split()}


def test_what_is_copied_is_there() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", TEXT, flags=re.MULTILINE)

    assert [name for line in copied for name in line.split() if not (ROOT / name).exists()] == []


def test_dependencies_are_locked_by_hash_and_the_process_is_not_root() -> None:
    assert "--require-hashes" in TEXT
    assert re.findall(r"^USER (.+)$", TEXT, flags=re.MULTILINE) == ["10001:10001"]
