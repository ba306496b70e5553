import math

import numpy as np
import pytest
import yaml

from flexrel_sim.errors import ScenarioError
from flexrel_sim.links import Opportunities, PiecewiseConstant, TokenBucket
from flexrel_sim.links.direction import Buffer, Jitter, Loss, Packets
from flexrel_sim.links.resolve import is_random, resolve
from flexrel_sim.links.tcp import loss_ceiling_packets_per_s
from flexrel_sim.scenario.schema import LinkSection


def section(uplink, downlink="1 Mbit/s", delay="25 ms", **more):
    data = {"uplink": uplink, "downlink": downlink, "delay": delay, **more}
    return LinkSection.model_validate(
        {k: yaml.safe_load(v) if isinstance(v, str) else v for k, v in data.items()}
    )


def uplink(folder, text, rng=None, **more):
    return resolve(section(text, **more), folder, rng).uplink


def test_a_plain_rate_is_an_ideal_direction(tmp_path):
    up, down, warnings = resolve(section("10 Mbit/s", "20 Mbit/s"), tmp_path)
    assert (up.name, down.name, warnings) == ("uplink", "downlink", [])
    assert up.capacity.is_constant
    assert (up.mean_rate_bit_per_s, down.mean_rate_bit_per_s) == (10e6, 20e6)
    assert (up.delay_s, up.round_trip_s, up.transport) == (0.025, 0.05, "ideal")
    assert (up.packets, up.buffer, up.loss, up.jitter) == (Packets(), Buffer(), None, None)


def test_every_kind_of_capacity_is_made(tmp_path):
    (tmp_path / "a.trace").write_text("1\n4\n")
    trace = uplink(tmp_path, "{trace: a.trace, format: mahimahi}").capacity
    assert isinstance(trace, Opportunities)
    bucket = uplink(tmp_path, "{token_bucket: {rate: 1 Mbit/s, burst: 10 kB}}").capacity
    assert bucket == TokenBucket(1e6, 10e3)
    peak = uplink(tmp_path, "{token_bucket: {rate: 1 Mbit/s, burst: 1 kB, peak: 9 Mbit/s}}")
    assert peak.capacity.peak_bit_per_s == 9e6
    steps = uplink(tmp_path, "{schedule: [[0 s, 1 Mbit/s], [2 s, 0 bit/s]], repeat: 4 s}").capacity
    assert steps.start_s.tolist() == [0, 2]
    assert steps.rate_bit_per_s.tolist() == [1e6, 0]
    assert (steps.end_s, steps.mean_rate_bit_per_s) == (4, 5e5)
    last = uplink(tmp_path, "{schedule: [[0 s, 1 Mbit/s], [2 s, 3 Mbit/s]]}").capacity
    assert (last.repeats, last.mean_rate_bit_per_s) == (False, 3e6)
    made = uplink(tmp_path, "{generate: wifi, mean: 7 Mbit/s, duration: 20 s}").capacity
    assert (made.end_s, made.mean_rate_bit_per_s) == (20, pytest.approx(7e6))
    assert uplink(tmp_path, "{rate: 3 Mbit/s}").mean_rate_bit_per_s == 3e6


def test_a_csv_trace_is_read_with_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("t,bw_ul\n0,1\n1,2\n")
    text = "{trace: a.csv, format: csv, columns: {time: t s, rate: bw_ul Mbit/s}}"
    assert uplink(tmp_path, text).capacity.rate_bit_per_s.tolist() == [1e6, 2e6]


@pytest.mark.parametrize(
    ("transport", "packets"),
    [
        ("ideal", Packets(1500, 0, 0)),
        ("udp", Packets(1500, 28, 38)),
        ("udp-arq", Packets(1500, 28, 38)),
        ("tcp-warm", Packets(1500, 52, 38)),
        ("tcp-cold", Packets(1500, 52, 38)),
    ],
)
def test_a_transport_brings_its_headers(tmp_path, transport, packets):
    assert uplink(tmp_path, f"{{rate: 1 Mbit/s, transport: {transport}}}").packets == packets


def test_options_reach_the_direction(tmp_path):
    up = uplink(
        tmp_path,
        "{rate: 1 Mbit/s, transport: udp-arq, mtu: 576 B, header: 40 B, frame: 4 B, attempts: 3,"
        " loss: {gilbert_elliott: {enter_bad: 0.01, leave_bad: 0.2, loss_bad: 0.9}},"
        " jitter: {mean: 4 ms, distribution: normal, in_order: false},"
        " buffer: {size: 64 kB, messages: 7}}",
    )
    assert (up.packets, up.attempts) == (Packets(576, 40, 4), 3)
    assert up.loss == Loss(0.0, 0.9, 0.01, 0.2)
    assert up.jitter == Jitter("normal", 0.004, 0.002)
    assert (up.in_order, up.buffer) == (False, Buffer(64e3, 7))


def test_a_loss_or_jitter_of_zero_is_none(tmp_path):
    text = "{rate: 1 Mbit/s, transport: udp, loss: {bernoulli: 0}, jitter: {mean: 0 s}}"
    up = uplink(tmp_path, text)
    assert (up.loss, up.jitter) == (None, None)


@pytest.mark.parametrize(
    ("options", "in_order"),
    [
        ("transport: ideal", True),
        ("transport: udp-arq", False),
        ("transport: udp, jitter: {mean: 1 ms}", True),
        ("transport: udp, jitter: {mean: 1 ms, in_order: false}", False),
        ("transport: tcp-warm, jitter: {mean: 1 ms, in_order: false}", True),
    ],
)
def test_order_is_kept_by_tcp_and_where_jitter_says_so(tmp_path, options, in_order):
    assert uplink(tmp_path, f"{{rate: 1 Mbit/s, {options}}}").in_order == in_order


def test_losses_give_every_tcp_connection_a_ceiling_and_leave_the_wire_its_rate(tmp_path):
    text = (
        "{{schedule: [[0 s, 1 Mbit/s], [1 s, 1 Gbit/s]], transport: {},"
        " loss: {{bernoulli: 0.001}}}}"
    )
    ceiling = 8 * 1538 * loss_ceiling_packets_per_s(0.001, 0.05)
    warm = uplink(tmp_path, text.format("tcp-warm"))
    assert warm.capacity.rate_bit_per_s.tolist() == [1e6, 1e9]
    assert warm.connection is not None
    assert warm.connection.rate_bit_per_s == pytest.approx(ceiling)
    # Below 1 % of loss a window comes back in a round trip: Mathis' square-root law.
    assert warm.connection.window_s == pytest.approx(0.05)
    assert warm.connection.window_bytes == pytest.approx(1538 * math.sqrt(1500))
    # Datagrams are sent as fast as the link goes, and so is TCP that loses nothing.
    assert uplink(tmp_path, text.format("udp")).connection is None
    assert uplink(tmp_path, "{rate: 1 Mbit/s, transport: tcp-warm}").connection is None


def test_a_ceiling_that_no_distance_makes_is_none(tmp_path):
    lossy = "{{rate: 1 Gbit/s, transport: tcp-warm, loss: {{bernoulli: {}}}}}"
    link = section(lossy.format(0.001), lossy.format(0.02), delay="0 s")
    up, down, _ = resolve(link, tmp_path)
    assert up.connection is None
    # From 1 % on timeouts take their time, however near the other end.
    assert down.connection is not None


@pytest.mark.parametrize(
    "text",
    [
        "{markov: {rates: [1 Mbit/s, 9 Mbit/s], dwell: [1 s, 1 s]}, duration: 60 s%s}",
        "{generate: lte, duration: 60 s%s}",
        "{generate: 5g, duration: 60 s%s}",
        "{rate: 5 Mbit/s, outage: {mean_up: 5 s, mean_down: 1 s, duration: 60 s%s}}",
    ],
)
def test_a_seed_fixes_a_draw_and_without_one_the_generator_does(tmp_path, text):
    fixed, free = text % ", seed: 4", text % ""
    rates = [
        uplink(tmp_path, text, np.random.default_rng(seed)).capacity
        for text, seed in ((fixed, 1), (fixed, 2), (free, 1), (free, 2), (free, 1))
    ]
    times = [rate.start_s.tolist() + rate.rate_bit_per_s.tolist() for rate in rates]
    assert times[0] == times[1]
    assert times[2] == times[4] != times[3]
    assert (is_random(section(fixed)), is_random(section(free))) == (False, True)


def test_a_link_without_draws_is_not_random(tmp_path):
    assert not is_random(section("1 Mbit/s", "{rate: 1 Mbit/s, outage: {windows: [[1 s, 2 s]]}}"))


def test_both_directions_draw_apart(tmp_path):
    text = "{generate: lte, duration: 10 s}"
    up, down, _ = resolve(section(text, text), tmp_path)
    assert up.capacity.rate_bit_per_s.tolist() != down.capacity.rate_bit_per_s.tolist()


def test_an_outage_is_laid_over_the_capacity(tmp_path):
    up = uplink(tmp_path, "{rate: 8 kbit/s, outage: {windows: [[1 s, 3 s]]}}")
    assert up.capacity.sender().finish_s(0.5, 1000, waited=False) == 3.5
    assert isinstance(up.capacity, PiecewiseConstant)


@pytest.mark.parametrize(
    ("direction", "name", "options", "warned"),
    [
        ("uplink", "lte.down", "format: mahimahi", "its name says downlink"),
        ("uplink", "Verizon_downlink_3.txt", "format: mahimahi", "its name says downlink"),
        ("uplink", "x.log", "format: norway", "norway traces are downlinks"),
        ("uplink", "x.log", "format: pensieve", "pensieve traces are downlinks"),
        ("uplink", "x_up.log", "format: pensieve", None),
        ("uplink", "lte.up", "format: mahimahi", None),
        ("uplink", "town.log", "format: mahimahi", None),
        ("downlink", "lte.up", "format: mahimahi", "its name says uplink"),
        ("downlink", "x.log", "format: pensieve", None),
        (
            "uplink",
            "x.csv",
            "format: csv, columns: {time: t s, rate: dl kbit/s}",
            "its name says downlink",
        ),
        ("uplink", "x.csv", "format: csv, columns: {time: t s, rate: ul kbit/s}", None),
        ("uplink", "x.csv", "format: irish", None),
    ],
)
def test_a_trace_of_the_other_direction_is_warned_of(tmp_path, direction, name, options, warned):
    layouts = {
        "format: mahimahi": "1\n2\n",
        "format: pensieve": "0 1\n1 1\n",
        "format: norway": "1 1 1 1 9 9\n",
        "format: irish": "Timestamp,UL_bitrate\n2019.12.16_07.28.16,1\n2019.12.16_07.28.17,1\n",
    }
    (tmp_path / name).write_text(layouts.get(options, "t,dl,ul\n0,1,1\n1,1,1\n"))
    other = "downlink" if direction == "uplink" else "uplink"
    link = section(**{direction: f"{{trace: {name}, {options}}}", other: "1 Mbit/s"})
    found = resolve(link, tmp_path).warnings
    assert [fault.path for fault in found] == ([f"link.{direction}.trace"] if warned else [])
    if warned:
        assert warned in found[0].rule
        assert found[0].remedy


def test_faults_of_both_traces_show_at_once(tmp_path):
    (tmp_path / "a").write_text("2\n1\n")
    (tmp_path / "b").write_text("x\n")
    link = section("{trace: a, format: mahimahi}", "{trace: b, format: mahimahi}")
    with pytest.raises(ScenarioError) as caught:
        resolve(link, tmp_path)
    assert [fault.path for fault in caught.value.faults] == [
        "link.uplink.trace",
        "link.downlink.trace",
    ]


def test_a_draw_that_is_too_long_is_refused(tmp_path):
    text = "{markov: {rates: [1 Mbit/s, 2 Mbit/s], dwell: [1 us, 1 s]}, duration: 60 s}"
    with pytest.raises(ScenarioError, match="link.uplink: must not expect more than 20,000,000"):
        uplink(tmp_path, text)
