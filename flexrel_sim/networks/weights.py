"""Checkpoint files to tensors, and tensors into a network. Nothing that they name is executed."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from flexrel_sim.bounds import file_too_large, too_large, zip_bytes
from flexrel_sim.networks.packaged import read_arrays
from flexrel_sim.networks.squeezenet import FIRES
from flexrel_sim.reading import reason_of

__all__ = ["NotFiniteError", "fill", "listed", "read_tensors"]

_KEYS_SHOWN = 6

_UNTRACKED = ".num_batches_tracked"

_NUMBERS = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.bool),
        *(torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)


class NotFiniteError(ValueError):
    """Weights fit their network, and have NaN or infinity."""


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Read a state dict.

    Parameters
    ----------
    file
        A ``.safetensors`` file; a ``.pt`` or ``.pth`` file with a state dict, or with one under
        ``state_dict``; or SqueezeNet's ``.pkl`` of arrays.

    Returns
    -------
    dict
        Tensors by key.

    Raises
    ------
    ValueError
        If it can't be read, holds more than tensors of real numbers, is of another kind, or would
        unfold to more than an input may.
    """
    if file.suffix not in _READERS:
        raise ValueError(f"must be a .safetensors, .pt or .pth file, got {file.suffix!r}")
    if rule := file_too_large(file):
        raise ValueError(rule)
    try:
        tensors = _READERS[file.suffix](file)
    except pickle.UnpicklingError as error:
        if str(error).startswith("invalid load key"):
            raise ValueError("can't be read: is no checkpoint, or truncated") from None
        raise ValueError(
            "is a pickle of more than tensors, and refused: it could run code as it is read; where"
            " you trust it, save its tensors alone, by torch.save(network.state_dict(),"
            " 'weights.pt') or as safetensors"
        ) from None
    except ValueError:
        raise
    except Exception as error:
        # A damaged file leads its reader anywhere.
        raise ValueError(reason_of(error)) from error
    _demand_numbers(tensors)
    return tensors


def fill(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy a state dict into a network, all of it or nothing.

    Parameters
    ----------
    network
        Where to.
    tensors
        Tensors by key. Counts of training batches may be missing: inference does not read them.

    Raises
    ------
    ValueError
        If a key is missing or unexpected, or a shape differs; NotFiniteError if all is as it
        must be, but for a number that is NaN or infinite.
    """
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in tensors and not key.endswith(_UNTRACKED)]
    unexpected = [key for key in tensors if key not in wanted]
    told = [
        f"{word}: {listed(keys)}"
        for word, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    told += [
        f"{key} must be of shape {list(wanted[key].shape)}, got {list(tensor.shape)}"
        for key, tensor in tensors.items()
        if key in wanted and wanted[key].shape != tensor.shape
    ][:_KEYS_SHOWN]
    if told:
        raise ValueError("; ".join(told))
    for key, tensor in tensors.items():
        if wanted[key].is_floating_point() and not tensor.is_floating_point():
            raise ValueError(f"{key} must be floating point, got {tensor.dtype}")
    if found := listed(key for key, value in tensors.items() if not bool(value.isfinite().all())):
        raise NotFiniteError(f"has NaN or infinity in {found}")
    network.load_state_dict(dict(tensors), strict=False)


def _demand_numbers(tensors: Mapping[str, Tensor]) -> None:
    for key, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta:
            raise ValueError(f"{key} must be a dense tensor, that is not quantised")
        if tensor.dtype not in _NUMBERS:
            raise ValueError(f"{key} must hold real numbers of 1 to 8 bytes, got {tensor.dtype}")


def _load_pt(file: Path) -> dict[str, Tensor]:
    try:
        with zipfile.ZipFile(file) as archive:
            rule = too_large(zip_bytes(archive))
    except zipfile.BadZipFile:
        # As torch wrote them once: nothing in such a file is compressed.
        rule = ""
    if rule:
        raise ValueError(rule)
    with warnings.catch_warnings():
        # It warns of a pickle's protocol or storages, then refuses or reads it all the same.
        warnings.simplefilter("ignore", UserWarning)
        return _state_dict(torch.load(file, map_location="cpu", weights_only=True))


def _state_dict(loaded: Any) -> dict[str, Tensor]:
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict):
        raise ValueError(f"must hold a state dict, got {type(loaded).__name__}")
    others = [str(key) for key, value in loaded.items() if not isinstance(value, Tensor)]
    if others:
        raise ValueError(f"must hold tensors only, and has others: {listed(others)}")
    # A tensor may repeat a number of its file as often as it likes.
    if rule := too_large(sum(value.numel() * value.element_size() for value in loaded.values())):
        raise ValueError(rule)
    return {str(key): value for key, value in loaded.items()}


def _squeezenet_tensors(file: Path) -> dict[str, Tensor]:
    """Read Keras's arrays, whose convolutions are (height, width, inputs, outputs)."""
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for number, place in enumerate(FIRES, start=2):
        for layer in ("squeeze1x1", "expand1x1", "expand3x3"):
            names[f"fire{number}/{layer}"] = (
                f"features.{place}.{'squeeze' if layer == 'squeeze1x1' else layer}"
            )
    tensors: dict[str, Tensor] = {}
    for name, (weight, bias) in read_arrays(file.read_bytes()).items():
        tensors[f"{names[name]}.weight"] = torch.from_numpy(
            weight.transpose(3, 2, 0, 1).copy(order="C")
        )
        tensors[f"{names[name]}.bias"] = torch.from_numpy(bias.copy())
    return tensors


_READERS: Final[dict[str, Callable[[Path], dict[str, Tensor]]]] = {
    ".safetensors": load_file,
    ".pt": _load_pt,
    ".pth": _load_pt,
    ".pkl": _squeezenet_tensors,
}


def listed(keys: Iterable[str]) -> str:
    """Name the first of some keys, and say how many more there are."""
    names = list(keys)
    more = len(names) - _KEYS_SHOWN
    return ", ".join(names[:_KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")
