"""A comparison on disk: curves, tables, and a document that says who keeps what."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, get_args

from flexrel_sim.comparison.result import Comparison, Saving
from flexrel_sim.comparison.schema import Measure, Track
from flexrel_sim.report.folder import CURVES_NAME, PROVENANCE_NAME
from flexrel_sim.report.tables import versions, write_json

__all__ = ["write_comparison"]

_KEPT_HEADER = ("track", "pair", "entry", "loss", "counted", "kept", "low", "high", "seeds")

_SAVING_HEADER = (
    "claim", "track", "pair", "loss", "counted", "entry", "rival",
    "kept", "rival_kept", "saving", "low", "high",
)  # fmt: skip

_MEASURES: tuple[Measure, ...] = get_args(Measure)

_LABELS = {"macs": "MACs"}


def write_comparison(result: Comparison, folder: Path, facts: dict[str, str]) -> None:
    """Write a comparison.

    Parameters
    ----------
    result
        All curves.
    folder
        Where to write ``curves.jsonl``, ``kept.csv``, ``savings.csv``, ``report.md`` and the
        provenance.
    facts
        What the document says of the run beside its versions, such as its wall time.
    """
    lines = [curve.to_json() for curve in result.curves]
    (folder / CURVES_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_csv(folder / "kept.csv", _KEPT_HEADER, _kept_rows(result))
    _write_csv(folder / "savings.csv", _SAVING_HEADER, _saving_rows(result))
    used = {name: number for name, number in versions().items() if number is not None}
    facts = {"versions": ", ".join(f"{name} {number}" for name, number in used.items()), **facts}
    (folder / "report.md").write_text(_document(result, facts), encoding="utf-8")
    write_json(folder / PROVENANCE_NAME, {"versions": used})


def _write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def _kept_rows(result: Comparison) -> Iterable[Sequence[Any]]:
    for track in result.scenario.tracks:
        for pair in result.scenario.pairs:
            for entry in result.entries(pair.label, track.label):
                for loss in result.scenario.losses:
                    for measure in _MEASURES:
                        kept = result.kept(pair.label, track.label, entry, loss, measure=measure)
                        told = result.estimate(kept)
                        yield (
                            track.label, pair.label, entry, loss, measure,
                            f"{told.value:.5f}", f"{told.low:.5f}", f"{told.high:.5f}", len(kept),
                        )  # fmt: skip


def _saving_rows(result: Comparison) -> Iterable[Sequence[Any]]:
    for measure in _MEASURES:
        for told in result.savings(measure):
            saving = told.saving
            yield (
                told.claim, told.track, told.pair, told.loss, told.counted, told.entry, told.rival,
                f"{told.kept:.5f}", f"{told.rival_kept:.5f}",
                f"{saving.value:.4f}", f"{saving.low:.4f}", f"{saving.high:.4f}",
            )  # fmt: skip


def _document(result: Comparison, facts: dict[str, str]) -> str:
    scenario = result.scenario
    parts = [f"# {scenario.name.replace('_', ' ').capitalize()}", ""]
    parts += [f"- {name}: {value}" for name, value in facts.items()]
    parts += ["", *_dense_table(result)]
    for claim in scenario.claims:
        parts += ["", f"## Claim: {claim.label}", "", *_claim_table(result, claim.label)]
    for track in scenario.tracks:
        for measure in _counted(track):
            counted = _LABELS.get(measure, measure)
            parts += ["", f"## Kept, by track: {track.label}, in {counted}", ""]
            parts.append(
                f"Percent of the {counted} that must be kept to lose at most so many points of test"
                " accuracy, mean over seeds [95 % interval]; the least in bold."
            )
            for pair in scenario.pairs:
                if result.entries(pair.label, track.label):
                    parts += ["", f"### {pair.label}", ""]
                    parts += _kept_table(result, pair.label, track.label, measure)
    return "\n".join(parts) + "\n"


def _counted(track: Track) -> list[Measure]:
    return list(dict.fromkeys((track.measure, *track.also)))


def _dense_table(result: Comparison) -> list[str]:
    lines = [
        "## The dense networks",
        "",
        "| pair | test accuracy | absent classes masked |",
        "|---|---|---|",
    ]
    for pair in result.scenario.pairs:
        # The dense network is the same on all curves of a seed.
        curves = list({c.seed: c for c in result.curves if c.pair == pair.label}.values())
        if curves:
            dense = sum(curve.test[0] for curve in curves) / len(curves)
            masked = sum(curve.absent_masked for curve in curves) / len(curves)
            shown = f"{masked:.3f}" if pair.deployment.classes else "none absent"
            lines.append(f"| {pair.label} | {dense:.3f} | {shown} |")
    return lines


def _claim_table(result: Comparison, claim: str) -> list[str]:
    losses = result.scenario.losses
    head = " | ".join(f"saved at -{100 * loss:g}" for loss in losses)
    lines = [f"| track | of the | pair | {head} |", "|---" * (3 + len(losses)) + "|"]
    for track in result.scenario.tracks:
        for measure in _counted(track):
            rows: dict[str, list[str]] = {}
            for told in result.savings(measure):
                if (told.claim, told.track) == (claim, track.label):
                    rows.setdefault(told.pair, []).append(_saving_cell(told))
            counted = _LABELS.get(measure, measure)
            lines += [
                f"| {track.label} | {counted} | {pair} | {' | '.join(cells)} |"
                for pair, cells in rows.items()
            ]
    return lines


def _saving_cell(told: Saving) -> str:
    saving = told.saving
    text = f"{100 * saving.value:+.0f} % [{100 * saving.low:+.0f}, {100 * saving.high:+.0f}]"
    clear = f"**{text}**" if saving.low > 0 else text
    return f"{clear}<br>{told.entry} : {told.rival}"


def _kept_table(result: Comparison, pair: str, track: str, measure: Measure) -> list[str]:
    losses = result.scenario.losses
    estimates = {
        entry: [
            result.estimate(result.kept(pair, track, entry, loss, measure=measure))
            for loss in losses
        ]
        for entry in result.entries(pair, track)
    }
    least = [min(told[i].value for told in estimates.values()) for i in range(len(losses))]
    lines = [
        "| entry | " + " | ".join(f"-{100 * loss:g}" for loss in losses) + " |",
        "|---" * (1 + len(losses)) + "|",
    ]
    for entry, told in sorted(estimates.items(), key=lambda item: item[1][0].value):
        cells = []
        for index, one in enumerate(told):
            value = f"{100 * one.value:.1f}"
            shown = f"**{value}**" if one.value == least[index] else value
            cells.append(f"{shown} [{100 * one.low:.1f}, {100 * one.high:.1f}]")
        lines.append(f"| {entry} | {' | '.join(cells)} |")
    return lines
