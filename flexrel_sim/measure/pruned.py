"""The pruned network of an operating point: δ chosen if asked, then the schedule, step by step."""

from __future__ import annotations

import copy
import hashlib
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from flexrel_sim.codec import WeightDtype, rounded_weights
from flexrel_sim.datasets import DatasetInfo, EvaluationSamples, Samples, evaluation_samples
from flexrel_sim.errors import WorkError
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.networks.shrunk import shrink
from flexrel_sim.networks.weights import fill
from flexrel_sim.partition import EDGE, split_network
from flexrel_sim.pruning import CRITERIA
from flexrel_sim.pruning.auto import choose
from flexrel_sim.pruning.prune import prune, with_floors_of
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.scenario.schema import PruningSection
from flexrel_sim.store import Store
from flexrel_sim.training.fine_tune import fine_tune

__all__ = ["PrunedNetwork", "head_layers", "prune_point", "pruned_network", "samples_of"]

_STEPS = Store("steps")


@dataclass(frozen=True)
class PrunedNetwork:
    """What pruning gave.

    Parameters
    ----------
    network
        The pruned network, in evaluation mode.
    choice
        What `delta: auto` tried and chose, as plain data; empty where δ was given.
    seconds
        Time that scoring and removal took here, fine-tuning not counted.
    """

    network: nn.Module
    choice: dict[str, Any]
    seconds: float


@dataclass(frozen=True)
class Recipe:
    """Where fine-tuning gets its samples.

    Parameters
    ----------
    dataset
        The network's own dataset.
    samples
        How many of its training samples the network saw; None is all.
    """

    dataset: DatasetInfo
    samples: int | None = None


def pruned_network(
    network: nn.Module,
    settings: PruningSection,
    samples: EvaluationSamples,
    *,
    cut: str = "edge",
    recipe: Recipe | None = None,
    key: str = "",
) -> PrunedNetwork:
    """Prune a network as a scenario says.

    Parameters
    ----------
    network
        A trained network in evaluation mode; left as it is.
    settings
        Criterion, ratio, schedule and the rest.
    samples
        Its calibration samples score, its validation samples choose δ; its test samples are not
        looked at.
    cut
        Where the network will be cut; matters to ``cut_ratio`` only.
    recipe
        Where fine-tuning gets its samples.
    key
        Names this work; with it, every finished step of a schedule is kept, and taken up again.

    Returns
    -------
    PrunedNetwork
        The network, and what was chosen on the way.

    Raises
    ------
    WorkError
        If fine-tuning is asked for, and the network has no recipe.
    ValueError
        If the network can't be pruned so.
    """
    if not settings.prunes:
        return PrunedNetwork(network.eval(), {}, 0.0)
    tuning = settings.schedule.fine_tuning
    if tuning.epochs and recipe is None:
        raise WorkError("fine-tuning needs a network with a training recipe on its card")
    calibration = _tensors(samples.calibration)
    head = head_layers(network, cut)
    started = time.perf_counter()
    settings, choice = _resolved(network, settings, samples, head)
    seconds = time.perf_counter() - started
    whole = network
    for step, planned in enumerate(_steps(settings), start=1):
        kept = _step_key(key, step, settings)
        started = time.perf_counter()
        found = _resumed(kept, network)
        if found is not None:
            network = found
            continue
        at = with_floors_of(planned, whole, network)
        network = prune(network, at, *calibration, head=head, gone=_gone(network, at, step))
        seconds += time.perf_counter() - started
        if tuning.epochs and recipe is not None:
            network = fine_tune(network, recipe.dataset, tuning, recipe.samples).network
        if kept is not None:
            _STEPS.put(kept, save({k: v.contiguous() for k, v in network.state_dict().items()}))
    return PrunedNetwork(network.eval(), choice, seconds)


def _resolved(
    network: nn.Module,
    settings: PruningSection,
    samples: EvaluationSamples,
    head: Collection[str],
) -> tuple[PruningSection, dict[str, Any]]:
    """Choose what `delta: auto` leaves open, and tell what was tried."""
    if settings.delta != "auto":
        return settings, {}
    parts = _tensors(samples.calibration), _tensors(samples.validation)
    chosen = choose(network, settings, *parts, head=head)
    return chosen.settings, {
        "delta": chosen.settings.delta,
        "normalise": chosen.settings.normalise,
        "form": chosen.settings.relevance.form or CRITERIA[settings.criterion].form,
        "reached": chosen.reached,
        "tried": [asdict(tried) for tried in chosen.tried],
    }


def samples_of(spec: MeasureSpec) -> EvaluationSamples:
    """Draw the samples of an operating point."""
    data = spec.scenario.data
    return evaluation_samples(
        spec.dataset,
        data.calibration,
        data.validation,
        data.test,
        data.seed,
        data.deployment,
        balance=spec.scenario.calibration.balance,
    )


def prune_point(spec: MeasureSpec, network: nn.Module, samples: EvaluationSamples) -> PrunedNetwork:
    """Prune the network of an operating point, as `pruned_network`, and round what is left."""
    training = spec.card_file.card.training
    pruned = pruned_network(
        network,
        spec.scenario.pruning,
        samples,
        # Which channels cross matters to `cut_ratio` only, and that needs a cut with a name.
        cut=EDGE if spec.seeks_best else spec.scenario.split.cut,
        recipe=Recipe(spec.trained_on, training.samples) if training and spec.trained_on else None,
        key=spec.network_key,
    )
    return replace(pruned, network=_rounded(pruned.network, spec.scenario.weights.dtype))


def _rounded(network: nn.Module, dtype: WeightDtype) -> nn.Module:
    """Round weights to what is shipped: accuracy must be that of the shipped network."""
    if dtype == "float32":
        return network
    network = copy.deepcopy(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(rounded_weights(parameter.detach().numpy(), dtype)))
    return network


def head_layers(network: nn.Module, cut: str) -> frozenset[str]:
    """Name the layers before a cut that have weights."""
    head, _ = split_network(network, cut)
    inside = {id(module) for module in head.modules()}
    return frozenset(
        name for name, layer in prunable_layers(network).items() if id(layer) in inside
    )


def _tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(samples.images), torch.from_numpy(samples.labels)


def _steps(settings: PruningSection) -> list[PruningSection]:
    """Give the settings of every step; filters are counted anew after each removal."""
    steps, kept = settings.schedule.steps, 1 - settings.ratio
    ratios = [1 - kept ** (step / steps) for step in range(1, steps)] + [settings.ratio]
    if settings.granularity == "filters":
        ratios = [1 - kept ** (1 / steps)] * steps
    first, *others = [settings.model_copy(update={"ratio": ratio}) for ratio in ratios]
    # Channels at the cut go at once.
    return [first, *(at.model_copy(update={"cut_ratio": 0.0}) for at in others)]


def _gone(network: nn.Module, settings: PruningSection, step: int) -> Mapping[str, Tensor] | None:
    if step == 1 or settings.granularity == "filters":
        return None
    return {name: layer.weight == 0 for name, layer in prunable_layers(network).items()}


def _step_key(key: str, step: int, settings: PruningSection) -> str | None:
    """Name a finished step; a schedule of one step without training needs none."""
    schedule = settings.schedule
    if not key or (schedule.steps == 1 and schedule.fine_tuning.epochs == 0):
        return None
    return hashlib.sha256(json.dumps([key, step]).encode()).hexdigest()


def _resumed(key: str | None, network: nn.Module) -> nn.Module | None:
    """Read a finished step: the network that it started from, with its weights and sizes."""

    def read(data: bytes) -> nn.Module:
        tensors = load(data)
        found = copy.deepcopy(network)
        shrink(found, tensors)
        fill(found, tensors)
        return found

    return None if key is None else _STEPS.get(key, read)
