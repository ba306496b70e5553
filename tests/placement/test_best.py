"""The best cut, against trying every set of operations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.placement import Problem, Value, best_prefix, minimum_cut

TIMES = st.integers(0, 20).map(lambda tenths: tenths / 10)


@st.composite
def dags(draw: st.DrawFn, *, is_chain: bool = False) -> Problem:
    count = draw(st.integers(1, 7))
    values = []
    for source in range(-1, count):
        later = range(source + 1, count)
        if is_chain:
            readers = list(later)[:1]
        elif not later:
            readers = []
        else:
            readers = sorted(draw(st.sets(st.sampled_from(later), max_size=3)))
        send_s = draw(TIMES if is_chain else st.one_of(TIMES, st.just(math.inf)))
        values.append(Value(None if source < 0 else source, tuple(readers), send_s))
    return Problem(
        edge_s=tuple(draw(st.lists(TIMES, min_size=count, max_size=count))),
        server_s=tuple(draw(st.lists(TIMES, min_size=count, max_size=count))),
        values=tuple(values),
        downlink_s=draw(TIMES),
        delay_s=draw(TIMES),
        workers=draw(st.integers(1, 3)),
    )


def is_closed(problem: Problem, head: frozenset[int]) -> bool:
    return all(problem.needs[operation] <= head for operation in head)


def heads(problem: Problem) -> Iterator[frozenset[int]]:
    """Every set of operations that reads nothing from outside."""
    places = range(problem.operations)
    subsets = chain.from_iterable(combinations(places, size) for size in range(len(places) + 1))
    return (head for head in map(frozenset, subsets) if is_closed(problem, head))


@settings(max_examples=300, deadline=None)
@given(dags())
def test_the_minimum_cut_is_the_best_of_all_heads_by_brute_force(problem: Problem) -> None:
    found = minimum_cut(problem)
    assert is_closed(problem, found)
    best_s = min(problem.latency_s(head) for head in heads(problem))
    assert problem.latency_s(found) == pytest.approx(best_s, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(dags(is_chain=True))
def test_on_a_chain_trying_all_cuts_and_the_minimum_cut_agree(problem: Problem) -> None:
    position = best_prefix(problem, range(problem.operations + 1), "latency")
    tried_s = problem.latency_s(frozenset(range(position)))
    assert tried_s == pytest.approx(problem.latency_s(minimum_cut(problem)), abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(dags())
def test_no_cut_that_was_tried_is_better_than_the_one_that_was_chosen(problem: Problem) -> None:
    prefixes = [frozenset(range(size)) for size in range(problem.operations + 1)]
    positions = range(len(prefixes))
    fastest = prefixes[best_prefix(problem, positions, "latency")]
    assert problem.latency_s(fastest) == min(map(problem.latency_s, prefixes))
    busiest = prefixes[best_prefix(problem, positions, "throughput")]
    assert problem.slowest_s(busiest) == min(map(problem.slowest_s, prefixes))


# Two branches of the input: one is fast on the edge and gives little, the other is slow there.
BRANCHES = Problem(
    edge_s=(9.0, 1.0, 9.0),
    server_s=(1.0, 9.0, 1.0),
    values=(
        Value(None, (0, 1), 2.0),
        Value(0, (2,), 3.0),
        Value(1, (2,), 0.5),
    ),
    downlink_s=0.25,
    delay_s=0.125,
)


def test_the_minimum_cut_finds_a_head_that_is_no_prefix() -> None:
    assert minimum_cut(BRANCHES) == {1}
    # 1 on the edge, the input and 0.5 sent, 1 + 1 on the server, the answer and both delays.
    assert BRANCHES.latency_s(frozenset({1})) == 1 + 2.5 + 2 + 0.25 + 0.25
    assert best_prefix(BRANCHES, range(4), "latency") == 0
    assert BRANCHES.latency_s(frozenset()) == 2 + 11 + 0.25 + 0.25


def test_a_value_is_sent_once_for_all_its_readers_and_nothing_crosses_at_the_edge() -> None:
    assert BRANCHES.stages_s(frozenset()) == (0.0, 2.0, 11.0, 0.25)
    assert BRANCHES.stages_s(frozenset({0, 1})) == (10.0, 3.5, 1.0, 0.25)
    assert BRANCHES.stages_s(frozenset({0, 1, 2})) == (19.0, 0.0, 0.0, 0.0)
    assert BRANCHES.latency_s(frozenset({0, 1, 2})) == 19.0


def test_workers_share_the_load_and_not_the_time_of_a_request() -> None:
    many = Problem((4.0, 4.0), (3.0, 3.0), (Value(None, (0,), 0.5), Value(0, (1,), 0.5)), workers=3)
    assert many.slowest_s(frozenset()) == 2.0
    assert many.latency_s(frozenset()) == 6.5
    assert best_prefix(many, (0, 1, 2), "throughput") == 0


def test_what_can_not_be_sent_stays_on_the_edge() -> None:
    bound = Problem((9.0, 9.0), (0.0, 0.0), (Value(None, (0, 1), math.inf), Value(0, (1,), 0.0)))
    assert minimum_cut(bound) == {0, 1}
    assert best_prefix(bound, (0, 1, 2), "latency") == 2


def test_nothing_to_run_has_nothing_on_the_edge() -> None:
    assert minimum_cut(Problem((), (), ())) == frozenset()


def test_encoding_is_on_the_edge_decoding_on_the_server_and_both_on_the_way() -> None:
    values = (Value(None, (0,), 1.0), Value(0, (1,), 0.5, encode_s=0.25, decode_s=4.0))
    problem = Problem(edge_s=(2.0, 9.0), server_s=(3.0, 5.0), values=values, downlink_s=0.125)
    assert problem.stages_s(frozenset({0})) == (2.25, 0.5, 9.0, 0.125)
    # Sending the input costs 1 + 3 + 5, and decoding what the first gives 2.25 + 0.5 + 9.
    assert minimum_cut(problem) == frozenset()
    assert best_prefix(problem, range(3), "latency") == 0


def test_what_devices_share_is_as_busy_as_all_of_them_make_it() -> None:
    values = (Value(None, (0,), 1.0),)
    problem = Problem(edge_s=(10.0,), server_s=(2.0,), values=values, downlink_s=0.5)
    on_server = frozenset[int]()
    assert problem.slowest_s(on_server) == 2.0
    assert replace(problem, workers=4).slowest_s(on_server) == 1.0
    assert replace(problem, workers=4, half_duplex=True).slowest_s(on_server) == 1.5
    assert replace(problem, workers=4, half_duplex=True, devices=8).slowest_s(on_server) == 12.0
    # An edge device serves its own requests only.
    assert replace(problem, devices=8).slowest_s(frozenset({0})) == 10.0
