import math
from itertools import product
from typing import Any, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from flexrel_sim.pruning import CRITERIA
from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.evidence import Evidence
from flexrel_sim.pruning.filters import kept_channels
from flexrel_sim.pruning.prune import evidence_for, kept_weights
from flexrel_sim.pruning.relevance import prunable_layers, weight_relevance
from flexrel_sim.pruning.scores import combined, normalised, score, scoring
from flexrel_sim.pruning.select import keep_masks
from flexrel_sim.pruning.signals import signal
from flexrel_sim.scenario.schema import PruningSection, RelevanceSection
from tests.pruning.chains import named, randomised, seeded

Granularity = Literal["weights", "filters"]
Normalise = Literal["layer", "global", "rank", "none"]

GRANULARITIES: tuple[Granularity, ...] = ("weights", "filters")
NORMALISE: tuple[Normalise, ...] = ("layer", "global", "rank", "none")
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


EVIDENCE = Evidence(NETWORK, IMAGES, LABELS, RelevanceSection())


def scored(
    criterion: str, granularity: Granularity, normalise: Normalise, delta: float | None = None
) -> dict[str, Tensor]:
    section = PruningSection(criterion=criterion, normalise=normalise, delta=delta)
    return score(scoring(section), EVIDENCE, granularity)


def kept(network: nn.Sequential = NETWORK, **settings: Any) -> dict[str, Tensor]:
    section = PruningSection.model_validate({"ratio": 0.5} | settings)
    evidence = evidence_for(network, section, IMAGES, LABELS)
    if section.granularity == "weights":
        return kept_weights(evidence, section, scoring(section))
    coupled = CoupledNetwork(network, IMAGES[:1])
    return kept_channels(coupled, evidence, section, scoring(section))


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(
        torch.equal(first[name], second[name]) for name in first
    )


def test_every_criterion_is_listed_under_its_own_name_and_two_signals_use_delta() -> None:
    assert [criterion.name for criterion in CRITERIA.values()] == list(CRITERIA)
    assert [name for name, c in CRITERIA.items() if c.uses_delta] == [
        "flexrel-paper",
        "flexrel",
        "flexrel-lamp",
    ]
    assert all(c.uses_delta == (len(c.signals) == 2) for c in CRITERIA.values())
    assert PruningSection().criterion in CRITERIA


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("form", ["additive", "message", None])
def test_a_form_of_relevance_exchanges_the_relevance_of_a_flexrel_and_nothing_else(
    criterion: str, form: Any
) -> None:
    section = PruningSection(criterion=criterion, relevance=RelevanceSection(form=form))
    own = CRITERIA[criterion].signals
    expected = {"additive": "relevance", "message": "message", None: own[-1]}[form]
    assert scoring(section).signals == ((own[0], expected) if len(own) == 2 else own)
    if CRITERIA[criterion].signals != ("bn-scale",):
        scores = score(scoring(section), EVIDENCE, "filters")
        assert all(bool((values >= 0).all()) for values in scores.values())


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
        torch.testing.assert_close(values, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("criterion", ["flexrel-paper", "flexrel", "flexrel-lamp"])
@pytest.mark.parametrize("delta", [None, "auto"])
def test_a_criterion_without_a_number_for_delta_takes_its_own(criterion: str, delta: Any) -> None:
    settings = {"criterion": criterion}
    own = CRITERIA[criterion].delta
    assert same(kept(delta=delta, **settings), kept(delta=own, **settings))
    assert not same(kept(delta=delta, **settings), kept(delta=0.9, **settings))


def test_magnitude_is_the_absolute_weight_in_its_own_precision() -> None:
    network = named(("flatten", nn.Flatten()), ("fc", nn.Linear(3, 1))).float()
    network.fc.weight.data = torch.tensor([[-2.0, 0.0, 0.1]])
    evidence = Evidence(network, torch.zeros(1, 3), torch.zeros(1).long(), RelevanceSection())
    (values,) = signal("magnitude", evidence, "weights").values()
    assert torch.equal(values, torch.tensor([[2.0, 0.0, 0.1]]))
    assert not values.requires_grad


@pytest.mark.parametrize("criterion", ["magnitude", "relevance"])
def test_normalising_by_layer_rescales_each_layer_to_0_to_1(criterion: str) -> None:
    raw, rescaled = (scored(criterion, "weights", how) for how in ("none", "layer"))
    assert same(raw, signal(criterion, EVIDENCE, "weights"))
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
    scores = normalised({"a": torch.full((2, 2), 3.0), "b": torch.full((1, 2), 3.0)}, normalise)
    assert scores["a"].tolist() == [[0, 0], [0, 0]]
    assert scores["b"].tolist() == [[0, 0]]


@given(order=st.permutations(range(12)))
def test_ranks_count_the_layers_units_up_to_1(order: list[int]) -> None:
    values = torch.tensor(order).double().reshape(3, 4)
    ranks = normalised({"a": values.exp(), "b": torch.zeros(4)}, "rank")
    assert torch.equal(ranks["a"], (values + 1) / 12)
    assert ranks["b"].tolist() == [0.25, 0.5, 0.75, 1.0]


def test_ranks_do_not_hide_a_nan() -> None:
    ranks = normalised({"a": torch.tensor([1.0, math.nan, 0.0])}, "rank")
    assert ranks["a"].isnan().tolist() == [False, True, False]


positive = st.lists(st.floats(1e-12, 1e12), min_size=5, max_size=5).map(
    lambda values: {"a": torch.tensor(values, dtype=torch.float64)}
)


@given(first=positive, second=positive, delta=st.floats(0, 1))
def test_geometric_is_the_exponential_of_the_weighted_logarithms(
    first: dict[str, Tensor], second: dict[str, Tensor], delta: float
) -> None:
    expected = ((1 - delta) * first["a"].log() + delta * second["a"].log()).exp()
    got = combined([first, second], "geometric", delta)["a"]
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


@given(
    first=positive,
    second=positive,
    delta=st.floats(0, 1),
    by=st.floats(1e-6, 1e6),
    on=st.booleans(),
)
def test_no_scale_of_a_whole_signal_changes_the_geometric_order(
    first: dict[str, Tensor], second: dict[str, Tensor], delta: float, by: float, on: bool
) -> None:
    before = combined([first, second], "geometric", delta)["a"]
    scaled = [{"a": first["a"] * by}, second] if on else [first, {"a": second["a"] * by}]
    after = combined(scaled, "geometric", delta)["a"]
    # One factor for all, so that the order stays but for roundings.
    torch.testing.assert_close(after / before, (after / before)[:1].expand(5), rtol=1e-12, atol=0)


def test_combining_leaves_its_signals_alone() -> None:
    signals = [{"a": torch.tensor([2.0, 3.0])}, {"a": torch.tensor([5.0, 7.0])}]
    combined(signals, "geometric", 0.5)
    combined(signals, "sum", 0.5)
    assert [values["a"].tolist() for values in signals] == [[2, 3], [5, 7]]


def test_a_filter_is_scored_by_the_mean_over_its_weights() -> None:
    scores = scored("relevance", "filters", "none")
    weights = scored("relevance", "weights", "none")
    for name, layer in prunable_layers(NETWORK).items():
        assert scores[name].shape == (layer.weight.shape[0],)
        for index, value in enumerate(scores[name].tolist()):
            assert value == pytest.approx(weights[name][index].mean().item())


def chance(seed: int) -> dict[str, Tensor]:
    evidence = Evidence(NETWORK, IMAGES, LABELS, RelevanceSection(), seed)
    return signal("random", evidence, "weights")


def test_random_scores_are_reproducible_by_seed_and_lie_in_0_to_1() -> None:
    assert same(chance(5), chance(5))
    assert not same(chance(5), chance(6))
    values = torch.cat([values.flatten() for values in chance(5).values()])
    assert 0 <= values.min() < 0.1
    assert 0.9 < values.max() < 1


def test_random_scores_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    chance(5)
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
    example = torch.zeros(1, 1, dtype=torch.float64)
    coupled = CoupledNetwork(network, example)
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
        evidence = evidence_for(network, section, example, torch.zeros(1).long())
        if granularity == "weights":
            masks = kept_weights(evidence, section, scoring(section))
        else:
            masks = kept_channels(coupled, evidence, section, scoring(section))
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
    ways: list[Any] = list(product(("label", "predicted"), ("absolute", "signed")))
    for target, how in ways:
        relevance = RelevanceSection(target=target, sum=how)
        chosen = kept(
            criterion="relevance",
            granularity=granularity,
            normalise="none",
            exclude=["fc2"],
            relevance=relevance.model_dump(),
        )
        scores = weight_relevance(NETWORK, IMAGES, LABELS, settings=relevance)
        del scores["fc2"]
        if granularity == "filters":
            scores = {name: values.flatten(1).mean(1) for name, values in scores.items()}
        scores = {name: values.abs() for name, values in scores.items()}
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
    with pytest.raises(ValueError, match="scores must be finite, and some of layer"):
        kept(network, criterion="magnitude", granularity=granularity, normalise=normalise)
