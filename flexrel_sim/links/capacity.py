"""What a direction of the link can carry when: three kinds, each told slowly and as arrays.

Each kind is a frozen description. `sender` gives an object with the kind's run-time state and the
plain-Python `finish_s` that the reference engine calls; `arrays` gives the same description to the
compiled kernels of `flexrel_sim.links.kernels`. Both must agree, and tests hold them to it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CONSTANT",
    "OPPORTUNITIES",
    "PIECEWISE",
    "ROUNDING",
    "TOKEN_BUCKET",
    "Capacity",
    "CapacityArrays",
    "Floats",
    "Sender",
]

CONSTANT: Final = 0
PIECEWISE: Final = 1
OPPORTUNITIES: Final = 2
TOKEN_BUCKET: Final = 3

ROUNDING: Final = 1e-15
"""Relative error of a time. A message that fills a piece to within it is done at the piece's end:
a rounding must not wait for the end of an outage that follows."""

Floats = NDArray[np.float64]


class CapacityArrays(NamedTuple):
    """A capacity as compiled kernels take it; one type for all kinds.

    Parameters
    ----------
    kind
        `CONSTANT`, `PIECEWISE`, `OPPORTUNITIES` or `TOKEN_BUCKET`.
    time_s
        Ends of the pieces, or the opportunities' stamps, within the first cycle.
    rate_bit_per_s
        Rate of each piece, or of the tokens.
    first
        Index of the piece that follows the last one, where pieces repeat.
    period_s
        Length of what repeats; infinite where nothing does.
    size_bytes
        Bytes of an opportunity, or of the bucket.
    peak_bit_per_s
        Rate while there are tokens.
    """

    kind: int
    time_s: Floats
    rate_bit_per_s: Floats
    first: int
    period_s: float
    size_bytes: float
    peak_bit_per_s: float


class Sender(Protocol):
    """A direction at run time: it carries one message after the other."""

    def finish_s(self, start_s: float, wire_bytes: float, waited: bool) -> float:
        """Give when the last bit of a message leaves.

        Parameters
        ----------
        start_s
            When its turn comes; never before the finish of the message before it.
        wire_bytes
            Its size; a message of no bytes takes no time.
        waited
            Whether it was there before `start_s`, in the queue. A trace's opportunity that the
            message before it did not fill is for waiting messages only.
        """


class Capacity(Protocol):
    """What all kinds of capacity offer."""

    @property
    def mean_rate_bit_per_s(self) -> float:
        """Long-run mean rate of a link that never idles."""

    def sender(self) -> Sender:
        """Start a new run."""

    def arrays(self) -> CapacityArrays:
        """Describe itself to compiled kernels."""

    def sent_bytes(self, time_s: ArrayLike) -> Floats:
        """Give C(t), what a link busy from time zero has carried by each time."""
