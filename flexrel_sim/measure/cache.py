"""Measured profiles, kept by key. No torch."""

from __future__ import annotations

from pathlib import Path

from flexrel_sim.errors import ProfileError
from flexrel_sim.profile import Profile, profile_from_bytes, profile_to_bytes
from flexrel_sim.store import Store

__all__ = ["cached_profile", "keep_profile"]

_PROFILES = Store("profiles")


def cached_profile(key: str) -> Profile | None:
    """Give the profile of a key, or None if it has to be measured."""

    def read(data: bytes) -> Profile:
        length, _, files = data.partition(b"\n")
        text, arrays = files[: int(length)], files[int(length) :]
        profile = profile_from_bytes(text, arrays, Path(key))
        if profile.key != key:
            raise ProfileError("belongs to another key")
        return profile

    return _PROFILES.get(key, read)


def keep_profile(profile: Profile) -> None:
    """Keep a measured profile."""
    text, arrays = profile_to_bytes(profile)
    _PROFILES.put(profile.key, f"{len(text)}\n".encode() + text + arrays)
