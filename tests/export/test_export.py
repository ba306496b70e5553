"""Exported halves, run without this package, against the operating point that was measured."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml
from click.testing import CliRunner
from numpy.typing import NDArray

from flexrel_sim import api
from flexrel_sim.accuracy import confusion
from flexrel_sim.cli import app
from flexrel_sim.codec import Codec, ImageCodec
from flexrel_sim.errors import InputError, WorkError
from flexrel_sim.export import CARD_NAME, Told, files, write_export
from flexrel_sim.export.files import exported, largest_difference
from flexrel_sim.measure import MeasureSpec
from flexrel_sim.measure.bottleneck import make_bottleneck
from flexrel_sim.measure.network import measure_network, ready
from flexrel_sim.networks import CardFile, load_card
from flexrel_sim.networks.bottleneck_card import BottleneckTraining, load_bottleneck_card
from flexrel_sim.partition import split_graph
from flexrel_sim.report import result_folder
from tests.measure.scenarios import spec_of
from tests.measure.test_check import TEXT, residual

ROOT = Path(__file__).parents[2]


EXPORT_NAMES = {
    *("head.onnx", "tail.onnx", "head.pt2", "tail.pt2", "run_head.py", "run_tail.py"),
    *("codec.json", "model_card.md", "provenance.json", "SHA256SUMS"),
}


@dataclass
class Deployed:
    """An export, and what its scripts made of the test samples."""

    folder: Path
    told: Told
    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    answers: NDArray[np.float32]

    @property
    def accuracy(self) -> float:
        return float((self.answers.argmax(1) == self.labels).mean())

    def payloads(self, place: int = 0) -> list[bytes]:
        files = sorted((self.folder.parent / "payloads").glob(f"*-{place}.bin"))
        return [file.read_bytes() for file in files]


def command(script: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a script as another machine would: isolated, so that this package can't be imported."""
    blocked = "import sys; sys.modules['flexrel_sim'] = sys.modules['torch'] = None; "
    call = (
        f"import runpy; sys.argv = sys.argv[1:]; runpy.run_path({str(script)!r}, None, '__main__')"
    )
    arguments = [sys.executable, "-I", "-c", blocked + call, str(script), *map(str, words)]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def deploy(spec: MeasureSpec, place: Path) -> Deployed:
    folder = place / "export"
    with result_folder(folder, CARD_NAME) as new:
        told = write_export(spec, new)
    test = ready([spec]).samples.test
    np.save(place / "images.npy", test.images)
    if told.cut == "edge":
        done = [command(folder / "run_head.py", place / "images.npy", place / "answers.npy")]
    else:
        done = [
            command(folder / "run_head.py", place / "images.npy", place / "payloads"),
            command(folder / "run_tail.py", place / "payloads", place / "answers.npy"),
        ]
    assert not any(one.returncode for one in done), done
    answers = np.load(place / "answers.npy")
    return Deployed(folder, told, test.images, test.labels, answers)


def halves(spec: MeasureSpec) -> tuple[torch.nn.Module, torch.nn.Module]:
    found = ready([spec])
    return split_graph(found.whole.graph, found.whole.graph.cut(found.points[0][1]))


def names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()}


def test_the_scripts_answer_as_the_measured_network_and_removed_filters_are_gone(
    tiny: CardFile, tmp_path: Path
) -> None:
    pruning = {"granularity": "filters", "ratio": 0.4}
    spec = spec_of(tiny, pruning=pruning, codec={"dtype": "float32", "compress": "zstd"})
    found = deploy(spec, tmp_path)
    again = command(found.folder / "run_head.py", tmp_path / "images.npy", tmp_path / "payloads")
    assert (again.returncode, again.stderr) == (
        1,
        f"{tmp_path / 'payloads'}: is there already; name a new folder\n",
    )
    (profile,) = measure_network([spec])
    head, tail = halves(spec)
    with torch.inference_mode():
        expected = tail(head(torch.from_numpy(found.images))).numpy()
    np.testing.assert_allclose(found.answers, expected, rtol=0, atol=1e-4)
    assert found.accuracy == profile.accuracy.value == found.told.accuracy.value
    assert found.told.payload_bytes == pytest.approx(profile.payload_bytes.mean(), rel=0.01)
    card = yaml.safe_load((found.folder / "model_card.md").read_text().split("---")[1])
    for name, estimate in profile.recalls.figures.items():
        assert card[name] == asdict(estimate)
    assert card["recall"].keys() == {str(label) for label in profile.recalls.per_class}
    pairs = [tuple(row.values()) for row in card["confusion"]]
    assert pairs == confusion(found.labels, found.answers.argmax(1))
    # What is in the files is the pruned network, and no more.
    for name, half in (("head", head), ("tail", tail)):
        model = onnx.load(found.folder / f"{name}.onnx")
        stored = sum(int(np.prod(part.dims)) for part in model.graph.initializer if part.dims)
        held = sum(parameter.numel() for parameter in half.parameters())
        assert held <= stored <= held + 8
    dense = spec_of(tiny, codec={"dtype": "float32"})
    assert sum(found.told.weights) < sum(
        p.numel() for half in halves(dense) for p in half.parameters()
    )


def test_numbers_that_are_rounded_are_those_of_the_codec(tiny: CardFile, tmp_path: Path) -> None:
    spec = spec_of(tiny, codec={"dtype": "uint8", "compress": "zstd"})
    found, codec = deploy(spec, tmp_path), Codec("uint8", "zstd")
    head, tail = halves(spec)
    payloads = found.payloads()
    assert len(payloads) == len(found.images)
    received = [codec.decode(payload, (6, 4, 4)) for payload in payloads]
    with torch.inference_mode():
        sent = head(torch.from_numpy(found.images)).numpy()
        expected = tail(torch.from_numpy(np.stack(received))).numpy()
    # The bound is of rounding; ONNX Runtime's own rounding comes on top.
    for got, tensor in zip(received, sent, strict=True):
        assert (np.abs(got - tensor) <= codec.bound(tensor) + 1e-5).all()
    np.testing.assert_allclose(found.answers, expected, rtol=0, atol=1e-4)
    assert found.accuracy == pytest.approx(found.told.accuracy.value, abs=1 / len(found.labels))


def test_on_the_edge_there_is_one_half_and_nothing_is_sent(tiny: CardFile, tmp_path: Path) -> None:
    spec = spec_of(tiny, split={"cut": "edge"})
    found = deploy(spec, tmp_path)
    gone = {"tail.onnx", "tail.pt2", "run_tail.py", "codec.json"}
    assert names(found.folder) == EXPORT_NAMES - gone
    with torch.inference_mode():
        expected = halves(spec)[0](torch.from_numpy(found.images)).numpy()
    np.testing.assert_allclose(found.answers, expected, rtol=0, atol=1e-4)
    assert found.accuracy == found.told.accuracy.value
    assert "there is no tail" in (found.folder / "model_card.md").read_text()


def test_on_the_server_the_first_half_encodes_images_only(tiny: CardFile, tmp_path: Path) -> None:
    spec = spec_of(tiny, split={"cut": "server"}, codec={"image": {"format": "png"}})
    found = deploy(spec, tmp_path)
    assert names(found.folder) == EXPORT_NAMES - {"head.onnx", "head.pt2"}
    codec = ImageCodec("png")
    assert found.payloads() == [codec.encode(image) for image in found.images]
    assert found.accuracy == found.told.accuracy.value
    assert "onnxruntime" not in (found.folder / "run_head.py").read_text()
    assert "there is no `head.onnx`" in (found.folder / "model_card.md").read_text()


def test_several_tensors_with_channels_of_their_own_cross_as_files_of_their_own(
    folder: Path, tmp_path: Path
) -> None:
    residual(folder)
    codec = {"dtype": "float32", "channels": 0.5, "sparse": "bitmap", "compress": "lz4"}
    spec = spec_of(load_card(folder / "tiny.yaml"), split={"cut": "layer1.0.conv1"}, codec=codec)
    found = deploy(spec, tmp_path)
    told = json.loads((found.folder / "codec.json").read_text())["tensors"]
    assert [about["name"] for about in told] == ["tensor_0", "tensor_1"]
    assert [len(about["sent"]) for about in told] == [2, 2]
    sent = zip(found.payloads(0), found.payloads(1), strict=True)
    means = np.mean([len(one) + len(other) for one, other in sent])
    assert means == pytest.approx(found.told.payload_bytes, rel=0.01)
    assert found.accuracy == found.told.accuracy.value


def test_a_bottleneck_is_in_both_halves(tiny: CardFile, tmp_path: Path) -> None:
    plain = spec_of(tiny, codec={"dtype": "float32"})
    make_bottleneck(plain, tmp_path / "narrow.yaml", (2, 2), BottleneckTraining(epochs=1))
    spec = replace(plain, bottleneck=load_bottleneck_card(tmp_path / "narrow.yaml"))
    found = deploy(spec, tmp_path)
    (about,) = json.loads((found.folder / "codec.json").read_text())["tensors"]
    assert about["shape"] == [2, 2, 2]
    assert found.accuracy == found.told.accuracy.value
    assert set(map(len, found.payloads())) == {4 * 8 + 4}


def test_the_command_writes_a_folder_whose_sums_and_programs_hold(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "scenario.yaml").write_text(TEXT.replace("cut: pool1", "cut: best"))
    words = ["export", str(folder / "scenario.yaml"), "-o", str(folder / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert f"file      {folder / 'out' / 'SHA256SUMS'}" in done.output
    out = folder / "out"
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
    front = yaml.safe_load((out / "model_card.md").read_text().split("---\n")[1])
    assert front["operating_point"]["split"]["cut"] == front["cut"]
    assert "best" in front["operating_point"]["split"]
    for file in out.iterdir():
        assert str(ROOT).encode() not in file.read_bytes()
    # An earlier export is replaced, whole; what is not an export is kept.
    (out / "model_card.md").unlink()
    missing = CliRunner().invoke(app, words)
    assert missing.exit_code == 2
    assert "holds 'SHA256SUMS'" in missing.stderr
    shutil.rmtree(out)
    assert CliRunner().invoke(app, words).exit_code == 0
    before = (out / "provenance.json").stat().st_mtime_ns
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (out / "provenance.json").stat().st_mtime_ns > before
    (out / "thesis.txt").write_text("years")
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2
    assert "must be empty or hold an earlier result only, and holds 'thesis.txt'" in refused.stderr
    (out / "thesis.txt").unlink()
    monkeypatch.setattr(files, "_NEEDED", ("onnx", "onnx_that_nobody_has"))
    before = (out / "SHA256SUMS").read_bytes()
    absent = CliRunner().invoke(app, words)
    assert absent.exit_code == 2
    assert "export needs onnx_that_nobody_has: install" in absent.stderr
    assert "flexrel_sim[export]" in absent.stderr
    assert (out / "SHA256SUMS").read_bytes() == before


def test_programs_for_torch_do_the_same_for_any_batch(tiny: CardFile, tmp_path: Path) -> None:
    spec = spec_of(tiny)
    write_export(spec, tmp_path)
    images = torch.from_numpy(ready([spec]).samples.test.images)
    tensor = images
    for name, half in zip(("head", "tail"), halves(spec), strict=True):
        program = torch.export.load(tmp_path / f"{name}.pt2").module()
        with torch.no_grad():
            for batch in (tensor[:1], tensor[:7]):
                assert torch.equal(program(batch)[0], half(batch))
            tensor = half(tensor)


def test_a_network_that_holds_the_batch_is_exported_for_one_sample(
    tiny: CardFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Holds(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.nn.Linear(3, 3)

        def forward(self, tensor: torch.Tensor) -> torch.Tensor:
            return self.inner(tensor).view(len(tensor), 3)

    example = [torch.rand(4, 3)]
    found = exported(Holds(), example, ["image"], ["logits"])
    assert not found.any_batch
    (image,) = onnx.load_from_string(found.onnx).graph.input
    assert [size.dim_value for size in image.type.tensor_type.shape.dim] == [1, 3]
    free = exported(torch.nn.Linear(3, 3), example, ["image"], ["logits"])
    assert free.any_batch
    (image,) = onnx.load_from_string(free.onnx).graph.input
    assert [size.dim_param for size in image.type.tensor_type.shape.dim] == ["batch", ""]

    def held(*arguments: Any) -> Any:
        return replace(exported(*arguments), any_batch=False)

    monkeypatch.setattr("flexrel_sim.export.write.exported", held)
    assert not write_export(spec_of(tiny), tmp_path).any_batch
    assert "of one sample" in (tmp_path / "model_card.md").read_text()


def test_what_torch_can_not_export_and_files_that_answer_otherwise_are_refused(
    tiny: CardFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Decides(torch.nn.Module):
        def forward(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor if tensor.sum() > 0 else -tensor

    example = [torch.rand(2, 3)]
    with pytest.raises(ValueError, match="torch can't export it: "):
        exported(Decides(), example, ["image"], ["logits"])
    doubled = exported(torch.nn.Linear(3, 3), example, ["image"], ["logits"])
    with pytest.raises(ValueError, match="ONNX Runtime's values differ from torch's by"):
        largest_difference(doubled, torch.nn.Linear(3, 3), example)

    def fails(*_: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr("flexrel_sim.export.write.exported", fails)
    with pytest.raises(WorkError, match="can't be exported: no"):
        write_export(spec_of(tiny), tmp_path)


def test_a_folder_of_a_study_is_not_replaced_by_an_export(folder: Path) -> None:
    (folder / "scenario.yaml").write_text(TEXT)
    study = folder / "study"
    study.mkdir()
    (study / "summary.json").write_text("{}")
    (study / "provenance.json").write_text('{"versions": {"flexrel_sim": "0"}}')
    with pytest.raises(InputError, match="holds .*'summary.json'"):
        api.export(folder / "scenario.yaml", study)


def test_the_scripts_say_what_is_wrong_in_a_line_and_write_nothing(
    tiny: CardFile, tmp_path: Path
) -> None:
    found = deploy(spec_of(tiny, codec={"dtype": "uint8"}), tmp_path)
    images, payloads = np.load(tmp_path / "images.npy"), tmp_path / "payloads"
    wrong = {
        "double": images.astype(np.float64),
        "flat": images[:, 0],
        "none": images[:0],
        "bytes": images * 255,
        "nan": np.where(np.arange(len(images))[:, None, None, None] == 2, np.nan, images),
    }
    for name, array in wrong.items():
        np.save(tmp_path / f"{name}.npy", array.astype(np.float32) if name == "nan" else array)
    (tmp_path / "text.npy").write_text("no array")
    for name in (*wrong, "text", "absent"):
        done = command(found.folder / "run_head.py", tmp_path / f"{name}.npy", tmp_path / "new")
        told = "can't be read" if name in ("text", "absent") else "must be f"
        assert done.returncode == 1
        assert done.stderr.startswith(f"{tmp_path / name}.npy: {told}"), done.stderr
        assert done.stderr.count("\n") == 1
        assert not (tmp_path / "new").exists()
    (payloads / "000000001-0.bin").write_bytes(b"damaged")
    done = command(found.folder / "run_tail.py", payloads, tmp_path / "again.npy")
    assert done.stderr.startswith(f"{payloads / '000000001-0.bin'}: the payload")
    assert done.stderr.count("\n") == 1
    (payloads / "000000001-0.bin").unlink()
    for folder in (payloads, tmp_path / "absent"):
        done = command(found.folder / "run_tail.py", folder, tmp_path / "again.npy")
        assert done.stderr.startswith(f"{folder}: must hold payloads of run_head.py")
    assert not (tmp_path / "again.npy").exists()


def test_the_scripts_load_nothing_that_is_not_in_the_sums(tiny: CardFile, tmp_path: Path) -> None:
    found = deploy(spec_of(tiny, codec={"dtype": "uint8"}), tmp_path)
    head = (found.folder / "run_head.py", tmp_path / "images.npy", tmp_path / "new")
    tail = (found.folder / "run_tail.py", tmp_path / "payloads", tmp_path / "new.npy")
    for name, words in itertools.product(("codec.json", "head.onnx", "tail.onnx"), (head, tail)):
        file = found.folder / name
        content = file.read_bytes()
        file.write_bytes(content.replace(b"tensor_0", b"tensor_1"))
        assert file.read_bytes() != content
        done = command(*words)
        if name.removesuffix(".onnx") in ("codec.json", words[0].stem.removeprefix("run_")):
            told = f"{file}: is not the file in SHA256SUMS; copy it from the export again\n"
            assert (done.returncode, done.stderr) == (1, told)
            assert not (tmp_path / "new").exists()
            assert not (tmp_path / "new.npy").exists()
        file.write_bytes(content)
        # A half is checked where it is used: the edge needs no tail.
        for written in (tmp_path / "new", tmp_path / "new.npy"):
            if written.exists():
                shutil.rmtree(written) if written.is_dir() else written.unlink()
    (found.folder / "SHA256SUMS").unlink()
    done = command(*tail)
    assert done.stderr.startswith(f"{found.folder}: must hold codec.json and SHA256SUMS (")
    assert "copy them from the export" in done.stderr


def test_a_scenario_with_a_controller_exports_its_own_cut(folder: Path) -> None:
    options = "controller: {policy: ema, options: [{split.cut: server}, {split.cut: edge}]}\n"
    few = TEXT.replace("calibration: 30", "calibration: 5")
    (folder / "scenario.yaml").write_text(few + options)
    told = api.export(folder / "scenario.yaml", folder / "out")
    assert told.cut == "pool1"
    assert (folder / "out" / "head.onnx").is_file()
    # What `validate` warns of is told here, too.
    assert any("data.calibration: shows 5 of the 10 classes" in str(one) for one in told.warnings)
