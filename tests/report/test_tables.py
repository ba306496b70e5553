import csv
import hashlib
import json
from importlib.metadata import PackageNotFoundError

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from sklearn.datasets import load_digits

import flexrel_sim
from flexrel_sim.cli.show import show_run
from flexrel_sim.cli.table import points_table
from flexrel_sim.metrics import METRICS
from flexrel_sim.profile import load_profile
from flexrel_sim.scenario import load_scenario


@pytest.fixture
def finished(workspace):
    return flexrel_sim.run("study.yaml", "out", workers=1)


def test_the_folder_holds_all_that_came_of_the_run(finished):
    names = {path.name for path in finished.folder.iterdir()}
    assert {
        "scenario.yaml",
        "summary.json",
        "table.csv",
        "traces",
        "provenance.json",
        "profiles",
        "accuracy_against_ratio.png",
        "latency_against_bandwidth.svg",
        "pareto_front.png",
        "time_shares.svg",
    } <= names


def rows_of(file):
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_recalls_and_confusions_of_every_operating_point_are_told_class_by_class(finished):
    recalls = rows_of(finished.folder / "recall.csv")
    confusions = rows_of(finished.folder / "confusion.csv")
    summary = json.loads((finished.folder / "summary.json").read_text())
    keys = {point["profile"] for point in summary["points"]}
    assert {row["profile"] for row in recalls} == {row["profile"] for row in confusions} == keys
    for key in keys:
        profile = load_profile(finished.folder / "profiles" / key)
        counts = {
            (int(row["label"]), int(row["answer"])): int(row["samples"])
            for row in confusions
            if row["profile"] == key
        }
        assert sum(counts.values()) == profile.labels.size
        for row in (row for row in recalls if row["profile"] == key):
            label, samples = int(row["label"]), int(row["samples"])
            assert samples == (profile.labels == label).sum()
            assert float(row["recall"]) == counts.get((label, label), 0) / samples
            assert float(row["recall_low"]) <= float(row["recall"]) <= float(row["recall_high"])


def test_tables_give_figures_of_test_samples_and_of_those_that_chose(finished):
    summary = json.loads((finished.folder / "summary.json").read_text())
    for row, point in zip(rows_of(finished.folder / "table.csv"), summary["points"], strict=True):
        profile = load_profile(finished.folder / "profiles" / point["profile"])
        for name, estimate in profile.validation_recalls.figures.items():
            assert float(row[f"validation_{name}"]) == estimate.value
            assert point[f"validation_{name}"]["low"] == estimate.low
        if point["stable"]:
            assert float(row["worst_recall"]) == profile.recalls.figures["worst_recall"].value
            assert float(row["balanced_accuracy_low"]) <= float(row["balanced_accuracy"])


def test_the_resolved_scenario_runs_from_its_new_folder_to_the_same_summary(finished):
    again = flexrel_sim.run(finished.folder / "scenario.yaml", "again", workers=1)
    one, two = (run.folder / "summary.json" for run in (finished, again))
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("settings", "sweep"),
    [
        # The base's rate is met by a part of the sweep only.
        (
            {"link.uplink": "0.08 Mbit/s", "link.delay": "0.15 s"},
            [
                {"link.uplink": ["40.0 kbit/s", "0.5 Mbit/s"]},
                {"link.delay": ["2 ms", "0.01 s"], "split.cut": ["server", "edge"]},
            ],
        ),
        # It has none: the sweep's first is lent, and isn't the base's own when it is run again.
        ({"link.uplink": None}, {"link.uplink": ["0.5 Mbit/s", "80.0 kbit/s"]}),
        ({"link.uplink": None}, {"link.uplink": [{"generate": "lte", "mean": "6.0 Mbit/s"}]}),
    ],
)
def test_a_study_and_its_resolved_file_have_the_same_summary_however_it_is_spelt(
    workspace, settings, sweep
):
    data = yaml.safe_load((workspace / "small.yaml").read_text())
    for path, value in settings.items():
        section, key = path.split(".")
        data[section] = {**data[section], key: value}
        if value is None:
            del data[section][key]
    (workspace / "spelt.yaml").write_text(yaml.safe_dump({**data, "sweep": sweep}))
    one = flexrel_sim.run("spelt.yaml", "one", workers=1).folder
    two = flexrel_sim.run(one / "scenario.yaml", "two", workers=1).folder
    for name in ("summary.json", "environments.csv", "scenario.yaml"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    names = [own["name"] for own in json.loads((one / "summary.json").read_text())["environments"]]
    assert not [name for name in names if ".0 " in name or " 0." in name]


def test_a_device_file_still_resolves_from_the_new_folder(workspace):
    text = yaml.safe_dump(
        {
            "description": "mine",
            "compute_flop_per_s": 1e9,
            "compute_kind": "measured",
            "precision": "float32",
            "efficiency": 1.0,
            "memory_bandwidth_byte_per_s": 1e9,
            "active_power_w": 1.0,
            "source": "me",
        }
    )
    (workspace / "board.yaml").write_text(text)
    finished = flexrel_sim.run("small.yaml", "out", {"edge.device": "board.yaml"}, workers=1)
    resolved = load_scenario(finished.folder / "scenario.yaml").scenario
    assert resolved.edge.device == str((workspace / "board.yaml").resolve())


def test_every_row_of_the_table_says_its_operating_point_and_its_metrics(finished):
    with (finished.folder / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(finished.result.points)
    for row, point in zip(rows, finished.result.points, strict=True):
        assert row["cut"] == point.profile.operating_point["split"]["cut"]
        assert float(row["ratio"]) == point.profile.operating_point["pruning"]["ratio"]
        for name in set(METRICS) - {
            "battery_life_h",
            "update_bytes",
            "update_downtime_s",
            "regret_s",
        }:
            assert (row[name] != "") == (row["stable"] == "True")
    stable = next(row for row in rows if row["stable"] == "True")
    assert (
        float(stable["accuracy_low"]) <= float(stable["accuracy"]) <= float(stable["accuracy_high"])
    )


def test_the_summary_says_why_a_verdicts_interval_is_not_relied_on(workspace):
    bound = {"constraints": {"latency_p99_s": "<= 10 s"}}
    run = flexrel_sim.run("small.yaml", "out", bound, workers=1)
    (point,) = json.loads((run.folder / "summary.json").read_text())["points"]
    told = point["constraints"]["latency_p99_s"]
    assert told["verdict"] == "unsure"
    assert told["doubt"] == point["doubts"]["latency_p99_s"]


def test_the_summary_labels_roofline_times_as_estimated_and_given_ones_as_given(workspace):
    run = flexrel_sim.run("small.yaml", "out", {"edge.service_time": "5 ms"}, workers=1)
    data = json.loads((run.folder / "summary.json").read_text())
    assert data["points"][0]["service_times"] == {"edge": "given", "server": "estimated"}


def test_the_trace_has_one_row_per_request_and_agrees_with_the_summary(workspace):
    run = flexrel_sim.run("small.yaml", "out", workers=1)
    table = pq.read_table(run.folder / "traces").to_pydict()
    created, answered = np.array(table["created_s"]), np.array(table["answered_s"])
    counted = created >= 0.5
    assert set(table["replication"]) == {0, 1, 2}
    latency = run.result.points[0].outcome.metrics["latency_mean_s"]
    # Of all replications together: one with more answers weighs more.
    assert (answered - created)[counted].mean() == pytest.approx(latency.value, rel=1e-12)
    assert set(table["point"]) == {0}


def test_provenance_names_versions_hashes_and_seed(finished, workspace):
    data = json.loads((finished.folder / "provenance.json").read_text())
    assert data["seed"] == 1
    assert data["versions"]["flexrel_sim"] == flexrel_sim.__version__
    assert data["versions"]["torch"]
    scenario = (workspace / "study.yaml").read_bytes()
    assert data["scenario_sha256"] == hashlib.sha256(scenario).hexdigest()
    checkpoint = (workspace / "tiny.safetensors").read_bytes()
    found = data["measured_from"]["tiny"]["checkpoint_sha256"]
    assert found == hashlib.sha256(checkpoint).hexdigest()


def test_every_profile_of_the_study_is_stored_and_readable(finished):
    for point in finished.result.points:
        profile = load_profile(finished.folder / "profiles" / point.profile.key)
        assert profile.accuracy == point.profile.accuracy


def test_the_summary_names_no_file_so_that_it_is_the_same_from_any_folder(finished, workspace):
    assert str(workspace) not in (finished.folder / "summary.json").read_text()
    assert "study.yaml" not in (finished.folder / "summary.json").read_text()


def test_a_package_that_is_not_installed_has_no_version(finished, monkeypatch):
    def version(name):
        if name == "torch":
            raise PackageNotFoundError(name)
        return "1"

    monkeypatch.setattr("flexrel_sim.report.tables.version", version)
    stored = next((finished.folder / "profiles").iterdir())
    again = flexrel_sim.simulate(stored, "small.yaml", "again", workers=1)
    data = json.loads((again.folder / "provenance.json").read_text())
    assert data["versions"]["torch"] is None


def test_a_dataset_of_ones_own_is_found_from_the_result_folder(workspace):
    images, labels = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) / 16).astype(np.float32)
    np.savez(workspace / "own.npz", images=pixels, labels=labels)
    overrides = {"data.dataset": "own.npz"}
    run = flexrel_sim.run("small.yaml", "out", overrides, workers=1)
    again = flexrel_sim.run(run.folder / "scenario.yaml", "again", workers=1)
    assert again.result.points[0].profile.key == run.result.points[0].profile.key


AUTO = """\
pruning:
  criterion: flexrel-paper
  delta: auto
  auto: {deltas: [0.1, 0.7], ratios: [0.3, 0.6], normalise: [layer, rank], form: [message]}
  ratio: 0.4
"""


def test_what_auto_chose_is_in_the_table_and_on_the_terminal(workspace, capsys):
    lines = (workspace / "small.yaml").read_text().splitlines(keepends=True)
    text = "".join(line for line in lines if not line.startswith("pruning:")) + AUTO
    (workspace / "auto.yaml").write_text(text)
    run = flexrel_sim.run("auto.yaml", "out", workers=1)
    choice = run.result.points[0].profile.calibration.choice
    with (run.folder / "table.csv").open() as stream:
        (row,) = csv.DictReader(stream)
    assert choice["delta"] in (0.1, 0.7)
    assert float(row["delta"]) == choice["delta"]
    assert (row["delta_by"], row["normalise"]) == ("auto", choice["normalise"])
    assert "'form': 'message'" in row["relevance"]
    # The cell as it is, since a printed one may be broken over lines, with those beside it between.
    (cell,) = next(
        list(column.cells)
        for column in points_table("", run.result.points, 150).columns
        if column.header == "pruning"
    )
    told = f"δ={choice['delta']:g} (auto, {choice['normalise']}, message)"
    assert cell.endswith(told)
    show_run(run)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"delta: auto chose δ = {choice['delta']:g}, normalise {choice['normalise']}" in shown


def test_a_delta_that_was_given_says_so(finished):
    with (finished.folder / "table.csv").open() as stream:
        for row in csv.DictReader(stream):
            assert row["delta_by"] == ("given" if row["delta"] else "")
