import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from flexrel_sim.pruning.select import keep_masks, lowest, nm_masks

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
    # The last unit of each layer is its protected best.
    assert {name: mask.tolist() for name, mask in masks.items()} == {
        "b": [False, False, True],
        "a": [False, True, True],
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
    with pytest.raises(ValueError, match="scores must be finite, and some of layer 'b' are not"):
        keep_masks(scores, 0.5, 0.0)


def test_an_infinite_score_is_refused() -> None:
    scores = {"a": torch.tensor([math.inf]), "b": torch.zeros(3)}
    with pytest.raises(ValueError, match="scores must be finite, and some of layer 'a' are not"):
        keep_masks(scores, 0.25, 0.0)


@st.composite
def distinct(draw: st.DrawFn) -> list[list[float]]:
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=4))
    order = draw(st.permutations(range(sum(sizes))))
    parts, at = [], 0
    for size in sizes:
        parts.append([float(value) for value in order[at : at + size]])
        at += size
    return parts


def slowly_lowest(scores: list[list[float]], count: int, floors: list[int]) -> list[list[bool]]:
    """Mark one unit after the other, unless its array is at its floor."""
    marked = [[False] * len(part) for part in scores]
    units = sorted((value, i, j) for i, part in enumerate(scores) for j, value in enumerate(part))
    for _, i, j in units:
        if sum(map(sum, marked)) < count and marked[i].count(False) > floors[i]:
            marked[i][j] = True
    return marked


@given(scores=distinct(), data=st.data())
def test_lowest_marks_the_lowest_unit_by_unit_and_leaves_every_floor(
    scores: list[list[float]], data: st.DataObject
) -> None:
    floors = [data.draw(st.integers(0, len(part))) for part in scores]
    count = data.draw(st.integers(0, sum(map(len, scores)) + 1))
    marked = lowest([np.array(part) for part in scores], count, floors)
    assert [mask.tolist() for mask in marked] == slowly_lowest(scores, count, floors)
    free = sum(len(part) - floor for part, floor in zip(scores, floors, strict=True))
    assert sum(int(mask.sum()) for mask in marked) == min(count, free)


@given(scores=distinct(), ratio=ratios, data=st.data())
def test_a_ratio_of_costs_is_never_exceeded_and_the_next_unit_would_exceed_it(
    scores: list[list[float]], ratio: float, data: st.DataObject
) -> None:
    costs = {str(i): float(data.draw(st.integers(1, 50))) for i in range(len(scores))}
    masks = keep_masks(
        {str(i): torch.tensor(part) for i, part in enumerate(scores)}, ratio, 0.0, costs=costs
    )
    whole = sum(len(part) * costs[str(i)] for i, part in enumerate(scores))
    spent = sum(int((~mask).sum()) * costs[name] for name, mask in masks.items())
    assert spent <= ratio * whole
    more = slowly_lowest(scores, removed(masks) + 1, [1] * len(scores))
    cost = sum(sum(part) * costs[str(i)] for i, part in enumerate(more))
    assert cost > ratio * whole or cost == spent  # only the floors are left


def test_pools_compete_within_themselves() -> None:
    scores = {name: torch.arange(4.0) + 10 * i for i, name in enumerate("abc")}
    masks = keep_masks(scores, 0.5, 0.0, pools=[["a"], ["b"], ["c"]])
    assert [mask.tolist() for mask in masks.values()] == [[False, False, True, True]] * 3
    masks = keep_masks(scores, 0.5, 0.0, pools=[["a", "c"], ["b"]])
    assert masks["a"].tolist() == [False, False, False, True]
    assert masks["b"].tolist() == [False, False, True, True]
    assert masks["c"].tolist() == [False, True, True, True]
    assert list(masks) == list("abc")


def test_min_kept_may_be_one_number_per_layer_with_a_default() -> None:
    scores = {name: torch.arange(10.0) for name in "abc"}
    scores["d"] = torch.arange(100.0, 110.0)
    masks = keep_masks(scores, 0.9, {"a": 0.5, "b": 0.75, "default": 0.2})
    assert [int(mask.sum()) for mask in masks.values()] == [5, 8, 2, 2]
    masks = keep_masks(scores, 0.9, {"a": 0.5})
    assert [int(mask.sum()) for mask in masks.values()] == [5, 1, 1, 1]


@pytest.mark.parametrize(("kept", "of"), [(2, 4), (4, 8), (1, 2)])
@given(data=st.data())
def test_nm_keeps_the_best_n_of_every_m_inputs_and_leaves_the_rest_alone(
    kept: int, of: int, data: st.DataObject
) -> None:
    shape = (2, data.draw(st.integers(1, 18)), *data.draw(st.sampled_from([(), (2, 3)])))
    count = math.prod(shape)
    scores = torch.tensor(data.draw(st.permutations(range(count)))).double().reshape(shape)
    mask = nm_masks({"a": scores}, kept, of)["a"]
    assert mask.shape == scores.shape
    whole = shape[1] // of * of
    assert mask[:, whole:].all()
    for start in range(0, whole, of):
        part, chosen = scores[:, start : start + of], mask[:, start : start + of]
        assert (chosen.sum(1) == kept).all()
        worst_kept = part.masked_fill(~chosen, math.inf).amin(1)
        assert (part.masked_fill(chosen, -math.inf).amax(1) < worst_kept).all()


def test_nm_refuses_a_nan_score() -> None:
    with pytest.raises(ValueError, match="scores must be finite, and some of layer 'a' are not"):
        nm_masks({"a": torch.tensor([[1.0, math.nan, 0.0, 0.0]])}, 2, 4)
