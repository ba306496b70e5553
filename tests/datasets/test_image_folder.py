from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flexrel_sim.datasets.image_folder import image_files, read_image_folder
from flexrel_sim.errors import DatasetError
from tests.datasets.files import random_images, write_image, write_image_folder


def test_grey_images_have_one_channel_and_folders_in_order_of_name_are_the_classes(
    tmp_path: Path,
) -> None:
    (images, labels), test = read_image_folder(write_image_folder(tmp_path, count=2))
    assert test is None
    assert labels.tolist() == [0, 0, 1, 1, 2, 2]
    slow = [random_images(2, seed=number)[index] for number in range(3) for index in range(2)]
    assert images.dtype == np.uint8
    assert np.array_equal(images, np.array(slow)[:, None])


def test_colour_images_have_red_green_and_blue_channels(tmp_path: Path) -> None:
    (images, _), _ = read_image_folder(write_image_folder(tmp_path, 2, (4, 5, 3)))
    assert np.array_equal(images[0], random_images(2, (4, 5, 3))[0].transpose(2, 0, 1))


def test_grey_images_among_coloured_ones_have_three_equal_channels(tmp_path: Path) -> None:
    write_image_folder(tmp_path, 2)
    write_image(tmp_path / "dog" / "9.png", random_images(1, (4, 5, 3))[0])
    images = read_image_folder(tmp_path).train[0]
    assert images.shape == (7, 3, 4, 5)
    assert np.array_equal(images[0, 0], images[0, 2])


@pytest.mark.parametrize("suffix", ["bmp", "jpg", "JPEG", "pgm", "png", "tif", "webp"])
def test_usual_formats_are_read(tmp_path: Path, suffix: str) -> None:
    flat = np.full((8, 8), 200, np.uint8)
    for name in ("a", "b"):
        write_image(tmp_path / name / f"one.{suffix}", flat)
    images = read_image_folder(tmp_path).train[0]
    assert np.abs(images.mean(axis=(1, 2, 3)) - 200).max() < 2


def test_palettes_and_black_and_white_are_converted(tmp_path: Path) -> None:
    black_white = random_images(1, (8, 8))[0] // 128 * 255
    for name in ("a", "b"):
        write_image(tmp_path / name / "one.png", black_white, "1")
    assert np.array_equal(read_image_folder(tmp_path).train[0][0, 0], black_white)
    write_image(tmp_path / "b" / "two.png", np.full((8, 8, 3), (250, 0, 0), np.uint8), "P")
    images = read_image_folder(tmp_path).train[0]
    assert images.shape[1] == 3
    assert images[2, 0].min() > 200


def test_train_and_test_folders_are_parts(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "train", 3)
    write_image_folder(tmp_path / "test", 1)
    (_, labels), test = read_image_folder(tmp_path)
    assert test is not None
    assert labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert test[1].tolist() == [0, 1, 2]
    assert len(image_files(tmp_path)) == 12


def test_a_train_folder_alone_is_the_whole(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "train", 3)
    (images, _), test = read_image_folder(tmp_path)
    assert len(images) == 9
    assert test is None


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    for name in ("car", "train"):
        write_image(tmp_path / name / "one.png", random_images(1)[0])
    assert read_image_folder(tmp_path).train[1].tolist() == [0, 1]


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    write_image_folder(tmp_path, 1)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "README.txt").write_text("words", encoding="utf-8")
    (tmp_path / "cat" / "._0.png").write_bytes(b"a Mac's own")
    (tmp_path / "cat" / "Thumbs.db").write_bytes(b"a PC's own")
    assert len(read_image_folder(tmp_path).train[0]) == 3


@pytest.mark.parametrize("files", [[], ["0.png"]], ids=["empty", "images outside of folders"])
def test_a_folder_without_folders_of_images_is_refused(tmp_path: Path, files: list[str]) -> None:
    for name in files:
        write_image(tmp_path / name, random_images(1)[0])
    with pytest.raises(DatasetError, match="no images found: must hold a folder of images for ev"):
        read_image_folder(tmp_path)


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    write_image_folder(tmp_path, 1)
    (tmp_path / "fox").mkdir()
    with pytest.raises(DatasetError, match=r"fox: must hold images \(.bmp, .*, got none; add"):
        read_image_folder(tmp_path)


def test_images_of_several_sizes_are_refused_with_both(tmp_path: Path) -> None:
    write_image_folder(tmp_path, 1)
    write_image(tmp_path / "emu" / "7.png", random_images(1, (4, 6))[0])
    words = "7.png: must be 5x4 pixels like the first image, 0.png, got 6x4; resize .* not resized"
    with pytest.raises(DatasetError, match=words):
        read_image_folder(tmp_path)


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    write_image_folder(tmp_path, 1, (40, 50))
    file = tmp_path / "dog" / "0.png"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DatasetError, match=r"0\.png: is truncated or damaged .*; replace it"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"%!PS-Adobe-3.0 EPSF-3.0\n(ran) print\n"])
def test_a_file_that_is_no_image_is_refused_whatever_its_name(
    tmp_path: Path, content: bytes
) -> None:
    write_image_folder(tmp_path, 1)
    (tmp_path / "dog" / "0.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"0\.png: must be an image \(BMP, JPEG, PNG"):
        read_image_folder(tmp_path)


@pytest.mark.parametrize("mode", ["RGBA", "I;16", "LA"])
def test_transparency_and_16_bits_are_refused(tmp_path: Path, mode: str) -> None:
    write_image_folder(tmp_path, 1)
    Image.new(mode, (5, 4)).save(tmp_path / "dog" / "0.png")
    with pytest.raises(DatasetError, match=f"must be 8-bit grey or RGB, .* mode '{mode}'"):
        read_image_folder(tmp_path)


def test_train_and_test_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "train", 1)
    write_image_folder(tmp_path / "test", 1)
    (tmp_path / "test" / "emu").rename(tmp_path / "test" / "fox")
    with pytest.raises(DatasetError, match=r"test: must have the classes of 'train', .*'fox'\]"):
        read_image_folder(tmp_path)


def test_a_test_folder_without_a_train_folder_is_refused(tmp_path: Path) -> None:
    write_image_folder(tmp_path / "test", 1)
    with pytest.raises(DatasetError, match=r"must have a folder 'train' beside 'test', got \['te"):
        read_image_folder(tmp_path)


def test_other_folders_beside_train_and_test_are_refused(tmp_path: Path) -> None:
    for name in ("train", "test", "val"):
        write_image_folder(tmp_path / name, 1)
    with pytest.raises(DatasetError, match=r"no folders but 'train' and 'test', got \['val'\]"):
        read_image_folder(tmp_path)
