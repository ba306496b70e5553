import numpy as np
import pytest

from flexrel_sim.codec import ChannelCodec, Codec, ImageCodec, work_of
from flexrel_sim.profile import CodecCost

SHAPE = (4, 10, 10)  # 400 values, 1600 bytes


def test_traffic_is_that_counted_by_hand() -> None:
    plain = work_of(Codec("uint8", checksum=False), SHAPE)
    # Read for the range, read and written as bytes; bytes read, floats written.
    assert plain == CodecCost("uint8", 1600 + 1600 + 400, 400 + 1600, 400, "none", 0)
    half = work_of(Codec("float16", "zstd", 7, checksum=False), SHAPE)
    assert half == CodecCost("float16+zstd-7", 3200 + 800, 800 + 1600, 800, "zstd", 7)


def test_a_checksum_reads_what_is_sent_once_more() -> None:
    with_, without = (work_of(Codec("uint8", checksum=yes), SHAPE) for yes in (True, False))
    assert with_.encode_traffic_bytes - without.encode_traffic_bytes == 400
    assert with_.decode_traffic_bytes - without.decode_traffic_bytes == 400


def test_leaving_values_out_costs_passes_and_leaves_less_to_compress() -> None:
    whole = work_of(Codec("uint8", "zstd"), SHAPE)
    sparse = work_of(Codec("uint8", "zstd", sparse="bitmap", keep=0.1), SHAPE)
    assert sparse.encode_traffic_bytes > whole.encode_traffic_bytes
    # 40 numbers, and a bit for each of 400.
    assert sparse.content_bytes == 40 + 50


@pytest.mark.parametrize("sparse", ["bitmap", "csr", "delta"])
def test_what_is_compressed_is_as_long_as_for_values_scattered_evenly(sparse: str) -> None:
    codec = Codec("uint8", sparse=sparse, keep=0.1, checksum=False)
    tensor = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    length = len(codec.encode(tensor)) - codec.overhead_bytes(SHAPE)
    assert 0.4 * length < work_of(codec, SHAPE).content_bytes <= 3 * length


def test_fewer_channels_are_less_work_to_compress() -> None:
    whole = work_of(Codec("uint8", "zstd", checksum=False), SHAPE)
    half = work_of(ChannelCodec(Codec("uint8", "zstd", checksum=False), (0, 2), (0.0,) * 4), SHAPE)
    assert half.content_bytes * 2 == whole.content_bytes
    assert half.encode_traffic_bytes == whole.encode_traffic_bytes / 2 + 2 * 800
    assert half.decode_traffic_bytes == whole.decode_traffic_bytes / 2 + 1600 + 2 * 800


def test_an_image_is_compressed_by_its_own_form() -> None:
    kinds = [
        work_of(codec, (3, 8, 8)).compressor
        for codec in (ImageCodec("png"), ImageCodec("jpeg"), ImageCodec("webp", 3))
    ]
    assert kinds == ["png", "jpeg", "webp"]
    lossless = work_of(ImageCodec("webp"), (3, 8, 8))
    assert lossless == CodecCost("webp", 192 * 13, 192 * 5, 192, "webp-lossless")


def test_the_work_of_a_codec_from_elsewhere_is_not_made_up() -> None:
    class Other:
        name = "other"

    with pytest.raises(TypeError, match="work of Other is not known"):
        work_of(Other(), SHAPE)
