"""What is kept from run to run: bytes by key, and never others than those that were kept."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from platformdirs import user_cache_path

from flexrel_sim.errors import InputError
from flexrel_sim.files import clean_strays, write_whole

__all__ = ["Store", "cache_folder"]

T = TypeVar("T")

_LOG = logging.getLogger(__name__)

_REMEDY = "set FLEXREL_CACHE to another folder"


def cache_folder() -> Path:
    """Give the folder of all stores: ``$FLEXREL_CACHE``, or the user's cache.

    Returns
    -------
    pathlib.Path
        The folder; it may be missing.
    """
    given = os.environ.get("FLEXREL_CACHE")
    return Path(given) if given else user_cache_path("flexrel_sim")


class Store:
    """Entries of one kind, a file each, named by their key.

    An entry is written whole or not at all, and holds a checksum of key and content. One that is
    damaged costs time, never a wrong number: it is told of, removed, and missing from then on.

    Parameters
    ----------
    kind
        What the entries are, as one word: the name of their folder.

    Examples
    --------
    >>> import os, tempfile
    >>> os.environ["FLEXREL_CACHE"] = tempfile.mkdtemp()
    >>> store = Store("numbers")
    >>> store.put("one", b"1")
    >>> store.get("one", int), store.get("two", int)
    (1, None)
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._cleaned: set[Path] = set()

    def get(self, key: str, read: Callable[[bytes], T]) -> T | None:
        """Give what an entry holds.

        Parameters
        ----------
        key
            Its key.
        read
            Turns its bytes into what is given; what it raises is damage.

        Returns
        -------
        object or None
            None if there is no such entry, or it was damaged.

        Raises
        ------
        InputError
            If the store can't be read.
        """
        file = self._folder() / key
        try:
            whole = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            told = f"{file}: can't be read: {error.strerror}; remove it, or {_REMEDY}"
            raise InputError(told) from None
        digest, _, data = whole.partition(b"\n")
        if digest == _digest(key, data):
            try:
                return read(data)
            except Exception as error:  # noqa: BLE001 - an entry may lead its reader anywhere
                _LOG.debug("%s: %r", file, error)
        _LOG.warning("%s: a cached result is damaged; computing it again", file)
        file.unlink(missing_ok=True)
        return None

    def put(self, key: str, data: bytes) -> None:
        """Keep an entry; one that is there is replaced.

        Parameters
        ----------
        key
            Its key: a file name, such as a hash.
        data
            What it holds.

        Raises
        ------
        InputError
            If it can't be written.
        """
        file = self._folder() / key
        try:
            write_whole(file, _digest(key, data) + b"\n" + data, noted=False)
        except OSError as error:
            told = (
                f"{file}: can't be written to the cache: {error.strerror}; make room, or {_REMEDY}"
            )
            raise InputError(told) from None

    def _folder(self) -> Path:
        folder = cache_folder() / self.kind
        if folder in self._cleaned:
            return folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"{folder}: can't hold the cache: {error.strerror}; {_REMEDY}"
            ) from None
        clean_strays(folder)
        self._cleaned.add(folder)
        return folder


def _digest(key: str, data: bytes) -> bytes:
    return hashlib.sha256(f"{key}\n".encode() + data).hexdigest().encode()
