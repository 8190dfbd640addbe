"""Partition of a machine's key: Java's murmur2, by which our own messages are placed, and librdkafka's CRC32."""

import zlib
from functools import lru_cache
from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_SHIFT: Final = 24
_WORD: Final = 0xFFFFFFFF
_POSITIVE: Final = 0x7FFFFFFF


def murmur2_partition(key: str, partitions: int) -> int:
    """Return the partition of a key as Java's clients, Faust and librdkafka's `murmur2_random` place it."""
    return (_murmur2(key.encode()) & _POSITIVE) % partitions


def crc32_partition(key: str, partitions: int) -> int:
    """Return the partition of a key as librdkafka places it by default (`consistent_random`)."""
    return zlib.crc32(key.encode()) % partitions


@lru_cache(maxsize=65_536)
def _murmur2(data: bytes) -> int:
    """Return the 32-bit MurmurHash2 of bytes, by Austin Appleby, with Kafka's seed."""
    length = len(data)
    value = (_SEED ^ length) & _WORD
    whole = length - length % 4
    for place in range(0, whole, 4):
        word = int.from_bytes(data[place : place + 4], "little") * _FACTOR & _WORD
        word = (word ^ word >> _SHIFT) * _FACTOR & _WORD
        value = value * _FACTOR & _WORD ^ word
    rest = data[whole:]
    if rest:
        value = (value ^ int.from_bytes(rest, "little")) * _FACTOR & _WORD
    value = (value ^ value >> 13) * _FACTOR & _WORD
    return value ^ value >> 15
