"""The system half: requests through edge, link and server."""

from flexrel_sim.simulation.build import build_system
from flexrel_sim.simulation.draws import Draws, draw
from flexrel_sim.simulation.engines import ENGINES, simulate
from flexrel_sim.simulation.run import Unstable, simulate_point
from flexrel_sim.simulation.summary import SPANS, StageShare, Summary, Window, summarise
from flexrel_sim.simulation.system import Pool, Stage, System
from flexrel_sim.simulation.trace import OUTCOMES, REASONS, Trace

__all__ = [
    "ENGINES",
    "OUTCOMES",
    "REASONS",
    "SPANS",
    "Draws",
    "Pool",
    "Stage",
    "StageShare",
    "Summary",
    "System",
    "Trace",
    "Unstable",
    "Window",
    "build_system",
    "draw",
    "simulate",
    "simulate_point",
    "summarise",
]
