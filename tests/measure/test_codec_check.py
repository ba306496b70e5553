from pathlib import Path

import pytest

from flexrel_sim.errors import Fault
from flexrel_sim.measure.codec_check import codec_faults
from tests.measure.scenarios import scenario_of
from tests.measure.test_check import TEXT, checked, faults


def text(codec: str, cut: str = "pool1") -> str:
    return TEXT.replace("cut: pool1", f"cut: {cut}") + f"codec: {codec}\n"


@pytest.mark.parametrize(
    ("cut", "codec", "wanted"),
    [
        (
            "pool1",
            "{keep: 0.2}",
            ["codec.keep: would save nothing: the zeros are sent as well, got 0.2; say where"],
        ),
        (
            "pool1",
            "{dtype: float16, scale: channel}",
            ["codec.scale: must be 'tensor' for float16, which has no scale, got 'channel'; leave"],
        ),
        (
            "pool1",
            "{image: {format: png, quality: 3}, dtype: int4, keep: 0.5}",
            [
                "codec.image: encodes the input, which is sent at cut 'server' only; leave it out",
                "codec.dtype: has no effect beside codec.image",
                "codec.keep: has no effect beside codec.image",
                "codec.image.quality: has no effect on png, which loses nothing, got 3; leave",
            ],
        ),
    ],
)
def test_what_contradicts_itself_is_said_all_at_once_with_a_remedy(
    folder: Path, cut: str, codec: str, wanted: list[str]
) -> None:
    found = faults(folder, text(codec, cut))
    assert len(found) == len(wanted)
    for line, start in zip(found, wanted, strict=True):
        place, _, rest = line.partition(": codec")
        assert place.startswith("FILE:")
        assert f"codec{rest}".startswith(start)


def test_an_image_and_a_bottleneck_exclude_each_other(folder: Path) -> None:
    both = text("{image: {format: png}}", "server").replace(
        "cut: server", "cut: server\n  bottleneck: b.yaml"
    )
    (found,) = faults(folder, both)
    assert "codec.image: encodes images, and split.bottleneck sends something else" in found


@pytest.mark.parametrize(
    ("cut", "codec"),
    [
        ("pool1", "{keep: 0.2, sparse: delta}"),
        ("pool1", "{keep: 0.2, compress: lz4}"),
        ("pool1", "{dtype: int4, scale: channel, sparse: csr}"),
        ("server", "{image: {format: webp, quality: 3}, checksum: false}"),
        ("edge", "{image: {format: png}, keep: 0.1}"),
    ],
)
def test_what_makes_sense_is_taken(folder: Path, cut: str, codec: str) -> None:
    assert len(checked(folder, text(codec, cut)).specs) == 1


def test_settings_without_effect_share_a_profile(folder: Path) -> None:
    def key(codec: str) -> str:
        return checked(folder, text(codec, "server")).specs[0].key

    assert key("{level: 9}") == key("{}")
    assert key("{compress: lz4, level: 9}") == key("{compress: lz4}")
    assert key("{compress: zstd, level: 9}") != key("{compress: zstd}")
    assert key("{image: {format: png}}") != key("{}")


def test_images_of_two_channels_have_no_file_format() -> None:
    scenario = scenario_of(split={"cut": "server"}, codec={"image": {"format": "png"}})

    def tell(path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        return Fault(path, rule, value, remedy)

    (found,) = codec_faults(scenario, [2, 8, 8], tell)
    assert str(found).endswith(
        "codec.image: must have 1 or 3 channels to encode, gray or RGB, got [2, 8, 8];"
        " use dtype and compress instead"
    )
    assert codec_faults(scenario, [3, 8, 8], tell) == []
