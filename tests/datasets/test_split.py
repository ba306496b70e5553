import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flexrel_sim.datasets import (
    DATASETS,
    Samples,
    evaluation_samples,
    held_out,
    held_out_count,
    train_samples,
)
from flexrel_sim.datasets.info import read_part
from flexrel_sim.errors import DatasetError

HELD_OUT = DATASETS["digits"].held_out_samples

sizes = st.tuples(*[st.integers(1, 300)] * 3).filter(lambda three: sum(three) <= HELD_OUT)
seeds = st.integers(0, 2**32)


def parts(sizes: tuple[int, int, int], seed: int, dataset: str = "digits") -> list[Samples]:
    drawn = evaluation_samples(dataset, *sizes, seed)
    return [drawn.calibration, drawn.validation, drawn.test]


def spread(samples: Samples) -> int:
    counts = np.bincount(samples.labels, minlength=10)
    return int(counts.max() - counts.min())


@given(sizes=sizes, seed=seeds)
def test_training_calibration_validation_and_test_never_share_a_sample(
    sizes: tuple[int, int, int], seed: int
) -> None:
    drawn = parts(sizes, seed)
    assert tuple(part.indices.size for part in drawn) == sizes
    everything = np.concatenate(
        [train_samples("digits").indices, *(part.indices for part in drawn)]
    )
    assert np.unique(everything).size == everything.size


@given(sizes=sizes, seed=seeds)
def test_samples_are_the_images_and_labels_at_their_indices(
    sizes: tuple[int, int, int], seed: int
) -> None:
    images, labels = read_part(DATASETS["digits"], "train")
    for part in [*parts(sizes, seed), train_samples("digits"), held_out("digits")]:
        assert np.array_equal(part.images, images[part.indices])
        assert np.array_equal(part.labels, labels[part.indices])
        assert (np.diff(part.indices) > 0).all()


@given(sizes=sizes, seed=seeds)
def test_evaluation_samples_come_from_the_held_out_part(
    sizes: tuple[int, int, int], seed: int
) -> None:
    known = held_out("digits").indices
    assert all(np.isin(part.indices, known).all() for part in parts(sizes, seed))


@given(size=st.integers(1, 600), seed=seeds)
def test_calibration_is_class_balanced_within_one(size: int, seed: int) -> None:
    assert spread(parts((size, 1, 1), seed)[0]) <= 1


@given(sizes=sizes, seed=seeds)
def test_validation_and_test_are_class_balanced_within_one_while_the_classes_last(
    sizes: tuple[int, int, int], seed: int
) -> None:
    smallest = int(np.bincount(held_out("digits").labels).min())
    assume(sum(sizes) <= 10 * smallest)
    assert [spread(part) <= 1 for part in parts(sizes, seed)] == [True] * 3


@settings(max_examples=10)
@given(seed=seeds)
def test_the_quickstarts_samples_are_balanced_to_the_sample(seed: int) -> None:
    assert [spread(part) for part in parts((200, 600, 1200), seed, "mnist5k")] == [0, 0, 0]


def test_a_draw_is_reproducible_by_seed_and_another_seed_gives_another() -> None:
    once, again, other = (parts((50, 60, 70), seed) for seed in (3, 3, 4))
    for first, second, third in zip(once, again, other, strict=True):
        assert np.array_equal(first.indices, second.indices)
        assert not np.array_equal(first.indices, third.indices)


def test_all_held_out_samples_can_be_asked_for_and_not_one_more() -> None:
    drawn = parts((19, 300, 400), 0)
    assert sum(part.indices.size for part in drawn) == HELD_OUT
    with pytest.raises(DatasetError, match=f"digits: has {HELD_OUT} held-out samples, not 720"):
        evaluation_samples("digits", 20, 300, 400, 0)


@pytest.mark.parametrize("name", ["digits", "mnist5k"])
def test_training_sees_60_percent_of_every_class_and_the_rest_is_held_out(name: str) -> None:
    labels = read_part(DATASETS[name], "train")[1]
    train, rest = train_samples(name), held_out(name)
    both = np.concatenate([train.indices, rest.indices])
    assert np.array_equal(np.sort(both), np.arange(labels.size))
    share = np.bincount(train.labels) / np.bincount(labels)
    assert np.abs(share - 0.6).max() < 0.5 / np.bincount(labels).min() + 1e-9


@settings(max_examples=15)
@given(sizes=sizes, seed=seeds)
def test_draws_are_those_of_the_first_release(sizes: tuple[int, int, int], seed: int) -> None:
    """Shipped networks must stay ignorant of what is held out: re-derived without numpy's help."""
    labels = read_part(DATASETS["digits"], "train")[1].tolist()
    rng = np.random.default_rng(20240522)
    train, rest = [], []
    for label in range(10):
        places = [place for place, other in enumerate(labels) if other == label]
        shuffled = [places[i] for i in rng.permutation(len(places))]
        share = round(0.6 * len(places))
        train += shuffled[:share]
        rest += shuffled[share:]
    assert train_samples("digits").indices.tolist() == sorted(train)
    rest = sorted(rest)
    shuffled = [rest[i] for i in np.random.default_rng(seed).permutation(len(rest))]
    seen = dict.fromkeys(range(10), 0)
    ranked = []
    for place in shuffled:
        ranked.append((seen[labels[place]], labels[place], place))
        seen[labels[place]] += 1
    ordered = [place for _, _, place in sorted(ranked)]
    for part, size in zip(parts(sizes, seed), sizes, strict=True):
        assert part.indices.tolist() == sorted(ordered[:size])
        ordered = ordered[size:]


@given(count=st.integers(1, DATASETS["digits"].train_samples))
def test_a_count_of_training_samples_is_class_balanced_and_part_of_any_larger(count: int) -> None:
    whole, some = train_samples("digits"), train_samples("digits", count)
    assert some.indices.size == count
    assert set(some.indices) <= set(train_samples("digits", min(count + 7, 1078)).indices)
    assert set(some.indices) <= set(whole.indices)
    assert (np.diff(some.indices) > 0).all()
    if count <= 10 * np.bincount(whole.labels).min():
        assert spread(some) <= 1


def test_all_training_samples_can_be_counted_and_not_one_more() -> None:
    assert np.array_equal(train_samples("digits", 1078).indices, train_samples("digits").indices)
    with pytest.raises(DatasetError, match="digits: has 1078 training samples, not 1079"):
        train_samples("digits", 1079)


def test_held_out_samples_of_some_classes_are_counted() -> None:
    labels = held_out("digits").labels.tolist()
    assert held_out_count("digits", [2, 9]) == labels.count(2) + labels.count(9)
    assert held_out_count("digits", range(10)) == HELD_OUT
