"""A scenario's pruned network as a file to ship: before and after, checkpoint and card."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save
from torch import nn

from flexrel_sim.accuracy import Recalls
from flexrel_sim.codec import WeightDtype, shipped_bytes
from flexrel_sim.datasets import DATASETS, Samples
from flexrel_sim.errors import Fault, InputError, ScenarioError, WorkError
from flexrel_sim.files import demand_free, write_whole
from flexrel_sim.measure.layers import layer_costs
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.measure.updating import Update, earlier_version, update_between
from flexrel_sim.metrics import choice_text
from flexrel_sim.networks import CheckpointRecord, checkpoint_file
from flexrel_sim.networks.answers import answers
from flexrel_sim.networks.build import load_network, weights_of
from flexrel_sim.scenario import read_yaml
from flexrel_sim.scenario.schema import PruningSection
from flexrel_sim.signals import held
from flexrel_sim.statistics import Estimate
from flexrel_sim.threads import one_thread

__all__ = ["Shipped", "Size", "ship"]

# A card's name.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Size:
    """What a network costs, and what it is worth.

    Parameters
    ----------
    recalls
        Right answers by class, on the scenario's test samples.
    weights
        Parameters that are not zero.
    macs
        Multiply-accumulate operations for one image, counted dense.
    bytes
        Parameters, each array in the format that takes the fewest bytes: as float32 before, as
        ``weights.dtype`` says after.
    """

    recalls: Recalls
    weights: int
    macs: int
    bytes: int

    @property
    def accuracy(self) -> Estimate:
        """Accuracy on the test samples."""
        return self.recalls.figures["accuracy"]


@dataclass(frozen=True)
class Shipped:
    """A pruned network on disk.

    Parameters
    ----------
    checkpoint, card
        The two files.
    before, after
        The dense network and the pruned one.
    choice
        What `delta: auto` tried and chose; empty where δ was given.
    update
        What it takes to get here from an earlier version, if one was named.
    warnings
        Warnings: valid, but likely a mistake.
    """

    checkpoint: Path
    card: Path
    before: Size
    after: Size
    choice: dict[str, Any]
    update: Update | None = None
    warnings: tuple[Fault, ...] = ()


def ship(
    spec: MeasureSpec, checkpoint: Path, since: Path | None = None, *, force: bool = False
) -> Shipped:
    """Prune a scenario's network and write it.

    Parameters
    ----------
    spec
        Network, samples and pruning.
    checkpoint
        A ``.safetensors`` file; its card goes beside it, as ``.yaml``.
    since
        Card of an earlier version, whose update to this one is to be counted.
    force
        Whether a checkpoint and a card that are there are replaced.

    Returns
    -------
    Shipped
        The files, and what was gained and lost.

    Raises
    ------
    InputError
        If the file has another suffix, or would replace the scenario's own network, another file
        than a card, or, without ``force``, any; or the earlier version has other parameters.
    WorkError
        If the network can't be pruned.
    """
    card_file = checkpoint.with_suffix(".yaml")
    if checkpoint.suffix != ".safetensors":
        raise InputError(f"{checkpoint}: must be a .safetensors file; name it so")
    if not _NAME.fullmatch(checkpoint.stem):
        raise InputError(f"{checkpoint}: names the network; use letters, digits, '.', '_' and '-'")
    own = [old for old in (spec.card_file.file, checkpoint_file(spec.card_file)) if old]
    if any(new.resolve() == old.resolve() for new in (checkpoint, card_file) for old in own):
        raise InputError(f"{checkpoint}: is the network that is pruned; name another file")
    if not checkpoint.parent.is_dir():
        raise InputError(f"{checkpoint.parent}: is no folder; make it, or name another file")
    if card_file.exists() and not _is_card(card_file):
        raise InputError(f"{card_file}: is there, and is no network's card; name another file")
    demand_free((checkpoint, card_file), force=force)
    earlier = None if since is None else earlier_version(since, spec.card_file.consent)
    with one_thread():
        dense = load_network(spec.card_file)
        try:
            samples = samples_of(spec)
            found = prune_point(spec, dense, samples)
        except ValueError as error:
            raise WorkError(f"{spec.card_file.file}: can't be pruned: {error}") from None
        before = _size(dense, samples.test)
        pruned = found.network
        after = _size(pruned, samples.test, spec.scenario.weights.dtype)
        update = None
        if earlier is not None:
            example = torch.from_numpy(samples.test.images[:1])
            cut, dtype = spec.scenario.split.cut, spec.scenario.weights.dtype
            try:
                update = update_between(earlier, pruned, cut, dtype, example)
            except ValueError as error:
                raise InputError(f"{since}: {error}") from None
    data = save({k: v.contiguous() for k, v in weights_of(pruned).state_dict().items()})
    card = _card_text(spec, checkpoint, data, after, found.choice).encode()
    with held():
        for file, content in ((checkpoint, data), (card_file, card)):
            _write(file, content, force=force)
    return Shipped(checkpoint, card_file, before, after, found.choice, update)


def _size(network: nn.Module, test: Samples, dtype: WeightDtype = "float32") -> Size:
    images = torch.from_numpy(test.images)
    layers = layer_costs(network, "edge", images[:1])
    return Size(
        Recalls.of(test.labels, answers(network, images).numpy()),
        sum(layer.nonzero_weights for layer in layers),
        sum(layer.macs for layer in layers),
        shipped_bytes((weight.detach().numpy() for weight in network.parameters()), dtype),
    )


def _is_card(file: Path) -> bool:
    try:
        return "architecture" in read_yaml(file).data
    except ScenarioError:
        return False


def _loses_channels(pruning: PruningSection) -> bool:
    return pruning.granularity == "filters" or pruning.cut_ratio > 0


def _card_text(
    spec: MeasureSpec, checkpoint: Path, data: bytes, after: Size, choice: Mapping[str, Any]
) -> str:
    card = spec.card_file.card
    record = CheckpointRecord(
        file=checkpoint.name, sha256=hashlib.sha256(data).hexdigest(), torch=version("torch")
    )
    training = card.training
    if training and training.dataset not in DATASETS:
        # The new card may lie elsewhere, and its path starts there.
        own = (spec.card_file.file.parent / training.dataset).resolve()
        training = training.model_copy(update={"dataset": str(own)})
    content = card.model_copy(
        update={
            "name": checkpoint.stem,
            "training": training,
            "checkpoint": record,
            "pruned": card.pruned or _loses_channels(spec.scenario.pruning),
        }
    ).model_dump(mode="json", exclude_none=True)
    pruning = yaml.safe_dump(spec.operating_point["pruning"], default_flow_style=True, width=10**6)
    chose = f"# delta: auto chose {_choice(choice)}\n" if choice else ""
    comment = (
        f"# Pruned from {card.name} by flexrel_sim: {pruning.strip()}\n{chose}"
        f"# Accuracy on {spec.scenario.data.test} test samples: {after.accuracy.value:.4f}"
        f" [{after.accuracy.low:.4f}, {after.accuracy.high:.4f}]; mean recall of the classes:"
        f" {after.recalls.figures['balanced_accuracy'].value:.4f}, lowest:"
        f" {after.recalls.figures['worst_recall'].value:.4f}\n"
    )
    return comment + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _choice(choice: Mapping[str, Any]) -> str:
    missed = "" if choice["reached"] else "; no try kept the accuracy that it aimed at"
    return choice_text(choice) + missed


def _write(file: Path, data: bytes, *, force: bool) -> None:
    try:
        write_whole(file, data, replace=force)
    except OSError as error:
        raise InputError(f"{file}: can't be written: {error.strerror}; name another") from None
