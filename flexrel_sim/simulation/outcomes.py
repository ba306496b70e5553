"""How a request can leave a queue: codes that compiled queues and SimPy stages share."""

from __future__ import annotations

from typing import Final

__all__ = ["CRASHED", "DOWN", "EXPIRED", "FULL", "SERVED"]

SERVED: Final = 0
FULL: Final = 1
"""Found no room."""
DOWN: Final = 2
"""Came while the device was down."""
CRASHED: Final = 3
"""Was there as it failed."""
EXPIRED: Final = 4
"""Its deadline was past before it was started."""
