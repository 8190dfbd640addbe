"""What it takes to generate the default data set and to train all models on it: seconds, and memory at its highest.

Both run as a user runs them, in processes of their own; memory is that of the whole process tree, shared pages counted
once (the proportional set size of Linux).
"""

import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

LIMITS = {"generation": 20.0, "training": 60.0}
MOST_MIB = 2048.0
_EVERY = 0.2


def memory_of_session(session: int) -> float:
    """MiB of all processes of a session."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(folder.name)) == session:
                for line in (folder / "smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
        except (OSError, ValueError):
            continue  # it ended meanwhile
    return total / 1024


def measured(*arguments: str) -> tuple[float, float]:
    """Seconds and highest MiB of a `nexova` command."""
    highest = 0.0
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "nexova", *arguments], start_new_session=True, stdout=subprocess.DEVNULL
    ) as process:
        done = threading.Event()

        def watch() -> None:
            nonlocal highest
            while not done.wait(_EVERY):
                highest = max(highest, memory_of_session(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        seconds = time.perf_counter() - begun
        done.set()
        watcher.join()
    if code != 0:
        raise SystemExit(f"nexova {' '.join(arguments)} ended with {code}")
    return seconds, highest


def main() -> None:
    """Print one line for each of the two."""
    with tempfile.TemporaryDirectory() as folder:
        data, models = f"{folder}/data", f"{folder}/models"
        steps = {
            "generation": ("data", "generate", "--out", data),
            "training": ("train", "all", "--data", data, "--models", models, "--no-announce"),
        }
        for name, arguments in steps.items():
            seconds, highest = measured(*arguments)
            print(
                f"{name}: {seconds:.1f} s (limit {LIMITS[name]:g} s), {highest:,.0f} MiB at most "
                f"(limit {MOST_MIB:,.0f} MiB), on {os.cpu_count()} cores"
            )


if __name__ == "__main__":
    main()
