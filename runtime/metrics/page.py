"""Metrics page of this process, or of all processes that serve one port.

Any of those processes may answer a scrape, so they write their figures into a shared folder (prometheus_client's
multiprocess mode, by the variable `FOLDER`), and each returns the totals.
"""

import os
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from runtime.children import runs

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def metrics_page(registry: CollectorRegistry) -> bytes:
    """Return the metrics of `registry` or, with a shared folder, of all processes that use it, without `process_…`."""
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
