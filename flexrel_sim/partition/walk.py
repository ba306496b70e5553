"""Running a network once, and serving every cut in passing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, fx

from flexrel_sim.partition.graph import Graph

__all__ = ["walk"]


def walk(graph: Graph, images: Tensor) -> Iterator[tuple[int, Mapping[fx.Node, Any]]]:
    """Run a network one operation at a time.

    Parameters
    ----------
    graph
        The network.
    images
        What the network takes.

    Yields
    ------
    position
        How many operations are done, from 0 to all.
    values
        The values that are still read after them, the answers among them at the end; they are
        dropped as the walk goes on.
    """
    runner = fx.Interpreter(graph.module, garbage_collect_values=False)
    values: dict[fx.Node, Any] = {}
    runner.env = values
    for constant in graph.constants:
        values[constant] = runner.run_node(constant)
    values[graph.source] = images
    dying: dict[int, list[fx.Node]] = {}
    for value, position in graph.last_use.items():
        dying.setdefault(position, []).append(value)
    yield 0, values
    for position, operation in enumerate(graph.operations, start=1):
        values[operation.node] = runner.run_node(operation.node)
        for value in dying.get(position, ()):
            del values[value]
        yield position, values
        if operation.node not in graph.last_use:
            del values[operation.node]
