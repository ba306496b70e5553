from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from flexrel_sim.codec import (
    ChannelCodec,
    Codec,
    ImageCodec,
    rounded_weights,
    shipped_bytes,
    total_work,
    work_of,
)
from flexrel_sim.measure.codecs import fitted_codecs, most_relevant_channels
from flexrel_sim.measure.network import measure_network
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.networks import CardFile
from flexrel_sim.networks.build import load_network
from flexrel_sim.networks.modules import BasicBlock
from flexrel_sim.partition import split_graph, split_network, trace
from flexrel_sim.profile import CodecCost
from flexrel_sim.scenario.schema import CodecSection
from tests.measure.scenarios import spec_of


def test_the_channels_that_the_answer_hangs_on_are_chosen_and_means_fill_the_others() -> None:
    head, tail = nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(4 * 2, 3, bias=False))
    # The answers look at channel 1 only, and at constant channel 2, whose mean is as good.
    weight = torch.zeros(3, 4, 2)
    weight[:, 1:3] = 1.0
    tail[1].weight.data = weight.reshape(3, 8)
    images = torch.rand(20, 4, 2, generator=torch.Generator().manual_seed(0))
    images[:, 2] = 5.0
    labels = torch.arange(20) % 3
    ((sent, fill),) = most_relevant_channels(head, tail, images, labels, 0.25)
    assert sent == (1,)
    assert fill == pytest.approx(images.mean((0, 2)).tolist())


def test_relevance_is_the_first_order_change_of_the_labels_logit(tiny: CardFile) -> None:
    network = load_network(tiny)
    samples = samples_of(spec_of(tiny)).calibration
    images, labels = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    head, tail = split_network(network, "pool1")
    ((sent, fill),) = most_relevant_channels(head, tail, images, labels, 0.5)
    # Slowly: a small step of each channel towards its mean, by central differences.
    boundary = head(images).detach().double()
    tail = tail.double()
    changes = []
    for channel, mean in enumerate(fill):
        step = torch.zeros_like(boundary)
        step[:, channel] = 1e-4 * (boundary[:, channel] - mean)
        with torch.no_grad():
            difference = tail(boundary + step) - tail(boundary - step)
        changes.append(float(difference.gather(1, labels[:, None]).abs().mean()))
    tail.float()
    wanted = np.argsort(changes)[::-1][: len(fill) // 2]
    assert sent == tuple(sorted(wanted.tolist()))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [({}, Codec), ({"image": {"format": "png"}}, ImageCodec), ({"channels": 0.5}, ChannelCodec)],
)
def test_a_section_gives_the_codec_that_it_asks_for(
    tiny: CardFile, settings: dict[str, Any], kind: type
) -> None:
    samples = samples_of(spec_of(tiny)).calibration
    graph = trace(load_network(tiny))
    tensors = torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
    section = CodecSection(**settings)
    (codec,) = fitted_codecs(section, graph, graph.cut("pool2"), *tensors)
    assert isinstance(codec, kind)
    assert fitted_codecs(section, graph, graph.cut("edge"), *tensors) == ()


@pytest.mark.parametrize("cut", ["server", "relu1_1", "pool2", "relu_fc1"])
def test_sending_half_of_the_channels_halves_the_numbers(tiny: CardFile, cut: str) -> None:
    codec = {"dtype": "float16", "checksum": False}
    whole, half = measure_network(
        [spec_of(tiny, split={"cut": cut}, codec=codec | more) for more in ({}, {"channels": 0.5})]
    )
    channels = whole.boundary_shapes[0][0]
    share = np.ceil(channels / 2) / channels
    assert half.payload_bytes.tolist() == (share * whole.payload_bytes).tolist()


def test_an_image_sent_as_png_is_answered_as_the_image_itself(tiny: CardFile) -> None:
    png, exact = measure_network(
        [
            spec_of(tiny, split={"cut": "server"}, codec=codec)
            for codec in ({"image": {"format": "png"}}, {"dtype": "float32"})
        ]
    )
    # Digits have 17 levels of gray: rounding to 256 moves none by more than half of 1/255.
    assert (png.correct == exact.correct).mean() > 0.95
    codec = ImageCodec("png")
    images = samples_of(spec_of(tiny)).test.images
    assert png.payload_bytes.tolist() == [len(codec.encode(image)) for image in images]


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_accuracy_and_bytes_are_those_of_the_rounded_weights(tiny: CardFile, dtype: str) -> None:
    spec = spec_of(tiny, weights={"dtype": dtype}, codec={"dtype": "float32"})
    exact = spec_of(tiny, codec={"dtype": "float32"})
    assert spec.network_key != exact.network_key
    network = load_network(tiny).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.from_numpy(rounded_weights(parameter.numpy(), dtype)))
    profile = measure_network([spec])[0]
    test = samples_of(spec).test
    answers = network(torch.from_numpy(test.images)).argmax(1).numpy()
    assert profile.correct.tolist() == (answers == test.labels).tolist()
    arrays = [parameter.numpy() for parameter in network.parameters()]
    assert profile.head_weight_bytes + profile.tail_weight_bytes == shipped_bytes(arrays, dtype)
    assert shipped_bytes(arrays, dtype) < shipped_bytes(arrays)
    whole = load_network(tiny)
    before = [parameter.clone() for parameter in whole.parameters()]
    prune_point(spec, whole, samples_of(spec))
    assert all(torch.equal(*pair) for pair in zip(before, whole.parameters(), strict=True))


def test_each_of_several_tensors_has_channels_of_its_own_and_costs_add_up() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(BasicBlock(2, 4, 2), nn.Flatten(), nn.Linear(16, 5)).float().eval()
    images, labels = torch.rand(6, 2, 4, 4), torch.arange(6) % 5
    graph = trace(network)
    # The block's input crosses beside what its first convolution gave.
    cut = graph.cut("0.bn1")
    codecs = fitted_codecs(CodecSection(channels=0.5), graph, cut, images, labels)
    first, second = codecs
    assert isinstance(first, ChannelCodec)
    assert isinstance(second, ChannelCodec)
    assert sorted([len(first.fill), len(second.fill)]) == [2, 4]
    assert sorted([len(first.sent), len(second.sent)]) == [1, 2]
    shapes = [tuple(tensor.shape[1:]) for tensor in split_graph(graph, cut)[0](images)]
    works = [work_of(codec, shape) for codec, shape in zip(codecs, shapes, strict=True)]
    total = total_work(codecs, shapes)
    assert total.content_bytes == sum(work.content_bytes for work in works)
    assert total.encode_traffic_bytes == sum(work.encode_traffic_bytes for work in works)
    assert total.decode_traffic_bytes == sum(work.decode_traffic_bytes for work in works)
    assert total.name == ", ".join(work.name for work in works)
    assert total_work((), ()) == CodecCost()
