"""Curves to what must be kept, and savings against the best rival. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from flexrel_sim.comparison.schema import Claim, ComparisonScenario, Measure
from flexrel_sim.errors import InputError
from flexrel_sim.reading import parsing, reading
from flexrel_sim.statistics import Estimate, t_interval

__all__ = ["Comparison", "Curve", "Saving", "kept_at", "load_curves"]


@dataclass(frozen=True)
class Curve:
    """Accuracy of one entry on one trained network, from all kept to little.

    Parameters
    ----------
    pair, seed, entry, track
        What was pruned, and how.
    weights, macs, bytes
        Fraction kept at each point: non-zero weights, their MACs, and shipped bytes.
    validation, test
        Accuracy at each point. The first point is the dense network.
    absent_masked
        Test accuracy of the dense network with the logits of absent classes masked.
    settings
        What `delta: auto` chose, if it did.
    """

    pair: str
    seed: int
    entry: str
    track: str
    weights: tuple[float, ...]
    macs: tuple[float, ...]
    bytes: tuple[float, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]
    absent_masked: float
    settings: dict[str, Any]

    def to_json(self) -> str:
        """Give it as one line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Curve:
        """Read it back."""
        return TypeAdapter(Curve).validate_json(text, strict=True)


def kept_at(
    kept: Sequence[float], accuracy: Sequence[float], loss: float, dense: float | None = None
) -> float:
    """Find the least that must be kept to lose no more accuracy than allowed.

    Parameters
    ----------
    kept, accuracy
        A curve, from all kept downwards.
    loss
        Allowed loss against the first point, or against ``dense``.
    dense
        Reference accuracy.

    Returns
    -------
    float
        Where the curve first falls below, interpolated linearly in log(kept); the last point if it
        never does.
    """
    bound = (accuracy[0] if dense is None else dense) - loss
    for index in range(1, len(kept)):
        if accuracy[index] < bound:
            # A first point that is below already needs everything.
            share = (accuracy[index - 1] - bound) / (accuracy[index - 1] - accuracy[index])
            share = min(max(share, 0.0), 1.0)
            first, second = math.log(kept[index - 1]), math.log(kept[index])
            return math.exp(first + share * (second - first))
    return kept[-1]


@dataclass(frozen=True)
class Saving:
    """What a claim's entry saves against its rival, of the bytes or weights that are kept.

    Parameters
    ----------
    claim, pair, track, loss
        Where.
    counted
        What is counted as kept.
    entry, rival
        Who: the entry chosen on validation samples, the rival that is best on test samples.
    kept, rival_kept
        Geometric means over seeds of the fraction that each must keep.
    saving
        ``1 - kept/rival_kept``, paired by seed, with its interval over seeds.
    """

    claim: str
    pair: str
    track: str
    loss: float
    counted: Measure
    entry: str
    rival: str
    kept: float
    rival_kept: float
    saving: Estimate


@dataclass(frozen=True)
class Comparison:
    """All curves of a comparison.

    Parameters
    ----------
    scenario
        What was asked.
    curves
        One for each pair, seed, entry and track.
    """

    scenario: ComparisonScenario
    curves: tuple[Curve, ...]

    def of(self, pair: str, track: str, entry: str) -> list[Curve]:
        """Give the curves of an entry, in the order of the seeds."""
        found = [c for c in self.curves if (c.pair, c.track, c.entry) == (pair, track, entry)]
        return sorted(found, key=lambda curve: curve.seed)

    def kept(
        self, pair: str, track: str, entry: str, loss: float, *, measure: str, on: str = "test"
    ) -> list[float]:
        """Give the fraction that must be kept, for every seed."""
        return [
            kept_at(getattr(curve, measure), getattr(curve, on), loss)
            for curve in self.of(pair, track, entry)
        ]

    def estimate(self, values: Sequence[float]) -> Estimate:
        """Give the geometric mean of positive values over seeds, with its interval."""
        logs = t_interval(np.log(values))
        return Estimate(*(math.exp(value) for value in (logs.value, logs.low, logs.high)))

    def entries(self, pair: str, track: str) -> list[str]:
        """List the entries that have curves, in the order of the file."""
        present = {c.entry for c in self.curves if (c.pair, c.track) == (pair, track)}
        return [entry.label for entry in self.scenario.entries if entry.label in present]

    def savings(self, measure: Measure | None = None) -> Iterable[Saving]:
        """Compare the entries of every claim with their best rival, by each track's own measure."""
        for claim in self.scenario.claims:
            for track in self.scenario.tracks:
                for pair in self.scenario.pairs:
                    for loss in self.scenario.losses:
                        told = self._saving(
                            claim, pair.label, track.label, loss, measure or track.measure
                        )
                        if told is not None:
                            yield told

    def _saving(
        self, claim: Claim, pair: str, track: str, loss: float, measure: Measure
    ) -> Saving | None:
        present = self.entries(pair, track)
        entries = [label for label in claim.entries if label in present]
        rivals = [label for label in claim.rivals if label in present]
        if not entries or not rivals:
            return None

        def mean_log(label: str, on: str) -> float:
            values = self.kept(pair, track, label, loss, measure=measure, on=on)
            return float(np.mean(np.log(values)))

        entry = min(entries, key=lambda label: mean_log(label, "validation"))
        rival = min(rivals, key=lambda label: mean_log(label, "test"))
        ours = self.kept(pair, track, entry, loss, measure=measure)
        theirs = self.kept(pair, track, rival, loss, measure=measure)
        ratio = self.estimate([a / b for a, b in zip(ours, theirs, strict=True)])
        return Saving(
            claim.label,
            pair,
            track,
            loss,
            measure,
            entry,
            rival,
            self.estimate(ours).value,
            self.estimate(theirs).value,
            Estimate(1 - ratio.value, 1 - ratio.high, 1 - ratio.low),
        )


def load_curves(file: Path) -> tuple[Curve, ...]:
    """Read curves that a comparison has written, one JSON object per line.

    Parameters
    ----------
    file
        A ``curves.jsonl``.

    Returns
    -------
    tuple of Curve
        In the order of the file.

    Raises
    ------
    InputError
        If the file can't be read, or a line is no curve: the first such line is named.
    """
    remedy = "run 'flexrel-sim compare' again"
    with reading(file, remedy, InputError):
        lines = file.read_text(encoding="utf-8").splitlines()
    curves = []
    for number, line in enumerate(lines, start=1):
        refused = InputError(f"{file}:{number}: must be a curve, as JSON; {remedy}")
        with parsing(lambda _, refused=refused: refused):  # type: ignore[misc]
            curves += [Curve.from_json(line)] if line else []
    return tuple(curves)
