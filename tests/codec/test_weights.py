import math
import struct
import zlib

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flexrel_sim.codec import (
    WeightDtype,
    apply_update,
    decode_weights,
    encode_update,
    encode_weights,
    rounded_weights,
    shipped_bytes,
    smallest_format,
    weight_bytes,
)
from flexrel_sim.codec.indices import gaps_from_bytes, gaps_to_bytes
from flexrel_sim.codec.weight_formats import (
    FORMATS,
    bitmap_bytes,
    csr_bytes,
    dense_bytes,
    nxm_bytes,
)

DTYPES: tuple[WeightDtype, ...] = ("float32", "float16", "int8")
ITEMSIZE = {"float32": 4, "float16": 2, "int8": 1}
HEADER = {"float32": 1, "float16": 1, "int8": 5}

dtypes = st.sampled_from(DTYPES)
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def pruned(shape: tuple[int, ...], density: float, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=shape) * (rng.random(shape) < density)
    return weights.astype(np.float32)


@st.composite
def layers(draw: st.DrawFn) -> NDArray[np.float32]:
    shape = draw(st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple))
    kept = draw(st.lists(st.booleans(), min_size=math.prod(shape), max_size=math.prod(shape)))
    values = draw(st.lists(finite, min_size=len(kept), max_size=len(kept)))
    return np.array([v * k for v, k in zip(values, kept, strict=True)], np.float32).reshape(shape)


@given(weights=layers(), dtype=dtypes, form=st.sampled_from([None, *FORMATS]))
def test_every_format_gives_the_rounded_weights_back_and_says_its_length(
    weights: NDArray[np.float32], dtype: WeightDtype, form: str | None
) -> None:
    wanted = rounded_weights(weights, dtype)
    if form in ("2:4", "4:8"):
        # Zeros where the pattern wants them.
        n, m = (int(part) for part in form.split(":"))
        weights = np.where(np.arange(weights.size) % m < n, weights.ravel(), 0).reshape(
            weights.shape
        )
        wanted = rounded_weights(weights, dtype)
    data = encode_weights(weights, form, dtype)
    decoded = decode_weights(data, weights.shape, dtype)
    assert decoded.dtype == np.float32
    assert decoded.shape == weights.shape
    assert np.array_equal(decoded, wanted)
    assert weight_bytes(weights, form, dtype) == len(data)


@given(weights=layers(), dtype=dtypes)
def test_float32_is_exact_and_rounding_twice_is_rounding_once(
    weights: NDArray[np.float32], dtype: WeightDtype
) -> None:
    assert np.array_equal(rounded_weights(weights, "float32"), weights)
    once = rounded_weights(weights, dtype)
    again = rounded_weights(once, dtype)
    # The scale of int8 may move by a last bit; the numbers don't.
    assert np.allclose(again, once, rtol=2.0**-22, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_smallest_is_no_larger_than_any_other(dtype: WeightDtype) -> None:
    for density in (0, 0.001, 0.02, 0.1, 0.3, 0.5, 0.9, 1):
        weights = pruned((64, 32, 3, 3), density)
        sizes = {
            name: weight_bytes(weights, name, dtype)
            for name in FORMATS
            if FORMATS[name].takes(rounded_weights(weights, dtype))
        }
        assert weight_bytes(weights, dtype=dtype) == min(sizes.values())
        assert sizes[smallest_format(weights, dtype)] == min(sizes.values())


def test_the_choice_follows_the_density_and_the_size() -> None:
    assert smallest_format(np.ones(3, np.float32)) == "dense"
    # A pattern of three zeros in four, of values without structure, in a small layer.
    assert smallest_format(np.array([math.pi, 0, 0, 0] * 2, np.float32)) == "bitmap"
    assert smallest_format(pruned((64, 288), 0.1)) == "delta-zstd"
    assert smallest_format(pruned((256, 256), 0.0005)) != "bitmap"


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes_are_those_counted_by_hand(dtype: WeightDtype) -> None:
    weights = np.zeros((10, 300), np.float32)
    weights[:, ::10] = 1  # 300 of 3000
    each, header = ITEMSIZE[dtype], HEADER[dtype]
    wanted = {
        "dense": 3000 * each,
        "bitmap": 375 + 300 * each,
        # 300 numbers want two bytes per row's end; 300 columns want two per index.
        "csr": 10 * 2 + 300 * (2 + each),
        # 750 groups of 4, two numbers each of 2 bits; 375 of 8, four of 3 bits.
        "2:4": 1500 * each + 375,
        "4:8": 1500 * each + 563,
    }
    for name, size in wanted.items():
        assert len(encode_weights(weights, name, dtype)) == header + size
    assert wanted["dense"] == dense_bytes(3000, each)
    assert wanted["bitmap"] == bitmap_bytes(3000, 300, each)
    assert wanted["csr"] == csr_bytes(10, 300, 300, each)
    assert wanted["2:4"] == nxm_bytes(3000, 2, 4, each)
    assert wanted["4:8"] == nxm_bytes(3000, 4, 8, each)


def test_rows_that_end_take_one_byte_up_to_255_numbers_and_two_above() -> None:
    assert csr_bytes(4, 256, 255, 4) == 4 * 1 + 255 * 5
    assert csr_bytes(4, 256, 256, 4) == 4 * 2 + 256 * 5
    assert csr_bytes(4, 257, 256, 4) == 4 * 2 + 256 * 6
    for nonzero in (255, 256):
        weights = np.zeros((4, 256), np.float32)
        weights.ravel()[:nonzero] = 1
        assert np.array_equal(decode_weights(encode_weights(weights, "csr"), (4, 256)), weights)


def test_shipped_bytes_are_the_sum_of_the_smallest_of_each_array() -> None:
    arrays = [pruned((20, 30), 0.05), np.ones(20, np.float32), np.zeros((0, 3), np.float32)]
    assert shipped_bytes(arrays) == sum(len(encode_weights(array)) for array in arrays)
    assert shipped_bytes(arrays, "int8") == sum(
        len(encode_weights(array, dtype="int8")) for array in arrays
    )
    assert shipped_bytes([]) == 0


def test_a_pattern_that_does_not_hold_is_refused() -> None:
    weights = np.array([1, 2, 3, 0], np.float32)
    with pytest.raises(ValueError, match="at most 2 numbers in every 4"):
        encode_weights(weights, "2:4")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_that_are_not_finite_are_refused(bad: float, dtype: WeightDtype) -> None:
    with pytest.raises(ValueError, match="weights must be finite"):
        weight_bytes(np.array([1, bad], np.float32), dtype=dtype)


@given(
    weights=layers(),
    dtype=dtypes,
    form=st.sampled_from(["dense", "bitmap", "csr", "delta-zstd"]),
    data=st.data(),
)
def test_damaged_weights_are_refused_or_decode_to_the_shape(
    weights: NDArray[np.float32], dtype: WeightDtype, form: str, data: st.DataObject
) -> None:
    encoded = bytearray(encode_weights(weights, form, dtype))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(encoded) - 1))
        encoded[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    try:
        decoded = decode_weights(bytes(encoded[:cut]), weights.shape, dtype)
    except ValueError as error:
        assert str(error).startswith("weights ")
    else:
        assert decoded.shape == weights.shape


@given(st.lists(st.integers(0, 3_000_000_000), unique=True).map(sorted))
def test_gaps_come_back_as_positions(positions: list[int]) -> None:
    data = gaps_to_bytes(np.array(positions, np.intp)) + b"rest"
    decoded, used = gaps_from_bytes(data, len(positions), 3_000_000_001)
    assert decoded.tolist() == positions
    assert data[used:] == b"rest"
    # Slow definition of the length: seven bits of each gap to a byte.
    gaps = np.diff([-1, *positions]) - 1
    assert used == sum(max(1, -(-int(gap).bit_length() // 7)) for gap in gaps)


@pytest.mark.parametrize(
    ("data", "count", "match"),
    [
        (b"\x00", 2, "must hold 2 positions, got 1"),
        (b"\x80\x80\x80\x80\x80\x01", 1, "must hold 1 positions, got 0"),
        (b"\x80\x80\x80\x80\x80\x01\x00", 2, "at most 5 bytes"),
        (b"\x09\x00", 2, "must be below 10"),
    ],
)
def test_gaps_that_are_none_are_refused(data: bytes, count: int, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        gaps_from_bytes(data, count, 10)


@given(old=layers(), dtype=dtypes, seed=st.integers(0, 99), share=st.floats(0, 1))
def test_an_update_turns_the_old_weights_into_the_new(
    old: NDArray[np.float32], dtype: WeightDtype, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    held = rounded_weights(old, dtype)
    chance = rng.random(old.shape)
    new = np.where(chance < share, rng.choice([0, 1.5, -3], size=old.shape), held)
    new = new.astype(np.float32)
    update = encode_update(held, new, dtype)
    assert np.array_equal(apply_update(held, update, dtype), rounded_weights(new, dtype))
    # Never much more than the whole: a tag and a checksum.
    assert len(update) <= 5 + len(encode_weights(new, dtype=dtype))


def test_an_update_that_prunes_further_costs_places_only() -> None:
    old = pruned((64, 64, 3, 3), 0.3)
    new = np.where(np.random.default_rng(1).random(old.shape) < 0.1, 0, old)
    zeroed = int(((old != 0) & (new == 0)).sum())
    assert zeroed > 1000
    assert len(encode_update(old, new.astype(np.float32))) < 1.2 * zeroed
    assert len(encode_update(old, old)) < 30


def test_an_update_of_other_weights_or_a_damaged_one_is_refused() -> None:
    old, new = pruned((8, 8), 0.5), pruned((8, 8), 0.4, seed=1)
    for versions in ((old, new), (old, np.where(np.arange(64).reshape(8, 8) == 9, 7, old))):
        update = encode_update(versions[0], versions[1].astype(np.float32))
        with pytest.raises(ValueError, match="made for other weights"):
            apply_update(new, update)
        for place in range(len(update)):
            damaged = bytearray(update)
            damaged[place] ^= 4
            with pytest.raises(ValueError, match="the update is damaged"):
                apply_update(old, bytes(damaged))
        for length in range(len(update)):
            with pytest.raises(ValueError, match="the update is damaged"):
                apply_update(old, update[:length])


def test_versions_of_different_shapes_have_no_update() -> None:
    with pytest.raises(ValueError, match=r"must have the old shape \(2,\), got \(3,\)"):
        encode_update(np.zeros(2, np.float32), np.zeros(3, np.float32))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "must hold two counts"),
        (struct.pack("<II", 0, 65), "must change at most 64 numbers"),
        (struct.pack("<II", 0, 1) + b"\x03" + bytes(3), "must hold 1 numbers"),
        (struct.pack("<II", 1, 0) + b"\x40", "a position must be below 64"),
        (bytes(5000), "must unpack to at most 904 bytes, got 5000"),
    ],
)
def test_an_update_that_is_whole_and_makes_no_sense_is_refused(content: bytes, match: str) -> None:
    old = pruned((8, 8), 0.5)
    tagged = b"\1" + zstandard.ZstdCompressor().compress(content)
    checksum = zlib.crc32(tagged, zlib.crc32(old.tobytes())).to_bytes(4, "little")
    with pytest.raises(ValueError, match=f"the update: {match}"):
        apply_update(old, tagged + checksum)


def test_weights_in_rows_and_columns_that_the_layer_lacks_are_refused() -> None:
    good = bytearray(encode_weights(np.eye(2, 3, dtype=np.float32), "csr"))
    # The format's number, two rows' ends, two columns.
    assert list(good[1:5]) == [1, 2, 0, 1]
    for place, value in ((1, 3), (2, 1), (4, 3)):
        bad = bytearray(good)
        bad[place] = value
        with pytest.raises(ValueError, match="rows and columns must be those of the layer"):
            decode_weights(bytes(bad), (2, 3))
