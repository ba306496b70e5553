import io
import sys
from dataclasses import replace

import flexrel_sim
from flexrel_sim.cli.show import progress, show_run


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_passes_every_item_on_and_is_silent_off_a_terminal(capsys):
    assert list(progress("counting", iter([1, 2, 3]), 3)) == [1, 2, 3]
    assert capsys.readouterr() == ("", "")


def test_progress_shows_a_bar_on_a_terminal(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(progress("counting", iter([1, 2]), 2)) == [1, 2]
    assert "counting" in terminal.getvalue()


def test_a_narrow_terminal_keeps_every_column_and_drops_the_intervals(
    workspace, monkeypatch, capsys
):
    finished = flexrel_sim.run(workspace / "small.yaml", "out", workers=1)
    monkeypatch.setattr("flexrel_sim.cli.show._WIDTH_OFF_TERMINAL", 80)
    show_run(finished)
    narrow = capsys.readouterr().out
    for head in ("pruning", "cut", "accuracy", "p95 / ms", "up / B", "busiest"):
        assert head in narrow
    assert "pool1" in narrow
    assert "[95 %]" not in narrow
    monkeypatch.setattr("flexrel_sim.cli.show._WIDTH_OFF_TERMINAL", 140)
    show_run(finished)
    assert "[95 %]" in capsys.readouterr().out


def test_the_choice_names_its_objective_and_whose_accuracy_it_saw(workspace, capsys):
    finished = flexrel_sim.run(workspace / "small.yaml", "out", workers=1)
    scenario_file = finished.result.scenario_file

    def shown(objectives):
        scenario = scenario_file.scenario.model_copy(update={"objectives": objectives})
        result = replace(finished.result, scenario_file=replace(scenario_file, scenario=scenario))
        show_run(replace(finished, result=result))
        return capsys.readouterr().out

    both = shown({"latency_p95_s": "min", "accuracy": "max"})
    told = "→ chosen by 95th percentile of sojourn time (accuracy judged on validation samples)"
    assert told in both
    alone = shown({"uplink_bytes": "min"})
    assert "→ chosen by payload per request. Its time" in alone


def test_a_study_of_environments_says_what_to_use_where_and_explains_its_sign(workspace, capsys):
    show_run(flexrel_sim.run(workspace / "study.yaml", "out", workers=1))
    shown = capsys.readouterr().out
    lines = [line for line in shown.splitlines() if line.startswith("use       ")]
    assert lines
    sign = "(≈): at 95 %, other points there can't be told from the choice"
    assert any("(≈)" in line for line in lines) == (sign in shown)
