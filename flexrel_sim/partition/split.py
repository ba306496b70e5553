"""Head and tail: the operations before a cut, and those after it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from keyword import iskeyword
from typing import Any

from torch import fx, nn

from flexrel_sim.partition.graph import CutPoint, Graph
from flexrel_sim.partition.trace import trace

__all__ = ["split_graph", "split_network"]


def split_network(network: nn.Module, cut: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Cut a network; both halves share its weights.

    Parameters
    ----------
    network
        Any network.
    cut
        ``server`` for an empty head, ``edge`` for an empty tail, the name of the head's last
        operation, or that of a block which ends there.

    Returns
    -------
    head, tail
        The head gives the boundary tensor, or a tuple of them where several cross; the tail takes
        them as its arguments, one or several. Together they do exactly the operations of
        ``network(x)``, and their layers keep their names and state-dict keys.

    Raises
    ------
    ValueError
        If the network has no such boundary.
    """
    graph = trace(network)
    return split_graph(graph, graph.cut(cut))


def split_graph(graph: Graph, cut: CutPoint) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Cut a traced network; as `split_network`."""
    nodes = [operation.node for operation in graph.operations]
    head, known = _started(graph, [graph.source], nodes[: cut.position])
    crossing = tuple(known[value] for value in cut.values)
    if cut.position == len(nodes):
        # The answers as the network gives them, whatever they are packed in.
        head.output(fx.map_arg(graph.output.args[0], known.__getitem__))
    else:
        head.output(crossing if len(crossing) > 1 else crossing[0])
    tail, known = _started(graph, cut.values, nodes[cut.position :])
    tail.output(fx.map_arg(graph.output.args[0], known.__getitem__))
    return (
        fx.GraphModule(graph.module, head, "Head"),
        fx.GraphModule(graph.module, tail, "Tail"),
    )


def _argument(name: str) -> str:
    """Make the name of an operation one that an argument can have."""
    word = re.sub(r"\W", "_", name)
    return f"after_{word}" if word[0].isdigit() or iskeyword(word) else word


def _started(
    graph: Graph, inputs: Iterable[fx.Node], work: list[fx.Node]
) -> tuple[fx.Graph, dict[fx.Node, fx.Node]]:
    """Start a graph that takes some values, and does some operations on them."""
    half = fx.Graph()
    known: dict[fx.Node, fx.Node] = {}
    for value in inputs:
        known[value] = half.placeholder(_argument(graph.names[value]))

    def copied(value: fx.Node) -> Any:
        if value not in known:
            # A constant: each half has its own.
            known[value] = half.node_copy(value, copied)
        return known[value]

    for node in work:
        copied(node)
    for value in graph.output.all_input_nodes if work else ():
        if value in graph.constants:
            copied(value)
    return half, known
