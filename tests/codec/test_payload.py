import math
from dataclasses import replace

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

DTYPES = ("float32", "float16", "bfloat16", "uint8", "int4")
COMPRESSIONS = ("none", "zstd", "lz4", "ans")
SPARSE = ("none", "bitmap", "csr", "delta")
MAX32 = float(np.finfo(np.float32).max)

shapes = st.lists(st.integers(0, 5), max_size=3).map(tuple)
numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
codecs = st.builds(
    Codec,
    st.sampled_from(DTYPES),
    st.sampled_from(COMPRESSIONS),
    level=st.integers(1, 4),
    scale=st.sampled_from(["tensor", "channel"]),
    sparse=st.sampled_from(SPARSE),
    keep=st.sampled_from([1.0, 0.5, 0.07]),
    checksum=st.booleans(),
)


@st.composite
def tensors(draw: st.DrawFn) -> NDArray[np.float32]:
    shape = draw(shapes)
    size = math.prod(shape)
    small = st.floats(-1, 1, width=32)
    elements = draw(st.sampled_from([numbers, small, st.just(0.0) | small]))
    values = draw(st.lists(elements, min_size=size, max_size=size))
    return np.array(values, dtype=np.float32).reshape(shape)


def round_trip(codec: Codec, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
    decoded = codec.decode(codec.encode(tensor), tensor.shape)
    assert decoded.shape == tensor.shape
    assert decoded.dtype == np.float32
    return decoded


def bare(dtype: str, **settings: object) -> Codec:
    return Codec(dtype, checksum=False, **settings)


@given(tensor=tensors(), codec=codecs)
def test_any_tensor_comes_back_within_the_codecs_bound(
    tensor: NDArray[np.float32], codec: Codec
) -> None:
    error = np.abs(round_trip(codec, tensor).astype(np.float64) - tensor)
    assert codec.bound(tensor).shape == tensor.shape
    assert (error <= codec.bound(tensor)).all()


@given(tensor=tensors(), codec=codecs)
def test_the_bound_is_half_a_step_of_the_number_format_and_what_top_k_leaves_out(
    tensor: NDArray[np.float32], codec: Codec
) -> None:
    # Zeros, where values are left out, may widen the range.
    values = np.append(tensor.ravel(), 0).astype(np.float64)
    size = np.abs(values[:-1])
    if codec.dtype in ("uint8", "int4"):
        steps = 255 if codec.dtype == "uint8" else 15
        wanted = np.ptp(values) / steps / 2 * 1.001 + size.max(initial=0) * 2.0**-23 + 1e-42
    elif codec.dtype == "float16":
        wanted = np.maximum(np.maximum(size * 2.0**-11, 2.0**-25), size - 65504)
    else:
        wanted = size * (2.0**-8 if codec.dtype == "bfloat16" else 0) + 1e-40
    left_out = size if codec.keep < 1 else 0
    assert (codec.bound(tensor).ravel() <= wanted + left_out).all()


@given(tensor=tensors(), compress=st.sampled_from(COMPRESSIONS))
def test_float32_comes_back_bit_for_bit(tensor: NDArray[np.float32], compress: str) -> None:
    assert round_trip(Codec("float32", compress), tensor).tobytes() == tensor.tobytes()


@given(tensor=tensors(), sparse=st.sampled_from(SPARSE), compress=st.sampled_from(COMPRESSIONS))
def test_float32_without_its_zeros_is_equal(
    tensor: NDArray[np.float32], sparse: str, compress: str
) -> None:
    codec = Codec("float32", compress, sparse=sparse)
    assert np.array_equal(round_trip(codec, tensor), tensor)


@given(tensor=tensors())
def test_bfloat16_is_what_torch_rounds_to(tensor: NDArray[np.float32]) -> None:
    wanted = torch.from_numpy(tensor).to(torch.bfloat16).float().numpy()
    decoded = round_trip(Codec("bfloat16"), tensor)
    saturated = np.isinf(wanted)
    assert np.array_equal(decoded[~saturated], wanted[~saturated])
    assert np.isfinite(decoded).all()


@given(tensor=tensors(), batch=st.integers(1, 3), codec=codecs)
def test_a_batch_is_encoded_sample_by_sample(
    tensor: NDArray[np.float32], batch: int, codec: Codec
) -> None:
    stacked = np.stack([tensor] * batch)
    payloads = [codec.encode(sample) for sample in stacked]
    assert payloads == [codec.encode(tensor)] * batch


def test_per_channel_scales_follow_each_channel() -> None:
    tensor = np.stack([np.linspace(0, 1, 16), np.linspace(-1000, 1000, 16)])
    tensor = tensor.astype(np.float32).reshape(2, 4, 4)
    errors = [
        np.abs(round_trip(Codec("uint8", scale=scale), tensor) - tensor)[0].max()
        for scale in ("tensor", "channel")
    ]
    assert errors[0] > 0.4
    assert errors[1] <= 0.5 / 255 * 1.001


def test_int4_packs_two_levels_to_a_byte_the_first_in_the_low_half() -> None:
    payload = bare("int4").encode(np.array([0, 15, 3], dtype=np.float32))
    assert np.frombuffer(payload[:8], "<f4").tolist() == [0, 1]
    assert list(payload[8:]) == [0xF0, 0x03]


@given(tensor=tensors(), keep=st.sampled_from([0.01, 0.3, 0.99]))
def test_top_k_sends_the_greatest_and_makes_the_others_zero(
    tensor: NDArray[np.float32], keep: float
) -> None:
    decoded = round_trip(Codec("float32", keep=keep, sparse="bitmap"), tensor)
    size = np.sort(np.abs(tensor).ravel())[::-1]
    kept = math.ceil(keep * tensor.size)
    assert np.array_equal(np.sort(np.abs(decoded).ravel())[::-1][:kept], size[:kept])
    assert np.count_nonzero(decoded) <= kept
    assert np.isin(decoded[decoded != 0], tensor).all()


def test_sparse_payloads_are_as_long_as_counted_by_hand() -> None:
    tensor = np.zeros((4, 300), dtype=np.float32)
    tensor[:, ::100] = 5  # 3 in each channel, 12 in all
    lengths = {
        "none": 4 * 1200,
        "bitmap": 150 + 48,
        # Counts up to 300 and places up to 299 take two bytes each.
        "csr": 4 * 2 + 12 * 2 + 48,
        # A count of 4 bytes; 11 gaps of 99 zeros take a byte each, as does the first of none.
        "delta": 4 + 12 + 48,
    }
    for sparse, length in lengths.items():
        assert len(bare("float32", sparse=sparse).encode(tensor)) == length


@given(value=numbers, codec=codecs, shape=shapes)
def test_a_constant_comes_back_as_exactly_as_its_number_format_allows(
    value: float, codec: Codec, shape: tuple[int, ...]
) -> None:
    codec = replace(codec, keep=1)
    tensor = np.full(shape, value, dtype=np.float32)
    expected = tensor
    if codec.dtype == "float16":
        expected = np.clip(tensor, -65504, 65504).astype(np.float16).astype(np.float32)
    if codec.dtype == "bfloat16":
        limit = torch.finfo(torch.bfloat16).max
        expected = torch.from_numpy(tensor).to(torch.bfloat16).float().clip(-limit, limit).numpy()
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
        step = np.frombuffer(bare("uint8").encode(tensor)[4:8], "<f4")[0]
        overshot += float(tensor[0]) + 255 * float(step) > MAX32 * (1 + 2.0**-25)
        assert np.isfinite(round_trip(Codec("uint8"), tensor)).all()
    # Where the step was rounded up, the last level lies beyond float32.
    assert overshot > 0


def test_uint8_bears_a_range_too_small_for_a_step() -> None:
    tiny = float(np.finfo(np.float32).smallest_subnormal)
    tensor = np.array([0, tiny], dtype=np.float32)
    assert np.array_equal(round_trip(Codec("uint8"), tensor), np.zeros(2, dtype=np.float32))


def test_uint8_sends_least_value_and_step_then_one_byte_per_number() -> None:
    payload = bare("uint8").encode(np.array([-1, 0, 254], dtype=np.float32))
    assert np.frombuffer(payload[:8], "<f4").tolist() == [-1, 1]
    assert list(payload[8:]) == [0, 1, 255]


@pytest.mark.parametrize(("dtype", "kind"), [("float32", "<f4"), ("float16", "<f2")])
def test_floats_are_sent_little_endian_in_row_order(dtype: str, kind: str) -> None:
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3).T
    payload = bare(dtype).encode(tensor)
    assert np.frombuffer(payload, kind).tolist() == [0, 3, 1, 4, 2, 5]


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_tensor_with_nan_or_infinity_is_refused(dtype: str, compress: str, bad: float) -> None:
    tensor = np.array([0, bad, 1], dtype=np.float32)
    with pytest.raises(ValueError, match="must be finite to be encoded"):
        Codec(dtype, compress).encode(tensor)


@given(tensor=tensors(), codec=codecs)
def test_without_compression_and_with_zeros_the_payload_is_numbers_and_overhead(
    tensor: NDArray[np.float32], codec: Codec
) -> None:
    codec = replace(codec, compress="none", sparse="none")
    shape = tensor.shape
    assert len(codec.encode(tensor)) == codec.number_bytes(shape) + codec.overhead_bytes(shape)
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "uint8": 8, "int4": 4}[codec.dtype]
    assert codec.number_bytes(shape) == math.ceil(tensor.size * bits / 8)
    channels = shape[0] if codec.scale == "channel" and len(shape) > 1 else 1
    scales = 8 * channels if codec.dtype in ("uint8", "int4") else 0
    assert codec.overhead_bytes(shape) == scales + (4 if codec.checksum else 0)


@given(tensor=tensors(), codec=codecs)
def test_a_checksum_adds_four_bytes(tensor: NDArray[np.float32], codec: Codec) -> None:
    with_, without = replace(codec, checksum=True), replace(codec, checksum=False)
    assert with_.encode(tensor)[4:] == without.encode(tensor)


@given(tensor=tensors(), dtype=st.sampled_from(DTYPES), level=st.integers(1, 6))
def test_zstd_compresses_what_is_sent_without_it(
    tensor: NDArray[np.float32], dtype: str, level: int
) -> None:
    plain = bare(dtype).encode(tensor)
    packed = bare(dtype, compress="zstd", level=level).encode(tensor)
    assert packed == zstandard.ZstdCompressor(level=level).compress(plain)
    assert zstandard.ZstdDecompressor().decompress(packed) == plain


def test_the_level_of_zstd_matters() -> None:
    tensor = np.tile(np.random.default_rng(0).normal(size=900), 40).astype(np.float32)
    sizes = [len(Codec("float32", "zstd", level).encode(tensor)) for level in (1, 19)]
    assert sizes[1] < sizes[0] < 4 * tensor.size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("removed", [0, 8, 16, 24])
def test_removing_a_share_of_a_cuts_channels_takes_exactly_that_share_of_its_payload(
    dtype: str, removed: int
) -> None:
    network = shipped_network()
    image = torch.rand(1, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    smaller = CoupledNetwork(network, image).removed({"conv2_2": torch.arange(32) >= removed})
    for scale in ("tensor", "channel"):
        codec = Codec(dtype, scale=scale)
        sizes = []
        for whole in (network, smaller):
            head, _ = split_network(whole, "pool2")
            with torch.inference_mode():
                boundary = head(image)[0].numpy()
            sizes.append(len(codec.encode(boundary)) - codec.overhead_bytes(boundary.shape))
            assert sizes[-1] == codec.number_bytes(boundary.shape)
        assert sizes[1] * 32 == sizes[0] * (32 - removed)


def test_a_codecs_name_says_what_it_does() -> None:
    assert Codec("float32").name == "float32"
    codec = Codec("int4", "zstd", 7, "channel", "csr", 0.25)
    assert codec.name == "int4+per-channel+top-0.25+csr+zstd-7"
