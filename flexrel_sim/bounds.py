"""How much an input may unfold to: told by its headers, before anything of it is read.

A file of a few kilobytes can ask for gigabytes: a compressed archive of zeros, a header that
announces them, an image of one colour. Whoever reads a file asks here first.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from pathlib import Path
from typing import Final

import numpy as np

from flexrel_sim.errors import InputError
from flexrel_sim.units import QuantityKind, parse_quantity

__all__ = [
    "INPUT_VARIABLE",
    "JSON_MAX_BYTES",
    "TEXT_MAX_BYTES",
    "array_bytes",
    "file_too_large",
    "input_limit_bytes",
    "npz_bytes",
    "too_large",
    "zip_bytes",
]

INPUT_VARIABLE: Final = "FLEXREL_MAX_INPUT"
"""Environment variable with the limit, such as ``4 GiB``."""

TEXT_MAX_BYTES: Final = 1 << 20
"""Largest scenario or card; one of 20,000 nodes, the most there may be, is smaller."""

JSON_MAX_BYTES: Final = 1 << 26
"""Largest description in a profile: a layer takes a few hundred bytes."""

_DEFAULT_BYTES: Final = 1 << 30

_LIMIT: Final = QuantityKind("count of bytes", "B", ("4 GiB", "500 MB"), smallest=1.0, largest=1e15)

# Of an array's header in an .npy: numpy itself refuses one of more than 10,000 characters.
_HEADER_MAX_BYTES: Final = 1 << 14


def input_limit_bytes() -> int:
    """Give the most that one input may unfold to: a dataset, a checkpoint, a network, a profile.

    Returns
    -------
    int
        What ``$FLEXREL_MAX_INPUT`` says, or else 1 GiB.

    Raises
    ------
    InputError
        If the variable is no count of bytes.
    """
    given = os.environ.get(INPUT_VARIABLE)
    if not given:
        return _DEFAULT_BYTES
    try:
        return int(parse_quantity(given, _LIMIT))
    except ValueError as error:
        raise InputError(f"{INPUT_VARIABLE}: {error}") from None


def too_large(count: float) -> str:
    """Say that an input would be too large.

    Parameters
    ----------
    count
        Bytes that it would take, unfolded.

    Returns
    -------
    str
        A rule and its remedy; empty where it fits.
    """
    limit = input_limit_bytes()
    if count <= limit:
        return ""
    return (
        f"would unfold to {count:,.0f} bytes, more than the {limit:,} that an input may; where you"
        f" trust it, set {INPUT_VARIABLE}, such as '8 GiB'"
    )


def file_too_large(file: Path, most: int | None = None) -> str:
    """Say that a file itself is too large.

    Parameters
    ----------
    file
        A file; that it is not there is for its reader to say.
    most
        Bytes that it may have whatever the limit is; None where the limit alone counts.

    Returns
    -------
    str
        As `too_large`.
    """
    try:
        size = file.stat().st_size
    except OSError:
        return ""
    if most is not None and size > most:
        return f"is of {size:,} bytes, more than the {most:,} that such a file may have"
    return too_large(size)


def zip_bytes(archive: zipfile.ZipFile) -> int:
    """Count what the members of an archive unfold to, as its directory says.

    Parameters
    ----------
    archive
        Opened; no member is read.

    Returns
    -------
    int
        Bytes.
    """
    return sum(member.file_size for member in archive.infolist())


def array_bytes(archive: zipfile.ZipFile, name: str) -> int | None:
    """Count the bytes of an array in an ``.npz``, by its header alone.

    Parameters
    ----------
    archive
        Opened.
    name
        The array's; its member may have the suffix ``.npy``.

    Returns
    -------
    int or None
        Bytes; None if a member of that name is no array.

    Raises
    ------
    ValueError
        If the member is compressed otherwise than by deflate, as numpy never does, since other
        ways can't be unfolded in small steps; or its header is damaged or announces more than the
        member holds.
    """
    total = 0
    for member in archive.infolist():
        if member.filename in (name, f"{name}.npy"):
            size = _member_bytes(archive, member)
            if size is None:
                return None
            total += size
    return total


def npz_bytes(archive: zipfile.ZipFile) -> int:
    """Count the bytes of all arrays in an ``.npz``, by their headers alone.

    Parameters
    ----------
    archive
        Opened.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    ValueError
        As in `array_bytes`, or if a member is no array.
    """
    total = 0
    for member in archive.infolist():
        size = _member_bytes(archive, member)
        if size is None:
            raise ValueError(f"{member.filename} is no array")
        total += size
    return total


def _member_bytes(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> int | None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{member.filename} is compressed in a way that numpy doesn't use")
    with archive.open(member) as opened:
        # No more than that: a header's own length may be a lie of gigabytes.
        head = io.BytesIO(opened.read(_HEADER_MAX_BYTES))
    if not head.getvalue().startswith(np.lib.format.MAGIC_PREFIX):
        return None
    major, _ = np.lib.format.read_magic(head)
    read = np.lib.format.read_array_header_1_0
    if major > 1:
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(head)
    size = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and head.tell() + size > member.file_size:
        raise ValueError(f"{member.filename} is shorter than its header says")
    return size
