"""`train`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

__all__ = ["train"]


@click.command()
@click.argument("card", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing checkpoint and its record.")
def train(card: Path, force: bool) -> None:
    """Train the network on CARD.

    Without a checkpoint, writes it and records it on the card. With one, trains again, says
    whether the result is the same to the byte, and leaves it alone unless --force is given.
    """
    from importlib.metadata import version

    from flexrel_sim.errors import InputError
    from flexrel_sim.files import write_whole
    from flexrel_sim.networks import (
        CheckpointRecord,
        load_card,
        training_dataset,
        write_checkpoint_record,
    )
    from flexrel_sim.training import train_network

    card_file = load_card(card)
    if card_file.card.training is None:
        raise InputError(
            f"{card}: training: is missing, the network came trained; add a recipe to train it anew"
        )
    if card_file.card.pruned:
        raise InputError(f"{card}: pruned: filters were removed; train the network it came from")
    trained = train_network(
        card_file.card,
        training_dataset(card_file),
        lambda epoch, loss: click.echo(f"epoch {epoch}: loss {loss:.4f}", err=True),
    )
    accuracy = trained.held_out_correct / trained.held_out_samples
    digest = hashlib.sha256(trained.checkpoint).hexdigest()
    click.echo(f"accuracy {accuracy:.4f} on {trained.held_out_samples} held-out samples")
    file = card_file.checkpoint
    if file.exists() and not force:
        same = hashlib.sha256(file.read_bytes()).hexdigest() == digest
        state = "the same bytes" if same else "other bytes; --force replaces it"
        click.echo(f"{file}: kept; training gave {state}")
        return
    write_whole(file, trained.checkpoint)
    record = CheckpointRecord(
        file=file.name,
        sha256=digest,
        held_out_accuracy=accuracy,
        held_out_samples=trained.held_out_samples,
        torch=version("torch"),
        reproduce=f"flexrel-sim train {card}",
    )
    write_checkpoint_record(card_file, record)
    click.echo(f"{file}: written and recorded on {card}")
