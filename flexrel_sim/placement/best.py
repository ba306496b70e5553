"""The best cut: by trying all that have a name, and as a minimum cut over all there are."""

from __future__ import annotations

import math
from collections.abc import Iterable

import networkx as nx

from flexrel_sim.placement.problem import Objective, Problem

__all__ = ["best_prefix", "minimum_cut"]

_EDGE, _SERVER, _CROSSING = "edge", "server", "crossing"

# Flows are computed in whole femtoseconds: sums of floats would differ in their last bits, and
# an augmenting path of a rounding error's size never ends.
_PER_SECOND = 10**15


def best_prefix(problem: Problem, positions: Iterable[int], objective: Objective) -> int:
    """Try cuts of an order of execution, and give the best.

    Parameters
    ----------
    problem
        What runs, and what it takes.
    positions
        How many operations the head has, for every cut.
    objective
        ``latency``: the least time of a request that meets no other. ``throughput``: the least
        time of the busiest stage, and of those as good the one of the least latency.

    Returns
    -------
    int
        The position of the best; of those as good, the first.
    """

    def cost(position: int) -> tuple[float, float]:
        head = frozenset(range(position))
        latency_s = problem.latency_s(head)
        return (problem.slowest_s(head) if objective == "throughput" else 0.0, latency_s)

    return min(positions, key=cost)


def minimum_cut(problem: Problem) -> frozenset[int]:
    """Find the head of the least latency among all, also those that no order has as a prefix.

    Parameters
    ----------
    problem
        What runs, and what it takes.

    Returns
    -------
    frozenset of int
        The operations on the edge; all that they read is among them.

    References
    ----------
    Hu et al., *Dynamic adaptive DNN surgery for inference acceleration on the edge*, INFOCOM 2019,
    section IV-A (DADS under light load): a value has a node of its own, so that it is sent once
    for all its readers. Added here: what is paid once for crossing at all, and arcs from readers to
    sources, so that nothing goes back to the edge. Where a connection has a ceiling, each value
    counts as a message of its own, with a window of its own.
    """
    graph = nx.DiGraph()
    _arc(graph, _EDGE, _CROSSING, problem.crossing_s)
    for operation in range(problem.operations):
        # On the server it is cut off from the edge, and on the edge from the server.
        _arc(graph, _EDGE, operation, problem.server_s[operation])
        _arc(graph, operation, _SERVER, problem.edge_s[operation])
        _arc(graph, _CROSSING, operation, math.inf)
        for source in problem.needs[operation]:
            _arc(graph, operation, source, math.inf)
    for index, value in enumerate(problem.values):
        sent = ("value", index)
        start = _EDGE if value.source is None else value.source
        _arc(graph, start, sent, value.crossing_s(problem.window_s))
        for reader in value.readers:
            _arc(graph, sent, reader, math.inf)
    if not problem.operations:
        return frozenset()
    _, (on_edge, _) = nx.minimum_cut(graph, _EDGE, _SERVER)
    return frozenset(node for node in on_edge if isinstance(node, int))


def _arc(graph: nx.DiGraph, tail: object, head: object, capacity_s: float) -> None:
    # Without a capacity an arc is never cut.
    limit = {} if math.isinf(capacity_s) else {"capacity": round(capacity_s * _PER_SECOND)}
    graph.add_edge(tail, head, **limit)
