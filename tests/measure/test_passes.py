"""What scoring costs, counted operation by operation while it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from flexrel_sim.datasets import EvaluationSamples, Samples
from flexrel_sim.measure.passes import forward_passes
from flexrel_sim.measure.pruned import pruned_network
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.pruning.prune import evidence_for
from flexrel_sim.pruning.scores import score, scoring
from flexrel_sim.scenario.schema import PruningSection
from tests.pruning.chains import named, seeded

SAMPLES, VALIDATION = 30, 60


class Flops(TorchDispatchMode):
    """Counts what convolutions and products do, as `FlopCounterMode`, without its hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func._overloadpacket not in flop_registry:
            # In inference mode operations arrive whole.
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        output = func(*args, **kwargs)
        if formula := flop_registry.get(func._overloadpacket):
            self.total += formula(*args, **kwargs, out_val=output)
        return output


def flops(work: Callable[[], object]) -> int:
    with Flops() as counter:
        work()
    return counter.total


def network(*, norms: bool = False) -> nn.Sequential:
    """Give a chain whose first layer is a small part of the work, and that reads no negatives."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(6) if norms else nn.Identity()
    return named(
        ("conv1", nn.Conv2d(1, 4, 3, padding=1)),
        ("relu1", nn.ReLU()),
        ("conv2", nn.Conv2d(4, 6, 3, padding=1)),
        ("norm", norm),
        ("relu2", nn.ReLU()),
        ("conv3", nn.Conv2d(6, 8, 3, padding=1)),
        ("relu3", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(288, 10)),
    )


def samples(count: int, seed: int) -> Samples:
    images = torch.rand(count, 1, 6, 6, generator=seeded(seed), dtype=torch.float64)
    return Samples(images.numpy(), (torch.arange(count) % 10).numpy(), torch.arange(count).numpy())


CALIBRATION = samples(SAMPLES, 1)
IMAGES, LABELS = torch.from_numpy(CALIBRATION.images), torch.from_numpy(CALIBRATION.labels)


def section(**changes: Any) -> PruningSection:
    return PruningSection.model_validate({"ratio": 0.5, "criterion": "flexrel-paper"} | changes)


def told(pruning: PruningSection, *, batch_norms: bool = True) -> float:
    return forward_passes(pruning, SAMPLES, VALIDATION, batch_norms=batch_norms)


RULES = ("gradient", "z-plus", "gamma", "integrated-gradients")

SCORED = [
    (name, rule, form)
    for name, criterion in CRITERIA.items()
    if name != "bn-scale"
    for rule in (RULES if "propagation" in criterion.needs else RULES[:1])
    for form in (("additive", "message") if criterion.form else (None,))
]


@pytest.mark.parametrize(("criterion", "rule", "form"), SCORED)
def test_scoring_takes_the_passes_that_are_told(
    criterion: str, rule: str, form: str | None
) -> None:
    relevance = {"rule": rule, "steps": 5, "form": form}
    granularity = CRITERIA[criterion].level
    pruning = section(criterion=criterion, granularity=granularity, relevance=relevance)
    dense = network()
    one_pass = flops(lambda: dense(IMAGES))
    one_image = flops(lambda: dense(IMAGES[:1]))
    first = flops(lambda: dense.conv1(IMAGES))
    evidence = evidence_for(dense, pruning, IMAGES, LABELS)
    counted = flops(lambda: score(scoring(pruning), evidence, granularity))
    expected = told(pruning) * one_pass
    if "backward" in CRITERIA[criterion].needs:
        # Nothing flows back to the images from the first layer.
        expected -= first
    if rule == "integrated-gradients":
        expected += one_image  # the black one
    assert counted == expected


SCHEDULES: dict[str, dict[str, Any]] = {
    "at once": {},
    "in steps": {"schedule": {"steps": 3}},
    "channels at the cut": {"cut_ratio": 0.5, "ratio": 0.0},
    "channels at the cut in steps": {"cut_ratio": 0.3, "schedule": {"steps": 2}},
    "batch norms": {"batch_norm": "re-estimate", "schedule": {"steps": 2}},
    "batch norms after the cut": {"batch_norm": "re-estimate", "cut_ratio": 0.5, "ratio": 0.0},
    "auto": {"delta": "auto"},
    "auto of forms": {"delta": "auto", "auto": {"form": ["additive", "message"]}},
    "auto of scales": {"delta": "auto", "auto": {"normalise": ["layer", "rank"]}},
    "auto with a cut": {"delta": "auto", "cut_ratio": 0.5},
    "auto of a cut": {"delta": "auto", "cut_ratio": 0.5, "ratio": 0.0},
    "auto with batch norms": {"delta": "auto", "batch_norm": "re-estimate"},
}


@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize("name", SCHEDULES)
def test_pruning_takes_the_passes_that_are_told(name: str, norms: bool) -> None:
    changes = dict(SCHEDULES[name])
    changes["auto"] = {"deltas": [0.2, 0.5], "ratios": [0.5, 0.6]} | changes.get("auto", {})
    pruning = section(**changes)
    dense = network(norms=norms)
    drawn = EvaluationSamples(CALIBRATION, samples(VALIDATION, 2), samples(1, 3))
    one_pass = flops(lambda: dense(IMAGES))
    counted = flops(lambda: pruned_network(dense, pruning, drawn, cut="relu3"))
    ratio = counted / one_pass / told(pruning, batch_norms=norms)
    # Single images, which show the network's form, are not told; nor that lost channels cost less.
    assert (0.55 if pruning.cut_ratio else 1.0) <= ratio < 1.06


@pytest.mark.parametrize(
    ("changes", "passes"),
    [
        ({"ratio": 0.0}, 0),
        ({"criterion": "magnitude"}, 0),
        ({"criterion": "wanda"}, 1),
        ({"criterion": "taylor"}, 3),
        ({"criterion": "flexrel-paper"}, 2),
        ({"criterion": "flexrel"}, 3),
        ({"criterion": "relevance", "relevance": {"rule": "z-plus"}}, 3),
        ({"criterion": "relevance", "relevance": {"rule": "integrated-gradients", "steps": 8}}, 17),
        ({"criterion": "flexrel-paper", "schedule": {"steps": 3}}, 6),
        ({"criterion": "flexrel-paper", "cut_ratio": 0.2, "schedule": {"steps": 3}}, 8),
        ({"criterion": "magnitude", "batch_norm": "re-estimate"}, 1),
        # Scored twice; two tries at one ratio run twice as many images as calibration has.
        ({"delta": "auto", "auto": {"deltas": [0.1, 0.2], "ratios": [0.5]}}, 2 + 2 + 2 * 2),
        (
            {"delta": "auto", "auto": {"deltas": [0.1, 0.2], "form": ["additive", "message"]}},
            2 + (2 + 3) + 4 * 8 * 2,
        ),
    ],
)
def test_passes_by_hand(changes: dict[str, Any], passes: float) -> None:
    assert told(section(**changes)) == passes


def test_a_z_rule_takes_two_more_passes_where_it_reads_negative_numbers() -> None:
    dense = network()
    pruning = section(criterion="relevance", relevance={"rule": "z-plus"})

    def scored(images: Tensor) -> int:
        evidence = evidence_for(dense, pruning, images, LABELS)
        return flops(lambda: score(scoring(pruning), evidence, "weights"))

    assert scored(IMAGES - 0.5) - scored(IMAGES) == 2 * flops(lambda: dense.conv1(IMAGES))
