import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from flexrel_sim.cli import app
from flexrel_sim.codec import Codec
from flexrel_sim.errors import CheckpointError, InputError, WorkError
from flexrel_sim.measure.bottleneck import make_bottleneck
from flexrel_sim.measure.network import measure_network
from flexrel_sim.measure.pruned import samples_of
from flexrel_sim.networks import CardFile, load_card
from flexrel_sim.networks.bottleneck import load_bottleneck
from flexrel_sim.networks.bottleneck_card import BottleneckTraining, load_bottleneck_card
from flexrel_sim.networks.build import load_network
from flexrel_sim.partition import split_network
from tests.measure.scenarios import scenario_of, spec_of
from tests.measure.test_check import TEXT, checked, faults, residual

ONE_EPOCH = BottleneckTraining(epochs=1)
# Enough to be better than chance.
FEW_EPOCHS = BottleneckTraining(epochs=4, batch_size=32)
UNPRUNED = TEXT.replace("ratio: 0.5", "ratio: 0")


def named(text: str) -> str:
    return text.replace("cut: pool1", "cut: pool1\n  bottleneck: narrow.yaml")


def command(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.output


def test_a_profile_is_that_of_head_encoder_codec_decoder_and_tail(
    tiny: CardFile, tmp_path: Path
) -> None:
    spec = spec_of(tiny, codec={"dtype": "uint8"})
    card = make_bottleneck(spec, tmp_path / "narrow.yaml", (2, 2), FEW_EPOCHS)
    assert (card.cut, card.boundary, card.network) == ("pool1", [6, 4, 4], "tiny")
    found = load_bottleneck_card(tmp_path / "narrow.yaml")
    assert found.card == card
    (profile,) = measure_network([replace(spec, bottleneck=found)])
    assert profile.boundary_shapes == ((2, 2, 2),)
    assert set(profile.payload_bytes.tolist()) == {8 + 8 + 4}
    # Its layers count: 3 x 3 from 6 channels to 2, and from 2 to 24, at 2 x 2 pixels.
    macs = {layer.name: layer.macs for layer in profile.layers}
    assert macs["encoder.0"] == 9 * 6 * 2 * 4
    assert macs["decoder.0"] == 9 * 2 * 24 * 4
    assert [layer.kind for layer in profile.tail][:2] == ["conv2d", "pixelshuffle"]
    bottleneck, codec = load_bottleneck(found), Codec("uint8")
    head, tail = split_network(load_network(tiny), "pool1")
    test = samples_of(spec).test
    with torch.inference_mode():
        sent = bottleneck["encoder"](head(torch.from_numpy(test.images))).numpy()
        received = np.stack([codec.decode(codec.encode(one), one.shape) for one in sent])
        answers = tail(bottleneck["decoder"](torch.from_numpy(received))).argmax(1).numpy()
    assert profile.correct.tolist() == (answers == test.labels).tolist()


def test_the_command_trains_what_a_scenario_then_names(folder: Path) -> None:
    (folder / "scenario.yaml").write_text(named(UNPRUNED))
    words = ("train-bottleneck", folder / "scenario.yaml", "-o", folder / "narrow.yaml")
    code, output = command(*words, "--channels", 2, "--epochs", 2)
    assert code == 0, output
    assert "accuracy 0." in output
    assert "on 719 held-out samples" in output
    before = (folder / "narrow.safetensors").read_bytes()
    code, output = command(*words, "--channels", 1, "--epochs", 1)
    assert code == 2
    assert "narrow.safetensors: would be replaced; name another place, or add --force" in output
    assert (folder / "narrow.safetensors").read_bytes() == before
    idle = named(UNPRUNED).replace("ratio: 0", "ratio: 0\n  criterion: magnitude\n  delta: 0.3")
    (folder / "scenario.yaml").write_text(idle)
    code, output = command(*words, "--channels", 4, "--epochs", 2, "--force")
    assert code == 0, output
    # What `validate` warns of is told here, too.
    assert "pruning.delta: has no effect on criterion 'magnitude', got 0.3" in output
    assert (folder / "narrow.safetensors").read_bytes() != before
    (spec,) = checked(folder, named(UNPRUNED)).specs
    assert spec.bottleneck is not None
    (plain,) = checked(folder, UNPRUNED).specs
    assert len({spec.key, plain.key}) == len({spec.network_key, plain.network_key}) == 2


def test_a_bottleneck_that_is_missing_or_anothers_is_refused_on_its_line(folder: Path) -> None:
    (missing,) = faults(folder, named(UNPRUNED))
    assert "split.bottleneck: must be the card of a bottleneck, got" in missing
    assert missing.startswith("FILE:6: ")
    (spec,) = checked(folder, UNPRUNED).specs
    make_bottleneck(spec, folder / "narrow.yaml", (5, 1), FEW_EPOCHS)
    (other,) = faults(folder, named(TEXT))
    assert (
        "must be trained for this network, data, pruning and cut, got \"tiny at 'pool1'\"" in other
    )
    (folder / "narrow.safetensors").write_bytes(b"")
    (damaged,) = faults(folder, named(UNPRUNED))
    assert "is not the checkpoint that" in damaged
    (folder / "narrow.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"is missing; train it again"):
        load_bottleneck_card(folder / "narrow.yaml")
    (folder / "narrow.yaml").write_text("network: tiny\n")
    assert len(faults(folder, named(UNPRUNED))) > 1


def test_on_the_edge_a_bottleneck_is_not_looked_for(folder: Path) -> None:
    text = named(UNPRUNED).replace("cut: pool1", "cut: edge")
    assert checked(folder, text).specs[0].bottleneck is None


def test_what_can_be_no_bottleneck_is_refused(tiny: CardFile, tmp_path: Path) -> None:
    file = tmp_path / "narrow.yaml"
    with pytest.raises(InputError, match="is 'edge', where nothing is sent"):
        make_bottleneck(spec_of(tiny, split={"cut": "edge"}), file, (2, 1), ONE_EPOCH)
    with pytest.raises(InputError, match=r"must be a \.yaml file"):
        make_bottleneck(spec_of(tiny), tmp_path / "narrow.pt", (2, 1), ONE_EPOCH)
    with pytest.raises(InputError, match="not the network's own"):
        make_bottleneck(spec_of(tiny), tiny.file, (2, 1), ONE_EPOCH)
    own = tiny.checkpoint.with_suffix(".yaml")
    renamed = replace(tiny, file=tiny.file.with_name("other.yaml"))
    with pytest.raises(InputError, match="is the network's own checkpoint; name another card"):
        make_bottleneck(replace(spec_of(tiny), card_file=renamed), own, (2, 1), ONE_EPOCH)
    with pytest.raises(WorkError, match="pool1: a bottleneck of stride 3 needs"):
        make_bottleneck(spec_of(tiny), file, (2, 3), ONE_EPOCH)
    too_wide = r"fewer numbers than the 6 channels of the boundary \(6, 4, 4\) do: at stride"
    for size, most in (((6, 1), 5), ((400, 1), 5), ((24, 2), 23)):
        with pytest.raises(WorkError, match=f"pool1: .*{too_wide} {size[1]} at most {most} ch"):
            make_bottleneck(spec_of(tiny), file, size, ONE_EPOCH)
    with pytest.raises(WorkError, match="pool1: learned nothing in 1 epochs: the mean recall of"):
        make_bottleneck(spec_of(tiny), file, (2, 1), ONE_EPOCH)
    diverging = FEW_EPOCHS.model_copy(update={"learning_rate": 1e20})
    with pytest.raises(WorkError, match="bottleneck: training diverged in epoch 1: its loss is "):
        make_bottleneck(spec_of(tiny), file, (2, 1), diverging)
    with pytest.raises(InputError, match="is 'best'; name the cut"):
        make_bottleneck(
            replace(spec_of(tiny), scenario=scenario_of(split={"cut": "best"})),
            file,
            (2, 1),
            ONE_EPOCH,
        )
    with pytest.raises(InputError, match="can't be written"):
        make_bottleneck(spec_of(tiny), tmp_path / "no" / "narrow.yaml", (5, 1), FEW_EPOCHS)
    untrained = replace(tiny, card=tiny.card.model_copy(update={"training": None}))
    spec = replace(spec_of(tiny), card_file=untrained)
    with pytest.raises(InputError, match="training: is missing"):
        make_bottleneck(spec, file, (2, 1), ONE_EPOCH)
    assert not file.exists()
    shutil.rmtree(tmp_path)


def test_where_several_tensors_cross_a_bottleneck_is_refused(folder: Path) -> None:
    residual(folder)
    card_file = load_card(folder / "tiny.yaml")
    spec = spec_of(card_file, split={"cut": "layer1.0.conv1"})
    with pytest.raises(WorkError, match=r"a bottleneck narrows one tensor, and .* cross"):
        make_bottleneck(spec, folder / "narrow.yaml", (2, 1), ONE_EPOCH)
