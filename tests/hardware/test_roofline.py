from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.hardware import FUSED_KINDS, Device, SparseKernels, layer_time_s, service_time_s
from tests.builders import make_layer


def make_device(**changes: Any) -> Device:
    """1 GFLOP/s at half efficiency, 1 GB/s, no overhead."""
    values: dict[str, Any] = {
        "description": "a board",
        "compute_flop_per_s": 1e9,
        "compute_kind": "peak",
        "precision": "float32",
        "efficiency": 0.5,
        "memory_bandwidth_byte_per_s": 1e9,
        "active_power_w": 5.0,
        "source": "its data sheet",
    }
    return Device(**(values | changes))


SPARSE = SparseKernels(max_density=0.5, efficiency=0.25)
COMPUTE_BOUND = make_layer(
    macs=10_000_000, weights=1000, nonzero_weights=1000, input_bytes=400, output_bytes=40
)
MEMORY_BOUND = make_layer(
    macs=1000, weights=1_000_000, nonzero_weights=1_000_000, input_bytes=600, output_bytes=400
)


def test_a_compute_bound_layer_takes_two_flops_per_mac_at_the_efficient_rate() -> None:
    # 2e7 FLOP / (0.5 * 1e9 FLOP/s)
    assert layer_time_s(make_device(), COMPUTE_BOUND) == pytest.approx(0.04, rel=1e-15)


def test_a_memory_bound_layer_takes_its_float32_weights_and_activations() -> None:
    # (4e6 + 600 + 400) B / 1e9 B/s
    assert layer_time_s(make_device(), MEMORY_BOUND) == pytest.approx(4.001e-3, rel=1e-15)


def test_every_layer_pays_the_overhead_on_top() -> None:
    device = make_device(overhead_per_layer_s=0.001)
    assert layer_time_s(device, COMPUTE_BOUND) == pytest.approx(0.041, rel=1e-15)
    assert layer_time_s(device, MEMORY_BOUND) == pytest.approx(5.001e-3, rel=1e-15)


@pytest.mark.parametrize("kind", sorted(FUSED_KINDS))
def test_a_fused_layer_costs_nothing_at_all(kind: str) -> None:
    device = make_device(overhead_per_layer_s=1.0)
    assert layer_time_s(device, make_layer(kind=kind, macs=10**9)) == 0.0


def test_a_pooling_layer_is_not_free() -> None:
    layer = make_layer(kind="maxpool2d", macs=0, weights=0, nonzero_weights=0)
    # (400 + 40) B / 1e9 B/s
    assert layer_time_s(make_device(), layer) == pytest.approx(4.4e-7, rel=1e-15)


def test_a_half_takes_the_sum_of_its_layers_and_an_empty_one_nothing() -> None:
    device = make_device()
    assert service_time_s(device, [COMPUTE_BOUND, MEMORY_BOUND]) == pytest.approx(0.044001)
    assert service_time_s(device, []) == 0


@given(st.integers(0, 1000))
def test_zeros_speed_nothing_up_without_sparse_kernels(nonzero: int) -> None:
    layer = make_layer(macs=10**7, nonzero_weights=nonzero)
    assert layer_time_s(make_device(), layer) == layer_time_s(make_device(), COMPUTE_BOUND)


def test_zeros_speed_a_compute_bound_layer_up_with_sparse_kernels() -> None:
    layer = make_layer(macs=10**7, nonzero_weights=100)
    # density 0.1 at a quarter of the dense speed per weight: 0.4 of 0.04 s
    time_s = layer_time_s(make_device(sparse_kernels=SPARSE), layer)
    assert time_s == pytest.approx(0.016, rel=1e-14)


def test_sparse_kernels_leave_a_layer_denser_than_their_limit_alone() -> None:
    device = make_device(sparse_kernels=SparseKernels(max_density=0.2, efficiency=1.0))
    dense_s = layer_time_s(make_device(), COMPUTE_BOUND)
    assert layer_time_s(device, make_layer(macs=10**7, nonzero_weights=201)) == dense_s
    assert layer_time_s(device, make_layer(macs=10**7, nonzero_weights=199)) < dense_s


def test_sparse_kernels_gain_nothing_on_memory_traffic() -> None:
    layer = make_layer(macs=1000, weights=10**6, nonzero_weights=1, input_bytes=0, output_bytes=0)
    assert layer_time_s(make_device(sparse_kernels=SPARSE), layer) == pytest.approx(4e-3)


@given(st.integers(0, 1000), st.floats(0.01, 1), st.floats(0.01, 1))
def test_sparse_kernels_never_slow_a_layer_down(
    nonzero: int, max_density: float, efficiency: float
) -> None:
    kernels = SparseKernels(max_density=max_density, efficiency=efficiency)
    layer = make_layer(macs=10**7, nonzero_weights=nonzero)
    device = make_device(sparse_kernels=kernels)
    assert layer_time_s(device, layer) <= layer_time_s(make_device(), layer)


def test_fewer_macs_and_weights_after_structured_pruning_take_less_time() -> None:
    pruned = make_layer(macs=5_000_000, weights=500, nonzero_weights=500)
    half_s = layer_time_s(make_device(), COMPUTE_BOUND) / 2
    assert layer_time_s(make_device(), pruned) == pytest.approx(half_s)
