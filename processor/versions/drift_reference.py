"""References of drift, stored in the model repository: they survive restarts and are the same for all workers."""

import json
import logging
from collections.abc import Mapping
from typing import Final

import numpy as np

from core.drift import DriftWatch
from runtime.errors import NexovaError
from runtime.models.repository import ModelRepository

LOGGER: Final = logging.getLogger("nexova.processor.models")


class DriftReferences:
    """References of the running versions, in `drift-NAME.json` at the root of the repository, for one version each."""

    def __init__(self, repository: ModelRepository) -> None:
        self._repository = repository
        self._failed = ""

    def exchange(self, watches: Mapping[str, DriftWatch]) -> None:
        """Adopt the stored references of these versions; store complete ones of which there is none.

        If the repository fails, workers continue with their own references, which is logged once for each cause.
        """
        try:
            for name, watch in watches.items():
                self._exchange(name, watch)
        except NexovaError as error:
            if error.message != self._failed:
                LOGGER.warning("references of drift cannot be stored and are lost at a restart: %s", error.message)
            self._failed = error.message
        else:
            self._failed = ""

    def _exchange(self, name: str, watch: DriftWatch) -> None:
        file = f"drift-{name}.json"
        kept = _counts(self._repository.read_document(file), watch)
        if kept is not None:
            watch.adopt(kept)
        elif (own := watch.reference) is not None:
            content = {"version": watch.version, "highest": watch.highest, "counts": own.tolist()}
            self._repository.write_document(file, json.dumps(content).encode())


def _counts(content: bytes | None, watch: DriftWatch) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """Return the counts of a stored reference; None if it is of another version or form, or unreadable."""
    try:
        document = json.loads(content or b"{}")
        if document.get("version") != watch.version or document.get("highest") != watch.highest:
            return None
        counts = np.asarray(document["counts"], dtype=np.float64)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return counts if watch.fits(counts) else None
