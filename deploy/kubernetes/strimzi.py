"""Strimzi's `KafkaTopic` and `KafkaUser` resources, from the catalogue of topics and the rights of processes.

`python -m deploy.kubernetes.strimzi write` rewrites the two files; a test compares them.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from runtime.kafka import partitions_of, readers_of, topic_config
from runtime.rights import RIGHTS, Acl, acls_of
from runtime.settings import KafkaSettings
from schemas.topics import CATALOGUE, Topic

FOLDER: Final = Path(__file__).parent / "components" / "strimzi"
CLUSTER: Final = {"strimzi.io/cluster": "nexova"}
KAFKA: Final = KafkaSettings(replication_factor=3)
_API: Final = "kafka.strimzi.io/v1"
_HEAD: Final = (
    "# Made by `python -m deploy.kubernetes.strimzi write`; edit schemas/topics.py or runtime/rights.py instead.\n"
)


def render() -> dict[Path, str]:
    """Return each file and what it is to hold."""
    return {
        FOLDER / "topics.yaml": _document(_topic(topic) for topic in CATALOGUE),
        FOLDER / "users.yaml": _document(_user(name) for name in RIGHTS),
    }


def _topic(topic: Topic) -> dict[str, Any]:
    return {
        "apiVersion": _API,
        "kind": "KafkaTopic",
        "metadata": {"name": topic.name, "labels": CLUSTER},
        "spec": {
            "partitions": partitions_of(KAFKA, topic),
            "replicas": KAFKA.replication_factor,
            "config": topic_config(KAFKA, topic),
        },
    }


def _user(name: str) -> dict[str, Any]:
    acls = acls_of(name, group=KAFKA.group, readers=readers_of(KAFKA))
    return {
        "apiVersion": _API,
        "kind": "KafkaUser",
        "metadata": {"name": f"nexova-{name}", "labels": CLUSTER},
        "spec": {
            "authentication": {"type": "scram-sha-512"},
            "authorization": {"type": "simple", "acls": [_acl(acl) for acl in acls]},
        },
    }


def _acl(acl: Acl) -> dict[str, Any]:
    pattern = "prefix" if acl.prefixed else "literal"
    resource = {"type": acl.kind, "name": acl.name, "patternType": pattern}
    return {"resource": resource, "operations": list(acl.operations), "host": "*"}


def _document(resources: Iterable[dict[str, Any]]) -> str:
    return _HEAD + yaml.safe_dump_all(resources, sort_keys=False, explicit_start=True, width=120)


def main(arguments: list[str]) -> int:
    """Write the files, or with `check` say whether they are what they should be."""
    if arguments not in (["write"], ["check"]):
        sys.stderr.write("usage: python -m deploy.kubernetes.strimzi write | check\n")
        return 2
    stale = [path for path, text in render().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in stale:
        if arguments == ["write"]:
            path.write_text(render()[path], encoding="utf-8")
        else:
            sys.stderr.write(f"{path} is not what the catalogue says; run python -m deploy.kubernetes.strimzi write\n")
    return int(arguments == ["check"] and bool(stale))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
