"""The cuts of a network as plain data."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BoundaryTensor", "Cut", "CutTable", "NotEntered", "Uncounted"]


@dataclass(frozen=True)
class BoundaryTensor:
    """A tensor that crosses a cut.

    Parameters
    ----------
    name
        The operation that gave it; ``input`` for the image.
    shape, dtype
        Of one sample, without the batch, as the network computes it.
    dense_bytes
        Its bytes in that format.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    dense_bytes: int


@dataclass(frozen=True)
class Cut:
    """A place to cut, and what is on both sides of it.

    Parameters
    ----------
    name
        ``server``, ``edge``, or the head's last operation.
    blocks
        Modules that end there; their paths name the cut as well.
    boundary
        What crosses; at ``edge`` the answers, which stay.
    crosses_link
        False at ``edge`` only.
    operations
        How many operations the head has.
    head_macs, tail_macs
        Multiply-accumulate operations of one request.
    head_weight_bytes, tail_weight_bytes
        Bytes of the weights that each side holds, as dense float32.
    """

    name: str
    blocks: tuple[str, ...]
    boundary: tuple[BoundaryTensor, ...]
    crosses_link: bool
    operations: int
    head_macs: int
    tail_macs: int
    head_weight_bytes: int
    tail_weight_bytes: int

    @property
    def boundary_bytes(self) -> int:
        """Bytes that cross without a codec; none at ``edge``."""
        return sum(tensor.dense_bytes for tensor in self.boundary) if self.crosses_link else 0


@dataclass(frozen=True)
class Uncounted:
    """Work that is not among the MACs.

    Parameters
    ----------
    name, kind
        The operation.
    kernel
        What torch ran for it.
    times
        How often, for one request.
    """

    name: str
    kind: str
    kernel: str
    times: int


@dataclass(frozen=True)
class NotEntered:
    """A module whose forward no trace can follow: it is one operation, without a cut inside.

    Parameters
    ----------
    name
        Its path; ``network`` for the network as a whole.
    forward
        What could not be followed, such as ``Net.forward``.
    reason
        What the tracer said, and the line of the forward that it said it of.
    """

    name: str
    forward: str
    reason: str


@dataclass(frozen=True)
class CutTable:
    """All cuts of a network.

    Parameters
    ----------
    cuts
        From ``server`` to ``edge``.
    uncounted
        Operations whose MACs are not known, and counted as none.
    not_entered
        Modules that could be cut inside, if a trace could follow them.
    """

    cuts: tuple[Cut, ...]
    uncounted: tuple[Uncounted, ...]
    not_entered: tuple[NotEntered, ...] = ()
