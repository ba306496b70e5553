"""Every family: torchvision's names, published sizes, outlines, and cuts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from flexrel_sim.networks import Card, CardFile, load_card, outline
from flexrel_sim.networks.architectures import Architecture
from flexrel_sim.networks.build import build_network, weights_of
from flexrel_sim.networks.modules import InvertedResidual, Preprocess
from flexrel_sim.networks.outline import outline_of
from flexrel_sim.networks.vit import EncoderBlock, SelfAttention
from flexrel_sim.networks.weights import fill
from flexrel_sim.partition import boundaries, split_graph, trace
from tests.networks.test_cards import card_faults
from tests.partition.halves import through

IMAGENET: dict[str, Any] = {"input_shape": [3, 224, 224], "classes": 1000}
RESNET18 = {"family": "resnet", "stem": "imagenet", "blocks": [2, 2, 2, 2]} | IMAGENET
RESNET18["widths"] = [64, 128, 256, 512]
MOBILENET = {"family": "mobilenet"} | IMAGENET
RESNET50 = RESNET18 | {"block": "bottleneck", "blocks": [3, 4, 6, 3]}
VIT_B16 = {"family": "vit", "patch": 16, "width": 768, "depth": 12, "heads": 12} | IMAGENET
VIT_B16["hidden"] = 3072
VGG16 = {"family": "torchvision-vgg", "depth": 16} | IMAGENET

SMALL: dict[str, dict[str, Any]] = {
    "vgg": {
        "family": "vgg",
        "input_shape": [1, 8, 8],
        "blocks": [[4], [6]],
        "classifier": [8],
        "classes": 3,
        "batch_norm": True,
        "preprocess": {"mean": [0.5], "std": [0.25]},
    },
    "resnet": {
        "family": "resnet",
        "input_shape": [3, 16, 16],
        "stem": "small",
        "stem_stride": 2,
        "widths": [4, 8],
        "blocks": [2, 1],
        "classes": 3,
        "preprocess": {"mean": [0.1, 0.2, 0.3], "std": [0.5], "channel_order": "bgr"},
    },
    "mobilenet": {
        "family": "mobilenet",
        "input_shape": [1, 16, 16],
        "stem_channels": 4,
        "settings": [[1, 4, 1, 1], [2, 6, 2, 2]],
        "last_channels": 8,
        "classes": 3,
    },
    "torchvision-vgg": {
        "family": "torchvision-vgg",
        "depth": 11,
        "input_shape": [3, 32, 32],
        "classes": 3,
    },
    "efficientnet-lite0": {
        "family": "efficientnet-lite0",
        "input_shape": [3, 33, 34],
        "classes": 3,
    },
    "squeezenet": {"family": "squeezenet", "input_shape": [3, 31, 40], "classes": 3},
    "vit": {
        "family": "vit",
        "input_shape": [3, 8, 12],
        "patch": 4,
        "width": 8,
        "depth": 2,
        "heads": 2,
        "hidden": 12,
        "classes": 3,
    },
    "bottleneck": {
        "family": "resnet",
        "input_shape": [1, 16, 16],
        "stem": "imagenet",
        "block": "bottleneck",
        "widths": [4, 6],
        "blocks": [1, 2],
        "classes": 3,
    },
}


def architecture(data: dict[str, Any]) -> Architecture:
    adapter: TypeAdapter[Architecture] = TypeAdapter(Architecture)
    return adapter.validate_python(data)


def on_meta(data: dict[str, Any]) -> nn.Module:
    with torch.device("meta"):
        return build_network(architecture(data))


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def batch_norm(name: str, channels: int) -> dict[str, tuple[int, ...]]:
    vectors = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{vector}": (channels,) for vector in vectors} | {
        f"{name}.num_batches_tracked": ()
    }


def with_bias(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def parameters(network: nn.Module) -> int:
    return sum(weight.numel() for weight in network.parameters())


def test_vgg16_has_torchvisions_keys_shapes_and_138357544_parameters() -> None:
    expected: dict[str, tuple[int, ...]] = {}
    places = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    widths = (64, 64, 128, 128, 256, 256, 256, *[512] * 6)
    for place, inputs, outputs in zip(places, (3, *widths), widths, strict=False):
        expected |= with_bias(f"features.{place}", outputs, inputs, 3, 3)
    expected |= with_bias("classifier.0", 4096, 512 * 7 * 7)
    expected |= with_bias("classifier.3", 4096, 4096)
    expected |= with_bias("classifier.6", 1000, 4096)
    network = on_meta(VGG16)
    assert shapes(network) == expected
    assert parameters(network) == 138_357_544


@pytest.mark.parametrize(
    ("depth", "batch_norm_too", "total"),
    [
        (11, False, 132_863_336),
        (13, False, 133_047_848),
        (19, False, 143_667_240),
        (16, True, 138_365_992),
    ],
)
def test_other_published_vggs_have_their_parameters(
    depth: int, batch_norm_too: bool, total: int
) -> None:
    assert parameters(on_meta(VGG16 | {"depth": depth, "batch_norm": batch_norm_too})) == total


def test_resnet18_has_torchvisions_keys_shapes_and_11689512_parameters() -> None:
    expected: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)} | batch_norm("bn1", 64)
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512), start=1):
        for block in (0, 1):
            name = f"layer{stage}.{block}"
            expected[f"{name}.conv1.weight"] = (width, inputs, 3, 3)
            expected |= batch_norm(f"{name}.bn1", width)
            expected[f"{name}.conv2.weight"] = (width, width, 3, 3)
            expected |= batch_norm(f"{name}.bn2", width)
            if inputs != width:
                expected[f"{name}.downsample.0.weight"] = (width, inputs, 1, 1)
                expected |= batch_norm(f"{name}.downsample.1", width)
            inputs = width
    expected |= with_bias("fc", 1000, 512)
    network = on_meta(RESNET18)
    assert shapes(network) == expected
    assert parameters(network) == 11_689_512


def test_resnet50_has_torchvisions_keys_shapes_and_25557032_parameters() -> None:
    expected: dict[str, tuple[int, ...]] = {"conv1.weight": (64, 3, 7, 7)} | batch_norm("bn1", 64)
    inputs = 64
    for stage, (width, count) in enumerate(
        zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), start=1
    ):
        for block in range(count):
            name = f"layer{stage}.{block}"
            for place, shape in enumerate(
                ((width, inputs, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)), start=1
            ):
                expected[f"{name}.conv{place}.weight"] = shape
                expected |= batch_norm(f"{name}.bn{place}", shape[0])
            if block == 0:
                expected[f"{name}.downsample.0.weight"] = (4 * width, inputs, 1, 1)
                expected |= batch_norm(f"{name}.downsample.1", 4 * width)
            inputs = 4 * width
    expected |= with_bias("fc", 1000, 2048)
    network = on_meta(RESNET50)
    assert shapes(network) == expected
    assert parameters(network) == 25_557_032


def test_vit_b16_has_torchvisions_keys_shapes_and_86567656_parameters() -> None:
    expected: dict[str, tuple[int, ...]] = {"class_token": (1, 1, 768)}
    expected |= with_bias("conv_proj", 768, 3, 16, 16)
    expected["encoder.pos_embedding"] = (1, 197, 768)
    for index in range(12):
        name = f"encoder.layers.encoder_layer_{index}"
        expected |= with_bias(f"{name}.ln_1", 768) | with_bias(f"{name}.ln_2", 768)
        attention = f"{name}.self_attention"
        expected[f"{attention}.in_proj_weight"] = (3 * 768, 768)
        expected[f"{attention}.in_proj_bias"] = (3 * 768,)
        expected |= with_bias(f"{attention}.out_proj", 768, 768)
        expected |= with_bias(f"{name}.mlp.0", 3072, 768) | with_bias(f"{name}.mlp.3", 768, 3072)
    expected |= with_bias("encoder.ln", 768) | with_bias("heads.head", 1000, 768)
    network = on_meta(VIT_B16)
    assert shapes(network) == expected
    assert parameters(network) == 86_567_656


def test_attention_is_torchs_own_and_reads_its_checkpoint() -> None:
    torchs = nn.MultiheadAttention(8, 2, batch_first=True)
    ours = SelfAttention(8, 2)
    fill(ours, torchs.state_dict())
    assert ours.state_dict().keys() == torchs.state_dict().keys()
    tokens = torch.rand(3, 5, 8)
    expected = torchs(tokens, tokens, tokens, need_weights=False)[0]
    torch.testing.assert_close(ours(tokens), expected)


def test_an_encoder_block_norms_before_it_computes_and_adds_after() -> None:
    block = EncoderBlock(8, 2, 12, 0.0).eval()
    tokens = torch.rand(3, 5, 8)
    mixed = tokens + block.self_attention(nn.functional.layer_norm(tokens, (8,), eps=1e-6))
    hidden = nn.functional.gelu(block.mlp[0](nn.functional.layer_norm(mixed, (8,), eps=1e-6)))
    torch.testing.assert_close(block(tokens), mixed + block.mlp[3](hidden))


def test_a_transformer_sees_where_a_patch_is_and_answers_by_the_class_token() -> None:
    network = build_network(architecture(SMALL["vit"])).eval()
    images = torch.rand(2, 3, 8, 12)
    assert not torch.allclose(network(images), network(images.flip(3)))
    with torch.no_grad():
        before = network(images)
        network.get_parameter("class_token").add_(torch.linspace(-1, 1, 8))
        assert not torch.allclose(network(images), before)


def test_mobilenet_v2_has_torchvisions_keys_shapes_and_3504872_parameters() -> None:
    expected: dict[str, tuple[int, ...]] = {"features.0.0.weight": (32, 3, 3, 3)}
    expected |= batch_norm("features.0.1", 32)
    # Expansion, output channels and repeats as in table 2 of the paper.
    rows = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    inputs, place = 32, 1
    for expansion, outputs, repeats in rows:
        for _ in range(repeats):
            name, hidden, index = f"features.{place}.conv", inputs * expansion, 0
            if expansion != 1:
                expected[f"{name}.0.0.weight"] = (hidden, inputs, 1, 1)
                expected |= batch_norm(f"{name}.0.1", hidden)
                index = 1
            expected[f"{name}.{index}.0.weight"] = (hidden, 1, 3, 3)
            expected |= batch_norm(f"{name}.{index}.1", hidden)
            expected[f"{name}.{index + 1}.weight"] = (outputs, hidden, 1, 1)
            expected |= batch_norm(f"{name}.{index + 2}", outputs)
            inputs, place = outputs, place + 1
    expected["features.18.0.weight"] = (1280, 320, 1, 1)
    expected |= batch_norm("features.18.1", 1280) | with_bias("classifier.1", 1000, 1280)
    network = on_meta(MOBILENET)
    assert shapes(network) == expected
    assert parameters(network) == 3_504_872


def test_squeezenet_and_lite0_have_their_published_parameters() -> None:
    assert parameters(on_meta({"family": "squeezenet"})) == 1_235_496
    assert parameters(on_meta({"family": "efficientnet-lite0"})) == 4_652_008


def test_shortcuts_of_inverted_residuals_are_where_the_shapes_allow_them() -> None:
    blocks = [
        block for block in on_meta(MOBILENET).modules() if isinstance(block, InvertedResidual)
    ]
    assert [block.add is not None for block in blocks] == [
        *(False, False, True, False, True, True, False, True, True, True),
        *(False, True, True, False, True, True, False),
    ]


@pytest.mark.parametrize("name", SMALL)
def test_tail_after_head_is_the_whole_network_bit_for_bit_at_every_cut_of_every_family(
    name: str,
) -> None:
    torch.manual_seed(0)
    network = build_network(architecture(SMALL[name])).eval()
    images = torch.rand(2, *SMALL[name]["input_shape"])
    with torch.inference_mode():
        whole = network(images)
        assert whole.shape == (2, 3)
        graph = trace(network)
        for cut in graph.cuts.values():
            head, tail = split_graph(graph, cut)
            assert torch.equal(through(head, tail, images), whole), cut.name


@pytest.mark.parametrize("name", SMALL)
def test_the_outline_of_a_card_is_that_of_the_built_network(name: str) -> None:
    card = Card.model_validate({"name": "any", "architecture": SMALL[name]})
    parts = outline(CardFile(Path("any.yaml"), card))
    network = build_network(card.architecture)
    assert parts == outline_of(network)
    assert ("server", *parts.boundaries, "edge") == boundaries(network)
    assert list(parts.weights)[:-1] == list(parts.filters)


@pytest.mark.parametrize("name", SMALL)
def test_no_activation_works_in_place(name: str) -> None:
    network = build_network(architecture(SMALL[name]))
    assert not any(getattr(module, "inplace", False) for module in network.modules())


def test_a_residual_network_is_cut_inside_its_blocks_and_after_them() -> None:
    graph = trace(build_network(architecture(SMALL["resnet"])))
    names = [operation.name for operation in graph.operations]
    assert names[:6] == ["preprocess", "conv1", "bn1", "relu", "layer1.0.conv1", "layer1.0.bn1"]
    assert names[-3:] == ["avgpool", "flatten", "fc"]
    assert {"layer2.0.downsample.0", "layer2.0.add"} <= graph.cuts.keys()
    assert graph.blocks["layer2.0"] == graph.blocks["layer2"] == "layer2.0.relu2"


def test_preprocessing_scales_in_rgb_then_orders_and_is_no_part_of_the_checkpoint() -> None:
    images = torch.rand(2, 3, 4, 4)
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.25, 2.0]
    scaled = Preprocess(mean, std, "bgr")(images)
    for channel in range(3):
        expected = (images[:, channel] - mean[channel]) / std[channel]
        assert torch.equal(scaled[:, 2 - channel], expected)
    network = build_network(architecture(SMALL["resnet"]))
    assert not any("preprocess" in key for key in network.state_dict())
    assert weights_of(network) is network


CARD = "name: any\narchitecture:\n"


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            (
                "  family: resnet\n  input_shape: [1, 8, 8]\n  classes: 3\n  stem: small\n"
                "  widths: [4, 8]\n  blocks: [1]\n"
            ),
            "CARD:2: architecture: blocks must have 2 numbers, one per stage in widths, not 1",
        ),
        (
            (
                "  family: resnet\n  input_shape: [1, 8, 8]\n  classes: 3\n  stem: imagenet\n"
                "  stem_stride: 2\n  widths: [4]\n  blocks: [1]\n"
            ),
            "CARD:2: architecture: stem_stride is for a small stem only",
        ),
        (
            "  family: torchvision-vgg\n  input_shape: [3, 31, 32]\n  classes: 3\n  depth: 16\n",
            "CARD:2: architecture: input_shape must be at least 32x32 pixels",
        ),
        (
            (
                "  family: vit\n  input_shape: [3, 8, 8]\n  classes: 3\n  patch: 3\n  width: 4\n"
                "  depth: 1\n  heads: 2\n  hidden: 4\n"
            ),
            "CARD:2: architecture: input_shape must be a whole number of patches of 3 pixels",
        ),
        (
            (
                "  family: vit\n  input_shape: [3, 8, 8]\n  classes: 3\n  patch: 4\n  width: 5\n"
                "  depth: 1\n  heads: 2\n  hidden: 4\n"
            ),
            "CARD:2: architecture: width must be a multiple of heads, which is 2, not 5",
        ),
        (
            "  family: squeezenet\n  input_shape: [3, 30, 99]\n",
            "CARD:2: architecture: input_shape must be at least 31x31 pixels",
        ),
        (
            "  family: squeezenet\n  preprocess: {mean: [0, 0], std: [1]}\n",
            "CARD:2: architecture: preprocess.mean must have 1 number or 3, one per channel, not 2",
        ),
        (
            "  family: mobilenet\n  input_shape: [1, 8, 8]\n  classes: 3\n  widths: [4]\n",
            "CARD:6: architecture.widths: unknown key",
        ),
        (
            "  family: factory\n  input_shape: [1, 8, 8]\n  classes: 3\n  factory: os.system\n",
            "CARD:6: architecture.factory: must match pattern",
        ),
    ],
)
def test_a_family_refuses_what_it_cant_build_on_its_line(
    tmp_path: Path, lines: str, fault: str
) -> None:
    (found,) = card_faults(tmp_path, CARD + lines)
    assert re.match(re.escape(fault), found), found


def test_a_card_needs_no_training_section(tmp_path: Path) -> None:
    file = tmp_path / "card.yaml"
    file.write_text(CARD + "  family: efficientnet-lite0\n", encoding="utf-8")
    card = load_card(file).card
    assert (card.training, card.checkpoint, card.needs_package) == (None, None, True)
    assert (card.architecture.input_shape, card.architecture.classes) == ([3, 224, 224], 1000)
