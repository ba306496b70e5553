"""MACs and bytes of operations, against counts by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.partition import Cost, count, trace


def costs(network: nn.Module, *shape: int) -> dict[str, Cost]:
    found = count(trace(network.eval()), torch.zeros(1, *shape))
    return {cost.name: cost for cost in found}


def macs(network: nn.Module, *shape: int) -> dict[str, int]:
    return {name: cost.macs for name, cost in costs(network, *shape).items()}


def test_convolutions_linear_layers_and_products_multiply_and_the_rest_does_not() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, groups=2),
        nn.BatchNorm2d(6),
        nn.GELU(),
        nn.MaxPool2d(2),
        nn.ConvTranspose2d(6, 4, 2, stride=2),
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, 5),
        nn.Softmax(1),
    )
    assert macs(network, 2, 8, 8) == {
        "0": 6 * 64 * 9,
        "1": 0,
        "2": 0,
        "3": 0,
        "4": 6 * 16 * 4 * 4,
        "5": 0,
        "6": 4 * 64 * 5,
        "7": 0,
    }


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = self.inner(tokens, tokens, tokens, need_weights=False)[0]
        return nn.functional.scaled_dot_product_attention(mixed, tokens, mixed + tokens)


def test_attention_counts_its_projections_and_its_two_products_per_head() -> None:
    found = costs(Attention(), 5, 8)
    # Queries, keys, values and output are 8x8 for 5 tokens; each head of 4 mixes 5 with 5, twice.
    assert found["inner"].macs == 4 * 5 * 8 * 8 + 2 * (2 * 5 * 5 * 4)
    assert found["scaled_dot_product_attention"].macs == 2 * 5 * 5 * 8
    assert sum(weight.numel() for weight in found["inner"].parameters) == 4 * 64 + 4 * 8
    assert not any(cost.uncounted for cost in found.values())


def test_counting_leaves_torchs_own_attention_as_it_was() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    costs(Attention(), 5, 8)
    assert torch.backends.mha.get_fastpath_enabled() == before


def test_a_kernel_that_nobody_knows_is_named_with_how_often_it_ran() -> None:
    class Spectrum(nn.Module):
        def forward(self, source: Tensor) -> Tensor:
            return torch.fft.rfft(source).abs().cumsum(1).cumsum(1)

    (cost,) = costs(Spectrum(), 8).values()
    assert (cost.macs, cost.uncounted) == (0, {"_fft_r2c": 1, "cumsum": 2})


def test_the_layers_of_an_operation_that_is_one_as_a_whole_are_all_counted() -> None:
    found = macs(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 5, 8)
    assert found == {"network": 4 * 5 * 64 + 2 * (2 * 5 * 5 * 4) + 2 * 5 * 8 * 16}


def test_every_operation_has_its_bytes_and_the_shape_of_what_it_gives() -> None:
    class Halved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 6)

        def forward(self, source: Tensor) -> Tensor:
            low, high = self.inner(source).chunk(2, 1)
            return low + high * source.shape[1]

    found = costs(Halved(), 4)
    linear, chunk, add = found["inner"], found["chunk"], found["add"]
    assert (linear.input_bytes, linear.output_bytes, linear.output_shape) == (16, 24, (6,))
    assert (chunk.kind, chunk.output_bytes, chunk.output_shape) == ("chunk", 24, (3,))
    assert (add.input_bytes, add.output_bytes, add.dtype) == (24, 12, "float32")
    assert found["getattr"].output_shape is None


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_a_network_without_memory_counts_the_same(device: str) -> None:
    with torch.device(device):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3)).eval()
        found = count(trace(network), torch.zeros(2, 1, 4, 4))
    assert [cost.macs for cost in found] == [2 * 4 * 9, 0, 24]
