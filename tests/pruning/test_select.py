import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flexrel_sim.pruning.select import keep_masks

# Few values, so that most scores tie.
tied = st.sampled_from([0.0, 0.25, 1.0])


@st.composite
def layers(draw: st.DrawFn, values: st.SearchStrategy[float]) -> dict[str, Tensor]:
    scores = {}
    for index in range(draw(st.integers(1, 4))):
        size = draw(st.integers(1, 12))
        flat = torch.tensor(draw(st.lists(values, min_size=size, max_size=size)))
        scores[f"layer{index}"] = flat.double().reshape(-1, 2) if size % 2 == 0 else flat.double()
    return scores


any_layers = st.one_of(layers(tied), layers(st.floats(-1e9, 1e9)))
ratios = st.floats(0, 1, exclude_max=True)
shares = st.floats(0, 1)


def units(scores: dict[str, Tensor]) -> int:
    return sum(score.numel() for score in scores.values())


def removed(masks: dict[str, Tensor]) -> int:
    return sum(int((~mask).sum()) for mask in masks.values())


@given(scores=any_layers, ratio=ratios, min_kept=shares)
def test_exactly_the_asked_number_is_removed_or_as_many_as_min_kept_leaves(
    scores: dict[str, Tensor], ratio: float, min_kept: float
) -> None:
    masks = keep_masks(scores, ratio, min_kept)
    free = sum(s.numel() - max(1, math.ceil(min_kept * s.numel())) for s in scores.values())
    assert removed(masks) == min(round(ratio * units(scores)), free)
    assert {name: mask.shape for name, mask in masks.items()} == {
        name: score.shape for name, score in scores.items()
    }
    assert all(mask.dtype == torch.bool for mask in masks.values())


@given(scores=any_layers, ratio=ratios, min_kept=shares)
def test_every_layer_keeps_min_kept_of_its_best_and_never_less_than_one(
    scores: dict[str, Tensor], ratio: float, min_kept: float
) -> None:
    for name, mask in keep_masks(scores, ratio, min_kept).items():
        score = scores[name]
        least = max(1, math.ceil(min_kept * score.numel()))
        assert mask.sum() >= least
        best = score.flatten().sort(descending=True).values[:least]
        assert torch.equal(score[mask].sort(descending=True).values[:least], best)


@given(scores=any_layers, ratio=ratios)
def test_what_is_removed_never_scores_above_what_is_kept_unprotected(
    scores: dict[str, Tensor], ratio: float
) -> None:
    masks = keep_masks(scores, ratio, 0.0)
    # One unit per layer is protected: the layer's best.
    free = [
        scores[name][mask].sort().values[:-1] for name, mask in masks.items() if int(mask.sum()) > 1
    ]
    gone = torch.cat([scores[name][~mask] for name, mask in masks.items()])
    if free and torch.cat(free).numel() and gone.numel():
        assert gone.max() <= torch.cat(free).min()


@given(scores=layers(tied), ratio=ratios, min_kept=shares)
def test_ties_are_broken_the_same_way_every_time(
    scores: dict[str, Tensor], ratio: float, min_kept: float
) -> None:
    once, again = (keep_masks(scores, ratio, min_kept) for _ in range(2))
    assert all(torch.equal(once[name], again[name]) for name in scores)


def test_equal_scores_go_in_the_order_of_layers_and_units() -> None:
    scores = {"b": torch.zeros(3), "a": torch.zeros(3)}
    masks = keep_masks(scores, 0.5, 0.0)
    # The first unit of each layer is its protected best.
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "b": [True, False, False],
        "a": [True, False, True],
    }


def test_nothing_is_removed_at_ratio_0() -> None:
    masks = keep_masks({"a": torch.zeros(5)}, 0.0, 0.0)
    assert masks["a"].all()


def test_the_lowest_of_all_layers_go_first() -> None:
    scores = {"low": torch.tensor([0.1, 0.2, 0.3]), "high": torch.tensor([1.0, 2.0, 0.25])}
    masks = keep_masks(scores, 0.5, 0.0)
    assert masks["low"].tolist() == [False, False, True]
    assert masks["high"].tolist() == [True, True, False]


def test_a_layer_of_low_scores_is_never_emptied() -> None:
    scores = {"low": torch.tensor([0.1, 0.3, 0.2]), "high": torch.arange(1.0, 98.0)}
    masks = keep_masks(scores, 0.9, 0.0)
    assert masks["low"].tolist() == [False, True, False]
    assert removed(masks) == 90


def test_a_nan_score_is_refused() -> None:
    scores = {"a": torch.zeros(2), "b": torch.tensor([1.0, math.nan])}
    with pytest.raises(ValueError, match="scores must be finite, and some are NaN"):
        keep_masks(scores, 0.5, 0.0)


def test_an_infinite_score_is_refused() -> None:
    scores = {"a": torch.tensor([math.inf]), "b": torch.zeros(3)}
    with pytest.raises(ValueError, match="scores must be finite, and some are NaN or infinite"):
        keep_masks(scores, 0.25, 0.0)
