"""Small files that would unfold to gigabytes are refused by their headers, in little memory."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flexrel_sim.bounds import (
    INPUT_VARIABLE,
    array_bytes,
    file_too_large,
    input_limit_bytes,
    npz_bytes,
    too_large,
)
from flexrel_sim.datasets import open_dataset
from flexrel_sim.errors import (
    CheckpointError,
    DatasetError,
    InputError,
    ProfileError,
    ScenarioError,
)
from flexrel_sim.networks import load_card, outline
from flexrel_sim.networks.build import build_network
from flexrel_sim.networks.weights import read_tensors
from flexrel_sim.profile import load_profile, save_profile
from flexrel_sim.scenario import read_yaml
from tests.builders import make_profile

MANY = 160_000_000
"""Bytes that the bombs unfold to, in a process that may take 120 MB."""


def test_the_limit_is_a_gibibyte_or_what_the_environment_says(monkeypatch) -> None:
    monkeypatch.delenv(INPUT_VARIABLE, raising=False)
    assert input_limit_bytes() == 2**30
    assert too_large(2**30) == ""
    assert "would unfold to 1,073,741,825 bytes, more than the 1,073,741,824" in too_large(
        2**30 + 1
    )
    monkeypatch.setenv(INPUT_VARIABLE, "4 GiB")
    assert (input_limit_bytes(), too_large(2**32)) == (2**32, "")
    monkeypatch.setenv(INPUT_VARIABLE, "much")
    with pytest.raises(InputError, match=f"{INPUT_VARIABLE}: must be a count of bytes"):
        input_limit_bytes()


def test_a_file_is_measured_and_one_that_is_missing_is_for_its_reader(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv(INPUT_VARIABLE, "10 B")
    file = tmp_path / "file"
    assert file_too_large(file) == ""
    file.write_bytes(bytes(10))
    assert file_too_large(file) == ""
    assert "is of 10 bytes, more than the 9 that" in file_too_large(file, 9)
    file.write_bytes(bytes(11))
    assert "would unfold to 11 bytes, more than the 10" in file_too_large(file)


def archive_of(**members: bytes) -> zipfile.ZipFile:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return zipfile.ZipFile(stream)


def npy(array: np.ndarray, version: tuple[int, int] = (1, 0)) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version)
    return stream.getvalue()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_the_bytes_of_arrays_are_those_of_their_headers(version) -> None:
    one, other = np.zeros((3, 5), np.float64), np.zeros(7, np.int16)
    archive = archive_of(one=npy(one, version), other=npy(other, version))
    assert array_bytes(archive, "one") == one.nbytes
    assert npz_bytes(archive) == one.nbytes + other.nbytes


def test_a_header_that_announces_more_than_its_member_holds_is_refused() -> None:
    data = npy(np.zeros(100, np.uint8))
    with pytest.raises(ValueError, match=r"one\.npy is shorter than its header says"):
        array_bytes(archive_of(one=data[:-1]), "one")
    assert array_bytes(archive_of(one=b"text"), "one") is None
    with pytest.raises(ValueError, match=r"one\.npy is no array"):
        npz_bytes(archive_of(one=b"text"))


def large_npz(folder: Path, header: bytes, compression: int = zipfile.ZIP_DEFLATED) -> str:
    with zipfile.ZipFile(folder / "own.npz", "w", compression, compresslevel=1) as archive:
        archive.writestr("labels.npy", npy(np.arange(10) % 2))
        with archive.open("images.npy", "w", force_zip64=True) as member:
            member.write(header)
            for _ in range(MANY // 10**6):
                member.write(bytes(10**6))
    return "own.npz"


def npz_of_zeros(folder: Path) -> str:
    # An honest header: numpy writes it for a view that takes no memory.
    header = io.BytesIO()
    array = np.lib.stride_tricks.as_strided(np.zeros(1, np.uint8), (10, 1, MANY // 10), (0, 0, 0))
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    return large_npz(folder, header.getvalue())


def npz_of_a_long_header(folder: Path) -> str:
    return large_npz(folder, b"\x93NUMPY\x02\x00" + struct.pack("<I", MANY))


def npz_in_bzip2(folder: Path) -> str:
    return large_npz(folder, b"\x93NUMPY\x02\x00" + bytes(10), zipfile.ZIP_BZIP2)


def npz_of_other_bytes(folder: Path) -> str:
    return large_npz(folder, b"none")


def npy_of_zeros(folder: Path) -> str:
    data = npy(np.zeros(0, np.uint8)).replace(b"(0,), }      ", b"(160000000,), }"[:15])
    (folder / "own.npz").write_bytes(data)
    return "own.npz"


def idx_of_zeros(folder: Path) -> str:
    with gzip.open(folder / "train-images-idx3-ubyte.gz", "wb", 1) as stream:
        stream.write(b"\0\0\x08\x03" + struct.pack(">III", 10, 1, MANY // 10))
        for _ in range(MANY // 10**6):
            stream.write(bytes(10**6))
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x0a" + bytes(10))
    return "."


def images(side: int) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        for name in "ab":
            (folder / name).mkdir()
            Image.new("1", (side, side)).save(folder / name / "one.png")
        return "."

    return write


DATASETS = {
    "npz of zeros": (npz_of_zeros, "would unfold to 160,000,080 bytes"),
    "npz of a long header": (npz_of_a_long_header, "images: is truncated or damaged"),
    "npz in bzip2": (npz_in_bzip2, "images: is truncated or damaged"),
    "npz of other bytes": (npz_of_other_bytes, "must be an array of numbers, got other bytes"),
    "npy of zeros": (npy_of_zeros, "it is an .npy of one array"),
    "idx of zeros": (idx_of_zeros, "would unfold to 160,000,000 bytes"),
    "two large images": (images(9000), "would unfold to 162,000,000 bytes"),
    "a huge image": (images(13_000), "one.png: is too large an image"),
}


def deflated_pt(folder: Path) -> str:
    torch.save({"weight": torch.zeros(MANY // 4)}, folder / "stored.pt")
    with (
        zipfile.ZipFile(folder / "stored.pt") as stored,
        zipfile.ZipFile(folder / "net.pt", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as small,
    ):
        for member in stored.infolist():
            small.writestr(member.filename, stored.read(member))
    (folder / "stored.pt").unlink()
    return "net.pt"


def expanded_pt(folder: Path) -> str:
    torch.save({"weight": torch.zeros(1).expand(MANY)}, folder / "net.pt")
    return "net.pt"


def sparse_safetensors(folder: Path) -> str:
    header = json.dumps({"w": {"dtype": "U8", "shape": [MANY], "data_offsets": [0, MANY]}}).encode()
    with (folder / "net.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        stream.truncate(stream.tell() + MANY)
    return "net.safetensors"


CHECKPOINTS = {
    "a deflated .pt": (deflated_pt, "would unfold to 160,000,"),
    "a repeated number": (expanded_pt, "would unfold to 640,000,000 bytes"),
    "a sparse file": (sparse_safetensors, "would unfold to 160,000,"),
}

SCRIPT = """\
import resource, sys
from pathlib import Path
import numpy, PIL.Image, torch
from flexrel_sim.datasets import image_folder, open_dataset
from flexrel_sim.networks.weights import read_tensors
torch.ones(10).sum()
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + 120_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
for line in sys.stdin.read().splitlines():
    kind, folder, name = line.split("|")
    try:
        if kind == "data":
            open_dataset(name, Path(folder))
        else:
            read_tensors(Path(folder) / name)
        print("read")
    except MemoryError:
        print("MemoryError")
    except Exception as error:
        print(" ".join(str(error).split()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by Linux's own means")
def test_bombs_are_refused_by_a_process_of_little_memory(tmp_path: Path) -> None:
    lines, expected = [], []
    for kind, bombs in (("data", DATASETS), ("checkpoint", CHECKPOINTS)):
        for name, (write, told) in bombs.items():
            folder = tmp_path / name
            folder.mkdir()
            lines.append(f"{kind}|{folder}|{write(folder)}")
            expected.append(told)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {INPUT_VARIABLE: "64 MiB", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    for line, told, said in zip(lines, expected, done.stdout.splitlines(), strict=True):
        assert told in said, line


def test_what_is_not_larger_than_the_limit_is_read(tmp_path: Path, monkeypatch) -> None:
    images, labels = np.zeros((20, 8, 8), np.uint8), np.arange(20) % 2
    images[:, 0, 0] = 255
    np.savez_compressed(tmp_path / "own.npz", images=images, labels=labels)
    size = images.nbytes + labels.nbytes
    monkeypatch.setenv(INPUT_VARIABLE, f"{size - 1} B")
    with pytest.raises(DatasetError, match=f"own.npz: would unfold to {size:,} bytes"):
        open_dataset("own.npz", tmp_path)
    monkeypatch.setenv(INPUT_VARIABLE, f"{size} B")
    assert open_dataset("own.npz", tmp_path).classes == 2


def test_a_checkpoint_of_just_the_limit_is_read(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "net.pt"
    torch.save({"weight": torch.zeros(100)}, file)
    monkeypatch.setenv(INPUT_VARIABLE, f"{file.stat().st_size} B")
    assert read_tensors(file)["weight"].shape == (100,)
    monkeypatch.setenv(INPUT_VARIABLE, f"{file.stat().st_size - 1} B")
    with pytest.raises(ValueError, match="would unfold to"):
        read_tensors(file)


def test_a_profile_is_bounded_before_it_is_read(tmp_path: Path, monkeypatch) -> None:
    save_profile(make_profile(payload_bytes=np.full(100_000, 9), correct=np.ones(100_000, bool)),
                 tmp_path / "profile")  # fmt: skip
    size = (tmp_path / "profile" / "samples.npz").stat().st_size
    assert load_profile(tmp_path / "profile").payload_bytes.size == 100_000
    monkeypatch.setenv(INPUT_VARIABLE, "100 kB")
    assert size < 100_000
    with pytest.raises(ProfileError, match="would unfold to [0-9,]+ bytes, more than the 100,000"):
        load_profile(tmp_path / "profile")
    monkeypatch.setenv(INPUT_VARIABLE, "1 B")
    with pytest.raises(ProfileError, match=r"profile\.json: would unfold to"):
        load_profile(tmp_path / "profile")


def test_a_scenario_of_more_than_a_mebibyte_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"name: large\n#" + b"x" * 2**20)
    with pytest.raises(ScenarioError, match="must be at most 1,048,576 bytes"):
        read_yaml(file)
    # Cut in the middle of a letter, it is no less large.
    file.write_bytes(b"name: large\n#" + "é".encode() * 2**20)
    with pytest.raises(ScenarioError, match="must be at most 1,048,576 bytes"):
        read_yaml(file)


VIT = "family: vit, input_shape: [3, 32, 32], classes: 10, patch: 4, width: 64, depth: 2, heads: 4"


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        (
            f"{VIT}, hidden: 64".replace("depth: 2", "depth: 100000000"),
            "depth: must be less than or equal to 1000,",
        ),
        (
            f"{VIT}, hidden: 64".replace("width: 64", "width: 100000000"),
            "width: must be less than or equal to 65536,",
        ),
        (f"{VIT}, hidden: 65536".replace("width: 64", "width: 65536"), "its weights would unfold"),
        (
            f"{VIT}, hidden: 64".replace("32, 32", "4096, 4096"),
            "the answers of a layer would unfold to 17,59",
        ),
        (
            (
                "family: vgg, input_shape: [1, 60000, 60000], blocks: [[64]], classes: 2,"
                " classifier: []"
            ),
            "its weights would unfold|the answers of a layer would unfold",
        ),
        (
            (
                "family: vgg, input_shape: [1, 8, 8], blocks: [[65536, 65536]], classifier: [],"
                " classes: 2"
            ),
            "its weights would unfold to 154,6",
        ),
        (
            (
                f"family: vgg, input_shape: [1, 8, 8], blocks: [[{'4, ' * 1001}]], classifier: [],"
                " classes: 2"
            ),
            "must have at most 1000 layers or blocks, not 1001",
        ),
        (
            (
                "family: resnet, stem: small, widths: [8], blocks: [65000], input_shape: [1, 8, 8],"
                " classes: 2"
            ),
            "must have at most 1000 layers or blocks, not 65000",
        ),
        (
            "family: mobilenet, settings: [[1, 8, 65000, 1]], input_shape: [1, 8, 8], classes: 2",
            "must have at most 1000 layers or blocks, not 65000",
        ),
        (
            f"{VIT}, hidden: 64".replace("classes: 10", "classes: 10000000"),
            "classes: must be less than or equal to 1000000",
        ),
    ],
)
def test_a_network_that_nothing_could_hold_is_refused_on_its_card(
    tmp_path: Path, architecture: str, told: str
) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(f"name: own\narchitecture: {{{architecture}}}\n")
    with pytest.raises(ScenarioError, match=rf"card\.yaml:2: architecture.*{told}"):
        load_card(file)


@pytest.mark.parametrize(
    ("architecture", "told"),
    [
        (
            (
                "family: resnet, stem: small, widths: [60000], blocks: [2], input_shape: [1, 8, 8],"
                " classes: 2"
            ),
            "its weights would unfold",
        ),
        (
            (
                "family: resnet, stem: small, widths: [64], blocks: [1], classes: 2,"
                " input_shape: [1, 4096, 4096]"
            ),
            "the answers of a layer would unfold to 4,294,967,296 bytes",
        ),
        (
            "family: torchvision-vgg, depth: 11, input_shape: [3, 224, 224], classes: 100000",
            "its weights would unfold",
        ),
    ],
)
def test_what_only_a_built_network_tells_is_counted_without_its_memory(
    tmp_path: Path, architecture: str, told: str
) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(f"name: own\narchitecture: {{{architecture}}}\n")
    card_file = load_card(file)
    with pytest.raises(CheckpointError, match=rf"card\.yaml: architecture: {told}"):
        outline(card_file)
    with pytest.raises(CheckpointError, match=told):
        build_network(card_file.card.architecture)


def test_a_card_of_just_the_limit_is_built(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(
        "name: own\narchitecture: {family: resnet, stem: small, widths: [4], blocks: [1],"
        " input_shape: [1, 16, 16], classes: 2}\n"
    )
    card_file = load_card(file)
    # A convolution gives 4 x 16 x 16 numbers, more than there are weights.
    monkeypatch.setenv(INPUT_VARIABLE, "4096 B")
    build_network(card_file.card.architecture)
    monkeypatch.setenv(INPUT_VARIABLE, "4095 B")
    with pytest.raises(CheckpointError, match="the answers of a layer would unfold to 4,096 bytes"):
        build_network(card_file.card.architecture)
