"""Operating points chosen at run time: what is observed, what is switched, what it costs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexrel_sim.links import Direction, PiecewiseConstant
from flexrel_sim.profile import Profile
from flexrel_sim.simulation import Draws, System, Trace, Unstable, simulate
from flexrel_sim.simulation.check import system_findings
from flexrel_sim.simulation.options import Choices, shipped_bytes
from flexrel_sim.simulation.policies import Control, OptionCost
from flexrel_sim.simulation.requests import requests
from flexrel_sim.simulation.trace import STAMPS
from tests.builders import make_draws, make_layer, make_profile, make_scenario, make_system
from tests.builders import simulated as simulated_with
from tests.simulation.systems import PAYLOADS, cases

RIGHT = np.ones(PAYLOADS.size, dtype=bool)

# 1000 bit/s for ten seconds, an outage of ten, and 1000 bit/s again.
OUTAGE = PiecewiseConstant(np.array([0.0, 10.0, 20.0]), np.array([1000.0, 0.0, 1000.0]))
# 8000 bit/s that fall to 100 bit/s at ten seconds.
FALL = PiecewiseConstant(np.array([0.0, 10.0]), np.array([8000.0, 100.0]))


def cost(system: System, payload_bytes: float, accuracy: float = 0.5) -> OptionCost:
    rest_s = system.server_s + system.uplink.delay_s + system.downlink.delay_s
    return OptionCost(system.edge_s, payload_bytes, rest_s, system.crosses_link, accuracy)


def run(base: System, options: list[tuple[System, int]], draws: Draws, **rules: Any) -> Trace:
    """Simulate with options that differ in their system and in the bytes of every payload."""
    sizes = [np.full(PAYLOADS.size, size) for _, size in options]
    rows = [
        requests(system, draws, size, RIGHT)
        for (system, _), size in zip(options, sizes, strict=True)
    ]
    control = Control(costs=tuple(cost(*option) for option in options), **rules)
    choices = Choices(control, tuple(system for system, _ in options), tuple(rows))
    return simulate(base, draws, sizes[0], RIGHT, "auto", choices=choices)


def far_and_near(capacity: PiecewiseConstant, **changes: Any) -> tuple[System, list[Any]]:
    """Option 0 sends 125 bytes; option 1 computes a second and a half on the edge instead."""
    uplink = Direction("uplink", capacity, 0.0)
    far = make_system(edge_s=0.0, server_s=0.0, delay_s=0.0, uplink=uplink, **changes)
    near = replace(far, edge_s=1.5, crosses_link=False)
    return far, [(far, 125), (near, 0)]


def test_a_device_switches_once_it_has_seen_that_the_link_became_slow() -> None:
    base, options = far_and_near(FALL)
    trace = run(base, options, make_draws([1.0, 9.0, 11.0, 30.0, 40.0]), policy="ema", weight=1.0)
    # The request at 11 s takes ten seconds: only those after it know.
    assert trace.option.tolist() == [0, 0, 0, 1, 1]
    assert trace.answered_s.tolist() == [1.125, 9.125, 21.0, 31.5, 41.5]
    assert np.isnan(trace.uplink_start_s[3:]).all()
    assert trace.payload_bytes.tolist() == [125, 125, 125, 0, 0]


# 8000 bit/s, 200 bit/s from ten seconds on, and 8000 bit/s again from sixty on.
DIP = PiecewiseConstant(np.array([0.0, 10.0, 60.0]), np.array([8000.0, 200.0, 8000.0]))

LEARNING: list[dict[str, Any]] = [
    {"policy": "ema", "weight": 0.8},
    {"policy": "change-point"},
    {"policy": "threshold", "thresholds_bit_per_s": (500.0,)},
    {"policy": "edgent", "deadline_s": 2.0},
]


@pytest.mark.parametrize("rules", LEARNING, ids=lambda rules: str(rules["policy"]))
@pytest.mark.parametrize("probe_s", [None, 10.0])
def test_a_link_that_recovers_is_used_again_if_somebody_asks(
    rules: dict[str, Any], probe_s: float | None
) -> None:
    base, options = far_and_near(DIP)
    if rules["policy"] == "threshold":
        # Its table leads from slow links to fast ones.
        options = options[::-1]
        rules = rules | {"start": 1}
    trace = run(base, options, make_draws(np.arange(1.0, 400.0, 2.0)), probe_s=probe_s, **rules)
    sent = ~np.isnan(trace.uplink_start_s)
    recovered = trace.created_s > 100
    assert sent[recovered].mean() == (0 if probe_s is None else 1)
    # In the dip a request that was sent took its time: few were.
    dip = (trace.created_s > 20) & (trace.created_s < 60)
    assert sent[dip].sum() <= 5


def test_a_device_that_was_told_to_start_on_the_edge_asks_too_and_only_so_often() -> None:
    slow = PiecewiseConstant(np.zeros(1), np.array([200.0]))
    base, options = far_and_near(slow)
    far, near = options
    draws = make_draws(np.arange(0.0, 100.0, 2.0))
    trace = run(base, [far, near], draws, policy="ema", start=1, probe_s=20.0)
    asked_s = trace.created_s[~np.isnan(trace.uplink_start_s)]
    # Each takes five seconds on the wire, and twenty of silence follow.
    assert asked_s.tolist() == [20.0, 46.0, 72.0, 98.0]


def test_the_probe_is_the_option_of_the_fewest_bytes() -> None:
    costs = [OptionCost(0, sent, 0, crosses, 0) for sent, crosses in ((9, True), (4, True), (0, 0))]
    assert Control("ema", tuple(costs)).probe_option == 1
    assert Control("ema", tuple(costs[2:])).probe_option == -1


def test_the_oracle_and_a_static_policy_have_nothing_to_ask() -> None:
    for policy in ("static", "oracle"):
        section = {"policy": policy, "options": [{}], "probe": "5 s"}
        found = list(system_findings(make_scenario(controller=section)))
        assert ("controller.probe", f"has no effect with policy: {policy}") in [
            finding[:2] for finding in found
        ]
        plain = make_scenario(controller={"policy": policy, "options": [{}]})
        assert not [path for path, *_ in system_findings(plain) if path == "controller.probe"]


def test_the_oracle_knows_before() -> None:
    base, options = far_and_near(FALL)
    trace = run(base, options, make_draws([1.0, 9.0, 11.0, 30.0]), policy="oracle")
    assert trace.option.tolist() == [0, 0, 1, 1]


def test_a_device_learns_nothing_from_the_transmissions_of_another() -> None:
    base, options = far_and_near(FALL, devices=2)
    draws = make_draws([11.0, 30.0, 31.0], device=np.array([0, 0, 1], dtype=np.int32))
    trace = run(base, options, draws, policy="ema", weight=1.0)
    assert trace.option.tolist() == [0, 1, 0]


def test_the_first_request_of_another_option_pays_for_the_switch() -> None:
    base, options = far_and_near(FALL)
    draws = make_draws([11.0, 30.0, 40.0])
    trace = run(base, options, draws, policy="ema", weight=1.0, switch_s=0.25)
    assert (trace.edge_end_s - trace.edge_start_s).tolist() == [0.0, 1.75, 1.5]


def test_a_request_that_is_dropped_before_it_is_served_switches_nothing() -> None:
    base, options = far_and_near(FALL, edge_buffer=0)
    # The first edge request is still served at 31 s: the second finds no place.
    draws = make_draws([11.0, 30.0, 31.0, 40.0])
    trace = run(base, options, draws, policy="ema", weight=1.0, switch_s=0.25)
    assert trace.outcome.tolist() == [0, 0, 2, 0]
    assert (trace.edge_end_s - trace.edge_start_s)[[1, 3]].tolist() == [1.75, 1.5]


def test_a_device_chooses_again_only_after_the_period() -> None:
    base, options = far_and_near(FALL)
    draws = make_draws([11.0, 30.0, 35.0, 36.0])
    trace = run(base, options, draws, policy="ema", weight=1.0, every_s=24.0)
    assert trace.option.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(("patience_s", "expected"), [(None, [0] * 5), (3.0, [0, 0, 0, 1, 0])])
def test_requests_stay_on_the_edge_while_a_transmission_does_not_come_to_its_end(
    patience_s: float | None, expected: list[int]
) -> None:
    base, options = far_and_near(OUTAGE)
    # The second is under way from 9.5 s on and done half a second after the outage.
    draws = make_draws([1.0, 9.5, 12.0, 13.0, 25.0])
    trace = run(base, options, draws, policy="static", patience_s=patience_s)
    assert trace.option.tolist() == expected
    assert trace.uplink_end_s[1] == 20.5
    assert (trace.outcome == 0).all()
    if patience_s is not None:
        assert trace.answered_s[3] == 14.5


def test_only_requests_of_one_option_share_a_batch() -> None:
    from flexrel_sim.simulation import Pool

    base = make_system(
        edge_s=0.0, delay_s=0.0, devices=2, pool=Pool((0.0, 1.0, 1.0), timeout_s=0.5)
    )
    slow = replace(base, pool=Pool((0.0, 2.0, 3.0), timeout_s=0.5))
    device = np.array([0, 0, 1], dtype=np.int32)
    # Option 1 from the first observation on: the second request of device 0 uses it.
    draws = make_draws([0.0, 5.0, 5.0], device=device)
    trace = run(
        base, [(base, 8), (slow, 8)], draws, policy="threshold", thresholds_bit_per_s=(1.0,)
    )
    assert trace.option.tolist() == [0, 1, 0]
    assert trace.batch.tolist() == [1, 1, 1]
    assert (trace.server_end_s - trace.server_start_s).tolist() == [1.0, 2.0, 1.0]


@settings(max_examples=80)
@given(cases(), st.integers(0, 1))
def test_a_static_controller_is_the_system_with_that_option_alone(
    case: tuple[System, Draws], start: int
) -> None:
    system, draws = case
    other = replace(system, edge_s=system.edge_s + 0.25)
    systems = (system, other)
    rows = tuple(requests(own, draws, PAYLOADS, RIGHT) for own in systems)
    costs = tuple(cost(own, 100.0) for own in systems)
    choices = Choices(Control("static", costs, start=start, switch_s=9.0), systems, rows)
    found = simulate(systems[start], draws, PAYLOADS, RIGHT, choices=choices)
    plain = simulate(systems[start], draws, PAYLOADS, RIGHT, "simpy")
    for name in (*STAMPS, "outcome", "reason", "batch", "uplink_bytes"):
        np.testing.assert_array_equal(getattr(found, name), getattr(plain, name), err_msg=name)
    assert (found.option == start).all()


@settings(max_examples=80)
@given(cases())
def test_of_one_request_the_oracle_takes_the_option_that_really_ends_first(
    case: tuple[System, Draws],
) -> None:
    system, draws = case
    alone = {
        name: values[:1]
        for name in ("created_s", "sample", "edge_factor", "server_factor", "device")
        if (values := getattr(draws, name)) is not None
    }
    plain = make_draws(alone.pop("created_s"), **alone)
    pool = replace(system.pool, timeout_s=0.0, held_s=0.0)
    far = replace(system, pool=pool, crosses_link=True, calibration_s=0.0, drop_late=False)
    systems = (far, replace(far, edge_s=far.edge_s + 1.0, crosses_link=False))
    rows = tuple(requests(own, plain, PAYLOADS, RIGHT) for own in systems)
    ends_s = [simulate(own, plain, PAYLOADS, RIGHT, "simpy").answered_s.item() for own in systems]
    costs = tuple(cost(own, 100.0) for own in systems)
    choices = Choices(Control("oracle", costs), systems, rows)
    found = simulate(far, plain, PAYLOADS, RIGHT, choices=choices)
    assert found.answered_s.item() == pytest.approx(min(ends_s), abs=1e-9)


def profiles() -> list[Profile]:
    """Send 1000 bits, or nothing and compute all on the edge; the second is less accurate."""
    near = make_profile(
        key="n" * 64,
        crosses_link=False,
        layers=(make_layer(macs=2_000_000),),
        payload_bytes=np.zeros(4, dtype=np.int64),
        head_weight_bytes=7000,
        tail_weight_bytes=0,
        validation_correct=[True] * 4 + [False] * 6,
        correct=[True, False, False, False],
    )
    return [make_profile(), near]


CONTROLLER: dict[str, Any] = {
    "policy": "ema",
    "options": [{"split.cut": "fc1"}, {"split.cut": "edge"}],
    "switch_time": "5 ms",
}
SYSTEM: dict[str, Any] = {
    "link": {
        "uplink": {
            "schedule": [["0 s", "100 kbit/s"], ["20 s", "0.4 kbit/s"], ["40 s", "100 kbit/s"]]
        },
    },
    "workload": {"rate": "1 /s"},
    "simulation": {"replications": 3},
}


def controlled(**changes: Any) -> tuple[Any, list[Trace]]:
    scenario = make_scenario(**SYSTEM, controller=CONTROLLER | changes)
    outcome = simulated_with(scenario, profiles())  # type: ignore[arg-type]
    assert not isinstance(outcome, Unstable)
    return outcome


def test_regret_is_the_mean_latency_beyond_the_oracles_on_the_same_draws() -> None:
    summary, traces = controlled()
    best, oracle_traces = controlled(policy="oracle")
    assert best.metrics["regret_s"].value == 0
    gaps = [
        own.sojourn_time_s.mean() - other.sojourn_time_s.mean()
        for own, other in zip(traces, oracle_traces, strict=True)
    ]
    assert summary.metrics["regret_s"].value == pytest.approx(np.mean(gaps))
    assert summary.metrics["regret_s"].value > 0
    assert all(
        np.array_equal(own.created_s, other.created_s)
        for own, other in zip(traces, oracle_traces, strict=True)
    )


def test_accuracy_and_weights_are_those_of_the_options_that_were_used() -> None:
    summary, traces = controlled()
    options = np.concatenate([trace.option for trace in traces])
    share = float((options == 1).mean())
    assert 0 < share < 1
    assert summary.option_shares == pytest.approx((1 - share, share))
    first, second = (profile.accuracy for profile in profiles())
    assert summary.metrics["accuracy"].value == pytest.approx(
        (1 - share) * first.value + share * second.value
    )
    # One network and two cuts: the larger head holds the smaller.
    assert summary.metrics["head_weight_bytes"].value == 7000
    assert summary.engine == "simpy"
    assert sum(part.share for part in summary.shares.values()) == pytest.approx(1.0)


def test_heads_of_different_networks_are_all_shipped() -> None:
    first, second = profiles()
    other = replace(second, operating_point={"pruning": {"ratio": 0.5}})
    assert shipped_bytes([first, other], "head") == 4000 + 7000
    assert shipped_bytes([first, second], "tail") == 3000


def test_a_point_is_unstable_only_if_every_option_is() -> None:
    slow = {"link": {"uplink": "0.5 kbit/s"}, "workload": {"rate": "1 /s"}}
    scenario = make_scenario(**slow, controller=CONTROLLER)
    assert not isinstance(simulated_with(scenario, profiles()), Unstable)  # type: ignore[arg-type]
    static = make_scenario(**slow, controller=CONTROLLER | {"policy": "static"})
    assert isinstance(simulated_with(static, profiles()), Unstable)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_profiles", "changes", "told"),
    [
        (profiles()[:1], {}, "2 options need as many profiles, and there are 1"),
        (
            [profiles()[0], make_profile(correct=np.ones(3, bool), payload_bytes=np.ones(3, int))],
            {},
            "measured on the same test samples",
        ),
        ([make_profile(), make_profile()], {"fallback": True, "patience": "1 s"}, "on the edge"),
    ],
)
def test_profiles_that_do_not_fit_the_controller_are_refused(
    given_profiles: list[Profile], changes: dict[str, Any], told: str
) -> None:
    scenario = make_scenario(controller=CONTROLLER | changes)
    with pytest.raises(ValueError, match=told):
        simulated_with(scenario, given_profiles)  # type: ignore[arg-type]


def test_several_profiles_without_a_controller_are_refused() -> None:
    with pytest.raises(ValueError, match="a controller is needed"):
        simulated_with(make_scenario(), profiles())  # type: ignore[arg-type]


def test_the_compiled_engine_is_refused_with_a_controller() -> None:
    scenario = make_scenario(controller=CONTROLLER, simulation={"engine": "compiled"})
    with pytest.raises(ValueError, match="a controller looks back at its transmissions"):
        simulated_with(scenario, profiles())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "path", "told"),
    [
        ({"options": [{"link.uplink": "1 bit/s"}]}, "controller.options.0", "model half"),
        ({"start": 2}, "controller.start", "one of the 2 options"),
        ({"weight": 0.5, "policy": "static"}, "controller.weight", "no effect with policy: static"),
        ({"policy": "threshold"}, "controller.thresholds", "must be 1, one between"),
        (
            {"policy": "threshold", "thresholds": ["2 Mbit/s", "1 Mbit/s"]},
            "controller.thresholds",
            "must ascend",
        ),
        ({"policy": "edgent"}, "controller.policy", "needs a deadline"),
        ({"fallback": True}, "controller.fallback", "need each other"),
        ({"patience": "1 s"}, "controller.fallback", "need each other"),
    ],
)
def test_controllers_that_contradict_themselves_are_refused(
    changes: dict[str, Any], path: str, told: str
) -> None:
    findings = list(system_findings(make_scenario(controller=CONTROLLER | changes)))
    assert [found for found, rule, _, _ in findings if told in rule] == [path]


@pytest.mark.parametrize("policy", ["threshold", "ema", "change-point", "edgent"])
def test_every_policy_runs_through_a_scenario_and_uses_both_options(policy: str) -> None:
    own: dict[str, Any] = {"policy": policy}
    if policy == "threshold":
        # Option 1 is for fast links here: whoever writes the table decides.
        own["thresholds"] = ["50 kbit/s"]
    if policy == "change-point":
        own |= {"drift": 0.1, "limit": 0.5}
    scenario = make_scenario(
        **(SYSTEM | {"workload": {"rate": "1 /s", "deadline": "500 ms"}}),
        controller=CONTROLLER | own,
    )
    outcome = simulated_with(scenario, profiles())  # type: ignore[arg-type]
    assert not isinstance(outcome, Unstable)
    assert min(outcome[0].option_shares) > 0
