import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from flexrel_sim.links import constant
from flexrel_sim.links.delivery import delivered_s, delivery_state
from flexrel_sim.links.direction import Direction, Jitter, Loss, Packets
from flexrel_sim.links.transfers import new_channel, transfers, uniforms

UDP = Packets(1500, 28, 38)
TCP = Packets(1500, 52, 38)
BURSTS = Loss(0.001, 0.8, 0.02, 0.25)


def direction(**changes):
    values = {"name": "uplink", "capacity": constant(100e6), "packets": UDP, "attempts": 8}
    if changes.get("transport", "udp-arq") in ("ideal", "udp"):
        values["attempts"] = 1
    return Direction(**(values | {"transport": "udp-arq"} | changes))


def drawn(sizes, seed=0, **changes):
    made = direction(**changes)
    return transfers(made, np.array(sizes, dtype=np.int64), np.random.default_rng(seed))


def test_an_ideal_message_is_its_payload_and_takes_no_draw():
    rng = np.random.default_rng(1)
    plain = Direction("uplink", constant(1e6))
    result = transfers(plain, np.array([0, 1, 150_000]), rng)
    assert result.wire_bytes.tolist() == [0, 1, 150_000]
    assert not result.extra_delay_s.any()
    assert not result.lost.any()
    assert rng.random() == np.random.default_rng(1).random()


def test_headers_come_with_every_packet():
    sizes = [0, 1, 1472, 1473]
    assert drawn(sizes, transport="udp").wire_bytes.tolist() == [66, 67, 1538, 1605]


def test_tcp_over_ethernet_carries_941_permille_of_the_rate():
    assert TCP.payload_bytes == 1448
    assert pytest.approx(1448 / 1538) == TCP.efficiency == pytest.approx(0.941, abs=5e-4)


def test_a_cold_150_kb_at_100_mbit_per_s_and_50_ms_waits_three_round_trips():
    result = drawn([150_000], transport="tcp-cold", packets=TCP, round_trip_s=0.05)
    assert pytest.approx(0.012) == 8 * 150_000 / 100e6
    assert result.extra_delay_s[0] == pytest.approx(0.150)
    # On the wire 104 headers go with it.
    assert result.wire_bytes[0] == 150_000 + 104 * 90


def test_a_warm_connection_waits_for_nothing():
    result = drawn([150_000], transport="tcp-warm", packets=TCP, round_trip_s=0.05)
    assert result.extra_delay_s[0] == 0


def test_a_datagram_message_is_lost_with_any_of_its_packets_and_its_bytes_are_sent():
    count, packets, loss = 40_000, 5, 0.05
    result = drawn([packets * 1472] * count, transport="udp", loss=Loss(loss))
    expected = 1 - (1 - loss) ** packets
    assert stats.binomtest(int(result.lost.sum()), count, expected).pvalue > 1e-4
    assert (result.wire_bytes == packets * 1538).all()
    assert not result.retransmissions.any()


def test_retransmissions_are_geometric_and_their_bytes_occupy_the_link():
    count, packets, loss = 20_000, 4, 0.1
    made = direction(loss=Loss(loss), attempts=100, round_trip_s=0.02)
    result = drawn([packets * 1472] * count, loss=Loss(loss), attempts=100, round_trip_s=0.02)
    tries = result.retransmissions + packets
    error = math.sqrt(packets * loss) / (1 - loss) / math.sqrt(count)
    assert tries.mean() == pytest.approx(packets / (1 - loss), abs=4 * error)
    assert (result.wire_bytes == 1538 * tries).all()
    assert made.mean_wire_bytes(packets * 1472) == pytest.approx(1538 * packets / (1 - loss))
    assert not result.lost.any()


def test_each_further_round_adds_one_round_trip():
    # P(rounds <= k) = (1 - p^k)^n, so the mean number of further rounds is a sum over k.
    count, packets, loss = 20_000, 4, 0.1
    result = drawn([packets * 1472] * count, loss=Loss(loss), attempts=100, round_trip_s=0.02)
    rounds = result.extra_delay_s / 0.02
    np.testing.assert_allclose(rounds, np.rint(rounds), atol=1e-9)
    expected = sum(1 - (1 - loss**k) ** packets for k in range(1, 60))
    assert rounds.mean() == pytest.approx(expected, abs=4 * rounds.std() / math.sqrt(count))


def test_after_the_last_attempt_a_message_is_given_up():
    count, loss = 40_000, 0.3
    result = drawn([1] * count, loss=Loss(loss), attempts=3, round_trip_s=0.02)
    assert stats.binomtest(int(result.lost.sum()), count, loss**3).pvalue > 1e-4
    assert (result.retransmissions[result.lost] == 2).all()
    # Given up at once, and not a round trip later.
    assert result.extra_delay_s.max() == pytest.approx(0.04)
    made = direction(loss=Loss(loss), attempts=3)
    assert made.mean_wire_bytes(1) == pytest.approx(67 * (1 + loss + loss**2))


def test_a_channel_that_loses_everything_costs_every_attempt():
    made = direction(loss=Loss(0.0, 1.0, 1.0, 1e-300), attempts=4)
    assert made.loss.mean == 1
    assert made.mean_wire_bytes(1) == 4 * 67


def test_a_lone_tcp_segment_waits_for_the_timeout_and_doubles_it():
    result = drawn([1] * 4000, transport="tcp-warm", packets=TCP, loss=Loss(0.3), round_trip_s=0.02)
    waits = {0: 0.0, 1: 1.0, 2: 3.0, 3: 7.0}
    for retries, wait_s in waits.items():
        found = result.extra_delay_s[(result.retransmissions == retries) & ~result.lost]
        assert found.size > 0
        np.testing.assert_allclose(found, wait_s)


def test_tcp_learns_of_a_loss_by_three_duplicates_within_a_round_trip():
    sizes = [20 * 1448] * 4000
    result = drawn(sizes, transport="tcp-warm", packets=TCP, loss=Loss(0.01), round_trip_s=0.02)
    once = (result.retransmissions == 1) & (result.extra_delay_s < 1)
    assert once.sum() > 100
    np.testing.assert_allclose(result.extra_delay_s[once], 0.02)


def test_bursts_lose_the_stationary_share_and_come_together():
    count = 100_000
    lost = drawn([1] * count, transport="udp", loss=BURSTS).lost.astype(float)
    memory = 1 - BURSTS.enter_bad - BURSTS.leave_bad
    spread = BURSTS.loss_bad - BURSTS.loss_good
    bad = BURSTS.bad_share
    # A hidden chain's covariance at lag k is bad (1 - bad) spread^2 memory^k.
    covariance = bad * (1 - bad) * spread**2 * memory
    variance = BURSTS.mean * (1 - BURSTS.mean)
    inflation = variance + 2 * covariance / (1 - memory)
    assert lost.mean() == pytest.approx(BURSTS.mean, abs=4 * math.sqrt(inflation / count))
    centred = lost - BURSTS.mean
    products = centred[1:] * centred[:-1]
    blocks = products[: count // 100 * 100 - 100].reshape(-1, 100).mean(axis=1)
    error = blocks.std(ddof=1) / math.sqrt(blocks.size)
    assert products.mean() == pytest.approx(covariance, abs=4 * error)


@given(
    st.lists(st.integers(0, 20_000), max_size=20),
    st.integers(0, 20),
    st.sampled_from([Loss(0.2), BURSTS]),
)
def test_where_messages_are_cut_into_chunks_changes_nothing(sizes, cut, loss):
    made = direction(loss=loss, jitter=Jitter("exponential", 0.01, 0.005), round_trip_s=0.1)
    payloads = np.array(sizes, dtype=np.int64)
    whole = transfers(made, payloads, np.random.default_rng(3))
    rng, channel = np.random.default_rng(3), new_channel()
    parts = [transfers(made, part, rng, channel) for part in (payloads[:cut], payloads[cut:])]
    for index, column in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[index] for part in parts]), column)


def test_another_size_of_one_message_leaves_the_others_their_chance():
    few = drawn([1472, 5 * 1472, 1472] * 50, transport="udp", loss=Loss(0.3))
    many = drawn([1472, 9 * 1472, 1472] * 50, transport="udp", loss=Loss(0.3))
    others = np.arange(150) % 3 != 1
    np.testing.assert_array_equal(few.lost[others], many.lost[others])


@pytest.mark.parametrize(
    ("jitter", "law"),
    [
        (Jitter("uniform", 0.01, 0.005), stats.uniform(0, 0.02)),
        (Jitter("exponential", 0.01, 0.005), stats.expon(scale=0.01)),
        (Jitter("normal", 0.01, 0.005), stats.truncnorm(-2, 2, loc=0.01, scale=0.005)),
    ],
)
def test_jitter_has_its_distribution(jitter, law):
    delays = drawn([1] * 20_000, transport="udp", jitter=jitter).extra_delay_s
    assert stats.kstest(delays, law.cdf).pvalue > 1e-3
    assert law.mean() == pytest.approx(0.01)


def test_the_compiled_random_numbers_are_those_of_numpy():
    keys = np.random.default_rng(0).integers(0, 2**64, size=5000, dtype=np.uint64)
    odds = 0.25
    lost = drawn([1] * 5000, transport="udp", loss=Loss(odds)).lost
    # The second draw of each key decides on its only packet; the first is the channel's.
    np.testing.assert_array_equal(lost, uniforms(keys, 1) < odds)


def test_the_random_numbers_are_uniform():
    keys = np.random.default_rng(2).integers(0, 2**64, size=20_000, dtype=np.uint64)
    for draw in (0, 1, 2**62):
        assert stats.kstest(uniforms(keys, draw), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(uniforms(keys, 0), uniforms(keys, 1))[0, 1]) < 4 / math.sqrt(20_000)


def test_propagation_occupies_nothing():
    from flexrel_sim.links.direction import Buffer
    from flexrel_sim.links.fifo import fifo, fifo_state

    slow = direction(delay_s=0.5, transport="ideal", packets=Packets(), capacity=constant(8e3))
    arrivals = np.arange(0.0, 20.0, 0.5)
    sizes = np.full(arrivals.size, 100, dtype=np.int64)
    sent = fifo(arrivals, sizes, slow.capacity, Buffer(), fifo_state())
    nobody, late_s = np.zeros(arrivals.size, np.int32), np.zeros(arrivals.size)
    there = delivered_s(slow, nobody, sent.end_s, late_s, delivery_state(1))
    np.testing.assert_allclose(there - arrivals, 0.1 + 0.5)


def test_a_mean_payload_gives_the_mean_time_that_it_occupies_the_direction():
    plain = Direction("uplink", constant(8e3))
    assert plain.mean_wire_bytes(10.5) == 10.5
    assert plain.mean_transmission_s(500.0) == 0.5
    assert direction(transport="udp").mean_wire_bytes(1473) == 1605
