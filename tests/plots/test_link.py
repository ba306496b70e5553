import numpy as np

from flexrel_sim.links import PiecewiseConstant, constant
from flexrel_sim.links.direction import Direction, Jitter, Loss, Packets
from flexrel_sim.links.resolve import ResolvedLink
from flexrel_sim.plots.link import link_picture


def picture(**changes):
    capacity = PiecewiseConstant(np.array([0.0, 10.0]), np.array([8e6, 24e6]), 20.0)
    up = Direction("uplink", capacity, 0.01, 0.02, **changes)
    link = ResolvedLink(up, Direction("downlink", constant(4e6), 0.01, 0.02), [])
    return link_picture(link, 20.0, 1000, "a link").axes


def test_rates_and_what_is_carried_are_those_of_the_capacity():
    rate, carried, _ = picture()
    steps = rate.patches[0].get_data()
    assert set(np.round(steps.values, 9)) == {8, 24}
    assert carried.get_lines()[0].get_ydata()[-1] == 40
    assert carried.get_lines()[1].get_ydata()[-1] == 10
    labels = rate.get_legend_handles_labels()[1]
    assert labels == ["uplink, mean 16 Mbit/s", "downlink, mean 4 Mbit/s"]


def test_delays_are_propagation_and_jitter():
    *_, delay = picture(jitter=Jitter("uniform", 0.005, 0.0025))
    jittered, plain = (line.get_xdata() for line in delay.get_lines())
    assert 10 <= np.min(jittered[1:]) < 10.1
    assert 19.9 < np.max(jittered) <= 20
    assert set(plain[1:]) == {10}


def test_a_direction_that_loses_all_has_its_propagation_alone():
    *_, delay = picture(
        transport="udp", packets=Packets(1500, 28, 38), loss=Loss(0.0, 1.0, 1.0, 1e-12)
    )
    assert set(delay.get_lines()[0].get_xdata()[1:]) == {10}
