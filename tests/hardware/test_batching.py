from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flexrel_sim.hardware import (
    NetworkTraits,
    TableBatchTime,
    batch_time,
    layer_times,
    linear_batch_time,
    list_devices,
    roofline_batch_time,
    service_time_s,
)
from flexrel_sim.profile import Layer
from flexrel_sim.scenario.device_sections import BatchTimeSection
from tests.builders import make_layer
from tests.hardware.test_roofline import make_device

TRAITS = NetworkTraits("net")
T4 = list_devices()["t4"]

LAYERS = st.lists(
    st.builds(
        make_layer,
        kind=st.sampled_from(["conv2d", "relu"]),
        macs=st.integers(0, 10**9),
        weights=st.integers(1000, 10**7),
        input_bytes=st.integers(0, 10**6),
        output_bytes=st.integers(0, 10**6),
    ),
    max_size=4,
)


def section(**keys: Any) -> BatchTimeSection:
    return BatchTimeSection.model_validate(keys)


@given(LAYERS)
def test_batches_take_longer_and_their_requests_less_each(layers: list[Layer]) -> None:
    sizes = np.arange(1, 65)
    times_s = roofline_batch_time(T4, layers, TRAITS).time_s(sizes)
    assert np.all(np.diff(times_s) >= 0)
    assert np.all(np.diff(times_s / sizes) <= 1e-12 * times_s[0])


@given(LAYERS, st.integers(1, 64), st.sampled_from(["float32", "float16", "int8"]))
def test_the_vectorised_curve_is_the_sum_over_layers(
    layers: list[Layer], batch: int, precision: Any
) -> None:
    traits = NetworkTraits(precision=precision)
    time_s = roofline_batch_time(T4, layers, traits).time_s(batch)
    assert time_s == pytest.approx(service_time_s(T4, layers, batch, traits), rel=1e-12)


def test_weights_are_read_once_per_batch_and_activations_every_time() -> None:
    device = make_device(overhead_per_layer_s=0.5)
    layer = make_layer(macs=0, weights=10**6, input_bytes=10**6, output_bytes=0)
    # 4e6 B of weights, 1e6 B of activations a request, at 1e9 B/s
    assert service_time_s(device, [layer], 3) == pytest.approx(0.5 + 0.004 + 0.003, rel=1e-12)


def test_arithmetic_grows_with_the_batch_where_it_binds() -> None:
    layer = make_layer(macs=10**7, weights=1000)
    assert service_time_s(make_device(), [layer], 4) == pytest.approx(4 * 0.04, rel=1e-12)


def test_narrower_numbers_are_read_faster_and_computed_at_their_own_rate() -> None:
    memory_bound = make_layer(macs=0, weights=10**7, input_bytes=0, output_bytes=0)
    times_s = [
        service_time_s(T4, [memory_bound], 1, NetworkTraits(precision=p)) - T4.overhead_per_layer_s
        for p in ("float32", "float16", "int8")
    ]
    assert times_s == pytest.approx([0.125e-3, 0.0625e-3, 0.03125e-3], rel=1e-9)
    compute_bound = make_layer(macs=10**12)
    fast_s, slow_s = (
        service_time_s(T4, [compute_bound], 1, NetworkTraits(precision=p))
        for p in ("float16", "float32")
    )
    assert slow_s / fast_s == pytest.approx(65 / 8.14, rel=1e-3)


def test_a_profiled_layer_keeps_its_time_at_size_one() -> None:
    table = {"network": "net", "layers": {"fc1": 0.5}, "shapes": {"relu 10": 0.25}, "source": "us"}
    device = type(T4).model_validate(T4.model_dump(mode="json") | {"profiled": table})
    layers = [make_layer(), make_layer(name="relu1", kind="relu"), make_layer(name="fc2")]
    curve = roofline_batch_time(device, layers, TRAITS)
    for batch in (1, 8):
        expected_s = layer_times(device, layers, batch, TRAITS).total_s
        assert curve.time_s(batch) == pytest.approx(expected_s, rel=1e-12)
    assert curve.time_s(1) > 0.75
    assert curve.label == "estimated"


def test_alpha_and_beta_are_a_line() -> None:
    times_s = linear_batch_time(0.002, 0.005).time_s([[1, 2], [4, 8]])
    assert times_s == pytest.approx(np.array([[0.007, 0.009], [0.013, 0.021]]), rel=1e-12)


def test_a_table_is_exact_at_its_sizes_straight_between_and_beyond() -> None:
    table = TableBatchTime(np.array([1.0, 4.0, 8.0]), np.array([0.1, 0.4, 0.6]))
    assert table.time_s([1, 2, 4, 6, 8, 12]) == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.6, 0.8])
    assert TableBatchTime(np.array([1.0]), np.array([0.1])).time_s(9) == pytest.approx(0.1)


@pytest.mark.parametrize("batch", [0, -1, float("nan")])
def test_an_empty_batch_is_refused(batch: float) -> None:
    for curve in (linear_batch_time(1, 1), TableBatchTime(np.array([1.0]), np.array([1.0]))):
        with pytest.raises(ValueError, match="at least one request"):
            curve.time_s(batch)


def test_a_section_picks_its_curve_and_label() -> None:
    estimate = roofline_batch_time(T4, [make_layer(macs=10**9)], TRAITS)
    assert batch_time(section(), estimate) is estimate
    line = batch_time(section(model="linear", per_request="2 ms", per_batch="5 ms"), estimate)
    assert (line.label, float(line.time_s(10))) == ("given", pytest.approx(0.025))
    table = batch_time(section(model="table", sizes=[1, 8], times=["7 ms", "21 ms"]), estimate)
    assert (table.label, float(table.time_s(4.5))) == ("given", pytest.approx(0.014))


def test_a_measured_time_of_one_request_stretches_the_roofline_to_meet_it() -> None:
    estimate = roofline_batch_time(T4, [make_layer(macs=10**9)], TRAITS)
    given_one = batch_time(section(), estimate, 0.5)
    assert given_one.label == "given"
    assert given_one.time_s(1) == pytest.approx(0.5, rel=1e-12)
    stretch = given_one.time_s([1, 7, 30]) / estimate.time_s([1, 7, 30])
    assert stretch == pytest.approx(stretch[0], rel=1e-12)
    nothing = roofline_batch_time(T4, [], TRAITS)
    assert batch_time(section(), nothing, 0.5).time_s([1, 9]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        ({"model": "linear"}, "it needs 'per_request'"),
        ({"model": "linear", "per_request": "1 ms", "sizes": [1]}, "has no 'sizes'"),
        ({"per_request": "1 ms", "times": ["1 s"]}, "has no 'per_request', has no 'times'"),
        ({"model": "table"}, "needs 'sizes', needs 'times'"),
        (
            {"model": "table", "sizes": [2, 2, 1], "times": ["2 s", "1 s"]},
            (
                "as many times as sizes, must start at size 1, must have increasing sizes,"
                " must have times that do not decrease"
            ),
        ),
    ],
)
def test_a_section_that_its_model_cannot_use_is_refused_with_all_reasons(
    keys: dict[str, Any], match: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        section(**keys)
    assert match in caught.value.errors()[0]["ctx"]["rule"]
