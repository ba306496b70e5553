import numpy as np
import pytest
import torch
from torch import nn

from flexrel_sim.accuracy import Recalls
from flexrel_sim.errors import WorkError
from flexrel_sim.training.outcome import demand_finite, demand_learned


def recalls(samples: list[int], right: list[int]) -> Recalls:
    return Recalls(np.arange(len(samples)), np.array(samples), np.array(right))


@pytest.mark.parametrize(
    ("samples", "right"),
    [
        ([100] * 10, [100, *[0] * 9]),
        ([1000, 20], [1000, 0]),
        ([50, 50], [30, 27]),
    ],
    ids=["constant", "constant, of unequal classes", "hardly better than chance"],
)
def test_what_answers_as_if_by_chance_is_refused(samples: list[int], right: list[int]) -> None:
    with pytest.raises(WorkError, match=r"net: learned nothing in 7 epochs: .* is chance .*; do"):
        demand_learned("net", recalls(samples, right), 7, "do better")


@pytest.mark.parametrize(
    ("samples", "right"),
    [([100] * 10, [25] * 10), ([1000, 20], [990, 8]), ([1, 1], [1, 1]), ([3], [0])],
    ids=["better than chance", "a rare class in part", "too few to tell, and right", "one class"],
)
def test_what_may_have_learned_is_not(samples: list[int], right: list[int]) -> None:
    demand_learned("net", recalls(samples, right), 7, "do better")


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_refused_with_its_epoch(loss: float) -> None:
    with pytest.raises(WorkError, match=f"net: training diverged in epoch 3: its loss is {loss};"):
        demand_finite("net", nn.Linear(2, 2), loss, 3, "lower it")


def test_a_weight_that_is_no_number_is_refused_with_its_name() -> None:
    network = nn.Linear(2, 2)
    demand_finite("net", network, 0.5, 3, "lower it")
    with torch.no_grad():
        network.bias[1] = torch.nan
    with pytest.raises(WorkError, match="its loss is 0.5, and 'bias' holds NaN or infinity; low"):
        demand_finite("net", network, 0.5, 3, "lower it")
