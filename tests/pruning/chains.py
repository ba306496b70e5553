"""Small chains in float64, and the literal definition of the paper's relevance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional


def named(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    """Make a chain of named layers in float64 and evaluation mode."""
    chain = nn.Sequential()
    for name, layer in layers:
        chain.add_module(name, layer)
    return chain.double().eval()


def seeded(seed: int) -> torch.Generator:
    """Give a generator of its own to a test."""
    return torch.Generator().manual_seed(seed)


def randomised(network: nn.Sequential, seed: int) -> nn.Sequential:
    """Draw all weights anew, biases too."""
    rng = seeded(seed)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(torch.randn(weight.shape, generator=rng, dtype=torch.float64))
    return network


def around(layer: nn.Conv2d, pixels: tuple[int, int], classes: int = 3) -> nn.Sequential:
    """Put a convolution between two layers, so that its inputs are hidden activations."""
    before = nn.Conv2d(2, layer.in_channels, 1)
    shape = layer(torch.zeros(1, layer.in_channels, *pixels)).shape
    return named(
        ("before", before),
        ("relu1", nn.ReLU()),
        ("layer", layer),
        ("relu2", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("last", nn.Linear(shape[1:].numel(), classes)),
    )


def products(
    network: nn.Sequential, name: str, images: Tensor, chosen: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Give gradient x activation at a layer's input and output, one sample at a time."""
    at = [child for child, _ in network.named_children()].index(name)
    sources, sinks = [], []
    for image, label in zip(images, chosen, strict=True):
        source = network[:at](image[None]).detach().requires_grad_()
        sink = network[at](source)
        logits = network[at + 1 :](sink)
        gradients = torch.autograd.grad(logits[0, label], [source, sink])
        sources.append((source * gradients[0]).detach()[0])
        sinks.append((sink * gradients[1]).detach()[0])
    return torch.stack(sources), torch.stack(sinks)


def literal_relevance(
    layer: nn.Conv2d | nn.Linear, source: Tensor, sink: Tensor, *, absolute: bool
) -> Tensor:
    """Give rel(w_kj) = sum over samples i of [rel(a_ik) + rel(b_ij)], one addition at a time."""
    if absolute:
        source, sink = source.abs(), sink.abs()
    relevance = torch.zeros(layer.weight.shape, dtype=torch.float64)
    if isinstance(layer, nn.Linear):
        for j, k in itertools.product(range(layer.out_features), range(layer.in_features)):
            relevance[j, k] = sum(
                source[i, k].item() + sink[i, j].item() for i in range(len(source))
            )
        return relevance
    left, right, top, bottom = padding_of(layer)
    padded = functional.pad(source, (left, right, top, bottom)).tolist()
    outputs = sink.tolist()
    per_group_in = layer.in_channels // layer.groups
    per_group_out = layer.out_channels // layer.groups
    rows, columns = layer.kernel_size
    for o, c, u, v in itertools.product(
        range(layer.out_channels), range(per_group_in), range(rows), range(columns)
    ):
        channel = o // per_group_out * per_group_in + c
        total = 0.0
        for n, y, x in itertools.product(
            range(len(outputs)), range(sink.shape[2]), range(sink.shape[3])
        ):
            read = padded[n][channel][y * layer.stride[0] + u * layer.dilation[0]]
            total += read[x * layer.stride[1] + v * layer.dilation[1]] + outputs[n][o][y][x]
        relevance[o, c, u, v] = total
    return relevance


def padding_of(layer: nn.Conv2d) -> tuple[int, int, int, int]:
    """Give the padding left, right, top and bottom, 'same' as its documentation says it."""
    if layer.padding == "valid":
        return (0, 0, 0, 0)
    if layer.padding == "same":
        rows, columns = (
            dilation * (kernel - 1)
            for dilation, kernel in zip(layer.dilation, layer.kernel_size, strict=True)
        )
        # An odd total gives its extra pixel to the right and to the bottom.
        return (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    assert isinstance(layer.padding, tuple)
    height, width = layer.padding
    return (width, width, height, height)


@st.composite
def convolutions(draw: st.DrawFn) -> nn.Conv2d:
    """Draw a convolution that leaves something of 6x5 pixels."""
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (3, 2), (2, 1)]))
    stride = draw(st.sampled_from([(1, 1), (2, 2), (1, 2)]))
    dilation = draw(st.sampled_from([(1, 1), (2, 2), (1, 2)]))
    groups = draw(st.sampled_from([1, 2, 4]))  # 4 is depthwise
    padding = draw(st.sampled_from([(0, 0), (1, 1), (2, 1), "same", "valid"]))
    if padding == "same":
        stride = (1, 1)
    return nn.Conv2d(
        4,
        draw(st.sampled_from([4, 8])),
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        bias=draw(st.booleans()),
    )
