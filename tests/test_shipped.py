"""What lies beside the package: scenarios, networks, the notebook, the documents."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import flexrel_sim
from flexrel_sim.cli import app
from flexrel_sim.comparison import load_comparison
from flexrel_sim.networks import load_card
from flexrel_sim.scenario import load_scenario, read_yaml
from flexrel_sim.study import check_all

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    return flexrel_sim.run(ROOT / "scenarios" / "quickstart.yaml", folder / "out", workers=2)


@pytest.mark.parametrize("file", sorted((ROOT / "scenarios").glob("*.yaml")), ids=lambda p: p.name)
def test_every_shipped_scenario_is_right(file):
    if "pairs" in read_yaml(file).data:
        assert load_comparison(file, need_data=False).scenario.claims
    else:
        assert check_all(load_scenario(file), need_data=False).specs


def test_what_can_differ_without_fashion_mnist_is_tried_without_it_too():
    command = (ROOT / "Makefile").read_text().partition("\ntest-hidden:")[2].partition("\n\n")[0]
    assert "FLEXREL_HIDE=fashion-mnist" in command
    assert "make test-hidden" in (ROOT / ".ci" / "run").read_text()
    tried = [ROOT / word.partition("::")[0] for word in command.split() if "tests/" in word]
    for file in (ROOT / "tests").rglob("*.py"):
        if "fashion" in file.read_text() or "who_keeps_what" in file.read_text():
            assert any(file.is_relative_to(path) for path in tried), file


def test_the_quickstart_trades_latency_accuracy_and_bytes_in_four_pictures(quickstart):
    assert len(quickstart.pictures) == 8
    chosen = quickstart.result.chosen
    assert chosen is not None
    assert chosen.profile.validation_accuracy.value >= 0.95


def test_in_the_quickstart_the_best_cut_depends_on_the_bandwidth(quickstart):
    chosen = {
        point.scenario.link.uplink: point.profile.operating_point["split"]["cut"]
        for point in quickstart.result.points
        if point.chosen
    }
    assert chosen[min(chosen)] != chosen[max(chosen)]


def test_every_shipped_network_has_a_card_that_names_how_to_reproduce_it():
    for file in (ROOT / "models").glob("*.yaml"):
        record = load_card(file).card.checkpoint
        assert record is not None
        assert record.reproduce == f"flexrel-sim train models/{file.name}"


def test_the_shipped_networks_are_small():
    assert sum(file.stat().st_size for file in (ROOT / "models").iterdir()) < 25e6


def test_every_command_is_in_the_readme():
    text = (ROOT / "README.md").read_text()
    for name in app.commands:
        assert re.search(rf"\b{name}\b", text), name


def test_every_layer_is_in_the_architecture():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path in (ROOT / "flexrel_sim").iterdir():
        if path.suffix in ("", ".py") and not path.name.startswith("__"):
            assert f"`{path.stem}`" in text, path.name


def test_the_architectures_layers_are_those_of_the_contract_in_its_order():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg", encoding="utf-8")
    contract = setup["importlinter:contract:layers"]["layers"].split("\n")
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    table = text.partition("| layer |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table]
    assert rows == [line.split(" | ") for line in contract if line]


def test_the_notebook_is_stored_without_outputs():
    notebook = nbformat.read(ROOT / "notebooks" / "first_study.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_the_notebook_runs_and_moves_the_cut_with_the_device(tmp_path, quickstart):
    notebook = nbformat.read(ROOT / "notebooks" / "first_study.ipynb", as_version=4)
    source = notebook.cells[1].source.replace("Path.cwd()", f"Path({str(ROOT)!r})")
    notebook.cells[1].source = source
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    chosen = quickstart.result.chosen
    assert str(chosen.values) in notebook.cells[3].outputs[0].text
    pictures = [o for o in notebook.cells[5].outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 4
    assert "'cut': 'edge'" in notebook.cells[7].outputs[0]["data"]["text/plain"]
