"""The link: what a direction can carry when, how messages cross it, and what is lost on the way.

Descriptions and their plain-Python senders are in `capacity` and its kinds. `fifo`, `sharing` and
`transfers` are compiled and load numba when they are imported: they are not imported here.
"""

from flexrel_sim.links.capacity import Capacity, CapacityArrays, Sender
from flexrel_sim.links.direction import Buffer, Direction, Transfers
from flexrel_sim.links.opportunities import Opportunities
from flexrel_sim.links.piecewise import PiecewiseConstant, constant
from flexrel_sim.links.token_bucket import TokenBucket

__all__ = [
    "Buffer",
    "Capacity",
    "CapacityArrays",
    "Direction",
    "Opportunities",
    "PiecewiseConstant",
    "Sender",
    "TokenBucket",
    "Transfers",
    "constant",
]
