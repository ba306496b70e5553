from dataclasses import replace
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

import flexrel_sim
from flexrel_sim.plots import (
    accuracy_against_ratio,
    draw_all,
    latency_against_bandwidth,
    pareto_front,
    time_shares,
)
from flexrel_sim.plots.labels import place_labels
from flexrel_sim.plots.style import new_figure
from flexrel_sim.simulation import Summary, Unstable


@pytest.fixture(scope="module")
def study(trained_folder, shared_cache, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEXREL_CACHE", str(shared_cache))
        output = tmp_path_factory.mktemp("study") / "out"
        return flexrel_sim.run(trained_folder / "study.yaml", output, workers=1).result


def labels(drawn):
    made = drawn.legends if isinstance(drawn, Figure) else [drawn.get_legend()]
    return [text.get_text() for one in made for text in one.get_texts()]


def with_cuts_renamed(study, names):
    points = []
    for point in study.points:
        sections = point.profile.operating_point
        cut = names.get(sections["split"]["cut"], sections["split"]["cut"])
        renamed = {**sections, "split": {**sections["split"], "cut": cut}}
        profile = replace(point.profile, operating_point=renamed)
        points.append(replace(point, profile=profile))
    return replace(study, points=tuple(points))


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
        # Whole, also where it passes the edge of the axes.
        assert not ring.get_clip_on()
    (told,) = [text for text in labels(figure) if text.startswith("chosen: ")]
    assert f"test accuracy {chosen.profile.accuracy.value:.3f}" in told


def test_the_front_says_whose_accuracy_it_shows_and_in_which_environment(study):
    figure = pareto_front(study)
    shown = figure.axes[0].get_ylabel()
    assert "validation accuracy" in shown
    assert "the table has test accuracy" in shown
    assert f"at {study.headline.name}" in figure.get_suptitle().replace("\n", " ")
    assert figure.axes[0].get_ylim()[1] < 1.01


def test_what_breaks_a_constraint_is_a_cross_and_not_on_the_front(study):
    broken = [p for p in study.headline_points if isinstance(p.outcome, Summary) and not p.feasible]
    kept = [p for p in study.headline_points if p.feasible and not p.on_front]
    assert broken
    assert kept
    figure = pareto_front(study)
    assert {"breaks a constraint", "dominated"} < set(labels(figure))
    for axes in figure.axes:
        drawn = {
            marker: sorted(y for line in axes.get_lines() for y in ys(line, marker))
            for marker in ("x", "o")
        }
        assert drawn["x"] == sorted(p.validation_accuracy.value for p in broken)


def test_what_is_not_ranked_is_not_said_to_break_a_constraint(study):
    """An oracle, and a point that lacks a figure, have no verdicts."""
    points = tuple(
        p if p.on_front else replace(p, verdicts={}, feasible=False) for p in study.points
    )
    told = set(labels(pareto_front(replace(study, points=points))))
    assert "not ranked" in told
    assert not {"breaks a constraint", "dominated"} & told


def ys(line, marker):
    return line.get_ydata() if line.get_marker() == marker else []


def test_a_bound_on_a_cost_is_a_line_in_its_panel(workspace):
    bounds = {"latency_p95_s": "<= 0.15", "accuracy": ">= 0.3"}
    run = flexrel_sim.run("study.yaml", "bounds", {"constraints": bounds}, workers=1)
    figure = pareto_front(run.result)
    assert any("sojourn time <= 150 ms" in text for text in labels(figure))
    lines = [line for line in figure.axes[1].get_lines() if line.get_linestyle() == ":"]
    assert [150.0, 150.0] in [list(line.get_xdata()) for line in lines]


def test_labels_of_the_front_name_each_of_its_points_once_and_do_not_meet(study):
    figure = pareto_front(study)
    figure.draw_without_rendering()
    front = {p.profile.key: p for p in reversed(study.headline_points) if p.on_front}
    wanted = sorted(p.index for p in front.values())
    assert wanted
    for axes in figure.axes:
        numbers = list(axes.texts)
        assert sorted(int(n) for text in numbers for n in text.get_text().split(", ")) == wanted
        boxes = [text.get_window_extent() for text in numbers]
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


def test_labels_keep_clear_of_each_other_and_of_points_where_there_is_room():
    figure, (axes,) = new_figure()
    places = [(0.5, 0.5), (0.52, 0.5), (0.5, 0.52), (0.02, 0.98), (0.98, 0.02)]
    axes.plot(*zip(*places, strict=True), "o", linestyle="none")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    place_labels(axes, [(place, f"{i}, {i + 10}") for i, place in enumerate(places)], places)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    frame = axes.get_window_extent()
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[index + 1 :])
        assert not any(box.contains(*axes.transData.transform(place)) for place in places)
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1


def test_names_that_start_with_an_underscore_are_in_the_legend(study):
    names = {"pool1": "_relu", "server": "_server"}
    (axes,) = latency_against_bandwidth(with_cuts_renamed(study, names)).axes
    assert set(labels(axes)) == {"_server", "_relu", "edge"}


def test_the_time_is_of_the_chosen_cut_unless_a_controller_chose(study):
    (axes,) = time_shares(study).axes
    cut = study.chosen.profile.operating_point["split"]["cut"]
    assert f"(chosen point, cut {cut})" in axes.get_title()


def test_the_time_of_a_controllers_point_is_of_several_cuts(workspace):
    controller = {"policy": "static", "options": [{"split.cut": "pool1"}, {"split.cut": "edge"}]}
    run = flexrel_sim.run("small.yaml", "out", {"controller": controller}, workers=1)
    (axes,) = time_shares(run.result).axes
    assert "cuts chosen at run time" in axes.get_title()


def test_curves_that_agree_stand_side_by_side_and_nothing_is_drawn_as_measured_between(study):
    (axes,) = accuracy_against_ratio(study).axes
    figure_lines = [line for line in axes.get_lines() if line.get_marker() != "None"]
    places = [line.get_transform().transform((0.5, 0.5))[0] for line in figure_lines]
    assert len(places) > 1
    assert all(1 < after - before < 5 for before, after in pairwise(places))
    assert {line.get_linestyle() for line in figure_lines} == {":"}
    assert "nothing measured between" in axes.get_legend().get_title().get_text()


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
