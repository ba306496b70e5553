"""Running both halves of a network."""

from __future__ import annotations

from torch import Tensor, nn


def through(head: nn.Module, tail: nn.Module, images: Tensor) -> Tensor:
    """Send images through the head, and what it gives, one tensor or several, through the tail."""
    boundary = head(images)
    answers: Tensor = tail(*boundary) if isinstance(boundary, tuple) else tail(boundary)
    return answers
