"""Signals: one small function each, from evidence to a number per weight or per filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import torch
from torch import Tensor, nn

from flexrel_sim.pruning.evidence import Evidence, Scores
from flexrel_sim.pruning.folding import norm_pairs

__all__ = ["Granularity", "signal"]

Granularity = Literal["weights", "filters"]


def signal(name: str, evidence: Evidence, granularity: Granularity) -> Scores:
    """Compute a signal.

    Parameters
    ----------
    name
        A name of the catalogue.
    evidence
        What it looks at.
    granularity
        Give a number per weight, or per filter.

    Returns
    -------
    dict
        Layer name to numbers, in the shape of the weights or ``(filters,)``. A filter's number is
        the mean over its weights unless the signal's source says otherwise.

    Raises
    ------
    ValueError
        If the signal is of filters, and weights are asked for; or if it needs something that no
        layer of the network has.
    """
    if name in _PER_FILTER:
        if granularity == "weights":
            raise ValueError(f"{name!r} tells filters apart, not weights")
        return _PER_FILTER[name](evidence)
    if name == "random":
        return _random(evidence, granularity)
    values = _PER_WEIGHT[name](evidence)
    if granularity == "weights":
        return {layer: value.abs() for layer, value in values.items()}
    # Taylor's first order is the signed sum over what is removed; its size counts.
    return {layer: value.flatten(1).mean(1).abs() for layer, value in values.items()}


def _random(evidence: Evidence, granularity: Granularity) -> Scores:
    rng = torch.Generator().manual_seed(evidence.seed)
    return {
        name: torch.rand(
            layer.weight.shape if granularity == "weights" else layer.weight.shape[:1],
            generator=rng,
            dtype=layer.weight.dtype,
        )
        for name, layer in evidence.layers.items()
    }


def _magnitude_l2(evidence: Evidence) -> Scores:
    return {name: value.square() for name, value in evidence.magnitude.items()}


def _lamp(evidence: Evidence) -> Scores:
    return {name: _lamp_of(value) for name, value in evidence.magnitude.items()}


def _lamp_of(magnitude: Tensor) -> Tensor:
    # w² / Σ of the layer's squares that are no smaller (Lee et al. 2021, eq. 4).
    squares = magnitude.flatten().double().square()
    # Stable: of equal weights the first goes first, as everywhere.
    ordered, order = squares.sort(stable=True)
    total = ordered.flip(0).cumsum(0).flip(0)
    scores = torch.zeros_like(squares)
    scores[order] = torch.where(total > 0, ordered / total.clamp_min(1e-300), ordered)
    return scores.reshape(magnitude.shape).to(magnitude.dtype)


def _fpgm(evidence: Evidence) -> Scores:
    flat = {name: layer.weight.detach().flatten(1) for name, layer in evidence.layers.items()}
    return {name: torch.cdist(rows, rows).mean(1) for name, rows in flat.items()}


def _bn_scale(evidence: Evidence) -> Scores:
    scales = {
        name: norm.weight.detach().abs()
        for name, norm in norm_pairs(evidence.original, evidence.images[:1]).items()
        if norm.affine
    }
    if not scales:
        raise ValueError(
            "'bn-scale' needs batch norms with scales, and none follows a layer of the network"
        )
    # A layer without a batch norm after it is scaled by nothing.
    return {
        name: scales.get(name, layer.weight.new_ones(layer.weight.shape[0]))
        for name, layer in evidence.layers.items()
    }


def _wanda(evidence: Evidence) -> Scores:
    # |w_kj| · ‖a_k‖₂ (Sun et al. 2024, eq. 1); a convolution in its im2col form.
    scores = {}
    for name, layer in evidence.layers.items():
        norm = evidence.input_squares[name].sqrt().to(layer.weight.dtype)
        groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
        grouped = norm.reshape(groups, -1, *norm.shape[1:])
        per_filter = grouped.repeat_interleave(layer.weight.shape[0] // groups, 0)
        scores[name] = evidence.magnitude[name] * per_filter.reshape(
            per_filter.shape[0], *layer.weight.shape[1:]
        )
    return scores


def _activation(evidence: Evidence) -> Scores:
    return {name: value.sqrt() for name, value in evidence.output_squares.items()}


def _snip(evidence: Evidence) -> Scores:
    return {name: value.abs() for name, value in evidence.loss_products.items()}


def _relevance(evidence: Evidence) -> Scores:
    return {
        name: evidence.sums[name].per_weight(layer, layer.weight.dtype)
        for name, layer in evidence.layers.items()
    }


def _lrp(evidence: Evidence) -> Scores:
    return {name: sums.beta.abs() for name, sums in evidence.sums.items()}


_PER_WEIGHT: Final[dict[str, Callable[[Evidence], Scores]]] = {
    "magnitude": lambda evidence: evidence.magnitude,
    "magnitude-l2": _magnitude_l2,
    "lamp": _lamp,
    "wanda": _wanda,
    "taylor": lambda evidence: evidence.loss_products,
    "taylor-logit": lambda evidence: evidence.logit_products,
    "snip": _snip,
    "relevance": _relevance,
    "message": lambda evidence: evidence.message,
}

_PER_FILTER: Final[dict[str, Callable[[Evidence], Scores]]] = {
    "fpgm": _fpgm,
    "bn-scale": _bn_scale,
    "activation": _activation,
    "lrp": _lrp,
}
