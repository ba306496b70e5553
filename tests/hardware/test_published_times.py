"""Presets against times that others measured, whole network by whole network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest
import torch
from torch import nn

from flexrel_sim.hardware import NetworkTraits, Precision, list_devices, service_time_s
from flexrel_sim.measure.layers import layer_costs, layers_of
from flexrel_sim.networks.build import build_network
from flexrel_sim.partition import count, trace
from flexrel_sim.profile import Layer
from tests.networks.test_families import MOBILENET, RESNET18, RESNET50, VGG16, architecture

NETWORKS: Final = {
    "SqueezeNet 1.1": {"family": "squeezenet"},
    "MobileNetV2": MOBILENET,
    "ResNet18": RESNET18,
    "ResNet50": RESNET50,
    "VGG16": VGG16,
}

# Milliseconds of one request, by network; docs/devices.md says who published them.
PUBLISHED_MS: Final[dict[tuple[str, Precision], dict[str, float]]] = {
    ("raspberry-pi-zero-2w", "float32"): {
        "SqueezeNet 1.1": 119.93,
        "MobileNetV2": 147.39,
        "ResNet18": 353.45,
        "ResNet50": 782.63,
    },
    ("raspberry-pi-zero-2w", "int8"): {
        "SqueezeNet 1.1": 96.55,
        "ResNet18": 195.51,
        "ResNet50": 497.57,
    },
    ("raspberry-pi-4", "float32"): {
        "SqueezeNet 1.1": 58.73,
        "MobileNetV2": 75.84,
        "ResNet18": 233.89,
        "ResNet50": 486.97,
        "VGG16": 988.65,
    },
    ("jetson-nano", "float16"): {
        "SqueezeNet 1.1": 4.34,
        "ResNet18": 11.4,
        "ResNet50": 29.8,
        "VGG16": 85.1,
    },
    ("phone-snapdragon-855", "float32"): {
        "SqueezeNet 1.1": 9.43,
        "MobileNetV2": 11.06,
        "ResNet18": 25.31,
        "ResNet50": 59.98,
        "VGG16": 170.15,
    },
    ("t4", "float32"): {"ResNet50": 2.97},
    ("t4", "float16"): {"ResNet50": 1.26},
}

# How far a preset may be from them, as a factor; fitted ones are held closer.
FACTOR: Final = {
    ("raspberry-pi-zero-2w", "float32"): 1.1,
    ("raspberry-pi-zero-2w", "int8"): 1.5,
    ("raspberry-pi-4", "float32"): 2.7,
    ("jetson-nano", "float16"): 1.7,
    ("phone-snapdragon-855", "float32"): 3.0,
    ("t4", "float32"): 1.1,
    ("t4", "float16"): 1.1,
}

DOC = (Path(__file__).parents[2] / "docs" / "devices.md").read_text(encoding="utf-8")


@cache
def layers_of_network(name: str) -> tuple[Layer, ...]:
    # Without memory: times follow from shapes. Density is of no interest to these devices.
    described = architecture(NETWORKS[name])
    with torch.device("meta"):
        graph = trace(build_network(described).eval())
        costs = count(graph, torch.zeros(1, *described.input_shape))
    nonzero = {id(weight): weight.numel() for cost in costs for weight in cost.parameters}
    return layers_of(graph, "edge", costs, nonzero)


def ratio(device: str, precision: Precision, network: str) -> float:
    layers: Sequence[Layer] = layers_of_network(network)
    traits = NetworkTraits(precision=precision)
    time_s = service_time_s(list_devices()[device], layers, 1, traits)
    return 1e3 * time_s / PUBLISHED_MS[device, precision][network]


@pytest.mark.parametrize(("device", "precision"), PUBLISHED_MS)
def test_a_preset_is_within_its_factor_of_published_times(
    device: str, precision: Precision
) -> None:
    for network in PUBLISHED_MS[device, precision]:
        found = ratio(device, precision, network)
        assert 1 / FACTOR[device, precision] < found < FACTOR[device, precision], network


@pytest.mark.parametrize(("device", "precision"), PUBLISHED_MS)
def test_the_documented_residuals_are_the_presets(device: str, precision: Precision) -> None:
    start = f"| `{device}` | {precision} |"
    (row,) = [line for line in DOC.splitlines() if line.startswith(start)]
    shown = row.removeprefix(start).split("|")[: len(NETWORKS)]
    for network, cell in zip(NETWORKS, shown, strict=True):
        if network in PUBLISHED_MS[device, precision]:
            assert cell.strip() == f"{ratio(device, precision, network):.2f}", network
        else:
            assert cell.strip() == "–", network


def test_the_microcontroller_takes_what_was_measured_for_the_network_of_its_source() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(576, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    ).eval()
    layers = layer_costs(network, "edge", torch.zeros(1, 1, 28, 28))
    assert sum(layer.macs for layer in layers) == 2_794_240
    found = 1e3 * service_time_s(list_devices()["stm32f746"], layers) / 73.785
    assert f"{found:.2f}" == "1.00"
