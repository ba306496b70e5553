"""What the scripts send and receive, against the codecs themselves."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flexrel_sim.codec import AnyCodec, ChannelCodec, Codec, ImageCodec
from flexrel_sim.export.card import channels_of
from flexrel_sim.export.code import Code
from flexrel_sim.export.decoding import decode_function
from flexrel_sim.export.encoding import encode_function
from flexrel_sim.export.scripts import head_script, tail_script

Array = NDArray[np.float32]


def run(code: Code, name: str) -> Any:
    """Define a function as the script does, with what it imports and nothing else."""
    scope: dict[str, Any] = {}
    exec(f"{code.imports}\n{code.text}", scope)  # noqa: S102 - that is what is tested
    return scope[name]


def about(codec: AnyCodec, shape: tuple[int, ...]) -> dict[str, Any]:
    told = {"shape": list(shape), **channels_of(codec)}
    found: dict[str, Any] = json.loads(json.dumps(told))
    return found


def tensors() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(6, 5, 7)).astype(np.float32)
    mixed = plain.copy()
    mixed[0], mixed[1], mixed[2] = 3.0, plain[1] * 1e-3 + 1e4, 0.0
    large = plain * np.float32(1e5)
    large[0, 0, 0] = np.finfo(np.float32).max
    return {
        "relu": np.maximum(plain, 0),
        "signed": plain,
        "one channel far from zero, one constant": mixed,
        "beyond float16": large,
        "vector": np.maximum(rng.normal(size=41), 0).astype(np.float32),
        "zeros": np.zeros((2, 3, 3), np.float32),
        "tiny": plain * np.float32(1e-38),
        "many channels": np.maximum(rng.normal(size=(700, 10, 10)), 0).astype(np.float32),
        "gaps of two bytes": (np.arange(900, dtype=np.float32) % 300 == 7).reshape(3, 300) * 1.5,
    }


def agree(codec: AnyCodec, tensor: Array) -> None:
    encode, decode = run(encode_function(codec), "encode"), run(decode_function(codec), "decode")
    told = about(codec, tensor.shape)
    payload = encode(tensor, told)
    assert payload == codec.encode(tensor)
    received = decode(payload, told)
    assert received.dtype == np.float32
    assert received.tobytes() == codec.decode(payload, tensor.shape).tobytes()


FORMATS = [
    *product(("float32", "float16", "bfloat16"), ("tensor",)),
    *product(("uint8", "int4"), ("tensor", "channel")),
]


@pytest.mark.parametrize(("dtype", "scale"), FORMATS)
@pytest.mark.parametrize("sparse", ["none", "bitmap", "csr", "delta"])
def test_payloads_are_the_codecs_to_the_byte_and_come_back_to_the_bit(
    dtype: Any, scale: Any, sparse: Any
) -> None:
    for tensor in tensors().values():
        agree(Codec(dtype, "none", 3, scale, sparse), tensor.astype(np.float32))


@pytest.mark.parametrize("compress", ["zstd", "lz4", "ans"])
@pytest.mark.parametrize("checksum", [True, False])
def test_so_are_compressed_ones(compress: Any, checksum: bool) -> None:
    for (dtype, scale), sparse in product(FORMATS, ("none", "csr")):
        for name in ("relu", "zeros", "vector"):
            codec = Codec(dtype, compress, 5, scale, sparse, checksum=checksum)  # type: ignore[arg-type]
            agree(codec, tensors()[name])


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40
    ),
    dtype=st.sampled_from(["float32", "float16", "bfloat16", "uint8", "int4"]),
    keep=st.sampled_from([1.0, 0.5, 0.1]),
    sparse=st.sampled_from(["none", "bitmap", "csr", "delta"]),
)
def test_any_numbers_and_the_greatest_of_them_agree(
    values: list[float], dtype: Any, keep: float, sparse: Any
) -> None:
    agree(Codec(dtype, "none", 3, "tensor", sparse, keep), np.array(values, np.float32))


def test_channels_that_are_not_sent_are_filled_as_the_codec_fills_them() -> None:
    fill = (0.5, 1.0, -2.0, 0.0, 0.1, 3.0)
    codec = ChannelCodec(Codec("float16", "zstd"), (1, 4), fill)
    agree(codec, tensors()["relu"])
    agree(ChannelCodec(Codec("int4"), (0, 2), fill), tensors()["relu"][:, 0, 0])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "codec",
    [ImageCodec("png"), ImageCodec("jpeg"), ImageCodec("webp"), ImageCodec("webp", 60, False)],
)
def test_images_are_the_same_files(codec: ImageCodec, channels: int) -> None:
    image = np.random.default_rng(1).random((channels, 12, 9), np.float32)
    agree(codec, image)


def test_what_the_codec_refuses_the_script_refuses() -> None:
    tensor = np.array([1.0, np.nan], np.float32)
    for codec in (Codec("uint8"), Codec("float32", sparse="bitmap")):
        with pytest.raises(ValueError, match="must be finite to be encoded"):
            run(encode_function(codec), "encode")(tensor, {})
    with pytest.raises(ValueError, match="must be finite and in 0..1"):
        run(encode_function(ImageCodec("png")), "encode")(np.full((1, 2, 2), 2.0), {})


def test_damage_and_bombs_are_refused() -> None:
    codec = Codec("uint8", "zstd")
    tensor, decode = tensors()["relu"], run(decode_function(codec), "decode")
    payload = bytearray(codec.encode(tensor))
    payload[9] ^= 4
    with pytest.raises(ValueError, match="damaged, or of another codec"):
        decode(bytes(payload), about(codec, tensor.shape))
    for compress in ("zstd", "ans"):
        bare = Codec("uint8", compress, checksum=False)  # type: ignore[arg-type]
        bomb = bare.encode(np.zeros(10_000, np.float32))
        with pytest.raises(ValueError, match="must unpack to at most"):
            run(decode_function(bare), "decode")(bomb, about(bare, (10,)))
    larger = ImageCodec("png", checksum=False).encode(np.zeros((1, 9, 9), np.float32))
    image = ImageCodec("png", checksum=False)
    with pytest.raises(ValueError, match="says"):
        run(decode_function(image), "decode")(larger, about(image, (1, 4, 4)))


def test_scripts_hold_only_what_their_codec_needs() -> None:
    plain = head_script("net", "pool1", (Codec("float32", checksum=False),), [1, 8, 8])
    assert plain.packages == ("numpy", "onnxruntime")
    assert len(plain.text.splitlines()) < 85
    for word in ("zstandard", "zlib", "mask", "channels"):
        assert word not in plain.text
    assert head_script("net", "server", (ImageCodec("png"),), [1, 8, 8]).packages == (
        "numpy",
        "pillow",
    )
    assert tail_script("net", "pool1", (Codec("uint8", "lz4"),)).packages == (
        "lz4",
        "numpy",
        "onnxruntime",
    )
    assert "onnxruntime" in tail_script("net", "server", (ImageCodec("png"),)).packages


def test_a_codec_of_someone_else_is_refused() -> None:
    class Other:
        name = "other"

    for function in (encode_function, decode_function):
        with pytest.raises(TypeError, match="Other can't be written as a script"):
            function(Other())  # type: ignore[arg-type]
