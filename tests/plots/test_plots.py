import pytest

import flexrel_sim
from flexrel_sim.plots import (
    accuracy_against_ratio,
    draw_all,
    latency_against_bandwidth,
    pareto_front,
    time_shares,
)
from flexrel_sim.simulation import Summary, Unstable


@pytest.fixture
def study(workspace):
    return flexrel_sim.run("study.yaml", "out", workers=1).result


def labels(axes):
    return axes.get_legend_handles_labels()[1]


def test_accuracy_has_a_curve_per_criterion_through_the_dense_network(study):
    (axes,) = accuracy_against_ratio(study).axes
    assert "flexrel-paper, δ = 0.3" in labels(axes)
    assert "magnitude, raw" in labels(axes)
    for line in axes.get_lines():
        assert line.get_xdata()[0] == 0


def test_accuracy_is_that_of_the_test_samples(study):
    (axes,) = accuracy_against_ratio(study).axes
    drawn = {y for line in axes.get_lines() for y in line.get_ydata()}
    assert drawn <= {point.profile.accuracy.value for point in study.points}


def test_latency_has_a_curve_per_cut_and_a_mark_per_overload(study):
    (axes,) = latency_against_bandwidth(study).axes
    assert set(labels(axes)) == {"server", "pool1", "edge"}
    marks = [line for line in axes.get_lines() if line.get_marker() == "x"]
    drawn = sum(len(line.get_xdata()) for line in marks)
    overloaded = [point for point in study.points if isinstance(point.outcome, Unstable)]
    assert drawn == len(overloaded) > 0


def test_the_front_marks_the_chosen_point_with_its_test_accuracy(study):
    figure = pareto_front(study)
    assert len(figure.axes) == 2
    chosen = study.chosen
    assert isinstance(chosen.outcome, Summary)
    for axes, name, scale in zip(
        figure.axes, ("uplink_bytes", "latency_p95_s"), (1, 1e3), strict=True
    ):
        ring = next(line for line in axes.get_lines() if line.get_markersize() == 12)
        assert ring.get_xdata()[0] == scale * chosen.outcome.metrics[name].value
        assert ring.get_ydata()[0] == chosen.profile.validation_accuracy.value
        assert f"{chosen.profile.accuracy.value:.3f}" in ring.get_label()


def test_labels_of_the_front_name_each_of_its_points_once_and_do_not_meet(study):
    figure = pareto_front(study)
    figure.draw_without_rendering()
    front = {p.profile.key: p for p in reversed(study.headline_points) if p.on_front}
    wanted = sorted(p.index for p in front.values())
    assert wanted
    for axes in figure.axes:
        labels = [text for text in axes.texts if "dominated" not in text.get_text()]
        assert sorted(int(n) for text in labels for n in text.get_text().split(", ")) == wanted
        boxes = [text.get_window_extent() for text in labels]
        for index, box in enumerate(boxes):
            assert not any(box.overlaps(other) for other in boxes[index + 1 :])


def test_the_front_shows_the_costs_that_the_objectives_name(workspace):
    objectives = {"miss_share": "min", "edge_compute_energy_j": "min", "accuracy": "max"}
    run = flexrel_sim.run("study.yaml", "named", {"objectives": objectives}, workers=1)
    labels = [axes.get_xlabel() for axes in pareto_front(run.result).axes]
    assert labels == [
        "share of requests late or without answer",
        "edge compute energy per request / mJ",
    ]


def test_the_parts_of_the_time_sum_to_the_mean(study):
    (axes,) = time_shares(study).axes
    total_ms = sum(bar.get_width() for bar in axes.patches)
    mean_s = study.chosen.outcome.metrics["latency_mean_s"].value
    # The figure's parts are over all requests, the mean over replications of unequal size.
    assert total_ms / 1e3 == pytest.approx(mean_s, rel=0.05)


def test_pictures_that_have_nothing_to_show_are_not_drawn(workspace):
    result = flexrel_sim.run("small.yaml", "out", workers=1).result
    assert accuracy_against_ratio(result) is None
    assert latency_against_bandwidth(result) is None
    assert pareto_front(result) is None


def test_a_study_without_a_choice_still_draws_its_front(workspace):
    run = flexrel_sim.run("study.yaml", "out", {"constraints": {"accuracy": ">= 1"}}, workers=1)
    if run.result.chosen is None:
        assert time_shares(run.result) is None
    assert pareto_front(run.result) is not None


def test_the_same_study_gives_the_same_svg(study, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        draw_all(study, folder)
    for file in one.glob("*.svg"):
        assert file.read_bytes() == (two / file.name).read_bytes()


def test_settings_that_differ_are_told_apart_in_the_legend(workspace):
    text = (workspace / "small.yaml").read_text()
    sweep = """sweep:
  pruning:
    - {min_kept: 0.01}
    - {min_kept: 0.2, normalise: global}
    - {min_kept: 0.01, exclude: [fc1], relevance: {sum: signed}}
  pruning.ratio: [0.1, 0.3]
"""
    (workspace / "labels.yaml").write_text(text + sweep)
    result = flexrel_sim.run("labels.yaml", "out", workers=1).result
    (axes,) = accuracy_against_ratio(result).axes
    assert len(labels(axes)) == len(set(labels(axes))) == 3
    assert "min_kept 0.2" in labels(axes)[1]
    assert "global scale" in labels(axes)[1]
    assert "exclude fc1" in labels(axes)[2]
    assert "sum signed" in labels(axes)[2]
