"""Pictures of a study. They draw what they are given and simulate nothing."""

from pathlib import Path

from flexrel_sim.plots.curves import accuracy_against_ratio, latency_against_bandwidth
from flexrel_sim.plots.front import pareto_front, time_shares
from flexrel_sim.plots.style import save, style
from flexrel_sim.study.result import StudyResult

__all__ = [
    "accuracy_against_ratio",
    "draw_all",
    "latency_against_bandwidth",
    "pareto_front",
    "time_shares",
]


def draw_all(result: StudyResult, folder: Path) -> list[Path]:
    """Draw every picture that a study has the points for.

    Parameters
    ----------
    result
        The study.
    folder
        Where to write.

    Returns
    -------
    list of pathlib.Path
        The files, a PNG and an SVG per picture.
    """
    files: list[Path] = []
    with style():
        for draw in (
            accuracy_against_ratio,
            latency_against_bandwidth,
            pareto_front,
            time_shares,
        ):
            figure = draw(result)
            if figure is not None:
                files += save(figure, folder, draw.__name__)
    return files
