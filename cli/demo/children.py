"""The processes of a demo run: their command lines, their environment, and how to tell that they are ready."""

import json
import os
import sys
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from runtime.settings import PREFIX, KafkaSettings, Settings

_ROOT: Final = Path(__file__).resolve().parents[2]
_ANSWER_SECONDS: Final = 1.0


def python_module(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours with this Python, from a checkout as well as installed."""
    return [sys.executable, "-m", module, *arguments]


def base_environment(settings: Settings, *, temporary: Path) -> dict[str, str]:
    """Our environment, with our packages to be found and the settings' model repository in it.

    temporary: folder for what children leave lying about; it is to go away with the run.
    """
    own = dict(os.environ) | {
        "PYTHONPATH": os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "PYTHONUNBUFFERED": "1",
        "TMPDIR": str(temporary),
        f"{PREFIX}MODEL_PATH": settings.model_path,
    }
    own.pop("MODEL_PATH", None)  # two names of one setting: ours is to count
    return own


def kafka_environment(base: Mapping[str, str], kafka: KafkaSettings) -> dict[str, str]:
    """`base` with the demo's broker in it.

    Every Kafka setting is stated, so that neither the user's variables nor a .env file lead to another broker.
    """
    own = dict(base)
    for name in KafkaSettings.model_fields:
        value = getattr(kafka, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        own[f"{PREFIX}KAFKA__{name.upper()}"] = "" if plain is None else str(plain)
    return own


def processor_environment(base: Mapping[str, str], kafka: KafkaSettings, *, web_port: int) -> dict[str, str]:
    """`base` with the demo's broker and the processor's address in it."""
    return kafka_environment(base, kafka) | {
        f"{PREFIX}PROCESSOR__WEB_HOST": "127.0.0.1",
        f"{PREFIX}PROCESSOR__WEB_PORT": str(web_port),
        f"{PREFIX}PROCESSOR__STATUS_SECONDS": "1.0",
        f"{PREFIX}PROCESSOR__PUBLISH_SCORES": "true",
    }


def api_environment(base: Mapping[str, str], kafka: KafkaSettings, *, port: int) -> dict[str, str]:
    """`base` with the demo's broker and the API's address in it; the user's tokens and limits stay."""
    own = kafka_environment(base, kafka)
    own.pop("WORKERS", None)  # two names of one setting, and more would be children of a child
    return own | {f"{PREFIX}API__HOST": "127.0.0.1", f"{PREFIX}API__PORT": str(port), f"{PREFIX}WORKERS": "1"}


def health(web_port: int, path: str = "/healthz") -> Mapping[str, Any]:
    """What a child says of its health; nothing while it does not answer, or answers with an error."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{web_port}{path}", timeout=_ANSWER_SECONDS) as answer:
            found: Mapping[str, Any] = json.load(answer)
            return found
    except (OSError, ValueError, HTTPException):
        return {}
