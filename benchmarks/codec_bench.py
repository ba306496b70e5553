"""What codecs cost: as ratios against copies in the same run, and in time per byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from benchmarks.timing import best_s
from flexrel_sim.codec import Codec, ImageCodec, shipped_bytes
from flexrel_sim.codec.lossless import lossless

_LARGEST = (64, 224, 224)
"""The largest boundary of VGG16: after its first and second convolution."""


def compare_codecs() -> Iterator[tuple[float, str]]:
    """Give each ratio of times, and what it says."""
    tensor = activations(_LARGEST)
    bare = Codec("uint8", checksum=False)
    numbers = bare.encode(tensor)

    def copied() -> bytes:
        return (tensor * np.float32(255)).astype(np.uint8).tobytes()

    copy_s = best_s(copied)
    encode_s = best_s(lambda: bare.encode(tensor))
    yield encode_s / copy_s, "uint8 of VGG16's largest boundary against a copy that quantises"
    yield best_s(lambda: Codec("uint8").encode(tensor)) / copy_s, "the same with its checksum"
    packed_s = best_s(lambda: lossless("zstd", 1).pack(numbers))
    yield packed_s / copy_s, "zstd at level 1 of those bytes against the same copy"
    both_s = best_s(lambda: Codec("uint8", "zstd", 1).encode(tensor))
    yield both_s / (copy_s + packed_s), "both with a checksum against copy, then zstd"
    decode_s = best_s(lambda: bare.decode(numbers, _LARGEST))
    table = tensor.copy()
    yield decode_s / best_s(table.copy), "its decoding against a copy of the tensor"
    weights = [np.where(activations((512, 512, 3, 3)) > 0.3, np.float32(0.1), np.float32(0))]
    yield best_s(lambda: shipped_bytes(weights)) / best_s(weights[0].copy), "weight bytes"


def activations(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Make smooth activations behind a ReLU, as a boundary of convolutions has them."""
    noise = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    smooth = gaussian_filter(noise, (0,) * (len(shape) - 2) + (2, 2))
    return np.maximum(np.asarray(smooth, np.float32), np.float32(0))


def cycle_table() -> Iterator[str]:
    """Give nanoseconds per byte that goes in, and comes out: what `hardware.codec_time` states."""
    content = Codec("uint8", checksum=False).encode(activations((64, 112, 112)))
    stages = {name: lossless(name, 0) for name in ("lz4", "ans")}
    stages |= {
        f"zstd-{level}": lossless("zstd", level) for level in (1, 2, 3, 4, 5, 6, 7, 9, 12, 15, 19)
    }
    for name, stage in stages.items():
        packed = stage.pack(content)
        yield _line(
            name,
            len(content),
            lambda stage=stage: stage.pack(content),
            lambda stage=stage, packed=packed: stage.unpack(packed, len(content)),
        )
    noise = np.random.default_rng(0).normal(size=(3, 224, 224))
    image = np.clip(gaussian_filter(noise, (0, 3, 3)) * 2 + 0.5, 0, 1).astype(np.float32)
    for codec in (ImageCodec("png"), ImageCodec("jpeg"), ImageCodec("webp", 80)):
        sent = codec.encode(image)
        yield _line(
            codec.name,
            image.size,
            lambda codec=codec: codec.encode(image),
            lambda codec=codec, sent=sent: codec.decode(sent, image.shape),
        )


def _line(name: str, size: int, pack: Callable[[], object], unpack: Callable[[], object]) -> str:
    return f"{name:8} {best_s(pack) / size * 1e9:8.2f} {best_s(unpack) / size * 1e9:8.2f} ns/byte"


if __name__ == "__main__":
    print("\n".join(cycle_table()))
