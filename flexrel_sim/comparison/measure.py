"""One trained network, pruned by every entry along every track."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from flexrel_sim.codec import shipped_bytes
from flexrel_sim.comparison.result import Curve
from flexrel_sim.comparison.schema import Entry, Pair, Track
from flexrel_sim.comparison.settings import merged
from flexrel_sim.datasets import DatasetInfo, evaluation_samples
from flexrel_sim.networks import Card, Consent
from flexrel_sim.networks.answers import share_correct
from flexrel_sim.networks.build import build_network
from flexrel_sim.pruning.auto import choose
from flexrel_sim.pruning.evidence import Evidence
from flexrel_sim.pruning.positions import output_positions
from flexrel_sim.pruning.prune import removed
from flexrel_sim.pruning.relevance import prunable_layers
from flexrel_sim.pruning.scores import scoring
from flexrel_sim.scenario.schema import DataSection, PruningSection, RelevanceSection
from flexrel_sim.store import Store
from flexrel_sim.training import train_network
from flexrel_sim.training.fine_tune import fine_tune
from flexrel_sim.training.outcome import RECIPE_REMEDY, demand_learned

__all__ = ["Subject"]

_NETWORKS = Store("networks")

# Losses that are asked for are smaller: below this, a curve has nothing more to tell.
_HOPELESS_LOSS = 0.3


@dataclass
class Subject:
    """A network trained with one seed, and the samples that it meets.

    Parameters
    ----------
    card
        Architecture and recipe.
    pair
        Where it is deployed.
    data
        How many samples serve what.
    trained_on, deployed_on
        The datasets that training sees, and that all other samples are drawn from.
    seed
        Seed of training.
    key
        Names the trained weights, which are kept; trained if missing.
    consent
        Which factories may be called.
    """

    card: Card
    pair: Pair
    data: DataSection
    trained_on: DatasetInfo
    deployed_on: DatasetInfo
    seed: int
    key: str
    consent: Consent | None = None

    @cached_property
    def network(self) -> nn.Module:
        """The trained network, in evaluation mode."""
        assert self.card.training is not None  # noqa: S101 - load_comparison has checked it
        recipe = self.card.training.model_copy(update={"seed": self.seed})
        card = self.card.model_copy(update={"training": recipe})
        tensors = _NETWORKS.get(self.key, load_tensors)
        if tensors is None:
            trained = train_network(card, self.trained_on, consent=self.consent)
            demand_learned(card.name, trained.recalls, recipe.epochs, RECIPE_REMEDY)
            _NETWORKS.put(self.key, trained.checkpoint)
            tensors = load_tensors(trained.checkpoint)
        network = build_network(card.architecture, self.consent)
        network.load_state_dict(tensors)
        return network.eval().requires_grad_(False)

    @cached_property
    def _samples(self) -> dict[str, tuple[Tensor, Tensor]]:
        data = self.data
        drawn = evaluation_samples(
            self.deployed_on,
            data.calibration,
            data.validation,
            data.test,
            data.seed,
            self.pair.deployment,
        )
        return {
            part: (
                torch.from_numpy(getattr(drawn, part).images),
                torch.from_numpy(getattr(drawn, part).labels),
            )
            for part in ("calibration", "validation", "test")
        }

    @cached_property
    def _evidence(self) -> dict[str, Evidence]:
        return {}

    def evidence(self, relevance: RelevanceSection) -> Evidence:
        """Give what signals look at; forms of relevance share it."""
        key = relevance.model_copy(update={"form": None}).model_dump_json()
        if key not in self._evidence:
            self._evidence[key] = Evidence(
                self.network, *self._samples["calibration"], relevance, self.seed
            )
        return self._evidence[key]

    @cached_property
    def absent_masked(self) -> float:
        """Test accuracy of the dense network when absent classes can't be answered."""
        images, labels = self._samples["test"]
        classes = self.pair.deployment.classes
        with torch.no_grad():
            logits = torch.cat([self.network(batch) for batch in images.split(250)])
        if classes is not None:
            absent = [k for k in range(logits.shape[1]) if k not in classes]
            logits[:, absent] = -torch.inf
        return float((logits.argmax(1) == labels).double().mean())

    def curve(self, entry: Entry, track: Track) -> Curve:
        """Prune along a track and measure accuracy and what is kept.

        Parameters
        ----------
        entry
            How to choose what is kept.
        track
            How to prune.

        Returns
        -------
        Curve
            Points in the order of ``track.kept``, after the dense network's.
        """
        settings = merged(entry, track)
        evidence = self.evidence(settings.relevance)
        if settings.delta == "auto":
            parts = (self._samples["calibration"], self._samples["validation"])
            settings = choose(self.network, settings, *parts, evidence).settings
        points = [self._point(self.network)]
        for pruned in self._pruned(settings, track, evidence):
            points.append(self._point(pruned))
            if points[-1][3] < points[0][3] - _HOPELESS_LOSS:
                break
        weights, macs, size, validation, test = zip(*points, strict=True)
        chosen = {"delta": settings.delta, "normalise": settings.normalise}
        return Curve(
            self.pair.label,
            self.seed,
            entry.label,
            track.label,
            weights,
            macs,
            size,
            validation,
            test,
            self.absent_masked,
            chosen if entry.pruning.delta == "auto" else {},
        )

    def _pruned(
        self, settings: PruningSection, track: Track, evidence: Evidence
    ) -> Iterator[nn.Module]:
        how = scoring(settings)
        for kept in track.kept:
            at = settings.model_copy(update={"ratio": 1 - kept})
            pruned = removed(self.network, evidence, at, how)
            tuning = settings.schedule.fine_tuning
            if tuning.epochs and self.card.training is not None:
                count = self.card.training.samples
                pruned = fine_tune(pruned, self.trained_on, tuning, count).network
            yield pruned

    @cached_property
    def _positions(self) -> dict[str, int]:
        example = self._samples["calibration"][0][:1]
        return output_positions(self.network, prunable_layers(self.network), example)

    @cached_property
    def _dense(self) -> tuple[int, int, int]:
        return self._counts(self.network)

    def _point(self, network: nn.Module) -> tuple[float, float, float, float, float]:
        kept = (got / all_ for got, all_ in zip(self._counts(network), self._dense, strict=True))
        weights, macs, size = kept
        return (
            weights,
            macs,
            size,
            share_correct(network, *self._samples["validation"]),
            share_correct(network, *self._samples["test"]),
        )

    def _counts(self, network: nn.Module) -> tuple[int, int, int]:
        """Count non-zero prunable weights, their MACs, and the shipped bytes of all parameters."""
        layers = prunable_layers(network)
        nonzero = {name: int(layer.weight.count_nonzero()) for name, layer in layers.items()}
        macs = sum(count * self._positions[name] for name, count in nonzero.items())
        size = shipped_bytes(weight.detach().numpy() for weight in network.parameters())
        return sum(nonzero.values()), macs, size
