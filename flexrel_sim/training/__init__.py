"""Training the networks on the cards."""

from flexrel_sim.training.train import TrainedNetwork, train_network

__all__ = ["TrainedNetwork", "train_network"]
