"""IDX, the format of MNIST and its kin: a strict reader, plain or gzipped. No torch."""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.bounds import too_large
from flexrel_sim.errors import DatasetError
from flexrel_sim.reading import is_file, reading

__all__ = ["find_idx", "idx_names", "read_idx"]

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_CHUNK_BYTES = 1 << 20

_RANKS: Final = {"images": 3, "labels": 1}


def idx_names(part: str, content: str) -> tuple[str, ...]:
    """List the file names that MNIST and its copies use.

    Parameters
    ----------
    part
        ``train`` or ``t10k``.
    content
        ``images`` or ``labels``.

    Returns
    -------
    tuple of str
        The usual name first.
    """
    rank = _RANKS[content]
    stems = [f"{part}-{content}{mark}idx{rank}-ubyte" for mark in "-."]
    return tuple(f"{stem}{suffix}" for stem in stems for suffix in ("", ".gz"))


def find_idx(folder: Path, part: str, content: str) -> Path | None:
    """Find one of the four files of an MNIST-like dataset; None where it is not.

    Parameters
    ----------
    folder
        Where to look.
    part, content
        As in `idx_names`.
    """
    paths = (folder / name for name in idx_names(part, content))
    return next((path for path in paths if is_file(path)), None)


def read_idx(file: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    file
        The file; gzipped or not is told by its first bytes, not by its name.
    dimensions
        How many dimensions it must have: 3 for images, 1 for labels.

    Returns
    -------
    numpy.ndarray
        The numbers, in the shape that the file's header gives.

    Raises
    ------
    DatasetError
        If the file can't be opened; is not IDX, or not of unsigned bytes; has other dimensions;
        is shorter than its header says, or longer; announces more than an input may hold; or is a
        damaged gzip file.

    References
    ----------
    .. [1] Y. LeCun, C. Cortes, C. Burges, "The MNIST database", section "File formats": two zero
       bytes, the type (0x08 is unsigned byte), the number of dimensions, each dimension as a
       big-endian 32-bit integer, then the numbers with the last dimension fastest.
    """
    with reading(file, "fetch it again", DatasetError):
        with file.open("rb") as stream:
            zipped = stream.read(2) == _GZIP_MAGIC
        opener: Callable[..., Any] = gzip.open if zipped else open
        with opener(file, "rb") as stream:
            return _parsed(stream, file, dimensions)


def _parsed(stream: IO[bytes], file: Path, dimensions: int) -> NDArray[np.uint8]:
    header = stream.read(4)
    if len(header) < 4 or header[:2] != b"\x00\x00":
        raise DatasetError(
            f"{file}: must be an IDX file, which starts with two zero bytes,"
            f" got {header.hex(' ') or 'an empty file'}; fetch it again"
        )
    if header[2] != _UNSIGNED_BYTE:
        raise DatasetError(
            f"{file}: must hold unsigned bytes (IDX type 0x08), got 0x{header[2]:02x};"
            " save it as unsigned bytes"
        )
    if header[3] != dimensions:
        raise DatasetError(
            f"{file}: must have {dimensions} dimension{'s' if dimensions > 1 else ''},"
            f" got {header[3]}; are the files of images and labels mixed up?"
        )
    sizes = stream.read(4 * dimensions)
    shape = np.frombuffer(sizes[: len(sizes) // 4 * 4], ">u4").tolist()
    # A file that stops within its header has no shape to speak of, and lacks at least a byte.
    expected = math.prod(shape) if len(sizes) == 4 * dimensions else 1
    if rule := too_large(expected):
        raise DatasetError(f"{file}: {rule}")
    data = _read_up_to(stream, expected + 1)
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "longer than its header says"
        got = f"{len(data):,}" if len(data) < expected else f"more than {expected:,}"
        raise DatasetError(
            f"{file}: is {what}: must hold {expected:,} numbers for the shape {shape}, got {got};"
            " fetch it again"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_up_to(stream: IO[bytes], limit: int) -> bytes:
    # In chunks: a damaged header may announce exabytes, and must not have them allocated.
    chunks = []
    while limit > 0 and (chunk := stream.read(min(limit, _CHUNK_BYTES))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)
