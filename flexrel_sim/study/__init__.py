"""Studies: many points, one table, a Pareto front and a choice."""

from flexrel_sim.study.check import check_all, system_warnings
from flexrel_sim.study.environments import ENVIRONMENT, Environment
from flexrel_sim.study.result import PointResult, StudyResult
from flexrel_sim.study.run import (
    Progress,
    run_study,
    simulate_study,
)

__all__ = [
    "ENVIRONMENT",
    "Environment",
    "PointResult",
    "Progress",
    "StudyResult",
    "check_all",
    "run_study",
    "simulate_study",
    "system_warnings",
]
