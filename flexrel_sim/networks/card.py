"""Cards: what a network is, how it was trained, and the checkpoint that came of it. No torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import ConfigDict, Field, create_model

from flexrel_sim.datasets import DATASETS, DatasetInfo, open_dataset
from flexrel_sim.errors import (
    CheckpointError,
    DatasetError,
    Fault,
    MissingDatasetError,
    ScenarioError,
)
from flexrel_sim.networks.architectures import ARCHITECTURES, Architecture, Factory
from flexrel_sim.networks.consent import Consent
from flexrel_sim.networks.packaged import PACKAGED, packaged_file
from flexrel_sim.reading import is_file, sha256_of
from flexrel_sim.scenario import Section, YamlSource, load_model, read_yaml
from flexrel_sim.scenario.section import SEED_MAX

if TYPE_CHECKING:
    from flexrel_sim.networks.outline import Built

__all__ = [
    "Card",
    "CardFile",
    "CheckpointRecord",
    "Training",
    "checkpoint_file",
    "load_card",
    "retrain_remedy",
    "training_dataset",
    "training_faults",
]


class Training(Section):
    """The recipe: Adam with a cosine schedule on cross-entropy."""

    dataset: str
    """Dataset whose training part the network sees; it never sees the held-out part. A name, or
    the path of an `.npz`, an IDX folder or an image folder, relative to the card."""
    samples: int | None = Field(None, ge=1)
    """How many of its samples, with the classes as frequent as in all; all when absent."""
    epochs: int = Field(ge=1)
    """Passes over the training part."""
    batch_size: int = Field(ge=1)
    """Samples per step."""
    learning_rate: float = Field(gt=0)
    """Initial step size."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled weight decay."""
    seed: int = Field(ge=0, le=SEED_MAX)
    """Seed of the initial weights, the order of samples and the dropout."""


class CheckpointRecord(Section):
    """A checkpoint; written by `flexrel-sim train`, or by hand for one from elsewhere."""

    file: str
    """The checkpoint, beside the card: .safetensors, or a state dict in .pt or .pth."""
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Hash of the checkpoint, as `sha256sum` prints it."""
    held_out_accuracy: float | None = Field(None, ge=0, le=1)
    """Accuracy on all held-out samples."""
    held_out_samples: int | None = Field(None, ge=1)
    """How many those are."""
    torch: str | None = None
    """Version of torch that trained it."""
    reproduce: str | None = None
    """Command that trains it again."""


class Card(Section):
    """A network's card."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the network."""
    architecture: Architecture
    """What the network is made of."""
    training: Training | None = None
    """How it is trained; absent for a network that came trained."""
    checkpoint: CheckpointRecord | None = None
    """The checkpoint; absent before training, and for weights that come inside a package or that a
    factory loads itself."""
    pruned: bool = False
    """Whether filters were removed: layers are then as small as the checkpoint's."""

    @property
    def needs_package(self) -> bool:
        """Whether its weights come inside a package."""
        return (
            self.checkpoint is None
            and self.training is None
            and self.architecture.family in PACKAGED
        )


@dataclass(frozen=True)
class CardFile:
    """A card and where it was read from.

    Parameters
    ----------
    file, card
        Where, and what it says.
    source
        Its lines.
    consent
        Which factories may be called for it; None where none may, and the card is only looked at.
        It goes where the card goes, into other processes, too.
    built
        What its factory gave when it was checked.
    """

    file: Path
    card: Card
    source: YamlSource | None = field(default=None, compare=False, repr=False)
    consent: Consent | None = field(default=None, compare=False, repr=False)
    built: Built | None = None

    @property
    def is_code(self) -> bool:
        """Whether a function builds the network: nothing is known of it until that is called."""
        return isinstance(self.card.architecture, Factory)

    @property
    def checkpoint(self) -> Path:
        """Where its checkpoint is, or belongs."""
        record = self.card.checkpoint
        return self.file.parent / (record.file if record else f"{self.card.name}.safetensors")

    def fault(self, path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        """Make a fault at a key of the card, on its line."""
        source = self.source or YamlSource(self.file, {})
        return source.fault(tuple(path.split(".")), rule, value, remedy)


def load_card(file: Path, consent: Consent | None = None) -> CardFile:
    """Read a card; nothing that it names is imported or called.

    Parameters
    ----------
    file
        A YAML file.
    consent
        Which factories may be called later; those in files under the card's folder, too. None for
        a card that is only looked at.

    Returns
    -------
    CardFile
        The card.

    Raises
    ------
    ScenarioError
        With every fault of the file.
    """
    source = read_yaml(file)
    architecture = source.data.get("architecture")
    family = architecture.get("family") if isinstance(architecture, dict) else None
    # Faults are those of the family's own section, not of a union of all families.
    load_model(_CARDS.get(family, _UnknownCard) if isinstance(family, str) else _UnknownCard, file)
    card = load_model(Card, file)
    return CardFile(file, card, source, None if consent is None else consent.beside(file.parent))


def training_dataset(card_file: CardFile, missing: list[Fault] | None = None) -> DatasetInfo:
    """Open the dataset of a card's recipe, and check that it fits the network.

    Parameters
    ----------
    card_file
        A card with a recipe.
    missing
        Where to tell of a dataset that is not installed; it is a fault when absent.

    Returns
    -------
    DatasetInfo
        As from `open_dataset`; a relative path starts at the card.

    Raises
    ------
    ScenarioError
        On the line of the card, if there is no such dataset, it is damaged, has too few training
        samples, or other images or classes than the network.
    """
    recipe = card_file.card.training
    assert recipe is not None  # noqa: S101 - a card without one has no such dataset
    try:
        info = open_dataset(recipe.dataset, card_file.file.parent)
    except DatasetError as error:
        fault = card_file.fault("training.dataset", str(error))
        if missing is None or not isinstance(error, MissingDatasetError):
            raise ScenarioError([fault]) from None
        missing.append(fault)
        info = DATASETS[error.dataset]
    if faults := training_faults(card_file, info):
        raise ScenarioError(faults)
    return info


def training_faults(card_file: CardFile, info: DatasetInfo) -> list[Fault]:
    """Find what keeps a dataset from being what a card's recipe trains on.

    Parameters
    ----------
    card_file
        A card with a recipe.
    info
        The dataset that the recipe names.

    Returns
    -------
    list of Fault
        On the lines of the card: other images, more classes, or fewer training samples.
    """
    recipe, architecture = card_file.card.training, card_file.card.architecture
    assert recipe is not None  # noqa: S101 - a card without one names no dataset
    faults = []
    fits = list(info.image_shape) == architecture.input_shape
    if not fits or info.classes > architecture.classes:
        rule = (
            f"must take the images {list(info.image_shape)} and have the {info.classes} classes of"
            f" {recipe.dataset!r}, got {architecture.input_shape} and {architecture.classes}"
        )
        faults.append(card_file.fault("architecture", rule, remedy="change it, or the dataset"))
    if not info.train_samples:
        rule = f"has no samples to train on in {recipe.dataset!r}: a class of one is held out"
        faults.append(card_file.fault("training.dataset", rule, remedy="add some"))
    if recipe.samples is not None and recipe.samples > info.train_samples:
        rule = f"must be at most {info.train_samples}, the training samples of {recipe.dataset!r}"
        faults.append(card_file.fault("training.samples", rule, recipe.samples, "ask for fewer"))
    return faults


class _UnknownArchitecture(Section):
    """What the network is made of."""

    model_config = ConfigDict(extra="allow")

    family: Literal[tuple(ARCHITECTURES)]  # type: ignore[valid-type]
    """Family of networks; `flexrel-sim networks` lists them."""


class _UnknownCard(Card):
    architecture: _UnknownArchitecture  # type: ignore[assignment]
    """What the network is made of."""


_CARDS: Final[dict[str, type[Card]]] = {
    family: create_model("Card", __base__=Card, architecture=(section, ...))
    for family, section in ARCHITECTURES.items()
}
"""A card whose architecture is of one family."""


def checkpoint_file(card_file: CardFile) -> Path | None:
    """Find a card's checkpoint, and make sure that it is the one the card records.

    Parameters
    ----------
    card_file
        The card.

    Returns
    -------
    pathlib.Path or None
        The checkpoint; None where a factory gives trained weights and none is recorded.

    Raises
    ------
    CheckpointError
        If it is missing, or its hash is not the recorded one (truncated, changed, or swapped).
    """
    card, record = card_file.card, card_file.card.checkpoint
    if card.needs_package:
        return _packaged(card_file)
    file, train = card_file.checkpoint, f"train it with 'flexrel-sim train {card_file.file}'"
    architecture = card.architecture
    if record is None and isinstance(architecture, Factory) and architecture.trained:
        if card.pruned:
            rule = "needs the checkpoint that knows how many filters are left"
            raise CheckpointError(f"{card_file.file}: pruned: {rule}; record it")
        return None
    if record is None:
        remedy = train if card.training else "record its file and sha256, or add a training section"
        if isinstance(architecture, Factory):
            remedy += "; where the factory loads its weights, say architecture.trained: true"
        raise CheckpointError(f"{card_file.file}: checkpoint: is not recorded; {remedy}")
    if not is_file(file):
        remedy = f"restore it, or {train}" if card.training else "restore it"
        raise CheckpointError(f"{file}: checkpoint: is missing; {remedy}")
    if sha256_of(file, "restore it", CheckpointError) != record.sha256:
        again = "restore it"
        if retrain := retrain_remedy(card_file):
            again += f", or {retrain}"
        elif not card.pruned:
            again += ", or record its own sha256 on the card if it is the one that you mean"
        raise CheckpointError(
            f"{file}: checkpoint: is truncated or not the file on its card"
            f" ({file.stat().st_size:,} bytes, another sha256); {again}"
        )
    return file


def retrain_remedy(card_file: CardFile) -> str:
    """Say how a checkpoint of no use is trained again; empty where that could lose somebody's own.

    What `train` did not write is the user's, which it must not replace; and it trains no network
    whose filters were removed.
    """
    card, record = card_file.card, card_file.card.checkpoint
    if card.training is None or card.pruned or record is None or not record.reproduce:
        return ""
    return f"train it with 'flexrel-sim train {card_file.file} --force'"


def _packaged(card_file: CardFile) -> Path:
    family = card_file.card.architecture.family
    try:
        file = packaged_file(family)
    except CheckpointError as error:
        raise CheckpointError(f"{card_file.file}: {error}") from None
    if sha256_of(file, "restore it", CheckpointError) != PACKAGED[family].sha256:
        raise CheckpointError(
            f"{file}: checkpoint: is not the published file (another sha256); install"
            f" {PACKAGED[family].distribution}=={PACKAGED[family].version} again"
        )
    return file
