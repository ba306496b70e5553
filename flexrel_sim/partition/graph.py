"""Operations, what is alive between them, and the cuts that follow.

A cut is a prefix of the order of execution. What crosses it are the values that were computed
before it and are still read after it: its boundary. Prefixes with the same boundary are one cut,
and a cut is valid if all that crosses is tensors.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from torch import fx, nn

from flexrel_sim.placement import NotEntered

__all__ = [
    "EDGE",
    "SERVER",
    "WHOLE",
    "CutPoint",
    "Graph",
    "Operation",
    "operation_names",
]

EDGE, SERVER = "edge", "server"

_RESERVED: Final = (SERVER, EDGE, "best")
"""What a scenario's cut means something else by than an operation."""

WHOLE: Final = "network"
"""Name of a network that is one operation as a whole."""

_NUMBERS: Final = {"size", "dim", "numel", "item", "ndimension", "stride", "is_floating_point"}
"""Methods of a tensor that give numbers."""


@dataclass(frozen=True)
class Operation:
    """One operation of a network.

    Parameters
    ----------
    name
        The dotted path of its module; for a function, that of the module that calls it and the
        function's name. The second time it is ``name@2``.
    node
        It, in the graph.
    """

    name: str
    node: fx.Node


@dataclass(frozen=True)
class CutPoint:
    """One place to cut.

    Parameters
    ----------
    name
        ``server``, ``edge``, or the name of the head's last operation.
    position
        How many operations the head has.
    values
        What crosses, in the order in which it was computed.
    """

    name: str
    position: int
    values: tuple[fx.Node, ...]


@dataclass(frozen=True)
class Graph:
    """A network as operations.

    Parameters
    ----------
    module
        The whole graph as a module; its layers are the network's own.
    operations
        In the order of execution.
    constants
        What does not hang on the input: each half has what it needs of it, and nothing is sent.
    network
        Where it came from.
    not_entered
        Modules that could not be traced, each of which is one operation, and why.
    """

    module: fx.GraphModule
    operations: tuple[Operation, ...]
    constants: tuple[fx.Node, ...]
    network: nn.Module
    not_entered: tuple[NotEntered, ...] = ()

    @cached_property
    def source(self) -> fx.Node:
        """The input."""
        source: fx.Node = self.module.graph.find_nodes(op="placeholder")[0]
        return source

    @cached_property
    def output(self) -> fx.Node:
        """The node that returns the answers."""
        output: fx.Node = self.module.graph.output_node()
        return output

    @cached_property
    def names(self) -> dict[fx.Node, str]:
        """Name of every value that can cross: its operation's, or ``input``."""
        return {self.source: "input"} | {item.node: item.name for item in self.operations}

    @cached_property
    def last_use(self) -> dict[fx.Node, int]:
        """Position of the last operation that reads a value; the answers are read at the end."""
        found: dict[fx.Node, int] = {}
        for position, operation in enumerate(self.operations, start=1):
            for value in operation.node.all_input_nodes:
                found[value] = position
        for value in self.output.all_input_nodes:
            found[value] = len(self.operations) + 1
        return found

    @cached_property
    def cuts(self) -> dict[str, CutPoint]:
        """Every cut by name, in order: on the server, between two operations, on the edge."""
        last = len(self.operations)
        answers = tuple(self.output.all_input_nodes)
        found = {SERVER: CutPoint(SERVER, 0, (self.source,))}
        seen = {frozenset((self.source,)), frozenset(answers)}
        for position, crossing in self._crossings():
            if position < last and crossing not in seen and crossing <= self.tensors:
                seen.add(crossing)
                name = self.operations[position - 1].name
                values = tuple(value for value in self.names if value in crossing)
                found[name] = CutPoint(name, position, values)
        return found | {EDGE: CutPoint(EDGE, last, answers)}

    @cached_property
    def blocks(self) -> dict[str, str]:
        """Other names of cuts: a module that holds several operations is cut after its last."""
        names = [operation.name for operation in self.operations]
        ends: dict[str, str] = {}
        for name in names:
            parts = name.split(".")
            for depth in range(1, len(parts)):
                ends[".".join(parts[:depth])] = name
        at = {cut.position: cut.name for cut in self.cuts.values()}
        places = {name: at.get(position) for position, name in enumerate(names, start=1)}
        cuts = {block: places[end] for block, end in ends.items() if block not in places}
        return {block: cut for block, cut in cuts.items() if cut is not None}

    @cached_property
    def tensors(self) -> frozenset[fx.Node]:
        """Values that can cross: the input, and results that are one tensor each."""
        return _tensors(self)

    def cut(self, name: str) -> CutPoint:
        """Find a cut.

        Parameters
        ----------
        name
            Its name, or that of a block that it follows.

        Returns
        -------
        CutPoint
            The cut.

        Raises
        ------
        ValueError
            If the network has no such boundary.
        """
        known = self.cuts
        found = known.get(name) or known.get(self.blocks.get(name, ""))
        # What ends the network is called 'edge', so that every cut has one name.
        if found is None or (found.name == EDGE and name != EDGE):
            raise ValueError(f"cut must be one of {', '.join(known)}, got {name!r}")
        return found

    def _crossings(self) -> Iterator[tuple[int, frozenset[fx.Node]]]:
        alive = {self.source}
        for position, operation in enumerate(self.operations, start=1):
            alive.add(operation.node)
            alive = {value for value in alive if self.last_use.get(value, 0) > position}
            yield position, frozenset(alive)


def operation_names(nodes: Sequence[fx.Node], prefix: str) -> list[str]:
    """Name operations by the modules that do them.

    Parameters
    ----------
    nodes
        Calls, in the order of execution.
    prefix
        What all paths of modules start with, and names do not.

    Returns
    -------
    list of str
        One name each, all different, and none that means something else on a scenario.
    """
    runs: Counter[str] = Counter(_RESERVED)
    names: list[str] = []
    for node in nodes:
        name = _name(node, prefix)
        runs[name] += 1
        names.append(name if runs[name] == 1 else f"{name}@{runs[name]}")
    return names


def _name(node: fx.Node, prefix: str) -> str:
    if node.op == "call_module":
        return str(node.target)
    called = node.target if isinstance(node.target, str) else node.target.__name__
    stack = node.meta.get("nn_module_stack") or {}
    inside = [str(path) for path, _ in stack.values()]
    path = f"{inside[-1]}.".removeprefix(prefix) if inside else ""
    return f"{path}{called}"


def _tensors(graph: Graph) -> frozenset[fx.Node]:
    """List the values that are tensors, as far as the graph tells without running it."""
    numbers: set[fx.Node] = set()
    for operation in graph.operations:
        node = operation.node
        sources = [value for value in node.all_input_nodes if value not in graph.constants]
        attribute = node.op == "call_function" and node.target is getattr
        method = node.op == "call_method" and node.target in _NUMBERS
        derived = bool(sources) and all(value in numbers for value in sources)
        if attribute or method or derived:
            numbers.add(node)
    values = [graph.source, *(operation.node for operation in graph.operations)]
    return frozenset(v for v in values if v not in numbers and not _is_tuple(v))


def _is_tuple(value: fx.Node) -> bool:
    # Nobody indexes a batch by a number, so what is only ever read so is several tensors.
    return bool(value.users) and all(_takes_item(user) for user in value.users)


def _takes_item(user: fx.Node) -> bool:
    key: Any = user.args[1] if len(user.args) > 1 else None
    named = getattr(user.target, "__name__", "") == "getitem"
    return user.op == "call_function" and named and isinstance(key, int)
