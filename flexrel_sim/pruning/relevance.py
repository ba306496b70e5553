r"""Relevance of weights: what inference on given inputs says.

Relevance is propagated from the logit of a class as gradient × activation, which on a ReLU network
is LRP-ε. The paper's relevance of a weight of ``B = A·W`` is
``rel(w_kj) = Σ_i [rel(a_ik) + rel(b_ij)]``; a convolution is read in its im2col form, where every
output position is a sample ``i``. Sums run over samples and positions, so two small arrays per
layer are all that is kept, whatever the number of samples.

References
----------
Chiasserini et al., DOI 10.1109/MNET.2025.3556212 (relevance of a weight);
Ancona et al., *Towards better understanding of gradient-based attribution methods*, ICLR 2018
(gradient × activation is LRP-ε on ReLU networks).
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["RelevanceSums", "prunable_layers", "weight_relevance"]

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

    def per_weight(self, layer: Prunable) -> Tensor:
        """Give ``rel(w_kj) = α_k + β_j`` in the shape of the layer's weights."""
        if isinstance(layer, nn.Linear):
            return self.beta[:, None] + self.alpha[None, :]
        group = torch.arange(layer.out_channels) // (layer.out_channels // layer.groups)
        alpha = self.alpha.reshape(layer.groups, -1, *layer.kernel_size)
        return self.beta[:, None, None, None] + alpha[group]


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
    target: Literal["label", "predicted"] = "label",
    absolute: bool = True,
    batch_size: int = 100,
) -> dict[str, Tensor]:
    """Compute the relevance of every prunable weight.

    Parameters
    ----------
    network
        In evaluation mode; left as it is.
    images, labels
        Calibration samples, shapes ``(samples, channels, height, width)`` and ``(samples,)``.
    target
        Whose logit relevance starts from.
    absolute
        Whether each neuron's relevances are summed as magnitudes, so that samples that speak for
        it and samples that speak against it do not cancel.
    batch_size
        Samples at a time; bounds memory.

    Returns
    -------
    dict
        Layer name to relevance in the shape of its weights, float64.
    """
    # A copy: activations must survive the layers after them, and its weights need no gradient.
    network = copy.deepcopy(network).requires_grad_(False)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    layers = prunable_layers(network)
    sums: dict[str, RelevanceSums] = {}
    for batch, batch_labels in zip(images.split(batch_size), labels.split(batch_size), strict=True):
        for name, (source, sink) in _activations_and_gradients(
            network, layers, batch, batch_labels, target
        ).items():
            part = _layer_sums(layers[name], source, sink, absolute=absolute)
            old = sums.get(name)
            sums[name] = (
                part if old is None else RelevanceSums(old.alpha + part.alpha, old.beta + part.beta)
            )
    return {name: sums[name].per_weight(layer) for name, layer in layers.items()}


def _activations_and_gradients(
    network: nn.Module,
    layers: dict[str, Prunable],
    images: Tensor,
    labels: Tensor,
    target: str,
) -> dict[str, tuple[Tensor, Tensor]]:
    """Give gradient × activation at the input and the output of every layer."""
    recorded: dict[str, tuple[Tensor, Tensor]] = {}

    def record(name: str) -> Any:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            recorded[name] = (inputs[0], output)

        return hook

    handles = [layer.register_forward_hook(record(name)) for name, layer in layers.items()]
    try:
        with torch.enable_grad():
            logits = network(images.requires_grad_())
            chosen = labels if target == "label" else logits.argmax(1)
            score = logits.gather(1, chosen[:, None]).sum()
            flat = [tensor for pair in recorded.values() for tensor in pair]
            gradients = torch.autograd.grad(score, flat)
    finally:
        for handle in handles:
            handle.remove()
    products = [(tensor * grad).detach() for tensor, grad in zip(flat, gradients, strict=True)]
    return dict(zip(recorded, zip(products[::2], products[1::2], strict=True), strict=True))


def _layer_sums(layer: Prunable, source: Tensor, sink: Tensor, *, absolute: bool) -> RelevanceSums:
    if absolute:
        source, sink = source.abs(), sink.abs()
    # Samples first: everything after them is linear in the sum.
    inputs = source.sum(0, dtype=torch.float64)
    outputs = sink.sum(0, dtype=torch.float64)
    if isinstance(layer, nn.Linear):
        return RelevanceSums(inputs, outputs)
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
