"""Sparkplug B payloads as edge nodes send them."""

from collections.abc import Mapping
from typing import Any

from runtime.sources.sparkplug import Payload


def a_payload(at_ms: int, *metrics: Mapping[str, Any], seq: int = 0) -> bytes:
    """A payload; metrics have the specification's field names, and quality."""
    payload = Payload(timestamp=at_ms, seq=seq)
    for given in metrics:
        fields = dict(given)
        quality = fields.pop("quality", None)
        metric = payload.metrics.add(**fields)
        if quality is not None:
            metric.properties.keys.append("Quality")
            metric.properties.values.add(type=3, int_value=quality)
    return bytes(payload.SerializeToString())
