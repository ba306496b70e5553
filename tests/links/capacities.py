"""Random capacities and messages for properties."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from flexrel_sim.links import Opportunities, PiecewiseConstant, TokenBucket, constant


@st.composite
def piecewise(draw):
    lengths = draw(st.lists(st.floats(0.01, 3.0), min_size=1, max_size=6))
    rates = draw(
        st.lists(
            st.sampled_from([0.0, 1e3, 8e3, 1e5]), min_size=len(lengths), max_size=len(lengths)
        )
    )
    rates[-1] = rates[-1] or 2e3
    starts = np.append(0.0, np.cumsum(lengths[:-1]))
    if not draw(st.booleans()):
        return PiecewiseConstant(starts, np.array(rates))
    first = draw(st.integers(0, len(lengths) - 1))
    end = float(starts[-1] + lengths[-1])
    return PiecewiseConstant(starts, np.array(rates), end, float(starts[first]))


@st.composite
def opportunities(draw):
    gaps = draw(st.lists(st.integers(0, 400), min_size=1, max_size=12))
    stamps = np.cumsum(gaps)
    stamps[-1] += 1
    return Opportunities(stamps / 1e3)


buckets = st.builds(
    TokenBucket,
    st.floats(1e3, 1e5),
    st.floats(1, 5e3),
    st.sampled_from([2e5, 1e6, np.inf]),
)

capacities = st.one_of(piecewise(), opportunities(), buckets, st.floats(1e3, 1e5).map(constant))


@st.composite
def messages(draw, count=25):
    gaps = draw(
        st.lists(st.sampled_from([0.0, 0.001, 0.05, 0.3, 1.7, 40.0]), min_size=1, max_size=count)
    )
    sizes = draw(
        st.lists(
            st.sampled_from([0, 1, 100, 1000, 1504, 4000]), min_size=len(gaps), max_size=len(gaps)
        )
    )
    return np.cumsum(gaps), np.array(sizes, dtype=np.int64)
