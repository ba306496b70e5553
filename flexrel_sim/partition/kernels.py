"""Kernels that do no multiply-accumulates worth the name, by torch's names for them.

The field's convention (as in published MAC counts): what matrix products and convolutions multiply
is counted, and what touches every number a fixed number of times is not.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_free"]

# fmt: off
_ELEMENTWISE: Final = frozenset({
    "abs", "add", "addcdiv", "addcmul", "bernoulli", "bitwise_not", "ceil", "clamp",
    "clamp_max", "clamp_min", "cos", "div", "elu", "eq", "erf", "exp", "floor", "ge", "gelu",
    "gt", "hardsigmoid", "hardswish", "hardtanh", "le", "leaky_relu", "lerp", "log",
    "logical_and", "logical_not", "lt", "masked_fill", "maximum", "minimum", "mul",
    "native_dropout", "ne", "neg", "pow", "prelu", "reciprocal", "relu", "relu6", "round",
    "rsqrt", "sigmoid", "sign", "silu", "sin", "softplus", "sqrt", "sub", "tanh", "where",
})
"""Number by number."""

_REDUCED: Final = frozenset({
    "_adaptive_avg_pool2d", "_batch_norm_no_update", "_log_softmax", "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training", "_safe_softmax", "_softmax", "adaptive_max_pool2d",
    "amax", "amin", "argmax", "avg_pool2d", "max", "max_pool2d_with_indices", "mean", "min",
    "native_batch_norm", "native_group_norm", "native_layer_norm", "std", "sum",
    "upsample_bilinear2d", "upsample_nearest2d", "var", "var_mean",
})
"""Pools, norms, means and interpolations: a few operations for every number read."""

_MOVED: Final = frozenset({
    "_reshape_alias", "_to_copy", "_unsafe_view", "alias", "arange", "as_strided", "cat",
    "channel_shuffle", "clone", "constant_pad_nd", "contiguous", "copy", "detach", "empty",
    "empty_like", "expand", "fill", "flip", "full", "full_like", "index_select", "lift_fresh",
    "native_channel_shuffle", "ones", "ones_like", "permute", "pixel_shuffle",
    "reflection_pad2d", "repeat", "replication_pad2d", "reshape", "roll", "scalar_tensor",
    "select", "slice", "split", "split_with_sizes", "squeeze", "stack", "t", "transpose",
    "unbind", "unsqueeze", "view", "zeros", "zeros_like",
})
"""Copies, views and fills."""
# fmt: on


def is_free(kernel: str) -> bool:
    """Tell whether a kernel of ``torch.ops.aten`` counts as no multiply-accumulates."""
    # One that works in place ends in an underscore.
    name = kernel.removesuffix("_")
    return name in _ELEMENTWISE or name in _REDUCED or name in _MOVED
