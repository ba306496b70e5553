r"""Relevance of weights: what inference on given inputs says.

Relevance is propagated from the logit of a class to every neuron (`propagation`). Two definitions
take it from neurons to the weights of ``B = A·W``; a convolution is read in its im2col form, where
every output position is a sample ``i``.

- ``additive``, the paper's: ``rel(w_kj) = Σ_i [rel(a_ik) + rel(b_ij)]``. It does not see w.
- ``message``: what flows through the weight, ``msg(w_kj) = Σ_i |a_ik · w_kj · s_ij|``, with s as in
  `propagation.LayerFlow`. With s = 1 and the root of squares it is Wanda; under the gradient rule
  its signed sum is Taylor's first order, of the logit.

Sums run over samples and positions, so that what is kept never grows with the number of samples.

References
----------
Chiasserini et al., DOI 10.1109/MNET.2025.3556212 (relevance of a weight);
Bach et al., PLOS ONE 10(7), 2015, eq. 13 (messages: relevance from one neuron to another);
Sun et al., *A simple and effective pruning approach for large language models*, ICLR 2024 (Wanda);
Molchanov et al., *Importance estimation for neural network pruning*, CVPR 2019 (Taylor).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.grad import conv2d_weight

from flexrel_sim.pruning.folding import folded
from flexrel_sim.pruning.propagation import LayerFlow, stream
from flexrel_sim.scenario.pruning_sections import RelevanceSection

__all__ = [
    "Prunable",
    "RelevanceSums",
    "layer_sums",
    "message_relevance",
    "message_sums",
    "prunable_layers",
    "relevance_sums",
    "weight_relevance",
]

Prunable = nn.Conv2d | nn.Linear


@dataclass(frozen=True)
class RelevanceSums:
    """Relevance of a layer's inputs and outputs, summed over samples and positions.

    Parameters
    ----------
    alpha
        Per input that a weight reads: ``(in_features,)``, or ``(in_channels, *kernel)``.
    beta
        Per output: ``(out,)``.
    """

    alpha: Tensor
    beta: Tensor

    def __add__(self, other: RelevanceSums) -> RelevanceSums:
        return RelevanceSums(self.alpha + other.alpha, self.beta + other.beta)

    def per_weight(self, layer: Prunable, dtype: torch.dtype = torch.float64) -> Tensor:
        """Give ``rel(w_kj) = α_k + β_j`` in the shape of the layer's weights."""
        if isinstance(layer, nn.Linear):
            return self.beta.to(dtype)[:, None] + self.alpha.to(dtype)[None, :]
        group = torch.arange(layer.out_channels) // (layer.out_channels // layer.groups)
        alpha = self.alpha.reshape(layer.groups, -1, *layer.kernel_size)
        return self.beta.to(dtype)[:, None, None, None] + alpha.to(dtype)[group]


def prunable_layers(network: nn.Module) -> dict[str, Prunable]:
    """List the layers whose weights can be pruned.

    Parameters
    ----------
    network
        Any network.

    Returns
    -------
    dict
        Convolutions and fully connected layers by name, in order.

    Raises
    ------
    ValueError
        If a convolution pads with anything but zeros, which relevance does not cover.
    """
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    }
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d) and layer.padding_mode != "zeros":
            raise ValueError(f"layer {name!r} must pad with zeros, got {layer.padding_mode!r}")
    return layers


def weight_relevance(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    settings: RelevanceSection,
    batch_size: int = 100,
) -> dict[str, Tensor]:
    """Compute the additive relevance of every prunable weight, the paper's.

    Parameters
    ----------
    network
        Left as it is; its batch norms are folded first.
    images, labels
        Calibration samples, shapes ``(samples, channels, height, width)`` and ``(samples,)``.
    settings
        Rule, target, and whether each neuron's relevances are summed as magnitudes, so that
        samples that speak for it and samples that speak against it do not cancel.
    batch_size
        Samples at a time; bounds memory.

    Returns
    -------
    dict
        Layer name to relevance in the shape of its weights, float64.
    """
    sums = relevance_sums(network, images, labels, settings=settings, batch_size=batch_size)
    layers = prunable_layers(network)
    return {name: total.per_weight(layers[name]) for name, total in sums.items()}


def relevance_sums(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    settings: RelevanceSection,
    batch_size: int = 100,
    fold: bool = True,
) -> dict[str, RelevanceSums]:
    """Sum the relevance of every prunable layer's inputs and outputs.

    Parameters
    ----------
    network, images, labels, settings, batch_size
        As in `weight_relevance`.
    fold
        False for a network that `folded` gave: another copy would cost memory.

    Returns
    -------
    dict
        Layer name to sums in float64.
    """
    network = _folded(network, images, fold)
    layers = prunable_layers(network)
    sums: dict[str, RelevanceSums] = {}

    def add(name: str, flow: LayerFlow) -> None:
        part = _spread(layers[name], *flow.summed(absolute=settings.sum == "absolute"))
        sums[name] = sums[name] + part if name in sums else part

    _batches(network, images, labels, settings, batch_size, add)
    return {name: sums[name] for name in layers}


def message_relevance(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    settings: RelevanceSection,
    batch_size: int = 100,
    fold: bool = True,
) -> dict[str, Tensor]:
    """Compute the message relevance of every prunable weight: what flows through it.

    ``|w_kj| · Σ_i |a_ik| · |s_ij|``, or ``|w_kj · Σ_i a_ik · s_ij|`` for signed sums; w is the
    folded weight, under every rule: z⁺ lets nothing through a negative weight of a positive input,
    and here such a weight counts by what it holds back.

    Parameters
    ----------
    network, images, labels, settings, batch_size
        As in `weight_relevance`.
    fold
        As in `relevance_sums`.

    Returns
    -------
    dict
        Layer name to relevance in the shape of its weights, float64.
    """
    network = _folded(network, images, fold)
    layers = prunable_layers(network)
    sums: dict[str, Tensor] = {}

    def add(name: str, flow: LayerFlow) -> None:
        absolute = settings.sum == "absolute"
        part = message_sums(layers[name], flow.activation, flow.factor, absolute=absolute)
        sums[name] = sums[name] + part if name in sums else part

    _batches(network, images, labels, settings, batch_size, add)
    return {name: (layer.weight.double() * sums[name]).abs() for name, layer in layers.items()}


def layer_sums(layer: Prunable, source: Tensor, sink: Tensor, *, absolute: bool) -> RelevanceSums:
    """Sum relevance at a layer's input and output over samples and positions.

    Parameters
    ----------
    layer
        The layer between them.
    source, sink
        One number per input and per output neuron, batch first.
    absolute
        Whether magnitudes are summed.

    Returns
    -------
    RelevanceSums
        In float64. For a convolution α counts an input as often as a kernel element reads it.
    """
    if absolute:
        source, sink = source.abs(), sink.abs()
    # Samples first: everything after them is linear in the sum.
    return _spread(layer, source.sum(0, dtype=torch.float64), sink.sum(0, dtype=torch.float64))


def _spread(layer: Prunable, inputs: Tensor, outputs: Tensor) -> RelevanceSums:
    """Give every weight the inputs that it reads, from sums over samples."""
    if isinstance(layer, nn.Linear):
        return RelevanceSums(_rows(inputs).sum(0), _rows(outputs).sum(0))
    padded = functional.pad(inputs, layer._reversed_padding_repeated_twice)
    height, width = outputs.shape[1:]
    rows, columns = layer.kernel_size
    alpha = torch.empty(layer.in_channels, rows, columns, dtype=torch.float64)
    for u in range(rows):
        for v in range(columns):
            # Every output position reads, through kernel element (u, v), one strided slice.
            top, left = u * layer.dilation[0], v * layer.dilation[1]
            window = padded[
                :,
                top : top + (height - 1) * layer.stride[0] + 1 : layer.stride[0],
                left : left + (width - 1) * layer.stride[1] + 1 : layer.stride[1],
            ]
            alpha[:, u, v] = window.sum((1, 2))
    return RelevanceSums(alpha, outputs.sum((1, 2)))


def _rows(tensor: Tensor) -> Tensor:
    """Give a linear layer's tensor one row each time that it is applied: tokens are positions."""
    return tensor.reshape(-1, tensor.shape[-1])


def message_sums(layer: Prunable, activation: Tensor, factor: Tensor, *, absolute: bool) -> Tensor:
    """Sum ``a_ik · s_ij`` over samples and positions, for every weight: one weight gradient.

    Parameters
    ----------
    layer
        The layer between them.
    activation, factor
        a at its input and s at its output, batch first.
    absolute
        Whether ``|a_ik| · |s_ij|`` is summed.

    Returns
    -------
    torch.Tensor
        In the shape of the weights; summed within the batch in its own precision, given in float64.
    """
    if absolute:
        activation, factor = activation.abs(), factor.abs()
    if isinstance(layer, nn.Linear):
        return (_rows(factor).T @ _rows(activation)).double()
    padding = layer.padding
    if isinstance(padding, str):
        # 'same' may pad one side more, which no pair of numbers says.
        activation = functional.pad(activation, layer._reversed_padding_repeated_twice)
        padding = (0, 0)
    sums: Tensor = conv2d_weight(
        activation,
        layer.weight.shape,
        factor,
        stride=layer.stride,
        padding=padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )
    return sums.double()


def _folded(network: nn.Module, images: Tensor, fold: bool) -> nn.Module:
    prunable_layers(network)  # refuses before anything runs
    return folded(network, images[:1]) if fold else network


def _batches(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: RelevanceSection,
    batch_size: int,
    consume: Callable[[str, LayerFlow], None],
) -> None:
    """Hand over every layer's flow, batch by batch, of a folded network."""
    layers = prunable_layers(network)
    for batch, chosen in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        stream(network, layers, batch, chosen, settings=settings, consume=consume)
