"""What attackers and bad disks do to bytes, chosen by a seeded generator."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import strategies as st

__all__ = ["RNGS", "mutated"]

# A seed and not Hypothesis's own Random: what is drawn may hang on bytes of a library.
RNGS = st.integers(0, 2**64 - 1).map(random.Random)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Change bytes in one to three ways."""
    for _ in range(rng.randint(1, 3)):
        data = rng.choice(_WAYS)(data, rng)
    return data


def _flip(data: bytes, rng: random.Random) -> bytes:
    if not data:
        return data
    place = rng.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << rng.randrange(8)]) + data[place + 1 :]


def _set(data: bytes, rng: random.Random) -> bytes:
    place, new = rng.randint(0, len(data)), rng.choice(_WORDS)
    return data[:place] + new + data[place + len(new) :]


def _insert(data: bytes, rng: random.Random) -> bytes:
    place = rng.randint(0, len(data))
    return data[:place] + rng.choice(_WORDS) + data[place:]


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.randint(0, len(data))]


def _remove(data: bytes, rng: random.Random) -> bytes:
    start, length = rng.randint(0, len(data)), rng.randint(1, 8)
    return data[:start] + data[start + length :]


def _repeat(data: bytes, rng: random.Random) -> bytes:
    start, length = rng.randint(0, len(data)), rng.randint(1, 16)
    return data[: start + length] + data[start:]


_WAYS: list[Callable[[bytes, random.Random], bytes]] = [
    _flip, _flip, _set, _set, _insert, _cut, _remove, _repeat,
]  # fmt: skip

_WORDS = [
    b"\x00", b"\xff", b"\x80", b"\x7f", b"\x00" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f",
    b"\x00\x00\xc0\x7f", b"\x00\x00\x80\x7f", b"\x00\x7e", b"\x00\x7c", b"\xc0\x7f",
]  # fmt: skip
