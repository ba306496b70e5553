"""What `delta: auto` chooses, and what it tells."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from flexrel_sim.networks.answers import share_correct
from flexrel_sim.pruning import auto
from flexrel_sim.pruning.auto import choose
from flexrel_sim.pruning.prune import evidence_for, prune
from flexrel_sim.scenario.schema import PruningSection
from tests.pruning.chains import named, seeded
from tests.pruning.test_channels import BUILT, IMAGES

LABELS = torch.tensor([0, 1, 2])
PARTS = (IMAGES, LABELS), (IMAGES.flip(0), torch.tensor([2, 0, 0]))


def section(**changes: Any) -> PruningSection:
    tried = {"deltas": [0.0, 0.5, 1.0], "ratios": [0.25, 0.5]} | changes.pop("auto", {})
    plain = {"delta": "auto", "auto": tried, "ratio": 0.9, "min_kept": 0.0}
    return PruningSection.model_validate(plain | changes)


def switches() -> tuple[nn.Sequential, Tensor, Tensor]:
    """Give a network whose largest weights answer nothing: their inputs are always black."""
    network = named(("flatten", nn.Flatten()), ("fc", nn.Linear(4, 2, bias=False)))
    network.fc.weight.data = torch.tensor(
        [[1.0, 0.9, 9.0, 8.0], [0.8, 1.1, 7.0, 6.0]], dtype=torch.float64
    )
    images = torch.zeros(8, 1, 2, 2, dtype=torch.float64)
    images[::2, 0, 0, 0] = 1.0
    images[1::2, 0, 0, 1] = 1.0
    return network, images, torch.tensor([0, 1] * 4)


@pytest.mark.parametrize("criterion", ["flexrel", "flexrel-paper"])
def test_it_chooses_what_answers_the_validation_samples(criterion: str) -> None:
    network, images, labels = switches()
    asked = section(
        criterion=criterion, relevance={"form": "message"}, auto={"ratios": [0.5], "deltas": [0, 1]}
    )
    chosen = choose(network, asked, (images, labels), (images, labels))
    assert [tried.accuracies for tried in chosen.tried] == [(0.5,), (1.0,)]
    assert chosen.settings.delta == 1.0
    assert chosen.reached
    # Wrong labels on the validation samples: the other is better, whatever calibration says.
    chosen = choose(network, asked, (images, labels), (images, 1 - labels))
    assert [tried.accuracies for tried in chosen.tried] == [(0.5,), (0.0,)]
    assert chosen.settings.delta == 0.0


@pytest.mark.parametrize("granularity", ["weights", "filters"])
@pytest.mark.parametrize("batch_norm", ["keep", "re-estimate"])
def test_all_that_was_tried_is_told_in_order_with_what_pruning_gives(
    granularity: str, batch_norm: str
) -> None:
    network = BUILT["resnet"]
    asked = section(
        auto={"normalise": ["layer", "rank"], "form": ["additive", "message"]},
        granularity=granularity,
        batch_norm=batch_norm,
    )
    chosen = choose(network, asked, *PARTS)
    assert [(tried.normalise, tried.form, tried.delta) for tried in chosen.tried] == [
        (normalise, form, delta)
        for normalise in ("layer", "rank")
        for form in ("additive", "message")
        for delta in (0.0, 0.5, 1.0)
    ]
    for tried in chosen.tried:
        assert tried.ratios == (0.25, 0.5)
        for ratio, accuracy in zip(tried.ratios, tried.accuracies, strict=True):
            relevance = asked.relevance.model_copy(update={"form": tried.form})
            update = {"delta": tried.delta, "normalise": tried.normalise, "ratio": ratio}
            at = asked.model_copy(update=update | {"relevance": relevance})
            assert share_correct(prune(network, at, *PARTS[0]), *PARTS[1]) == accuracy
    means = [sum(tried.accuracies) / 2 for tried in chosen.tried]
    best = chosen.tried[means.index(max(means))]
    assert (chosen.settings.delta, chosen.settings.normalise) == (best.delta, best.normalise)
    assert chosen.settings.relevance.form == best.form
    assert chosen.settings.ratio == asked.ratio


def with_accuracies(monkeypatch: pytest.MonkeyPatch, *rows: tuple[float, ...]) -> None:
    answers = iter([accuracy for row in rows for accuracy in row])
    monkeypatch.setattr(auto, "share_correct", lambda *_: next(answers))


def chosen_delta(**how: Any) -> tuple[Any, bool]:
    chosen = choose(BUILT["two-heads"], section(auto=how), *PARTS)
    return chosen.settings.delta, chosen.reached


def test_of_equals_the_first_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with_accuracies(monkeypatch, (0.5, 0.25), (0.75, 0.25), (0.25, 0.75))
    assert chosen_delta() == (0.5, True)


def test_the_aim_accuracy_takes_the_largest_ratio_that_keeps_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_accuracies(monkeypatch, (0.99, 0.0), (0.8, 0.8), (0.99, 0.9))
    assert chosen_delta(aim="accuracy", accuracy=0.85) == (1.0, True)
    with_accuracies(monkeypatch, (0.99, 0.0), (0.9, 0.85), (0.9, 0.85))
    assert chosen_delta(aim="accuracy", accuracy=0.85) == (0.5, True)


def test_an_accuracy_out_of_reach_is_told_and_the_mean_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_accuracies(monkeypatch, (0.5, 0.25), (0.75, 0.25), (0.5, 0.25))
    assert chosen_delta(aim="accuracy", accuracy=0.8) == (0.5, False)


def test_evidence_that_is_there_is_used() -> None:
    asked = section()
    evidence = evidence_for(BUILT["resnet"], asked, *PARTS[0])
    assert choose(BUILT["resnet"], asked, *PARTS, evidence) == choose(
        BUILT["resnet"], asked, *PARTS
    )
    assert "message" in vars(evidence)


def test_share_correct_counts_right_answers_over_batches() -> None:
    logits = torch.rand(601, 3, generator=seeded(0))
    labels = torch.arange(601) % 3
    expected = (logits.argmax(1) == labels).double().mean().item()
    assert share_correct(nn.Identity(), logits, labels) == pytest.approx(expected)
