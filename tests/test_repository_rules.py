"""What no committed file may contain, whoever writes it. Forbidden words are put together, so that none stands here."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.brokers import DEMAND_ALL, unavailable

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = (
    "nexova",
    "schemas",
    "core",
    "runtime",
    "producer",
    "processor",
    "trainer",
    "api",
    "forwarder",
    "bridge",
    "cli",
)
REFUSED_LOCKS = {
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
}
LONGEST_FILE = 400  # lines
LARGEST_FILE = 1_048_576  # bytes


def host(*labels: str) -> str:
    return re.escape(".".join(labels))


REGISTRIES = re.compile(
    "|".join(
        [
            host("pypi", "org"),
            host("pythonhosted", "org"),
            host("npmjs", "org"),
            host("npmjs", "com"),
            host("yarnpkg", "com"),
            host("maven", "org"),
            host("repo", "maven", "apache", "org"),
            host("proxy", "golang", "org"),
            host("sum", "golang", "org"),
            host("crates", "io"),
            host("anaconda", "org"),
            host("rubygems", "org"),
            host("jfrog", "io"),
            "--(?:extra-)?" + "index-url[ =]",
            "--find" + "-links[ =]",
        ]
    )
)
MACHINE_PATHS = re.compile(r"(?<![\w.$}/-])/(?:work|farm|root|Users|home/(?!nexova\b))/?[A-Za-z.][\w.-]*")
SECRETS = re.compile(
    "|".join(
        [
            "-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
            r"\bAKIA[0-9A-Z]{16}\b",
            r"\bgh[pousr]_[A-Za-z0-9]{30,}\b",
            r"\bxox[abpr]-[A-Za-z0-9-]{10,}\b",
            r"\beyJ[A-Za-z0-9_-]{20,}\.[A-Za-z0-9_-]{20,}\.",
            r"(?i:\b[\w-]*(?:password|secret|token|api_?key)\b)\s*[:=]\s*[\"'][A-Za-z0-9+/=_-]{16,}[\"']",
        ]
    )
)
UNPICKLING = re.compile(r"\b(?:pickle|cloudpickle|joblib|dill)\.loads?\(")


@cache
def files() -> tuple[Path, ...]:
    """What git has, or would take with the next `git add`."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        unavailable("this is no git checkout, so there are no committed files to look at")
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def lines_with(pattern: re.Pattern[str], *, suffixes: tuple[str, ...] = ()) -> Iterator[str]:
    for path in files():
        if suffixes and path.suffix not in suffixes:
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), start=1):
            found = pattern.search(line)
            if found:
                yield f"{path.relative_to(ROOT)}:{number}: {found[0]}"


def test_no_file_names_a_package_registry() -> None:
    assert list(lines_with(REGISTRIES)) == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert list(lines_with(MACHINE_PATHS)) == []


def test_no_file_carries_a_secret() -> None:
    assert list(lines_with(SECRETS)) == []


def test_nothing_is_unpickled() -> None:
    assert list(lines_with(UNPICKLING, suffixes=(".py",))) == []


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (REGISTRIES, "see https://" + "pypi" + ".org/project/nexova"),
        (REGISTRIES, "--index" + "-url https://example.com/simple"),
        (MACHINE_PATHS, "open('/" + "root/models')"),
        (MACHINE_PATHS, "see /" + "home/alice/nexova"),
        (SECRETS, "-----BEGIN RSA PRIVATE" + " KEY-----"),
        (SECRETS, "sasl_password = '" + "Zm9vYmFyYmF6cXV4" + "'"),
        (SECRETS, "token: " + '"' + "0123456789abcdef0123" + '"'),
        (UNPICKLING, "model = joblib" + ".load(path)"),
    ],
)
def test_the_patterns_find_what_they_forbid(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (MACHINE_PATHS, "--home-dir /home/nexova"),
        (MACHINE_PATHS, "docs/work/plan.md"),
        (MACHINE_PATHS, "../home/x"),
        (SECRETS, "sasl_password: OptionalSecret = Field(None)"),
    ],
)
def test_the_patterns_let_pass_what_is_right(pattern: re.Pattern[str], line: str) -> None:
    assert not pattern.search(line)


def test_no_lock_file_that_records_download_addresses_is_kept() -> None:
    assert [str(path) for path in files() if path.name in REFUSED_LOCKS] == []


def test_no_module_of_the_packages_is_too_long_to_read() -> None:
    modules = [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in PACKAGES]
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules}
    assert lengths, "the packages have modules"
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


def test_no_file_is_too_large_for_a_repository() -> None:
    assert [str(path) for path in files() if path.stat().st_size > LARGEST_FILE] == []


def test_imports_point_downward() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "extras"), [("requirements.txt", ("build",)), ("requirements-dev.txt", ("build", "dev"))]
)
def test_the_lock_files_hold_what_the_project_asks_for(file: str, extras: tuple[str, ...]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    locked = locked_versions(ROOT / file)
    for requirement in map(Requirement, wanted):
        versions = locked.get(normal(requirement.name), [])
        assert versions, f"{requirement.name} is not in {file}; run `make lock`"
        assert all(requirement.specifier.contains(version) for version in versions), f"{requirement}: run `make lock`"


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt"])
def test_every_locked_package_has_its_hashes(file: str) -> None:
    blocks = re.split(r"\n(?=\S)", (ROOT / file).read_text(encoding="utf-8").strip())
    assert len(blocks) > 50
    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_both_lock_files_agree() -> None:
    run, develop = locked_versions(ROOT / "requirements.txt"), locked_versions(ROOT / "requirements-dev.txt")
    assert {name: versions for name, versions in run.items() if develop.get(name) != versions} == {}


def test_the_checks_run_the_commands_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    checks = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
    assert "\nmake check\nmake test\n" in checks
    assert checks.endswith("\nmake test-long\n")
    assert re.search(rf"^export\b.* {DEMAND_ALL}=1$", checks, re.MULTILINE)
    others = [path for path in (ROOT / ".github").rglob("*.yml") if DEMAND_ALL in path.read_text(encoding="utf-8")]
    assert others == [], "a clone without the development data passes everywhere else"


def test_extras_that_a_locked_package_asks_for_stand_in_the_lock() -> None:
    # else pip looks for the extra beside the lock, finds a newer release and refuses it for its missing hash
    locked = {
        normal(one.name): one.extras for one in map(Requirement, locked_requirements(ROOT / "requirements-dev.txt"))
    }
    asked = {
        (asking.name, needed.name, extra)
        for asking in metadata.distributions()
        for needed in map(Requirement, asking.requires or ())
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
        for extra in needed.extras
        if normal(asking.name) in locked
    }
    assert asked
    assert {one for one in asked if one[2] not in locked[normal(one[1])]} == set()


def locked_requirements(file: Path) -> list[str]:
    """Lines of a lock file without hashes and markers."""
    return re.findall(r"^[A-Za-z0-9._-]+(?:\[[^]]*\])?==[^\s;]+", file.read_text(encoding="utf-8"), re.MULTILINE)


def locked_versions(file: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in locked_requirements(file):
        found.setdefault(normal(re.split(r"[\[=]", line)[0]), []).append(line.partition("==")[2])
    return found


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
