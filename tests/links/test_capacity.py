import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.links import Opportunities, PiecewiseConstant, TokenBucket, constant
from flexrel_sim.links.direction import Buffer
from flexrel_sim.links.fifo import fifo, fifo_state
from tests.links.capacities import messages, opportunities, piecewise
from tests.links.slow import exact_bucket_s, exact_finish_s, slow_mahimahi


def test_a_constant_rate_takes_eight_bits_per_byte():
    assert constant(10e6).sender().finish_s(0.3, 1250, waited=False) == 0.3 + 0.001


@given(piecewise(), st.lists(st.tuples(st.floats(0, 200), st.integers(0, 20_000)), max_size=8))
def test_a_piecewise_finish_is_that_of_exact_arithmetic(capacity, sent):
    sender = capacity.sender()
    for start_s, wire_bytes in sent:
        exact = exact_finish_s(capacity, start_s, wire_bytes)
        assert sender.finish_s(start_s, wire_bytes, waited=False) == pytest.approx(
            float(exact), rel=1e-12, abs=1e-9
        )


def test_a_message_that_fills_a_piece_does_not_wait_for_the_end_of_an_outage():
    # 8 n / (8 n / length) seconds: some of these round beyond the length.
    for length_s, shift_s in itertools.product((0.1, 0.3, 0.7, 1.1), (0.0, 4096.3)):
        for size in range(1, 400):
            starts_s = np.array([0.0, shift_s + length_s])
            capacity = PiecewiseConstant(
                starts_s, np.array([8 * size / length_s, 0.0]), shift_s + length_s + 100.0
            )
            finish_s = capacity.sender().finish_s(shift_s, size, waited=False)
            assert finish_s == pytest.approx(shift_s + length_s, abs=1e-9)
            state = fifo_state()
            arrival, sizes = np.array([shift_s]), np.array([size])
            assert fifo(arrival, sizes, capacity, Buffer(), state).end_s[0] == finish_s


def test_a_start_at_the_very_end_of_a_cycle_is_in_the_next_one():
    # Multiples of 0.1 round to either side of a cycle's end; the ends decide, in both forms.
    capacity = PiecewiseConstant(np.array([0.0, 0.05]), np.array([8e3, 0.0]), 0.1)
    for cycle in range(2000):
        for start_s in (cycle * 0.1, np.nextafter(cycle * 0.1, 0.0), cycle / 10):
            finish_s = capacity.sender().finish_s(start_s, 10, waited=False)
            assert finish_s - start_s == pytest.approx(0.01, abs=1e-9)
            state = fifo_state()
            arrival = np.array([start_s])
            assert fifo(arrival, np.array([10]), capacity, Buffer(), state).end_s[0] == finish_s


@given(piecewise(), st.floats(0, 100), st.integers(1, 20_000))
def test_what_is_carried_until_the_finish_is_the_message(capacity, start_s, wire_bytes):
    finish_s = capacity.sender().finish_s(start_s, wire_bytes, waited=False)
    before, after = capacity.sent_bytes([start_s, finish_s])
    assert after - before == pytest.approx(wire_bytes, rel=1e-9, abs=1e-6)


@given(piecewise(), st.floats(1, 1e5))
def test_the_time_of_a_count_is_the_first_at_which_it_is_reached(capacity, count):
    time_s = float(capacity.time_of(count))
    assert capacity.sent_bytes(time_s) == pytest.approx(count, rel=1e-9)
    assert capacity.sent_bytes(time_s - 1e-6) < count


@given(piecewise())
def test_the_mean_rate_is_what_a_long_busy_time_carries(capacity):
    sent = np.diff(capacity.sent_bytes([1e6, 2e6]))[0]
    length_s = capacity.period_s if capacity.repeats else 0.0
    slack = max(capacity.rate_bit_per_s) * length_s / 1e6
    assert 8 * sent / 1e6 == pytest.approx(capacity.mean_rate_bit_per_s, abs=slack + 1e-6)


def test_rates_are_those_of_their_pieces_and_repeat():
    capacity = PiecewiseConstant(np.array([0.0, 1.0, 2.0]), np.array([5.0, 0.0, 7.0]), 4.0, 1.0)
    assert capacity.rate_at([0.5, 1.0, 3.9, 4.0, 5.5, 7.0]).tolist() == [5, 0, 7, 0, 7, 0]
    assert not capacity.is_constant
    assert capacity.period_s == 3.0


@given(opportunities(), messages())
def test_opportunities_are_burnt_as_mahimahi_does(capacity, sent):
    arrivals, sizes = sent
    sizes = np.maximum(sizes, 1)
    stamps_ms = np.rint(1e3 * capacity.stamp_s).astype(int).tolist()
    slow = slow_mahimahi(stamps_ms, arrivals.tolist(), sizes.tolist())
    sender, free = capacity.sender(), 0.0
    for arrival, size, expected in zip(arrivals, sizes, slow, strict=True):
        free = sender.finish_s(max(free, float(arrival)), int(size), waited=free > arrival)
        assert free == pytest.approx(expected, abs=1e-9)


def test_an_opportunity_is_1504_bytes_and_one_per_ms_is_12_mbit_per_s():
    capacity = Opportunities(np.arange(1, 1001) / 1e3)
    assert capacity.mean_rate_bit_per_s == pytest.approx(12.032e6)
    assert capacity.sent_bytes([0.0, 0.0015, 1.0, 2.0]).tolist() == [0, 1504, 1504e3, 2 * 1504e3]


def test_waiting_messages_share_an_opportunity_and_a_late_one_does_not():
    sender = Opportunities(np.array([0.005, 0.009, 0.020])).sender()
    assert sender.finish_s(0.0, 700, waited=False) == 0.005
    assert sender.finish_s(0.005, 700, waited=True) == 0.005
    # 104 bytes are left, but this one comes at the very moment of the opportunity.
    assert sender.finish_s(0.005, 100, waited=False) == 0.009


def test_a_partly_sent_message_goes_on_at_the_next_opportunity_and_stamps_wrap_at_the_last():
    sender = Opportunities(np.array([0.004, 0.010])).sender()
    assert sender.finish_s(0.0, 4000, waited=False) == pytest.approx(0.014)
    assert sender.finish_s(0.014, 512, waited=True) == pytest.approx(0.014)
    assert sender.finish_s(0.014, 1, waited=True) == pytest.approx(0.020)


def test_repeated_stamps_are_several_opportunities():
    sender = Opportunities(np.array([0.003, 0.003, 0.008])).sender()
    assert sender.finish_s(0.0, 3008, waited=False) == 0.003


def test_a_bucket_bursts_at_its_peak_and_then_keeps_its_rate():
    # 1000 B/s of tokens, 500 B of burst, 2000 B/s of peak: tokens last 0.5 s, for 1000 B.
    sender = TokenBucket(8e3, 500, 16e3).sender()
    assert sender.finish_s(0.0, 2000, waited=False) == pytest.approx(0.5 + 1.0)
    assert sender.finish_s(1.5, 100, waited=True) == pytest.approx(1.6)
    # After 0.25 s of rest there are 250 tokens, which the peak stretches to 500 B.
    assert sender.finish_s(1.85, 500, waited=False) == pytest.approx(2.1)


def test_a_bucket_without_a_peak_passes_its_burst_at_once():
    sender = TokenBucket(8e3, 500).sender()
    assert sender.finish_s(2.0, 500, waited=False) == 2.0
    assert sender.finish_s(2.0, 500, waited=True) == 2.5


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_a_bucket_that_is_never_idle_carries_what_its_curve_says(sizes):
    bucket = TokenBucket(8e3, 500, 16e3)
    sender, free = bucket.sender(), 0.0
    for size in sizes:
        free = sender.finish_s(free, size, waited=True)
    assert bucket.sent_bytes(free) == pytest.approx(sum(sizes), rel=1e-9)
    assert bucket.mean_rate_bit_per_s == 8e3


def test_a_bucket_without_a_peak_has_carried_its_burst_from_the_start():
    assert TokenBucket(8e3, 500).sent_bytes([0.0, 1.0]).tolist() == [500, 1500]


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: PiecewiseConstant(np.array([0.0, 1.0]), np.array([1.0])), "one rate per start"),
        (lambda: PiecewiseConstant(np.array([1.0]), np.array([1.0])), "start at 0"),
        (lambda: PiecewiseConstant(np.array([0.0, 0.0]), np.array([1.0, 1.0])), "ascending"),
        (lambda: PiecewiseConstant(np.array([0.0, 5.0]), np.array([1.0, 1.0]), 5.0), "end before"),
        (lambda: constant(-1.0), "at least zero"),
        (lambda: constant(math.nan), "finite"),
        (lambda: constant(0.0), "zero for ever"),
        (
            lambda: PiecewiseConstant(np.array([0.0, 1.0]), np.array([9.0, 0.0]), 2.0, 1.0),
            "zero for ever",
        ),
        (
            lambda: PiecewiseConstant(np.array([0.0, 1.0]), np.array([9.0, 1.0]), 2.0, 0.5),
            "repeat from the start of a piece",
        ),
        (lambda: Opportunities(np.array([])), "at least one stamp"),
        (lambda: Opportunities(np.array([2.0, 1.0])), "never descend"),
        (lambda: Opportunities(np.array([0.0])), "above zero"),
        (lambda: Opportunities(np.array([1.0]), 0), "more than zero bytes"),
        (lambda: TokenBucket(0.0, 1.0), "positive rate"),
        (lambda: TokenBucket(8.0, 1.0, 8.0), "peak above"),
    ],
)
def test_a_capacity_that_means_nothing_is_refused(make, rule):
    with pytest.raises(ValueError, match=rule):
        make()


BUCKETS = [
    TokenBucket(512.0, 128.0, 4096.0),
    TokenBucket(1e6, 1500.0, 7e6),
    TokenBucket(3e6, 40_000.0),
]


def compiled_finishes_s(capacity, starts_s, sizes):
    sent = fifo(np.array(starts_s), np.array(sizes), capacity, Buffer(), fifo_state())
    return sent.end_s


def stepwise_finishes_s(capacity, starts_s, sizes):
    sender, free_s, ends_s = capacity.sender(), 0.0, []
    for came_s, size in zip(starts_s, sizes, strict=True):
        free_s = sender.finish_s(max(came_s, free_s), size, waited=free_s > came_s)
        ends_s.append(free_s)
    return ends_s


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), max_size=40))
def test_a_bucket_is_exact_where_times_are_and_so_is_every_tie(messages):
    starts_s = np.cumsum([gap for gap, _ in messages]) / 64
    sizes = [32 * size for _, size in messages]
    capacity = BUCKETS[0]
    exact_s = exact_bucket_s(capacity, starts_s, sizes)
    for finishes_s in (compiled_finishes_s, stepwise_finishes_s):
        found_s = finishes_s(capacity, starts_s, sizes)
        assert [Fraction(float(end_s)) for end_s in found_s] == exact_s


@pytest.mark.parametrize("capacity", BUCKETS)
@pytest.mark.parametrize("load", [0.5, 1.5])
def test_a_buckets_rounding_does_not_add_up(capacity, load):
    rng = np.random.default_rng(1)
    sizes = rng.integers(1, 3000, 3000)
    gaps_s = rng.exponential(8 * 1500 / capacity.rate_bit_per_s / load, 3000)
    starts_s = np.cumsum(gaps_s)
    exact_s = np.array([float(end_s) for end_s in exact_bucket_s(capacity, starts_s, sizes)])
    compiled_s = compiled_finishes_s(capacity, starts_s, sizes)
    assert compiled_s.tolist() == stepwise_finishes_s(capacity, starts_s, sizes)
    np.testing.assert_allclose(compiled_s, exact_s, rtol=4e-16 * 2, atol=0)
