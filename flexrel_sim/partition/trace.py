"""From a network to its graph, by calling it once with a proxy instead of an image.

A module without modules in it, and every module that torch brings, is one operation; all other
modules are entered, and each function that they call is an operation too. A module that can't be
entered, because what it does hangs on the values of its input, is one operation as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from torch import fx, nn

from flexrel_sim.partition.graph import WHOLE, Graph, Operation, operation_names

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
        except Exception:  # noqa: BLE001 - given a proxy, a user's forward may raise anything
            self.module_stack = stack
            for node in reversed(self.graph.nodes):
                if node not in known:
                    self.graph.erase_node(node)
            return self.create_proxy("call_module", self.path_of_module(m), args, kwargs)


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
    root = _Call(network)
    traced = _Tracer().trace(root)
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
    )


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
