"""The page that Prometheus reads: of this process, or of all processes that serve one port.

Which of those processes answers is chance, and counters that jump between them are worth nothing. So they write their
figures into a folder that they share (prometheus_client's way, by the variable `FOLDER`), and each gives the whole.
"""

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from runtime.children import runs

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def metrics_page(registry: CollectorRegistry) -> bytes:
    """The metrics of `registry` or, where a folder is shared, of all processes that share it, without `process_…`."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return generate_latest(registry)
    for file in Path(folder).glob("gauge_live*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not runs(pid):
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
    together = CollectorRegistry()
    MultiProcessCollector(together, folder)  # type: ignore[no-untyped-call]
    return generate_latest(together)
