import numpy as np
import pytest

from flexrel_sim.accuracy import ACCURACY_FIGURES, Recalls, confusion, mixed_figures
from flexrel_sim.datasets import DatasetInfo, evaluation_samples
from flexrel_sim.proportions import lowest_interval, mean_interval, stratified_interval
from flexrel_sim.statistics import wilson_interval

LABELS = np.array([0, 0, 0, 0, 3, 3, 7])
ANSWERS = np.array([0, 0, 0, 3, 3, 0, 0])


def test_recalls_count_right_answers_class_by_class() -> None:
    recalls = Recalls.of(LABELS, ANSWERS)
    assert recalls.classes.tolist() == [0, 3, 7]
    assert recalls.samples.tolist() == [4, 2, 1]
    assert recalls.right.tolist() == [3, 1, 0]
    assert recalls.per_class == {
        0: wilson_interval(3, 4),
        3: wilson_interval(1, 2),
        7: wilson_interval(0, 1),
    }


def test_figures_are_of_all_samples_of_the_mean_class_and_of_the_worst() -> None:
    figures = Recalls.of(LABELS, ANSWERS).figures
    counts = [3, 1, 0], [4, 2, 1]
    assert figures["accuracy"] == stratified_interval(*counts)
    assert figures["balanced_accuracy"] == mean_interval(*counts)
    assert figures["worst_recall"] == lowest_interval(*counts)
    assert tuple(figures) == ACCURACY_FIGURES
    assert figures["accuracy"].value == 4 / 7
    assert figures["balanced_accuracy"].value == pytest.approx((3 / 4 + 1 / 2) / 3)


def test_an_answer_that_is_no_label_is_wrong_and_no_class() -> None:
    recalls = Recalls.of(np.array([0, 1]), np.array([900, 1]))
    assert recalls.classes.tolist() == [0, 1]
    assert recalls.right.tolist() == [0, 1]


def test_the_confusion_lists_what_occurs_and_sums_to_all_samples() -> None:
    found = confusion(LABELS, ANSWERS)
    assert found == [(0, 0, 3), (0, 3, 1), (3, 0, 1), (3, 3, 1), (7, 0, 1)]


@pytest.mark.parametrize(
    ("right", "informed"),
    [((70, 0), False), ((66, 10), False), ((66, 25), True), ((7, 3), False)],
)
def test_answers_are_informed_if_they_surely_beat_a_constant_one(
    right: tuple[int, int], informed: bool
) -> None:
    recalls = Recalls(np.array([4, 9]), np.array([70, 30]), np.array(right))
    assert recalls.most_frequent == (4, 0.7)
    assert recalls.is_informed == informed
    assert "is not above 0.700, which always answering class 4 gives" in recalls.worth


def test_a_mixture_of_one_is_that_one() -> None:
    one, other = Recalls.of(LABELS, ANSWERS), Recalls.of(LABELS, LABELS)
    assert mixed_figures([one], [1.0]) == one.figures
    assert mixed_figures([one, other], [1.0, 0.0]) == one.figures
    assert mixed_figures([one, one], [0.25, 0.75]) == one.figures


def test_the_worst_class_of_a_mixture_may_be_no_ones_worst() -> None:
    classes, samples = np.array([0, 1, 2]), np.array([100, 100, 100])
    one = Recalls(classes, samples, np.array([50, 60, 100]))
    other = Recalls(classes, samples, np.array([100, 60, 50]))
    figures = mixed_figures([one, other], [0.5, 0.5])
    assert figures["worst_recall"].value == 0.6
    assert figures["worst_recall"].low == lowest_interval([60], [100]).low
    assert figures["worst_recall"].high > lowest_interval([60], [100]).high
    assert figures["accuracy"].value == pytest.approx(0.7)


POPULATIONS = {"70/30": ([1400, 600], [0.95, 0.37]), "95/5": ([1900, 100], [0.985, 0.4])}


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("balance", ["natural", "classes"])
def test_of_unequal_classes_validation_and_test_give_the_accuracy_of_all_held_out_samples(
    name: str, balance: str
) -> None:
    """Drawn class by class, validation came out at 50/50, and test took what was left."""
    counts, recalls = POPULATIONS[name]
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], counts)
    right = rng.random(labels.size) < np.take(recalls, labels)
    answers = np.where(right, labels, 1 - labels)
    images = np.zeros((labels.size, 1, 1, 1), np.float32)
    info = DatasetInfo(name, "", "", (1, 1, 1), 2, 2, labels.size, None, lambda: (images, labels))
    truth = Recalls.of(labels, answers).figures
    held = []
    for seed in range(60):
        drawn = evaluation_samples(info, 100, 300, 500, seed, balance=balance)
        for part in (drawn.validation, drawn.test):
            places = part.indices - info.train_samples
            figures = Recalls.of(labels[places], answers[places]).figures
            held.append(
                [
                    figures[name].low <= truth[name].value <= figures[name].high
                    for name in ACCURACY_FIGURES
                ]
            )
    # 120 draws of one population of 2000: 0.95, less three standard errors.
    assert (np.mean(held, axis=0) >= 0.89).all()
