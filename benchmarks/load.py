"""A small load generator over raw connections: fast enough to be no part of what it measures on another core."""

import asyncio
import time
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a run saw. rate: answers a second; latencies: seconds from the planned moment to the answer."""

    rate: float
    latencies: np.ndarray
    failed: int

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that `share` of the answers stayed below."""
        return float(np.quantile(self.latencies, share) * 1e3)


def request(path: str, body: bytes, *, host: str = "127.0.0.1") -> bytes:
    """A POST of JSON as it goes over the wire."""
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, payload: bytes) -> bool:
    writer.write(payload)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return head.startswith(b"HTTP/1.1 200")


async def flood(port: int, payload: bytes, *, connections: int, seconds: float) -> Load:
    """As many requests as `connections` that never rest can make."""
    latencies: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def one() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while time.perf_counter() < end:
            begun = time.perf_counter()
            failed += not await _exchange(reader, writer, payload)
            latencies.append(time.perf_counter() - begun)
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(rate=len(latencies) / (time.perf_counter() - begun), latencies=np.array(latencies), failed=failed)


async def steady(port: int, payload: bytes, *, connections: int, per_second: float, seconds: float) -> Load:
    """Requests at a fixed rate; a late one counts from when it was due, so that waiting is not forgotten."""
    latencies: list[float] = []
    failed = 0
    start = time.perf_counter() + 0.1
    total = int(per_second * seconds)
    numbers = iter(range(total))

    async def one() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in numbers:
            due = start + number / per_second
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            failed += not await _exchange(reader, writer, payload)
            latencies.append(time.perf_counter() - due)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return Load(rate=total / (time.perf_counter() - start), latencies=np.array(latencies), failed=failed)
