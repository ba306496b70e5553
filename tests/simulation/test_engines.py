"""Two engines, one meaning: on the same draws both give the same trace, request by request."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.links import Buffer, Direction, TokenBucket
from flexrel_sim.simulation import Draws, System, simulate
from flexrel_sim.simulation.engines import EngineName, chosen_engine
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import make_draws, make_system
from tests.links.slow import exact_bucket_s
from tests.simulation.systems import TICKS, cases, run


@settings(max_examples=1500)
@given(cases(), st.one_of(st.just(math.inf), TICKS))
def test_both_engines_give_the_same_trace_of_any_system(
    case: tuple[System, Draws], until_s: float
) -> None:
    reference, compiled = (
        run(*case, engine, until_s=until_s).columns() for engine in ("simpy", "compiled")
    )
    continuous = (*STAMPS, "ended_s", "energy_j")
    for name in continuous:
        np.testing.assert_allclose(compiled[name], reference[name], rtol=0, atol=1e-9, err_msg=name)
    for name in set(reference) - set(continuous):
        np.testing.assert_array_equal(compiled[name], reference[name], err_msg=name)


def test_a_pool_without_batches_or_limits_serves_the_urgent_first_in_both_engines() -> None:
    system = make_system(edge_s=0.0, server_s=4.0, delay_s=0.0)
    draws = make_draws([0.0, 1.0, 2.0], tier=np.array([1, 1, 0]))
    for engine in ("simpy", "compiled"):
        assert run(system, draws, engine).server_start_s.tolist() == [0.0, 8.0, 4.0], engine


@pytest.mark.parametrize(
    ("medium", "engine"),
    [("full-duplex", "compiled"), ("shared", "compiled"), ("half-duplex", "simpy")],
)
def test_auto_takes_the_compiled_engine_wherever_it_is_exact(medium: str, engine: str) -> None:
    assert chosen_engine(make_system(medium=medium), "auto") == engine
    assert chosen_engine(make_system(medium=medium), "simpy") == "simpy"


def test_the_compiled_engine_is_refused_with_the_reason_where_it_is_not_exact() -> None:
    with pytest.raises(ValueError, match="not exact here: a half-duplex link couples both"):
        run(make_system(medium="half-duplex"), make_draws([0.0]), "compiled")


@pytest.mark.parametrize("engine", ["simpy", "compiled"])
def test_a_shared_medium_that_is_no_rate_over_time_is_refused(engine: str) -> None:
    bucket = Direction("uplink", TokenBucket(512.0, 128.0, 4096.0))
    with pytest.raises(TypeError, match="a shared medium needs a rate over time"):
        run(make_system(medium="shared", uplink=bucket), make_draws([0.0]), engine)


@pytest.mark.parametrize("engine", ["compiled", "simpy"])
def test_a_message_that_comes_as_a_bucket_is_done_finds_it_free(engine: str) -> None:
    # 16 B at the peak, and then the rate: exact ties, which 8/7 of the tokens would round away.
    capacity = TokenBucket(512.0, 14.0, 4096.0)
    line = Direction("uplink", capacity, buffer=Buffer(messages=0))
    ends_s = [Fraction(0), *exact_bucket_s(capacity, [0.0] * 20, [32] * 20)]
    created_s = [float(end_s) for end_s in ends_s]
    assert [Fraction(time_s) for time_s in created_s] == ends_s
    system = make_system(edge_s=0.0, uplink=line)
    draws = make_draws(created_s)
    trace = simulate(system, draws, np.array([32]), np.array([True]), cast(EngineName, engine))
    assert not trace.reason.any()
    assert trace.uplink_start_s.tolist() == created_s
