"""Checkpoint files to tensors, and tensors into a network. Nothing that they name is executed."""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flexrel_sim.bounds import file_too_large, too_large, zip_bytes
from flexrel_sim.networks.packaged import read_arrays
from flexrel_sim.networks.squeezenet import FIRES

__all__ = ["fill", "listed", "not_finite", "read_tensors"]

_KEYS_SHOWN = 6

_UNTRACKED = ".num_batches_tracked"


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
        If it can't be read, holds more than tensors, is of another kind, or would unfold to more
        than an input may.
    """
    if rule := file_too_large(file):
        raise ValueError(rule)
    try:
        match file.suffix:
            case ".safetensors":
                return load_file(file)
            case ".pt" | ".pth":
                return _state_dict(_load_pt(file))
            case ".pkl":
                return _squeezenet_tensors(file.read_bytes())
    except pickle.UnpicklingError as error:
        if str(error).startswith("invalid load key"):
            raise ValueError("can't be read: is no checkpoint, or truncated") from None
        raise ValueError(
            "is a pickle of more than tensors, and refused: it could run code as it is read; where"
            " you trust it, save its tensors alone, by torch.save(network.state_dict(),"
            " 'weights.pt') or as safetensors"
        ) from None
    except (SafetensorError, OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"can't be read: {_line(error)}") from None
    raise ValueError(f"must be a .safetensors, .pt or .pth file, got {file.suffix!r}")


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
        If a key is missing or unexpected, a shape differs, or a number is not finite.
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
        if not bool(tensor.isfinite().all()):
            raise ValueError(f"{key} must be finite, and has NaN or infinity")
    network.load_state_dict(dict(tensors), strict=False)


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """List the tensors that have NaN or infinity; empty where none has."""
    return listed(key for key, tensor in tensors.items() if not bool(tensor.isfinite().all()))


def _load_pt(file: Path) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            rule = too_large(zip_bytes(archive))
    except zipfile.BadZipFile:
        # As torch wrote them once: nothing in such a file is compressed.
        rule = ""
    if rule:
        raise ValueError(rule)
    try:
        with warnings.catch_warnings():
            # It warns of a pickle's protocol or storages, then refuses or reads it all the same.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # noqa: BLE001 - a damaged file leads its reader anywhere
        raise ValueError(f"can't be read: {_line(error)}") from None


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


def _squeezenet_tensors(data: bytes) -> dict[str, Tensor]:
    """Read Keras's arrays, whose convolutions are (height, width, inputs, outputs)."""
    names = {"conv1": "features.0", "conv10": "classifier.1"}
    for number, place in enumerate(FIRES, start=2):
        for layer in ("squeeze1x1", "expand1x1", "expand3x3"):
            names[f"fire{number}/{layer}"] = (
                f"features.{place}.{'squeeze' if layer == 'squeeze1x1' else layer}"
            )
    tensors: dict[str, Tensor] = {}
    for name, (weight, bias) in read_arrays(data).items():
        tensors[f"{names[name]}.weight"] = torch.from_numpy(
            weight.transpose(3, 2, 0, 1).copy(order="C")
        )
        tensors[f"{names[name]}.bias"] = torch.from_numpy(bias.copy())
    return tensors


def listed(keys: Iterable[str]) -> str:
    """Name the first of some keys, and say how many more there are."""
    names = list(keys)
    more = len(names) - _KEYS_SHOWN
    return ", ".join(names[:_KEYS_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
