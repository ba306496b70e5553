"""Whether a point keeps a constraint, and whether its samples show it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

from scipy.special import ndtri

from flexrel_sim.accuracy import ACCURACY_FIGURES
from flexrel_sim.paired import difference_interval, difference_statistic
from flexrel_sim.profile import Profile
from flexrel_sim.proportions import needed_size
from flexrel_sim.scenario.constraints import Constraint
from flexrel_sim.simulation import Summary
from flexrel_sim.statistics import Estimate, mixed
from flexrel_sim.study.result import PointResult

__all__ = ["Verdict", "judge"]

_Z: Final = float(ndtri(0.975))

_ROUNDING: Final = 1e-12


@dataclass(frozen=True)
class Verdict:
    """What a constraint is to a point.

    Parameters
    ----------
    verdict
        ``kept`` if the whole 95 % interval keeps the bound, ``unsure`` if the estimate does and the
        interval does not, ``broken`` if the estimate does not.
    constraint
        The bound.
    estimate
        The figure; of a bound by the dense network, its difference from that network's.
    samples, of
        How many of what it is estimated from: ``validation samples`` or ``replications``.
    needed
        About how many of them would decide it, were the estimate right; None where it is decided,
        or the estimate lies on the bound, where no number would.
    doubt
        Why the interval is not to be relied on; empty where it is.
    rarest
        Of a figure made of recalls, samples of the class that has the fewest.
    """

    verdict: Literal["kept", "unsure", "broken"]
    constraint: Constraint
    estimate: Estimate
    samples: int
    of: str
    needed: int | None = None
    doubt: str = ""
    rarest: int | None = None

    def __str__(self) -> str:
        """Say it in words: what was found, in how many samples, and how many would decide it."""
        found = self.estimate
        what = f"estimate {found.value:.3g} [{found.low:.3g}, {found.high:.3g}]"
        told = f"{self.constraint}: {self.verdict}: {what} from {self.samples:,} {self.of}"
        if self.verdict != "unsure":
            return told
        if self.doubt:
            return f"{told}; the interval is not reliable: {self.doubt}"
        if self.rarest is not None:
            return f"{told}, of which the rarest class has {self.rarest:,}"
        if self.needed is None:
            return f"{told}; the estimate lies on the bound, so more {self.of} may not decide it"
        return f"{told}; about {self.needed:,} would decide it"


def judge(point: PointResult, name: str, constraint: Constraint) -> Verdict:
    """Judge a point by a constraint.

    Parameters
    ----------
    point
        A point that has the figure.
    name
        The figure's name. Accuracy and recalls are those of the validation samples, by which points
        are chosen; a bound of accuracy by the dense network compares the same samples' answers.
    constraint
        The bound.

    Returns
    -------
    Verdict
        By the figure's interval over validation samples, Tango's for a difference on the same
        samples, or the simulated figure's own.
    """
    samples = point.profile.validation_labels.size
    if name != "accuracy":
        found = point.selection_estimates()[name]
        if name in ACCURACY_FIGURES:
            verdict = _verdict(constraint, found, samples, "validation samples")
            # Recalls hang on the samples of a class: more of the others would decide nothing.
            rarest = int(point.profile.validation_recalls.samples.min())
            return replace(verdict, needed=None, rarest=rarest)
        replications = point.scenario.simulation.replications
        verdict = _verdict(constraint, found, replications, "replications")
        doubt = point.outcome.doubts.get(name) if isinstance(point.outcome, Summary) else None
        if doubt is None or verdict.verdict == "broken":
            return verdict
        # An interval that is not to be relied on shows nothing.
        return replace(verdict, verdict="unsure", doubt=doubt.reason)
    found = _mixed_difference(point) if constraint.of_dense else point.validation_accuracy
    verdict = _verdict(constraint, found, samples, "validation samples")
    if verdict.verdict != "unsure" or len(point.options) > 1:
        return verdict
    return Verdict("unsure", constraint, found, samples, verdict.of, _needed(point, constraint))


def _verdict(constraint: Constraint, found: Estimate, samples: int, of: str) -> Verdict:
    rising, slack = constraint.relation == ">=", constraint.slack(found.value)
    doubt = found.value - found.low if rising else found.high - found.value
    # A margin is met where it is met but for rounding: 0.95 keeps 0.96 - 0.01.
    if slack < -_ROUNDING:
        return Verdict("broken", constraint, found, samples, of)
    if doubt <= slack + _ROUNDING:
        return Verdict("kept", constraint, found, samples, of)
    needed = math.ceil(samples * (doubt / slack) ** 2) if slack > _ROUNDING else None
    return Verdict("unsure", constraint, found, samples, of, needed)


def _needed(point: PointResult, constraint: Constraint) -> int | None:
    """Give the samples that would show a bound of accuracy, were the proportions as observed."""
    profile, bound = point.profile, constraint.bound
    samples = profile.validation_labels.size
    if constraint.of_dense:
        # The statistic grows as the root of the samples.
        score = difference_statistic(*_discordant(profile), samples, bound)
        return math.ceil(samples * (_Z / score) ** 2) if abs(score) > _ROUNDING else None
    if abs(point.validation_accuracy.value - bound) <= _ROUNDING:
        return None
    recalls = profile.validation_recalls
    return needed_size(recalls.right, recalls.samples, bound)


def _mixed_difference(point: PointResult) -> Estimate:
    """Estimate accuracy less the dense network's; a controller's options as they were used."""
    options = point.options or (point.profile,)
    shares = point.outcome.option_shares if isinstance(point.outcome, Summary) else (1.0,)
    return mixed(
        [difference_interval(*_discordant(own), own.validation_labels.size) for own in options],
        shares,
    )


def _discordant(profile: Profile) -> tuple[int, int]:
    """Count the validation samples that only this network answers, and only the dense one."""
    own, dense = profile.validation_correct, profile.validation_dense_correct
    return int((own & ~dense).sum()), int((dense & ~own).sum())
