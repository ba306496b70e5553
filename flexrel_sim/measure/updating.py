"""What an update from one version of a network to the next takes on the link."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from flexrel_sim.codec import WeightDtype, encode_update
from flexrel_sim.errors import InputError
from flexrel_sim.networks import Consent, load_card
from flexrel_sim.networks.build import load_network, weights_of
from flexrel_sim.networks.weights import listed
from flexrel_sim.partition import count, trace
from flexrel_sim.reading import is_file

__all__ = ["Update", "earlier_version", "update_between"]


@dataclass(frozen=True)
class Update:
    """Bytes that turn an earlier version of a network into a new one.

    Parameters
    ----------
    bytes
        Of all parameters: for each array what `codec.encode_update` gives, changes or the whole.
    head_bytes
        Of those that the edge device holds, at the scenario's cut; None where the cut is chosen.
    """

    bytes: int
    head_bytes: int | None


def earlier_version(card: Path, consent: Consent | None = None) -> nn.Module:
    """Load the version that is out there.

    Parameters
    ----------
    card
        The card that `prune` wrote beside it.
    consent
        Which factories may be called.

    Returns
    -------
    torch.nn.Module
        In evaluation mode.

    Raises
    ------
    InputError
        If there is no such card.
    ScenarioError, CheckpointError
        If card or checkpoint are faulty.
    """
    if not is_file(card):
        raise InputError(f"{card}: is no card; name the .yaml beside the earlier version")
    if card.suffix == ".safetensors":
        raise InputError(f"{card}: is a checkpoint; name its card, {card.with_suffix('.yaml')}")
    return load_network(load_card(card, consent))


def update_between(
    old: nn.Module, new: nn.Module, cut: str, dtype: WeightDtype, example: Tensor
) -> Update:
    """Encode what turns one version into the other, array by array.

    Parameters
    ----------
    old, new
        Networks with the same parameters, in names and shapes.
    cut
        Name of the cut, or ``best``.
    dtype
        What a number is shipped as.
    example
        Images of the right shape, ``(batch, channels, height, width)``.

    Returns
    -------
    Update
        Bytes of the whole network's update and of the head's.

    Raises
    ------
    ValueError
        If the parameters differ in names or shapes, some of which are named.
    """
    before, after = (dict(weights_of(network).named_parameters()) for network in (old, new))
    differ = sorted(
        name
        for name in before.keys() | after.keys()
        if name not in before or name not in after or before[name].shape != after[name].shape
    )
    if differ:
        raise ValueError(
            f"differs in {listed(differ)}; an update needs the same architecture with the same"
            " filters removed, so ship the whole network"
        )
    sizes = {
        name: len(encode_update(before[name].detach().numpy(), one.detach().numpy(), dtype))
        for name, one in after.items()
    }

    def total(names: Iterable[str]) -> int:
        return sum(sizes[name] for name in names)

    head = None if cut == "best" else total(_before_cut(new, after, cut, example))
    return Update(total(sizes), head)


def _before_cut(
    network: nn.Module, parameters: dict[str, nn.Parameter], cut: str, example: Tensor
) -> set[str]:
    graph = trace(network)
    costs = count(graph, example[:1])
    names = {id(one): name for name, one in parameters.items()}
    read = costs[: graph.cut(cut).position]
    return {names[id(one)] for cost in read for one in cost.parameters}
