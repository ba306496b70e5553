from __future__ import annotations

import csv
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from flexrel_sim.cli import app
from flexrel_sim.comparison import Comparison, Curve, compare, load_comparison, load_curves
from flexrel_sim.comparison.result import kept_at
from flexrel_sim.errors import ScenarioError
from flexrel_sim.plots.comparison import _percent_axis, draw_comparison, savings
from flexrel_sim.report.comparison import write_comparison
from flexrel_sim.statistics import Estimate, t_interval
from flexrel_sim.store import Store
from tests.comparison.conftest import COMPARISON
from tests.workspace import own_images


def curve(pair="tiny", seed=0, entry="flexrel", track="weights", **changes):
    values = {
        "weights": (1.0, 0.5, 0.25),
        "macs": (1.0, 0.6, 0.3),
        "bytes": (1.0, 0.53, 0.28),
        "validation": (0.9, 0.9, 0.5),
        "test": (0.9, 0.88, 0.5),
        "absent_masked": 0.9,
        "settings": {},
    }
    return Curve(pair, seed, entry, track, **(values | changes))


def test_what_must_be_kept_is_interpolated_in_the_logarithm_of_what_is_kept():
    kept, accuracy = (1.0, 0.5, 0.25), (0.9, 0.9, 0.7)
    assert kept_at(kept, accuracy, 0.1) == pytest.approx(0.5 / math.sqrt(2))


def test_a_curve_that_never_falls_needs_its_last_point():
    assert kept_at((1.0, 0.5, 0.1), (0.9, 0.9, 0.89), 0.05) == 0.1


def test_the_first_fall_counts_even_if_accuracy_comes_back():
    assert kept_at((1.0, 0.5, 0.25), (0.9, 0.6, 0.9), 0.1) > 0.5


def test_a_reference_above_the_dense_network_needs_everything():
    assert kept_at((1.0, 0.5), (0.9, 0.6), 0.01, dense=0.95) == 1.0


def test_curves_survive_their_file(tmp_path):
    curves = (curve(), curve(seed=1, settings={"delta": 0.2}))
    file = tmp_path / "curves.jsonl"
    file.write_text("\n".join(one.to_json() for one in curves) + "\n")
    assert load_curves(file) == curves


def test_the_entry_is_chosen_by_validation_and_the_rival_by_test(workspace):
    (workspace / "who.yaml").write_text(COMPARISON)
    scenario = load_comparison(workspace / "who.yaml").scenario
    lucky = {"test": (0.9, 0.9, 0.9), "validation": (0.9, 0.5, 0.5)}
    curves = [
        one
        for seed in (0, 1)
        for one in (
            curve(seed=seed),
            # Better on the test samples alone: not what a designer could have chosen.
            curve(seed=seed, entry="auto", **lucky),
            curve(seed=seed, entry="magnitude", test=(0.9, 0.9 - 0.1 * seed, 0.5)),
        )
    ]
    told = [s for s in Comparison(scenario, tuple(curves)).savings("weights") if s.loss == 0.01]
    assert [saving.entry for saving in told] == ["flexrel"]
    ratios = [
        kept_at((1.0, 0.5, 0.25), (0.9, 0.88, 0.5), 0.01)
        / kept_at((1.0, 0.5, 0.25), (0.9, 0.9 - 0.1 * seed, 0.5), 0.01)
        for seed in (0, 1)
    ]
    expected = t_interval(np.log(ratios))
    assert told[0].saving.value == pytest.approx(1 - math.exp(expected.value))
    assert told[0].saving.low == pytest.approx(1 - math.exp(expected.high))
    assert told[0].saving.high == pytest.approx(1 - math.exp(expected.low))


def test_the_rival_is_the_best_on_the_test_samples_even_if_validation_knows_better(workspace):
    text = COMPARISON.replace("rivals: [magnitude]", "rivals: [magnitude, auto]")
    (workspace / "who.yaml").write_text(text.replace("[flexrel, auto]", "[flexrel]"))
    scenario = load_comparison(workspace / "who.yaml").scenario
    hard = {"test": (0.9, 0.9, 0.9), "validation": (0.9, 0.5, 0.5)}
    curves = [
        one
        for seed in (0, 1)
        for one in (
            curve(seed=seed),
            curve(seed=seed, entry="auto", **hard),
            curve(seed=seed, entry="magnitude", validation=(0.9, 0.9, 0.9)),
        )
    ]
    assert {s.rival for s in Comparison(scenario, tuple(curves)).savings()} == {"auto"}


def test_a_curve_that_falls_at_once_is_cut_before_its_first_pruned_point():
    assert kept_at((1.0, 0.5), (0.9, 0.1), 0.1) == pytest.approx(0.5 ** (0.1 / 0.8))


def test_every_curve_starts_at_the_dense_network_and_keeps_what_was_asked(compared):
    # 2 pairs x 3 entries of weights, 4 of filters and 2 tuned on one pair; 2 seeds.
    assert len(compared.curves) == 2 * (2 * 3 + 4 + 2)
    for one in compared.curves:
        assert (one.weights[0], one.macs[0], one.bytes[0]) == (1.0, 1.0, 1.0)
        assert all(0 <= value <= 1 for value in (*one.test, one.absent_masked))
    for one in compared.of("tiny", "weights", "flexrel"):
        assert one.weights[1:] == pytest.approx((0.6, 0.3, 0.1)[: len(one.weights) - 1], abs=2e-3)
    for one in compared.of("tiny", "filters", "magnitude"):
        assert all(got >= asked for got, asked in zip(one.macs[1:], (0.8, 0.5), strict=False))


def test_criteria_of_filters_and_entries_of_other_pairs_stay_out(compared):
    assert compared.entries("tiny", "weights") == ["flexrel", "auto", "magnitude"]
    assert "activation" in compared.entries("tiny", "filters")
    assert compared.entries("three classes", "filters") == []


def test_masking_absent_classes_only_helps(compared):
    for one in compared.of("three classes", "weights", "magnitude"):
        assert one.absent_masked >= one.test[0]
    for one in compared.of("tiny", "weights", "magnitude"):
        assert one.absent_masked == one.test[0]


def test_auto_records_the_delta_it_chose(compared):
    for one in compared.of("tiny", "weights", "auto"):
        assert one.settings["delta"] in (0.2, 0.6)


def test_an_interrupted_comparison_goes_on_and_a_finished_one_computes_nothing(
    workspace, monkeypatch, tmp_path
):
    from flexrel_sim.comparison.measure import Subject

    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "cache"))
    text = COMPARISON.replace("seeds: [0, 1]", "seeds: [0, 5]")
    (workspace / "who.yaml").write_text(text)
    file = load_comparison(workspace / "who.yaml")
    computed = []
    real = Subject.curve

    def counted(self, entry, track):
        if len(computed) == 3:
            raise KeyboardInterrupt
        computed.append(entry.label)
        return real(self, entry, track)

    monkeypatch.setattr(Subject, "curve", counted)
    with pytest.raises(KeyboardInterrupt):
        compare(file, 1, lambda _, items, __: items)
    monkeypatch.setattr(Subject, "curve", real)
    whole = compare(file, 1, lambda _, items, __: items)
    monkeypatch.setattr(Subject, "curve", counted)
    assert compare(file, 1, lambda _, items, __: items) == whole


@pytest.mark.parametrize("kind", ["curves", "networks"])
@pytest.mark.parametrize("damage", ["bit", "cut"])
def test_a_damaged_curve_or_network_is_said_and_computed_again(
    workspace, monkeypatch, tmp_path, caplog, kind, damage
):
    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "cache"))
    text = COMPARISON.replace("seeds: [0, 1]", "seeds: [0, 5]")
    (workspace / "who.yaml").write_text(text)
    file = load_comparison(workspace / "who.yaml")
    right = compare(file, 1, lambda _, items, __: items)
    for entry in (tmp_path / "cache" / kind).iterdir():
        whole = bytearray(entry.read_bytes())
        whole[-20] ^= 1
        entry.write_bytes(whole if damage == "bit" else whole[:-20])
    if kind == "networks":
        # They are looked at where a curve is missing.
        shutil.rmtree(tmp_path / "cache" / "curves")
        monkeypatch.setattr("flexrel_sim.comparison.run._CURVES", Store("curves"))
    assert compare(file, 1, lambda _, items, __: items) == right
    assert "a cached result is damaged; computing it again" in caplog.text
    caplog.clear()
    assert compare(file, 1, lambda _, items, __: items) == right
    assert caplog.text == ""


FAULTY = """\
name: who
pairs:
  - {label: tiny, network: tiny.yaml}
  - {label: tiny, network: nowhere.yaml}
data: {calibration: 20, validation: 40, test: 60}
seeds: [0, 1]
entries:
  - {label: a, pruning: {criterion: magnitud}}
  - {label: b, pruning: {criterion: magnitude}, pairs: [tony]}
tracks: [{label: weights, pruning: {}, kept: [0.5, 0.2], entries: [c]}]
losses: [0.01]
claims: [{label: claim, entries: [a], rivals: [z]}]
"""


def test_every_fault_of_a_comparison_is_told_at_once(workspace):
    (workspace / "who.yaml").write_text(FAULTY)
    with pytest.raises(ScenarioError, match="unknown criterion") as caught:
        load_comparison(workspace / "who.yaml")
    told = {text.partition("who.yaml:")[2] for text in str(caught.value).splitlines()}
    for line, path in (
        (4, "pairs[1].label: labels must differ, got 'tiny'"),
        (4, "pairs[1].network: must be the card of a network, got"),
        (8, "entries[0].pruning.criterion: unknown criterion, got 'magnitud'; did you mean"),
        (9, "entries[1].pairs[0]: unknown label, got 'tony'; did you mean 'tiny'?"),
        (10, "tracks[0].entries[0]: unknown label, got 'c'"),
        (12, "claims[0].rivals[0]: unknown label, got 'z'"),
    ):
        assert any(text.startswith(f"{line}: {path}") for text in told), path
    assert len(told) == 6


def test_a_network_without_a_recipe_is_refused(workspace):
    card = (workspace / "tiny.yaml").read_text()
    lines = [line for line in card.splitlines() if not line.startswith("training:")]
    (workspace / "bare.yaml").write_text("\n".join(lines))
    text = COMPARISON.replace(
        "{label: tiny, network: tiny.yaml}", "{label: tiny, network: bare.yaml}"
    )
    (workspace / "who.yaml").write_text(text)
    with pytest.raises(ScenarioError, match=r"who.yaml:3: pairs\[0\].network: must have a train"):
        load_comparison(workspace / "who.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # The same seed twice is one observation, and its interval would be a lie.
        ("seeds: [0, 1]", "seeds: [1, 1]", r"who.yaml:5: seeds\[1\]: seeds must differ"),
        ("losses: [0.01, 0.1]", "losses: [0.1, 0.1]", r"losses\[1\]: losses must differ"),
        (
            "entries: [flexrel, magnitude]",
            "entries: [activation]",
            r"tracks\[2\]: nothing takes part",
        ),
    ],
)
def test_what_would_fail_or_mislead_after_hours_is_refused_at_once(workspace, old, new, said):
    (workspace / "who.yaml").write_text(COMPARISON.replace(old, new))
    with pytest.raises(ScenarioError, match=said):
        load_comparison(workspace / "who.yaml")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # Rules of a scenario's pruning section, blamed on whoever set what breaks them.
        (
            "{granularity: weights}, measure",
            "{granularity: weights, ratio_of: filters}, measure",
            r"who.yaml:14: tracks\[0\].pruning.ratio_of: can't count filters where single weights",
        ),
        (
            "{criterion: magnitude}",
            "{criterion: magnitude, exclude: [conv9]}",
            r"who.yaml:11: entries\[2\].pruning.exclude: must name layers of 'tiny' that have",
        ),
        (
            "{criterion: magnitude}",
            "{criterion: magnitude, min_kept: 0.2}",
            r"who.yaml:14: tracks\[0\].kept: 1 - kept must be at most 0.79\d: every layer keeps",
        ),
        ("{criterion: magnitude}", "{criterion: magnitude, pattern: '2:4'}", "by the pattern 2:4"),
        ("{criterion: magnitude}", "{criterion: magnitude, cut_ratio: 0.5}", "none cross the link"),
        # Rules of a scenario's data section.
        ("calibration: 40", "calibration: 4", r"data.calibration: must be at least 10, to show"),
        ("test: 80", "test: 800", r"who.yaml:6: data: calibration \+ validation \+ test must be"),
        (
            "test: 80",
            "test: 80, dataset: mnist5k",
            r"data.dataset: must have images of \[1, 8",
        ),
        ("test: 80", "test: 80, dataset: gone.npz", r"who.yaml:6: data.dataset: .*gone.npz: must"),
        (
            "classes: [0, 3, 7]",
            "classes: [0, 3, 17]",
            r"who.yaml:4: pairs\[1\].deployment.classes: must be classes of 'digits', 0 to 9",
        ),
        # What something else decides would be ignored.
        (
            "test: 80",
            "test: 80, deployment: {classes: [1, 2]}",
            "data.deployment: is each pair's own; move it",
        ),
        (
            "{criterion: magnitude}",
            "{criterion: magnitude, ratio: 0.5}",
            r"entries\[2\].pruning.ratio: is what a track's kept leaves, got 0.5; remove",
        ),
        (
            "{criterion: magnitude}",
            "{criterion: magnitude, granularity: filters}",
            r"entries\[2\].pruning.granularity: is overruled by track 'weights', got 'filters'",
        ),
        (
            "schedule: {",
            "schedule: {steps: 3, ",
            r"tracks\[2\].pruning.schedule.steps: must be 1: every point of a curve is pruned",
        ),
        (
            "{granularity: weights}, measure",
            "{granularity: weights, criterion: lamp}, measure",
            r"tracks\[0\].pruning.criterion: is the entries', got 'lamp'; remove it",
        ),
    ],
)
def test_a_comparison_keeps_the_rules_of_a_scenario(workspace, old, new, said):
    assert old in COMPARISON
    (workspace / "who.yaml").write_text(COMPARISON.replace(old, new))
    with pytest.raises(ScenarioError, match=said):
        load_comparison(workspace / "who.yaml")


def test_the_shipped_comparison_breaks_no_rule():
    shipped = Path(__file__).parents[2] / "scenarios" / "who_keeps_what.yaml"
    found = load_comparison(shipped, need_data=False)
    assert set(found.cards) == {pair.network for pair in found.scenario.pairs}
    assert set(found.trained_on) == set(found.cards)


def test_a_comparison_of_data_that_are_not_installed_is_checked_and_not_run(workspace, monkeypatch):
    monkeypatch.setenv("FLEXREL_HIDE", "fashion-mnist")
    card = workspace / "tiny.yaml"
    text = card.read_text().replace("dataset: digits", "dataset: fashion-mnist")
    card.write_text(text.replace("[1, 8, 8]", "[1, 28, 28]"))
    (workspace / "who.yaml").write_text(COMPARISON)
    found = load_comparison(workspace / "who.yaml", need_data=False)
    (missing,) = {str(fault) for fault in found.missing}
    assert "tiny.yaml:" in missing
    assert "fashion-mnist: is hidden as if not installed, so not checked" in missing
    with pytest.raises(ScenarioError, match="is hidden as if not installed"):
        load_comparison(workspace / "who.yaml")
    named = COMPARISON.replace("data: {", "data: {dataset: fashion-mnist, ")
    (workspace / "who.yaml").write_text(named)
    with pytest.raises(ScenarioError, match="who.yaml:6: data.dataset: fashion-mnist: is hidden"):
        load_comparison(workspace / "who.yaml")


OWN = """\
name: own
pairs: [{label: own, network: own.yaml}]
seeds: [0, 1]
data: {calibration: 20, validation: 40, test: 60}
entries:
  - {label: flexrel, pruning: {criterion: flexrel}}
  - {label: magnitude, pruning: {criterion: magnitude}}
tracks:
  - label: tuned
    pruning: {granularity: weights, schedule: {fine_tuning: {epochs: 1, samples: 100}}}
    kept: [0.5, 0.2]
losses: [0.1]
"""


def test_networks_of_the_users_own_images_are_compared_and_kept_by_their_content(
    workspace, monkeypatch, tmp_path
):
    monkeypatch.setenv("FLEXREL_CACHE", str(tmp_path / "cache"))
    images = own_images(workspace)
    card = (workspace / "tiny.yaml").read_text().split("checkpoint:")[0]
    (workspace / "own.yaml").write_text(card.replace("digits, epochs: 4", "own.npz, epochs: 12"))
    (workspace / "who.yaml").write_text(OWN)

    def compared():
        return compare(load_comparison(workspace / "who.yaml"), 1, lambda _, items, __: items)

    def kept():
        return set((tmp_path / "cache" / "curves").iterdir())

    first, files = compared(), kept()
    assert all(curve.test[0] > 0.5 for curve in first.curves)
    images.rename(workspace / "moved.npz")
    (workspace / "own.yaml").write_text(card.replace("digits, epochs: 4", "moved.npz, epochs: 12"))
    assert compared() == first
    assert kept() == files
    with np.load(workspace / "moved.npz") as arrays:
        labels, shown = arrays["labels"], arrays["images"]
    np.savez(workspace / "moved.npz", images=shown[:-50], labels=labels[:-50])
    compared()
    assert len(kept()) == 2 * len(files)


def test_data_that_a_card_names_and_that_is_gone_is_told_on_the_cards_line(workspace):
    card = (workspace / "tiny.yaml").read_text()
    (workspace / "own.yaml").write_text(card.replace("digits", "gone.npz"))
    (workspace / "who.yaml").write_text(OWN)
    with pytest.raises(ScenarioError, match=r"own.yaml:8: training.dataset: \S+gone.npz: must be"):
        load_comparison(workspace / "who.yaml")


def test_what_is_kept_must_fall(workspace):
    (workspace / "who.yaml").write_text(COMPARISON.replace("[0.6, 0.3, 0.1]", "[0.3, 0.6]"))
    with pytest.raises(ScenarioError, match=r"kept: must fall"):
        load_comparison(workspace / "who.yaml")


def test_tables_document_and_pictures_tell_all(compared, tmp_path):
    write_comparison(compared, tmp_path, {"commit": "abc"})
    assert load_curves(tmp_path / "curves.jsonl") == compared.curves
    with (tmp_path / "kept.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == (2 * 3 + 4 + 2) * 2 * 3
    report = (tmp_path / "report.md").read_text()
    for words in ("commit: abc", "three classes", "family against magnitude", "tuned"):
        assert words in report
    names = {file.name for file in draw_comparison(compared, tmp_path)}
    assert {"curves_1.png", "curves_3.svg", "savings_1.png"} <= names
    first = (tmp_path / "curves_1.svg").read_bytes()
    draw_comparison(compared, tmp_path)
    assert (tmp_path / "curves_1.svg").read_bytes() == first


def test_networks_are_compared_at_equal_weights_as_well_as_macs(compared, tmp_path):
    write_comparison(compared, tmp_path, {})
    report = (tmp_path / "report.md").read_text()
    kept = {
        line.removeprefix("## Kept, by track: ").partition(", in ")[::2]
        for line in report.splitlines()
        if line.startswith("## Kept")
    }
    assert kept == {
        ("weights", "bytes"), ("filters", "MACs"), ("filters", "weights"), ("tuned", "weights")
    }  # fmt: skip
    with (tmp_path / "kept.csv").open() as stream:
        (cell,) = (
            f"{100 * float(row['kept']):.1f} [{100 * float(row['low']):.1f}"
            for row in csv.DictReader(stream)
            if [row[name] for name in ("track", "entry", "loss", "counted")]
            == ["filters", "activation", "0.1", "weights"]
        )
    table = report.partition("by track: filters, in weights")[2].partition("## Kept")[0]
    (line,) = (line for line in table.splitlines() if line.startswith("| activation"))
    assert cell in line.replace("*", "")
    rows = {tuple(line.split(" | ")[:2]) for line in report.splitlines() if " : " in line}
    assert ("| filters", "weights") in rows
    assert ("| filters", "MACs") in rows


def test_a_pair_that_is_in_no_first_track_is_among_the_dense_networks(compared, tmp_path):
    tracks = [compared.scenario.tracks[1], compared.scenario.tracks[0]]
    scenario = compared.scenario.model_copy(update={"tracks": tracks})
    write_comparison(Comparison(scenario, compared.curves), tmp_path, {})
    dense = (tmp_path / "report.md").read_text().split("## Claim")[0]
    assert "| three classes |" in dense


def test_savings_are_drawn_for_more_losses_than_there_are_markers(compared):
    losses = [0.01 * step for step in range(1, 10)]
    scenario = compared.scenario.model_copy(update={"losses": losses})
    figure = savings(Comparison(scenario, compared.curves), "family against magnitude")
    assert len(figure.axes[0].containers) == len(losses)


def test_validate_checks_a_comparison_as_one(workspace, run_app):
    (workspace / "who.yaml").write_text(COMPARISON)
    done = run_app(app, "validate", "who.yaml", "small.yaml")
    assert done.exit_code == 0, done.output
    assert "who.yaml: fine, 24 curves" in done.output
    assert "small.yaml: fine, 1 point" in done.output
    (workspace / "who.yaml").write_text(COMPARISON.replace("losses:", "loses:"))
    done = run_app(app, "validate", "who.yaml")
    assert done.exit_code == 2
    assert "loses" in done.output
    assert "link" not in done.output


def test_the_command_writes_a_report_and_refuses_a_faulty_file(workspace, run_app):
    small = COMPARISON.replace("[0.6, 0.3, 0.1]", "[0.5, 0.2]")
    (workspace / "who.yaml").write_text(small)
    done = run_app(app, "compare", "who.yaml", "--workers", "1")
    assert done.exit_code == 0
    assert (workspace / "results" / "who" / "report.md").is_file()
    assert "report.md" in done.output
    (workspace / "who.yaml").write_text(FAULTY)
    refused = run_app(app, "compare", "who.yaml")
    assert refused.exit_code == 2


@pytest.mark.parametrize("low", [65.0, 80.0, 90.0, 96.0])
def test_narrow_axes_have_more_than_one_label(low: float) -> None:
    ax = Figure().subplots()
    ax.plot([low, 100.0], [0.5, 0.9])
    _percent_axis(ax)
    left, right = ax.get_xlim()
    assert sum(left <= place <= right for place in ax.get_xticks()) > 1


def test_an_interval_that_goes_on_beyond_the_axis_has_an_arrow(
    compared: Comparison, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = list(compared.savings())
    wide = [
        replace(one, saving=Estimate(-0.4, -3.0 if index == 0 else -0.5, 0.1))
        for index, one in enumerate(told)
    ]
    monkeypatch.setattr(Comparison, "savings", lambda _: wide)
    ax = savings(compared, "family against magnitude").axes[0]
    arrows = [line for line in ax.lines if line.get_marker() == "<"]
    assert sum(len(line.get_xdata()) for line in arrows) == 1
    assert ax.get_xlim()[0] == -100
