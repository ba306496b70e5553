"""Cutting and profiling, against the work that nobody can do without."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from benchmarks.scaling import profile
from flexrel_sim.codec import Codec
from flexrel_sim.measure.network import measure_cuts
from flexrel_sim.networks.architectures import ResNet, Vgg
from flexrel_sim.networks.build import build_network
from flexrel_sim.partition import cut_table, trace
from flexrel_sim.profile import load_profile, save_profile

__all__ = ["compare_all"]

_IMAGES, _BATCH, _REPEATS = 1000, 250, 3

_SAMPLES = 10_000


def _best_s(function: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def resnet50_cuts() -> tuple[float, str]:
    """Time the table of ResNet50's cuts, on a network without memory for its weights."""
    architecture = ResNet(
        family="resnet", stem="imagenet", block="bottleneck", widths=[64, 128, 256, 512],
        blocks=[3, 4, 6, 3], input_shape=[3, 224, 224], classes=1000,
    )  # fmt: skip
    with torch.device("meta"):
        network = build_network(architecture).eval()
        image = torch.zeros(1, 3, 224, 224)
        seconds = _best_s(lambda: cut_table(trace(network), image))
        count = len(cut_table(trace(network), image).cuts)
    return seconds, f"seconds for the {count} cuts of ResNet50 with costs (at most 1)"


def profiling_ratios() -> list[tuple[float, str]]:
    """Compare profiling 1,000 images with their plain inference, on the shipped VGG's size.

    Plain inference is ``network(images)`` in the same batches on one thread. A lossless codec
    reuses the walk's answers; a lossy one must run its tail again, and each is counted so.
    """
    torch.manual_seed(0)
    architecture = Vgg(
        family="vgg", input_shape=[1, 28, 28], blocks=[[16, 16], [32, 32]], classifier=[128],
        classes=10,
    )  # fmt: skip
    network = build_network(architecture).eval()
    images = torch.from_numpy(np.random.default_rng(0).random((_IMAGES, 1, 28, 28), np.float32))
    graph = trace(network)

    def plain() -> None:
        with torch.inference_mode():
            for batch in images.split(_BATCH):
                network(batch)

    plain_s = _best_s(plain)
    exact, lossy = Codec("float32"), Codec("uint8")
    pools = ("server", "pool1", "pool2", "relu_fc1", "edge")
    every = tuple(graph.cuts)
    ratios = []
    for names, codec, what in (
        (pools, exact, f"{len(pools)} cuts, float32 (at most 1.3)"),
        (every, exact, f"all {len(every)} cuts, float32"),
        (pools, lossy, f"{len(pools)} cuts, uint8, a tail run for each"),
    ):
        asked = [(name, () if name == "edge" else (codec,)) for name in names]
        seconds = _best_s(lambda asked=asked: measure_cuts(graph, asked, images))
        ratios.append((seconds / plain_s, f"profiling {_IMAGES} images against inference: {what}"))
    return ratios


def profile_load() -> tuple[float, str]:
    """Time the loading of a profile of 10,000 samples from disk."""
    sizes = np.random.default_rng(0).integers(1000, 2000, _SAMPLES)
    many = replace(profile(), payload_bytes=sizes, correct=np.ones(_SAMPLES, np.bool_))
    with TemporaryDirectory() as folder:
        save_profile(many, Path(folder))
        seconds = _best_s(lambda: load_profile(Path(folder)))
    return 1e3 * seconds, f"milliseconds to load a profile of {_SAMPLES} samples (at most 50)"


def compare_all() -> list[tuple[float, str]]:
    """Give every figure with what it compares."""
    return [resnet50_cuts(), *profiling_ratios(), profile_load()]
