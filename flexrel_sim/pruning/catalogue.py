"""Criteria: how a weight is scored. Data only, so that a scenario can be checked without torch.

A criterion names its signals. One signal is the score itself; of two, ``delta`` weighs the second
against the first: ``(1-δ)·first + δ·second`` (sum), or ``first^(1-δ) · second^δ`` (geometric).

References
----------
FlexRel: Chiasserini, Malandrino, Molner, Zhao, *Combining relevance and magnitude for
resource-saving DNN pruning*, IEEE Network, 2025, DOI 10.1109/MNET.2025.3556212.
LAMP: Lee et al., *Layer-adaptive sparsity for the magnitude-based pruning*, ICLR 2021, eq. 4.
FPGM: He et al., *Filter pruning via geometric median*, CVPR 2019, eq. 4-6.
BN scale: Liu et al., *Learning efficient convolutional networks through network slimming*, 2017.
Wanda: Sun et al., *A simple and effective pruning approach for large language models*, 2024, eq. 1.
Taylor: Molchanov et al., *Importance estimation for neural network pruning*, CVPR 2019, eq. 8.
SNIP: Lee et al., *SNIP: single-shot network pruning*, ICLR 2019, eq. 6.
Channel LRP: Yeom et al., *Pruning by explaining*, Pattern Recognition 2021.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = [
    "CRITERIA",
    "SIGNALS",
    "Combine",
    "Criterion",
    "Form",
    "Need",
    "Normalise",
    "SignalInfo",
]

Need = Literal["nothing", "forward", "backward", "propagation"]
"""What a signal costs: no data, a forward pass, one with its backward, or a propagation rule."""

Combine = Literal["sum", "geometric"]

Form = Literal["additive", "message"]

Normalise = Literal["layer", "global", "rank", "none"]

_FORM_OF: Final[dict[str, Form]] = {"relevance": "additive", "message": "message"}


@dataclass(frozen=True)
class SignalInfo:
    """One thing that can be said of a weight.

    Parameters
    ----------
    name
        Its name.
    needs
        What has to be computed for it.
    level
        ``filters`` where it tells filters apart, and never the weights of one filter.
    """

    name: str
    needs: Need = "nothing"
    level: Literal["weights", "filters"] = "weights"


SIGNALS: Final = {
    signal.name: signal
    for signal in (
        SignalInfo("random"),
        SignalInfo("magnitude"),
        SignalInfo("magnitude-l2"),
        SignalInfo("lamp"),
        SignalInfo("fpgm", level="filters"),
        SignalInfo("bn-scale", level="filters"),
        SignalInfo("wanda", "forward"),
        SignalInfo("activation", "forward", "filters"),
        SignalInfo("taylor", "backward"),
        SignalInfo("taylor-logit", "backward"),
        SignalInfo("snip", "backward"),
        SignalInfo("lrp", "propagation", "filters"),
        SignalInfo("relevance", "propagation"),
        SignalInfo("message", "propagation"),
    )
}
"""All signals by name."""


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
    normalise
        Where its signals are rescaled, unless the scenario says otherwise.
    combine
        How two signals become one score, unless the scenario says otherwise.
    delta
        Weight of the second signal, unless the scenario says otherwise.
    """

    name: str
    description: str
    signals: tuple[str, ...]
    normalise: Normalise = "none"
    combine: Combine = "sum"
    delta: float = 0.0

    @property
    def uses_delta(self) -> bool:
        """Whether ``delta`` matters to it."""
        return len(self.signals) == 2

    @property
    def form(self) -> Form | None:
        """Its own form of relevance, if it looks at one that can be exchanged."""
        return _FORM_OF.get(self.signals[-1]) if self.uses_delta else None

    @property
    def level(self) -> Literal["weights", "filters"]:
        """What it can tell apart."""
        filters = all(SIGNALS[name].level == "filters" for name in self.signals)
        return "filters" if filters else "weights"

    @property
    def needs(self) -> tuple[Need, ...]:
        """What has to be computed for it."""
        return tuple(SIGNALS[name].needs for name in self.signals)

    def signals_with(self, form: Form | None) -> tuple[str, ...]:
        """Give its signals, with the form of relevance that a scenario asks for."""
        if form is None or self.form is None:
            return self.signals
        return (*self.signals[:-1], "relevance" if form == "additive" else "message")


CRITERIA: Final = {
    criterion.name: criterion
    for criterion in (
        Criterion(
            "flexrel-paper",
            "(1-delta)*magnitude + delta*relevance, each layer rescaled to 0..1; the paper's form",
            ("magnitude", "relevance"),
            normalise="layer",
            delta=0.3,
        ),
        Criterion(
            "flexrel",
            "magnitude^(1-delta) * message^delta: what is large and has something to say",
            ("magnitude", "message"),
            combine="geometric",
            delta=0.2,
        ),
        Criterion(
            "flexrel-lamp",
            "LAMP^(1-delta) * message^delta: as flexrel, with magnitude relative to its layer",
            ("lamp", "message"),
            combine="geometric",
            delta=0.2,
        ),
        Criterion("magnitude", "large |w|: what training says", ("magnitude",)),
        Criterion(
            "magnitude-l2", "large w^2: as magnitude, but for whole filters", ("magnitude-l2",)
        ),
        Criterion("lamp", "w^2 over the sum of the layer's larger ones (LAMP)", ("lamp",)),
        Criterion("fpgm", "filters far from the layer's other filters (FPGM)", ("fpgm",)),
        Criterion("bn-scale", "filters whose batch norm scales them up (slimming)", ("bn-scale",)),
        Criterion("wanda", "|w| times the norm of its input (Wanda)", ("wanda",), "layer"),
        Criterion("activation", "filters whose outputs are large", ("activation",), "layer"),
        Criterion("taylor", "|w * d loss/d w|: first-order Taylor on cross-entropy", ("taylor",)),
        Criterion("taylor-logit", "first-order Taylor on the label's logit", ("taylor-logit",)),
        Criterion("snip", "sum of |w * d loss/d w|; taylor's, but for whole filters", ("snip",)),
        Criterion("lrp", "filters whose outputs are relevant (channel LRP)", ("lrp",), "layer"),
        Criterion("relevance", "the paper's relevance alone", ("relevance",), "layer"),
        Criterion("message", "what flows through the weight towards the logit", ("message",)),
        Criterion("random", "chance: what any criterion must beat", ("random",)),
    )
}
"""All criteria by name."""
