from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from flexrel_sim.codec import Codec, encode_weights
from flexrel_sim.datasets import EvaluationSamples, evaluation_samples, open_dataset
from flexrel_sim.errors import CheckpointError, WorkError
from flexrel_sim.measure import MeasureSpec, make_spec
from flexrel_sim.measure import network as network_module
from flexrel_sim.measure.network import measure_cuts, measure_network, traced
from flexrel_sim.networks import CardFile
from flexrel_sim.networks.build import load_network
from flexrel_sim.networks.modules import BasicBlock
from flexrel_sim.partition import Graph, split_graph, split_network, trace
from flexrel_sim.profile import SAMPLE_ARRAYS, Profile
from flexrel_sim.pruning.prune import prune
from tests.measure.scenarios import scenario_of, spec_of
from tests.networks.cards import TINY_LAYERS, trained_tiny, write_checkpoint

FILTERS = {"granularity": "filters", "ratio": 0.4}
# More test samples than a batch holds, so that batches are seen to join.
DATA = {"calibration": 30, "validation": 60, "test": 260}


def samples_of(spec: MeasureSpec) -> EvaluationSamples:
    data = spec.scenario.data
    return evaluation_samples("digits", data.calibration, data.validation, data.test, data.seed)


def pruned_network(spec: MeasureSpec) -> nn.Sequential:
    calibration = samples_of(spec).calibration
    images, labels = torch.from_numpy(calibration.images), torch.from_numpy(calibration.labels)
    return prune(load_network(spec.card_file), spec.scenario.pruning, images, labels)


def measured(spec: MeasureSpec) -> Profile:
    (profile,) = measure_network([spec])
    return profile


def plain(profile: Profile) -> dict[str, Any]:
    data = asdict(profile)
    del data["calibration"]["measured_s"]
    return data | {name: data[name].tolist() for name in SAMPLE_ARRAYS}


def answers_of(network: nn.Module, images: np.ndarray) -> list[int]:
    with torch.inference_mode():
        return network(torch.from_numpy(images)).argmax(1).tolist()


CODECS = [
    {"dtype": "float32"},
    {"dtype": "float16", "compress": "zstd", "level": 1},
    {"dtype": "uint8", "compress": "zstd"},
    {"dtype": "uint8"},
    {"dtype": "int4", "scale": "channel", "sparse": "csr", "keep": 0.4, "compress": "ans"},
    {"dtype": "bfloat16", "sparse": "delta", "compress": "lz4", "checksum": False},
]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("pruning", [{}, {"ratio": 0.8}, FILTERS])
def test_accuracy_and_payload_are_those_of_samples_sent_one_by_one(
    tiny: CardFile, codec: dict[str, Any], pruning: dict[str, Any]
) -> None:
    cut = "relu1_2"
    spec = spec_of(tiny, data=DATA, codec=codec, pruning=pruning, split={"cut": cut})
    profile = measured(spec)
    head, tail = split_network(pruned_network(spec), cut)
    coder = Codec(**codec)
    samples = samples_of(spec)
    images = torch.from_numpy(np.concatenate([samples.validation.images, samples.test.images]))
    answers = []
    with torch.inference_mode():
        for image in images:
            boundary = head(image[None])[0].numpy()
            received = coder.decode(coder.encode(boundary), boundary.shape)
            answers.append(int(tail(torch.from_numpy(received[None])).argmax(1)))
        # Alone and in a batch a number may differ in its last bit, which zstd may see.
        batches = [head(batch).numpy() for batch in images.split(250)]
    sizes = [len(coder.encode(boundary)) for boundary in np.concatenate(batches)]
    assert profile.labels.tolist() == samples.test.labels.tolist()
    assert profile.predicted.tolist() == answers[60:]
    assert profile.validation_labels.tolist() == samples.validation.labels.tolist()
    assert profile.validation_predicted.tolist() == answers[:60]
    assert profile.payload_bytes.tolist() == sizes[60:]
    assert len(set(sizes)) == 1 or coder.compress != "none"


def test_at_cut_edge_nothing_is_sent_and_the_whole_network_answers(tiny: CardFile) -> None:
    spec = spec_of(tiny, data=DATA, pruning=FILTERS, split={"cut": "edge"})
    profile = measured(spec)
    test = samples_of(spec).test
    answers = pruned_network(spec)(torch.from_numpy(test.images)).argmax(1).numpy()
    assert profile.payload_bytes.tolist() == [0] * 260
    assert profile.correct.tolist() == (answers == test.labels).tolist()
    assert not profile.crosses_link
    assert profile.tail == ()
    assert profile.tail_weight_bytes == 0
    assert profile.boundary_shapes == ((10,),)


COARSE = {"dtype": "int4", "keep": 0.05}


@pytest.mark.parametrize(
    "changes",
    [
        {"codec": {"dtype": "float32"}},
        {"pruning": {"ratio": 0.9}, "codec": COARSE},
        {"pruning": FILTERS, "split": {"cut": "edge"}, "weights": {"dtype": "int8"}},
        {"split": {"cut": "server"}, "codec": COARSE},
    ],
)
def test_beside_every_answer_is_that_of_the_dense_network(
    tiny: CardFile, changes: dict[str, Any]
) -> None:
    spec = spec_of(tiny, data=DATA, **changes)
    profile, samples = measured(spec), samples_of(spec)
    dense = load_network(tiny)
    assert profile.dense_predicted.tolist() == answers_of(dense, samples.test.images)
    validation = answers_of(dense, samples.validation.images)
    assert profile.validation_dense_predicted.tolist() == validation
    assert (profile.predicted.tolist() == profile.dense_predicted.tolist()) == (len(changes) == 1)


def test_the_dense_network_answers_once_for_all_its_prunings(
    tiny: CardFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    specs = [spec_of(tiny, pruning={"ratio": ratio}) for ratio in (0.0, 0.5, 0.9)]
    other = spec_of(tiny, data={"seed": 99})
    monkeypatch.setattr(network_module, "_DENSE_ANSWERS", {})
    asked: list[list[str]] = []

    def spy(graph: Graph, cuts: Any, images: Tensor) -> Any:
        asked.append([name for name, _ in cuts])
        return measure_cuts(graph, cuts, images)

    monkeypatch.setattr(network_module, "measure_cuts", spy)
    for spec in (*specs, other):
        measured(spec)
    assert asked.count(["edge"]) == 2


@pytest.mark.parametrize("codec", CODECS)
def test_at_cut_server_the_image_itself_is_encoded_and_sent(
    tiny: CardFile, codec: dict[str, Any]
) -> None:
    spec = spec_of(tiny, codec=codec, split={"cut": "server"})
    profile = measured(spec)
    coder = Codec(**codec)
    images = samples_of(spec).test.images
    assert profile.payload_bytes.tolist() == [len(coder.encode(image)) for image in images]
    assert profile.crosses_link
    assert profile.head == ()
    assert profile.head_weight_bytes == 0
    assert profile.boundary_shapes == ((1, 8, 8),)


@pytest.mark.parametrize("pruning", [{}, {"ratio": 0.6}, FILTERS])
def test_an_exact_codec_gives_the_same_answers_at_every_cut(
    tiny: CardFile, pruning: dict[str, Any]
) -> None:
    cuts = ["server", *TINY_LAYERS[:-1], "edge"]
    specs = [
        spec_of(tiny, split={"cut": cut}, codec={"dtype": "float32"}, pruning=pruning)
        for cut in cuts
    ]
    profiles = measure_network(specs)
    assert len({tuple(profile.correct) for profile in profiles}) == 1
    assert [profile.operating_point["split"]["cut"] for profile in profiles] == cuts


@pytest.mark.parametrize("pruning", [{}, FILTERS])
def test_cuts_and_codecs_measured_together_are_as_measured_alone(
    tiny: CardFile, pruning: dict[str, Any]
) -> None:
    specs = [
        spec_of(tiny, split={"cut": cut}, codec=codec, pruning=pruning)
        for cut in ("pool2", "server", "edge", "conv1_1", "relu_fc1", "pool2")
        for codec in ({"dtype": "uint8", "compress": "zstd"}, {"dtype": "float16"})
    ]
    assert len({spec.network_key for spec in specs}) == 1
    together = measure_network(specs)
    assert [plain(profile) for profile in together] == [plain(measured(spec)) for spec in specs]


def test_the_number_of_threads_does_not_matter_and_is_left_as_it_was(tiny: CardFile) -> None:
    spec = spec_of(tiny, data=DATA, pruning=FILTERS, codec={"compress": "zstd"})
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = plain(measured(spec))
        assert torch.get_num_threads() == 1
        torch.set_num_threads(2)
        assert plain(measured(spec)) == one
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_profile_says_what_it_was_measured_from(tiny: CardFile) -> None:
    spec = spec_of(tiny, pruning={"ratio": 0.5})
    profile = measured(spec)
    assert (profile.key, profile.network) == (spec.key, "tiny")
    assert profile.operating_point == spec.operating_point
    assert profile.provenance == spec.provenance
    assert profile.answer_bytes == 4 * 10
    assert profile.boundary_shapes == ((6, 4, 4),)
    assert [layer.name for layer in profile.head] == list(TINY_LAYERS[:5])
    assert [layer.name for layer in profile.tail] == list(TINY_LAYERS[5:])


def test_weight_bytes_are_the_layers_of_each_half_in_their_shipping_format(
    tiny: CardFile,
) -> None:
    spec = spec_of(tiny, pruning={"ratio": 0.9})
    profile = measured(spec)
    halves = split_network(pruned_network(spec), spec.scenario.split.cut)
    for half, layers, total in (
        (halves[0], profile.head, profile.head_weight_bytes),
        (halves[1], profile.tail, profile.tail_weight_bytes),
    ):
        arrays = [weight.detach().numpy() for weight in half.parameters()]
        assert total == sum(len(encode_weights(array)) for array in arrays)
        assert total < sum(layer.weight_bytes for layer in layers)
    # Biases are never pruned: 4 + 6 + 8 + 16 + 10 of them.
    pruned = sum(layer.weights - layer.nonzero_weights for layer in profile.layers)
    prunable = sum(layer.weights for layer in profile.layers) - 44
    assert pruned == round(0.9 * prunable)


def test_removing_filters_at_the_cut_shrinks_the_payload_by_their_share(tiny: CardFile) -> None:
    exclude = ["conv1_1", "conv1_2", "fc1", "fc2"]
    pruning = FILTERS | {"ratio": 0.5, "exclude": exclude}
    codec = {"dtype": "float16", "checksum": False}
    whole, half = (
        measured(spec_of(tiny, codec=codec, split={"cut": "pool2"}, pruning=settings))
        for settings in ({}, pruning)
    )
    assert whole.payload_bytes.tolist() == [2 * 8 * 2 * 2] * 50
    assert half.payload_bytes.tolist() == [2 * 4 * 2 * 2] * 50
    assert half.macs < whole.macs


def not_a_number(folder: Path) -> CardFile:
    tensors = load(trained_tiny().checkpoint)
    tensors["conv1_1.weight"][0, 0, 0, 0] = torch.nan
    return write_checkpoint(folder, save(tensors))


@pytest.mark.parametrize("pruning", [{}, {"ratio": 0.5, "normalise": "none"}, FILTERS])
def test_a_network_of_nan_is_refused_with_its_file_and_key(
    tmp_path: Path, pruning: dict[str, Any]
) -> None:
    card_file = not_a_number(tmp_path)
    with pytest.raises(CheckpointError, match="has NaN or infinity in conv1_1.weight") as caught:
        measure_network([spec_of(card_file, pruning=pruning)])
    assert str(caught.value).startswith(str(card_file.checkpoint))


def overflowing(folder: Path) -> CardFile:
    tensors = load(trained_tiny().checkpoint)
    for name in ("conv1_1.weight", "conv2_1.weight", "fc1.weight", "fc2.weight"):
        tensors[name].fill_(1e30)
    return write_checkpoint(folder, save(tensors))


@pytest.mark.parametrize("cut", ["pool2", "edge"])
def test_a_network_that_overflows_is_a_work_error_that_names_its_card(
    tmp_path: Path, cut: str
) -> None:
    card_file = overflowing(tmp_path)
    with pytest.raises(WorkError, match="can't be measured: .*") as caught:
        measure_network([spec_of(card_file, split={"cut": cut})])
    assert str(caught.value).startswith(str(card_file.file))


def test_a_forward_that_asks_for_the_type_of_its_input_is_refused_and_not_measured() -> None:
    class Asking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, source: Tensor) -> Tensor:
            return self.layer(source) if isinstance(source, Tensor) else source

    with pytest.raises(ValueError, match="answer otherwise than the network"):
        traced(Asking(), torch.rand(2, 3))


def test_several_tensors_that_cross_are_sent_each_and_a_lossy_codec_changes_what_the_tail_has() -> (
    None
):
    torch.manual_seed(0)
    network = nn.Sequential(BasicBlock(2, 3, 2), nn.Flatten(), nn.Linear(12, 5)).float().eval()
    images = torch.rand(6, 2, 4, 4, dtype=torch.float32)
    graph, codec = trace(network), Codec("uint8", checksum=False)
    cut = graph.cut("0.bn2")
    (found,) = measure_cuts(graph, [("0.bn2", (codec, codec))], images)
    head, tail = split_graph(graph, cut)
    with torch.inference_mode():
        for row, image in enumerate(images):
            tensors = [tensor[0].numpy() for tensor in head(image[None])]
            payloads = [codec.encode(tensor) for tensor in tensors]
            assert found.payload_bytes[row] == sum(map(len, payloads)) == (32 + 8) + (12 + 8)
            received = [
                torch.from_numpy(codec.decode(payload, tensor.shape)[None])
                for payload, tensor in zip(payloads, tensors, strict=True)
            ]
            assert found.answers[row] == int(tail(*received).argmax(1))


@pytest.mark.parametrize(
    ("pruning", "calibration"), [({}, 0), ({"ratio": 0.5}, 3), (FILTERS | {"delta": 0.3}, 3)]
)
def test_a_network_of_more_classes_than_the_samples_show_is_measured(
    tiny: CardFile, tmp_path: Path, pruning: dict[str, Any], calibration: int
) -> None:
    """Twenty photos, a class each, and labels that are indices of the outputs."""
    samples = evaluation_samples("digits", 1, 1, 600, 0).test
    places = np.flatnonzero(np.isin(samples.labels, [2, 5, 9]))[:40]
    images = (255 * samples.images[places]).round().astype(np.uint8)
    np.savez(tmp_path / "own.npz", images=images, labels=samples.labels[places])
    data = {"calibration": calibration, "validation": 5, "test": 7}
    scenario = scenario_of(data=data, pruning=pruning)
    profile = measured(make_spec(scenario, tiny, open_dataset("own.npz", tmp_path)))
    assert set(profile.labels) <= {2, 5, 9}
    assert profile.predicted.max() < 10
    assert set(profile.recalls.per_class) == set(profile.labels)
