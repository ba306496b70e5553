"""Studies: many points, one table, a Pareto front and a choice."""

from flexrel_sim.study.result import ENVIRONMENT, PointResult, StudyResult
from flexrel_sim.study.run import (
    Progress,
    check_all,
    run_study,
    simulate_study,
)

__all__ = [
    "ENVIRONMENT",
    "PointResult",
    "Progress",
    "StudyResult",
    "check_all",
    "run_study",
    "simulate_study",
]
