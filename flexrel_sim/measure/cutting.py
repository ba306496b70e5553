"""The cuts of a scenario's network, as `flexrel-sim cuts` shows them."""

from __future__ import annotations

from dataclasses import replace

import torch

from flexrel_sim.errors import ScenarioError, WorkError, one_line
from flexrel_sim.measure.check import check
from flexrel_sim.measure.pruned import prune_point, samples_of
from flexrel_sim.networks import CardFile, Consent, load_card
from flexrel_sim.networks.build import build_network, built_network, load_network
from flexrel_sim.partition import cut_table, trace
from flexrel_sim.placement import CutTable
from flexrel_sim.reading import is_file
from flexrel_sim.scenario import Point, Scenario, ScenarioFile
from flexrel_sim.threads import one_thread

__all__ = ["scenario_cuts"]


def scenario_cuts(
    scenario_file: ScenarioFile[Scenario], consent: Consent | None = None
) -> CutTable:
    """List the cuts of the network of a scenario, its sweep left out.

    Parameters
    ----------
    scenario_file
        A scenario whose own rules hold. Where it removes filters, the network is pruned first;
        else only its card is read, and it needs no checkpoint.
    consent
        Which factories may be called, beside those in files under the scenario's folder.

    Returns
    -------
    CutTable
        All cuts with their boundaries and costs.

    Raises
    ------
    ScenarioError
        If the network, or a setting that pruning needs, is wrong.
    CheckpointError
        If a factory may not be called, or can't give the network, or a checkpoint that is needed
        is missing.
    WorkError
        If the network can't be pruned, or fails on an image.
    """
    scenario, consent = scenario_file.scenario, consent or Consent()
    base = replace(scenario_file, points=(Point(0, {}, scenario),))
    pruning = scenario.pruning
    if pruning.prunes and (pruning.granularity == "filters" or pruning.cut_ratio):
        spec = check(base, consent).specs[0]
        with one_thread():
            try:
                network = prune_point(spec, load_network(spec.card_file), samples_of(spec)).network
            except ValueError as error:
                raise WorkError(f"{spec.card_file.file}: can't be pruned: {error}") from None
            return cut_table(trace(network), torch.zeros(1, *_image(spec.card_file)))
    file = scenario_file.folder / scenario.model.network
    if not is_file(file):
        remedy = "give the path of a card, relative to this file"
        fault = base.fault(
            base.points[0], "model.network", "must be the card of a network", str(file), remedy
        )
        raise ScenarioError([fault])
    return _dense_cuts(load_card(file, consent.beside(scenario_file.folder)))


def _image(card_file: CardFile) -> list[int]:
    return card_file.card.architecture.input_shape


def _dense_cuts(card_file: CardFile) -> CutTable:
    """List the cuts of the network on a card, without memory for its weights where that goes."""
    card = card_file.card
    shape = (1, *_image(card_file))
    if card.pruned:
        return cut_table(trace(load_network(card_file)), torch.zeros(shape))
    if not card_file.is_code:
        with torch.device("meta"):
            network = build_network(card.architecture).eval()
            return cut_table(trace(network), torch.zeros(shape))
    network = built_network(card_file)
    try:
        return cut_table(trace(network), torch.zeros(shape))
    except (RuntimeError, TypeError, ValueError) as error:
        image = "x".join(str(size) for size in shape[1:])
        told = one_line(str(error))
        raise WorkError(f"{card_file.file}: fails on an image {image}: {told}") from None
