"""Which samples a seed draws, as written down."""

import hashlib

import pytest

from flexrel_sim.datasets import DATASETS, Samples, evaluation_samples, train_samples
from flexrel_sim.errors import DatasetError
from flexrel_sim.scenario.data_sections import Balance

GOLDEN = [
    # Written down before draws followed the data's frequencies.
    ("mnist5k", 0, (200, 500, 1000), "0b44b3938c81a935 f41f51186049ce93 8bc62a965db2e41c"),
    ("mnist5k", 7, (200, 500, 1000), "573f2e4905bb9691 d7fdeaa5ebeb100c dda223832677ba99"),
    ("mnist5k", 7, (37, 111, 253), "cc114f198e214fc7 5a6ca91aea767b6f 35caf41165aada3a"),
    ("fashion-mnist", 0, (200, 500, 1000), "7574b8b50ecf381d 6be8e013ef4e17ff 9a9f14cc31dbcb4b"),
    ("fashion-mnist", 7, (37, 111, 253), "6dae28c070347a40 1fc7241631c8e5b0 667b191e283f0fb6"),
]
GOLDEN_TRAINING = [
    ("mnist5k", {100: "2fb243b1158aafdc", 777: "7941546325e244b9", 1500: "0d69bf85f405deee"}),
    ("fashion-mnist", {100: "146882a682154e9d", 777: "5fbf5480017891b1"}),
]


def digest(samples: Samples) -> str:
    return hashlib.sha256(samples.indices.astype("<i8").tobytes()).hexdigest()[:16]


def installed(name: str) -> str:
    find = DATASETS[name].find
    try:
        if find is not None:
            find()
    except DatasetError as error:
        pytest.skip(str(error))
    return name


@pytest.mark.parametrize(("name", "seed", "sizes", "digests"), GOLDEN)
@pytest.mark.parametrize("balance", ["natural", "classes"])
def test_of_balanced_data_the_draws_are_those_of_the_first_release(
    name: str, seed: int, sizes: tuple[int, int, int], digests: str, balance: Balance
) -> None:
    """What was published of them stays true."""
    drawn = evaluation_samples(installed(name), *sizes, seed, balance=balance)
    found = [digest(part) for part in (drawn.calibration, drawn.validation, drawn.test)]
    assert found == digests.split()


@pytest.mark.parametrize(("name", "digests"), GOLDEN_TRAINING)
def test_of_balanced_data_training_samples_are_those_of_the_first_release(
    name: str, digests: dict[int, str]
) -> None:
    found = {count: digest(train_samples(installed(name), count)) for count in digests}
    assert found == digests
