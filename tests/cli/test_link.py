import numpy as np
import pytest
from click.testing import CliRunner

from flexrel_sim.cli import app
from tests.builders import SCENARIO_YAML

LINK = """\
uplink: {generate: lte, mean: 8 Mbit/s, duration: 20 s, seed: 3}
downlink: {rate: 20 Mbit/s, transport: udp, loss: {bernoulli: 0.02}}
delay: 15 ms
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.yaml").write_text(LINK)
    (tmp_path / "scenario.yaml").write_text(SCENARIO_YAML)
    return lambda *words: CliRunner().invoke(app, ["link", *words])


def test_it_prints_rates_and_both_emulators_commands(run):
    result = run("link.yaml")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert lines[0] == "full-duplex, 20 s in windows of 0.2 s; rates in Mbit/s"
    uplink, downlink = lines[2].split(), lines[3].split()
    assert uplink[:2] == ["uplink", "8"]
    assert downlink == [
        *("downlink", "20", "20", "20", "20", "15", "2.000%", "95.7%", "udp"),
    ]
    assert "tc qdisc replace dev $SERVER root netem rate 20000000bit 24 delay" in result.output
    assert "mm-delay 15 mm-loss downlink 0.02 mm-link up.trace down.trace" in result.output


def test_a_scenario_is_as_good_and_settings_change_it(run):
    result = run("scenario.yaml", "--set", "link.uplink=3 Mbit/s", "--duration", "50 s")
    assert "50 s in windows of 0.5 s" in result.output
    assert result.output.splitlines()[2].split()[:2] == ["uplink", "3"]


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.pdf"])
def test_it_draws_a_picture(run, tmp_path, name):
    result = run("link.yaml", "-o", name)
    assert result.exit_code == 0, result.output
    assert (tmp_path / name).stat().st_size > 5000


@pytest.mark.parametrize(
    ("words", "name"), [(("-o", "a.png"), "a.png"), (("--traces", "."), "up.trace")]
)
def test_a_file_that_is_there_is_replaced_with_force_only(run, tmp_path, words, name):
    (tmp_path / name).write_text("mine")
    refused = run("link.yaml", *words)
    assert refused.exit_code == 2
    assert f"{name}: would be replaced; name another place, or add --force" in refused.output
    assert (tmp_path / name).read_text() == "mine"
    assert run("link.yaml", *words, "--force").exit_code == 0
    assert (tmp_path / name).stat().st_size > 4


def test_it_writes_traces_that_carry_the_mean(run, tmp_path):
    result = run("link.yaml", "--traces", "out")
    assert "mm-link out/up.trace out/down.trace" in result.output
    for name, rate in (("up.trace", 8e6), ("down.trace", 20e6)):
        stamps = np.loadtxt(tmp_path / "out" / name)
        assert 8 * 1504 * stamps.size / stamps[-1] * 1e3 == pytest.approx(rate, rel=1e-3)


def test_a_wrong_direction_is_warned_of(run, tmp_path):
    (tmp_path / "lte.down").write_text("1\n2\n")
    (tmp_path / "x.yaml").write_text(
        "uplink: {trace: lte.down, format: mahimahi}\ndownlink: 1 Mbit/s\n"
    )
    assert "warning: lte.down: link.uplink.trace: is used as uplink" in run("x.yaml").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.yaml"], "none.yaml:1: (file): can't be read"),
        (["link.yaml", "-o", "a.jpeg"], "must end in .png, .svg or .pdf"),
        (["link.yaml", "-o", "no/a.png"], "--output no/a.png: can't be written"),
        (["link.yaml", "--traces", "link.yaml"], "--traces link.yaml: can't be written"),
        (["link.yaml", "--duration", "5"], "--duration: must be a duration with its unit"),
        (["link.yaml", "--set", "uplink.generate=umts"], "known: 5g, lte, wifi"),
    ],
)
def test_wrong_words_are_told_in_a_line(run, words, said):
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.output
