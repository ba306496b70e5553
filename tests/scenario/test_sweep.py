import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from flexrel_sim.errors import ScenarioError
from flexrel_sim.scenario import Scenario, ScenarioFile, load_scenario
from flexrel_sim.scenario.sweep import SweptValue, apply_swept, set_path
from tests.builders import SCENARIO_YAML, write_yaml


def study(folder: Path, sweep: str) -> ScenarioFile[Scenario]:
    return load_scenario(write_yaml(folder, SCENARIO_YAML + sweep))


def values(folder: Path, sweep: str) -> list[dict[str, Any]]:
    return [point.values for point in study(folder, sweep).points]


def faults(folder: Path, sweep: str) -> list[str]:
    file = write_yaml(folder, SCENARIO_YAML + sweep)
    with pytest.raises(ScenarioError, match=": ") as caught:
        load_scenario(file)
    return str(caught.value).replace(str(file), "FILE").splitlines()


def test_a_grid_gives_every_combination_in_the_order_written(tmp_path: Path) -> None:
    points = study(tmp_path, "sweep: {pruning.ratio: [0.3, 0.1], server.workers: [2, 1]}\n").points
    assert [point.values for point in points] == [
        {"pruning.ratio": 0.3, "server.workers": 2},
        {"pruning.ratio": 0.3, "server.workers": 1},
        {"pruning.ratio": 0.1, "server.workers": 2},
        {"pruning.ratio": 0.1, "server.workers": 1},
    ]
    assert [point.index for point in points] == [0, 1, 2, 3]
    assert [(p.scenario.pruning.ratio, p.scenario.server.workers) for p in points] == [
        (0.3, 2),
        (0.3, 1),
        (0.1, 2),
        (0.1, 1),
    ]


def test_a_list_of_grids_is_their_union_with_each_point_once(tmp_path: Path) -> None:
    sweep = """\
pruning: {ratio: 0}
sweep:
  - pruning.ratio: [0.1, 0.2]
    server.workers: [1]
  - server.workers: [1, 2]
    pruning.ratio: [0.2]
  - server.workers: [1, 1]
"""
    assert values(tmp_path, sweep) == [
        {"pruning.ratio": 0.1, "server.workers": 1},
        {"pruning.ratio": 0.2, "server.workers": 1},
        {"server.workers": 2, "pruning.ratio": 0.2},
        {"server.workers": 1},
    ]


def test_a_grid_leaves_a_key_that_only_another_grid_sweeps_at_its_default(tmp_path: Path) -> None:
    sweep = "sweep: [{server.workers: [3]}, {pruning.ratio: [0.5], edge.service: [exponential]}]\n"
    first, second = (point.scenario for point in study(tmp_path, sweep).points)
    assert (first.pruning.ratio, first.edge.service) == (0, "deterministic")
    assert (second.pruning.ratio, second.edge.service) == (0.5, "exponential")
    assert (first.server.workers, second.server.workers) == (3, 1)


def test_grids_that_meet_in_the_same_scenario_give_one_point(tmp_path: Path) -> None:
    sweep = (
        "pruning: {ratio: 0.1}\n"
        "sweep: [{pruning.ratio: [0.1, 0.2]}, {server.workers: [1, 2]}, {pruning: [{seed: 0}]}]\n"
    )
    points = study(tmp_path, sweep).points
    assert [(p.scenario.pruning.ratio, p.scenario.server.workers) for p in points] == [
        (0.1, 1),
        (0.2, 1),
        (0.1, 2),
    ]
    assert [point.index for point in points] == [0, 1, 2]


def test_a_value_written_twice_is_run_once(tmp_path: Path) -> None:
    assert values(tmp_path, "sweep: {server.workers: [1, 2, 1]}\n") == [
        {"server.workers": 1},
        {"server.workers": 2},
    ]


def test_a_linear_range_gives_equal_differences(tmp_path: Path) -> None:
    sweep = "sweep: {pruning.ratio: {from: 0.1, to: 0.7, steps: 4}}\n"
    assert [v["pruning.ratio"] for v in values(tmp_path, sweep)] == [0.1, 0.3, 0.5, 0.7]


def test_a_log_range_of_quantities_gives_equal_ratios(tmp_path: Path) -> None:
    sweep = "sweep: {link.uplink: {from: 1 Mbit/s, to: 1 Gbit/s, steps: 4, scale: log}}\n"
    points = study(tmp_path, sweep).points
    assert [point.scenario.link.uplink for point in points] == [1e6, 1e7, 1e8, 1e9]


def test_an_integer_key_can_be_swept_by_range(tmp_path: Path) -> None:
    points = study(tmp_path, "sweep: {server.workers: {from: 1, to: 7, steps: 3}}\n").points
    assert [point.scenario.server.workers for point in points] == [1, 4, 7]
    points = study(tmp_path, "sweep: {server.workers: {from: 1, to: 8, steps: 4, scale: log}}\n")
    assert [point.scenario.server.workers for point in points.points] == [1, 2, 4, 8]


def test_an_integer_key_swept_through_fractions_is_refused_at_the_range(tmp_path: Path) -> None:
    found = faults(tmp_path, "sweep:\n  server.workers: {from: 1, to: 2, steps: 3}\n")
    assert len(found) == 1
    assert found[0].startswith("FILE:9: sweep.server.workers: must be a valid integer")


def test_a_section_swept_with_mappings_merges_into_the_base(tmp_path: Path) -> None:
    sweep = (
        "pruning: {ratio: 0.5, seed: 3}\n"
        "sweep: {pruning: [{criterion: magnitude}, {delta: 0.3, ratio: 0.1}]}\n"
    )
    first, second = (point.scenario.pruning for point in study(tmp_path, sweep).points)
    assert (first.criterion, first.ratio, first.seed) == ("magnitude", 0.5, 3)
    assert (second.delta, second.ratio, second.seed) == (0.3, 0.1, 3)


def test_a_swept_mapping_merges_at_every_depth(tmp_path: Path) -> None:
    sweep = (
        "pruning: {relevance: {target: predicted}}\n"
        "sweep: {pruning: [{relevance: {sum: signed}}]}\n"
    )
    relevance = study(tmp_path, sweep).points[0].scenario.pruning.relevance
    assert (relevance.target, relevance.sum) == ("predicted", "signed")


def test_a_section_and_another_of_its_keys_can_be_swept_together(tmp_path: Path) -> None:
    sweep = "sweep: {pruning.ratio: [0.1], pruning: [{seed: 1}, {seed: 2}]}\n"
    points = [point.scenario.pruning for point in study(tmp_path, sweep).points]
    assert [(p.ratio, p.seed) for p in points] == [(0.1, 1), (0.1, 2)]


def test_a_deeper_key_is_set_after_the_section_it_is_in_whatever_the_order(tmp_path: Path) -> None:
    sweep = (
        "sweep:\n  pruning.relevance.sum: [signed]\n  pruning: [{relevance: {target: predicted}}]\n"
    )
    relevance = study(tmp_path, sweep).points[0].scenario.pruning.relevance
    assert (relevance.target, relevance.sum) == ("predicted", "signed")


@pytest.mark.parametrize(
    "sweep",
    [
        "sweep:\n  pruning.ratio: [0.1]\n  pruning: [{seed: 1}, {ratio: 0.2}]\n",
        (
            "sweep:\n  pruning.relevance.sum: [signed]\n"
            "  pruning: [{seed: 1}, {relevance: {sum: signed}}]\n"
        ),
    ],
)
def test_a_key_swept_twice_is_refused_where_the_mapping_sets_it(tmp_path: Path, sweep: str) -> None:
    found = faults(tmp_path, sweep)
    assert len(found) == 1
    assert found[0].startswith("FILE:10: sweep.pruning[1]: sets ")
    assert "sweeps as well; keep one of the two" in found[0]


@pytest.mark.parametrize("sweep", ["", "sweep:\n", "sweep: {}\n"])
def test_nothing_swept_is_one_point(tmp_path: Path, sweep: str) -> None:
    assert values(tmp_path, sweep) == [{}]
    assert not study(tmp_path, sweep).is_study


@pytest.mark.parametrize(
    ("sweep", "path"),
    [
        ("sweep: text\n", "sweep"),
        ("sweep: 3\n", "sweep"),
        ("sweep: 0\n", "sweep"),
        ("sweep: []\n", "sweep"),
        ("sweep: false\n", "sweep"),
        ("sweep: [3]\n", "sweep[0]"),
        ("sweep: [{pruning.ratio: [0.1]}, {}]\n", "sweep[1]"),
        ("sweep: [{pruning.ratio: [0.1]}, null]\n", "sweep[1]"),
    ],
)
def test_a_sweep_that_is_no_grid_is_refused(tmp_path: Path, sweep: str, path: str) -> None:
    found = faults(tmp_path, sweep)
    assert len(found) == 1
    assert found[0].startswith(f"FILE:8: {path}: must map dotted paths to ")


@pytest.mark.parametrize("raw", ["3", "text", "[]", "null", "true"])
def test_a_key_swept_over_neither_list_nor_range_is_refused(tmp_path: Path, raw: str) -> None:
    found = faults(tmp_path, f"sweep:\n  pruning.ratio: {raw}\n")
    assert len(found) == 1
    assert found[0].startswith("FILE:9: sweep.pruning.ratio: must be a list of values or a range")
    assert found[0].endswith(
        "write a list, or {from: 1 Mbit/s, to: 50 Mbit/s, steps: 6, scale: log}"
    )


@pytest.mark.parametrize("path", ["name", "sweep", "objectives", "objectives.accuracy"])
def test_what_is_no_setting_cannot_be_swept(tmp_path: Path, path: str) -> None:
    found = faults(tmp_path, f"sweep:\n  {path}: [a]\n")
    assert found == [f"FILE:9: sweep.{path}: can't be swept; sweep keys of a section"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("{from: 0, to: 1}", "must be a range: steps – field required"),
        ("{from: 0, to: 1, steps: 1}", "steps – input should be greater than or equal to 2"),
        ("{from: 0, to: 1, steps: 2.5}", "steps – input should be a valid integer"),
        ("{from: 0, to: 1, steps: 2, scale: ln}", "scale – input should be 'linear' or 'log'"),
        ("{from: 0, to: 1, steps: 2, step: 1}", "step – extra inputs are not permitted"),
        ("{from: true, to: 1, steps: 2}", "from – input should be a valid number"),
        ("{from: 0, to: 1, steps: 3, scale: log}", "must have ends above zero on a log scale"),
        ("{from: 0, to: .inf, steps: 3}", "input should be a finite number"),
        ("{from: 1, to: 5 Mbit/s, steps: 3}", "must go from one number or quantity to another of"),
        ("{from: 1 s, to: 5 Mbit/s, steps: 3}", "from one quantity to another of the same kind"),
        ("{from: slow, to: fast, steps: 3}", "must go from one number or quantity to another"),
    ],
)
def test_a_faulty_range_is_refused_at_its_key(tmp_path: Path, spec: str, words: str) -> None:
    found = faults(tmp_path, f"sweep:\n  link.uplink: {spec}\n")
    assert all(line.startswith("FILE:9: sweep.link.uplink: must ") for line in found)
    assert any(words in line for line in found)


def test_the_sound_keys_of_a_faulty_sweep_are_checked_as_well(tmp_path: Path) -> None:
    sweep = "sweep:\n  pruning.ratio: 3\n  link.uplink: [fast]\n  edge.devise: [t4]\n"
    places = {line.partition(": ")[0] for line in faults(tmp_path, sweep)}
    assert places == {"FILE:9", "FILE:10", "FILE:11"}


def test_a_study_of_more_than_a_hundred_thousand_points_is_refused(tmp_path: Path) -> None:
    hundred = "{from: 0, to: 0.5, steps: 100}"
    sweep = f"sweep:\n  pruning.ratio: {hundred}\n  pruning.delta: {hundred}\n  server.workers: "
    found = faults(tmp_path, sweep + str(list(range(1, 12))) + "\n")
    assert found == [
        "FILE:8: sweep: must not ask for more than 100,000 points, got 110000; use fewer values"
    ]


def test_a_huge_range_is_refused_without_being_unfolded(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        found = faults(tmp_path, "sweep: {pruning.ratio: {from: 0, to: 0.5, steps: 1000000}}\n")
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[0].startswith("FILE:8: sweep")
    # A million floats in a list take 32 MB; a fault takes none of them.
    assert peak_bytes < 16e6


def test_setting_a_path_makes_sections_on_the_way_and_replaces_plain_values() -> None:
    data: dict[str, Any] = {"a": 1, "b": {"c": 2}}
    set_path(data, "a.x.y", 5)
    set_path(data, "b.d", 6)
    set_path(data, "b", {"c": 7})
    set_path(data, "e", [1])
    assert data == {"a": {"x": {"y": 5}}, "b": {"c": 7, "d": 6}, "e": [1]}


def test_applying_swept_values_leaves_the_file_and_the_values_as_they_were() -> None:
    data = {"a": {"b": [1]}}
    swept = {"a.c": SweptValue("a.c", [2], ("sweep", "a.c", 0))}
    result = apply_swept(data, swept)
    result["a"]["b"].append(9)
    result["a"]["c"].append(9)
    assert data == {"a": {"b": [1]}}
    assert swept["a.c"].value == [2]


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ("sweep:\n  server.workers: [1, 2, 1]\n", "server.workers[2]"),
        ("sweep:\n  link.uplink: [2 Mbit/s, 2000 kbit/s]\n", "link.uplink[1]"),
        ("sweep:\n  pruning: [{seed: 0}, {}]\n", "pruning[1]"),
    ],
)
def test_a_value_that_is_another_one_of_the_sweep_is_told_on_its_line(
    tmp_path: Path, sweep: str, told: str
) -> None:
    loaded = study(tmp_path, sweep)
    (warning,) = loaded.warnings
    assert warning.path == f"sweep.{told}"
    assert "is the same as an earlier value of this sweep, and is run once" in str(warning)


def test_grids_that_meet_and_keys_that_give_other_points_are_not_warned_of(tmp_path: Path) -> None:
    meeting = (
        "sweep: [{pruning.ratio: [0.1, 0.2]}, {server.workers: [1, 2]}, {server.workers: [1]}]\n"
    )
    assert study(tmp_path, meeting).warnings == ()
    # Every value repeats for every other key; each is told once.
    grid = "sweep: {server.workers: [1, 2, 1], pruning.ratio: [0.1, 0.2, 0.3]}\n"
    assert len(study(tmp_path, grid).warnings) == 1


CODEC = "codec: {dtype: int4, compress: zstd, checksum: false}\n"


def codecs(folder: Path, text: str) -> list[tuple[str, str, str | None, bool]]:
    points = [point.scenario.codec for point in study(folder, text).points]
    return [(c.dtype, c.compress, c.image.format if c.image else None, c.checksum) for c in points]


def test_whole_codecs_are_swept_beside_a_base_codec(tmp_path: Path) -> None:
    sweep = CODEC + "sweep: {codec: [{dtype: uint8}, {image: {format: jpeg}}, {}]}\n"
    assert codecs(tmp_path, sweep) == [
        ("uint8", "zstd", None, False),
        ("uint8", "none", "jpeg", False),
        ("int4", "zstd", None, False),
    ]


def test_an_image_is_swept_beside_a_base_codec_of_numbers_and_numbers_beside_one_of_images(
    tmp_path: Path,
) -> None:
    by_key = CODEC + "sweep: {codec.image: [null, {format: png}]}\n"
    assert [own[2] for own in codecs(tmp_path, by_key)] == [None, "png"]
    below = CODEC + "sweep: {codec.image.format: [png, jpeg]}\n"
    assert [own[:3] for own in codecs(tmp_path, below)] == [
        ("uint8", "none", "png"),
        ("uint8", "none", "jpeg"),
    ]
    image = "codec: {image: {format: png}}\nsweep: {codec.dtype: [int4, uint8]}\n"
    assert [own[:3] for own in codecs(tmp_path, image)] == [
        ("int4", "none", None),
        ("uint8", "none", None),
    ]


def test_what_a_sweep_itself_gives_makes_way_for_nothing(tmp_path: Path) -> None:
    sweep = CODEC + "sweep: {codec: [{image: {format: png}}], codec.dtype: [int4]}\n"
    codec = study(tmp_path, sweep).points[0].scenario.codec
    assert codec.image is not None
    assert "dtype" in codec.model_fields_set


def test_an_option_makes_way_too(tmp_path: Path) -> None:
    file = write_yaml(tmp_path, SCENARIO_YAML + CODEC)
    codec = load_scenario(file, {"codec.image": {"format": "png"}}).scenario.codec
    assert codec.model_fields_set == {"image", "checksum"}
