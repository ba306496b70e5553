"""Measured profiles, kept by key. No torch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from platformdirs import user_cache_path

from flexrel_sim.errors import InputError, ProfileError
from flexrel_sim.profile import Profile, load_profile, save_profile

__all__ = ["cache_folder", "cached_profile", "keep_profile"]


def cache_folder() -> Path:
    """Give the folder of cached profiles: ``$FLEXREL_CACHE``, or the user's cache.

    Returns
    -------
    pathlib.Path
        The folder, made if it was missing.

    Raises
    ------
    InputError
        If it can't be made.
    """
    given = os.environ.get("FLEXREL_CACHE")
    folder = Path(given) if given else user_cache_path("flexrel_sim") / "profiles"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{folder}: can't hold the cache: {error.strerror}; set FLEXREL_CACHE to another folder"
        ) from None
    return folder


def cached_profile(key: str) -> Profile | None:
    """Give the profile of a key, or None if it has to be measured.

    A damaged one is removed: the cache may cost time, never a wrong number.
    """
    folder = cache_folder() / key
    if not folder.exists():
        return None
    try:
        profile = load_profile(folder)
        if profile.key == key:
            return profile
    except ProfileError:
        pass
    shutil.rmtree(folder, ignore_errors=True)
    return None


def keep_profile(profile: Profile) -> None:
    """Keep a measured profile."""
    save_profile(profile, cache_folder() / profile.key)
