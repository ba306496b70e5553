"""The model half: checks and keys (no torch), and `measure.network`, which measures profiles."""

from flexrel_sim.measure.cache import cached_profile, keep_profile
from flexrel_sim.measure.check import Checked, check
from flexrel_sim.measure.spec import MeasureSpec, code_digest, make_spec

__all__ = [
    "Checked",
    "MeasureSpec",
    "cached_profile",
    "check",
    "code_digest",
    "keep_profile",
    "make_spec",
]
