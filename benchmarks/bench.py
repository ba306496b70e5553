"""Speed as ratios against a peer in the same run: absolute times would only tell the machine."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks import cuts_bench, simulation_bench
from benchmarks.codec_bench import compare_codecs
from benchmarks.pruning_bench import compare_all
from benchmarks.timing import best_s
from flexrel_sim.networks.architectures import Vgg
from flexrel_sim.networks.build import build_network
from flexrel_sim.pruning.relevance import weight_relevance
from flexrel_sim.scenario.schema import RelevanceSection


def relevance_against_training_step() -> float:
    """Compare the relevance pass with one forward and backward of the same batch."""
    architecture = Vgg(
        family="vgg",
        input_shape=[1, 28, 28],
        blocks=[[16, 16], [32, 32]],
        classifier=[128],
        classes=10,
    )
    network = build_network(architecture).eval()
    images, labels = torch.rand(100, 1, 28, 28), torch.arange(100) % 10

    settings = RelevanceSection()

    def peer() -> None:
        network.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()

    return best_s(lambda: weight_relevance(network, images, labels, settings=settings)) / best_s(
        peer
    )


def main() -> None:
    """Print the ratios."""
    torch.set_num_threads(1)
    for ratio, what in simulation_bench.compare_all():
        print(f"{ratio:7.2f} x  {what}")
    summary = (relevance_against_training_step.__doc__ or "").splitlines()[0]
    print(f"{relevance_against_training_step():7.2f} x  {summary}")
    for figure, what in cuts_bench.compare_all():
        print(f"{figure:7.2f}    {what}")
    for ratio, what in (*compare_codecs(), *compare_all()):
        print(f"{ratio:7.2f} x  {what}")


if __name__ == "__main__":
    main()
