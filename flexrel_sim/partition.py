"""Cutting a network into head and tail."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from torch import nn

__all__ = ["EDGE", "SERVER", "boundaries", "split_network", "stages"]

EDGE, SERVER = "edge", "server"

_WHOLE = "network"


def stages(network: nn.Module) -> dict[str, nn.Module]:
    """List what runs one after another, each stage on what the one before it gave.

    Parameters
    ----------
    network
        Any network.

    Returns
    -------
    dict
        Dotted name to stage, in order. A chain gives its layers, and those of the chains in it; any
        other module, such as a residual block, is one stage; a network that is no chain is one
        stage, ``network``.
    """
    return dict(_stages(network, "")) if _is_chain(network) else {_WHOLE: network}


def boundaries(network: nn.Module) -> tuple[str, ...]:
    """List where a network can be cut: on the server, after any stage but the last, on the edge."""
    return (SERVER, *list(stages(network))[:-1], EDGE)


def split_network(network: nn.Module, cut: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a network; both halves share its weights.

    Parameters
    ----------
    network
        Any network.
    cut
        ``server`` for an empty head, ``edge`` for an empty tail, or the name of the head's last
        stage.

    Returns
    -------
    head, tail
        Chains such that ``tail(head(x))`` does exactly the operations of ``network(x)``. Stages,
        and all their layers, keep their names.

    Raises
    ------
    ValueError
        If the network has no such boundary.
    """
    known = boundaries(network)
    if cut not in known:
        raise ValueError(f"cut must be one of {', '.join(known)}, got {cut!r}")
    parts = list(stages(network).items())
    at = len(parts) if cut == EDGE else known.index(cut)
    return _joined(parts[:at]), _joined(parts[at:])


def _is_chain(module: nn.Module) -> bool:
    """Whether calling a module is calling its children in order, and nothing else."""
    return (
        isinstance(module, nn.Sequential)
        and type(module).forward is nn.Sequential.forward
        and not module._forward_hooks
        and not module._forward_pre_hooks
    )


def _stages(module: nn.Module, prefix: str) -> Iterable[tuple[str, nn.Module]]:
    # Not named_children(), which leaves a module out when it comes a second time.
    for name, child in module._modules.items():
        if child is None:
            continue
        if _is_chain(child):
            yield from _stages(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _joined(parts: Iterable[tuple[str, nn.Module]]) -> nn.Sequential:
    """Join stages to a chain with the same chains in it, so that all names stay."""
    layers: dict[str, nn.Module] = {}
    inner: dict[str, list[tuple[str, nn.Module]]] = {}
    for dotted, stage in parts:
        name, _, rest = dotted.partition(".")
        layers[name] = stage
        if rest:
            inner.setdefault(name, []).append((rest, stage))
    layers |= {name: _joined(below) for name, below in inner.items()}
    return nn.Sequential(OrderedDict(layers))
