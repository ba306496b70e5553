"""Payloads that are not what was sent: refused, whatever is wrong with them."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flexrel_sim.codec import Codec, PayloadError
from flexrel_sim.codec.lossless import lossless
from flexrel_sim.codec.sparsity import INDICES
from tests.codec.test_payload import COMPRESSIONS, DTYPES, SPARSE, codecs, shapes, tensors


def damaged(data: st.DataObject, payload: bytes) -> bytes:
    """Flip bits, cut, lengthen or replace."""
    how = data.draw(st.sampled_from(["flip", "cut", "longer", "other", "insert"]))
    if how == "flip" and payload:
        flipped = bytearray(payload)
        for _ in range(data.draw(st.integers(1, 3))):
            flipped[data.draw(st.integers(0, len(payload) - 1))] ^= data.draw(st.integers(1, 255))
        return bytes(flipped)
    if how == "cut":
        return payload[: data.draw(st.integers(0, max(0, len(payload) - 1)))]
    if how == "longer":
        return payload + data.draw(st.binary(min_size=1, max_size=9))
    if how == "insert":
        place = data.draw(st.integers(0, len(payload)))
        return payload[:place] + data.draw(st.binary(min_size=1, max_size=9)) + payload[place:]
    return data.draw(st.binary(max_size=60))


@given(tensor=tensors(), codec=codecs, data=st.data())
def test_a_damaged_payload_is_refused(
    tensor: NDArray[np.float32], codec: Codec, data: st.DataObject
) -> None:
    codec = replace(codec, checksum=True)
    payload = codec.encode(tensor)
    received = damaged(data, payload)
    if received != payload:
        with pytest.raises(PayloadError, match=r"damaged, .* send it again"):
            codec.decode(received, tensor.shape)


@given(tensor=tensors(), codec=codecs, data=st.data())
def test_without_a_checksum_it_is_refused_or_decoded_to_finite_numbers_of_that_shape(
    tensor: NDArray[np.float32], codec: Codec, data: st.DataObject
) -> None:
    codec = replace(codec, checksum=False)
    received = damaged(data, codec.encode(tensor))
    try:
        decoded = codec.decode(received, tensor.shape)
    except PayloadError as error:
        assert "payload" in str(error)
    else:
        assert decoded.shape == tensor.shape
        assert np.isfinite(decoded).all()


@given(payload=st.binary(max_size=60), codec=codecs, shape=shapes)
def test_any_bytes_are_decoded_to_the_shape_or_refused(
    payload: bytes, codec: Codec, shape: tuple[int, ...]
) -> None:
    try:
        decoded = codec.decode(payload, shape)
    except PayloadError as error:
        assert "payload" in str(error)
    else:
        assert decoded.shape == shape


@pytest.mark.parametrize(
    ("dtype", "compress", "sparse"), list(itertools.product(DTYPES, COMPRESSIONS, SPARSE))
)
def test_every_flipped_bit_and_every_truncation_is_found(
    dtype: str, compress: str, sparse: str
) -> None:
    tensor = np.maximum(np.random.default_rng(0).normal(size=(2, 4)), 0).astype(np.float32)
    codec = Codec(dtype, compress, sparse=sparse)
    payload = codec.encode(tensor)
    for place, bit in itertools.product(range(len(payload)), range(8)):
        flipped = bytearray(payload)
        flipped[place] ^= 1 << bit
        with pytest.raises(PayloadError, match="damaged"):
            codec.decode(bytes(flipped), tensor.shape)
    for length in range(len(payload)):
        with pytest.raises(PayloadError, match="damaged"):
            codec.decode(payload[:length], tensor.shape)


def test_the_payload_of_another_codec_or_shape_is_refused_though_it_is_as_long() -> None:
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3)
    payload = Codec("float16").encode(tensor)
    for codec, shape in ((Codec("bfloat16"), (2, 3)), (Codec("float16"), (3, 2))):
        assert len(codec.encode(np.zeros(shape, np.float32))) == len(payload)
        with pytest.raises(PayloadError, match="another codec than .* another shape"):
            codec.decode(payload, shape)


@given(tensor=tensors(), codec=codecs, change=st.sampled_from([-1, 1, 7]))
def test_the_payload_of_another_shape_is_refused_by_its_length_too(
    tensor: NDArray[np.float32], codec: Codec, change: int
) -> None:
    codec = replace(codec, checksum=False, sparse="none", scale="tensor")
    size = max(0, tensor.size + change)
    shape = (size + 1 if size == tensor.size else size,)
    if codec.number_bytes(shape) != codec.number_bytes(tensor.shape):
        with pytest.raises(PayloadError, match="the payload"):
            codec.decode(codec.encode(tensor), shape)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("dtype", "kind"), [("float32", "<f4"), ("float16", "<f2")])
def test_a_payload_of_nan_or_infinity_which_no_encoder_makes_is_refused(
    dtype: str, kind: str, bad: float
) -> None:
    payload = np.array([1, bad], dtype=kind).tobytes()
    with pytest.raises(PayloadError, match="the payload must hold finite numbers"):
        Codec(dtype, checksum=False).decode(payload, (2,))


@pytest.mark.parametrize(
    "scale", [(math.nan, 1), (math.inf, 1), (0, math.nan), (0, math.inf), (math.inf, -math.inf)]
)
def test_a_uint8_payload_whose_scale_is_not_finite_is_refused(scale: tuple[float, float]) -> None:
    payload = np.array(scale, dtype="<f4").tobytes() + bytes([0, 1])
    with pytest.raises(PayloadError, match="finite offset and scale"):
        Codec("uint8", checksum=False).decode(payload, (2,))


@pytest.mark.parametrize("compress", ["zstd", "lz4", "ans"])
def test_a_bomb_is_refused_by_the_bound_that_the_shape_gives(compress: str) -> None:
    bomb = lossless(compress, 3).pack(bytes(10**7))
    assert len(bomb) < 10**5
    codec = Codec("uint8", compress, checksum=False)
    with pytest.raises(PayloadError, match="at most 14 bytes"):
        codec.decode(bomb, (6,))


def test_a_zstd_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(10**7))

    def unpack(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zstandard, "ZstdDecompressor", unpack)
    with pytest.raises(PayloadError, match="at most 14 bytes, and says 10000000"):
        Codec("uint8", "zstd", checksum=False).decode(bomb, (6,))


def test_a_zstd_frame_that_does_not_say_its_size_is_refused() -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(24))
    with pytest.raises(PayloadError, match="at most 24 bytes, and says -1"):
        Codec("float32", "zstd", checksum=False).decode(silent, (6,))


@pytest.mark.parametrize("sparse", ["bitmap", "csr", "delta"])
@given(data=st.binary(max_size=40), channels=st.integers(0, 4), values=st.integers(0, 6))
def test_an_index_is_a_mask_of_that_shape_or_refused(
    sparse: str, data: bytes, channels: int, values: int
) -> None:
    try:
        mask, used = INDICES[sparse].decode(data, (channels, values))
    except PayloadError:
        return
    assert mask.shape == (channels, values)
    assert used <= len(data)
    if sparse != "delta":
        assert INDICES[sparse].encode(mask)[:used] == data[:used] or sparse == "csr"


@given(mask=st.lists(st.booleans(), max_size=400), channels=st.integers(1, 4))
def test_an_index_comes_back_and_is_never_longer_than_its_bound(
    mask: list[bool], channels: int
) -> None:
    values = len(mask) // channels
    table = np.array(mask[: channels * values], np.bool_).reshape(channels, values)
    for index in INDICES.values():
        data = index.encode(table)
        decoded, used = index.decode(data + b"rest", table.shape)
        assert np.array_equal(decoded, table)
        assert used == len(data) <= index.greatest_bytes(table.shape)


@given(data=st.binary(max_size=600) | st.text("ab", max_size=3000).map(str.encode))
def test_lossless_is(data: bytes) -> None:
    for name in COMPRESSIONS:
        packer = lossless(name, 3)
        assert packer.unpack(packer.pack(data), len(data)) == data


def test_entropy_coding_comes_within_a_few_percent_of_the_entropy() -> None:
    symbols = np.random.default_rng(0).geometric(0.3, size=100_000).astype(np.uint8)
    shares = np.bincount(symbols) / symbols.size
    entropy_bits = -(shares[shares > 0] * np.log2(shares[shares > 0])).sum() * symbols.size
    packed = lossless("ans", 3).pack(symbols.tobytes())
    assert entropy_bits / 8 < len(packed) < 1.02 * entropy_bits / 8
    assert len(packed) < len(lossless("zstd", 3).pack(symbols.tobytes()))


@pytest.mark.parametrize(
    ("payload", "match"),
    [
        # Counts, then places, of two channels of three values.
        (bytes([1, 1, 0, 3]), "a place in the payload must be below 3"),
        (bytes([2, 0, 1, 1]), "a place in the payload must be named once"),
        (bytes([4, 0]), "must hold 4 places, got 0 bytes"),
        (bytes([1]), "must hold 2 counts, got 1 bytes"),
    ],
)
def test_places_that_the_channels_lack_are_refused(payload: bytes, match: str) -> None:
    with pytest.raises(PayloadError, match=match):
        INDICES["csr"].decode(payload, (2, 3))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"shares": [0, 9]}, "what occurs in the payload must have a share"),
        ({"words": [5, 0]}, "is no stream of words"),
        ({"words": [1, 2, 3, 4]}, "must be empty after 4 symbols"),
        ({"size": 5}, "at most 4 bytes, and says 5"),
    ],
)
def test_an_entropy_coded_stream_that_no_encoder_makes_is_refused(
    change: dict[str, object], match: str
) -> None:
    parts: dict[str, object] = {"size": 4, "shares": [7, 9], "words": [77]}
    parts |= change
    data = np.array([parts["size"]], "<u4").tobytes() + b"\xc0" + bytes(31)
    data += np.array(parts["shares"], "<u2").tobytes() + np.array(parts["words"], "<u4").tobytes()
    with pytest.raises(PayloadError, match=match):
        lossless("ans", 0).unpack(data, 4)
