import io
import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from flexrel_sim.codec import ImageCodec, PayloadError, codec_of
from flexrel_sim.scenario.schema import CodecSection

LOSSLESS = (ImageCodec("png"), ImageCodec("webp"))
LOSSY = (ImageCodec("jpeg", 80), ImageCodec("webp", 80))

shapes = st.tuples(st.sampled_from([1, 3]), st.integers(1, 9), st.integers(1, 9))


def photo(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Make something smooth, as photos are."""
    waves = [np.sin(np.linspace(0, 3 + i, n)) for i, n in enumerate(shape)]
    product = waves[0][:, None, None] + waves[1][:, None] * waves[2]
    return ((product - product.min()) / np.ptp(product)).astype(np.float32)


@given(shape=shapes, seed=st.integers(0, 999), codec=st.sampled_from(LOSSLESS))
def test_pixels_of_a_dataset_in_bytes_come_back_exactly(
    shape: tuple[int, int, int], seed: int, codec: ImageCodec
) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = pixels.astype(np.float32) / np.float32(255)
    assert np.array_equal(codec.decode(codec.encode(image), shape), image)


@given(shape=shapes, seed=st.integers(0, 999), codec=st.sampled_from([*LOSSLESS, *LOSSY]))
def test_any_image_comes_back_within_the_codecs_bound(
    shape: tuple[int, int, int], seed: int, codec: ImageCodec
) -> None:
    image = np.random.default_rng(seed).random(shape, dtype=np.float32)
    decoded = codec.decode(codec.encode(image), shape)
    assert decoded.dtype == np.float32
    assert (np.abs(decoded.astype(np.float64) - image) <= codec.bound(image)).all()
    assert codec.bound(image).max() <= (0.002 if codec in LOSSLESS else 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_lower_quality_costs_fewer_bytes_and_more_error(channels: int) -> None:
    image = photo((channels, 64, 64))
    for form in ("jpeg", "webp"):
        codecs = [ImageCodec(form, quality) for quality in (95, 50, 5)]
        sizes = [len(codec.encode(image)) for codec in codecs]
        errors = [
            float(np.abs(codec.decode(codec.encode(image), image.shape) - image).mean())
            for codec in codecs
        ]
        assert sizes == sorted(sizes, reverse=True)
        assert errors[0] < 0.01 < errors[2]


def test_what_is_sent_is_a_checksum_and_a_file_that_any_viewer_opens() -> None:
    image = photo((3, 5, 7))
    for codec in (*LOSSLESS, *LOSSY):
        payload = codec.encode(image)
        with Image.open(io.BytesIO(payload[4:])) as opened:
            assert (opened.format, opened.size) == (codec.form.upper(), (7, 5))
        assert ImageCodec(codec.form, codec.quality, checksum=False).encode(image) == payload[4:]


@pytest.mark.parametrize("shape", [(2, 4, 4), (4, 4), (1, 0, 4), (3, 4, 4, 4)])
def test_what_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, height and width"):
        ImageCodec("png").encode(np.zeros(shape, np.float32))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -0.01, 1.01])
def test_pixels_outside_of_0_to_1_are_refused(bad: float) -> None:
    image = np.full((1, 2, 2), 0.5, np.float32)
    image[0, 1, 1] = bad
    with pytest.raises(ValueError, match=r"finite and in 0\.\.1"):
        ImageCodec("png").encode(image)


@pytest.mark.parametrize("codec", [*LOSSLESS, *LOSSY])
def test_every_flipped_bit_and_truncation_is_found(codec: ImageCodec) -> None:
    payload = codec.encode(photo((1, 4, 4)))
    for place, bit in itertools.product(range(len(payload)), range(8)):
        flipped = bytearray(payload)
        flipped[place] ^= 1 << bit
        with pytest.raises(PayloadError, match="damaged"):
            codec.decode(bytes(flipped), (1, 4, 4))
    for length in range(len(payload)):
        with pytest.raises(PayloadError, match="damaged"):
            codec.decode(payload[:length], (1, 4, 4))


@given(data=st.data(), codec=st.sampled_from([*LOSSLESS, *LOSSY]))
@pytest.mark.filterwarnings("default")
def test_without_a_checksum_damage_is_refused_or_gives_an_image_of_that_shape(
    data: st.DataObject, codec: ImageCodec
) -> None:
    bare = ImageCodec(codec.form, codec.quality, checksum=False)
    damaged = bytearray(bare.encode(photo((3, 6, 6))))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        decoded = bare.decode(bytes(damaged), (3, 6, 6))
    except PayloadError as error:
        assert str(error).startswith("the payload ")
    else:
        assert decoded.shape == (3, 6, 6)


def test_a_file_of_another_size_kind_or_mode_is_refused_before_it_is_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bare = ImageCodec("png", checksum=False)
    large, gray = bare.encode(photo((3, 500, 400))), bare.encode(photo((1, 6, 5)))
    jpeg = ImageCodec("jpeg", checksum=False).encode(photo((3, 6, 5)))

    def unpack(*_: object) -> None:
        raise AssertionError("unpacked")

    monkeypatch.setattr(Image.Image, "convert", unpack)
    for payload, match in (
        (large, r"must be \(5, 6\) pixels, and says \(400, 500\)"),
        (gray, "must be RGB, and says L"),
        (jpeg, "is no png"),
        (zlib.compress(bytes(10)), "is no png"),
    ):
        with pytest.raises(PayloadError, match=match):
            bare.decode(payload, (3, 6, 5))


def test_names_say_form_and_quality() -> None:
    names = [codec.name for codec in (*LOSSLESS, *LOSSY, ImageCodec("jpeg"))]
    assert names == ["png", "webp", "jpeg-80", "webp-80", "jpeg-90"]


def test_a_scenarios_section_makes_the_codec_that_it_names() -> None:
    section = CodecSection.model_validate({"image": {"format": "webp", "quality": 7}})
    assert codec_of(section) == ImageCodec("webp", 7)
