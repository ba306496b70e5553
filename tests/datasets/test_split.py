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
from flexrel_sim.datasets.info import DatasetInfo, read_part
from flexrel_sim.errors import DatasetError

HELD_OUT = DATASETS["digits"].held_out_samples

sizes = st.tuples(*[st.integers(1, 300)] * 3).filter(lambda three: sum(three) <= HELD_OUT)
seeds = st.integers(0, 2**32)


def parts(
    sizes: tuple[int, int, int], seed: int, dataset: str | DatasetInfo = "digits"
) -> list[Samples]:
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


counts_of_classes = st.lists(st.integers(1, 60), min_size=2, max_size=12)


def dataset(counts: list[int]) -> DatasetInfo:
    """Give a dataset whose test part holds so many images of each class, in some order."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    images = np.arange(labels.size, dtype=np.float32).reshape(-1, 1, 1, 1)
    train = images[: len(counts)], np.arange(len(counts))
    name = f"made of {counts}"
    sizes = len(counts), len(counts), labels.size
    return DatasetInfo(name, "", "", (1, 1, 1), *sizes, lambda: train, lambda: (images, labels))


def counted(samples: Samples, classes: int) -> np.ndarray:
    return np.bincount(samples.labels, minlength=classes)


@given(counts=counts_of_classes, seed=seeds, data=st.data())
def test_every_part_holds_the_classes_as_often_as_the_data(
    counts: list[int], seed: int, data: st.DataObject
) -> None:
    total, classes = sum(counts), len(counts)
    assume(total >= 3)
    first = data.draw(st.integers(1, total - 2))
    second = data.draw(st.integers(1, total - first - 1))
    sizes = (first, second, total - first - second)
    shares = np.array(counts) / total
    for part, size in zip(parts(sizes, seed, dataset(counts)), sizes, strict=True):
        off = np.abs(counted(part, classes) - size * shares)
        # Each end of a run falls between two turns of a class: one sample, and what the others'
        # ends move it by.
        assert (off < 2 * (1 + classes * shares)).all()


@given(seed=seeds)
def test_of_two_classes_a_part_holds_what_it_should_to_the_sample(seed: int) -> None:
    for part, size in zip(
        parts((100, 200, 300), seed, dataset([950, 50])), (5, 10, 15), strict=True
    ):
        assert abs(counted(part, 2)[1] - size) <= 1


def test_rare_classes_of_one_sample_are_spread_over_all_parts() -> None:
    """Together they are as frequent everywhere as they are in the data."""
    info = dataset([100, *[1] * 100])
    for part in parts((50, 50, 100), 5, info):
        rare = (part.labels > 0).mean()
        assert abs(rare - 0.5) <= 1 / part.labels.size


def test_over_seeds_a_part_expects_of_every_class_its_share() -> None:
    """Whatever part a class of three samples falls in, it is not always the same one."""
    counts = [97, 3, 50]
    drawn = [counted(parts((30, 45, 15), seed, dataset(counts))[2], 3) for seed in range(400)]
    expected = 15 * np.array(counts) / sum(counts)
    standard_error = np.std(drawn, axis=0) / np.sqrt(len(drawn))
    assert (np.abs(np.mean(drawn, axis=0) - expected) < 4 * standard_error).all()


@given(sizes=sizes, seed=seeds)
def test_a_balanced_calibration_changes_no_other_sample(
    sizes: tuple[int, int, int], seed: int
) -> None:
    natural, balanced = (
        evaluation_samples("digits", *sizes, seed, balance=balance)
        for balance in ("natural", "classes")
    )
    assert np.array_equal(natural.validation.indices, balanced.validation.indices)
    assert np.array_equal(natural.test.indices, balanced.test.indices)
    others = np.concatenate([balanced.validation.indices, balanced.test.indices])
    assert balanced.calibration.indices.size == sizes[0]
    assert not np.isin(balanced.calibration.indices, others).any()


def test_a_balanced_calibration_has_all_classes_equally_often_as_long_as_they_last() -> None:
    info = dataset([300, 90, 10])
    for calibration, wanted in ((15, [5, 5, 5]), (60, [29, 23, 8])):
        drawn = evaluation_samples(info, calibration, 40, 40, 1, balance="classes")
        found = counted(drawn.calibration, 3)
        left = np.array([300, 90, 10]) - counted(drawn.validation, 3) - counted(drawn.test, 3)
        assert found.sum() == calibration
        assert found.min() == min(left.min(), calibration // 3)
        if min(left) >= calibration // 3:
            assert found.tolist() == wanted


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
def test_draws_are_those_that_the_split_describes(sizes: tuple[int, int, int], seed: int) -> None:
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
    rng = np.random.default_rng(seed)
    shuffled = [rest[i] for i in rng.permutation(len(rest))]
    counts = {label: sum(labels[place] == label for place in rest) for label in range(10)}
    starts = {}
    for count in sorted(set(counts.values())):
        same = [label for label in range(10) if counts[label] == count]
        start = rng.random()
        starts |= {label: (place + start) / len(same) for place, label in enumerate(same)}
    seen = dict.fromkeys(range(10), 0)
    turns = []
    for place in shuffled:
        label = labels[place]
        turns.append(((seen[label] + starts[label]) / counts[label], label, place))
        seen[label] += 1
    ordered = [place for _, _, place in sorted(turns)]
    for part, size in zip(parts(sizes, seed), sizes, strict=True):
        assert part.indices.tolist() == sorted(ordered[:size])
        ordered = ordered[size:]


@given(count=st.integers(1, DATASETS["digits"].train_samples))
def test_a_count_of_training_samples_has_their_frequencies_and_is_part_of_any_larger(
    count: int,
) -> None:
    whole, some = train_samples("digits"), train_samples("digits", count)
    assert some.indices.size == count
    assert set(some.indices) <= set(train_samples("digits", min(count + 7, 1078)).indices)
    assert set(some.indices) <= set(whole.indices)
    assert (np.diff(some.indices) > 0).all()
    shares = np.bincount(whole.labels) / whole.labels.size
    assert (np.abs(counted(some, 10) - count * shares) < 1 + 10 * shares).all()


def test_all_training_samples_can_be_counted_and_not_one_more() -> None:
    assert np.array_equal(train_samples("digits", 1078).indices, train_samples("digits").indices)
    with pytest.raises(DatasetError, match="digits: has 1078 training samples, not 1079"):
        train_samples("digits", 1079)


def test_held_out_samples_of_some_classes_are_counted() -> None:
    labels = held_out("digits").labels.tolist()
    assert held_out_count("digits", [2, 9]) == labels.count(2) + labels.count(9)
    assert held_out_count("digits", range(10)) == HELD_OUT
