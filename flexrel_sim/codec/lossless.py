"""Lossless compression. How much may come out is known before anything is unpacked."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

import constriction
import lz4.block
import numpy as np
import zstandard
from numpy.typing import NDArray

from flexrel_sim.codec.framing import PayloadError, demand_bytes

__all__ = ["Ans", "Lossless", "Lz4", "Stored", "Zstd", "lossless"]


class Lossless:
    """Bytes to fewer bytes, and back."""

    def pack(self, data: bytes) -> bytes:
        """Compress."""
        raise NotImplementedError

    def unpack(self, data: bytes, greatest: int) -> bytes:
        """Give at most so many bytes; raise PayloadError if there would be more, or none."""
        raise NotImplementedError


@dataclass(frozen=True)
class Stored(Lossless):
    """As it is."""

    def pack(self, data: bytes) -> bytes:
        """Give the data."""
        return data

    def unpack(self, data: bytes, greatest: int) -> bytes:
        """Give the data."""
        return _at_most(data, greatest)


@dataclass(frozen=True)
class Zstd(Lossless):
    """Zstandard, whose frame says how much will come out.

    Parameters
    ----------
    level
        1 to 22.
    """

    level: int

    def pack(self, data: bytes) -> bytes:
        """Compress."""
        return self._compressor.compress(data)

    def unpack(self, data: bytes, greatest: int) -> bytes:
        """Decompress, unless the frame says more, or nothing."""
        try:
            size = zstandard.frame_content_size(data)
            if not 0 <= size <= greatest:
                raise PayloadError(
                    f"the payload must unpack to at most {greatest} bytes, and says {size}"
                )
            unpacked = self._decompressor.decompress(data, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise PayloadError(f"the payload is no zstd frame: {error}") from None
        return bytes(unpacked)

    # Kept, since making one takes as long as packing some thousand bytes. One thread at a time.
    @cached_property
    def _compressor(self) -> zstandard.ZstdCompressor:
        return zstandard.ZstdCompressor(level=self.level)

    @cached_property
    def _decompressor(self) -> zstandard.ZstdDecompressor:
        return zstandard.ZstdDecompressor()


@dataclass(frozen=True)
class Lz4(Lossless):
    """An LZ4 block: fast, and worth it where values repeat."""

    def pack(self, data: bytes) -> bytes:
        """Compress."""
        return bytes(lz4.block.compress(data, store_size=False))

    def unpack(self, data: bytes, greatest: int) -> bytes:
        """Decompress into a buffer of the greatest size."""
        try:
            return bytes(lz4.block.decompress(data, uncompressed_size=greatest))
        except lz4.block.LZ4BlockError as error:
            raise PayloadError(
                f"the payload is no LZ4 block of at most {greatest} bytes: {error}"
            ) from None


@dataclass(frozen=True)
class Ans(Lossless):
    """Entropy coding by an asymmetric numeral system, with the histogram of the bytes sent along.

    Length, which of the 256 values occur, how often each does out of about 4096, the coder's words.

    References
    ----------
    Duda et al., *The use of asymmetric numeral systems as an accurate replacement for Huffman
    coding*, Picture Coding Symposium 2015.
    """

    def pack(self, data: bytes) -> bytes:
        """Compress."""
        symbols = np.frombuffer(data, np.uint8)
        counts = np.bincount(symbols, minlength=256)
        occurs = counts > 0
        shares = np.maximum(counts[occurs] * _SHARES // max(symbols.size, 1), 1).astype("<u2")
        coder = constriction.stream.stack.AnsCoder()
        if shares.size > 1:
            coder.encode_reverse(symbols.astype(np.int32), _model(occurs, shares))
        words = coder.get_compressed().astype("<u4")
        head = _LENGTH.pack(symbols.size) + np.packbits(occurs).tobytes()
        return b"".join([head, shares.tobytes(), words.tobytes()])

    def unpack(self, data: bytes, greatest: int) -> bytes:
        """Decompress as many bytes as it says, unless that is more."""
        if len(data) < _HEAD_BYTES:
            raise PayloadError(
                f"the payload must hold {_HEAD_BYTES} bytes of head, got {len(data)}"
            )
        (size,) = _LENGTH.unpack_from(data)
        occurs = np.unpackbits(np.frombuffer(data, np.uint8, 32, _LENGTH.size)).astype(np.bool_)
        kinds = int(occurs.sum())
        rest, odd = divmod(len(data) - _HEAD_BYTES - 2 * kinds, 4)
        if size > greatest or odd or rest < 0 or (size > 0) != (kinds > 0):
            raise PayloadError(
                f"the payload must unpack to at most {greatest} bytes, and says {size}"
            )
        shares = np.frombuffer(data, "<u2", kinds, _HEAD_BYTES)
        words = np.frombuffer(data, "<u4", rest, _HEAD_BYTES + 2 * kinds)
        if kinds < 2:
            # One value, or none, takes no words to tell apart.
            demand_bytes(data, _HEAD_BYTES + 2 * kinds)
            return np.repeat(np.flatnonzero(occurs).astype(np.uint8), size).tobytes()
        if not shares.all():
            raise PayloadError("what occurs in the payload must have a share")
        return _symbols(words, _model(occurs, shares), size)


_SHARES = 4096
_LENGTH = struct.Struct("<I")
_HEAD_BYTES = _LENGTH.size + 32


def _model(occurs: NDArray[np.bool_], shares: NDArray[Any]) -> Any:
    table = np.zeros(256, np.float32)
    table[occurs] = shares
    return constriction.stream.model.Categorical(table, perfect=False)


def _symbols(words: NDArray[np.uint32], model: Any, count: int) -> bytes:
    try:
        coder = constriction.stream.stack.AnsCoder(words.astype(np.uint32))
    except ValueError as error:
        raise PayloadError(f"the payload is no stream of words: {error}") from None
    symbols = coder.decode(model, count)
    if not coder.is_empty():
        raise PayloadError(f"the payload must be empty after {count} symbols")
    return np.asarray(symbols).astype(np.uint8).tobytes()


def _at_most(data: bytes, greatest: int) -> bytes:
    if len(data) > greatest:
        raise PayloadError(f"the payload must hold at most {greatest} bytes, got {len(data)}")
    return data


_KINDS: Final[dict[str, Lossless]] = {"none": Stored(), "lz4": Lz4(), "ans": Ans()}


def lossless(name: str, level: int) -> Lossless:
    """Give a compressor by the name that a scenario gives; only zstd has levels."""
    return _zstd(level) if name == "zstd" else _KINDS[name]


@cache
def _zstd(level: int) -> Zstd:
    return Zstd(level)
