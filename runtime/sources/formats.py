"""Decoders of the formats of sources, from records to documents."""

from collections.abc import Callable

from core.plant import Plant, Source
from core.sources.documents import json_documents
from core.sources.mapping import MapRecord, compile_source
from core.sources.record import Documents
from runtime.sources.settings import RegistrySettings


def _ignore(_group: str, _node: str) -> None:
    pass


def documents_of(
    source: Source, registry: RegistrySettings, *, on_unknown_alias: Callable[[str, str], None] = _ignore
) -> Documents:
    """Return a function that decodes the documents in a source's records; each one has a state of its own.

    on_unknown_alias: called with group and node of a Sparkplug metric whose number no birth has named.

    Raises:
        UsageError: a setting or library that the format needs is missing.
    """
    if source.format == "json":
        return lambda raw: json_documents(raw.value or b"")
    if source.format == "sparkplug":
        from runtime.sources.sparkplug import SparkplugReader  # noqa: PLC0415  most plants need no protobuf

        return SparkplugReader(on_unknown_alias).documents
    from runtime.sources.registry import RegistryReader  # noqa: PLC0415  an extra of its own

    return RegistryReader(registry).documents


def mapping_of(
    source: Source,
    plant: Plant,
    registry: RegistrySettings,
    *,
    on_unknown_alias: Callable[[str, str], None] = _ignore,
) -> MapRecord:
    """Return the compiled source; arguments and errors are those of `documents_of`."""
    return compile_source(source, plant, documents_of(source, registry, on_unknown_alias=on_unknown_alias))
