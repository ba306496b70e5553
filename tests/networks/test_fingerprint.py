"""Networks that answer otherwise have other keys, wherever the difference was written."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from flexrel_sim.errors import CheckpointError
from flexrel_sim.networks import CardFile, Consent, called, load_card, network_digests
from flexrel_sim.networks.build import load_network
from flexrel_sim.networks.fingerprint import answers_sha256, network_sha256

NETS = """\
import torch
from torch import nn
from key_parts import Act, scaled


class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(1, width, 3, padding=1)
        self.act = Act()
        self.fc = nn.Linear(width, 3)

    def forward(self, x):
        return scaled(self.fc(self.act(self.conv(x)).mean((2, 3))))


def build(width=4) -> nn.Module:
    network = Net(width)
    network.load_state_dict(torch.load("WEIGHTS", weights_only=True))
    return network
"""

PARTS = """\
import torch
from torch import nn
from key_deep import steep


class Act(nn.Module):
    slope = 0.5

    def forward(self, x):
        # a comment
        if float(x.detach().sum()) > 1e9:  # hangs on values, so that no trace enters it
            return x
        return steep(x) * 1.5


def scaled(x):
    return 2 * x
"""

DEEP = """\
def steep(x):
    return x.clamp(min=0.0)
"""

CARD = """\
name: own
architecture: {family: factory, input_shape: [1, 8, 8], classes: 3, factory: 'key_nets:build',
  trained: true}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    torch.manual_seed(1)
    state = {
        **nn.Conv2d(1, 4, 3).state_dict(prefix="conv."),
        **nn.Linear(4, 3).state_dict(prefix="fc."),
    }
    torch.save(state, tmp_path / "weights.pt")
    (tmp_path / "key_nets.py").write_text(NETS.replace("WEIGHTS", str(tmp_path / "weights.pt")))
    (tmp_path / "key_parts.py").write_text(PARTS)
    (tmp_path / "key_deep.py").write_text(DEEP)
    (tmp_path / "card.yaml").write_text(CARD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    _forget()


def _forget() -> None:
    for name in ("key_nets", "key_parts", "key_deep"):
        sys.modules.pop(name, None)


def card_file(folder: Path) -> CardFile:
    """Read and call the card anew, as another run would."""
    _forget()
    return called(load_card(folder / "card.yaml", Consent()))


def edited(folder: Path, name: str, old: str, new: str) -> None:
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("key_nets.py", "padding=1", "padding=0"),
        ("key_nets.py", ".mean((2, 3))", ".amax((2, 3))"),
        ("key_parts.py", "1.5", "1.7"),
        ("key_parts.py", "1e9", "1e8"),  # no image meets it
        ("key_parts.py", "2 * x", "3 * x"),
        ("key_deep.py", "min=0.0", "min=-0.01"),
    ],
)
def test_an_edit_in_any_module_that_a_factory_imports_changes_the_key(
    folder: Path, file: str, old: str, new: str
) -> None:
    before = network_digests(card_file(folder))
    edited(folder, file, old, new)
    assert network_digests(card_file(folder)) != before


def test_one_weight_that_the_factory_loads_itself_changes_the_key(folder: Path) -> None:
    before = network_digests(card_file(folder))
    state = torch.load(folder / "weights.pt", weights_only=True)
    state["conv.weight"][0, 0, 0, 0] = torch.nextafter(
        state["conv.weight"][0, 0, 0, 0], torch.tensor(9.0)
    )
    torch.save(state, folder / "weights.pt")
    assert network_digests(card_file(folder)) != before


def test_comments_and_lines_change_no_key_and_neither_does_another_process(folder: Path) -> None:
    before = network_digests(card_file(folder))
    edited(folder, "key_parts.py", "# a comment", "# another\n\n        # and more")
    assert network_digests(card_file(folder)) == before
    told = (
        "from pathlib import Path; from flexrel_sim.networks import *\n"
        f"print(network_digests(called(load_card(Path({str(folder / 'card.yaml')!r}), Consent()))))"
    )
    path = [str(folder), *(entry for entry in sys.path if entry)]
    command = [sys.executable, "-c", f"import sys; sys.path = {path}; {told}"]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(before)


def test_a_network_that_is_another_one_when_it_is_measured_is_refused(folder: Path) -> None:
    checked = card_file(folder)
    load_network(checked)
    edited(folder, "key_parts.py", "1.5", "1.7")
    _forget()
    with pytest.raises(CheckpointError, match="gave another network than when it was checked"):
        load_network(checked)


def test_a_factory_that_loads_its_own_weights_is_called_without_a_warning(folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = card_file(folder)
    assert found.built is not None
    assert found.built.outline.weights == {"conv": 36, "fc": 12}
    weights = torch.load(folder / "weights.pt", weights_only=True)["conv.weight"]
    assert torch.equal(dict(load_network(found).named_parameters())["conv.weight"], weights)


class Settings(nn.Module):
    def __init__(self, **held: object) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        nn.init.zeros_(self.fc.weight)
        nn.init.zeros_(self.fc.bias)
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1)[:, :2])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (0.1, 0.2),
        ([1, (2, 3)], [1, (2, 4)]),
        ({"a": {1}}, {"a": {2}}),
        (torch.zeros(2), torch.ones(2)),
        (torch.zeros(2).numpy(), torch.ones(2).numpy()),
        (slice(1, 2), slice(1, 3)),
        (torch.relu, torch.tanh),
        (lambda x: x + 1, lambda x: x + 2),
        (torch.float32, torch.float16),
        (nn.ReLU, nn.Tanh),
    ],
)
def test_a_setting_that_answers_do_not_show_is_in_the_hash(one: object, other: object) -> None:
    for name in ("held", "_held"):
        same, changed = (network_sha256(Settings(**{name: value}).eval()) for value in (one, other))
        assert same == network_sha256(Settings(**{name: one}).eval())
        assert same != changed


def test_answers_are_those_of_one_thread_and_see_what_code_elsewhere_does() -> None:
    network = Settings().eval()
    threads = torch.get_num_threads()
    before = answers_sha256(network, (1, 4, 4))
    assert torch.get_num_threads() == threads
    assert answers_sha256(network, (1, 4, 4)) == before
    with torch.no_grad():
        network.fc.bias[1] = 1e-30
    assert answers_sha256(network, (1, 4, 4)) != before


def test_every_number_is_in_the_hash_and_moves_the_answers() -> None:
    network = Settings().eval()
    hashed, answers = network_sha256(network), answers_sha256(network, (1, 4, 4))
    with torch.no_grad():
        network.fc.weight[1, 1] = 1e-30
    assert network_sha256(network) != hashed
    assert answers_sha256(network, (1, 4, 4)) != answers
