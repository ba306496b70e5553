import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from flexrel_sim.datasets import (
    SEVERITIES,
    EvaluationSamples,
    Samples,
    corrupted,
    evaluation_samples,
    held_out,
)
from flexrel_sim.errors import DatasetError
from flexrel_sim.scenario.data_sections import CorruptionSection, DeploymentSection

Array = NDArray[np.float32]

KINDS = sorted(SEVERITIES)
kinds = st.sampled_from(KINDS)
severities = st.integers(1, 5)
seeds = st.integers(0, 2**32)


@st.composite
def some_images(draw: st.DrawFn, channels: tuple[int, ...] = (1, 3)) -> Array:
    shape = (
        draw(st.integers(1, 3)),
        draw(st.sampled_from(channels)),
        draw(st.integers(3, 9)),
        draw(st.integers(3, 9)),
    )
    return draw(arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))


def deployment(
    classes: list[int] | None = None, kind: str | None = None, severity: int = 3
) -> DeploymentSection:
    corruption = {"kind": kind, "severity": severity} if kind else None
    return DeploymentSection.model_validate({"classes": classes, "corruption": corruption})


def parts_of(drawn: EvaluationSamples) -> list[Samples]:
    return [drawn.calibration, drawn.validation, drawn.test]


def test_there_are_the_kinds_that_a_scenario_may_name_at_five_severities() -> None:
    assert CorruptionSection.model_json_schema()["properties"]["kind"]["enum"] == list(SEVERITIES)
    assert {len(strengths) for strengths in SEVERITIES.values()} == {5}


def test_severities_are_those_of_cifar_10_c() -> None:
    assert dict(SEVERITIES) == {
        "noise": (0.04, 0.06, 0.08, 0.09, 0.10),
        "blur": (0.4, 0.6, 0.7, 0.8, 1.0),
        "contrast": (0.75, 0.5, 0.4, 0.3, 0.15),
        "brightness": (0.05, 0.1, 0.15, 0.2, 0.3),
    }


@given(images=some_images(), kind=kinds, severity=severities, seed=seeds)
def test_corrupted_images_are_float32_of_the_same_shape_in_0_to_1(
    images: Array, kind: str, severity: int, seed: int
) -> None:
    before = images.copy()
    changed = corrupted(images, kind, severity, seed)
    assert changed.dtype == np.float32
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert np.array_equal(images, before)
    assert np.array_equal(changed, corrupted(images, kind, severity, seed))


@given(images=some_images(), kind=kinds, seed=seeds)
def test_a_larger_severity_is_never_nearer_to_the_clean_image(
    images: Array, kind: str, seed: int
) -> None:
    distances = np.array(
        [
            np.sqrt(((corrupted(images, kind, severity, seed) - images) ** 2).sum(axis=(1, 2, 3)))
            for severity in range(1, 6)
        ]
    )
    assert (np.diff(distances, axis=0) >= -1e-5).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_severity_does_more_to_real_images(kind: str) -> None:
    images = held_out("digits").images[:50]
    distances = [
        float(np.abs(corrupted(images, kind, severity) - images).mean()) for severity in range(1, 6)
    ]
    assert distances[0] > 0.005
    assert all(np.diff(distances) > 0)


def test_noise_has_the_standard_deviation_of_the_table_and_no_mean() -> None:
    grey = np.full((40, 1, 28, 28), 0.5, np.float32)
    for severity, sigma in enumerate(SEVERITIES["noise"], 1):
        noise = corrupted(grey, "noise", severity, 5) - 0.5
        # Clipping at five standard deviations or more takes nothing away.
        error = sigma / np.sqrt(noise.size)
        assert abs(noise.mean()) < 4 * error
        assert noise.std() == pytest.approx(sigma, abs=4 * error)


@given(seed=seeds, order=st.permutations(range(6)))
def test_the_noise_of_an_image_follows_from_its_place_alone(seed: int, order: list[int]) -> None:
    images = held_out("digits").images[:6]
    places = np.arange(100, 106)
    together = corrupted(images, "noise", 3, seed, places)
    shuffled = corrupted(images[order], "noise", 3, seed, places[order])
    assert np.array_equal(shuffled, together[order])
    assert not np.array_equal(together, corrupted(images, "noise", 3, seed))
    assert not np.array_equal(together, corrupted(images, "noise", 3, seed + 1, places))


@given(images=some_images(), severity=severities)
def test_blur_is_a_gaussian_sum_over_the_mirrored_image(images: Array, severity: int) -> None:
    sigma = SEVERITIES["blur"][severity - 1]
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    slow = images.astype(np.float64)
    for axis in (2, 3):
        pad = [(reach, reach) if at == axis else (0, 0) for at in range(4)]
        padded = np.pad(slow, pad, mode="symmetric")
        size = slow.shape[axis]
        slow = sum(
            weight / weights.sum() * padded.take(range(start, start + size), axis)
            for start, weight in enumerate(weights)
        )
    assert corrupted(images, "blur", severity) == pytest.approx(slow, abs=1e-6)


def test_blur_grows_with_images_higher_than_32_pixels() -> None:
    edge = np.zeros((1, 1, 96, 96), np.float32)
    edge[..., 48:] = 1
    width = [
        float((np.abs(corrupted(image, "blur", 5)[0, 0, 5] - 0.5) < 0.45).sum())
        for image in (edge, edge[:, :, :32])
    ]
    assert width[0] == pytest.approx(3 * width[1], abs=2)


@given(images=some_images(), severity=severities)
def test_contrast_shrinks_the_distance_from_each_channels_mean(
    images: Array, severity: int
) -> None:
    left = SEVERITIES["contrast"][severity - 1]
    for image, changed in zip(images, corrupted(images, "contrast", severity), strict=True):
        for before, after in zip(image.astype(float), changed, strict=True):
            assert after == pytest.approx(before.mean() + left * (before - before.mean()), abs=1e-6)


@given(images=some_images(channels=(3,)), severity=severities)
def test_brightness_adds_to_the_value_of_hsv_and_keeps_hue_and_saturation(
    images: Array, severity: int
) -> None:
    added = SEVERITIES["brightness"][severity - 1]
    changed = corrupted(images, "brightness", severity)
    for before, after in zip(
        images.transpose(0, 2, 3, 1).reshape(-1, 3).astype(float),
        changed.transpose(0, 2, 3, 1).reshape(-1, 3),
        strict=True,
    ):
        hue, saturation, value = colorsys.rgb_to_hsv(*before)
        slow = colorsys.hsv_to_rgb(hue, saturation, min(value + added, 1))
        assert after == pytest.approx(slow, abs=1e-5)


@given(images=some_images(channels=(1,)), severity=severities)
def test_brightness_adds_to_a_grey_image(images: Array, severity: int) -> None:
    slow = np.minimum(images.astype(float) + SEVERITIES["brightness"][severity - 1], 1)
    assert corrupted(images, "brightness", severity) == pytest.approx(slow, abs=1e-6)


@given(
    classes=st.sets(st.integers(0, 9), min_size=1),
    sizes=st.tuples(*[st.integers(1, 25)] * 3).filter(lambda three: sum(three) <= 60),
    seed=seeds,
    kind=st.sampled_from([None, *KINDS]),
)
def test_all_three_draws_come_from_the_deployment_disjoint_and_stratified(
    classes: set[int], sizes: tuple[int, int, int], seed: int, kind: str | None
) -> None:
    drawn = evaluation_samples("digits", *sizes, seed, deployment(sorted(classes), kind))
    parts = parts_of(drawn)
    clean = held_out("digits")
    everything = np.concatenate([part.indices for part in parts])
    assert np.unique(everything).size == everything.size == sum(sizes)
    for part, size in zip(parts, sizes, strict=True):
        counts = np.bincount(part.labels, minlength=10)
        assert counts.sum() == size
        assert set(np.flatnonzero(counts)) <= classes
        of_classes = counts[sorted(classes)]
        assert of_classes.max() - of_classes.min() <= 1
        rows = np.searchsorted(clean.indices, part.indices)
        assert np.array_equal(part.labels, clean.labels[rows])
        images = clean.images[rows]
        if kind is not None:
            images = corrupted(images, kind, 3, seed, part.indices)
        assert np.array_equal(part.images, images)


@given(seed=seeds, kind=kinds)
def test_a_samples_corruption_does_not_depend_on_the_draw_it_is_in(seed: int, kind: str) -> None:
    draws = [
        evaluation_samples("digits", *sizes, seed, deployment([1, 7], kind))
        for sizes in ((30, 40, 50), (50, 40, 30))
    ]
    by_place: list[dict[int, bytes]] = [
        {
            int(place): image.tobytes()
            for part in parts_of(drawn)
            for place, image in zip(part.indices, part.images, strict=True)
        }
        for drawn in draws
    ]
    shared = by_place[0].keys() & by_place[1].keys()
    assert len(shared) == 120
    assert all(by_place[0][place] == by_place[1][place] for place in shared)


@pytest.mark.parametrize("given_deployment", [None, deployment(), deployment(list(range(10)))])
def test_without_a_deployment_nothing_differs(given_deployment: DeploymentSection | None) -> None:
    plain = parts_of(evaluation_samples("digits", 30, 40, 50, 3))
    deployed = parts_of(evaluation_samples("digits", 30, 40, 50, 3, given_deployment))
    for before, after in zip(plain, deployed, strict=True):
        assert before.indices.tobytes() == after.indices.tobytes()
        assert before.images.tobytes() == after.images.tobytes()


def test_a_corruption_changes_images_and_neither_samples_nor_labels() -> None:
    plain = parts_of(evaluation_samples("digits", 30, 40, 50, 3))
    noisy = parts_of(evaluation_samples("digits", 30, 40, 50, 3, deployment(kind="noise")))
    for before, after in zip(plain, noisy, strict=True):
        assert np.array_equal(before.indices, after.indices)
        assert np.array_equal(before.labels, after.labels)
        assert (before.images != after.images).any(axis=(1, 2, 3)).all()


def test_more_samples_than_the_deployed_classes_have_are_refused_with_what_there_is() -> None:
    available = int(np.isin(held_out("digits").labels, [3, 5]).sum())
    evaluation_samples("digits", 2, 3, available - 5, 0, deployment([5, 3]))
    rule = f"digits: has {available} held-out samples of the classes \\[3, 5\\], not "
    with pytest.raises(DatasetError, match=rule + str(available + 1)):
        evaluation_samples("digits", 2, 3, available - 4, 0, deployment([5, 3]))


def test_labels_of_a_class_that_the_dataset_lacks_have_no_samples() -> None:
    with pytest.raises(DatasetError, match="has 0 held-out samples of the classes"):
        evaluation_samples("digits", 1, 1, 1, 0, deployment([10]))


def test_a_name_that_is_no_dataset_is_refused_with_those_there_are() -> None:
    with pytest.raises(DatasetError, match="unknown dataset, got 'digit'; known: digits, "):
        held_out("digit")
