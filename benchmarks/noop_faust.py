"""Child of the throughput benchmark: a Faust agent that does nothing, timed over so many readings."""

import asyncio
import json
import os
import sys
import tempfile
import time
from typing import Any

import faust

from schemas.topics import READINGS


def main() -> None:
    """Prints {"readings": n, "seconds": s} and ends; arguments: bootstrap servers, readings, codec."""
    broker, wanted, codec = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    folder = tempfile.TemporaryDirectory()
    app = faust.App(
        f"noop-{os.getpid()}",
        broker=f"kafka://{broker}",
        store="memory://",
        datadir=folder.name,
        autodiscover=False,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        web_enabled=False,
    )
    topic = app.topic(READINGS, value_serializer=codec, key_serializer="raw")

    @app.agent(topic)
    async def noop(stream: Any) -> None:
        done, started = 0, 0.0
        async for _ in stream:
            done += 1
            if done == wanted // 10:
                started = time.perf_counter()
            if done == wanted:
                seconds = time.perf_counter() - started
                print(json.dumps({"readings": wanted - wanted // 10, "seconds": seconds}), flush=True)
                folder.cleanup()
                os._exit(0)  # the measurement is over; a clean stop would take seconds and tell nothing
            if done % 4096 == 0:
                await asyncio.sleep(0)

    faust.Worker(app, loglevel="ERROR", override_logging=False, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main()
