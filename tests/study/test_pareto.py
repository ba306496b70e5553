import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from flexrel_sim.scenario.schema import Constraint
from flexrel_sim.study.pareto import choose, dominated

costs_of_points = arrays(
    np.float64,
    st.tuples(st.integers(1, 12), st.integers(1, 3)),
    elements=st.integers(0, 4).map(float),
)


@given(costs_of_points)
def test_a_point_is_dominated_only_by_one_that_is_nowhere_worse_and_somewhere_better(costs):
    slow = [
        any(all(o <= c) and any(o < c) for j, o in enumerate(costs) if j != i)
        for i, c in enumerate(costs)
    ]
    assert dominated(costs).tolist() == slow


@given(costs_of_points)
def test_every_dominated_point_is_dominated_by_a_point_of_the_front(costs):
    beaten = dominated(costs)
    assert not beaten.all()
    for cost in costs[beaten]:
        front = costs[~beaten]
        assert ((front <= cost).all(1) & (front < cost).any(1)).any()


def test_the_choice_is_the_best_in_the_first_objective_that_keeps_the_constraints():
    points = [
        {"latency_p95_s": 1.0, "accuracy": 0.5},
        {"latency_p95_s": 2.0, "accuracy": 0.9},
        {"latency_p95_s": 3.0, "accuracy": 0.95},
    ]
    objectives = {"latency_p95_s": "min", "accuracy": "max"}
    on_front, best = choose(points, objectives, {"accuracy": Constraint.parse(">= 0.8")})
    assert on_front.tolist() == [True, True, True]
    assert best == 1


def test_a_later_objective_breaks_a_tie_and_then_the_order_does():
    points = [{"latency_p95_s": 1.0, "accuracy": a} for a in (0.5, 0.9, 0.9)]
    _, best = choose(points, {"latency_p95_s": "min", "accuracy": "max"}, {})
    assert best == 1


def test_nothing_is_chosen_where_no_point_keeps_the_constraints():
    on_front, best = choose(
        [{"accuracy": 0.5}], {"accuracy": "max"}, {"accuracy": Constraint.parse(">= 0.8")}
    )
    assert best is None
    assert on_front.tolist() == [True]


def test_an_empty_group_has_no_front_and_no_choice():
    on_front, best = choose([], {"accuracy": "max"}, {})
    assert on_front.size == 0
    assert best is None
