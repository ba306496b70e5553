"""A network as a graph of operations: where it can be cut, what each side costs, and the halves."""

from flexrel_sim.partition.count import Cost, count
from flexrel_sim.partition.graph import EDGE, SERVER, CutPoint, Graph, Operation
from flexrel_sim.partition.split import split_graph, split_network
from flexrel_sim.partition.table import cut_table
from flexrel_sim.partition.trace import boundaries, trace
from flexrel_sim.partition.walk import walk

__all__ = [
    "EDGE",
    "SERVER",
    "Cost",
    "CutPoint",
    "Graph",
    "Operation",
    "boundaries",
    "count",
    "cut_table",
    "split_graph",
    "split_network",
    "trace",
    "walk",
]
