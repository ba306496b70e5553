"""Pruning at ImageNet's size, as ratios against a peer in the same run; CPU time, one thread."""

from __future__ import annotations

import copy
import functools
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable

import torch
import torch_pruning
from torch import nn

from flexrel_sim.networks.architectures import ResNet, TorchvisionVgg
from flexrel_sim.networks.build import build_network
from flexrel_sim.pruning.channels import CoupledNetwork
from flexrel_sim.pruning.evidence import Evidence
from flexrel_sim.pruning.filters import kept_channels
from flexrel_sim.pruning.scores import Scoring, score, scoring
from flexrel_sim.pruning.select import keep_masks
from flexrel_sim.scenario.schema import PruningSection, RelevanceSection

__all__ = ["compare_all"]

_BATCH = 8


def cpu_s(function: Callable[[], object], repeats: int = 2) -> float:
    """Give the least CPU time of a few runs, which other processes disturb little."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def _vgg16() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    architecture = TorchvisionVgg(
        family="torchvision-vgg", depth=16, input_shape=[3, 224, 224], classes=1000
    )
    images = torch.rand(_BATCH, 3, 224, 224)
    return build_network(architecture).eval(), images, torch.arange(_BATCH)


def _step(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    network.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(network(images), labels).backward()


def _sums(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Evidence:
    evidence = Evidence(network, images, labels, RelevanceSection())
    _ = evidence.sums
    return evidence


def vgg16_ratios() -> list[tuple[float, str]]:
    """Compare relevance, scoring and selection on VGG16, 138 M weights and 8 images of 224²."""
    network, images, labels = _vgg16()
    step_s = cpu_s(lambda: _step(network, images, labels))
    network.zero_grad(set_to_none=True)
    relevance_s = cpu_s(lambda: _sums(network, images, labels))
    told = [(relevance_s / step_s, "VGG16 relevance pass against one forward and backward")]
    told.append((relevance_s / _captum_s(network, images, labels), "the same against captum's LRP"))
    evidence = _sums(network, images, labels)
    flat = torch.cat([layer.weight.flatten() for layer in evidence.layers.values()]).detach().abs()
    peer_s = cpu_s(functools.partial(torch.kthvalue, flat, len(flat) // 5 * 4), repeats=1)
    del flat
    for criterion in ("magnitude", "flexrel-paper"):
        how = scoring(PruningSection(criterion=criterion))

        def select(how: Scoring = how) -> None:
            evidence.__dict__.pop("magnitude", None)
            keep_masks(score(how, evidence, "weights"), 0.8, 0.01)

        ratio = cpu_s(select) / peer_s
        told.append((ratio, f"VGG16 {criterion} scores and threshold against torch.kthvalue"))
    return told


class _Bare(nn.Module):
    """VGG without the modules that captum has no rule for.

    At 224² pixels the average pool changes nothing.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.features = copy.deepcopy(network.features)
        self.classifier = copy.deepcopy(network.classifier)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(images).flatten(1))


def _captum_s(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    from captum.attr import LRP  # noqa: PLC0415 - a test dependency

    bare = _Bare(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return cpu_s(lambda: LRP(bare).attribute(images.clone(), target=labels), repeats=1)


def peak_memory_ratio() -> tuple[float, str]:
    """Compare peak memory with that of a training step plus two copies of the weights."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1, maxtasksperchild=1) as pool:
        base, step = pool.apply(_peak, ("step",))
    with context.Pool(1, maxtasksperchild=1) as pool:
        _, ours = pool.apply(_peak, ("score",))
    weights = 138_357_544 * 4
    del base
    return ours / (step + 2 * weights), "VGG16 peak memory against a training step + 2 weights"


def _peak(what: str) -> tuple[int, int]:
    torch.set_num_threads(1)
    network, images, labels = _vgg16()
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if what == "step":
        _step(network, images, labels)
    else:
        evidence = _sums(network, images, labels)
        how = scoring(PruningSection(criterion="flexrel-paper"))
        keep_masks(score(how, evidence, "weights"), 0.8, 0.01)
    return base, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def resnet18_filters() -> tuple[float, str]:
    """Compare removing half of ResNet18's filters with Torch-Pruning's own pruner."""
    torch.manual_seed(0)
    architecture = ResNet(
        family="resnet", stem="imagenet", widths=[64, 128, 256, 512], blocks=[2, 2, 2, 2],
        input_shape=[3, 224, 224], classes=1000,
    )  # fmt: skip
    network = build_network(architecture).eval()
    image = torch.rand(1, 3, 224, 224)
    settings = PruningSection(criterion="magnitude", granularity="filters", ratio=0.5)

    def ours() -> None:
        evidence = Evidence(network, image, torch.tensor([0]), settings.relevance)
        coupled = CoupledNetwork(network, image)
        coupled.removed(kept_channels(coupled, evidence, settings, scoring(settings)))

    def peer() -> None:
        theirs = copy.deepcopy(network)
        torch_pruning.pruner.MagnitudePruner(
            theirs, image, torch_pruning.importance.MagnitudeImportance(p=1), pruning_ratio=0.5,
            global_pruning=True, ignored_layers=[theirs.fc],
        ).step()  # fmt: skip

    return cpu_s(ours) / cpu_s(peer), "ResNet18 half of the filters against Torch-Pruning alone"


def compare_all() -> list[tuple[float, str]]:
    """Give every ratio with what it compares."""
    return [*vgg16_ratios(), peak_memory_ratio(), resnet18_filters()]
