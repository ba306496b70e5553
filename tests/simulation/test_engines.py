"""Two engines, one meaning: on the same draws both give the same trace, request by request."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.simulation import Draws, System
from flexrel_sim.simulation.engines import chosen_engine
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import make_draws, make_system
from tests.simulation.systems import TICKS, cases, run


@settings(max_examples=1500)
@given(cases(), st.one_of(st.just(math.inf), TICKS))
def test_both_engines_give_the_same_trace_of_any_system(
    case: tuple[System, Draws], until_s: float
) -> None:
    reference, compiled = (
        run(*case, engine, until_s=until_s).columns() for engine in ("simpy", "compiled")
    )
    for name in (*STAMPS, "ended_s"):
        np.testing.assert_allclose(compiled[name], reference[name], rtol=0, atol=1e-9, err_msg=name)
    for name in set(reference) - {*STAMPS, "ended_s"}:
        np.testing.assert_array_equal(compiled[name], reference[name], err_msg=name)


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
