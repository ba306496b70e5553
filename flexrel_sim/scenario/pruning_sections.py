"""What a scenario may say of pruning."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from flexrel_sim.scenario.section import SEED_MAX, Section

__all__ = [
    "AutoDeltaSection",
    "FineTuningSection",
    "PruningSection",
    "RelevanceSection",
    "ScheduleSection",
]


class RelevanceSection(Section):
    """Which relevance: the paper leaves much of it open."""

    form: Literal["additive", "message"] | None = None
    """`additive`: relevance of a weight's input plus that of its output, the paper's; `message`:
    what flows through the weight. The criterion's own when absent."""
    rule: Literal["gradient", "z-plus", "gamma", "integrated-gradients"] = "gradient"
    """How relevance is propagated; `gradient` x activation is LRP-epsilon on ReLU networks."""
    gamma: float = Field(0.25, gt=0, le=100)
    """How much the gamma rule favours positive weights."""
    steps: int = Field(16, ge=1, le=1000)
    """Steps of integrated gradients, from a black image."""
    target: Literal["label", "predicted"] = "label"
    """Whose logit relevance is propagated from."""
    sum: Literal["absolute", "signed"] = "absolute"
    """Whether a neuron's relevances are summed over samples as magnitudes or with their signs."""


class AutoDeltaSection(Section):
    """How `delta: auto` chooses, on the validation samples."""

    aim: Literal["area", "accuracy"] = "area"
    """Largest mean accuracy over `ratios`, or most removed at `accuracy`."""
    accuracy: float | None = Field(None, gt=0, lt=1)
    """Validation accuracy to keep, for the aim `accuracy`."""
    deltas: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default=[0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0], min_length=1
    )
    """Values tried."""
    ratios: list[Annotated[float, Field(ge=0, lt=1)]] = Field(
        default=[0.5, 0.7, 0.8, 0.87, 0.92, 0.95, 0.97, 0.98], min_length=1
    )
    """Pruning ratios that each is tried at, after `cut_ratio`."""
    normalise: list[Literal["layer", "global", "rank", "none"]] | None = Field(None, min_length=1)
    """Normalisations tried as well; the scenario's own when absent."""
    form: list[Literal["additive", "message"]] | None = Field(None, min_length=1)
    """Forms of relevance tried as well; the scenario's own when absent."""


class FineTuningSection(Section):
    """Training of what is left, with what was removed kept at zero."""

    epochs: int = Field(0, ge=0, le=1000)
    """Passes over the training samples after each step of the schedule; 0 does none."""
    samples: int | None = Field(None, ge=1)
    """Training samples used, the classes as frequent as in all; the recipe's when absent."""
    batch_size: int = Field(64, ge=1)
    """Samples per step."""
    learning_rate: float = Field(5e-4, gt=0)
    """Initial step size of Adam; falls to zero by a cosine."""
    patience: int = Field(3, ge=1)
    """Epochs without a better accuracy on held-back training samples before it stops."""
    seed: int = Field(0, ge=0, le=SEED_MAX)
    """Seed of the order of samples."""


class ScheduleSection(Section):
    """In how many steps the ratio is reached."""

    steps: int = Field(1, ge=1, le=1000)
    """1 prunes at once; more reach the ratio by equal factors of what is kept, scored anew."""
    fine_tuning: FineTuningSection = FineTuningSection()
    """Training after each step."""


class PruningSection(Section):
    """What to remove."""

    criterion: str = "flexrel-lamp"
    """How a weight is scored; `flexrel-sim criteria` lists them. When absent, `flexrel-lamp` for
    weights and `relevance` for filters: docs/who_keeps_what.md has the measurements."""
    delta: Annotated[float, Field(ge=0, le=1)] | Literal["auto"] | None = None
    """Weight of a criterion's second signal, relevance, against its first, magnitude or LAMP;
    `auto` chooses it on the validation samples. The criterion's own when absent."""
    auto: AutoDeltaSection = AutoDeltaSection()
    """How `delta: auto` chooses."""
    combine: Literal["sum", "geometric"] | None = None
    """(1-delta)*first + delta*second signal, or first^(1-delta) * second^delta. The criterion's own
    when absent."""
    normalise: Literal["layer", "global", "rank", "none"] | None = None
    """Where the signals are rescaled to 0..1 before they are combined: within each layer, over the
    network, by their ranks within each layer, or not at all. The criterion's own when absent."""
    granularity: Literal["weights", "filters"] = "weights"
    """Zero single weights, or remove whole filters and neurons with all that is coupled to them."""
    pattern: Literal["none", "2:4", "4:8"] = "none"
    """N:M keeps N weights of every M along a filter's inputs; the ratio is then 0.5."""
    scope: Literal["global", "layer", "isomorphic"] = "global"
    """Scores compete over the whole network, within a layer, or among layers of one shape."""
    ratio: float = Field(0.0, ge=0, lt=1)
    """Fraction that is removed of what `ratio_of` says."""
    ratio_of: Literal["weights", "filters", "macs"] | None = None
    """What `ratio` counts, among the layers that can be pruned; what `granularity` says when
    absent."""
    min_kept: (
        Annotated[float, Field(ge=0, le=1)] | dict[str, Annotated[float, Field(ge=0, le=1)]]
    ) = 0.01
    """Fraction of each layer that is kept, whatever its scores: one number, or one per layer with
    `default` for the others."""
    exclude: list[str] = Field(default_factory=list)
    """Layers that are never pruned, by name."""
    cut_ratio: float = Field(0.0, ge=0, lt=1)
    """Fraction of the channels at the cut that is removed besides; only they shrink the payload."""
    batch_norm: Literal["keep", "re-estimate"] = "keep"
    """Whether batch-norm statistics are re-estimated on the calibration samples after pruning."""
    relevance: RelevanceSection = RelevanceSection()
    """Which relevance."""
    schedule: ScheduleSection = ScheduleSection()
    """In how many steps, and with what training between them."""
    seed: int = Field(0, ge=0, le=SEED_MAX)
    """Seed of the random criterion."""

    @field_validator("delta", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
        if value is None or value == "auto" or number:
            return value
        # One line where pydantic would tell of every kind that it is not.
        context = {"rule": "must be a number from 0 to 1, or auto", "remedy": "write 0.3, or auto"}
        raise PydanticCustomError("delta", "{rule}", context)

    @model_validator(mode="before")
    @classmethod
    def _criterion_by_granularity(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("granularity") == "filters":
            return {"criterion": "relevance", **data}
        return data

    @property
    def prunes(self) -> bool:
        """Whether anything is removed; if not, no other setting has an effect."""
        return bool(self.ratio or self.cut_ratio) or self.pattern != "none"
