"""`train` and `train-bottleneck`."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

from flexrel_sim.cli.consent import allow_factory_option
from flexrel_sim.cli.warning import warn

__all__ = ["train", "train_bottleneck"]


@click.command()
@click.argument("card", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace an existing checkpoint and its record.")
@allow_factory_option
def train(card: Path, force: bool, allow_factory: tuple[str, ...]) -> None:
    """Train the network on CARD.

    Without a checkpoint, writes it and records it on the card. With one, trains again, says
    whether the result is the same to the byte, and leaves it alone unless --force is given.
    """
    from importlib.metadata import version

    from flexrel_sim.errors import CheckpointError, InputError
    from flexrel_sim.files import write_whole
    from flexrel_sim.networks import (
        CheckpointRecord,
        checkpoint_to_write,
        consent_to,
        load_card,
        training_dataset,
        with_record,
        write_checkpoint_record,
    )
    from flexrel_sim.reading import sha256_of
    from flexrel_sim.signals import held
    from flexrel_sim.training import train_network
    from flexrel_sim.training.outcome import RECIPE_REMEDY, demand_learned

    card_file = load_card(card, consent_to(allow_factory))
    if card_file.card.training is None:
        raise InputError(
            f"{card}: training: is missing, the network came trained; add a recipe to train it anew"
        )
    if card_file.card.pruned:
        raise InputError(f"{card}: pruned: filters were removed; train the network it came from")
    file = checkpoint_to_write(card_file)
    if force or not file.exists():
        # Before the hours of training: the card may be one that can't be edited.
        with_record(card_file, CheckpointRecord(file=file.name, sha256="0" * 64))
    dataset = training_dataset(card_file)
    outputs = card_file.card.architecture.classes
    if dataset.classes < outputs:
        rule = f"{dataset.name!r} has labels below {dataset.classes} only; the others learn nothing"
        remedy = "leave it where they are meant to come later, or lower it"
        warn([card_file.fault("architecture.classes", rule, outputs, remedy)])
    trained = train_network(
        card_file.card,
        dataset,
        lambda epoch, loss: click.echo(f"epoch {epoch}: loss {loss:.4f}", err=True),
        card_file.consent,
    )
    # Before anything is written: a network that learned nothing must not replace one that did.
    recipe = card_file.card.training
    demand_learned(card_file.card.name, trained.recalls, recipe.epochs, RECIPE_REMEDY)
    accuracy = trained.held_out_correct / trained.held_out_samples
    digest = hashlib.sha256(trained.checkpoint).hexdigest()
    click.echo(f"accuracy {accuracy:.4f} on {trained.held_out_samples} held-out samples")
    if file.exists() and not force:
        same = sha256_of(file, "restore it", CheckpointError) == digest
        state = "the same bytes" if same else "other bytes; --force replaces it"
        click.echo(f"{file}: kept; training gave {state}")
        return
    record = CheckpointRecord(
        file=file.relative_to(card.parent).as_posix(),
        sha256=digest,
        held_out_accuracy=accuracy,
        held_out_samples=trained.held_out_samples,
        torch=version("torch"),
        reproduce=f"flexrel-sim train {card}",
    )
    with held():
        write_whole(file, trained.checkpoint)
        write_checkpoint_record(card_file, record)
    click.echo(f"{file}: written and recorded on {card}")


@click.command()
@click.argument("scenario", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "file", required=True, type=click.Path(path_type=Path),
    help="The bottleneck's card, .yaml; its weights go beside it.",
)  # fmt: skip
@click.option("--channels", required=True, type=click.IntRange(1), help="Channels that are sent.")
@click.option(
    "--stride", default=1, show_default=True, type=click.IntRange(1),
    help="Spatial stride of the encoder.",
)  # fmt: skip
@click.option(
    "--epochs", default=20, show_default=True, type=click.IntRange(1, 10_000),
    help="Training epochs.",
)  # fmt: skip
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(0, 2**63 - 1),
    help="Seed of training.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Replace a card and weights that are there.")
@allow_factory_option
def train_bottleneck(  # noqa: PLR0913, PLR0917 - one per option of the command
    scenario: Path,
    file: Path,
    channels: int,
    stride: int,
    epochs: int,
    seed: int,
    force: bool,
    allow_factory: tuple[str, ...],
) -> None:
    """Train an encoder and a decoder for the cut of SCENARIO.

    Its sweep is left out. The pruned network stays as it is; name the card in split.bottleneck to
    use it.
    """
    from flexrel_sim import api
    from flexrel_sim.networks.bottleneck_card import BottleneckTraining

    trained = api.train_bottleneck(
        scenario,
        file,
        (channels, stride),
        BottleneckTraining(epochs=epochs, seed=seed),
        lambda epoch, loss: click.echo(f"epoch {epoch}: loss {loss:.4f}", err=True),
        allow_factory,
        force=force,
    )
    warn(trained.warnings)
    record = trained.card.checkpoint
    accuracy, samples = record.held_out_accuracy, record.held_out_samples
    click.echo(f"accuracy {accuracy:.4f} on {samples} held-out samples")
    click.echo(f"{file}: written, with {record.file}")
