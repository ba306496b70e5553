import pytest
import torch
from torch import nn

from flexrel_sim.networks.bottleneck import BOTTLENECK_CUT, build_bottleneck, with_bottleneck
from flexrel_sim.networks.bottleneck_card import BottleneckTraining
from flexrel_sim.partition import split_network, trace
from flexrel_sim.training.bottleneck import train_bottleneck

RECIPE = BottleneckTraining(epochs=30, batch_size=32, learning_rate=0.01, seed=0)


def task() -> tuple[tuple[nn.Module, nn.Module], tuple[torch.Tensor, torch.Tensor]]:
    """Make a net whose answer hangs on one direction of its boundary of 8 channels."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randn(200, 2, 4, 4, generator=draw)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        head = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU())
        tail = nn.Sequential(nn.Flatten(), nn.Linear(8 * 16, 3))
    for part in (head, tail):
        part.eval().requires_grad_(False)
    return (head, tail), (images, tail(head(images)).argmax(1))


def test_training_brings_the_answers_back_through_a_narrow_boundary() -> None:
    (head, tail), (images, labels) = task()
    losses: list[float] = []
    before = [weight.clone() for weight in (*head.parameters(), *tail.parameters())]
    found = train_bottleneck(
        (head, tail), (images, labels), (2, 1), RECIPE, lambda _, loss: losses.append(loss)
    )
    assert len(losses) == 30
    assert losses[-1] < 0.6 * losses[0]
    untrained = build_bottleneck((8, 4, 4), 2, 1)

    def agreed(bottleneck: nn.ModuleDict) -> float:
        restored = tail(bottleneck["decoder"](bottleneck["encoder"](head(images)))).argmax(1)
        return float((restored == labels).float().mean())

    # Two numbers of eight at each pixel: not all answers survive.
    assert agreed(untrained) < agreed(found) < 1
    after = (*head.parameters(), *tail.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, after, strict=True))


def test_training_twice_gives_the_same_weights_and_leaves_the_generator_alone() -> None:
    halves, samples = task()
    state = torch.get_rng_state()
    recipe = RECIPE.model_copy(update={"epochs": 1})
    once, again = (train_bottleneck(halves, samples, (2, 2), recipe) for _ in range(2))
    for name, weight in once.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("boundary", "channels", "stride", "narrow"),
    [
        ((8, 4, 6), 3, 1, (3, 4, 6)),
        ((8, 4, 6), 3, 2, (3, 2, 3)),
        ((40,), 5, 1, (5,)),
    ],
)
def test_the_encoder_narrows_and_the_decoder_restores_the_shape(
    boundary: tuple[int, ...], channels: int, stride: int, narrow: tuple[int, ...]
) -> None:
    bottleneck = build_bottleneck(boundary, channels, stride)
    tensor = torch.rand(2, *boundary)
    sent = bottleneck["encoder"](tensor)
    assert sent.shape[1:] == narrow
    assert (sent >= 0).all()
    assert bottleneck["decoder"](sent).shape == tensor.shape


@pytest.mark.parametrize(("boundary", "stride"), [((8, 5, 4), 2), ((6, 7), 1), ((9,), 2)])
def test_a_boundary_that_takes_no_bottleneck_is_refused(
    boundary: tuple[int, ...], stride: int
) -> None:
    with pytest.raises(ValueError, match=f"a bottleneck of stride {stride} needs a boundary"):
        build_bottleneck(boundary, 2, stride)


def test_put_into_a_network_it_is_one_stage_on_each_side_of_the_cut() -> None:
    (head, tail), (images, _) = task()
    bottleneck = build_bottleneck((8, 4, 4), 2, 1)
    network = nn.Sequential(head, tail)
    whole = with_bottleneck(network, "0.1", bottleneck)
    names = [operation.name for operation in trace(whole).operations]
    assert [name for name in names if name.startswith(("encoder", "decoder"))] == [
        "encoder.0",
        "encoder.1",
        "decoder.0",
    ]
    front, back = split_network(whole, BOTTLENECK_CUT)
    assert torch.equal(front(images), bottleneck["encoder"](head(images)))
    assert torch.equal(back(front(images)), tail(bottleneck["decoder"](front(images))))
