r"""Batch norms into the layers before them: what a weight does is told only with its scale.

In evaluation mode ``BN(Wa + c) = γ/√(σ²+ε) · (Wa + c - μ) + β`` is one affine map, whose weights
are ``W' = γ/√(σ²+ε) · W`` and whose bias is ``(c - μ) · γ/√(σ²+ε) + β``.

References
----------
Jacob et al., *Quantization and training of neural networks for efficient integer-arithmetic-only
inference*, CVPR 2018, section 3.2 and eq. 14 (the folded weights).
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Final, TypeVar

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from flexrel_sim.pruning.calls import calls_of
from flexrel_sim.pruning.propagation import prepared

__all__ = ["folded", "norm_pairs"]

Network = TypeVar("Network", bound=nn.Module)

_NORMS: Final = nn.modules.batchnorm._BatchNorm


def folded(network: Network, example: Tensor) -> Network:
    """Fold every batch norm that directly follows a convolution or a fully connected layer.

    Parameters
    ----------
    network
        Any network; left as it is.
    example
        Images of the shape it takes, to see which module reads what; one is enough,
        ``(batch, channels, height, width)``.

    Returns
    -------
    torch.nn.Module
        A `prepared` copy that computes the same in evaluation mode. Layers keep their names; a
        folded batch norm becomes an identity. One whose input has another reader, such as a
        shortcut, is left alone, and so is one that has no running statistics.
    """
    network = prepared(network)
    for layer, norm, name in _pairs(network, example):
        # The library's function is written for convolutions, and a matrix is one without positions.
        layer.weight, layer.bias = fuse_conv_bn_weights(
            layer.weight,
            layer.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        network.set_submodule(name, nn.Identity().eval())
    return network


def norm_pairs(network: nn.Module, example: Tensor) -> dict[str, nn.modules.batchnorm._BatchNorm]:
    """Pair layers with the batch norms that `folded` puts into them.

    Parameters
    ----------
    network, example
        As in `folded`.

    Returns
    -------
    dict
        Layer name to a copy of its batch norm.
    """
    network = prepared(network)
    names = {module: name for name, module in network.named_modules()}
    return {names[layer]: norm for layer, norm, _ in _pairs(network, example)}


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[Any, Any, str]]:
    """Give layers with the batch norm that alone reads their output, and its name."""
    names = {
        module: name
        for name, module in network.named_modules()
        if isinstance(module, _NORMS) and module.running_mean is not None
    }
    if not names:
        return []
    watched = [
        module
        for module in network.modules()
        if module in names or isinstance(module, nn.Conv2d | nn.Linear)
    ]
    calls, result = calls_of(network, example, watched)
    readers = _readers(result)
    times = Counter(call.module for call in calls)
    # The calls keep every output alive, so that no id is used twice.
    producers = {
        id(call.output): call.module
        for call in calls
        if call.module not in names
        and times[call.module] == 1
        and readers[call.output.grad_fn] == 1
    }
    return [
        (producers[id(call.source)], call.module, names[call.module])
        for call in calls
        if call.module in names
        and times[call.module] == 1
        and id(call.source) in producers
        # Batch norm scales the second axis, a fully connected layer gives the last.
        and (call.source.dim() == 2 or isinstance(producers[id(call.source)], nn.Conv2d))
    ]


def _readers(result: Tensor) -> Counter[Any]:
    """Count the readers of every operation's output, in modules or not, by the autograd graph."""
    readers: Counter[Any] = Counter()
    reached = {result.grad_fn}
    ahead = [result.grad_fn]
    while ahead:
        node = ahead.pop()
        for follower, _ in node.next_functions if node else ():
            readers[follower] += 1
            if follower not in reached:
                reached.add(follower)
                ahead.append(follower)
    return readers
