import math
from itertools import product
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.pruning import CRITERIA, DEFAULT_DELTA
from flexrel_sim.pruning.prune import choose_kept
from flexrel_sim.pruning.relevance import prunable_layers, weight_relevance
from flexrel_sim.pruning.scores import magnitude, random_signal, score
from flexrel_sim.pruning.select import keep_masks
from flexrel_sim.scenario.schema import PruningSection
from tests.pruning.chains import named, randomised, seeded

Granularity = Literal["weights", "filters"]
Normalise = Literal["layer", "global", "none"]

GRANULARITIES: tuple[Granularity, ...] = ("weights", "filters")
NORMALISE: tuple[Normalise, ...] = ("layer", "global", "none")
EVERY_WAY = list(product(GRANULARITIES, NORMALISE))

IMAGES = torch.rand(12, 1, 6, 6, generator=seeded(8), dtype=torch.float64)
LABELS = torch.arange(12) % 4


def small_network(seed: int = 0) -> nn.Sequential:
    network = named(
        ("conv1", nn.Conv2d(1, 6, 3, padding=1)),
        ("relu1", nn.ReLU()),
        ("pool", nn.MaxPool2d(2)),
        ("conv2", nn.Conv2d(6, 8, 3)),
        ("relu2", nn.ReLU()),
        ("flatten", nn.Flatten()),
        ("fc1", nn.Linear(8, 10)),
        ("relu3", nn.ReLU()),
        ("fc2", nn.Linear(10, 4)),
    )
    return randomised(network, seed)


NETWORK = small_network()


def signals_of(network: nn.Sequential) -> dict[Any, dict[str, Tensor]]:
    return {
        "magnitude": magnitude(prunable_layers(network)),
        "relevance": weight_relevance(network, IMAGES, LABELS),
        "random": random_signal(prunable_layers(network), 0),
    }


SIGNALS = signals_of(NETWORK)


def scored(
    criterion: str, granularity: Granularity, normalise: Normalise, delta: float = math.nan
) -> dict[str, Tensor]:
    # A criterion of one signal must not look at delta: NaN would show.
    return score(
        CRITERIA[criterion], SIGNALS, delta=delta, granularity=granularity, normalise=normalise
    )


def kept(**settings: Any) -> dict[str, Tensor]:
    section = PruningSection.model_validate({"ratio": 0.5} | settings)
    return choose_kept(NETWORK, section, IMAGES, LABELS)


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_every_criterion_is_listed_under_its_own_name_and_only_flexrel_uses_delta() -> None:
    assert [criterion.name for criterion in CRITERIA.values()] == list(CRITERIA)
    assert [name for name, c in CRITERIA.items() if c.uses_delta] == ["flexrel-paper"]
    assert PruningSection().criterion in CRITERIA


@pytest.mark.parametrize(("granularity", "normalise"), EVERY_WAY)
@pytest.mark.parametrize(("delta", "single"), [(0.0, "magnitude"), (1.0, "relevance")])
def test_delta_0_scores_and_keeps_exactly_as_magnitude_and_delta_1_exactly_as_relevance(
    granularity: Granularity, normalise: Normalise, delta: float, single: str
) -> None:
    flexrel = scored("flexrel-paper", granularity, normalise, delta)
    assert same(flexrel, scored(single, granularity, normalise))
    settings = {"granularity": granularity, "normalise": normalise}
    assert same(
        kept(criterion="flexrel-paper", delta=delta, **settings), kept(criterion=single, **settings)
    )


@pytest.mark.parametrize(("granularity", "normalise"), EVERY_WAY)
@given(delta=st.floats(0, 1))
def test_delta_in_between_weighs_relevance_against_magnitude(
    granularity: Granularity, normalise: Normalise, delta: float
) -> None:
    first = scored("magnitude", granularity, normalise)
    second = scored("relevance", granularity, normalise)
    both = scored("flexrel-paper", granularity, normalise, delta)
    for name, values in both.items():
        expected = (1 - delta) * first[name] + delta * second[name]
        assert torch.equal(values, expected)


def test_flexrel_without_a_delta_takes_the_default_one() -> None:
    settings = {"criterion": "flexrel-paper", "normalise": "global"}
    assert same(kept(**settings), kept(delta=DEFAULT_DELTA, **settings))
    assert not same(kept(**settings), kept(delta=0.9, **settings))


def test_magnitude_is_the_absolute_weight_in_float64() -> None:
    layer = nn.Linear(3, 1)
    layer.weight.data = torch.tensor([[-2.0, 0.0, 0.1]])
    (values,) = magnitude({"fc": layer}).values()
    assert values.dtype == torch.float64
    assert torch.equal(values, torch.tensor([[2.0, 0.0, 0.1]]).double())
    assert not values.requires_grad


@pytest.mark.parametrize("criterion", ["magnitude", "relevance"])
def test_normalising_by_layer_rescales_each_layer_to_0_to_1(criterion: str) -> None:
    raw, rescaled = (scored(criterion, "weights", how) for how in ("none", "layer"))
    assert same(raw, SIGNALS[criterion])
    for name, values in rescaled.items():
        low, high = raw[name].min(), raw[name].max()
        assert (values.min(), values.max()) == (0, 1)
        assert torch.allclose(values * (high - low) + low, raw[name], rtol=1e-12)


def test_normalising_globally_rescales_the_whole_network_to_0_to_1_with_one_scale() -> None:
    raw, rescaled = (
        torch.cat([values.flatten() for values in scored("relevance", "weights", how).values()])
        for how in ("none", "global")
    )
    assert (rescaled.min(), rescaled.max()) == (0, 1)
    assert torch.allclose(rescaled * (raw.max() - raw.min()) + raw.min(), raw, rtol=1e-12)


@pytest.mark.parametrize("normalise", ["layer", "global"])
def test_a_constant_signal_ranks_nothing(normalise: Normalise) -> None:
    signals: dict[Any, dict[str, Tensor]] = {
        "magnitude": {"a": torch.full((2, 2), 3.0), "b": torch.full((1, 2), 3.0)}
    }
    scores = score(
        CRITERIA["magnitude"], signals, delta=0, granularity="weights", normalise=normalise
    )
    assert scores["a"].tolist() == [[0, 0], [0, 0]]
    assert scores["b"].tolist() == [[0, 0]]


def test_a_filter_is_scored_by_the_mean_over_its_weights() -> None:
    scores = scored("relevance", "filters", "none")
    for name, layer in prunable_layers(NETWORK).items():
        assert scores[name].shape == (layer.weight.shape[0],)
        for index, value in enumerate(scores[name].tolist()):
            assert value == pytest.approx(SIGNALS["relevance"][name][index].mean().item())


def test_random_scores_are_reproducible_by_seed_and_lie_in_0_to_1() -> None:
    layers = prunable_layers(NETWORK)
    assert same(random_signal(layers, 5), random_signal(layers, 5))
    assert not same(random_signal(layers, 5), random_signal(layers, 6))
    values = torch.cat([signal.flatten() for signal in random_signal(layers, 5).values()])
    assert 0 <= values.min() < 0.1
    assert 0.9 < values.max() < 1


def test_random_scores_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    random_signal(prunable_layers(NETWORK), 5)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_random_pruning_is_reproducible_by_seed(granularity: str) -> None:
    settings = {"criterion": "random", "granularity": granularity}
    assert same(kept(seed=1, **settings), kept(seed=1, **settings))
    assert not same(kept(seed=1, **settings), kept(seed=2, **settings))


@pytest.mark.parametrize("normalise", NORMALISE)
@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_chance_removes_every_unit_with_the_same_probability_whatever_its_layer(
    granularity: Granularity, normalise: Normalise
) -> None:
    network = named(
        ("narrow", nn.Linear(1, 10)),
        ("relu", nn.ReLU()),
        ("wide", nn.Linear(10, 100)),
        ("relu2", nn.ReLU()),
        ("last", nn.Linear(100, 2)),
    )
    removed: dict[str, list[float]] = {"narrow": [], "wide": []}
    for seed in range(100):
        section = PruningSection(
            criterion="random",
            ratio=0.3,
            granularity=granularity,
            normalise=normalise,
            seed=seed,
            exclude=["last"],
            min_kept=0.0,
        )
        masks = choose_kept(network, section, torch.zeros(1, 1), torch.zeros(1).long())
        for name, shares in removed.items():
            shares.append(1 - masks[name].double().mean().item())
    # 1000 draws or more of probability 0.3: their mean is within 4 sigma = 0.058.
    assert [abs(sum(shares) / 100 - 0.3) < 0.058 for shares in removed.values()] == [True, True]


def test_excluded_layers_are_not_among_the_chosen() -> None:
    assert list(kept(exclude=["conv2", "fc2"])) == ["conv1", "fc1"]


def test_the_last_layer_loses_weights_and_never_filters() -> None:
    assert list(kept(granularity="weights")) == ["conv1", "conv2", "fc1", "fc2"]
    assert list(kept(granularity="filters")) == ["conv1", "conv2", "fc1"]


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_a_scenarios_relevance_settings_are_obeyed(granularity: Granularity) -> None:
    seen: list[dict[str, Tensor]] = []
    for target, how in product(("label", "predicted"), ("absolute", "signed")):
        settings: dict[str, Any] = {
            "criterion": "relevance",
            "granularity": granularity,
            "normalise": "none",
            "exclude": ["fc2"],
        }
        chosen = kept(relevance={"target": target, "sum": how}, **settings)
        scores = weight_relevance(
            NETWORK, IMAGES, LABELS, target=target, absolute=how == "absolute"
        )
        del scores["fc2"]
        if granularity == "filters":
            scores = {name: values.flatten(1).mean(1) for name, values in scores.items()}
        assert same(chosen, keep_masks(scores, 0.5, 0.01))
        assert not any(same(chosen, other) for other in seen)
        seen.append(chosen)


@pytest.mark.parametrize(("granularity", "normalise"), EVERY_WAY)
def test_a_network_with_a_nan_is_refused_however_its_scores_are_normalised(
    granularity: Granularity, normalise: Normalise
) -> None:
    network = small_network()
    with torch.no_grad():
        network.conv2.weight[0, 0, 0, 0] = math.nan
    asked = PruningSection(
        criterion="magnitude", ratio=0.5, granularity=granularity, normalise=normalise
    )
    with pytest.raises(ValueError, match="scores must be finite, and some are NaN"):
        choose_kept(network, asked, IMAGES, LABELS)
