"""Cutting a chain into head and tail."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

__all__ = ["EDGE", "SERVER", "boundaries", "split_network"]

EDGE, SERVER = "edge", "server"


def boundaries(network: nn.Sequential) -> tuple[str, ...]:
    """List where a chain can be cut: on the server, after any layer but the last, on the edge."""
    names = [name for name, _ in network.named_children()]
    return (SERVER, *names[:-1], EDGE)


def split_network(network: nn.Sequential, cut: str) -> tuple[nn.Sequential, nn.Sequential]:
    """Cut a chain; both halves share its weights.

    Parameters
    ----------
    network
        A chain of named layers.
    cut
        ``server`` for an empty head, ``edge`` for an empty tail, or the name of the head's last
        layer.

    Returns
    -------
    head, tail
        Chains such that ``tail(head(x))`` does exactly the operations of ``network(x)``.

    Raises
    ------
    ValueError
        If the chain has no such boundary.
    """
    known = boundaries(network)
    if cut not in known:
        raise ValueError(f"cut must be one of {', '.join(known)}, got {cut!r}")
    at = len(network) if cut == EDGE else known.index(cut)
    layers = list(network.named_children())
    return nn.Sequential(OrderedDict(layers[:at])), nn.Sequential(OrderedDict(layers[at:]))
