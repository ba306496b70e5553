"""Criteria: how a weight is scored. Data only, so that a scenario can be checked without torch.

A criterion names its signals; `delta` weighs the second against the first:
``score = (1-δ)·first + δ·second``. A criterion with one signal is that signal.

References
----------
Chiasserini, Malandrino, Molner, Zhao, *Combining relevance and magnitude for resource-saving DNN
pruning*, IEEE Network, 2025, DOI 10.1109/MNET.2025.3556212.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["CRITERIA", "DEFAULT_DELTA", "Criterion", "Signal"]

Signal = Literal["magnitude", "relevance", "random"]

DEFAULT_DELTA: Final = 0.3
"""δ where a scenario gives none; the paper's abstract names no value, so it is always recorded."""


@dataclass(frozen=True)
class Criterion:
    """How a weight is scored; the lowest scores are removed.

    Parameters
    ----------
    name
        Its name in a scenario.
    description
        What it keeps.
    signals
        What it looks at: one signal, or two that ``delta`` combines.
    """

    name: str
    description: str
    signals: tuple[Signal, ...]

    @property
    def uses_delta(self) -> bool:
        """Whether ``delta`` matters to it."""
        return len(self.signals) == 2


CRITERIA: Final = {
    criterion.name: criterion
    for criterion in (
        Criterion(
            "flexrel-paper",
            "(1-delta) * magnitude + delta * relevance, the paper's additive form",
            ("magnitude", "relevance"),
        ),
        Criterion("magnitude", "large |w|: what training says", ("magnitude",)),
        Criterion("relevance", "what inference on the calibration samples says", ("relevance",)),
        Criterion("random", "chance: what any criterion must beat", ("random",)),
    )
}
"""All criteria by name."""
