from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from flexrel_sim.hardware import (
    Device,
    NetworkTraits,
    SparseKernels,
    SparseTable,
    StructuredKernels,
    layer_time_s,
    list_devices,
)
from flexrel_sim.hardware.sparsity import obeys
from tests.builders import make_layer
from tests.hardware.test_roofline import make_device

TABLE = {"density": [0.1, 0.5], "speedup": [4.0, 2.0]}


def time_s(device: Device, nonzero: int = 1000, **traits: Any) -> float:
    layer = make_layer(macs=10**7, weights=1000, nonzero_weights=nonzero, output_shape=(0,))
    return layer_time_s(device, layer, 1, NetworkTraits(**traits))


def device_of(**changes: Any) -> Device:
    return make_device(compute_flop_per_s=1e9, **changes)


STRUCTURED = device_of(structured_kernels=StructuredKernels(pattern="2:4"), sparse_flop_per_s=1.6e9)


def test_a_pattern_runs_at_the_sparse_rate_on_units_that_know_it() -> None:
    dense_s = time_s(device_of())
    assert time_s(STRUCTURED, 500, pattern="2:4") == pytest.approx(dense_s / 1.6, rel=1e-12)


@pytest.mark.parametrize(
    ("nonzero", "pattern"), [(500, "none"), (10, "none"), (500, "4:8"), (501, "2:4"), (1000, "2:4")]
)
def test_weights_outside_the_pattern_gain_nothing(nonzero: int, pattern: str) -> None:
    assert time_s(STRUCTURED, nonzero, pattern=pattern) == time_s(device_of())


def test_a_pattern_gains_nothing_in_a_format_without_a_sparse_rate() -> None:
    a100 = list_devices()["a100"]
    for precision, gain in (("float32", 1.0), ("float16", 2.0)):
        layer = make_layer(macs=10**12, nonzero_weights=500)
        times_s = [
            layer_time_s(a100, layer, 1, NetworkTraits(pattern=pattern, precision=precision))
            - a100.overhead_per_layer_s
            for pattern in ("none", "2:4")
        ]
        assert times_s[0] / times_s[1] == pytest.approx(gain, rel=1e-9)


def test_biases_are_not_held_against_a_pattern() -> None:
    # 990 weights of which 495 may stay, and 10 biases that always do.
    layer = make_layer(weights=1000, nonzero_weights=505, output_shape=(10,))
    assert obeys(layer, "2:4")
    assert not obeys(make_layer(weights=1000, nonzero_weights=506, output_shape=(10,)), "2:4")
    assert not obeys(make_layer(weights=0, nonzero_weights=0), "2:4")


@pytest.mark.parametrize(
    ("nonzero", "speedup"),
    [(50, 4.0), (100, 4.0), (300, 3.0), (500, 2.0), (750, 1.5), (1000, 1.0)],
)
def test_a_table_is_interpolated_held_below_and_gone_when_dense(
    nonzero: int, speedup: float
) -> None:
    device = device_of(sparse_table=SparseTable(**TABLE))
    assert time_s(device) / time_s(device, nonzero) == pytest.approx(speedup, rel=1e-12)


def test_a_table_that_says_slower_is_answered_with_the_dense_kernel() -> None:
    table = SparseTable(density=[0.5, 1.0], speedup=[0.5, 0.3])
    assert time_s(device_of(sparse_table=table), 700) == time_s(device_of())


@given(
    st.lists(st.floats(0.01, 1), min_size=1, max_size=5, unique=True),
    st.floats(0.1, 10),
    st.integers(0, 1000),
)
def test_no_table_slows_a_layer_down(densities: list[float], speedup: float, nonzero: int) -> None:
    table = SparseTable(density=sorted(densities), speedup=[speedup] * len(densities))
    assert time_s(device_of(sparse_table=table), nonzero) <= time_s(device_of())


def test_a_table_gains_nothing_on_memory_traffic() -> None:
    layer = make_layer(macs=1, weights=10**6, nonzero_weights=10, input_bytes=0, output_bytes=0)
    assert layer_time_s(device_of(sparse_table=SparseTable(**TABLE)), layer) == pytest.approx(4e-3)


def test_of_several_models_the_fastest_counts() -> None:
    kernels = SparseKernels(max_density=0.5, efficiency=0.5)
    both = device_of(sparse_kernels=kernels, sparse_table=SparseTable(**TABLE))
    assert time_s(both, 500) == time_s(device_of(sparse_table=SparseTable(**TABLE)), 500)
    assert time_s(both, 10) == time_s(device_of(sparse_kernels=kernels), 10)
    assert both.speed_models == ("threshold", "table")
    assert device_of().speed_models == ()
    assert STRUCTURED.speed_models == ("structured",)


def test_every_fault_of_a_table_is_told_at_once() -> None:
    with pytest.raises(ValidationError) as caught:
        SparseTable(density=[0.5, 0.1, 2.0], speedup=[1.0, -1.0])
    rule = caught.value.errors()[0]["ctx"]["rule"]
    for part in ("as many speed-ups", "above 0 and at most 1", "must increase", "speed-ups must"):
        assert part in rule


def test_interpolation_agrees_with_numpy_on_the_given_points() -> None:
    table = SparseTable(density=[0.2, 0.6, 1.0], speedup=[5.0, 1.5, 1.0])
    for density in np.linspace(0.2, 1, 17):
        expected = 1 / np.interp(density, table.density, table.speedup)
        assert table.compute_share(float(density)) == pytest.approx(expected, rel=1e-12)
