"""The joint between the halves: all that the simulator needs to know of a pruned, split network.

A profile is plain data. It is stored as a folder of ``profile.json`` and ``samples.npz``, named by
the key of everything it was measured from, and read without torch. `record` says what it is,
`storing` writes and reads it, and `schema` refuses what no measuring gives.
"""

from flexrel_sim.profile.record import (
    PROFILE_VERSION,
    SAMPLE_ARRAYS,
    Calibration,
    CodecCost,
    Layer,
    Profile,
)
from flexrel_sim.profile.storing import (
    load_profile,
    profile_from_bytes,
    profile_to_bytes,
    save_profile,
)

__all__ = [
    "PROFILE_VERSION",
    "SAMPLE_ARRAYS",
    "Calibration",
    "CodecCost",
    "Layer",
    "Profile",
    "load_profile",
    "profile_from_bytes",
    "profile_to_bytes",
    "save_profile",
]
