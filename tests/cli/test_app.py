import hashlib
import json
import subprocess
import sys

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from flexrel_sim import __version__
from flexrel_sim.cli import app
from flexrel_sim.datasets import DATASETS
from flexrel_sim.errors import WorkError
from flexrel_sim.hardware import list_devices, list_radios
from flexrel_sim.pruning import CRITERIA


def call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def refused(result, *parts):
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for part in parts:
        assert part in result.stderr


def test_the_version_is_the_packages(workspace):
    assert __version__ in call("--version").stdout


def test_every_command_is_in_the_help():
    result = call("--help")
    for name in app.commands:
        assert name in result.stdout


def test_a_run_ends_with_a_table_and_the_paths_of_its_pictures(workspace):
    result = call("run", "study.yaml", "-o", "out", "--workers", 1)
    assert result.exit_code == 0
    assert "Pareto front" in result.stdout
    assert "→" in result.stdout
    for name in ("accuracy_against_ratio", "latency_against_bandwidth", "pareto_front"):
        assert f"picture   out/{name}.png" in result.stdout
    assert "estimated by roofline" in result.stdout


def test_warnings_go_to_stderr(workspace):
    result = call("run", "study.yaml", "-o", "out", "--workers", 1)
    assert "warning: study.yaml" in result.stderr
    assert "rho = " in result.stderr


def test_json_is_one_object_and_nothing_else_on_stdout(workspace):
    result = call("run", "small.yaml", "-o", "out", "--json", "--workers", 1)
    data = json.loads(result.stdout)
    assert data["folder"] == "out"
    assert data["points"][0]["metrics"]["latency_p95_s"]["value"] > 0


def test_results_go_to_a_folder_of_the_scenarios_name_by_default(workspace):
    assert call("run", "small.yaml", "--workers", 1).exit_code == 0
    assert (workspace / "results" / "small" / "summary.json").is_file()


def test_set_replaces_a_key(workspace):
    result = call(
        "run", "small.yaml", "--set", "split.cut=edge", "--json", "--workers", 1, "-o", "out"
    )
    point = json.loads(result.stdout)["points"][0]
    assert point["operating_point"]["split"]["cut"] == "edge"


def test_no_point_that_keeps_the_constraints_is_said(workspace):
    result = call("run", "small.yaml", "--set", "constraints={accuracy: '>= 1'}", "--workers", 1)
    assert "No point keeps the constraints." in result.stdout


def test_a_stored_profile_simulates_on_another_link(workspace):
    assert call("run", "small.yaml", "-o", "out", "--workers", 1).exit_code == 0
    stored = next((workspace / "out" / "profiles").iterdir())
    words = ("simulate", stored, "small.yaml", "--set", "link.uplink=8 Mbit/s", "--json")
    faster = json.loads(call(*words, "--workers", 1, "-o", "sim").stdout)["points"][0]
    slower = json.loads((workspace / "out" / "summary.json").read_text())["points"][0]
    assert (
        faster["metrics"]["latency_mean_s"]["value"] < slower["metrics"]["latency_mean_s"]["value"]
    )
    assert faster["metrics"]["accuracy"] == slower["metrics"]["accuracy"]


def test_simulate_refuses_a_key_that_the_profile_has_decided(workspace):
    call("run", "small.yaml", "-o", "out", "--workers", 1)
    stored = next((workspace / "out" / "profiles").iterdir())
    result = call("simulate", stored, "small.yaml", "--set", "pruning.ratio=0.1")
    refused(result, "--set pruning.ratio", "part of the profile")


@pytest.mark.parametrize(
    ("edit", "parts"),
    [
        ({"edge.device": "rasberry"}, ("edge.device", "unknown device", "did you mean")),
        ({"split.cut": "pool7"}, ("split.cut", "must be a boundary of 'tiny'", "did you mean")),
        ({"link.uplink": "10 Mb/s"}, ("link.uplink", "must be a bit rate", "'10 Mbit/s'")),
        ({"workload.rate": "9000 /s"}, ("rho = ", "lower workload.rate below")),
        ({"model.network": "teeny.yaml"}, ("model.network", "did you mean 'tiny.yaml'")),
        ({"data.test": 5000}, ("data", "must be at most 719", "got 5150")),
    ],
)
def test_a_wrong_key_gives_file_place_and_remedy_and_leaves_earlier_results(workspace, edit, parts):
    assert call("run", "small.yaml", "-o", "out", "--workers", 1).exit_code == 0
    before = (workspace / "out" / "summary.json").read_bytes()
    data = yaml.safe_load((workspace / "small.yaml").read_text())
    for path, value in edit.items():
        section, key = path.split(".")
        data[section][key] = value
    (workspace / "wrong.yaml").write_text(yaml.safe_dump(data))
    refused(call("run", "wrong.yaml", "-o", "out", "--workers", 1), "wrong.yaml:", *parts)
    assert (workspace / "out" / "summary.json").read_bytes() == before
    assert not [path for path in workspace.iterdir() if path.name.startswith(".out")]


def test_a_missing_scenario_is_one_line(workspace):
    refused(call("run", "nowhere.yaml"), "nowhere.yaml:1", "can't be read", "check the path")


def test_a_python_tag_is_refused_and_never_run(workspace):
    (workspace / "evil.yaml").write_text("name: !!python/object/apply:os.mkdir [owned]\n")
    refused(call("run", "evil.yaml"), "evil.yaml:1", "plain data only", "remove the '!' tag")
    assert not (workspace / "owned").exists()


def test_a_missing_checkpoint_is_one_line_with_the_command_that_makes_it(workspace):
    (workspace / "tiny.safetensors").unlink()
    result = call("run", "small.yaml")
    refused(result, "small.yaml:2: model.network", "is missing", "flexrel-sim train")
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_truncated_checkpoint_is_one_line(workspace):
    file = workspace / "tiny.safetensors"
    file.write_bytes(file.read_bytes()[:-10])
    result = call("run", "small.yaml")
    refused(result, "small.yaml:2: model.network", "truncated")
    assert len(result.stderr.strip().splitlines()) == 1


def test_an_unreadable_override_is_one_line(workspace):
    refused(call("run", "small.yaml", "--set", "pruning.ratio"), "must be path=value")


def test_a_damaged_profile_is_one_line(workspace):
    call("run", "small.yaml", "-o", "out", "--workers", 1)
    stored = next((workspace / "out" / "profiles").iterdir())
    (stored / "samples.npz").write_bytes(b"PK")
    refused(call("simulate", stored, "small.yaml"), "samples.npz", "truncated or changed")


def test_a_folder_with_something_else_in_it_is_refused(workspace):
    (workspace / "mine").mkdir()
    (workspace / "mine" / "thesis.txt").write_text("x")
    refused(call("run", "small.yaml", "-o", "mine"), "holds 'thesis.txt'", "-o")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (WorkError("no luck"), "failed: no luck"),
        (OSError("disk full"), "failed: OSError: disk full"),
    ],
)
def test_failed_work_is_exit_code_1_and_one_line(workspace, monkeypatch, error, line):
    def fail(*_):
        raise error

    monkeypatch.setattr("flexrel_sim.api.run", fail)
    result = call("run", "small.yaml")
    assert result.exit_code == 1
    assert line in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_error_itself(workspace):
    result = call("--debug", "run", "nowhere.yaml")
    assert "can't be read" in str(result.exception)


def test_validate_checks_without_running(workspace):
    result = call("validate", "small.yaml", "study.yaml")
    assert result.exit_code == 0
    assert "small.yaml: fine, 1 point\n" in result.stdout
    assert "study.yaml: fine, 15 points\n" in result.stdout
    assert not (workspace / "results").exists()


def test_validate_checks_what_it_can_without_data_and_a_run_refuses(workspace, monkeypatch):
    monkeypatch.setenv("FLEXREL_HIDE", "fashion-mnist")
    card = (workspace / "tiny.yaml").read_text()
    fits = card.replace("dataset: digits", "dataset: fashion-mnist").replace("8, 8", "28, 28")
    (workspace / "tiny.yaml").write_text(fits)
    words = "tiny.yaml:8: training.dataset: fashion-mnist: is hidden as if not installed, so not"
    result = call("validate", "small.yaml")
    assert result.exit_code == 0
    assert result.stdout == "small.yaml: fine, 1 point\n"
    assert result.stderr.startswith("warning: ")
    assert words in result.stderr
    refused(call("run", "small.yaml", "-o", "out"), words)


def test_validate_tells_the_faults_of_all_files_and_what_has_no_effect(workspace):
    text = (workspace / "small.yaml").read_text()
    (workspace / "a.yaml").write_text(text.replace("pool1", "pool8"))
    (workspace / "b.yaml").write_text(text.replace("flexrel-paper", "magnitude"))
    result = call("validate", "a.yaml", "b.yaml")
    assert result.exit_code == 2
    assert "a.yaml:5: split.cut" in result.stderr
    assert (
        "warning: b.yaml:4: pruning.delta: has no effect on criterion 'magnitude'" in result.stderr
    )


def test_the_json_schema_accepts_a_right_scenario_and_refuses_wrong_ones(workspace):
    schema = json.loads(call("schema").stdout)
    validator = jsonschema.Draft202012Validator(schema)
    for name in ("small.yaml", "study.yaml"):
        validator.validate(yaml.safe_load((workspace / name).read_text()))
    data = yaml.safe_load((workspace / "small.yaml").read_text())
    for section, key, value in (
        ("link", "uplink", 10),
        ("pruning", "criterion", "magic"),
        ("workload", "arrivals", "poison"),
        ("link", "uplnk", "1 Mbit/s"),
    ):
        wrong = {**data, section: {**data[section], key: value}}
        assert not validator.is_valid(wrong)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("datasets", DATASETS),
        ("criteria", CRITERIA),
        ("devices", list_devices()),
        ("devices", list_radios()),
    ],
)
def test_lists_name_all_there_is(command, names):
    stdout = call(command).stdout
    for name in names:
        assert name in stdout


def test_criteria_that_tell_whole_filters_apart_only_say_so():
    lines = {line.partition(":")[0]: line for line in call("criteria").stdout.splitlines()}
    for name, criterion in CRITERIA.items():
        assert lines[name].endswith("; whole filters only") == (criterion.level == "filters")


def test_devices_are_listed_with_their_sources():
    stdout = call("devices").stdout
    assert stdout.count("source: ") == len(list_devices()) + len(list_radios())
    assert stdout.count("assumed: ") == stdout.count("source: ")
    devices = [line for line in stdout.splitlines() if "W active" in line]
    assert len(devices) == len(list_devices())
    assert all("sparsity to speed: " in line for line in devices)
    assert "312,000 GFLOP/s, 624,000 sparse (peak, float16)" in stdout
    assert "51 W idle; sparsity to speed: structured" in stdout
    assert "    idle_power_w from: 2.8 W with its power supply" in stdout


def test_networks_lists_families_and_cards_trained_or_not(workspace):
    text = (workspace / "tiny.yaml").read_text()
    (workspace / "new.yaml").write_text(text.partition("checkpoint:")[0])
    (workspace / "small.yaml").unlink()
    (workspace / "study.yaml").unlink()
    stdout = call("networks", ".").stdout
    assert "family    vgg" in stdout
    assert "tiny.yaml: digits, accuracy 0." in stdout
    assert "new.yaml: digits, not trained" in stdout
    assert "cuts: server, conv1_1" in stdout


def test_a_bad_card_does_not_hide_the_others(workspace):
    (workspace / "bad.yaml").write_text("name: bad\n")
    for name in ("small.yaml", "study.yaml"):
        (workspace / name).unlink()
    result = call("networks", ".")
    assert result.exit_code == 2
    assert "tiny.yaml: digits" in result.stdout
    assert "bad.yaml:1: architecture: is required" in result.stderr


def test_training_again_gives_the_same_bytes_and_leaves_the_checkpoint(workspace):
    before = (workspace / "tiny.safetensors").read_bytes()
    result = call("train", "tiny.yaml")
    assert result.exit_code == 0
    assert "kept; training gave the same bytes" in result.stdout
    assert (workspace / "tiny.safetensors").read_bytes() == before


def test_training_says_where_the_result_differs_and_force_replaces_it(workspace):
    card = workspace / "tiny.yaml"
    card.write_text(card.read_text().replace("seed: 3", "seed: 4"))
    assert "other bytes; --force replaces it" in call("train", "tiny.yaml").stdout
    assert call("train", "tiny.yaml", "--force").exit_code == 0
    digest = hashlib.sha256((workspace / "tiny.safetensors").read_bytes()).hexdigest()
    assert digest in card.read_text()
    assert call("validate", "small.yaml").exit_code == 0


def test_force_keeps_what_follows_the_record_on_a_card(workspace):
    card = workspace / "tiny.yaml"
    before, _, record = card.read_text().partition("training:")
    training, _, record = record.partition("checkpoint:")
    card.write_text(f"{before}checkpoint:{record}# How.\ntraining:{training.replace('3}', '4}')}")
    assert call("train", "tiny.yaml", "--force").exit_code == 0
    digest = hashlib.sha256((workspace / "tiny.safetensors").read_bytes()).hexdigest()
    assert card.read_text().endswith(f"# How.\ntraining:{training.replace('3}', '4}')}")
    assert digest in card.read_text()


def test_force_writes_into_the_cards_folder_only(workspace):
    card, elsewhere = workspace / "tiny.yaml", workspace.parent / "tiny.safetensors"
    elsewhere.write_text("mine")
    card.write_text(card.read_text().replace("tiny.safetensors", "../tiny.safetensors"))
    refused(call("train", "tiny.yaml", "--force"), "must be in the card's folder to be trained")
    assert elsewhere.read_text() == "mine"


def test_a_network_without_checkpoint_is_trained_and_recorded(workspace):
    card = workspace / "new.yaml"
    text = (workspace / "tiny.yaml").read_text().partition("checkpoint:")[0]
    card.write_text(text.replace("name: tiny", "name: new"))
    result = call("train", "new.yaml")
    assert "written and recorded on new.yaml" in result.stdout
    assert (workspace / "new.safetensors").is_file()


def imported_by(*words, cwd=None):
    script = (
        "import sys, json\n"
        "from flexrel_sim.cli import app\n"
        "try:\n"
        f"    app({list(map(str, words))!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "finally:\n"
        "    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(json.loads(done.stderr.strip().splitlines()[-1]))


@pytest.mark.parametrize(
    "command", ["run", "simulate", "validate", "link", "cuts", "prune", "export"]
)
def test_every_command_says_that_a_mapping_is_merged_and_what_null_does(command):
    told = " ".join(call(command, "--help").output.split())
    assert "A mapping is merged key by key" in told
    assert "null takes away a setting that is optional" in told


def test_help_imports_nothing_heavy():
    modules = imported_by("--help")
    assert not modules & {"torch", "numpy", "pydantic", "matplotlib", "pyarrow"}


def test_simulate_never_imports_torch(workspace):
    call("run", "small.yaml", "-o", "out", "--workers", 1)
    stored = next((workspace / "out" / "profiles").iterdir())
    modules = imported_by("simulate", stored, "small.yaml", "--workers", 1, "-o", "sim")
    assert "simpy" in modules
    assert not modules & {"torch", "torch_pruning", "sklearn", "mlxtend"}


def test_a_run_from_cached_profiles_never_imports_torch(workspace):
    call("run", "small.yaml", "-o", "out", "--workers", 1)
    assert "torch" not in imported_by("run", "small.yaml", "--workers", 1, "-o", "again")
