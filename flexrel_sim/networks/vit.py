"""Vision transformers, with torchvision's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from flexrel_sim.networks.architectures import VisionTransformer
from flexrel_sim.networks.modules import Add, chain

__all__ = ["EncoderBlock", "SelfAttention", "build_vit"]

# torchvision's, and the paper's own code's.
_NORM_EPSILON = 1e-6


def build_vit(architecture: VisionTransformer) -> nn.Module:
    """Build a patch embedding, encoder blocks and a linear layer on the class token.

    References
    ----------
    Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021, equations 1 to 4.
    """
    return _VisionTransformer(architecture)


class _VisionTransformer(nn.Module):
    def __init__(self, architecture: VisionTransformer) -> None:
        super().__init__()
        images, height, width = architecture.input_shape
        features, patch = architecture.width, architecture.patch
        self.conv_proj = nn.Conv2d(images, features, patch, stride=patch)
        self.tokens = _Tokens()
        self.class_token = nn.Parameter(torch.zeros(1, 1, features))
        self.encoder = _Encoder(architecture, 1 + (height // patch) * (width // patch))
        self.heads = chain(head=nn.Linear(features, architecture.classes))

    def forward(self, images: Tensor) -> Tensor:
        """Classify images ``(batch, channels, height, width)``."""
        tokens = self.encoder(self.tokens(self.conv_proj(images), self.class_token))
        logits: Tensor = self.heads(tokens[:, 0])
        return logits


class _Tokens(nn.Module):
    """The class token, and a token for every patch."""

    def forward(self, patches: Tensor, class_token: Tensor) -> Tensor:
        tokens = patches.flatten(2).transpose(1, 2)
        # Not `len`, which would hold an exported program to the batch of its example.
        return torch.cat([class_token.expand(tokens.shape[0], -1, -1), tokens], 1)


class _Encoder(nn.Module):
    def __init__(self, architecture: VisionTransformer, tokens: int) -> None:
        super().__init__()
        features = architecture.width
        positions = torch.empty(1, tokens, features)
        self.pos_embedding = nn.Parameter(nn.init.normal_(positions, std=0.02))
        self.add = Add()
        self.dropout = nn.Dropout(architecture.dropout)
        self.layers = chain(
            **{
                f"encoder_layer_{index}": EncoderBlock(
                    features, architecture.heads, architecture.hidden, architecture.dropout
                )
                for index in range(architecture.depth)
            }
        )
        self.ln = nn.LayerNorm(features, _NORM_EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        located = self.dropout(self.add(tokens, self.pos_embedding))
        normed: Tensor = self.ln(self.layers(located))
        return normed


class EncoderBlock(nn.Module):
    """Attention, then two linear layers, each on what is normed and with a shortcut.

    Parameters
    ----------
    features
        Of a token.
    heads
        Of the attention.
    hidden
        Features between the linear layers.
    dropout
        Probability of dropping a feature in training.

    References
    ----------
    Dosovitskiy et al., *An image is worth 16x16 words*, ICLR 2021, equations 2 and 3.
    """

    def __init__(self, features: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(features, _NORM_EPSILON)
        self.self_attention = SelfAttention(features, heads)
        self.dropout = nn.Dropout(dropout)
        self.add_1 = Add()
        self.ln_2 = nn.LayerNorm(features, _NORM_EPSILON)
        # Numbered as in torchvision's checkpoints.
        self.mlp = nn.Sequential(
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, features),
            nn.Dropout(dropout),
        )
        self.add_2 = Add()

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix tokens ``(batch, tokens, features)``, then compute on each."""
        mixed = self.add_1(self.dropout(self.self_attention(self.ln_1(tokens))), tokens)
        output: Tensor = self.add_2(mixed, self.mlp(self.ln_2(mixed)))
        return output


class SelfAttention(nn.Module):
    """Multi-head attention of tokens to each other; its checkpoint is that of torch's own module.

    Queries, keys and values are projected by a layer of their own, which can be pruned and cut
    after, as torch's module can't.

    Parameters
    ----------
    features
        Of a token.
    heads
        Each attends with its share of the features.

    References
    ----------
    Vaswani et al., *Attention is all you need*, NeurIPS 2017, equation 1.
    """

    def __init__(self, features: int, heads: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(features, 3 * features)
        self.attend = _Attend(heads)
        self.out_proj = nn.Linear(features, features)
        self.register_state_dict_post_hook(_as_torch_names_it)
        self.register_load_state_dict_pre_hook(_as_named_here)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix tokens ``(batch, tokens, features)``."""
        output: Tensor = self.out_proj(self.attend(self.in_proj(tokens)))
        return output


class _Attend(nn.Module):
    """From queries, keys and values, side by side, to weighted means of the values."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, packed: Tensor) -> Tensor:
        batch, tokens, width = packed.shape
        split = packed.view(batch, tokens, 3, self.heads, width // (3 * self.heads))
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(queries, keys, values)
        return mixed.transpose(1, 2).reshape(batch, tokens, width // 3)


def _as_torch_names_it(_module: nn.Module, tensors: Any, prefix: str, *_others: Any) -> None:
    for name in ("weight", "bias"):
        key = f"{prefix}in_proj.{name}"
        if key in tensors:
            tensors[f"{prefix}in_proj_{name}"] = tensors.pop(key)


def _as_named_here(_module: nn.Module, tensors: Any, prefix: str, *_others: Any) -> None:
    for name in ("weight", "bias"):
        key = f"{prefix}in_proj_{name}"
        if key in tensors:
            tensors[f"{prefix}in_proj.{name}"] = tensors.pop(key)
