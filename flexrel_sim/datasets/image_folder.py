"""A user's dataset as a folder of image files, one subfolder per class. No torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from flexrel_sim.bounds import too_large
from flexrel_sim.datasets.info import RawDataset, RawParts
from flexrel_sim.errors import DatasetError, one_line
from flexrel_sim.reading import demand_file, is_folder, parsing

__all__ = ["image_files", "read_image_folder"]

_SUFFIXES: Final = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")

# Whatever a file is named: Pillow would hand an EPS to Ghostscript, which runs it.
_FORMATS: Final = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

_GREY, _COLOUR = ("1", "L"), ("P", "RGB")


def read_image_folder(folder: Path) -> RawParts:
    """Read the images of a folder; the names of its subfolders are the classes.

    Parameters
    ----------
    folder
        Holds a subfolder per class, or `train` and perhaps `test` that hold them. Classes are
        numbered by name.

    Returns
    -------
    RawParts
        Images as bytes ``(samples, channels, height, width)``: one channel if all are grey,
        otherwise red, green and blue.

    Raises
    ------
    DatasetError
        If there are no images; the classes of `train` and `test` differ; an image can't be read,
        is not 8-bit grey or colour, or has another size than the first; or they would unfold to
        more than an input may.
    """
    train, test = _parts(folder)
    names, test_names = _classes(train), _classes(test) if test else None
    if test_names is not None and test_names != names:
        raise DatasetError(
            f"{test}: must have the classes of {train.name!r}, {names}, got {test_names};"
            " rename or add folders"
        )
    listed = [_files(part) for part in (train, test) if part]
    grey = _all_grey(folder, [file for files in listed for _, file in files])
    parts = [_read(files, names, "L" if grey else "RGB") for files in listed]
    return RawParts(parts[0], parts[1] if test else None)


def image_files(folder: Path) -> list[Path]:
    """List the image files that `read_image_folder` reads.

    Parameters
    ----------
    folder
        As in `read_image_folder`.
    """
    return [file for part in _parts(folder) if part for _, file in _files(part)]


def _parts(folder: Path) -> tuple[Path, Path | None]:
    """Find the folders that hold classes; one called `train` is a class if it has no folders."""
    train, test = folder / "train", folder / "test"
    if not _folders(train):
        if _folders(test):
            raise DatasetError(
                f"{folder}: must have a folder 'train' beside 'test', got"
                f" {[path.name for path in _folders(folder)]}; add it, or name the folder 'test'"
                " itself, which then is divided"
            )
        return folder, None
    others = [path.name for path in _folders(folder) if path not in (train, test)]
    if others:
        raise DatasetError(
            f"{folder}: must have no folders but 'train' and 'test', got {others} beside them;"
            " move them elsewhere"
        )
    return train, test if is_folder(test) else None


def _folders(folder: Path) -> list[Path]:
    if not is_folder(folder):
        return []
    paths = (path for path in folder.iterdir() if not path.name.startswith("."))
    return sorted(path for path in paths if is_folder(path))


def _classes(part: Path) -> list[str]:
    return [path.name for path in _folders(part)]


def _files(part: Path) -> list[tuple[str, Path]]:
    """List class and file of every image, in order of their names."""
    found = []
    for folder in _folders(part):
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
        )
        if not files:
            raise DatasetError(
                f"{folder}: must hold images ({', '.join(_SUFFIXES)}), got none; add some, or"
                " remove the folder"
            )
        found += [(folder.name, file) for file in files]
    if not found:
        raise DatasetError(
            f"{part}: no images found: must hold a folder of images for every class"
            f" ({', '.join(_SUFFIXES)}); give a folder of that form, an IDX folder or an .npz"
        )
    return found


def _all_grey(folder: Path, files: Sequence[Path]) -> bool:
    """Check mode and size of every image, and of them all, by their first bytes."""
    modes, first_size = set(), None
    for file in files:
        with _opened(file) as image:
            mode, size = image.mode, image.size
        if mode not in _GREY + _COLOUR:
            raise DatasetError(
                f"{file}: must be 8-bit grey or RGB, without transparency, got the mode"
                f" {mode!r} of Pillow; convert it"
            )
        first_size = first_size or size
        if size != first_size:
            raise DatasetError(
                f"{file}: must be {first_size[0]}x{first_size[1]} pixels like the first image,"
                f" {files[0].name}, got {size[0]}x{size[1]}; resize all images to one size, they"
                " are not resized here"
            )
        modes.add(mode)
    grey = modes <= set(_GREY)
    if first_size and (rule := too_large(math.prod(first_size) * (1 if grey else 3) * len(files))):
        raise DatasetError(f"{folder}: {rule}")
    return grey


def _read(files: Sequence[tuple[str, Path]], names: Sequence[str], mode: str) -> RawDataset:
    first = _pixels(files[0][1], mode)
    images = np.empty((len(files), *first.shape), np.uint8)
    for place, (_, file) in enumerate(files):
        images[place] = _pixels(file, mode)
    numbers = {name: number for number, name in enumerate(names)}
    return images, np.array([numbers[name] for name, _ in files], dtype=np.int64)


def _pixels(file: Path, mode: str) -> NDArray[np.uint8]:
    def refused(error: Exception) -> DatasetError:
        reason = one_line(str(error)) or type(error).__name__
        return DatasetError(
            f"{file}: is truncated or damaged ({reason}); replace it or leave it out"
        )

    with _opened(file) as image, parsing(refused):
        array = np.asarray(image.convert(mode))
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _opened(file: Path) -> Image.Image:
    def refused(error: Exception) -> DatasetError:
        if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
            return DatasetError(f"{file}: is too large an image ({error}); make it smaller")
        return DatasetError(
            f"{file}: must be an image ({', '.join(_FORMATS)}), got something else or an empty"
            " file; replace it or leave it out"
        )

    with parsing(refused), warnings.catch_warnings():
        # What Pillow warns of takes a gigabyte to decode.
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        demand_file(file)
        return Image.open(file, formats=_FORMATS)
