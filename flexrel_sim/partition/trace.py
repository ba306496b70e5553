"""From a network to its graph, by calling it once with a proxy instead of an image.

A module without modules in it, and every module that torch brings, is one operation; all other
modules are entered, and each function that they call is an operation too. A module that can't be
entered, because what it does hangs on the values of its input, is one operation as a whole.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from torch import fx, nn

from flexrel_sim.errors import one_line
from flexrel_sim.partition.graph import WHOLE, Graph, Operation, operation_names
from flexrel_sim.placement import NotEntered

__all__ = ["boundaries", "trace"]

_ENTERED: Final = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


class _Call(nn.Module):
    """Calls a network with one image, so that its hooks are traced, and its defaults are used."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Any) -> Any:
        return self.network(image)


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__()
        self.not_entered: dict[str, NotEntered] = {}

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        del module_qualified_name
        if isinstance(m, _ENTERED):
            return False
        return not m._modules or m.__module__.startswith("torch.nn")

    def call_module(
        self,
        m: nn.Module,
        forward: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        known, stack = set(self.graph.nodes), self.module_stack.copy()
        try:
            return super().call_module(m, forward, args, kwargs)
        except Exception as error:  # noqa: BLE001 - given a proxy, a user's forward may raise anything
            self._note(m, self.path_of_module(m), error)
            self.module_stack = stack
            for node in reversed(self.graph.nodes):
                if node not in known:
                    self.graph.erase_node(node)
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)

    def _note(self, module: nn.Module, path: str, error: Exception) -> None:
        """Remember what could not be entered, in place of what is inside it."""
        inside = [known for known in self.not_entered if known.startswith(f"{path}.")]
        for known in inside:
            del self.not_entered[known]
        name = path.removeprefix(f"{WHOLE}.")
        forward = f"{type(module).__name__}.forward"
        self.not_entered[path] = NotEntered(name, forward, _reason(error))


def trace(network: nn.Module) -> Graph:
    """Trace a network.

    Parameters
    ----------
    network
        From one tensor ``(batch, …)`` to its answers. Neither changed nor copied.

    Returns
    -------
    Graph
        Its operations in the order of execution.
    """
    root, tracer = _Call(network), _Tracer()
    traced = tracer.trace(root)
    prefix = f"{WHOLE}."
    for node in traced.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = str(node.target).removeprefix(prefix)
    whole = any(node.op == "call_module" and node.target == WHOLE for node in traced.nodes)
    module = fx.GraphModule(root if whole else network, traced)
    nodes = list(module.graph.nodes)
    constants = _constants(nodes)
    working = [node for node in nodes if node.op.startswith("call_") and node not in constants]
    names = operation_names(working, prefix)
    return Graph(
        module,
        tuple(Operation(name, node) for name, node in zip(names, working, strict=True)),
        tuple(constants),
        network,
        tuple(tracer.not_entered.values()),
    )


def _reason(error: Exception) -> str:
    """Give an error in a line, and the user's own line that it came from."""
    own = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "torch" not in Path(frame.filename).parts and Path(frame.filename) != Path(__file__)
    ]
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno}: " if own else ""
    return one_line(f"{place}{type(error).__name__}: {error}")


def boundaries(network: nn.Module) -> tuple[str, ...]:
    """List where a network can be cut, from ``server`` to ``edge``."""
    return tuple(trace(network).cuts)


def _constants(nodes: list[fx.Node]) -> dict[fx.Node, None]:
    """List what does not hang on the image: weights, and what is computed of them alone."""
    constants: dict[fx.Node, None] = {}
    for node in nodes:
        if node.op in ("placeholder", "output"):
            continue
        if all(source in constants for source in node.all_input_nodes):
            constants[node] = None
    return constants
