import itertools
import math

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flexrel_sim.codec import Codec
from flexrel_sim.partition import split_network
from flexrel_sim.pruning.channels import CoupledNetwork
from tests.networks.cards import shipped_network

DTYPES = ("float32", "float16", "uint8")
COMPRESSIONS = ("none", "zstd")
MAX32 = float(np.finfo(np.float32).max)

shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
codecs = st.builds(Codec, st.sampled_from(DTYPES), st.sampled_from(COMPRESSIONS))


@st.composite
def tensors(draw: st.DrawFn) -> NDArray[np.float32]:
    shape = draw(shapes)
    size = math.prod(shape)
    elements = draw(st.sampled_from([numbers, st.floats(-1, 1, width=32)]))
    values = draw(st.lists(elements, min_size=size, max_size=size))
    return np.array(values, dtype=np.float32).reshape(shape)


def round_trip(codec: Codec, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    decoded = codec.decode(codec.encode(tensor), tensor.shape)
    assert decoded.shape == tensor.shape
    assert decoded.dtype == np.float32
    return decoded


def uint8_step(tensor: NDArray[np.float32]) -> float:
    return (float(tensor.max()) - float(tensor.min())) / 255


@given(tensor=tensors(), compress=st.sampled_from(COMPRESSIONS))
def test_float32_comes_back_bit_for_bit(tensor: NDArray[np.float32], compress: str) -> None:
    assert round_trip(Codec("float32", compress), tensor).tobytes() == tensor.tobytes()


@given(tensor=tensors(), compress=st.sampled_from(COMPRESSIONS))
def test_float16_comes_back_within_half_a_step_of_float16_and_saturates(
    tensor: NDArray[np.float32], compress: str
) -> None:
    wanted = np.clip(tensor.astype(np.float64), -65504, 65504)
    error = np.abs(round_trip(Codec("float16", compress), tensor) - wanted)
    # 11 significant bits above 2**-14, and steps of 2**-24 below.
    assert (error <= np.maximum(np.abs(wanted) * 2.0**-11, 2.0**-25)).all()


@given(tensor=tensors(), compress=st.sampled_from(COMPRESSIONS))
def test_uint8_comes_back_within_half_a_step(tensor: NDArray[np.float32], compress: str) -> None:
    decoded = round_trip(Codec("uint8", compress), tensor).astype(np.float64)
    if tensor.size:
        step = uint8_step(tensor)
        # The step is sent, and the result held, as float32: that rounding comes on top.
        sent = 255 * float(np.spacing(np.float32(step))) / 2
        held = float(np.spacing(np.abs(tensor).max()))
        assert np.abs(decoded - tensor).max() <= step / 2 + sent + held


@given(value=numbers, codec=codecs, shape=shapes)
def test_a_constant_comes_back_as_exactly_as_its_number_format_allows(
    value: float, codec: Codec, shape: tuple[int, ...]
) -> None:
    tensor = np.full(shape, value, dtype=np.float32)
    expected = tensor
    if codec.dtype == "float16":
        expected = np.clip(tensor, -65504, 65504).astype(np.float16).astype(np.float32)
    assert np.array_equal(round_trip(codec, tensor), expected)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0,), (3, 0, 2), (4,), ()])
def test_zeros_and_empty_tensors_come_back_as_they_were(
    dtype: str, compress: str, shape: tuple[int, ...]
) -> None:
    tensor = np.zeros(shape, dtype=np.float32)
    assert np.array_equal(round_trip(Codec(dtype, compress), tensor), tensor)


def test_uint8_bears_the_extremes_of_float32() -> None:
    tensor = np.array([-MAX32, -MAX32 / 3, 0, MAX32 / 7, MAX32], dtype=np.float32)
    decoded = round_trip(Codec("uint8"), tensor)
    assert np.isfinite(decoded).all()
    half = 2 * MAX32 / 255 / 2
    assert np.abs(decoded.astype(np.float64) - tensor).max() <= half * (1 + 1e-4)


def test_uint8_never_rounds_the_greatest_float32_up_to_infinity() -> None:
    overshot = 0
    for share in np.random.default_rng(0).random(100):
        tensor = np.array([-MAX32 * share, MAX32], dtype=np.float32)
        step = np.frombuffer(Codec("uint8").encode(tensor)[4:8], "<f4")[0]
        overshot += float(tensor[0]) + 255 * float(step) > MAX32 * (1 + 2.0**-25)
        assert np.isfinite(round_trip(Codec("uint8"), tensor)).all()
    # Where the step was rounded up, the last level lies beyond float32.
    assert overshot > 0


def test_uint8_bears_a_range_too_small_for_a_step() -> None:
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    tensor = np.array([0, tiny], dtype=np.float32)
    assert np.array_equal(round_trip(Codec("uint8"), tensor), np.zeros(2, dtype=np.float32))


def test_uint8_sends_least_value_and_step_then_one_byte_per_number() -> None:
    payload = Codec("uint8").encode(np.array([-1, 0, 254], dtype=np.float32))
    assert np.frombuffer(payload[:8], "<f4").tolist() == [-1, 1]
    assert list(payload[8:]) == [0, 1, 255]


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "<f4"), ("float16", "<f2")])
def test_floats_are_sent_little_endian_in_row_order(dtype: str, kind: str) -> None:
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3).T
    payload = Codec(dtype).encode(tensor)
    assert np.frombuffer(payload, kind).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_tensor_with_nan_or_infinity_is_refused(dtype: str, compress: str, bad: float) -> None:
    tensor = np.array([0, bad, 1], dtype=np.float32)
    with pytest.raises(ValueError, match="must be finite to be encoded"):
        Codec(dtype, compress).encode(tensor)


@given(tensor=tensors())
def test_the_payload_is_size_times_itemsize_and_8_more_for_uint8(
    tensor: NDArray[np.float32],
) -> None:
    assert len(Codec("float32").encode(tensor)) == 4 * tensor.size
    assert len(Codec("float16").encode(tensor)) == 2 * tensor.size
    assert len(Codec("uint8").encode(tensor)) == tensor.size + 8


@given(tensor=tensors(), dtype=st.sampled_from(DTYPES), level=st.integers(1, 6))
def test_zstd_compresses_what_is_sent_without_it(
    tensor: NDArray[np.float32], dtype: str, level: int
) -> None:
    plain = Codec(dtype).encode(tensor)
    packed = Codec(dtype, "zstd", level).encode(tensor)
    assert packed == zstandard.ZstdCompressor(level=level).compress(plain)
    assert zstandard.ZstdDecompressor().decompress(packed) == plain


def test_the_level_of_zstd_matters() -> None:
    tensor = np.tile(np.random.default_rng(0).normal(size=900), 40).astype(np.float32)
    sizes = [len(Codec("float32", "zstd", level).encode(tensor)) for level in (1, 19)]
    assert sizes[1] < sizes[0] < 4 * tensor.size


@given(tensor=tensors(), codec=codecs, change=st.sampled_from([-1, 1, 7]))
def test_a_payload_of_another_shape_is_refused(
    tensor: NDArray[np.float32], codec: Codec, change: int
) -> None:
    size = max(0, tensor.size + change)
    if size == tensor.size:
        size += 1
    with pytest.raises(ValueError, match="the payload must (hold|unpack to)"):
        codec.decode(codec.encode(tensor), (size,))


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_truncated_payload_is_refused(dtype: str) -> None:
    tensor = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    for compress in COMPRESSIONS:
        codec = Codec(dtype, compress)
        payload = codec.encode(tensor)
        for length in range(len(payload)):
            with pytest.raises(ValueError, match="the payload "):
                codec.decode(payload[:length], tensor.shape)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_after_the_payload_are_refused(dtype: str, compress: str) -> None:
    tensor = np.ones((2, 3), dtype=np.float32)
    codec = Codec(dtype, compress)
    with pytest.raises(ValueError, match="the payload "):
        codec.decode(codec.encode(tensor) + b"\0", tensor.shape)


def test_a_flipped_bit_in_the_magic_number_of_zstd_is_refused() -> None:
    codec = Codec("float32", "zstd")
    tensor = np.arange(6, dtype=np.float32)
    payload = codec.encode(tensor)
    for byte, bit in itertools.product(range(4), range(8)):
        flipped = bytearray(payload)
        flipped[byte] ^= 1 << bit
        with pytest.raises(ValueError, match="the payload "):
            codec.decode(bytes(flipped), tensor.shape)


def test_a_flipped_bit_in_the_frame_header_of_zstd_is_refused_or_harmless() -> None:
    codec = Codec("float32", "zstd")
    tensor = np.arange(6, dtype=np.float32)
    payload = codec.encode(tensor)
    refused = 0
    # After the magic number: the descriptor and the content size, then come blocks of data.
    for byte, bit in itertools.product((4, 5), range(8)):
        flipped = bytearray(payload)
        flipped[byte] ^= 1 << bit
        try:
            decoded = codec.decode(bytes(flipped), tensor.shape)
        except ValueError as error:
            assert str(error).startswith("the payload ")
            refused += 1
        else:
            assert np.array_equal(decoded, tensor)
    assert refused >= 14


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("dtype", "kind"), [("float32", "<f4"), ("float16", "<f2")])
def test_a_payload_of_nan_or_infinity_which_no_encoder_makes_is_refused(
    dtype: str, kind: str, bad: float
) -> None:
    payload = np.array([1, bad], dtype=kind).tobytes()
    with pytest.raises(ValueError, match="the payload "):
        Codec(dtype).decode(payload, (2,))


@pytest.mark.parametrize(
    "scale", [(math.nan, 1), (math.inf, 1), (0, math.nan), (0, math.inf), (math.inf, -math.inf)]
)
def test_a_uint8_payload_whose_header_is_not_finite_is_refused(scale: tuple[float, float]) -> None:
    payload = np.array(scale, dtype="<f4").tobytes() + bytes([0, 1])
    with pytest.raises(ValueError, match="the payload "):
        Codec("uint8").decode(payload, (2,))


def test_a_zstd_frame_that_unpacks_to_more_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(10**7))
    assert len(bomb) < 10**4

    def unpack(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(zstandard, "ZstdDecompressor", unpack)
    with pytest.raises(ValueError, match="the payload must unpack to 14 bytes"):
        Codec("uint8", "zstd").decode(bomb, (6,))


def test_a_zstd_frame_that_does_not_say_its_size_is_refused() -> None:
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(24))
    with pytest.raises(ValueError, match="the payload must unpack to 24 bytes"):
        Codec("float32", "zstd").decode(silent, (6,))


@given(payload=st.binary(max_size=40), codec=codecs, shape=shapes)
def test_any_bytes_are_decoded_to_the_shape_or_refused_with_a_value_error(
    payload: bytes, codec: Codec, shape: tuple[int, ...]
) -> None:
    try:
        decoded = codec.decode(payload, shape)
    except ValueError as error:
        assert str(error).startswith("the payload ")
    else:
        assert decoded.shape == shape


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("removed", [0, 8, 16, 24])
def test_removing_a_share_of_a_cuts_channels_takes_exactly_that_share_of_its_payload(
    dtype: str, removed: int
) -> None:
    network = shipped_network()
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    smaller = CoupledNetwork(network, image).removed({"conv2_2": torch.arange(32) >= removed})
    codec = Codec(dtype)
    header = 8 if dtype == "uint8" else 0
    sizes = []
    for whole in (network, smaller):
        head, _ = split_network(whole, "pool2")
        with torch.inference_mode():
            sizes.append(len(codec.encode(head(image)[0].numpy())) - header)
    assert sizes[1] * 32 == sizes[0] * (32 - removed)
