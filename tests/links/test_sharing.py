import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flexrel_sim.links import PiecewiseConstant, constant
from flexrel_sim.links.sharing import processor_sharing, sharing_state
from flexrel_sim.statistics import t_interval
from tests.links.capacities import messages, piecewise
from tests.links.slow import slow_sharing


def share(arrivals, sizes, capacity):
    """Ends in order of arrival."""
    gone = processor_sharing(
        np.asarray(arrivals, float), np.asarray(sizes), capacity, sharing_state()
    )
    end_s = np.full(len(arrivals), np.nan)
    end_s[gone.index] = gone.end_s
    assert (np.diff(gone.end_s) >= 0).all()
    return end_s


@given(messages())
def test_shares_are_those_of_the_slow_definition(sent):
    arrivals, sizes = sent
    slow = slow_sharing(arrivals.tolist(), sizes.tolist(), 8e3)
    np.testing.assert_allclose(share(arrivals, sizes, constant(8e3)), slow, rtol=0, atol=1e-9)


@given(piecewise(), messages(), st.lists(st.integers(0, 25), max_size=4))
def test_where_a_run_is_cut_changes_no_bit(capacity, sent, cuts):
    arrivals, sizes = sent
    whole = processor_sharing(arrivals, sizes, capacity, sharing_state())
    state, parts, taken = sharing_state(), [], 0
    for cut in [*sorted(min(cut, arrivals.size) for cut in cuts), arrivals.size]:
        until_s = arrivals[cut] if cut < arrivals.size else np.inf
        # Up to the next arrival, and not through it: it must find things as they were before.
        until_s = np.nextafter(until_s, 0) if cut < arrivals.size else until_s
        until_s = max(until_s, arrivals[cut - 1]) if cut else until_s
        parts.append(
            processor_sharing(arrivals[taken:cut], sizes[taken:cut], capacity, state, until_s)
        )
        taken = cut
    np.testing.assert_array_equal(np.concatenate([part.index for part in parts]), whole.index)
    np.testing.assert_array_equal(np.concatenate([part.end_s for part in parts]), whole.end_s)
    assert state.number.size == 0


@given(piecewise(), messages())
def test_sharing_and_queueing_are_done_at_the_same_time(capacity, sent):
    # Both keep the link busy while there is work: busy periods end together.
    from flexrel_sim.links.direction import Buffer
    from flexrel_sim.links.fifo import fifo, fifo_state

    arrivals, sizes = sent
    queued = fifo(arrivals, sizes, capacity, Buffer(), fifo_state())
    shared = share(arrivals, sizes, capacity)
    assert shared.max() == pytest.approx(queued.end_s.max(), rel=1e-9)


def test_two_messages_share_and_the_first_to_come_leaves_first_of_equals():
    gone = processor_sharing(
        np.array([0.0, 0.0, 0.5]), np.array([1000, 1000, 0]), constant(8e3), sharing_state()
    )
    assert gone.index.tolist() == [2, 0, 1]
    assert gone.end_s.tolist() == [0.5, 2.0, 2.0]


def test_an_outage_stops_all_of_them():
    capacity = PiecewiseConstant(np.array([0.0, 1.0, 2.0]), np.array([8e3, 0.0, 8e3]))
    assert share([0.0, 0.5], [1000, 1000], capacity).tolist() == [2.5, 3.0]


def test_nothing_comes_after_the_time_up_to_which_it_is_carried():
    with pytest.raises(ValueError, match="arrivals after the time"):
        processor_sharing(np.array([2.0]), np.array([1]), constant(8e3), sharing_state(), 1.0)


@pytest.mark.parametrize("sizes", ["exponential", "constant"])
def test_the_mean_time_is_that_of_theory_whatever_the_sizes(sizes):
    # E[T] = E[S] / (1 - rho) in M/G/1-PS, insensitive to the distribution of the sizes.
    load, count, means = 0.6, 40_000, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        arrivals = np.cumsum(rng.exponential(1 / load, count))
        drawn = rng.exponential(1e6, count) if sizes == "exponential" else np.full(count, 1e6)
        end_s = share(arrivals, np.rint(drawn).astype(np.int64), constant(8e6))
        means.append(float(np.mean((end_s - arrivals)[count // 10 :])))
    interval = t_interval(means, 0.999)
    assert interval.low < 1 / (1 - load) < interval.high
