"""A comparison's file, read and checked against the networks, criteria and data that there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flexrel_sim.comparison.schema import ComparisonScenario, Entry, Pair, Track
from flexrel_sim.comparison.settings import merged, takes_part, theirs
from flexrel_sim.datasets import DATASETS, DatasetInfo, open_dataset
from flexrel_sim.errors import (
    CheckpointError,
    DatasetError,
    Fault,
    MissingDatasetError,
    ScenarioError,
)
from flexrel_sim.measure.data_check import data_faults, unseen_class_faults
from flexrel_sim.measure.factory_check import NETWORK_UNSEEN, unseen_network
from flexrel_sim.measure.pruning_check import Tell, network_faults, pruning_faults
from flexrel_sim.networks import (
    CardFile,
    Consent,
    called,
    load_card,
    outline,
    training_dataset,
)
from flexrel_sim.reading import is_file
from flexrel_sim.scenario import YamlSource, did_you_mean, load_model, read_yaml
from flexrel_sim.scenario.source import KeyPath

__all__ = ["ComparisonFile", "load_comparison"]

# A comparison measures whole networks: nothing crosses a link.
_CUT = "edge"


@dataclass(frozen=True)
class ComparisonFile:
    """A comparison that was read and checked.

    Parameters
    ----------
    file
        Where it was read from.
    scenario
        What it says.
    cards
        The cards of its networks, by the path that it names them with.
    trained_on, deployed_on
        The datasets that training sees, and that all other samples come from, by the same paths.
    missing
        Datasets that are not installed: of them only sizes and shapes are known, and checked.
    consent
        Which factories may be called; None where the file is only looked at.
    warnings
        What was not checked.
    """

    file: Path
    scenario: ComparisonScenario
    cards: dict[str, CardFile] = field(default_factory=dict)
    trained_on: dict[str, DatasetInfo] = field(default_factory=dict)
    deployed_on: dict[str, DatasetInfo] = field(default_factory=dict)
    missing: list[Fault] = field(default_factory=list)
    consent: Consent | None = None
    warnings: list[Fault] = field(default_factory=list)

    @property
    def curves(self) -> int:
        """How many curves it asks for."""
        asked = self.scenario
        return len(asked.seeds) * sum(
            takes_part(entry, track, pair)
            for track in asked.tracks
            for entry in asked.entries
            for pair in asked.pairs
        )


def load_comparison(
    file: Path, consent: Consent | None = None, *, need_data: bool = True
) -> ComparisonFile:
    """Read a comparison.

    Parameters
    ----------
    file
        A YAML file.
    consent
        Which factories may be called, beside those in files under the folders of the comparison
        and the cards. None to call none: what only a call would tell is then a warning.
    need_data
        Whether a dataset that is not installed is a fault; where not, the comparison is checked as
        far as it can be without, and `ComparisonFile.missing` tells of it.

    Returns
    -------
    ComparisonFile
        Checked against the networks, criteria and data that there are, by the rules that a
        scenario is checked by.

    Raises
    ------
    ScenarioError
        With every fault.
    """
    source = read_yaml(file)
    allowed = consent and consent.beside(file.parent)
    found = ComparisonFile(file, load_model(ComparisonScenario, file), consent=allowed)
    # Where a label is wrong, nobody taking part is only what follows.
    faults = [*_label_faults(found.scenario, source)] or [*_idle_faults(found.scenario, source)]
    faults += _owner_faults(found.scenario, source)
    own = _named_dataset(found, source, faults)
    for index, pair in enumerate(found.scenario.pairs):
        faults += _pair_faults(found, index, pair, own, source)
    for entry_at, entry in enumerate(found.scenario.entries):
        faults += pruning_faults(entry.pruning, _CUT, _entry_teller(entry_at, source))
        for track_at, track in enumerate(found.scenario.tracks):
            faults += _run_faults(found, (track_at, track), (entry_at, entry), source)
    if need_data:
        faults += found.missing
    if faults:
        raise ScenarioError(faults)
    return found


def _named_dataset(
    found: ComparisonFile, source: YamlSource, faults: list[Fault]
) -> DatasetInfo | None:
    """Open the dataset that all pairs are deployed on, if one is named."""
    name = found.scenario.data.dataset
    try:
        return None if name is None else open_dataset(name, found.file.parent)
    except MissingDatasetError as error:
        found.missing.append(source.fault(("data", "dataset"), str(error)))
        return DATASETS[error.dataset]
    except DatasetError as error:
        faults.append(source.fault(("data", "dataset"), str(error)))
        return None


def _pair_faults(
    found: ComparisonFile, index: int, pair: Pair, own: DatasetInfo | None, source: YamlSource
) -> list[Fault]:
    """Read a pair's card and open its data, and say what is wrong with them."""
    path, key = found.file.parent / pair.network, ("pairs", index, "network")
    if not is_file(path):
        remedy = "give the path of a card, relative to this file"
        return [source.fault(key, "must be the card of a network", str(path), remedy)]
    try:
        card_file = found.cards.get(pair.network) or load_card(path, found.consent)
        if card_file.card.training is None:
            rule = "must have a training recipe: it is trained for every seed"
            return [source.fault(key, rule, str(path), "add one, or name another network")]
        if found.consent is not None and card_file.built is None:
            card_file = called(card_file, fresh=True)
        if _is_known(card_file):
            outline(card_file)
        else:
            found.warnings.append(_unseen_warning(card_file, key, source))
        trained_on = found.trained_on.get(pair.network) or training_dataset(
            card_file, found.missing
        )
    except ScenarioError as error:
        return list(error.faults)
    except CheckpointError as error:
        return [source.fault(key, str(error))]
    found.cards[pair.network], found.trained_on[pair.network] = card_file, trained_on
    if found.scenario.data.dataset is not None and own is None:
        return []
    found.deployed_on[pair.network] = own or trained_on

    def tell(path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        place: KeyPath = tuple(path.split("."))
        if place[:2] == ("data", "deployment"):
            place = ("pairs", index, *place[1:])
        return source.fault(place, rule, value, remedy)

    data = found.scenario.data.model_copy(update={"deployment": pair.deployment})
    unseen = unseen_class_faults(data, card_file, tell)
    return unseen or data_faults(data, card_file, own or trained_on, tell)


def _is_known(card_file: CardFile) -> bool:
    return not card_file.is_code or card_file.built is not None


def _unseen_warning(card_file: CardFile, key: KeyPath, source: YamlSource) -> Fault:
    not_checked = (NETWORK_UNSEEN, "the layers that pruning names", "what tracks keep")
    told = unseen_network(card_file, source.file.parent, not_checked, "'flexrel-sim compare'")
    return source.fault(key, *told)


def _entry_teller(entry_at: int, source: YamlSource) -> Tell:
    def tell(path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        key: KeyPath = ("entries", entry_at, *path.split("."))
        return source.fault(key, rule, value, remedy)

    return tell


def _run_faults(
    found: ComparisonFile,
    numbered_track: tuple[int, Track],
    numbered_entry: tuple[int, Entry],
    source: YamlSource,
) -> Iterator[Fault]:
    """Find what is wrong with an entry along a track, by the rules of a scenario."""
    (track_at, track), (entry_at, entry) = numbered_track, numbered_entry
    # The least that is kept is the hardest to reach.
    settings = merged(entry, track).model_copy(update={"ratio": 1 - min(track.kept)})

    def tell(path: str, rule: str, value: object = None, remedy: str = "") -> Fault:
        _, name, *rest = path.split(".")
        if name == "ratio":
            return source.fault(("tracks", track_at, "kept"), f"1 - kept {rule}", value, remedy)
        if name not in theirs(track):
            return _entry_teller(entry_at, source)(path, rule, value, remedy)
        key: KeyPath = ("tracks", track_at, "pruning", name, *rest)
        return source.fault(key, rule, value, remedy)

    pairs = [pair for pair in found.scenario.pairs if takes_part(entry, track, pair)]
    if pairs:
        yield from pruning_faults(settings, _CUT, tell)
    for pair in pairs:
        if pair.network in found.cards:
            card_file = found.cards[pair.network]
            parts = outline(card_file) if _is_known(card_file) else None
            yield from network_faults(settings, _CUT, card_file, parts, tell)


def _owner_faults(scenario: ComparisonScenario, source: YamlSource) -> Iterator[Fault]:
    """Refuse settings that something else decides: they would be ignored."""
    if "deployment" in scenario.data.model_fields_set:
        rule = "is each pair's own"
        yield source.fault(("data", "deployment"), rule, remedy="move it to the pairs")
    sections = [
        *((("entries", i), entry.pruning) for i, entry in enumerate(scenario.entries)),
        *((("tracks", i), track.pruning) for i, track in enumerate(scenario.tracks)),
    ]
    for owner, pruning in sections:
        if "ratio" in pruning.model_fields_set:
            rule = "is what a track's kept leaves"
            yield source.fault((*owner, "pruning", "ratio"), rule, pruning.ratio, "remove it")
        if pruning.schedule.steps > 1:
            rule = "must be 1: every point of a curve is pruned at once"
            steps = (*owner, "pruning", "schedule", "steps")
            yield source.fault(steps, rule, pruning.schedule.steps, "remove it")
    for at, track in enumerate(scenario.tracks):
        path: KeyPath = ("tracks", at, "pruning", "criterion")
        if path in source.lines:
            yield source.fault(path, "is the entries'", track.pruning.criterion, "remove it")
        yield from _overruled(scenario, track, source)


def _overruled(scenario: ComparisonScenario, track: Track, source: YamlSource) -> Iterator[Fault]:
    for at, entry in enumerate(scenario.entries):
        if not any(takes_part(entry, track, pair) for pair in scenario.pairs):
            continue
        for name in sorted(theirs(track) & entry.pruning.model_fields_set):
            value = getattr(entry.pruning, name)
            if value != getattr(track.pruning, name):
                rule = f"is overruled by track {track.label!r}"
                shown = value if isinstance(value, str | int | float) else None
                path = ("entries", at, "pruning", name)
                yield source.fault(path, rule, shown, "remove it from one of the two")


def _label_faults(scenario: ComparisonScenario, source: YamlSource) -> Iterator[Fault]:
    entries = [entry.label for entry in scenario.entries]
    pairs = [pair.label for pair in scenario.pairs]
    named: list[tuple[KeyPath, Sequence[str], list[str]]] = []
    for at, track in enumerate(scenario.tracks):
        named.append((("tracks", at, "pairs"), track.pairs or [], pairs))
        named.append((("tracks", at, "entries"), track.entries or [], entries))
    for at, entry in enumerate(scenario.entries):
        named.append((("entries", at, "pairs"), entry.pairs or [], pairs))
    for at, claim in enumerate(scenario.claims):
        named.append((("claims", at, "entries"), claim.entries, entries))
        named.append((("claims", at, "rivals"), claim.rivals, entries))
    for path, labels, known in named:
        for place, label in enumerate(labels):
            if label not in known:
                remedy = did_you_mean(label, known)
                yield source.fault((*path, place), "unknown label", label, remedy)
    yield from _twice(source, "entries", entries)
    yield from _twice(source, "pairs", pairs)
    yield from _twice(source, "tracks", [track.label for track in scenario.tracks])
    yield from _twice(source, "claims", [claim.label for claim in scenario.claims])
    yield from _twice(source, "seeds", scenario.seeds)
    yield from _twice(source, "losses", scenario.losses)


def _twice(source: YamlSource, name: str, values: Sequence[object]) -> Iterator[Fault]:
    """Blame a value that was there before, on its own line."""
    what = name if name in ("seeds", "losses") else "labels"
    for place, value in enumerate(values):
        if value in values[:place]:
            path: KeyPath = (name, place) if what == name else (name, place, "label")
            yield source.fault(path, f"{what} must differ", value, "change one")


def _idle_faults(scenario: ComparisonScenario, source: YamlSource) -> Iterator[Fault]:
    remedy = "let in another pair or entry; some criteria score filters only"
    for at, track in enumerate(scenario.tracks):
        if not any(
            takes_part(entry, track, pair) for entry in scenario.entries for pair in scenario.pairs
        ):
            yield source.fault(("tracks", at), "nothing takes part in it", track.label, remedy)
