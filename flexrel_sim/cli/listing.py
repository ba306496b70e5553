"""`networks`, `datasets`, `criteria` and `devices`: what there is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from flexrel_sim.hardware import Rate
    from flexrel_sim.networks import Card

__all__ = ["criteria", "datasets", "devices", "networks"]


@click.command()
@click.argument(
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path("models"),
)
def networks(folder: Path) -> None:
    """List the families of networks, and the cards in FOLDER (models by default)."""
    from flexrel_sim.errors import CheckpointError, Fault, ScenarioError
    from flexrel_sim.networks import FAMILIES, load_card, outline

    for name, description in FAMILIES.items():
        click.echo(f"family    {name}: {description}")
    faults: list[Fault] = []
    for file in sorted(folder.glob("*.yaml")):
        try:
            card_file = load_card(file)
        except ScenarioError as error:
            # One bad card must not hide the others.
            faults += error.faults
            continue
        click.echo(f"network   {file}: {_state(card_file.card)}")
        try:
            cuts = ", ".join(("server", *outline(card_file).boundaries, "edge"))
        except CheckpointError as error:
            # Its package may be on another machine.
            cuts = f"not known: {error}"
        click.echo(f"          cuts: {cuts}")
    if faults:
        raise ScenarioError(faults)


def _state(card: Card) -> str:
    dataset = card.training.dataset if card.training else "came trained"
    record = card.checkpoint
    if record is None:
        if getattr(card.architecture, "trained", False):
            return f"{dataset}, weights of its factory"
        return f"{dataset}, {'weights of a package' if card.needs_package else 'not trained'}"
    if record.held_out_accuracy is None or record.held_out_samples is None:
        return f"{dataset}, accuracy not recorded"
    return (
        f"{dataset}, accuracy {record.held_out_accuracy:.4f} on {record.held_out_samples} held-out"
        " samples"
    )


@click.command()
def datasets() -> None:
    """List the datasets."""
    from flexrel_sim.datasets import DATASETS

    for info in DATASETS.values():
        click.echo(
            f"{info.name}: {info.description}; {info.classes} classes, {info.train_samples} samples"
            f" to train on, {info.held_out_samples} held out; from {info.source}"
        )


@click.command()
def criteria() -> None:
    """List the pruning criteria."""
    from flexrel_sim.pruning import CRITERIA

    for criterion in CRITERIA.values():
        only = "; whole filters only" if criterion.level == "filters" else ""
        click.echo(f"{criterion.name}: {criterion.description}{only}")


@click.command()
def devices() -> None:
    """List the presets of devices and radios with their sources."""
    from flexrel_sim.hardware import list_devices, list_radios

    for name, device in list_devices().items():
        idle = "idle unknown" if device.idle_power_w is None else f"{device.idle_power_w:g} W idle"
        gains = ", ".join(device.speed_models) or "none"
        rates = [(device.precision, device.rate(device.precision)), *device.rates.items()]
        click.echo(
            f"{name}: {device.description}; {'; '.join(_rate(*rate) for rate in rates)};"
            f" {device.memory_bandwidth_byte_per_s / 1e9:g} GB/s;"
            f" {device.active_power_w:g} W active, {idle}; sparsity to speed: {gains}"
        )
        click.echo(f"    source: {device.source}")
        for figure, source in device.sources.items():
            click.echo(f"    {figure} from: {source}")
        click.echo(f"    assumed: {device.assumptions}")
    for name, radio in list_radios().items():
        click.echo(
            f"radio {name}: {radio.description};"
            f" {radio.transmit_j_per_bit * 1e9:g} mW per Mbit/s up,"
            f" {radio.receive_j_per_bit * 1e9:g} down, {radio.active_power_w:g} W on the air,"
            f" {radio.tail_power_w:g} W x {radio.tail_s:g} s tail, {radio.idle_power_w:g} W idle"
        )
        click.echo(f"    source: {radio.source}")
        click.echo(f"    assumed: {radio.assumptions}")


def _rate(precision: str, rate: Rate) -> str:
    sparse = f", {rate.sparse_flop_per_s / 1e9:,.7g} sparse" if rate.sparse_flop_per_s else ""
    return f"{rate.dense_flop_per_s / 1e9:,.7g} GFLOP/s{sparse} ({rate.kind}, {precision})"
