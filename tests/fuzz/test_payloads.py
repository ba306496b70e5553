"""Hostile payloads: a script refuses what the package refuses, and decodes the rest alike."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from functools import cache
from typing import Any

import lz4.block
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.codec import AnyCodec, ChannelCodec, Codec, ImageCodec, PayloadError
from flexrel_sim.export.card import channels_of
from flexrel_sim.export.decoding import decode_function
from tests.fuzz.mutation import mutated

FORMATS = [
    *itertools.product(("float32", "float16", "bfloat16"), ("tensor",)),
    *itertools.product(("uint8", "int4"), ("tensor", "channel")),
]
CODECS = [
    Codec(dtype, compress, 3, scale, sparse, checksum=False)  # type: ignore[arg-type]
    for (dtype, scale), compress, sparse in itertools.product(
        FORMATS, ("none", "zstd", "lz4", "ans"), ("none", "bitmap", "csr", "delta")
    )
]
IMAGES = [ImageCodec(form, checksum=False) for form in ("png", "jpeg", "webp")]  # type: ignore[arg-type]
SHAPES = ((3, 2, 5), (7,), (2, 300), (1, 1))

# What the compressors and Pillow raise on damaged bytes.
REFUSALS = (ValueError, OSError, SyntaxError, zstandard.ZstdError, lz4.block.LZ4BlockError)


@cache
def script(codec: AnyCodec) -> Any:
    code = decode_function(codec)
    scope: dict[str, Any] = {}
    exec(f"{code.imports}\n{code.text}", scope)  # noqa: S102 - that is what is tested
    return scope["decode"]


def outcome_of_package(codec: AnyCodec, payload: bytes, shape: tuple[int, ...]) -> bytes | None:
    """Give the decoded bytes; None if the payload is refused, as the package says it must be."""
    try:
        tensor = codec.decode(payload, shape)
    except PayloadError as error:
        assert "payload" in str(error)
        return None
    assert tensor.shape == shape
    assert np.isfinite(tensor).all()
    return tensor.tobytes()


def outcome_of_script(codec: AnyCodec, payload: bytes, shape: tuple[int, ...]) -> bytes | None:
    about = json.loads(json.dumps({"shape": list(shape), **channels_of(codec)}))
    try:
        tensor = script(codec)(payload, about)
    except REFUSALS:
        return None
    assert tensor.dtype == np.float32
    return bytes(tensor.tobytes())


def agree(codec: AnyCodec, payload: bytes, shape: tuple[int, ...]) -> bool:
    expected = outcome_of_package(codec, payload, shape)
    assert outcome_of_script(codec, payload, shape) == expected, (codec, payload.hex(), shape)
    return expected is not None


def honest(codec: AnyCodec, shape: tuple[int, ...], seed: int) -> bytes:
    values = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    return codec.encode(np.clip(values, 0, 1 if isinstance(codec, ImageCodec) else None))


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name + "-" + codec.scale)
def test_a_script_refuses_what_the_package_refuses_for_every_codec(codec: Codec) -> None:
    rng = random.Random(codec.name)  # noqa: S311 - mutations, not secrets
    told = []
    for number, shape in itertools.product(range(10), SHAPES):
        payload = honest(codec, shape, number)
        assert agree(codec, payload, shape)
        told.append(agree(codec, mutated(payload, rng), shape))
    # Nothing refused would mean that nothing was tried.
    assert not all(told)


@given(
    codec=st.sampled_from(CODECS),
    shape=st.sampled_from(SHAPES),
    payload=st.binary(max_size=120),
)
def test_any_bytes_are_refused_or_decoded_alike(
    codec: Codec, shape: tuple[int, ...], payload: bytes
) -> None:
    agree(codec, payload, shape)


@given(
    codec=st.sampled_from(CODECS),
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_mutated_payloads_are_refused_or_decoded_alike(
    codec: Codec, shape: tuple[int, ...], seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    agree(codec, mutated(honest(codec, shape, seed), rng), shape)


@given(
    codec=st.sampled_from(CODECS),
    shape=st.sampled_from(SHAPES),
    seed=st.integers(0, 2**32 - 1),
)
def test_contents_that_were_changed_before_they_were_packed_are_refused_or_decoded_alike(
    codec: Codec, shape: tuple[int, ...], seed: int
) -> None:
    from flexrel_sim.codec.lossless import lossless

    plain = Codec(codec.dtype, "none", 3, codec.scale, codec.sparse, checksum=False)
    content = mutated(honest(plain, shape, seed), random.Random(seed))  # noqa: S311
    agree(codec, lossless(codec.compress, 3).pack(content), shape)


@given(codec=st.sampled_from(CODECS), seed=st.integers(0, 2**32 - 1))
def test_a_sender_who_recomputes_the_checksum_gets_no_further(codec: Codec, seed: int) -> None:
    shape = SHAPES[0]
    framed = Codec(codec.dtype, codec.compress, 3, codec.scale, codec.sparse)
    body = mutated(framed.encode(np.ones(shape, np.float32))[4:], random.Random(seed))  # noqa: S311
    start = zlib.crc32(f"{framed.name} {shape}".encode())
    agree(framed, zlib.crc32(body, start).to_bytes(4, "little") + body, shape)


@given(seed=st.integers(0, 2**32 - 1), sparse=st.sampled_from(["none", "csr", "delta"]))
def test_channels_that_are_not_sent_are_no_way_round(seed: int, sparse: Any) -> None:
    inner = Codec("float16", "zstd", sparse=sparse, checksum=False)
    codec = ChannelCodec(inner, (0, 2), (0.5, 1.0, -2.0))
    payload = mutated(honest(codec, (3, 2, 5), seed), random.Random(seed))  # noqa: S311
    agree(codec, payload, (3, 2, 5))


@given(
    codec=st.sampled_from(IMAGES),
    channels=st.sampled_from([1, 3]),
    sent=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_images_of_another_kind_size_or_with_damage_are_refused_or_decoded_alike(
    codec: ImageCodec, channels: int, sent: int, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311
    payload = honest(codec, (sent, 6, rng.choice([5, 5, 6])), seed)
    agree(codec, payload, (channels, 6, 5))
    agree(codec, mutated(payload, rng), (channels, 6, 5))
