"""Images, labels and weights: honest files changed, odd arrays, and any bytes."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import warnings
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save

from flexrel_sim.datasets import open_dataset
from flexrel_sim.networks import load_card, write_checkpoint_record
from flexrel_sim.networks.bottleneck import load_bottleneck
from flexrel_sim.networks.bottleneck_card import BottleneckCard, BottleneckFile
from flexrel_sim.networks.build import build_network, load_network
from tests.fuzz.bounded import result_or_refusal
from tests.fuzz.mutation import RNGS, mutated
from tests.networks.cards import CARD_YAML, record_for

DTYPES = ["u1", "i1", "<i8", ">u2", "<f2", "<f4", ">f8", "<c8", "?", "S3", "U2", "M8[s]", "O"]


def odd_array(rng: random.Random, honest: Any) -> Any:
    """Give an array that nobody saves on purpose."""
    how = rng.choice(["honest", "dtype", "shape", "value", "empty", "scalar", "fields"])
    if how == "dtype":
        with np.errstate(all="ignore"):
            return np.zeros(honest.shape, rng.choice(DTYPES))
    if how == "shape":
        return honest.reshape(rng.choice([(-1,), (1, -1), (-1, 1, 1), (1, 1, -1, 1, 1)]))
    if how == "value":
        changed = honest.astype(rng.choice([np.float64, np.int64]))
        changed.flat[rng.randrange(changed.size)] = rng.choice([-1, 256, 10**9, -(2**62), 2**62])
        if changed.dtype == np.float64:
            changed.flat[0] = rng.choice([np.nan, np.inf, 1e308, 0.5])
        return changed
    if how == "fields":
        return np.zeros(len(honest), [("a", "u1"), ("b", "f4")])
    return {"honest": honest, "empty": honest[:0], "scalar": np.float64(3)}[how]


@given(rng=RNGS)
def test_a_damaged_npz_is_opened_or_refused(place: Path, rng: random.Random) -> None:
    images = np.arange(40 * 8 * 8, dtype=np.uint8).reshape(40, 8, 8)
    labels = np.arange(40) % 4
    buffer = io.BytesIO()
    arrays = {
        rng.choice(["images", "images", "x", "y_train"]): odd_array(rng, images),
        rng.choice(["labels", "labels", "y", "x_test"]): odd_array(rng, labels),
    }
    np.savez_compressed(buffer, **arrays)
    content = buffer.getvalue()
    if rng.random() < 0.5:
        content = mutated(content, rng)
    file = place / "own.npz"
    file.write_bytes(content)
    result_or_refusal(lambda: open_dataset("own.npz", place), str(file))


@given(rng=RNGS)
def test_arrays_with_damaged_headers_are_opened_or_refused(place: Path, rng: random.Random) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros((4, 8, 8), np.uint8))
    with zipfile.ZipFile(place / "own.npz", "w") as archive:
        for name in ("images.npy", "labels.npy"):
            archive.writestr(name, mutated(buffer.getvalue(), rng))
    result_or_refusal(lambda: open_dataset("own.npz", place), str(place / "own.npz"))


@given(rng=RNGS)
def test_a_damaged_idx_folder_is_opened_or_refused(place: Path, rng: random.Random) -> None:
    folder = place / "idx"
    folder.mkdir(exist_ok=True)
    images = bytes([0, 0, 8, 3, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(range(32))
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 8]) + bytes([0, 1] * 4)
    for name, content in (("images-idx3", images), ("labels-idx1", labels)):
        changed = mutated(content, rng) if rng.random() < 0.6 else content
        if rng.random() < 0.5:
            changed = gzip.compress(changed, mtime=0)
            changed = mutated(changed, rng) if rng.random() < 0.5 else changed
        (folder / f"train-{name}-ubyte").write_bytes(changed)
    result_or_refusal(lambda: open_dataset("idx", place), str(folder))


@cache
def honest_image(kind: str, mode: str, size: int) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (size, 6), 77 if mode == "L" else (1, 2, 3)).save(buffer, kind)
    return buffer.getvalue()


@given(rng=RNGS)
def test_a_damaged_image_is_read_or_refused(place: Path, rng: random.Random) -> None:
    folder = place / "photos"
    for number in range(4):
        part = folder / f"class{number % 2}"
        part.mkdir(parents=True, exist_ok=True)
        kind = rng.choice(["BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP"])
        content = honest_image(kind, rng.choice(["L", "RGB"]), rng.choice([5, 5, 5, 6]))
        changed = mutated(content, rng) if rng.random() < 0.4 else content
        (part / f"{number}.png").write_bytes(changed)
    result_or_refusal(lambda: open_dataset("photos", place), str(folder))


@cache
def honest_tensors() -> dict[str, torch.Tensor]:
    import yaml

    from flexrel_sim.networks import Card

    network = build_network(Card.model_validate(yaml.safe_load(CARD_YAML)).architecture)
    return {name: tensor.detach() for name, tensor in network.state_dict().items()}


def odd_tensor(rng: random.Random, honest: torch.Tensor) -> Any:
    """Give what a state dict may hold, and none of ours does."""
    kinds = [torch.float64, torch.bfloat16, torch.int8, torch.bool, torch.complex64]
    with warnings.catch_warnings():
        # Quantised tensors are deprecated, and still in files.
        warnings.simplefilter("ignore")
        ways: list[Callable[[], Any]] = [
            lambda: honest.to(rng.choice([*kinds, torch.float8_e4m3fn])),
            lambda: rng.choice([honest.flatten(), honest[None], honest[:0], torch.tensor(1.0)]),
            lambda: honest + rng.choice([float("nan"), float("inf"), 1e38]),
            honest.to_sparse,
            lambda: honest.to("meta"),
            lambda: torch.quantize_per_tensor(honest.float(), 0.1, 0, torch.qint8),
            lambda: torch.nn.Parameter(honest.float()),
            lambda: None,
        ]
        return rng.choice(ways)()


def checkpoint(rng: random.Random, suffix: str) -> bytes:
    tensors: dict[Any, Any] = dict(honest_tensors())
    if rng.random() < 0.6:
        name = rng.choice(list(tensors))
        tensors[name] = odd_tensor(rng, tensors[name])
    if rng.random() < 0.2:
        tensors[rng.choice(["x", "", "é" * 99, 3])] = torch.ones(2)
    if rng.random() < 0.2:
        del tensors[rng.choice(list(tensors))]
    if suffix == ".safetensors":
        plain = {str(k): v for k, v in tensors.items() if isinstance(v, torch.Tensor)}
        plain = {k: v for k, v in plain.items() if v.layout == torch.strided and not v.is_meta}
        plain = {k: v.contiguous() for k, v in plain.items() if not v.is_quantized}
        return save(plain)
    buffer = io.BytesIO()
    held: Any = rng.choice([tensors, {"state_dict": tensors}, list(tensors.values()), {}])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(held, buffer)
    return buffer.getvalue()


@given(rng=RNGS, suffix=st.sampled_from([".safetensors", ".pt", ".pkl"]))
def test_a_damaged_checkpoint_whose_hash_is_right_is_read_or_refused(
    place: Path, rng: random.Random, suffix: str
) -> None:
    content = checkpoint(rng, suffix)
    if rng.random() < 0.5:
        content = mutated(content, rng)
    folder = place / "nets"
    folder.mkdir(exist_ok=True)
    file = folder / f"tiny{suffix}"
    file.write_bytes(content)
    pruned = "pruned: true\n" if rng.random() < 0.3 else ""
    (folder / "tiny.yaml").write_text(CARD_YAML + pruned)
    card_file = load_card(folder / "tiny.yaml")
    write_checkpoint_record(card_file, record_for(content, file=file.name))
    card_file = load_card(card_file.file)
    result_or_refusal(lambda: load_network(card_file), str(folder))


@given(rng=RNGS)
def test_damaged_weights_of_a_bottleneck_are_read_or_refused(
    place: Path, rng: random.Random
) -> None:
    content = mutated(save({"encoder.0.weight": torch.ones(2, 6, 3, 3)}), rng)
    (place / "narrow.safetensors").write_bytes(content)
    card = BottleneckCard(
        network="tiny", cut="pool1", boundary=[6, 4, 4], channels=2,
        trained_for="0" * 64,
        checkpoint=record_for(content, file="narrow.safetensors",
                              sha256=hashlib.sha256(content).hexdigest()),
    )  # fmt: skip
    found = BottleneckFile(place / "narrow.yaml", card)
    result_or_refusal(lambda: load_bottleneck(found), str(place))


@given(content=st.binary(max_size=200))
def test_any_bytes_are_no_dataset(place: Path, content: bytes) -> None:
    (place / "any.npz").write_bytes(content)
    assert result_or_refusal(lambda: open_dataset("any.npz", place), str(place)) is None
