import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flexrel_sim.study import pareto
from flexrel_sim.study.pareto import best_of, costs_of, dominated

costs_of_points = arrays(
    np.float64,
    st.tuples(st.integers(1, 40), st.integers(1, 4)),
    elements=st.integers(-3, 3).map(float) | st.just(-0.0),
)


def slowly_dominated(costs):
    """Compare every point with every other, as the definition says."""
    return [any(all(o <= c) and any(o < c) for o in costs) for c in costs]


@given(costs_of_points)
def test_a_point_is_dominated_only_by_one_that_is_nowhere_worse_and_somewhere_better(costs):
    assert dominated(costs).tolist() == slowly_dominated(costs)


@given(costs_of_points, st.integers(1, 5))
def test_the_front_does_not_depend_on_how_many_points_are_compared_at_a_time(costs, chunk):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pareto, "_CHUNK", chunk)
        assert dominated(costs).tolist() == slowly_dominated(costs)


@given(costs_of_points)
def test_every_dominated_point_is_dominated_by_a_point_of_the_front(costs):
    beaten = dominated(costs)
    assert not beaten.all()
    for cost in costs[beaten]:
        front = costs[~beaten]
        assert ((front <= cost).all(1) & (front < cost).any(1)).any()


def test_equal_points_share_the_front():
    assert dominated(np.array([[1.0, 2.0], [1.0, 2.0], [1.0, 3.0]])).tolist() == [
        False,
        False,
        True,
    ]


def test_points_are_compared_with_the_front_only_and_not_with_one_another(monkeypatch):
    compared = []
    slow = pareto._beaten_by

    def counted(rivals, points, **options):
        compared.append(len(rivals) * len(points))
        return slow(rivals, points, **options)

    monkeypatch.setattr(pareto, "_beaten_by", counted)
    costs = np.random.default_rng(1).random((20_000, 2))
    front = int((~dominated(costs)).sum())
    assert sum(compared) < 20_000 * (front + pareto._CHUNK)


@given(costs_of_points)
def test_the_best_is_first_in_the_order_of_the_objectives_and_of_the_points(costs):
    slow = min(range(len(costs)), key=lambda index: (*costs[index], index))
    assert best_of(costs) == slow


def test_of_no_points_none_is_best_and_none_is_beaten():
    costs = costs_of([], {"accuracy": "max"})
    assert best_of(costs) is None
    assert dominated(costs).size == 0


def test_what_is_to_be_great_is_a_negative_cost():
    costs = costs_of(
        [{"accuracy": 0.5, "latency_p95_s": 2.0}], {"latency_p95_s": "min", "accuracy": "max"}
    )
    assert costs.tolist() == [[2.0, -0.5]]
