from __future__ import annotations

import re

import pytest
import torch
from click.testing import CliRunner

from flexrel_sim.cli import app
from flexrel_sim.codec import encode_update
from flexrel_sim.datasets import evaluation_samples
from flexrel_sim.networks import load_card, training_dataset
from flexrel_sim.networks.answers import share_correct
from flexrel_sim.networks.build import build_network, load_network
from flexrel_sim.networks.shrunk import shrink
from flexrel_sim.networks.weights import fill
from flexrel_sim.pruning.channels import CoupledNetwork
from tests.workspace import own_images


def prune(*arguments: str):
    return CliRunner().invoke(app, ["prune", *arguments])


def accuracy(card_file) -> float:
    test = evaluation_samples("digits", 50, 100, 150, 1).test
    network = load_network(load_card(card_file))
    return share_correct(network, torch.from_numpy(test.images), torch.from_numpy(test.labels))


@pytest.mark.parametrize("granularity", ["weights", "filters"])
def test_what_is_written_loads_and_answers_as_it_was_printed(workspace, granularity):
    done = prune(
        "study.yaml", "-o", "pruned.safetensors", "--set", f"pruning.granularity={granularity}"
    )
    assert done.exit_code == 0, done.output
    printed = re.search(r"accuracy .*\]\s+(0\.\d+) \[", done.output)
    assert printed is not None
    assert accuracy(workspace / "pruned.yaml") == pytest.approx(float(printed[1]), abs=5e-5)
    before = load_network(load_card(workspace / "tiny.yaml"))
    after = load_network(load_card(workspace / "pruned.yaml"))
    smaller = sum(p.numel() for p in after.parameters()) < sum(
        p.numel() for p in before.parameters()
    )
    assert smaller == (granularity == "filters")


def test_a_pruned_network_runs_in_a_scenario_and_is_pruned_again(workspace):
    assert prune("small.yaml", "-o", "once.safetensors").exit_code == 0
    done = prune("small.yaml", "-o", "twice.safetensors", "--set", "model.network=once.yaml")
    assert done.exit_code == 0, done.output


def auto(aim: str) -> tuple[str, ...]:
    tries = f"{{deltas: [0.0, 0.4], ratios: [0.5], aim: accuracy, accuracy: {aim}}}"
    settings = ("criterion=flexrel-paper", "delta=auto", f"auto={tries}")
    return tuple(word for one in settings for word in ("--set", f"pruning.{one}"))


def test_what_auto_chose_is_said_and_shipped(workspace):
    done = prune("small.yaml", "-o", "auto.safetensors", *auto("0.01"))
    assert done.exit_code == 0, done.output
    chose = re.search(r"^auto +(δ = 0(\.4)?, normalise layer, form additive)$", done.output, re.M)
    assert chose is not None
    assert f"# delta: auto chose {chose[1]}\n" in (workspace / "auto.yaml").read_text()
    assert "warning" not in done.output


@pytest.mark.parametrize("command", ["prune", "run"])
def test_an_accuracy_that_auto_could_not_keep_is_a_warning(workspace, command):
    output = "auto.safetensors" if command == "prune" else "out"
    arguments = [command, "small.yaml", "-o", output, *auto("0.9999")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert re.search(
        r"warning: --set pruning.auto: pruning.auto.accuracy: was not kept by anything tried,"
        r" 0\.\d{4} at best on validation samples; delta 0(\.4)? was chosen by its mean",
        done.output,
    )
    if command == "prune":
        assert "; no try kept the accuracy that" in (workspace / "auto.yaml").read_text()
    else:
        assert re.search("auto chose δ = 0(.4)?, normalise layer, form additive", done.output)


def test_prune_prints_the_warnings_of_validate(workspace):
    arguments = ("--set", "pruning.criterion=magnitude", "--set", "pruning.delta=0.3")
    done = prune("small.yaml", "-o", "plain.safetensors", *arguments)
    assert done.exit_code == 0, done.output
    assert "warning: --set pruning.delta: has no effect on criterion 'magnitude'" in done.output


def test_a_network_of_the_users_own_images_is_trained_tuned_and_shipped(workspace):
    own_images(workspace)
    card = (workspace / "tiny.yaml").read_text().split("checkpoint:")[0]
    (workspace / "own.yaml").write_text(
        card.replace("digits", "own.npz").replace("name: tiny", "name: own")
    )
    assert CliRunner().invoke(app, ["train", "own.yaml"]).exit_code == 0
    (workspace / "out").mkdir()
    tuned = "pruning.schedule={fine_tuning: {epochs: 1, samples: 200}}"
    arguments = ("--set", "model.network=own.yaml", "--set", tuned)
    done = prune("small.yaml", "-o", "out/pruned.safetensors", *arguments)
    assert done.exit_code == 0, done.output
    # The shipped card lies in another folder, and finds its images all the same.
    shipped = load_card(workspace / "out" / "pruned.yaml")
    assert training_dataset(shipped).held_out_samples == 400


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("small.pt", "must be a .safetensors file"),
        ("tiny.safetensors", "is the network that is pruned"),
        ("nowhere/small.safetensors", "is no folder"),
        # Its card would replace the scenario itself.
        ("small.safetensors", "is no network's card"),
        ("my network.safetensors", "names the network"),
    ],
)
def test_a_wrong_output_is_refused_and_nothing_is_written(workspace, output, said):
    before = {file: file.read_bytes() for file in workspace.iterdir() if file.is_file()}
    done = prune("small.yaml", "-o", output)
    assert done.exit_code == 2
    assert said in done.output
    assert {file: file.read_bytes() for file in workspace.iterdir() if file.is_file()} == before


@pytest.mark.parametrize("name", ["other.yaml", "other.safetensors"])
def test_another_networks_card_or_checkpoint_is_replaced_with_force_only(workspace, name):
    taken = workspace / name
    taken.write_bytes((workspace / "tiny").with_suffix(taken.suffix).read_bytes())
    before = taken.read_bytes()
    done = prune("small.yaml", "-o", "other.safetensors")
    assert done.exit_code == 2
    assert f"{name}: would be replaced; name another place, or add --force" in done.output
    assert taken.read_bytes() == before
    assert prune("small.yaml", "-o", "other.safetensors", "--force").exit_code == 0
    assert taken.read_bytes() != before
    load_network(load_card(workspace / "other.yaml"))


def test_a_file_that_comes_while_a_network_is_pruned_is_not_replaced(workspace, monkeypatch):
    from flexrel_sim.measure import shipping

    size = shipping._size

    def slow(*words):
        (workspace / "other.safetensors").write_text("mine")
        return size(*words)

    monkeypatch.setattr(shipping, "_size", slow)
    done = prune("small.yaml", "-o", "other.safetensors")
    assert done.exit_code == 2
    assert "other.safetensors: can't be written: File exists" in done.output
    assert (workspace / "other.safetensors").read_text() == "mine"


def test_the_checkpoint_of_a_card_of_another_name_is_not_replaced(workspace):
    (workspace / "tiny.yaml").rename(workspace / "other.yaml")
    before = (workspace / "tiny.safetensors").read_bytes()
    done = prune("small.yaml", "-o", "tiny.safetensors", "--set", "model.network=other.yaml")
    assert done.exit_code == 2
    assert "is the network that is pruned" in done.output
    assert (workspace / "tiny.safetensors").read_bytes() == before


def test_an_update_takes_what_its_encoding_takes(workspace):
    first, second = (
        ("--set", "pruning.granularity=weights", "--set", f"pruning.ratio={ratio}")
        for ratio in (0.5, 0.55)
    )
    assert prune("small.yaml", "-o", "first.safetensors", *first).exit_code == 0
    done = prune("small.yaml", "-o", "second.safetensors", *second, "--since", "first.yaml")
    assert done.exit_code == 0, done.output
    told = re.search(r"^update +([\d,]+) bytes, ([\d,]+) of them the head's", done.output, re.M)
    assert told is not None
    whole, head = (int(number.replace(",", "")) for number in told.groups())
    old, new = (
        dict(load_network(load_card(workspace / f"{name}.yaml")).named_parameters())
        for name in ("first", "second")
    )
    sizes = {
        name: len(encode_update(old[name].detach().numpy(), weight.detach().numpy()))
        for name, weight in new.items()
    }
    cut = int(re.search(r"cut: pool(\d)", (workspace / "small.yaml").read_text())[1])
    assert whole == sum(sizes.values())
    assert head == sum(n for name, n in sizes.items() if re.match(rf"conv[1-{cut}]", name))
    # Some zeros more are told in fewer bytes than the network.
    shipped = re.search(r"^bytes +[\d,]+ +([\d,]+)", done.output, re.M)
    assert 0 < head < whole < int(shipped[1].replace(",", ""))
    chosen = ("--set", "split.cut=best", "--since", "first.yaml")
    done = prune("small.yaml", "-o", "third.safetensors", *second, *chosen)
    assert f"update    {whole:,} bytes\n" in done.output


@pytest.mark.parametrize(
    ("since", "said"),
    [
        ("nowhere.yaml", "nowhere.yaml: is no card"),
        ("fewer.safetensors", "is a checkpoint; name its card, fewer.yaml"),
        ("fewer.yaml", "fewer.yaml: differs in "),
    ],
)
def test_an_update_needs_an_earlier_version_of_the_same_shapes(workspace, since, said):
    filters = ("--set", "pruning.granularity=filters", "--set", "pruning.ratio=0.5")
    assert prune("small.yaml", "-o", "fewer.safetensors", *filters).exit_code == 0
    weights = ("--set", "pruning.granularity=weights", "--since", since)
    done = prune("small.yaml", "-o", "new.safetensors", *weights)
    assert done.exit_code == 2
    assert said in done.output
    assert not (workspace / "new.safetensors").exists()


def test_weights_and_channels_at_the_cut_are_shipped_together(workspace):
    settings = ("pruning.granularity=weights", "pruning.ratio=0.5", "pruning.cut_ratio=0.4")
    words = [word for setting in settings for word in ("--set", setting)]
    done = prune("small.yaml", "-o", "cut.safetensors", *words)
    assert done.exit_code == 0, done.output
    before = load_network(load_card(workspace / "tiny.yaml"))
    after = load_network(load_card(workspace / "cut.yaml"))
    assert sum(p.numel() for p in after.parameters()) < sum(p.numel() for p in before.parameters())


def test_a_network_without_filters_is_not_trained_anew(workspace):
    assert prune("small.yaml", "-o", "small2.safetensors").exit_code == 0
    done = CliRunner().invoke(app, ["train", "small2.yaml"])
    assert done.exit_code == 2
    assert "filters were removed" in done.output


def test_residual_and_depthwise_networks_shrink_to_their_checkpoint():
    from flexrel_sim.networks.architectures import MobileNet, ResNet

    architectures = (
        ResNet(
            family="resnet", stem="small", widths=[8, 12], blocks=[1, 1],
            input_shape=[1, 16, 16], classes=5,
        ),
        MobileNet(
            family="mobilenet", stem_channels=8, settings=[[1, 8, 1, 1], [2, 12, 2, 2]],
            last_channels=24, input_shape=[1, 16, 16], classes=5,
        ),
    )  # fmt: skip
    images = torch.rand(4, 1, 16, 16)
    for architecture in architectures:
        network = build_network(architecture).eval()
        coupled = CoupledNetwork(network, images[:1])
        keep = {
            name: torch.arange(group.channels) % 3 > 0 for name, group in coupled.groups.items()
        }
        removed = coupled.removed(keep).eval()
        fresh = build_network(architecture).eval()
        shrink(fresh, removed.state_dict())
        fill(fresh, removed.state_dict())
        assert torch.equal(fresh(images), removed(images))


def test_a_checkpoint_larger_than_its_network_is_refused():
    layer = torch.nn.Sequential(torch.nn.Linear(3, 2))
    with pytest.raises(ValueError, match="0.weight must be no larger than"):
        shrink(layer, {"0.weight": torch.zeros(4, 3)})
