"""A bottleneck for a scenario's pruned network and cut: trained, written, put in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from flexrel_sim.accuracy import Recalls
from flexrel_sim.datasets import Samples, held_out, train_samples
from flexrel_sim.errors import InputError, WorkError
from flexrel_sim.files import demand_free, write_whole
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.measure.spec import MeasureSpec
from flexrel_sim.networks import CheckpointRecord, training_dataset
from flexrel_sim.networks.answers import answers
from flexrel_sim.networks.bottleneck import BOTTLENECK_CUT, load_bottleneck, with_bottleneck
from flexrel_sim.networks.bottleneck_card import (
    BottleneckCard,
    BottleneckTraining,
    write_bottleneck_card,
)
from flexrel_sim.networks.build import load_network
from flexrel_sim.partition import EDGE, split_graph, trace
from flexrel_sim.signals import held
from flexrel_sim.threads import one_thread
from flexrel_sim.training.bottleneck import train_bottleneck
from flexrel_sim.training.outcome import demand_learned

__all__ = ["at_bottleneck", "make_bottleneck", "put_in"]


def make_bottleneck(
    spec: MeasureSpec,
    file: Path,
    size: tuple[int, int],
    recipe: BottleneckTraining,
    after_epoch: Callable[[int, float], None] | None = None,
    *,
    force: bool = False,
) -> BottleneckCard:
    """Train a bottleneck for an operating point, and write its card and weights.

    Parameters
    ----------
    spec
        Network, pruning and cut.
    file
        The card, ``.yaml``; the weights go beside it, as ``.safetensors``.
    size
        Channels that cross the link, and stride.
    recipe
        How long and how fast.
    after_epoch
        Called with the epoch, from 1, and its mean loss.
    force
        Whether a card and weights that are there are replaced.

    Returns
    -------
    BottleneckCard
        What was written; its accuracy is that on the held-out samples, without a codec.

    Raises
    ------
    InputError
        If the cut is `edge` or `best`, the network's card has no recipe, or the file has another
        suffix or would replace the network's own card or checkpoint, or, without ``force``, any.
    WorkError
        If the boundary takes no bottleneck of that size, or is of several tensors; or training
        diverges, or ends in answers as if by chance.
    ScenarioError
        On the card's line, if the dataset of its recipe can't be opened or doesn't fit.
    """
    training = spec.card_file.card.training
    if spec.scenario.split.cut == EDGE:
        raise InputError("split.cut: is 'edge', where nothing is sent; cut elsewhere")
    if training is None:
        raise InputError(f"{spec.card_file.file}: training: is missing: it names the samples")
    if file.suffix != ".yaml" or file.resolve() == spec.card_file.file.resolve():
        raise InputError(f"{file}: must be a .yaml file, and not the network's own; name another")
    weights = file.with_suffix(".safetensors")
    if weights.resolve() == spec.card_file.checkpoint.resolve():
        raise InputError(f"{weights}: is the network's own checkpoint; name another card")
    demand_free((file, weights), force=force)
    if spec.seeks_best:
        raise InputError("split.cut: is 'best'; name the cut that the bottleneck is for")
    dataset = training_dataset(spec.card_file)
    with one_thread():
        network = load_network(spec.card_file)
        network = prune_point(spec, network, samples_of(spec)).network.requires_grad_(False)
        halves = _halves(network, spec.scenario.split.cut)
        seen = _tensors(train_samples(dataset, training.samples))
        try:
            bottleneck = train_bottleneck(halves, seen, size, recipe, after_epoch)
        except ValueError as error:
            raise WorkError(f"{spec.scenario.split.cut}: {error}") from None
        whole = with_bottleneck(network, spec.scenario.split.cut, bottleneck)
        rest = held_out(dataset)
        images = torch.from_numpy(rest.images)
        recalls = Recalls.of(rest.labels, answers(whole.eval(), images).numpy())
        what = f"bottleneck at {spec.scenario.split.cut}"
        demand_learned(what, recalls, recipe.epochs, "train longer, or send more channels")
        with torch.inference_mode():
            boundary = halves[0](images[:1]).shape[1:]
    data = save({name: held.contiguous() for name, held in bottleneck.state_dict().items()})
    card = BottleneckCard(
        network=spec.card_file.card.name,
        cut=spec.scenario.split.cut,
        boundary=list(boundary),
        channels=size[0],
        stride=size[1],
        training=recipe,
        trained_for=spec.bottleneck_key,
        checkpoint=CheckpointRecord(
            file=weights.name,
            sha256=hashlib.sha256(data).hexdigest(),
            held_out_accuracy=recalls.figures["accuracy"].value,
            held_out_samples=rest.labels.size,
            torch=version("torch"),
        ),
    )
    try:
        with held():
            write_whole(weights, data, replace=force)
            write_bottleneck_card(file, card)
    except OSError as error:
        raise InputError(f"{file}: can't be written: {error.strerror}; name another") from None
    return card


def _halves(network: nn.Module, cut: str) -> tuple[nn.Module, nn.Module]:
    graph = trace(network)
    point = graph.cut(cut)
    if len(point.values) > 1:
        names = ", ".join(graph.names[value] for value in point.values)
        raise WorkError(f"{cut}: a bottleneck narrows one tensor, and {names} cross; cut elsewhere")
    return split_graph(graph, point)


def put_in(spec: MeasureSpec, network: nn.Module) -> nn.Module:
    """Give the pruned network with the operating point's bottleneck in it, if it has one."""
    if spec.bottleneck is None:
        return network
    bottleneck = load_bottleneck(spec.bottleneck)
    return with_bottleneck(network, spec.scenario.split.cut, bottleneck).eval()


def at_bottleneck(spec: MeasureSpec) -> MeasureSpec:
    """Give the operating point with the cut that `put_in` moves behind the encoder."""
    if spec.bottleneck is None:
        return spec
    split = spec.scenario.split.model_copy(update={"cut": BOTTLENECK_CUT})
    return replace(spec, scenario=spec.scenario.model_copy(update={"split": split}))


def _tensors(samples: Samples) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(samples.images), torch.from_numpy(samples.labels)
