"""Each environment is ranked by itself, named, and its choice says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flexrel_sim.scenario import SystemScenario, load_scenario
from flexrel_sim.simulation import Summary, Unstable
from flexrel_sim.simulation.doubts import Doubt
from flexrel_sim.statistics import Estimate, t_interval
from flexrel_sim.study.check import base_warnings
from flexrel_sim.study.ranking import rank
from flexrel_sim.study.recommendations import NONE, recommend
from flexrel_sim.study.result import PointResult, StudyResult
from flexrel_sim.study.verdicts import Verdict, judge
from tests.builders import SCENARIO_YAML, make_profile, write_yaml

REPLICATIONS = 5
LINK = SCENARIO_YAML.replace("10 Mbit/s, downlink", "2 Mbit/s, downlink")


def right(count: int, samples: int = 100) -> dict[str, Any]:
    """Validation samples of which the first are answered, and all by the dense network."""
    labels = np.zeros(samples, np.int64)
    return {
        "validation_labels": labels,
        "validation_predicted": (np.arange(samples) >= count).astype(np.int64),
        "validation_dense_predicted": labels,
    }


def study(
    folder: Path,
    text: str,
    latency: Callable[[dict[str, Any]], list[float]],
    correct: Callable[[dict[str, Any]], int] = lambda _: 95,
    base: str = LINK,
) -> StudyResult:
    """Rank a study whose points have the latencies, by replication, that a function gives."""
    scenario_file = load_scenario(write_yaml(folder, base + text))
    points = []
    for point in scenario_file.points:
        latencies = tuple(latency(point.values))
        metrics = {
            "latency_p95_s": t_interval(latencies),
            "uplink_bytes": Estimate(10.0, 10.0, 10.0),
            "accuracy": Estimate(0.5, 0.4, 0.6),
        }
        outcome = Summary(
            metrics,
            {},
            {"edge": 0.5},
            "edge",
            100,
            {},
            per_replication={"latency_p95_s": latencies},
        )
        cut = point.scenario.split.cut
        profile = make_profile(
            operating_point={"split": {"cut": cut}}, **right(correct(point.values))
        )
        points.append(PointResult(point.index, point.values, point.scenario, profile, outcome))
    ranked, environments = rank(points, scenario_file)
    return StudyResult(scenario_file, ranked, environments)


def spread(mean: float) -> list[float]:
    return [mean * (1 + 0.01 * step) for step in range(-2, 3)]


CUTS = (
    "sweep: {split.cut: [server, edge],"
    " link.uplink: [0.25 Mbit/s, 0.5 Mbit/s, 1 Mbit/s, 4 Mbit/s]}\n"
)


def by_bandwidth(values: dict[str, Any]) -> list[float]:
    rate = float(values["link.uplink"].split()[0])
    return spread(0.3 if values["split.cut"] == "edge" else 0.2 / rate)


def test_every_environment_is_named_in_words_and_has_its_own_front_and_choice(
    tmp_path: Path,
) -> None:
    result = study(tmp_path, CUTS, by_bandwidth)
    assert [own.name for own in result.environments] == [
        f"uplink {rate}" for rate in ("250 kbit/s", "500 kbit/s", "1 Mbit/s", "4 Mbit/s")
    ]
    cuts = [
        result.points[own.chosen].values["split.cut"]
        for own in result.environments
        if own.chosen is not None
    ]
    assert cuts == ["edge", "edge", "server", "server"]
    for own in result.environments:
        assert sum(point.chosen for point in result.points_of(own)) == 1
        assert any(point.on_front for point in result.points_of(own))


def test_recommendations_are_joined_along_the_axis_and_say_where_the_switch_lies(
    tmp_path: Path,
) -> None:
    (found,) = recommend(study(tmp_path, CUTS, by_bandwidth))
    assert found.switches == (("500 kbit/s", "1 Mbit/s"),)
    assert str(found) == (
        "uplink up to 500 kbit/s: edge; from 1 Mbit/s: server (simulated from 250 kbit/s to"
        " 4 Mbit/s; the switch lies between 500 kbit/s and 1 Mbit/s)"
    )


def test_values_are_ordered_by_what_they_mean_and_other_settings_have_a_line_each(
    tmp_path: Path,
) -> None:
    sweep = (
        "sweep: {workload.arrivals: [poisson, periodic], split.cut: [server, edge],"
        " link.uplink: [1 Mbit/s, 250 kbit/s]}\n"
    )

    def latency(values: dict[str, Any]) -> list[float]:
        slow = values["link.uplink"] == "250 kbit/s" and values["workload.arrivals"] == "poisson"
        return spread(2.0 if (values["split.cut"] == "server") == slow else 1.0)

    lines = [str(own) for own in recommend(study(tmp_path, sweep, latency))]
    assert lines == [
        (
            "arrivals poisson: uplink up to 250 kbit/s: edge; from 1 Mbit/s: server"
            " (simulated from 250 kbit/s to 1 Mbit/s;"
            " the switch lies between 250 kbit/s and 1 Mbit/s)"
        ),
        "arrivals periodic: uplink 250 kbit/s to 1 Mbit/s: server",
    ]


def test_only_designs_that_were_run_everywhere_are_compared_along_an_axis(tmp_path: Path) -> None:
    # More designs at one rate, and the best of them wins there for no better reason.
    sweep = (
        "sweep: [{split.cut: [server, edge], pruning.ratio: [0.5, 0.9]},"
        " {split.cut: [server, edge], link.uplink: [0.5 Mbit/s, 4 Mbit/s]}]\n"
    )

    def latency(values: dict[str, Any]) -> list[float]:
        quick = 0.5 if values.get("pruning.ratio") == 0.9 else 1.0
        return spread(quick * (1.0 if values["split.cut"] == "edge" else 2.0))

    base = LINK + "pruning: {ratio: 0.5}\n"
    result = study(tmp_path, sweep, latency, base=base)
    assert result.chosen is not None
    assert result.chosen.values["pruning.ratio"] == 0.9
    (found,) = recommend(result)
    assert (found.compared, found.others) == (2, 2)
    assert str(found) == (
        "uplink 500 kbit/s to 4 Mbit/s: edge (of the 2 designs run at all of these values;"
        " 2 more were run at some of them only)"
    )


@pytest.mark.parametrize(
    ("path", "spellings", "name"),
    [
        ("link.uplink", ["0.04 Mbit/s", "40.0 kbit/s", "40000 bit/s"], "uplink 40 kbit/s"),
        ("link.uplink", ["{rate: 0.08 Mbit/s}", "{rate: 10 kB/s}"], "uplink rate 80 kbit/s"),
        ("link.delay", ["0.15 s", "150 ms", "150.0 ms"], "delay 150 ms"),
        ("workload.rate", ["5 Hz", "5.0 /s"], "rate 5 /s"),
        ("workload.duration", ["2 min", "120 s"], "duration 120 s"),
    ],
)
def test_an_environment_has_one_name_however_it_is_spelt(
    tmp_path: Path, path: str, spellings: list[str], name: str
) -> None:
    for spelling in spellings:
        text = f"sweep: {{{path}: [{spelling}]}}\n"
        (own,) = study(tmp_path, text, lambda _: [1.0] * REPLICATIONS).environments
        assert name in own.name.split(", ")


def test_an_environment_without_a_feasible_point_says_so(tmp_path: Path) -> None:
    text = CUTS + "constraints: {latency_p95_s: '<= 150 ms'}\n"
    result = study(tmp_path, text, by_bandwidth)
    assert [own.chosen is None for own in result.environments] == [True, True, True, False]
    assert f"up to 1 Mbit/s: {NONE}" in str(recommend(result)[0])
    assert not any(point.on_front for point in result.points if not point.feasible)


def test_the_headline_is_the_base_environment_wherever_it_stands_in_the_sweep(
    tmp_path: Path,
) -> None:
    sweep = "sweep: {link.uplink: [0.25 Mbit/s, 2 Mbit/s], split.cut: [server, edge]}\n"
    result = study(tmp_path, sweep, lambda _: spread(1.0))
    assert (result.headline.name, result.headline.is_base) == ("uplink 2 Mbit/s", True)
    assert base_warnings(result.scenario_file, result.environments) == []


def test_a_base_environment_that_is_not_swept_is_told_with_what_the_headline_is_about(
    tmp_path: Path,
) -> None:
    result = study(tmp_path, CUTS, by_bandwidth)
    assert (result.headline.name, result.headline.is_base) == ("uplink 250 kbit/s", False)
    (warning,) = base_warnings(result.scenario_file, result.environments)
    assert "sweep.link.uplink" in warning.path
    assert "the headline is about uplink 250 kbit/s" in warning.rule


def test_what_only_the_sweep_gives_is_not_the_base_scenarios_own(tmp_path: Path) -> None:
    base = LINK.replace("uplink: 2 Mbit/s, ", "")
    result = study(tmp_path, CUTS, by_bandwidth, base=base)
    assert not result.headline.is_base
    (warning,) = base_warnings(result.scenario_file, result.environments)
    assert "gives the only values there are" in warning.rule


def test_an_environment_is_serialised_once_per_point_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    written = SystemScenario.model_dump_json

    def counted(scenario: SystemScenario, **options: Any) -> str:
        # Whole points are, too, where equal ones are looked for.
        if "include" in options:
            asked.append(scenario)
        return written(scenario, **options)

    monkeypatch.setattr(SystemScenario, "model_dump_json", counted)
    result = study(tmp_path, CUTS, by_bandwidth)
    # And once of the base, by which the headline is found.
    assert len(asked) == len(result.points) + 1


def test_points_that_cannot_be_told_from_the_choice_are_marked(tmp_path: Path) -> None:
    sweep = "sweep: {server.workers: [1, 2, 3, 4]}\n"
    shared = np.array([1.0, 2.0, 1.5, 3.0, 0.5])
    ahead = {
        1: np.zeros(5),
        2: np.array([0.2, -0.1, 0.1, -0.1, 0.0]),  # noise that outweighs the mean
        3: np.full(5, 0.1) + np.array([0.001, 0.0, -0.001, 0.002, 0.0]),  # small, and always there
        4: np.zeros(5),
    }
    result = study(tmp_path, sweep, lambda v: list(shared + ahead[v["server.workers"]]), base=LINK)
    assert [point.chosen for point in result.points] == [True, False, False, False]
    assert [point.tied for point in result.points] == [False, True, False, True]
    # Their intervals say nothing of it: all of them overlap.
    estimates = [point.selection_estimates()["latency_p95_s"] for point in result.points]
    assert max(own.low for own in estimates) < min(own.high for own in estimates)


def test_a_later_objective_decides_only_where_the_first_is_the_same(tmp_path: Path) -> None:
    text = "sweep: {server.workers: [1, 2, 3]}\nobjectives: {latency_p95_s: min, accuracy: max}\n"
    result = study(
        tmp_path,
        text,
        lambda _: spread(1.0),
        lambda values: {1: 90, 2: 50, 3: 88}[values["server.workers"]],
    )
    assert [point.chosen for point in result.points] == [True, False, False]
    assert [point.tied for point in result.points] == [False, False, True]


@pytest.mark.parametrize(
    ("bound", "correct", "verdict", "needed"),
    [
        (">= 0.5", 95, "kept", None),
        (">= 0.9", 95, "unsure", 139),
        (">= 0.95", 95, "unsure", None),
        (">= 0.96", 95, "broken", None),
        (">= dense - 0.2", 95, "kept", None),
        # All 5 that differ are lost: the variance is that of a share of 0.06.
        (">= dense - 0.06", 95, "unsure", 2167),
        (">= dense - 0.05", 95, "unsure", None),
        (">= dense - 5 %", 94, "broken", None),
        (">= dense", 100, "unsure", None),
    ],
)
def test_a_constraint_is_kept_broken_or_more_than_the_samples_can_show(
    tmp_path: Path, bound: str, correct: int, verdict: str, needed: int | None
) -> None:
    text = f"constraints: {{accuracy: '{bound}'}}\n"
    (point,) = study(tmp_path, text, lambda _: spread(1.0), lambda _: correct).points
    own = point.verdicts["accuracy"]
    assert own.verdict == verdict
    assert point.feasible is (verdict != "broken")
    assert point.chosen is point.feasible
    if needed is None:
        assert own.needed is None
    else:
        assert own.needed == pytest.approx(needed, rel=0.05)


def test_as_many_samples_as_are_said_to_be_needed_show_it_and_fewer_do_not(tmp_path: Path) -> None:
    text = "constraints: {accuracy: '>= 0.95'}\n"

    def verdict(samples: int) -> Any:
        scenario_file = load_scenario(write_yaml(tmp_path, LINK + text))
        (given,) = scenario_file.points
        outcome = Summary(
            {
                "latency_p95_s": Estimate(1, 1, 1),
                "uplink_bytes": Estimate(1, 1, 1),
                "accuracy": Estimate(1, 1, 1),
            },
            {},
            {"edge": 0.5},
            "edge",
            100,
            {},
        )
        profile = make_profile(**right(samples, samples))
        point = PointResult(0, {}, given.scenario, profile, outcome)
        return rank([point], scenario_file)[0][0].verdicts["accuracy"]

    twenty = verdict(20)
    assert "unsure: estimate 1 [0.839, 1] from 20 validation samples; about" in str(twenty)
    assert verdict(twenty.needed).verdict == "kept"
    assert verdict(twenty.needed - 1).verdict == "unsure"


@pytest.mark.parametrize(
    ("bound", "recalls"),
    [(">= 0.925", [60] * 9 + [20]), (">= 0.61", [60, 30, 20, 40]), ("<= 0.79", [55, 20, 60, 50])],
)
def test_classes_that_differ_need_fewer_samples(
    tmp_path: Path, bound: str, recalls: list[int]
) -> None:
    text = f"{LINK}constraints: {{accuracy: '{bound}'}}\n"
    scenario_file = load_scenario(write_yaml(tmp_path, text))
    constraint = scenario_file.scenario.constraints["accuracy"]

    def judged(samples: int) -> Verdict:
        """As many of each class as can be, and as many of them right."""
        each = np.diff(np.linspace(0, samples, len(recalls) + 1).round()).astype(int)
        labels = np.repeat(np.arange(each.size), each)
        wrong = np.concatenate(
            [
                np.arange(count) >= round(count * right / 60)
                for count, right in zip(each, recalls, strict=True)
            ]
        )
        answers = np.where(wrong, (labels + 1) % each.size, labels)
        profile = make_profile(
            validation_labels=labels,
            validation_predicted=answers,
            validation_dense_predicted=labels,
        )
        (given,) = scenario_file.points
        point = PointResult(0, {}, given.scenario, profile, Unstable("edge", {"edge": 2.0}, 1.0))
        return judge(point, "accuracy", constraint)

    some = judged(60 * len(recalls))
    assert some.verdict == "unsure"
    assert some.needed is not None
    # Of twelve samples of each class, whole ones have these recalls.
    step = 12 * len(recalls)
    assert judged(math.ceil(some.needed / step) * step).verdict == "kept"
    assert judged((some.needed - 1) // step * step).verdict == "unsure"


def test_a_simulated_bound_is_judged_by_its_interval_and_in_its_unit(tmp_path: Path) -> None:
    def verdict(bound: str) -> str:
        text = f"constraints: {{latency_p95_s: '{bound}'}}\n"
        (point,) = study(tmp_path, text, lambda _: spread(0.1)).points
        return point.verdicts["latency_p95_s"].verdict

    assert [verdict(b) for b in ("<= 150 ms", "<= 101 ms", "<= 99 ms")] == [
        "kept",
        "unsure",
        "broken",
    ]


def test_a_bound_is_unsure_where_its_figures_interval_cannot_be_relied_on(tmp_path: Path) -> None:
    text = "constraints: {latency_p95_s: '<= 150 ms'}\n"
    result = study(tmp_path, text, lambda _: spread(0.1))
    (point,) = result.points
    assert isinstance(point.outcome, Summary)
    doubts = {"latency_p95_s": Doubt("few", "3 requests lie beyond it")}
    doubted = replace(point, outcome=replace(point.outcome, doubts=doubts))
    ((judged,), _) = rank([doubted], result.scenario_file)
    own = judged.verdicts["latency_p95_s"]
    assert (own.verdict, own.needed) == ("unsure", None)
    assert "the interval is not reliable: 3 requests lie beyond it" in str(own)
    assert judged.feasible


def test_a_bound_of_a_recall_is_judged_by_validation_samples(tmp_path: Path) -> None:
    text = "constraints: {balanced_accuracy: '>= 0.9'}\n"
    (point,) = study(tmp_path, text, lambda _: spread(0.1), lambda _: 100).points
    own = point.verdicts["balanced_accuracy"]
    assert (own.samples, own.of) == (100, "validation samples")
    assert own.estimate.value == 1.0
    assert own.verdict == "kept"


def test_an_unsure_recall_tells_of_its_rarest_class_and_promises_no_number(tmp_path: Path) -> None:
    text = "constraints: {worst_recall: '>= 0.94'}\n"
    (point,) = study(tmp_path, text, lambda _: spread(0.1)).points
    own = point.verdicts["worst_recall"]
    assert (own.verdict, own.needed) == ("unsure", None)
    assert str(own).endswith("from 100 validation samples, of which the rarest class has 100")
