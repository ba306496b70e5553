"""Two engines, one meaning: on the same draws both give the same trace."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from flexrel_sim.simulation.draws import Draws
from flexrel_sim.simulation.options import Choices
from flexrel_sim.simulation.requests import requests, trace_of
from flexrel_sim.simulation.simpy_engine import SimpyEngine
from flexrel_sim.simulation.system import System
from flexrel_sim.simulation.trace import Trace

__all__ = ["ENGINES", "EngineName", "chosen_engine", "simulate", "why_not_compiled"]

EngineName = Literal["auto", "simpy", "compiled"]

ENGINES: Final = ("auto", "simpy", "compiled")
"""`auto` is `compiled` where that is exact."""


def why_not_compiled(system: System, *, closed: bool = False, controlled: bool = False) -> str:
    """Say what the compiled engine has no exact form of; nothing if it is exact for the system.

    Stage after stage is exact as long as nothing flows back: no stage may depend on a later one.

    Parameters
    ----------
    system
        What is to be simulated.
    closed
        Whether clients wait for their answers.
    controlled
        Whether devices choose operating points by what they observe.
    """
    reasons = {
        "a half-duplex link couples both directions": system.medium == "half-duplex",
        "a controller looks back at its transmissions": controlled,
        "closed clients wait for their answers": closed,
        "weights compete with answers, and hold the edge up": system.updates is not None,
    }
    return "; ".join(reason for reason, holds in reasons.items() if holds)


def chosen_engine(
    system: System, engine: EngineName, *, closed: bool = False, controlled: bool = False
) -> Literal["simpy", "compiled"]:
    """Resolve `auto`.

    Parameters
    ----------
    system
        What is to be simulated.
    engine
        What was asked for.
    closed, controlled
        As in `why_not_compiled`.

    Returns
    -------
    str
        ``simpy`` or ``compiled``.

    Raises
    ------
    ValueError
        If `compiled` was asked for and is not exact; the message says why.
    """
    reason = why_not_compiled(system, closed=closed, controlled=controlled)
    if engine == "compiled" and reason:
        raise ValueError(f"the compiled engine is not exact here: {reason}")
    if engine == "auto":
        return "simpy" if reason else "compiled"
    return engine


def simulate(  # noqa: PLR0913, PLR0917 - all that a run hangs on
    system: System,
    draws: Draws,
    payload_bytes: NDArray[np.int64],
    correct: NDArray[np.bool_],
    engine: EngineName = "auto",
    until_s: float = math.inf,
    choices: Choices | None = None,
) -> Trace:
    """Simulate one replication.

    Parameters
    ----------
    system
        What requests go through.
    draws
        What chance decides.
    payload_bytes, correct
        Payload and outcome of every test sample, shape ``(samples,)``.
    engine
        One of `ENGINES`.
    until_s
        When to stop; a request that has not ended by then is in flight. Never by default: the
        run ends when all requests have.
    choices
        Operating points to choose from at run time.

    Returns
    -------
    Trace
        One record per request, in order of creation.

    Raises
    ------
    ValueError
        If `compiled` was asked for and is not exact.
    """
    rows = requests(system, draws, payload_bytes, correct)
    closed, controlled = draws.loop is not None, choices is not None
    if chosen_engine(system, engine, closed=closed, controlled=controlled) == "simpy":
        reference = SimpyEngine(system, draws, rows, choices)
        trace = trace_of(reference.run(), system, until_s)
        return replace(trace, deliveries=reference.deliveries(until_s))
    # Here, not at the top: numba is a third of a second that SimPy need not wait for.
    from flexrel_sim.simulation.compiled import CompiledEngine  # noqa: PLC0415

    return trace_of(CompiledEngine(system, draws).run(rows), system, until_s)
