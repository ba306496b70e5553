"""A user's dataset in an `.npz`: which arrays, in which layout and range. No torch, no pickle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.bounds import array_bytes, too_large
from flexrel_sim.datasets.info import Images, RawDataset, RawParts
from flexrel_sim.errors import DatasetError
from flexrel_sim.reading import demand_file, parsing

__all__ = ["read_npz"]

_KEYS: Final = (("images", "labels"), ("x", "y"), ("x_train", "y_train", "x_test", "y_test"))

_CHANNELS: Final = (1, 3)

Array = NDArray[Any]


def read_npz(file: Path) -> RawParts:
    """Read images and labels from an `.npz`.

    Parameters
    ----------
    file
        Holds `images` and `labels`, or `x` and `y`, or `x_train`, `y_train`, `x_test` and `y_test`
        as Keras's MNIST does. Images have the shape ``(samples, height, width)``, ``(samples,
        height, width, channels)`` or ``(samples, channels, height, width)``, and are bytes, whole
        numbers in 0..255, or floats in 0..1. Labels have the shape ``(samples,)`` or
        ``(samples, 1)`` and are integers.

    Returns
    -------
    RawParts
        Images as ``(samples, channels, height, width)``.

    Raises
    ------
    DatasetError
        If the file can't be read or is damaged; lacks these arrays or holds several sets of them;
        an array is of objects, which would have to be unpickled; the layout is none of these, or
        could be two of them; the arrays would unfold to more than an input may; a pixel is NaN or
        out of range; or the counts differ.
    """
    images, labels = {}, {}
    for key, array in _arrays(file).items():
        if key.startswith(("images", "x")):
            images[key] = _channels_first(f"{file}: {key}", array)
        else:
            labels[key] = _labels(f"{file}: {key}", array)
    pixels = _pixels(f"{file}: {', '.join(images)}", list(images.values()))
    parts: list[RawDataset] = []
    for (key, found), given in zip(labels.items(), pixels, strict=True):
        if len(found) != len(given):
            raise DatasetError(
                f"{file}: {key}: must hold a label per image, got {len(found)} labels and"
                f" {len(given)} images; save them together"
            )
        parts.append((given, found))
    return RawParts(parts[0], parts[1] if len(parts) > 1 else None)


def _arrays(file: Path) -> dict[str, Array]:
    def refused(error: Exception) -> DatasetError:
        reason = getattr(error, "strerror", None) or "it is no .npz file, or truncated"
        return DatasetError(f"{file}: can't be read: {reason}; write it with numpy.savez")

    with parsing(refused):
        demand_file(file)
        # Opened here: numpy leaves a file open that it finds to be no zip.
        with file.open("rb") as stream:
            if stream.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
                # Not loaded to be told so: it may announce any size.
                raise DatasetError(
                    f"{file}: can't be read: it is an .npy of one array; write both with"
                    " numpy.savez"
                )
            stream.seek(0)
            return _selected(file, np.load(stream, allow_pickle=False))


def _selected(file: Path, stored: np.lib.npyio.NpzFile) -> dict[str, Array]:
    held = list(stored)
    sets = [keys for keys in _KEYS if set(keys) <= set(held)]
    if len(sets) != 1:
        known = ", or ".join(" and ".join(keys) for keys in _KEYS)
        raise DatasetError(
            f"{file}: must hold one of these sets of arrays: {known}; got {held};"
            " write it with numpy.savez(file, images=…, labels=…)"
        )
    size = sum(_announced(f"{file}: {key}", key, stored) for key in sets[0])
    if rule := too_large(size):
        raise DatasetError(f"{file}: {rule}")
    return {key: _array(f"{file}: {key}", key, stored) for key in sets[0]}


def _announced(where: str, key: str, stored: np.lib.npyio.NpzFile) -> int:
    """Count the bytes that an array's header announces."""
    with parsing(lambda _: DatasetError(f"{where}: is truncated or damaged; save it again")):
        size = array_bytes(stored.zip, key) if stored.zip is not None else 0
    if size is None:
        raise DatasetError(
            f"{where}: must be an array of numbers, got other bytes; write it with numpy.savez"
        )
    return size


def _array(where: str, key: str, stored: np.lib.npyio.NpzFile) -> Array:
    def refused(error: Exception) -> DatasetError:
        if "allow_pickle" in str(error):
            return DatasetError(
                f"{where}: must be an array of numbers, got one of objects, which only unpickling"
                " could read; save it with a numeric dtype"
            )
        return DatasetError(f"{where}: is truncated or damaged; save it again")

    with parsing(refused):
        return np.asarray(stored[key])


def _channels_first(where: str, images: Array) -> Array:
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise DatasetError(
            f"{where}: must have the shape (samples, height, width), (samples, height, width,"
            f" channels) or (samples, channels, height, width), got {images.shape}; reshape it"
        )
    if images.ndim == 3:
        return images[:, None]
    first, last = (images.shape[axis] in _CHANNELS for axis in (1, 3))
    if first and last:
        raise DatasetError(
            f"{where}: must show by its shape where the channels are: {images.shape} may have them"
            " first or last; save a single channel as (samples, height, width), or larger images"
        )
    if not first and not last:
        raise DatasetError(
            f"{where}: must have 1 or 3 channels, first or last, got the"
            f" shape {images.shape}; select channels or reshape it"
        )
    return images if first else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _labels(where: str, labels: Array) -> NDArray[np.int64]:
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        remedy = "save labels.argmax(1)" if labels.ndim == 2 else "save one number per image"
        raise DatasetError(f"{where}: must have the shape (samples,), got {labels.shape}; {remedy}")
    if labels.dtype.kind not in "iu":
        raise DatasetError(
            f"{where}: must be integers, the places of classes from 0, got {labels.dtype};"
            " save labels.astype(int)"
        )
    return labels.astype(np.int64)


def _pixels(where: str, arrays: list[Array]) -> list[Images]:
    kinds = {array.dtype.kind for array in arrays}
    if not kinds <= set("bifu"):
        found = ", ".join(str(array.dtype) for array in arrays)
        raise DatasetError(f"{where}: must be numbers, got {found}; save them as uint8")
    floats = [array for array in arrays if array.dtype.kind == "f"]
    if not all(np.isfinite(array).all() for array in floats):
        count = sum(int((~np.isfinite(array)).sum()) for array in floats)
        raise DatasetError(
            f"{where}: must be finite, got {count} pixels that are NaN or infinite;"
            " leave these images out or repair them"
        )
    low = min(float(array.min()) for array in arrays)
    high = max(float(array.max()) for array in arrays)
    got = f"got {low:g} to {high:g}"
    if low < 0 or high > 255:
        raise DatasetError(
            f"{where}: must be in 0..1 or 0..255, {got}; save them before they are normalised"
        )
    if kinds <= {"f"} and high <= 1:
        return [array.astype(np.float32, copy=False) for array in arrays]
    if kinds <= {"b"}:
        return [array.astype(np.float32) for array in arrays]
    if high <= 1:
        raise DatasetError(
            f"{where}: must be floats if they are in 0..1, {got} as integers; save"
            " images.astype('float32') if 1 is white, or images * 255"
        )
    if any((array != np.floor(array)).any() for array in floats):
        raise DatasetError(
            f"{where}: must be whole numbers where they exceed 1, {got} with fractions;"
            " scale them to 0..1"
        )
    return [array.astype(np.uint8, copy=False) for array in arrays]
